package store_test

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// tables names the tables of the schema in an order in which they can be filled.
var tables = []string{
	"master_key", "deployment", "identity_revision", "users", "access_keys", "user_groups", "group_members", "roles", "policies",
	"policy_versions", "policy_attachments", "inline_policies", "mfa_devices", "instance_profiles", "instance_profile_roles",
	"oidc_providers", "activations", "nodes", "temporary_credentials", "tags", "sessions", "audit_events", "audit_resources",
	"kms_keys", "kms_key_versions", "kms_aliases", "documents", "document_versions", "document_shares",
	"service_settings", "activation_tiers", "log_groups", "log_streams", "log_events", "buckets", "objects", "object_uploads", "object_parts", "unused_blobs",
	"console_sessions", "console_federated", "recordings", "transcripts", "transcript_grams",
}

// A table that is not named is neither searched for secrets nor frozen.
func TestEveryTableIsNamed(t *testing.T) {
	dsn := storetest.SQLite().New(t)
	storetest.OpenDSN(t, dsn)
	rows, err := storetest.Raw(t, dsn).Query(`
		select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name <> 'goose_db_version'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		found = append(found, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	named := slices.Sorted(slices.Values(tables))
	slices.Sort(found)
	if diff := cmp.Diff(found, named); diff != "" {
		t.Errorf("tables of the schema (-) and named here (+):\n%s", diff)
	}
}

// dump reads a whole table.
func dump(t *testing.T, db *sql.DB, table string) (columns []string, rows [][]any) {
	t.Helper()
	r, err := db.Query(`select * from ` + table)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	columns, err = r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	types, err := r.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		row := make([]any, len(columns))
		dest := make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := r.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		for i, v := range row {
			if n, ok := v.(int64); ok && strings.EqualFold(types[i].DatabaseTypeName(), "boolean") {
				row[i] = n != 0
			}
		}
		rows = append(rows, row)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return columns, rows
}

const (
	mfaSeed    = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	keySecret  = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
	roleSecret = "zK9temporary-bPxRfiCYEXAMPLEKEY-temporary"
)

// makeSecrets stores one secret of each kind.
func makeSecrets(t *testing.T, s *store.Store) {
	t.Helper()
	now := time.UnixMilli(1_767_323_045_678)
	for _, err := range []error{
		s.CreateUser(t.Context(), store.User{ID: "AIDA1", Name: "alice", CreatedAt: now}),
		s.CreateAccessKey(t.Context(), store.AccessKey{ID: "AKIA1", UserID: "AIDA1", Secret: keySecret, Active: true, CreatedAt: now}),
		s.CreateAccessKey(t.Context(), store.AccessKey{ID: "AKIA2", UserID: "AIDA1", Secret: "other", Active: true, CreatedAt: now}),
		s.CreateTemporaryCredential(t.Context(), store.TemporaryCredential{AccessKeyID: "ASIA1", Secret: roleSecret,
			TokenHash: make([]byte, 32), RoleName: "r", SessionName: "s", IssuedAt: now, ExpiresAt: now.Add(time.Hour)}),
		s.CreateMFADevice(t.Context(), store.MFADevice{Serial: "arn:aws:iam::123456789012:mfa/phone", Seed: mfaSeed, CreatedAt: now}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecretsAreSealedInTheDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		makeSecrets(t, s)
		var found []string
		look := func(where string, text []byte) {
			for _, secret := range []string{keySecret, roleSecret, mfaSeed} {
				// Also a part of it, and as the databases print bytes.
				for _, form := range []string{secret[:20], hex.EncodeToString([]byte(secret[:20]))} {
					if bytes.Contains(text, []byte(form)) {
						found = append(found, where)
					}
				}
			}
		}
		db := storetest.Raw(t, dsn)
		seen := 0
		for _, table := range tables {
			columns, rows := dump(t, db, table)
			for _, row := range rows {
				for i, value := range row {
					if b, ok := value.([]byte); ok {
						look(table+"."+columns[i], b)
						if strings.HasPrefix(columns[i], "sealed_") {
							seen++
						}
					} else {
						look(table+"."+columns[i], fmt.Append(nil, value))
					}
				}
			}
		}
		if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
			for _, suffix := range []string{"", "-wal"} {
				b, err := os.ReadFile(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				look("the file"+suffix, b)
				if suffix == "-wal" && !bytes.Contains(b, []byte("AKIA1")) {
					t.Error("the file does not hold the key's row: nothing was looked at")
				}
			}
		}
		if len(found) > 0 {
			t.Errorf("a secret is readable in %v", found)
		}
		if seen != 4 {
			t.Errorf("looked at %d sealed values, want 4", seen)
		}
	})
}

// Whoever can write the database cannot make one key open with another's secret.
func TestSealedSecretsCannotBeExchanged(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		makeSecrets(t, s)
		_, err := storetest.Raw(t, dsn).Exec(`
			update access_keys set sealed_secret = (select sealed_secret from access_keys where id = 'AKIA2') where id = 'AKIA1'`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AccessKey(t.Context(), "AKIA2"); err != nil {
			t.Errorf("the untouched key: %v", err)
		}
		k, err := s.AccessKey(t.Context(), "AKIA1")
		if err == nil {
			t.Error("an exchanged secret opened")
		}
		if k != (store.AccessKey{}) {
			t.Errorf("an exchanged secret gave %+v", k)
		}
	})
}

func TestErrorsDoNotShowSecrets(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		makeSecrets(t, s)
		const hash = "$argon2id$v=19$hunter2"
		if err := s.CreateUser(t.Context(), store.User{ID: "AIDA2", Name: "bob", CreatedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			s.CreateAccessKey(t.Context(), store.AccessKey{ID: "AKIA1", UserID: "AIDA1", Secret: keySecret, CreatedAt: time.Now()}),
			s.CreateAccessKey(t.Context(), store.AccessKey{ID: "AKIA3", UserID: "nobody", Secret: keySecret, CreatedAt: time.Now()}),
			s.CreateAccessKey(t.Context(), store.AccessKey{ID: "", UserID: "AIDA2", Secret: keySecret, CreatedAt: time.Now()}),
			s.CreateAccessKey(t.Context(), store.AccessKey{ID: "AKIA3", UserID: "AIDA1", Secret: keySecret, CreatedAt: time.Now()}),
			s.CreateMFADevice(t.Context(), store.MFADevice{Seed: keySecret, CreatedAt: time.Now()}),
			s.SetLoginProfile(t.Context(), "alice", hash+"\x00", true, time.Now()),
			s.CreateTemporaryCredential(t.Context(), store.TemporaryCredential{AccessKeyID: "ASIA1", Secret: roleSecret}),
			s.SetPassword(t.Context(), "nobody", hash),
			s.SetPassword(t.Context(), "alice", hash+"\x00"),
			s.CreateActivation(t.Context(), store.Activation{ID: "a", CodeHash: []byte(keySecret)}),
		} {
			if err == nil {
				t.Fatal("no error")
			}
			for _, secret := range []string{keySecret[:10], roleSecret[:10], "hunter2", hex.EncodeToString([]byte(keySecret[:10]))} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error shows a secret: %v", err)
				}
			}
		}
	})
}
