package store

import (
	"context"
	"fmt"
	"time"
)

// SetPassword sets the password hash of a user; an empty hash takes the password
// away.
func (s *Store) SetPassword(ctx context.Context, userName, hash string) error {
	return s.writeIdentity(ctx, "set password of user "+userName, func(tx runner) error {
		return one(tx.exec(ctx, `
			update users set password_hash = nullif($2, ''), password_reset_required = false,
				password_created_at = case when $2 = '' then null else coalesce(password_created_at, created_at) end
			where name = $1`, userName, hash))
	})
}

// PasswordHash returns the password hash of a user. It is [ErrNotFound] for an
// unknown user and for one without a password.
func (s *Store) PasswordHash(ctx context.Context, userName string) (string, error) {
	var hash string
	err := s.reader().row(ctx, `
		select password_hash from users where name = $1 and password_hash is not null`, []any{userName}, &hash)
	if err != nil {
		return "", fmt.Errorf("password of user %s: %w", userName, err)
	}
	return hash, nil
}

// SetLoginProfile gives a user a password, or another one, and says whether it must be
// changed at the next sign-in. An empty hash keeps the password and is [ErrNotFound]
// for a user without one. at becomes the creation time of a new profile.
func (s *Store) SetLoginProfile(ctx context.Context, userName, hash string, resetRequired bool, at time.Time) error {
	return s.writeIdentity(ctx, "set login profile of user "+userName, func(tx runner) error {
		return one(tx.exec(ctx, `
			update users set password_hash = coalesce(nullif($2, ''), password_hash), password_reset_required = $3,
				password_created_at = coalesce(password_created_at, $4)
			where name = $1 and ($2 <> '' or password_hash is not null)`, userName, hash, resetRequired, at.UnixMilli()))
	})
}

// DeleteLoginProfile takes a user's password away. It is [ErrNotFound] for an unknown
// user and for one without a password.
func (s *Store) DeleteLoginProfile(ctx context.Context, userName string) error {
	return s.writeIdentity(ctx, "delete login profile of user "+userName, func(tx runner) error {
		return one(tx.exec(ctx, `
			update users set password_hash = null, password_created_at = null, password_reset_required = false
			where name = $1 and password_hash is not null`, userName))
	})
}

// TouchPassword records that a user signed in with a password.
func (s *Store) TouchPassword(ctx context.Context, userName string, at time.Time) error {
	err := one(s.writer().exec(ctx, `update users set password_used_at = $2 where name = $1`, userName, at.UnixMilli()))
	if err != nil {
		return fmt.Errorf("touch password of user %s: %w", userName, err)
	}
	return nil
}
