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
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	adminName = "admin"
	// serviceRole is the role that init makes for nodes; the service's own guide for
	// hybrid nodes gives it this name.
	serviceRole = "SSMServiceRole"

	administratorAccess = "arn:aws:iam::aws:policy/AdministratorAccess"
	nodeCore            = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"

	// maxAttached is how many managed policies an entity may have (api.md §18.1).
	maxAttached = 10
	// maxAccessKeys is how many access keys a user may have.
	maxAccessKeys = 2
)

// trustsNodes is the trust policy of a node's role.
const trustsNodes = `{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Principal": {"Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}`

// administrator is what an administrator signs in with.
type administrator struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	Password        string `json:"password"`
}

// ensureServiceRole makes the role for nodes, unless it is there.
func ensureServiceRole(ctx context.Context, db *store.Store, now time.Time) error {
	err := db.CreateRole(ctx, store.Role{
		ID: newID("AROA", 17), Name: serviceRole, Path: "/", TrustPolicy: trustsNodes, MaxSession: time.Hour,
		Description: "Managed nodes outside AWS: what their agents may do.", CreatedAt: now,
	})
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if err == nil {
		err = db.AttachPolicy(ctx, store.Entity{Type: store.EntityRole, Name: serviceRole}, nodeCore, maxAttached)
	}
	if err != nil {
		return fmt.Errorf("make the role of nodes: %w", err)
	}
	return nil
}

// grantAdministrator makes sure that the user is there and may do everything, and gives
// it a new password and access key. When the user has as many keys as it may, the
// oldest one goes.
func grantAdministrator(ctx context.Context, db *store.Store, name string, now time.Time) (administrator, error) {
	fail := func(err error) (administrator, error) {
		return administrator{}, fmt.Errorf("make the administrator: %w", err)
	}
	admin := administrator{
		AccessKeyID:     newID("AKIA", 16),
		SecretAccessKey: newSecret(),
		Password:        newPassword(),
	}
	user, err := db.UserByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		user = store.User{ID: newID("AIDA", 17), Name: name, Path: "/", CreatedAt: now}
		err = db.CreateUser(ctx, user)
	}
	if err != nil {
		return fail(err)
	}
	entity := store.Entity{Type: store.EntityUser, Name: name}
	if err := db.AttachPolicy(ctx, entity, administratorAccess, maxAttached); err != nil {
		return fail(err)
	}
	if err := db.SetLoginProfile(ctx, name, auth.HashPassword(admin.Password), false, now); err != nil {
		return fail(err)
	}
	keys, err := db.AccessKeys(ctx, name)
	if err != nil {
		return fail(err)
	}
	for len(keys) >= maxAccessKeys {
		oldest := 0
		for i, k := range keys {
			if k.CreatedAt.Before(keys[oldest].CreatedAt) {
				oldest = i
			}
		}
		if err := db.DeleteAccessKey(ctx, keys[oldest].ID); err != nil {
			return fail(err)
		}
		keys = append(keys[:oldest], keys[oldest+1:]...)
	}
	err = db.CreateAccessKey(ctx, store.AccessKey{
		ID: admin.AccessKeyID, UserID: user.ID, Secret: store.Secret(admin.SecretAccessKey), Active: true, CreatedAt: now,
	})
	if err != nil {
		return fail(err)
	}
	return admin, nil
}

// runRecover gives an administrator back to those who can read the server's files.
func runRecover(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	var path, name string
	var flags flag.FlagSet
	flags.StringVar(&path, "config", "", "configuration `FILE`")
	flags.StringVar(&name, "user", adminName, "`NAME` of the user; made if there is none")
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	if path == "" {
		return usageError{"recover: --config is missing (see `sekishod recover --help`)"}
	}
	if !userForm.MatchString(name) {
		return usageError{fmt.Sprintf("recover: %q is no user name", name)}
	}
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := openStore(ctx, cfg, logger)
	if err != nil {
		return err
	}
	defer db.Close()
	deployment, err := db.Deployment(ctx)
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	now := time.Now()
	admin, err := grantAdministrator(ctx, db, name, now)
	if err != nil {
		return err
	}
	// What was done past the API belongs into the audit trail all the same.
	err = db.AppendAudit(ctx, store.AuditEvent{
		At: now, Action: "sekisho:RecoverAdministrator", UserAgent: "sekishod recover",
		Resources: []string{"arn:aws:iam::" + deployment.AccountID + ":user/" + name},
		RequestID: ssm.NewUUID(),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `The user %q is an administrator. These are shown now and never again:
  Access key id:      %s
  Secret access key:  %s
  Console password:   %s

A running server knows them at once.
`, name, admin.AccessKeyID, admin.SecretAccessKey, admin.Password)
	return nil
}

// idAlphabet has 32 characters, so that a random byte masked to five bits picks one
// without bias; ids of the service are upper-case letters and digits (api.md §3).
const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// passwordAlphabet leaves look-alikes out: people type it.
const passwordAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

func newID(prefix string, n int) string { return prefix + randomText(idAlphabet, n) }

// newSecret is 30 random bytes in base64: 40 characters, as the service's secrets.
func newSecret() string {
	var b [30]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// newPassword has 100 random bits.
func newPassword() string { return randomText(passwordAlphabet, 20) }

func newAccount() string {
	// The first digit is not 0: tools that take the account for a number lose it.
	return randomDigits("123456789", 1) + randomDigits("0123456789", 11)
}

// randomText picks n characters of an alphabet of 32.
func randomText(alphabet string, n int) string {
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

// randomDigits picks n of the given digits.
func randomDigits(digits string, n int) string {
	limit := 256 - 256%len(digits) // bytes from here on would favour the first digits
	var text []byte
	for len(text) < n {
		var b [1]byte
		rand.Read(b[:])
		if int(b[0]) < limit {
			text = append(text, digits[int(b[0])%len(digits)])
		}
	}
	return string(text)
}
