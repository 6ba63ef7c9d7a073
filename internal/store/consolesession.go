package store

import (
	"context"
	"fmt"
	"time"
)

// ConsoleSession is one browser in which a user is signed in.
type ConsoleSession struct {
	TokenHash     []byte // SHA-256 of what the browser's cookie holds
	UserID        string
	PasswordPrint []byte // of the password that the user signed in with
	CreatedAt     time.Time
	SeenAt        time.Time // of the last request, to the minute or so
	MFAAt         time.Time // when an MFA code was shown; zero for none
	AccessKeyID   string    // of the role that the user has switched to; empty for none. CreateConsoleSession does not read it.

	// Facts of the user as they are now. They are not read by CreateConsoleSession.
	User         User
	PasswordHash string // empty if the user has none any more
}

// consoleTables have the sessions of the console: of users, and of people whom an OpenID
// Connect provider vouches for. A token is in one of them.
var consoleTables = [...]string{"console_sessions", "console_federated"}

// CreateConsoleSession adds a session. An unknown user is [ErrNotFound].
func (s *Store) CreateConsoleSession(ctx context.Context, c ConsoleSession) error {
	_, err := s.writer().exec(ctx, `
		insert into console_sessions (token_hash, user_id, password_print, created_at, seen_at, mfa_at)
		values ($1, $2, $3, $4, $5, $6)`,
		c.TokenHash, c.UserID, c.PasswordPrint, millis(c.CreatedAt), millis(c.SeenAt), millis(c.MFAAt))
	if err != nil {
		return fmt.Errorf("create a console session of user %s: %w", c.UserID, err)
	}
	return nil
}

// ConsoleSession returns the session with that hash, or [ErrNotFound].
func (s *Store) ConsoleSession(ctx context.Context, tokenHash []byte) (ConsoleSession, error) {
	c := ConsoleSession{TokenHash: tokenHash}
	err := s.reader().row(ctx, `
		select c.user_id, c.password_print, c.created_at, c.seen_at, c.mfa_at, c.access_key_id, u.name, u.path, u.password_hash
		from console_sessions c join users u on u.id = c.user_id
		where c.token_hash = $1`, []any{tokenHash},
		&c.UserID, &c.PasswordPrint, asTime(&c.CreatedAt), asTime(&c.SeenAt), asTime(&c.MFAAt), asText(&c.AccessKeyID),
		&c.User.Name, &c.User.Path, asText(&c.PasswordHash))
	if err != nil {
		return ConsoleSession{}, fmt.Errorf("console session: %w", err)
	}
	c.User.ID = c.UserID
	return c, nil
}

// TouchConsoleSession records that a session is used.
func (s *Store) TouchConsoleSession(ctx context.Context, tokenHash []byte, at time.Time) error {
	for _, table := range consoleTables {
		_, err := s.writer().exec(ctx, `update `+table+` set seen_at = $2 where token_hash = $1 and seen_at < $2`, tokenHash, at.UnixMilli())
		if err != nil {
			return fmt.Errorf("touch a console session: %w", err)
		}
	}
	return nil
}

// SetConsoleRole makes a session act with temporary credentials; with an empty id, as its
// user again.
func (s *Store) SetConsoleRole(ctx context.Context, tokenHash []byte, accessKeyID string) error {
	var id any
	if accessKeyID != "" {
		id = accessKeyID
	}
	for _, update := range []string{
		`update console_sessions set access_key_id = $2 where token_hash = $1`,
		`update console_federated set role_key_id = $2 where token_hash = $1`,
	} {
		if _, err := s.writer().exec(ctx, update, tokenHash, id); err != nil {
			return fmt.Errorf("set the role of a console session: %w", err)
		}
	}
	return nil
}

// DeleteConsoleSession ends a session; one that is none any more stays so.
func (s *Store) DeleteConsoleSession(ctx context.Context, tokenHash []byte) error {
	for _, table := range consoleTables {
		if _, err := s.writer().exec(ctx, `delete from `+table+` where token_hash = $1`, tokenHash); err != nil {
			return fmt.Errorf("delete a console session: %w", err)
		}
	}
	return nil
}

// DeleteConsoleSessionsOf ends all sessions of a user and says how many there were.
func (s *Store) DeleteConsoleSessionsOf(ctx context.Context, userID string) (int64, error) {
	var all int64
	for _, table := range consoleTables {
		n, err := s.writer().exec(ctx, `delete from `+table+` where user_id = $1`, userID)
		if err != nil {
			return all, fmt.Errorf("delete the console sessions of user %s: %w", userID, err)
		}
		all += n
	}
	return all, nil
}

// DeleteOldConsoleSessions removes the sessions that began before created or were last
// used before seen, and says how many there were.
func (s *Store) DeleteOldConsoleSessions(ctx context.Context, created, seen time.Time) (int64, error) {
	var all int64
	for _, table := range consoleTables {
		n, err := s.writer().exec(ctx, `delete from `+table+` where created_at < $1 or seen_at < $2`, created.UnixMilli(), seen.UnixMilli())
		if err != nil {
			return all, fmt.Errorf("delete old console sessions: %w", err)
		}
		all += n
	}
	return all, nil
}
