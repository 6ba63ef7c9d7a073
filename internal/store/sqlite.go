package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// busyTimeout, in milliseconds, is how long a statement waits for another process
// that writes the same file (a backup, a second command); writers of this process
// queue before the database.
const busyTimeout = "10000"

// openSQLite opens the file at path, which it makes if there is none. The file and
// the journals that SQLite makes beside it are readable by their owner only.
func openSQLite(ctx context.Context, path string, readers int) (*database, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("a sqlite database needs the path of a file")
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	open := func(options url.Values, connections int) (*sql.DB, error) {
		options.Add("_pragma", "busy_timeout("+busyTimeout+")")
		options.Add("_pragma", "foreign_keys(1)")
		options.Add("_pragma", "journal_mode(WAL)")
		options.Add("_pragma", "synchronous(FULL)")
		name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}
		db, err := sql.Open("sqlite", name.String())
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		if err := db.PingContext(ctx); err != nil {
			db.Close()
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		return db, nil
	}
	// An immediate transaction takes the write lock when it begins. A deferred one
	// takes it at its first write, and fails without waiting if another process has
	// written since its first read.
	write, err := open(url.Values{"_txlock": {"immediate"}}, 1)
	if err != nil {
		return nil, err
	}
	read, err := open(url.Values{"_pragma": {"query_only(1)"}}, readers)
	if err != nil {
		write.Close()
		return nil, err
	}
	noLock := func(context.Context) (func(), error) { return func() {}, nil }
	return &database{read: read, write: write, dialect: goose.DialectSQLite3, lock: noLock}, nil
}

// makePrivate makes the file with mode 0600, or takes away what a present file grants
// to others. SQLite gives its journals the mode of the database file.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make database file: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at database file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("database %s is not a regular file", path)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if info, err = os.Stat(name); err == nil && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(name, info.Mode().Perm()&0o700)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make database file private: %w", err)
		}
	}
	return nil
}
