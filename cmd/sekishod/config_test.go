package main

import (
	"bytes"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestConfigDescribe(t *testing.T) {
	var out, errors bytes.Buffer
	if code := run(t.Context(), []string{"config", "describe"}, &out, &errors); code != 0 {
		t.Fatalf("exit code %d: %s", code, errors.String())
	}
	golden := filepath.Join("testdata", "sekishod.yaml")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("config describe has changed; if that is meant, run the test with -update (-golden +now):\n%s", diff)
	}
}

// What describe writes, parseConfig reads: for the defaults and for values that need
// care in YAML.
func TestDescribedConfigIsReadBack(t *testing.T) {
	special := config{
		DataDir: `C:\dir "x" # not a comment`, Listen: "[::]:8443", PublicURL: "https://a.example:9443",
		PublicNames: []string{"a.example", "*.b.example", "::1"}, ServiceDomain: "ssm.example.net",
		Region: "on-prem-1", Account: "012345678901",
		Database:   databaseConfig{DSN: "postgres://u@h/日本?sslmode=require"},
		TLS:        tlsConfig{Certificate: "c.pem", Key: "k: pem"},
		NATS:       natsConfig{URL: "nats://h:4222"},
		Sessions:   sessionConfig{DocumentAccessCheck: accessClassic, History: time.Hour, LockOut: lockOutAutomatic},
		Recordings: recordingConfig{Record: recordAll, Store: "s3://b/p?endpoint=https://h:9443&region=r", Local: 24 * time.Hour},
		Sinks:      sinkConfig{S3: "https://h?region=r", Logs: "https://[::1]:9443?region=r", Credentials: "c: d", CA: "ca.pem"},
		Audit:      auditConfig{Retention: 36 * time.Hour},
		SignIn: signInConfig{OIDC: oidcConfig{Issuer: "https://a.example/t", Name: "A \"B\"", ClientID: "c", ClientSecretFile: "s",
			Roles: []string{"ops=arn:aws:iam::012345678901:role/Ops"}, RoleClaim: "sub", SessionName: "sub"}},
		ClockSkew: 90*time.Minute + 10*time.Second, Log: logConfig{Level: "debug", Format: "json"},
	}
	for name, cfg := range map[string]config{"default": defaultConfig(), "special": special} {
		var text bytes.Buffer
		if err := cfg.describe(&text); err != nil {
			t.Fatal(err)
		}
		got, err := parseConfig(text.Bytes())
		if err != nil {
			t.Errorf("%s:%v in\n%s", name, err, text.String())
			continue
		}
		if len(got.PublicNames) == 0 {
			got.PublicNames = nil // [] and absent are one
		}
		if diff := cmp.Diff(cfg, got); diff != "" {
			t.Errorf("%s (-written +read):\n%s", name, diff)
		}
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 10 * time.Second: "10s", 2 * time.Hour: "2h", 90 * time.Second: "1m30s", time.Hour + 10*time.Second: "1h0m10s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "region: local-1\nlisten: 127.0.0.1:8443\nlissten: x\n", `3: unknown key "lissten"`},
		{"unknown nested key", "log:\n  level: info\n  colour: red\n", `3: unknown key "colour"`},
		{"key twice", "region: a\nregion: b\n", "2: "},
		{"wrong type", "region: local-1\nlog: 5\n", "2: "},
		{"not YAML", "listen: [\n", "1: "},
		{"listen", "listen: here\n", "listen: "},
		{"region", "region: Local_1\n", "region: "},
		{"account", "account: \"123\"\n", "account: "},
		{"public name", "public_names: [\"a b\"]\n", "public_names: "},
		{"public URL", "public_url: http://a\n", "public_url: "},
		{"public URL with path", "public_url: https://a/b\n", "public_url: "},
		{"service domain", "service_domain: \"*.x\"\n", "service_domain: "},
		{"database", "database:\n  dsn: mysql://secret@x\n", "database.dsn: "},
		{"half a certificate", "tls:\n  certificate: a.pem\n", "tls: "},
		{"skew", "clock_skew: 0s\n", "clock_skew: "},
		{"access check", "sessions: {document_access_check: lenient}\n", "sessions.document_access_check: \"lenient\" is neither"},
		{"history", "sessions: {history: 1m}\n", "sessions.history: 1m0s is below an hour"},
		{"store", "recordings: {store: /dir}\n", "recordings.store: "},
		{"store without TLS", "recordings: {store: \"s3://b?region=r&endpoint=http://h\"}\n", "recordings.store: "},
		{"no store to fetch from", "recordings: {local: 24h}\n", "recordings.local: "},
		{"sink without TLS", "sinks: {s3: \"http://h?region=r\"}\n", "sinks.s3: "},
		{"sink without region", "sinks: {logs: \"https://h\"}\n", "sinks.logs: "},
		{"lock-out", "sessions: {lock_out: never}\n", "sessions.lock_out: \"never\" is neither"},
		{"audit retention", "audit: {retention: 1m}\n", "audit.retention: 1m0s is below an hour"},
		{"issuer", "sign_in: {oidc: {issuer: \"http://a\"}}\n", "sign_in.oidc.issuer: "},
		{"client", "sign_in: {oidc: {issuer: \"https://a\"}}\n", "sign_in.oidc.client_id: "},
		{"role rule", "sign_in: {oidc: {issuer: \"https://a\", client_id: x, roles: [ops]}}\n", "sign_in.oidc.roles: \"ops\""},
		{"level", "log:\n  level: loud\n", "log.level: "},
		{"format", "log:\n  format: xml\n", "log.format: "},
	} {
		_, err := parseConfig([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the DSN: %v", test.name, err)
		}
	}
}

func TestEmptyConfigIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n"} {
		got, err := parseConfig([]byte(text))
		if err != nil {
			t.Fatalf("%q:%v", text, err)
		}
		if diff := cmp.Diff(defaultConfig(), got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestRelativePathsAreOfTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "etc.yaml")
	text := "data_dir: data\ntls: {certificate: c.pem, key: /abs/k.pem}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{cfg.DataDir, cfg.Database.DSN, cfg.TLS.Certificate, cfg.TLS.Key}
	want := []string{dir + "/data", "sqlite:" + dir + "/data/sekisho.db", dir + "/data/c.pem", "/abs/k.pem"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPublicURL(t *testing.T) {
	addr := func(text string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, test := range []struct {
		cfg        config
		addr, want string
	}{
		{config{}, "127.0.0.1:8443", "https://127.0.0.1:8443"},
		{config{}, "[::]:8443", "https://localhost:8443"},
		{config{}, "[::1]:8443", "https://[::1]:8443"},
		{config{PublicNames: []string{"*.x.example", "ssm.example.net"}}, "[::]:8443", "https://ssm.example.net:8443"},
		{config{PublicURL: "https://lb.example/", PublicNames: []string{"a"}}, "[::]:8443", "https://lb.example"},
	} {
		if got := test.cfg.publicURL(addr(test.addr)); got != test.want {
			t.Errorf("%+v on %s: got %s, want %s", test.cfg, test.addr, got, test.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	var text bytes.Buffer
	defaultConfig().describe(&text)
	f.Add(text.Bytes())
	f.Add([]byte("log: {level: debug}\npublic_names: [a, b]\nclock_skew: 1h\n"))
	f.Add([]byte("a: &a [*a]\n"))
	// What is accepted is written and read back as the same.
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := parseConfig(text)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := cfg.describe(&again); err != nil {
			t.Fatal(err)
		}
		got, err := parseConfig(again.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, again.String())
		}
		if len(cfg.PublicNames) == 0 {
			cfg.PublicNames, got.PublicNames = nil, nil
		}
		if diff := cmp.Diff(cfg, got); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
