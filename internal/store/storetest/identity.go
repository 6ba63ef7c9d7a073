package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/internal/store"
)

func deploymentIsMadeOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_, err := s.Deployment(ctx)
	wantErr(t, err, store.ErrNotFound)
	want := store.Deployment{AccountID: "012345678901", Region: "local-1", CreatedAt: t0}
	must(t, s.CreateDeployment(ctx, want))
	wantErr(t, s.CreateDeployment(ctx, store.Deployment{AccountID: "999999999999", Region: "r", CreatedAt: t0}), store.ErrExists)
	got, err := s.Deployment(ctx)
	must(t, err)
	equal(t, "deployment", got, want) // the account's leading zero is kept
}

func userNamesIgnoreCase(t *testing.T, s *store.Store) {
	ctx := t.Context()
	alice := store.User{ID: "AIDAALICE", Name: "Alice", Path: "/ops/", CreatedAt: t0}
	must(t, s.CreateUser(ctx, alice))
	wantErr(t, s.CreateUser(ctx, store.User{ID: "AIDAOTHER", Name: "aLICE", CreatedAt: t0}), store.ErrExists)
	wantErr(t, s.CreateUser(ctx, store.User{ID: "AIDAALICE", Name: "bob", CreatedAt: t0}), store.ErrExists)
	wantErr(t, s.CreateUser(ctx, store.User{ID: "AIDALONG", Name: strings.Repeat("x", 65), CreatedAt: t0}), store.ErrInvalid)
	must(t, s.CreateUser(ctx, store.User{ID: "AIDABOB", Name: "bob", CreatedAt: t0.Add(time.Microsecond)}))

	got, err := s.UserByName(ctx, "Alice")
	must(t, err)
	equal(t, "user", got, alice)
	got, err = s.UserByID(ctx, "AIDABOB")
	must(t, err)
	equal(t, "user", got, store.User{ID: "AIDABOB", Name: "bob", Path: "/", CreatedAt: t0})
	_, err = s.UserByID(ctx, "AIDAOTHER")
	wantErr(t, err, store.ErrNotFound)
	_, err = s.UserByName(ctx, "")
	wantErr(t, err, store.ErrNotFound)
}

func passwords(t *testing.T, s *store.Store) {
	ctx := t.Context()
	must(t, s.CreateUser(ctx, store.User{ID: "AIDAALICE", Name: "alice", CreatedAt: t0}))
	_, err := s.PasswordHash(ctx, "alice")
	wantErr(t, err, store.ErrNotFound)
	_, err = s.PasswordHash(ctx, "nobody")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.SetPassword(ctx, "nobody", "$argon2id$x"), store.ErrNotFound)
	must(t, s.SetPassword(ctx, "alice", "$argon2id$x"))
	hash, err := s.PasswordHash(ctx, "alice")
	must(t, err)
	equal(t, "hash", hash, "$argon2id$x")
	must(t, s.SetPassword(ctx, "alice", ""))
	_, err = s.PasswordHash(ctx, "alice")
	wantErr(t, err, store.ErrNotFound)
}

func accessKeys(t *testing.T, s *store.Store) {
	ctx := t.Context()
	must(t, s.CreateUser(ctx, store.User{ID: "AIDAALICE", Name: "alice", Path: "/ops/", CreatedAt: t0}))
	key := store.AccessKey{ID: "AKIAALICE", UserID: "AIDAALICE", Secret: "wJalrXUtnFEMI", Active: true, CreatedAt: t0}
	must(t, s.CreateAccessKey(ctx, key))
	wantErr(t, s.CreateAccessKey(ctx, key), store.ErrExists)
	wantErr(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIAX", UserID: "AIDANOBODY", Secret: "x", CreatedAt: t0}), store.ErrNotFound)

	got, err := s.AccessKey(ctx, "AKIAALICE")
	must(t, err)
	key.UserName, key.UserPath = "alice", "/ops/"
	equal(t, "access key", got, key)
	equal(t, "secret", got.Secret.Reveal(), "wJalrXUtnFEMI")

	must(t, s.SetAccessKeyActive(ctx, key.ID, false))
	got, err = s.AccessKey(ctx, key.ID)
	must(t, err)
	equal(t, "active", got.Active, false)
	must(t, s.DeleteAccessKey(ctx, key.ID))
	_, err = s.AccessKey(ctx, key.ID)
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.DeleteAccessKey(ctx, key.ID), store.ErrNotFound)
	wantErr(t, s.SetAccessKeyActive(ctx, key.ID, true), store.ErrNotFound)
}

func credential(id string, expires time.Time) store.TemporaryCredential {
	return store.TemporaryCredential{
		AccessKeyID: id, Secret: "s3cret-" + store.Secret(id), TokenHash: hash(id), Kind: store.CredentialRole,
		RoleName: "service-role/Nodes", SessionName: "alice", IssuedAt: t0, ExpiresAt: expires,
	}
}

func temporaryCredentials(t *testing.T, s *store.Store) {
	ctx := t.Context()
	early, late := credential("ASIAEARLY", t0.Add(time.Hour)), credential("ASIALATE", t0.Add(2*time.Hour))
	late.NodeID, late.Kind = node(t, s).ID, store.CredentialNode
	must(t, s.CreateTemporaryCredential(ctx, early))
	must(t, s.CreateTemporaryCredential(ctx, late))
	wantErr(t, s.CreateTemporaryCredential(ctx, early), store.ErrExists)
	wantErr(t, s.CreateTemporaryCredential(ctx, credential("ASIABACK", t0)), store.ErrInvalid)
	for _, want := range []store.TemporaryCredential{early, late} {
		got, err := s.TemporaryCredential(ctx, want.AccessKeyID)
		must(t, err)
		equal(t, "credential", got, want)
	}
	n, err := s.DeleteExpiredCredentials(ctx, t0.Add(time.Hour))
	must(t, err)
	equal(t, "deleted", n, int64(1))
	_, err = s.TemporaryCredential(ctx, early.AccessKeyID)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.TemporaryCredential(ctx, late.AccessKeyID)
	must(t, err)
}

func credentialsOfGoneNodeAreRefused(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := node(t, s)
	c := credential("ASIANODE", t0.Add(time.Hour))
	c.NodeID = n.ID
	must(t, s.CreateTemporaryCredential(ctx, c))
	must(t, s.DeregisterNode(ctx, n.ID, t0))
	_, err := s.TemporaryCredential(ctx, c.AccessKeyID)
	wantErr(t, err, store.ErrNotFound)
	c.AccessKeyID = "ASIAAGAIN"
	wantErr(t, s.CreateTemporaryCredential(ctx, c), store.ErrNotFound)
	c.NodeID = "mi-0ffffffffffffffff"
	wantErr(t, s.CreateTemporaryCredential(ctx, c), store.ErrNotFound)
}

// A credential that is made while its node is deregistered is refused or goes with it.
func credentialsDoNotSurviveTheirNode(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const rounds, callers = 15, 8
	for round := range rounds {
		n := node(t, s)
		ids := make([]string, callers)
		for _, err := range together(callers, func(i int) error {
			if i == callers/2 {
				return s.DeregisterNode(ctx, n.ID, t0)
			}
			c := credential(fmt.Sprintf("ASIA%d-%d", round, i), t0.Add(time.Hour))
			c.NodeID, ids[i] = n.ID, c.AccessKeyID
			if err := s.CreateTemporaryCredential(ctx, c); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}) {
			must(t, err)
		}
		for _, id := range ids {
			if id != "" {
				_, err := s.TemporaryCredential(ctx, id)
				wantErr(t, err, store.ErrNotFound)
			}
		}
	}
}
