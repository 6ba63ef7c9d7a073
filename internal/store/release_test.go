package store_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// testdata/release-N holds the database that release N wrote: DO NOT EDIT. schema.sql
// is its schema, goose-*.sql the version table on each database, rows.json its rows.
// A new release adds a folder: go test ./internal/store -run TestFreeze -freeze N
var freeze = flag.Int("freeze", 0, "write testdata/release-N from the current schema")

// table is the rows of one table in rows.json. Bytes are written as {"base64": "..."}.
type table struct {
	Name    string
	Columns []string
	Rows    [][]any
}

func TestEveryReleaseOpens(t *testing.T) {
	releases, err := filepath.Glob("testdata/release-*")
	if err != nil || len(releases) == 0 {
		t.Fatalf("no releases: %v", err)
	}
	for _, dir := range releases {
		for _, db := range storetest.Databases() {
			t.Run(filepath.Base(dir)+"/"+db.Name, func(t *testing.T) {
				dsn := db.New(t)
				restore(t, storetest.Raw(t, dsn), dir, db.Name)
				s := storetest.OpenDSN(t, dsn)
				checkContents(t, s)

				// The migrated schema is the one that a new database has. For the
				// first release this also says that its migration was not edited.
				fresh := db.New(t)
				storetest.OpenDSN(t, fresh)
				want, got := schema(t, storetest.Raw(t, fresh), db.Name), schema(t, storetest.Raw(t, dsn), db.Name)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("schema of the migrated release differs from that of a new database (-new +migrated):\n%s", diff)
				}
			})
		}
	}
}

