package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// idleConnection is how long an unused connection stays open.
const idleConnection = 5 * time.Minute

func openPostgres(ctx context.Context, dsn string, connections int) (*database, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// The parser's error quotes the DSN, and its masking of the password has
		// cases it does not know.
		return nil, errors.New("the PostgreSQL URL cannot be read (its text is not shown because it may hold a password)")
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "sekisho"
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(idleConnection)
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return &database{
		read: db, write: db, dialect: goose.DialectPostgres,
		lock: func(ctx context.Context) (func(), error) { return lockSchema(ctx, cfg) },
	}, nil
}

// lockClass is the first half of the advisory lock's key ("seki" in ASCII), so that
// it does not meet another application's.
const lockClass = 0x73656b69

// lockSchema lets one process at a time migrate a schema, on a connection of its own.
// It waits in the database, where goose's locker would poll every few seconds, and two
// schemas of one database do not wait for each other.
func lockSchema(ctx context.Context, cfg *pgx.ConnConfig) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// The lock belongs to the connection and ends with it.
	unlock = func() { conn.Close(context.WithoutCancel(ctx)) }
	// A search path without a schema is left to the migration, which says so.
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1, hashtext(coalesce(current_schema(), '')))`, lockClass); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
