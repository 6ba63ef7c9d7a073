package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// Kinds of temporary credentials.
const (
	CredentialRole    = "role"    // of a role that somebody assumed
	CredentialNode    = "node"    // of the role of a node
	CredentialSession = "session" // of a user, with an end
)

// TemporaryCredential is a key with an end. A node's credentials are those of its role,
// with the node's id as session name.
type TemporaryCredential struct {
	AccessKeyID string // "ASIA..."
	Secret      Secret
	TokenHash   []byte // SHA-256 of the session token
	Kind        string // CredentialNode with a NodeID, else CredentialRole, if empty
	RoleName    string // when it was made; empty for a user's
	// RoleID is empty for a user's credential, and for that of a role that was none
	// when it was made. If empty, it is looked up by RoleName.
	RoleID      string
	SessionName string
	NodeID      string // empty unless the role session is a node's
	UserID      string // empty unless it is a user's
	IssuedAt    time.Time
	ExpiresAt   time.Time

	// What was said when the session began.
	SessionPolicies   []string // documents that bound the session
	SessionPolicyARNs []string // managed policies that bound the session
	SessionTags       []ssm.Tag
	TransitiveTagKeys []string // of SessionTags: those that go on to the next role
	SourceIdentity    string
	MFAAt             time.Time // when an MFA code was shown; zero for none
	Chained           bool      // assumed with another role's credentials
	Provider          string    // of a web identity: the provider's ARN

	// Facts of the user as they are now. They are not read by
	// CreateTemporaryCredential.
	UserName string
	UserPath string
}

func credentialPlace(id string) string { return "temporary_credentials.secret/" + id }

// CreateTemporaryCredential adds a credential. For a user or role that does not exist,
// and a node that does not or is deregistered, it is [ErrNotFound]. The credential goes
// when one of them goes.
func (s *Store) CreateTemporaryCredential(ctx context.Context, c TemporaryCredential) error {
	if c.Kind == "" {
		c.Kind = CredentialRole
		if c.NodeID != "" {
			c.Kind = CredentialNode
		}
	}
	err := s.inTx(ctx, func(tx runner) error {
		if c.NodeID != "" {
			if err := holdNode(ctx, tx, c.NodeID); err != nil {
				return err
			}
		}
		_, err := tx.exec(ctx, `
			insert into temporary_credentials
				(access_key_id, sealed_secret, token_hash, kind, role_name, role_id, session_name, node_id, user_id, issued_at,
				expires_at, session_policies, session_policy_arns, session_tags, transitive_tag_keys, source_identity, mfa_at,
				chained, provider)
			values ($1, $2, $3, $4, $5, coalesce(nullif($6, ''), (select id from roles where name = $5)), $7, nullif($8, ''),
				nullif($9, ''), $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
			c.AccessKeyID, s.seal.close(c.Secret, credentialPlace(c.AccessKeyID)), c.TokenHash, c.Kind, c.RoleName, c.RoleID,
			c.SessionName, c.NodeID, c.UserID, millis(c.IssuedAt), millis(c.ExpiresAt), list(c.SessionPolicies),
			list(c.SessionPolicyARNs), tagList(c.SessionTags), list(c.TransitiveTagKeys), c.SourceIdentity, millis(c.MFAAt),
			c.Chained, c.Provider)
		return err
	})
	if err != nil {
		return fmt.Errorf("create temporary credential %s: %w", c.AccessKeyID, err)
	}
	return nil
}

// TemporaryCredential returns the credential with that access key id, also an
// expired one that is not deleted yet, or [ErrNotFound].
func (s *Store) TemporaryCredential(ctx context.Context, accessKeyID string) (TemporaryCredential, error) {
	var c TemporaryCredential
	var sealed []byte
	err := s.reader().row(ctx, `
		select c.access_key_id, c.sealed_secret, c.token_hash, c.kind, c.role_name, c.role_id, c.session_name, c.node_id, c.user_id,
			c.issued_at, c.expires_at, c.session_policies, c.session_policy_arns, c.session_tags, c.transitive_tag_keys,
			c.source_identity, c.mfa_at, c.chained, c.provider, u.name, u.path
		from temporary_credentials c left join users u on u.id = c.user_id
		where c.access_key_id = $1`, []any{accessKeyID},
		&c.AccessKeyID, &sealed, &c.TokenHash, &c.Kind, &c.RoleName, asText(&c.RoleID), &c.SessionName, asText(&c.NodeID),
		asText(&c.UserID), asTime(&c.IssuedAt), asTime(&c.ExpiresAt), asList(&c.SessionPolicies), asList(&c.SessionPolicyARNs),
		asTagList(&c.SessionTags), asList(&c.TransitiveTagKeys), &c.SourceIdentity, asTime(&c.MFAAt), &c.Chained, &c.Provider,
		asText(&c.UserName), asText(&c.UserPath))
	if err == nil {
		c.Secret, err = s.seal.open(sealed, credentialPlace(c.AccessKeyID))
	}
	if err != nil {
		return TemporaryCredential{}, fmt.Errorf("temporary credential %s: %w", accessKeyID, err)
	}
	return c, nil
}

// DeleteExpiredCredentials removes the credentials that have expired at now and says
// how many there were.
func (s *Store) DeleteExpiredCredentials(ctx context.Context, now time.Time) (int64, error) {
	n, err := s.writer().exec(ctx, `delete from temporary_credentials where expires_at <= $1`, now.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("delete expired credentials: %w", err)
	}
	return n, nil
}
