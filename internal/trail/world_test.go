package trail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/control"
	"sekisho/internal/fabric"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
	"sekisho/internal/trail"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

// world is a server with a trail: alice may do everything, bob nothing.
type world struct {
	t       *testing.T
	store   *store.Store
	auth    *auth.Auth
	trail   *trail.Recorder
	control *control.Server
	http    *httptest.Server
	log     safeBuffer
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: storetest.Open(t)}
	must(t, w.store.CreateDeployment(t.Context(), store.Deployment{AccountID: arns.Account, Region: arns.Region, CreatedAt: time.Now()}))
	for name, id := range map[string]string{"alice": "AIDAAAAAAAAAAAAAAAAAA", "bob": "AIDABBBBBBBBBBBBBBBBB"} {
		u := store.User{ID: id, Name: name, Path: "/", CreatedAt: time.Now()}
		must(t, w.store.CreateUser(t.Context(), u))
		must(t, w.store.CreateAccessKey(t.Context(), store.AccessKey{ID: keyOf(name), UserID: id, Secret: "secret of " + store.Secret(name), Active: true, CreatedAt: u.CreatedAt}))
	}
	must(t, w.store.AttachPolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "alice"}, "arn:aws:iam::aws:policy/AdministratorAccess", 10))
	must(t, w.store.CreateRole(t.Context(), store.Role{ID: "AROANNNNNNNNNNNNNNNNN", Name: "Nodes", Path: "/", MaxSession: time.Hour, CreatedAt: time.Now(),
		TrustPolicy: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}}`}))
	nets, err := fabric.Open(fabric.Config{})
	must(t, err)
	t.Cleanup(nets.Close)
	a, err := auth.New(auth.Config{Store: w.store, ARNs: arns})
	must(t, err)
	w.auth = a
	w.trail, err = trail.New(trail.Config{Store: w.store, Auth: a, ARNs: arns, Logger: slog.New(slog.NewTextHandler(&w.log, nil))})
	must(t, err)
	t.Cleanup(func() { must(t, w.trail.Close(context.Background())) })
	w.control, err = control.New(control.Config{Store: w.store, Auth: a, Fabric: nets, ARNs: arns, PublicURL: "https://sekisho.test:8443",
		Event: w.trail.Event, Recorded: trail.Recorded})
	must(t, err)
	t.Cleanup(w.control.Close)
	api, err := awsapi.New(awsapi.Config{
		Operations: append(w.control.Operations(), w.trail.Operations()...), Authenticate: a.ForAPI, Observe: w.trail.Observe,
	})
	must(t, err)
	w.http = httptest.NewTLSServer(api)
	t.Cleanup(w.http.Close)
	return w
}

func keyOf(user string) string {
	return map[string]string{"alice": "AKIAAAAAAAAAAAAAAAAA", "bob": "AKIABBBBBBBBBBBBBBBB"}[user]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call makes a call as a user, or as nobody.
func (w *world) call(user, target string, in, out any) error {
	w.t.Helper()
	c := awsapi.Client{Endpoint: w.http.URL, HTTP: w.http.Client(), UserAgent: "test/1"}
	c.Sign = signer(user, "ssm")
	if target == "CloudTrail_20131101.LookupEvents" {
		c.Sign = signer(user, "cloudtrail")
	}
	return c.Call(w.t.Context(), target, in, out)
}

func signer(user, service string) func(r *httpRequest, body []byte) error {
	if user == "" {
		return nil
	}
	return func(r *httpRequest, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{AccessKeyID: keyOf(user), SecretAccessKey: "secret of " + user}, arns.Region, service, time.Now())
		return nil
	}
}

// events gives what is stored, newest first, with the records read.
func (w *world) events(f store.AuditFilter) ([]store.AuditEvent, []trail.Event) {
	w.t.Helper()
	list, _, err := w.store.AuditEvents(w.t.Context(), f, store.Page{Limit: 1000})
	must(w.t, err)
	records := make([]trail.Event, len(list))
	for i, e := range list {
		must(w.t, json.Unmarshal([]byte(e.Record), &records[i]))
	}
	return list, records
}

// recorded gives the one event of an operation.
func (w *world) recorded(name string) (store.AuditEvent, trail.Event) {
	w.t.Helper()
	list, records := w.events(store.AuditFilter{Names: []string{name}})
	if len(list) != 1 {
		w.t.Fatalf("%d events of %s, not one", len(list), name)
	}
	return list[0], records[0]
}