// restore fills an empty database with what a release wrote.
func restore(t *testing.T, db *sql.DB, dir, dialect string) {
	t.Helper()
	for _, file := range []string{"schema.sql", "goose-" + dialect + ".sql"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "rows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tables []table
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tables); err != nil {
		t.Fatal(err)
	}
	for _, tb := range tables {
		// A migration may have made rows, which are among the frozen ones.
		if _, err := db.Exec(`delete from ` + tb.Name); err != nil {
			t.Fatalf("%s: %v", tb.Name, err)
		}
		marks := make([]string, len(tb.Columns))
		for i := range marks {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		insert := fmt.Sprintf(`insert into %s (%s) values (%s)`, tb.Name, strings.Join(tb.Columns, ", "), strings.Join(marks, ", "))
		for _, row := range tb.Rows {
			for i := range row {
				row[i] = thaw(t, row[i])
			}
			if _, err := db.Exec(insert, row...); err != nil {
				t.Fatalf("%s: %v", tb.Name, err)
			}
		}
	}
}

// thaw turns a JSON value into the column value it stands for.
func thaw(t *testing.T, v any) any {
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	case map[string]any:
		b, err := base64.StdEncoding.DecodeString(v["base64"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return v
}

// schema describes the tables, columns, constraints and indexes of a database.
func schema(t *testing.T, db *sql.DB, dialect string) []string {
	t.Helper()
	query := `select type || ' ' || tbl_name || ' ' || name || ' ' || coalesce(sql, '') from sqlite_master
		where tbl_name not like 'sqlite_%' and tbl_name <> 'goose_db_version'`
	if dialect == "postgres" {
		query = `
			select concat_ws(' ', 'column', table_name, column_name, data_type, is_nullable, column_default)
				from information_schema.columns where table_schema = current_schema() and table_name <> 'goose_db_version'
			union all
			select concat_ws(' ', 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid))
				from pg_constraint where connamespace = current_schema()::regnamespace and conrelid::regclass::text <> 'goose_db_version'
			union all
			select concat_ws(' ', 'index', replace(indexdef, current_schema() || '.', ''))
				from pg_indexes where schemaname = current_schema() and tablename <> 'goose_db_version'`
	}
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(lines) < 20 {
		t.Fatalf("the schema has %d parts only", len(lines))
	}
	slices.Sort(lines)
	return lines
}

// frozenAt is the time at which the frozen rows were made.
var frozenAt = time.UnixMilli(1_767_323_045_678).UTC()

const frozenNode = "mi-0123456789abcdef0"

// fill makes what checkContents looks for.
func fill(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	makeSecrets(t, s)
	activation := store.Activation{ID: "11111111-2222-4333-8444-555555555555", CodeHash: bytes.Repeat([]byte{1}, 32),
		Description: "rack 7", DefaultInstanceName: "web", IamRole: "Nodes", RegistrationLimit: 3,
		ExpirationDate: frozenAt.Add(time.Hour), CreatedAt: frozenAt, CreatedBy: "arn:aws:iam::123456789012:user/alice",
		Tags: []ssm.Tag{{Key: "Environment", Value: "prod"}}}
	x := store.Session{ID: "alice-0aaaaaaaaaaaaaaaa", NodeID: frozenNode, OwnerARN: "arn:aws:iam::123456789012:user/alice",
		OwnerUserID: "AIDA1", DocumentName: ssm.DefaultSessionDocument, Reason: "ticket 7", Status: ssm.SessionConnecting,
		AccessType: "Standard", StartedAt: frozenAt, IdleTimeout: 20 * time.Minute, MaxDuration: time.Hour, Task: []byte(`{}`),
		ClientTokenHash: bytes.Repeat([]byte{2}, 32), ClientTokenExpires: frozenAt.Add(time.Minute)}
	ended := x
	ended.ID = "alice-0bbbbbbbbbbbbbbbb"
	event := store.AuditEvent{ID: "e1", At: frozenAt, Principal: x.OwnerARN, Action: "ssm:StartSession", Resources: []string{frozenNode}}
	event2 := event
	event2.ID = "e2"
	for _, step := range []func() error{
		func() error {
			return s.CreateDeployment(ctx, store.Deployment{AccountID: "012345678901", Region: "local-1", CreatedAt: frozenAt})
		},
		func() error { return s.SetPassword(ctx, "alice", "$argon2id$frozen") },
		func() error { return s.CreateActivation(ctx, activation) },
		func() error {
			_, err := s.RegisterNode(ctx, activation.ID, activation.CodeHash,
				store.Node{ID: frozenNode, PublicKey: []byte{0x30, 0}, PublicKeyType: "Rsa", Fingerprint: "f"}, frozenAt)
			return err
		},
		func() error {
			return s.ConnectNode(ctx, frozenNode, "gw-1", "3.4.0.0", "Linux", frozenAt.Add(time.Minute), frozenAt)
		},
		func() error { return s.CreateSession(ctx, x, event) },
		func() error { return s.CreateSession(ctx, ended, event2) },
		func() error {
			_, err := s.EndSession(ctx, ended.ID, ssm.SessionTerminated, "closed", frozenAt.Add(time.Minute))
			return err
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkContents reads a database that fill filled, and writes to it.
func checkContents(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", what, diff)
		}
	}
	d, err := s.Deployment(ctx)
	check("deployment", d, store.Deployment{AccountID: "012345678901", Region: "local-1", CreatedAt: frozenAt}, err)
	k, err := s.AccessKey(ctx, "AKIA1")
	check("secret", k.Secret.Reveal(), keySecret, err)
	c, err := s.TemporaryCredential(ctx, "ASIA1")
	check("temporary secret", c.Secret.Reveal(), roleSecret, err)
	h, err := s.PasswordHash(ctx, "alice")
	check("password", h, "$argon2id$frozen", err)
	n, err := s.Node(ctx, frozenNode)
	check("node", n, store.Node{ID: frozenNode, Name: "web", ActivationID: "11111111-2222-4333-8444-555555555555", IamRole: "Nodes",
		PublicKey: []byte{0x30, 0}, PublicKeyType: "Rsa", Fingerprint: "f", RegisteredAt: frozenAt, AgentVersion: "3.4.0.0",
		PlatformType: "Linux", LastPingAt: frozenAt, ConnectedGateway: "gw-1", ConnectedUntil: frozenAt.Add(time.Minute),
		Tags: []ssm.Tag{{Key: "Environment", Value: "prod"}}}, err)
	live, err := s.LiveSessions(ctx)
	check("live sessions", len(live), 1, err)
	ended, err := s.Session(ctx, "alice-0bbbbbbbbbbbbbbbb")
	check("end", ended.EndedAt, frozenAt.Add(time.Minute), err)
	events, _, err := s.AuditEvents(ctx, store.AuditFilter{}, store.Page{})
	check("events", len(events), 2, err)

	changed, err := s.EndSession(ctx, live[0].ID, ssm.SessionTerminated, "", frozenAt)
	check("ending a session", changed, true, err)
	_, err = s.RegisterNode(ctx, n.ActivationID, bytes.Repeat([]byte{1}, 32), store.Node{PublicKey: []byte{1}}, frozenAt)
	check("registering a node", nil, nil, err)
}

// TestContentsOfThisRelease holds fill and checkContents to each other.
func TestContentsOfThisRelease(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		fill(t, s)
		checkContents(t, s)
	})
}

func TestFreeze(t *testing.T) {
	if *freeze == 0 {
		t.Skip("writes a release's fixture; run with -freeze N at a release")
	}
	dir := fmt.Sprintf("testdata/release-%d", *freeze)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err) // also when it exists: a release is frozen once
	}
	migrations, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var schema strings.Builder
	for _, file := range migrations {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "-- +goose") {
				schema.WriteString(line)
			}
		}
	}
	version := ""
	for i := range len(migrations) + 1 {
		version += fmt.Sprintf("insert into goose_db_version (version_id, is_applied) values (%d, true);\n", i)
	}
	files := map[string]string{
		"schema.sql": strings.TrimLeft(schema.String(), "\n"),
		"goose-sqlite.sql": "create table goose_db_version (\n\tid integer primary key autoincrement,\n\tversion_id integer not null,\n" +
			"\tis_applied integer not null,\n\ttstamp timestamp default (datetime('now'))\n);\n" + version,
		"goose-postgres.sql": "create table goose_db_version (\n\tid integer primary key generated by default as identity,\n" +
			"\tversion_id bigint not null,\n\tis_applied boolean not null,\n\ttstamp timestamp not null default now()\n);\n" + version,
	}
	dsn := storetest.SQLite().New(t)
	fill(t, storetest.OpenDSN(t, dsn))
	db := storetest.Raw(t, dsn)
	var frozen []table
	for _, name := range tables {
		columns, rows := dump(t, db, name)
		for _, row := range rows {
			for i, v := range row {
				if b, ok := v.([]byte); ok {
					row[i] = map[string]any{"base64": base64.StdEncoding.EncodeToString(b)}
				}
			}
		}
		frozen = append(frozen, table{name, columns, rows})
	}
	b, err := json.MarshalIndent(frozen, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	files["rows.json"] = string(b) + "\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
