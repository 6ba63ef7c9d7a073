package store

import (
	"context"
	"fmt"
	"time"
)

// AccessKey is a long-lived key of a user.
type AccessKey struct {
	ID        string // "AKIA..."
	UserID    string
	Secret    Secret
	Active    bool
	CreatedAt time.Time

	// Facts of the user, so that a request is authenticated with one query. They
	// are not read by CreateAccessKey.
	UserName      string
	UserPath      string
	Administrator bool
}

func accessKeyPlace(id string) string { return "access_keys.secret/" + id }

// CreateAccessKey adds a key to the user UserID, whose absence is [ErrNotFound].
func (s *Store) CreateAccessKey(ctx context.Context, k AccessKey) error {
	_, err := s.writer().exec(ctx, `
		insert into access_keys (id, user_id, sealed_secret, active, created_at) values ($1, $2, $3, $4, $5)`,
		k.ID, k.UserID, s.seal.close(k.Secret, accessKeyPlace(k.ID)), k.Active, millis(k.CreatedAt))
	if err != nil {
		return fmt.Errorf("create access key %s: %w", k.ID, err)
	}
	return nil
}

// AccessKey returns the key with that id, also an inactive one, or [ErrNotFound].
func (s *Store) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	var k AccessKey
	var sealed []byte
	err := s.reader().row(ctx, `
		select k.id, k.user_id, k.sealed_secret, k.active, k.created_at, u.name, u.path, u.administrator
		from access_keys k join users u on u.id = k.user_id
		where k.id = $1`, []any{id},
		&k.ID, &k.UserID, &sealed, &k.Active, asTime(&k.CreatedAt), &k.UserName, &k.UserPath, &k.Administrator)
	if err == nil {
		k.Secret, err = s.seal.open(sealed, accessKeyPlace(k.ID))
	}
	if err != nil {
		return AccessKey{}, fmt.Errorf("access key %s: %w", id, err)
	}
	return k, nil
}

// SetAccessKeyActive switches a key on or off.
func (s *Store) SetAccessKeyActive(ctx context.Context, id string, active bool) error {
	n, err := s.writer().exec(ctx, `update access_keys set active = $2 where id = $1`, id, active)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("set access key %s active: %w", id, err)
	}
	return nil
}

// DeleteAccessKey removes a key.
func (s *Store) DeleteAccessKey(ctx context.Context, id string) error {
	n, err := s.writer().exec(ctx, `delete from access_keys where id = $1`, id)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete access key %s: %w", id, err)
	}
	return nil
}
