package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// database is the two pools of one database. On SQLite write has a single
// connection: writers queue in order in this process, where SQLite's own busy
// handler would poll and starve some. On PostgreSQL both are the same pool.
type database struct {
	read, write *sql.DB
	dialect     goose.Dialect
	// lock keeps other processes from migrating until unlock is called.
	lock func(context.Context) (unlock func(), err error)
}

func (d *database) close() error {
	err := d.read.Close()
	if d.write != d.read {
		err = errors.Join(err, d.write.Close())
	}
	return err
}

// querier is what a pool and a transaction have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// runner runs statements and turns the drivers' errors into this package's.
type runner struct{ q querier }

// reader runs queries outside a transaction.
func (s *Store) reader() runner { return runner{s.db.read} }

// writer runs single statements that are their own transaction.
func (s *Store) writer() runner { return runner{s.db.write} }

// inTx runs f in one transaction, which takes effect only if f returns nil.
func (s *Store) inTx(ctx context.Context, f func(tx runner) error) error {
	tx, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return classify(ctx, err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(runner{tx}); err != nil {
		return err
	}
	return classify(ctx, tx.Commit())
}

// exec runs a statement and says how many rows it touched.
func (r runner) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := checkText(args); err != nil {
		return 0, err
	}
	res, err := r.q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, classify(ctx, err)
	}
	n, err := res.RowsAffected()
	return n, classify(ctx, err)
}

// row runs a query of at most one row and scans it; no row is [ErrNotFound].
func (r runner) row(ctx context.Context, query string, args []any, dest ...any) error {
	return r.rowOf(ctx, query, args, func(scan func(...any) error) error { return scan(dest...) })
}

// rowOf calls f for the row of a query of at most one row; no row is [ErrNotFound].
func (r runner) rowOf(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	found := false
	err := r.rows(ctx, query, args, func(scan func(...any) error) error {
		found = true
		return f(scan)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return err
}

// rows calls f for each row of a query.
func (r runner) rows(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	if err := checkText(args); err != nil {
		return err
	}
	rows, err := r.q.QueryContext(ctx, query, args...)
	if err != nil {
		return classify(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return classify(ctx, err)
		}
	}
	return classify(ctx, rows.Err())
}

// checkText refuses text that PostgreSQL cannot hold, so that both databases refuse
// the same. The text itself stays out of the error.
func checkText(args []any) error {
	for i, arg := range args {
		if s, ok := arg.(string); ok && (!utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0) {
			return fmt.Errorf("%w: parameter %d is not text", ErrInvalid, i+1)
		}
	}
	return nil
}

// classify adds this package's sentinel to a driver's error. Neither driver's
// message has column values in it: PostgreSQL puts them into Detail, which
// PgError.Error leaves out.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		// SQLite reports an interrupted statement in its own words.
		return fmt.Errorf("%w: %w", cause, err)
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code { // https://www.postgresql.org/docs/current/errcodes-appendix.html
		case "23505": // unique_violation
			return fmt.Errorf("%w: %w", ErrExists, err)
		case "23503": // foreign_key_violation
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		case "23514", "23502", "22003": // check, not null, numeric value out of range
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() { // https://www.sqlite.org/rescode.html
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fmt.Errorf("%w: %w", ErrExists, err)
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		case sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_NOTNULL:
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return err
}
