package store

import (
	"context"
	"fmt"
	"time"
)

// User is a person or a program that signs in or signs requests.
type User struct {
	ID            string // "AIDA..."
	Name          string // unique without regard to case
	Path          string // begins and ends with "/"; empty means "/"
	Administrator bool
	CreatedAt     time.Time
}

// CreateUser adds a user. A taken name or id is [ErrExists].
func (s *Store) CreateUser(ctx context.Context, u User) error {
	if u.Path == "" {
		u.Path = "/"
	}
	_, err := s.writer().exec(ctx, `
		insert into users (id, name, path, administrator, created_at) values ($1, $2, $3, $4, $5)`,
		u.ID, u.Name, u.Path, u.Administrator, millis(u.CreatedAt))
	if err != nil {
		return fmt.Errorf("create user %s: %w", u.Name, err)
	}
	return nil
}

// UserByName returns the user of that name, or [ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (User, error) {
	return s.user(ctx, "name = $1", name)
}

// UserByID returns the user with that id, or [ErrNotFound].
func (s *Store) UserByID(ctx context.Context, id string) (User, error) {
	return s.user(ctx, "id = $1", id)
}

func (s *Store) user(ctx context.Context, condition, arg string) (User, error) {
	var u User
	err := s.reader().row(ctx, `
		select id, name, path, administrator, created_at from users where `+condition, []any{arg},
		&u.ID, &u.Name, &u.Path, &u.Administrator, asTime(&u.CreatedAt))
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", arg, err)
	}
	return u, nil
}

// SetPassword sets the password hash of a user; an empty hash takes the password
// away.
func (s *Store) SetPassword(ctx context.Context, userName, hash string) error {
	n, err := s.writer().exec(ctx, `update users set password_hash = nullif($2, '') where name = $1`, userName, hash)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("set password of user %s: %w", userName, err)
	}
	return nil
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
