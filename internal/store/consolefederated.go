package store

import (
	"context"
	"fmt"
	"time"
)

// FederatedSession is one browser in which somebody is signed in by way of an OpenID
// Connect provider, as the session of a role.
type FederatedSession struct {
	TokenHash   []byte // SHA-256 of what the browser's cookie holds
	UserID      string // AROA…:session-name
	AccessKeyID string // of the role session's temporary credentials
	RoleKeyID   string // of a role that was switched to; empty for none. CreateFederatedSession does not read it.
	CreatedAt   time.Time
	SeenAt      time.Time // of the last request, to the minute or so
}

// CreateFederatedSession adds a session.
func (s *Store) CreateFederatedSession(ctx context.Context, f FederatedSession) error {
	_, err := s.writer().exec(ctx, `
		insert into console_federated (token_hash, user_id, access_key_id, created_at, seen_at)
		values ($1, $2, $3, $4, $5)`,
		f.TokenHash, f.UserID, f.AccessKeyID, millis(f.CreatedAt), millis(f.SeenAt))
	if err != nil {
		return fmt.Errorf("create a console session of %s: %w", f.UserID, err)
	}
	return nil
}

// FederatedSession returns the session with that hash, or [ErrNotFound].
func (s *Store) FederatedSession(ctx context.Context, tokenHash []byte) (FederatedSession, error) {
	f := FederatedSession{TokenHash: tokenHash}
	err := s.reader().row(ctx, `
		select user_id, access_key_id, role_key_id, created_at, seen_at
		from console_federated where token_hash = $1`, []any{tokenHash},
		&f.UserID, &f.AccessKeyID, asText(&f.RoleKeyID), asTime(&f.CreatedAt), asTime(&f.SeenAt))
	if err != nil {
		return FederatedSession{}, fmt.Errorf("federated console session: %w", err)
	}
	return f, nil
}
