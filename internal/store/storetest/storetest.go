// Package storetest holds the contract of package store: one suite of tests that runs
// on every database. It also opens throw-away stores for the tests of other packages.
package storetest

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"sekisho/internal/store"
)

// EnvPostgres names the environment variable that holds the DSN of a PostgreSQL for
// tests. scripts/with-postgres sets it.
const EnvPostgres = "SEKISHO_TEST_POSTGRES"

// Database is a kind of database that the suite runs on.
type Database struct {
	Name string
	// New makes an empty database that goes away with the test and returns its DSN.
	// It skips the test where there is no such database.
	New func(testing.TB) string
}

// SQLite is a file in the test's temporary directory.
func SQLite() Database {
	return Database{Name: "sqlite", New: func(tb testing.TB) string {
		return "sqlite:" + filepath.Join(tb.TempDir(), "sekisho.db")
	}}
}

// Postgres is a schema of its own in the database that [EnvPostgres] names.
func Postgres() Database {
	return Database{Name: "postgres", New: newSchema}
}

// Databases are all of them.
func Databases() []Database { return []Database{SQLite(), Postgres()} }

func newSchema(tb testing.TB) string {
	tb.Helper()
	dsn := os.Getenv(EnvPostgres)
	if dsn == "" {
		tb.Skip(EnvPostgres + " is not set: run with scripts/with-postgres to test on PostgreSQL")
	}
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatalf("%s is not a URL", EnvPostgres)
	}
	var random [8]byte
	rand.Read(random[:])
	schema := "test_" + hex.EncodeToString(random[:])
	db := Raw(tb, dsn)
	if _, err := db.Exec(`create schema ` + schema); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := db.Exec(`drop schema ` + schema + ` cascade`); err != nil {
			tb.Errorf("drop schema of the test: %v", err)
		}
	})
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

// Raw opens a database without package store, for tests that look behind it or
// prepare what it must refuse. It is closed with the test.
func Raw(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	driver, name := "pgx", dsn
	if path, ok := cutSQLite(dsn); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { db.Close() })
	return db
}

func cutSQLite(dsn string) (path string, ok bool) {
	const scheme = "sqlite:"
	if len(dsn) > len(scheme) && dsn[:len(scheme)] == scheme {
		return dsn[len(scheme):], true
	}
	return "", false
}

// MasterKey is the master key of the stores that this package opens.
func MasterKey() []byte { return bytes.Repeat([]byte{0x5e}, store.MasterKeySize) }

// OpenDSN opens a store, to be closed with the test.
func OpenDSN(tb testing.TB, dsn string) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Config{DSN: dsn, MasterKey: MasterKey(), MaxConnections: 8})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close store: %v", err)
		}
	})
	return s
}

// Open opens an empty store on SQLite, to be closed with the test.
func Open(tb testing.TB) *store.Store {
	tb.Helper()
	return OpenDSN(tb, SQLite().New(tb))
}
