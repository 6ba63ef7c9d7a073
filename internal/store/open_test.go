package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// onEach runs a test on every kind of database.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { test(t, db.New(t)) })
	}
}

func open(t *testing.T, dsn string, key []byte) (*store.Store, error) {
	s, err := store.Open(t.Context(), store.Config{DSN: dsn, MasterKey: key})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestWrongMasterKeyIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		key := s.DeriveKey("page token")
		_, err := open(t, dsn, bytes.Repeat([]byte{1}, store.MasterKeySize))
		if !errors.Is(err, store.ErrWrongMasterKey) {
			t.Fatalf("got %v, want %v", err, store.ErrWrongMasterKey)
		}
		again := storetest.OpenDSN(t, dsn)
		if !bytes.Equal(key, again.DeriveKey("page token")) {
			t.Error("a derived key differs after reopening")
		}
		if bytes.Equal(key, again.DeriveKey("channel token")) {
			t.Error("two purposes have one key")
		}
	})
}

func TestMasterKeyOfWrongSizeIsRefused(t *testing.T) {
	for _, size := range []int{0, 16, 33} {
		if _, err := open(t, storetest.SQLite().New(t), make([]byte, size)); err == nil {
			t.Errorf("a master key of %d bytes was accepted", size)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		storetest.OpenDSN(t, dsn)
		db := storetest.Raw(t, dsn)
		if _, err := db.Exec(`insert into goose_db_version (version_id, is_applied) values (7001, true)`); err != nil {
			t.Fatal(err)
		}
		_, err := open(t, dsn, storetest.MasterKey())
		if !errors.Is(err, store.ErrNewerSchema) {
			t.Fatalf("got %v, want %v", err, store.ErrNewerSchema)
		}
		if !strings.Contains(err.Error(), "7001") {
			t.Errorf("error %q does not name the version", err)
		}
	})
}

// Several servers of a cluster may start together on an empty database.
func TestConcurrentFirstOpens(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		const processes = 6
		errs := make(chan error, processes)
		for range processes {
			go func() {
				s, err := store.Open(context.WithoutCancel(t.Context()), store.Config{DSN: dsn, MasterKey: storetest.MasterKey()})
				if err == nil {
					err = errors.Join(s.Ping(context.WithoutCancel(t.Context())), s.Close())
				}
				errs <- err
			}()
		}
		for range processes {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		var canaries int
		if err := storetest.Raw(t, dsn).QueryRow(`select count(*) from master_key`).Scan(&canaries); err != nil || canaries != 1 {
			t.Errorf("%d canaries, %v", canaries, err)
		}
	})
}

func TestStateSurvivesReopening(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		want := store.Deployment{AccountID: "123456789012", Region: "local-1", CreatedAt: time.UnixMilli(1).UTC()}
		s, err := open(t, dsn, storetest.MasterKey())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CreateDeployment(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		s.Close()
		got, err := storetest.OpenDSN(t, dsn).Deployment(t.Context())
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

// Two processes on one database keep an activation's limit between them.
func TestLimitHoldsAcrossProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		stores := []*store.Store{storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)}
		now := time.Now()
		a := store.Activation{ID: "a", CodeHash: make([]byte, 32), IamRole: "r", RegistrationLimit: 5,
			ExpirationDate: now.Add(time.Hour), CreatedAt: now}
		if err := stores[0].CreateActivation(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		const callers = 20
		errs := make(chan error, callers)
		for i := range callers {
			go func() {
				_, err := stores[i%2].RegisterNode(t.Context(), a.ID, a.CodeHash, store.Node{PublicKey: []byte{1}}, now)
				errs <- err
			}()
		}
		registered := 0
		for range callers {
			if err := <-errs; err == nil {
				registered++
			} else if !errors.Is(err, store.ErrActivationUsedUp) {
				t.Error(err)
			}
		}
		if registered != 5 {
			t.Errorf("%d nodes registered, want 5", registered)
		}
	})
}

func TestSQLiteFilesArePrivate(t *testing.T) {
	modes := func(path string) {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("database file%s has mode %v, want 0600", suffix, info.Mode().Perm())
			}
		}
	}
	path := filepath.Join(t.TempDir(), "new.db")
	storetest.OpenDSN(t, "sqlite:"+path)
	modes(path)

	old := filepath.Join(t.TempDir(), "old.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.WriteFile(old+suffix, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	storetest.OpenDSN(t, "sqlite:"+old)
	modes(old)
}

func TestSQLitePathsAreTakenLiterally(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b.db", "why?.db", "100%41.db", "x#y.db", "関所.db", "a&_pragma=foreign_keys(0).db"} {
		path := filepath.Join(dir, name)
		storetest.OpenDSN(t, "sqlite:"+path)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%q was not used as it stands: %v", name, err)
		}
	}
	t.Chdir(dir)
	storetest.OpenDSN(t, "sqlite:relative.db")
	if _, err := os.Stat(filepath.Join(dir, "relative.db")); err != nil {
		t.Error(err)
	}
}

func TestSQLiteSettings(t *testing.T) {
	// WAL is a property of the file; the others belong to connections and show in
	// what the store refuses and survives elsewhere in these tests.
	dsn := storetest.SQLite().New(t)
	storetest.OpenDSN(t, dsn)
	var mode string
	if err := storetest.Raw(t, dsn).QueryRow(`pragma journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode is %q, %v", mode, err)
	}
}

func TestBadDSNIsRefusedWithoutShowingIt(t *testing.T) {
	const password = "hunter2secret"
	dir := t.TempDir()
	notADatabase := filepath.Join(dir, "text")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{
		"", "sqlite", "sqlite:", "sqlite::memory:", "sqlite:" + dir, "sqlite:" + notADatabase, "sqlite:" + dir + "/absent/x.db",
		"mysql://u:" + password + "@h/d", password,
		"postgres://u:" + password + "@h:port/d",
		"postgres://u:" + password + "@/d?host=" + dir,
		"postgres://u:" + password + "@/d?host=" + dir + "&sslmode=" + password,
		"postgresql://u@/d?host=" + dir + "&password=" + password,
		"postgres://u:" + password + "%zz@h/d",
	} {
		_, err := open(t, dsn, storetest.MasterKey())
		if err == nil {
			t.Errorf("%q was accepted", dsn)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("the error for %q shows the password: %v", dsn, err)
		}
	}
}
