package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sekisho/internal/store"
)

const masterKeyFile = "master.key"

func runInit(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	cfg := defaultConfig()
	cfg.DataDir = "." // the file's own directory, so that it can be moved
	var dir string
	var flags flag.FlagSet
	flags.StringVar(&dir, "dir", "", "new or empty `DIR`ectory for configuration, keys and database")
	flags.StringVar(&cfg.Account, "account", "", "account number, 12 `DIGITS`; made at random if absent")
	flags.StringVar(&cfg.Region, "region", cfg.Region, "the `REGION` that the deployment serves")
	flags.Var((*list)(&cfg.PublicNames), "name", "`HOST` name or address under which nodes and clients reach the server; may be repeated")
	flags.StringVar(&cfg.ServiceDomain, "service-domain", "", "`DOMAIN` below which the services have names of their own, for stock agents")
	flags.StringVar(&cfg.Listen, "listen", cfg.Listen, "`ADDR`ess to listen on")
	flags.StringVar(&cfg.Database.DSN, "database", cfg.Database.DSN, "`DSN`: sqlite:PATH or postgres://USER@HOST/DATABASE; give a password by PGPASSWORD")
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	if dir == "" {
		return usageError{"init: --dir is missing (see `sekishod init --help`)"}
	}
	if err := cfg.check(); err != nil {
		return usageError{"init: " + err.Error()}
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	made, admin, err := initialise(ctx, dir, cfg, nil, time.Now(), logger)
	if err != nil {
		return err
	}
	configPath := filepath.Join(dir, configName)
	fmt.Fprintf(stdout, `Made a deployment in region %s, account %s.

The administrator %q. These are shown now and never again:
  Access key id:      %s
  Secret access key:  %s
  Console password:   %s

Keep a copy of %s apart from the database: without it, stored secrets cannot be opened.
Nodes and clients need the CA's certificate, %s.

Nodes join with the role %s, which is made as well.

Next: sekishod serve --config %s
`, made.Region, made.Account, adminName, admin.AccessKeyID, admin.SecretAccessKey, admin.Password,
		filepath.Join(dir, masterKeyFile), filepath.Join(dir, caCertFile), serviceRole, configPath)
	return nil
}

// initialise makes a deployment in dir by cfg, whose data directory is "." (dir). The
// configuration file is written last: until it exists the work counts as not done,
// and a call after a crash finishes it, with new secrets for the administrator. keep,
// if not nil, is given these secrets before that.
func initialise(ctx context.Context, dir string, cfg config, keep func(administrator) error, now time.Time, logger *slog.Logger) (config, administrator, error) {
	fail := func(err error) (config, administrator, error) {
		return config{}, administrator{}, fmt.Errorf("init in %s: %w", dir, err)
	}
	configPath := filepath.Join(dir, configName)
	if exists(configPath) {
		return fail(fmt.Errorf("%s exists: this directory holds a deployment already, and init would replace its keys. Run `sekishod serve --config %s`, or choose another directory", configName, configPath))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	masterKey, newKey, err := openMasterKey(dir)
	if err != nil {
		return fail(err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fail(err)
	}
	resolved := cfg
	resolved.resolve(absolute)
	db, err := store.Open(ctx, store.Config{DSN: resolved.Database.DSN, MasterKey: masterKey, Logger: logger})
	if errors.Is(err, store.ErrWrongMasterKey) && newKey {
		os.Remove(filepath.Join(dir, masterKeyFile))
		return fail(errors.New("the database belongs to another deployment. To add a server to that one, copy its sekishod.yaml, master.key, ca.pem and ca.key here instead of running init"))
	}
	if err != nil {
		return fail(err)
	}
	defer db.Close()

	if cfg.Account == "" {
		cfg.Account = newAccount()
	}
	deployment, err := openDeployment(ctx, db, store.Deployment{AccountID: cfg.Account, Region: cfg.Region, CreatedAt: now})
	if err != nil {
		return fail(err)
	}
	cfg.Account, cfg.Region = deployment.AccountID, deployment.Region
	resolved.Account, resolved.Region = cfg.Account, cfg.Region

	ca, err := openAuthority(absolute, now)
	if err != nil {
		return fail(err)
	}
	if _, _, err := ca.serverCertificate(resolved.certNames(), now); err != nil {
		return fail(err)
	}
	if _, err := openAgentsKey(filepath.Join(absolute, agentsKeyFile)); err != nil {
		return fail(err)
	}
	if err := ensureServiceRole(ctx, db, now); err != nil {
		return fail(err)
	}
	admin, err := grantAdministrator(ctx, db, adminName, now)
	if err != nil {
		return fail(err)
	}
	if keep != nil {
		if err := keep(admin); err != nil {
			return fail(err)
		}
	}
	var text strings.Builder
	if err := cfg.describe(&text); err != nil {
		return fail(err)
	}
	if err := writeFile(configPath, []byte(text.String()), 0o600); err != nil {
		return fail(err)
	}
	return resolved, admin, nil
}

// openMasterKey reads the master key of dir or makes one. made tells which.
func openMasterKey(dir string) (key []byte, made bool, err error) {
	key, err = readMasterKey(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return key, false, err
	}
	key = make([]byte, store.MasterKeySize)
	rand.Read(key)
	text := base64.StdEncoding.EncodeToString(key) + "\n"
	return key, true, writeFile(filepath.Join(dir, masterKeyFile), []byte(text), 0o600)
}

// readMasterKey reads the master key, 32 bytes in base64. It refuses one that others
// on the machine may read.
func readMasterKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, masterKeyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key: others than its owner may read %s: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != store.MasterKeySize {
		return nil, fmt.Errorf("master key: %s is not %d bytes in base64", path, store.MasterKeySize)
	}
	return key, nil
}

// openDeployment records the deployment, or returns the one that an interrupted init
// recorded; an account that was then made at random is kept.
func openDeployment(ctx context.Context, db *store.Store, wanted store.Deployment) (store.Deployment, error) {
	err := db.CreateDeployment(ctx, wanted)
	if err == nil {
		return wanted, nil
	}
	if !errors.Is(err, store.ErrExists) {
		return store.Deployment{}, err
	}
	return db.Deployment(ctx)
}
