package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/store"
)

// runCommand runs sekishod in this process.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// openMade opens the database that init made in dir.
func openMade(t *testing.T, dir string) *store.Store {
	t.Helper()
	cfg, err := loadConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	db, err := openStore(t.Context(), cfg, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestInitMakesADeployment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	code, out, errs := runCommand(t, "init", "--dir", dir, "--account", "012345678901", "--region", "tokyo-1",
		"--name", "a.example", "--name", "10.0.0.5", "--service-domain", "ssm.example.net")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	cfg, err := loadConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Account != "012345678901" || cfg.Region != "tokyo-1" || len(cfg.PublicNames) != 2 || cfg.ServiceDomain != "ssm.example.net" || cfg.DataDir != dir {
		t.Errorf("the configuration is %+v", cfg)
	}

	shown := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("%q is not shown in:\n%s", pattern, out)
		}
		return found[1]
	}
	keyID := shown(`(AKIA[A-Z2-7]{16})\n`)
	secret := shown(`Secret access key: +([A-Za-z0-9+/]{40})\n`)
	password := shown(`Console password: +([a-z0-9]{20})\n`)

	db := openMade(t, dir)
	key, err := db.AccessKey(t.Context(), keyID)
	if err != nil {
		t.Fatal(err)
	}
	if key.Secret.Reveal() != secret || key.UserName != adminName || !key.Active {
		t.Errorf("the stored key is %+v; its secret is the one shown: %v", key, key.Secret.Reveal() == secret)
	}
	hash, err := db.PasswordHash(t.Context(), adminName)
	if err != nil || !auth.CheckPassword(hash, password) {
		t.Errorf("the stored password is not the one shown: %v", err)
	}

	// Nothing in the directory holds the secrets in clear.
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(password)) {
			t.Errorf("%s holds a secret in clear", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{masterKeyFile, caKeyFile, serverKeyFile, configName, "sekisho.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}
}

func TestInitRefusesToRunTwice(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := runCommand(t, "init", "--dir", dir); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	before, err := os.ReadFile(filepath.Join(dir, masterKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := runCommand(t, "init", "--dir", dir)
	if code != 1 || !strings.Contains(errs, "holds a deployment already") || !strings.Contains(errs, "sekishod serve --config") || out != "" {
		t.Errorf("got %d, %q, %q", code, out, errs)
	}
	after, err := os.ReadFile(filepath.Join(dir, masterKeyFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the master key has changed (%v)", err)
	}
}

// An init that was interrupted before the configuration file is finished by the next
// one; the account stays, the secrets shown are valid.
func TestInterruptedInitIsFinished(t *testing.T) {
	dir, cfg := t.TempDir(), defaultConfig()
	interrupted := errors.New("interrupted")
	_, _, err := initialise(t.Context(), dir, cfg, func(administrator) error { return interrupted }, time.Now(), testLogger(t))
	if !errors.Is(err, interrupted) || exists(filepath.Join(dir, configName)) {
		t.Fatalf("got %v", err)
	}
	made, admin, err := initialise(t.Context(), dir, cfg, nil, time.Now(), testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	db := openMade(t, dir)
	deployment, err := db.Deployment(t.Context())
	if err != nil || deployment.AccountID != made.Account || !accountForm.MatchString(made.Account) {
		t.Errorf("account %q, stored %q, %v", made.Account, deployment.AccountID, err)
	}
	key, err := db.AccessKey(t.Context(), admin.AccessKeyID)
	if err != nil || key.Secret.Reveal() != admin.SecretAccessKey {
		t.Errorf("the shown key is not the stored one: %v", err)
	}
}

func TestInitDoesNotTakeOverAnotherDeploymentsDatabase(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	if code, _, errs := runCommand(t, "init", "--dir", first); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for range 2 { // it leaves nothing that would change the second answer
		code, _, errs := runCommand(t, "init", "--dir", second, "--database", "sqlite:"+filepath.Join(first, "sekisho.db"))
		if code != 1 || !strings.Contains(errs, "belongs to another deployment") {
			t.Errorf("got %d, %q", code, errs)
		}
	}
}

func TestMasterKeyThatOthersMayReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := openMasterKey(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, masterKeyFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := readMasterKey(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, masterKeyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, masterKeyFile), 0o600)
	if _, err := readMasterKey(dir); err == nil || !strings.Contains(err.Error(), "not 32 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		args []string
		code int
		out  string // part of standard output
		errs string // part of standard error
	}{
		{nil, 2, "", "which command?"},
		{[]string{"--help"}, 0, "config describe", ""},
		{[]string{"help"}, 0, "sekishod dev --dir dev", ""},
		{[]string{"serv"}, 2, "", `no command "serv"`},
		{[]string{"config"}, 2, "", "config describe"},
		{[]string{"version"}, 0, "sekishod unknown go", ""},
		{[]string{"--version"}, 0, "sekishod unknown go", ""},
		{[]string{"serve", "--help"}, 0, "--config FILE", ""},
		{[]string{"serve", "-h"}, 0, "Examples:", ""},
		{[]string{"serve"}, 2, "", "--config is missing"},
		{[]string{"serve", "--config", dir + "/none.yaml"}, 1, "", "sekishod init"},
		{[]string{"serve", "--confg", "x"}, 2, "", "-confg"},
		{[]string{"serve", "--config", "x", "y"}, 2, "", `what is "y"?`},
		{[]string{"migrate", "--help"}, 0, "Examples:", ""},
		{[]string{"init", "--help"}, 0, "--service-domain DOMAIN", ""},
		{[]string{"init"}, 2, "", "--dir is missing"},
		{[]string{"init", "--dir", dir, "--account", "12"}, 2, "", "account"},
		{[]string{"init", "--dir", dir, "--region", "X"}, 2, "", "region"},
		{[]string{"dev", "--help"}, 0, "for development only", ""},
		{[]string{"dev"}, 2, "", "--dir is missing"},
		{[]string{"dev", "--dir", dir, "--nodes", "-1"}, 2, "", "--nodes"},
		{[]string{"config", "describe", "--help"}, 0, "Examples:", ""},
	} {
		code, out, errs := runCommand(t, test.args...)
		if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) {
			t.Errorf("%q: got %d\nstdout %q\nstderr %q\nwant %d, %q, %q", test.args, code, out, errs, test.code, test.out, test.errs)
		}
		if test.errs == "" && errs != "" {
			t.Errorf("%q: prints %q on standard error", test.args, errs)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("a refused command left %v, %v", entries, err)
	}
}

func TestMigrateOpensTheDatabase(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := runCommand(t, "init", "--dir", dir); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	code, out, errs := runCommand(t, "migrate", "--config", filepath.Join(dir, configName))
	if code != 0 || !strings.Contains(out, "this program's schema") {
		t.Errorf("got %d, %q, %q", code, out, errs)
	}
}

func TestMadeNamesHaveTheServicesForm(t *testing.T) {
	for range 100 {
		if account := newAccount(); !accountForm.MatchString(account) || account[0] == '0' {
			t.Errorf("account %q", account)
		}
		if id := newID("AIDA", 17); !regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(id) {
			t.Errorf("user id %q", id)
		}
	}
	if a, b := newSecret(), newSecret(); a == b || len(a) != 40 {
		t.Errorf("secrets %q and %q", a, b)
	}
}

// cancelled is a context that a signal has ended.
func cancelled(t *testing.T, sig os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopSignal{sig})
	return ctx
}
