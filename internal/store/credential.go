package store

import (
	"context"
	"fmt"
	"time"
)

// TemporaryCredential is a key with an end, given to a role session. A node's
// credentials are those of its role, with the node's id as session name.
type TemporaryCredential struct {
	AccessKeyID string // "ASIA..."
	Secret      Secret
	TokenHash   []byte // SHA-256 of the session token
	RoleName    string
	SessionName string
	NodeID      string // empty unless the role session is a node's
	IssuedAt    time.Time
	ExpiresAt   time.Time
}

func credentialPlace(id string) string { return "temporary_credentials.secret/" + id }

// CreateTemporaryCredential adds a credential. For a node that does not exist, or is
// deregistered, it is [ErrNotFound].
func (s *Store) CreateTemporaryCredential(ctx context.Context, c TemporaryCredential) error {
	err := s.inTx(ctx, func(tx runner) error {
		if c.NodeID != "" {
			if err := holdNode(ctx, tx, c.NodeID); err != nil {
				return err
			}
		}
		_, err := tx.exec(ctx, `
			insert into temporary_credentials
				(access_key_id, sealed_secret, token_hash, role_name, session_name, node_id, issued_at, expires_at)
			values ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8)`,
			c.AccessKeyID, s.seal.close(c.Secret, credentialPlace(c.AccessKeyID)), c.TokenHash,
			c.RoleName, c.SessionName, c.NodeID, millis(c.IssuedAt), millis(c.ExpiresAt))
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
		select access_key_id, sealed_secret, token_hash, role_name, session_name, node_id, issued_at, expires_at
		from temporary_credentials where access_key_id = $1`, []any{accessKeyID},
		&c.AccessKeyID, &sealed, &c.TokenHash, &c.RoleName, &c.SessionName, asText(&c.NodeID),
		asTime(&c.IssuedAt), asTime(&c.ExpiresAt))
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
