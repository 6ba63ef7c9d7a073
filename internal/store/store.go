// Package store keeps the state of a deployment in a SQL database: an embedded
// SQLite file by default, PostgreSQL for a cluster. It holds all the SQL of the
// project, and one text of it serves both databases.
//
// What it promises:
//   - A method is one transaction: it happens whole or not at all, also when the
//     process dies in the middle of it (SQLite commits with synchronous=FULL).
//   - Rules that must hold under concurrency (an activation's limit, a session that
//     ended stays ended) are decided by the database, never by read-then-write.
//   - Times go in and come out as UTC with millisecond precision; a zero time is
//     absent.
//   - Secrets are sealed with a key derived from the master key before they reach
//     the database; tokens and activation codes are kept as SHA-256 hashes that the
//     caller makes. No error carries a secret.
//
// control, gateway and auth call it; facts that they share meet here.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Facts that callers branch on. Errors of this package wrap them.
var (
	// ErrNotFound says that the row, or a row that it must refer to, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a row with that identity exists already.
	ErrExists = errors.New("already exists")
	// ErrInvalid says that a value breaks a constraint of the schema.
	ErrInvalid = errors.New("invalid value")
	// ErrCursor says that Page.After is not a cursor of this list.
	ErrCursor = errors.New("invalid page cursor")

	// ErrActivationInvalid says that the activation does not exist or that the code
	// is not its code: the two are not told apart.
	ErrActivationInvalid = errors.New("activation id and code do not match an activation")
	// ErrActivationExpired says that the activation's expiration date has passed.
	ErrActivationExpired = errors.New("activation has expired")
	// ErrActivationUsedUp says that as many nodes registered as the limit allows.
	ErrActivationUsedUp = errors.New("activation has reached its registration limit")

	// ErrNewerSchema says that a newer release has written the database.
	ErrNewerSchema = errors.New("database schema is newer than this program")
	// ErrWrongMasterKey says that the master key is not the one that the database
	// was made with.
	ErrWrongMasterKey = errors.New("master key does not belong to this database")
)

// MasterKeySize is the length of Config.MasterKey in bytes.
const MasterKeySize = 32

// defaultMaxConnections bounds the connections of one process to PostgreSQL, whose
// own default for all clients together is 100.
const defaultMaxConnections = 16

// Config says which database to open.
type Config struct {
	// DSN is "sqlite:PATH" or a PostgreSQL URL ("postgres://..." or
	// "postgresql://..."). It may hold a password and so never appears in an error.
	DSN string
	// MasterKey is MasterKeySize random bytes kept outside the database. The first
	// Open of a database binds it to this key.
	MasterKey []byte
	// MaxConnections bounds the connections to PostgreSQL, and the readers of a
	// SQLite file. Zero means 16.
	MaxConnections int
	// Logger gets a line for each migration that runs. Nil is silent.
	Logger *slog.Logger
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	db   *database
	seal *sealer
}

// Open opens the database, makes it if it is a SQLite file that does not exist, and
// migrates it to this program's schema. It fails with an error that wraps
// [ErrNewerSchema] when a newer release has written it, and with one that wraps
// [ErrWrongMasterKey] when the master key is another database's.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if len(cfg.MasterKey) != MasterKeySize {
		return nil, fmt.Errorf("open store: master key has %d bytes, must have %d", len(cfg.MasterKey), MasterKeySize)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxConnections <= 0 {
		cfg.MaxConnections = defaultMaxConnections
	}
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{db: db, seal: newSealer(cfg.MasterKey)}
	if err := db.migrate(ctx, cfg.Logger); err != nil {
		db.close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.checkMasterKey(ctx); err != nil {
		db.close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func openDatabase(ctx context.Context, cfg Config) (*database, error) {
	scheme, rest, _ := strings.Cut(cfg.DSN, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest, cfg.MaxConnections)
	case "postgres", "postgresql":
		return openPostgres(ctx, cfg.DSN, cfg.MaxConnections)
	}
	return nil, errors.New(`the database must be given as "sqlite:PATH" or "postgres://..."`)
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("ping database: %w", classify(ctx, err))
	}
	return nil
}

// Close ends all connections. No method may be called after it.
func (s *Store) Close() error { return s.db.close() }

// DeriveKey makes a 32-byte key for a purpose outside this package, such as the MAC
// over page tokens. Every process that opens the database with its master key gets
// the same key for the same purpose, and none of these keys opens sealed secrets.
func (s *Store) DeriveKey(purpose string) []byte { return s.seal.derive("use/" + purpose) }
