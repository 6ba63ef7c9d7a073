package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

// world is an object service on a real store and directory, served over HTTPS, with the
// users alice, an administrator, and bob, who may do nothing until [world.allow] says so.
type world struct {
	t      *testing.T
	dir    string
	store  *store.Store
	server *Server
	http   *httptest.Server
	keys   *fakeKeys
	ahead  atomic.Int64 // how far the service's clock is ahead, in nanoseconds

	mu       sync.Mutex
	recorded []string // guarded by mu
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "objects"), store: storetest.Open(t), keys: &fakeKeys{}}
	a, err := auth.New(auth.Config{Store: w.store, ARNs: arns})
	must(t, err)
	w.server, err = New(Config{Store: w.store, Auth: a, ARNs: arns, Blobs: Dir(w.dir), Keys: w.keys, Domains: []string{"s3.local-1.example.test"},
		Record: w.record, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	must(t, err)
	w.http = httptest.NewUnstartedServer(w.server)
	w.http.EnableHTTP2 = true
	w.http.StartTLS()
	t.Cleanup(w.http.Close)
	for _, name := range []string{"alice", "bob"} {
		id := "AIDA" + strings.Repeat(strings.ToUpper(name[:1]), 17)
		must(t, w.store.CreateUser(t.Context(), store.User{ID: id, Name: name, CreatedAt: time.Now()}))
		cred := credentials(name)
		must(t, w.store.CreateAccessKey(t.Context(), store.AccessKey{
			ID: cred.AccessKeyID, UserID: id, Secret: store.Secret(cred.SecretAccessKey), Active: true, CreatedAt: time.Now()}))
	}
	must(t, w.store.AttachPolicy(t.Context(), user("alice"), "arn:aws:iam::aws:policy/AdministratorAccess", 10))
	return w
}

func (w *world) record(_ context.Context, action string, in, _ any, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := action + " " + in.(*Request).BucketName
	if e, ok := errors.AsType[*ssm.Error](err); ok {
		text += " " + e.Code
	}
	w.recorded = append(w.recorded, text)
}

func user(name string) store.Entity { return store.Entity{Type: store.EntityUser, Name: name} }

func credentials(user string) sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: "AKIA" + strings.Repeat(strings.ToUpper(user[:1]), 16), SecretAccessKey: user + "'s secret"}
}

// allow gives bob statements of an action and a resource each.
func (w *world) allow(pairs ...string) {
	w.t.Helper()
	var statements []string
	for i := 0; i < len(pairs); i += 2 {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, pairs[i], pairs[i+1]))
	}
	document := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), user("bob"), "test", document, len(document), 1<<20))
}

// request makes a request; change may change it before it is signed.
func (w *world) request(as, method, path string, body []byte, change ...func(*http.Request)) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+path, bytes.NewReader(body))
	must(w.t, err)
	r.Header.Set("x-amz-content-sha256", sigv4.Hash(body))
	for _, f := range change {
		f(r)
	}
	if as != "" {
		sigv4.Sign(r, r.Header.Get("x-amz-content-sha256"), credentials(as), arns.Region, "s3", time.Now())
	}
	return r
}

// send sends a request and gives the answer as "STATUS BODY".
func (w *world) send(r *http.Request) (string, http.Header) {
	w.t.Helper()
	answer, err := w.http.Client().Do(r)
	must(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(w.t, err)
	return fmt.Sprintf("%d %s", answer.StatusCode, text), answer.Header
}

// do calls as alice and wants an answer that begins so.
func (w *world) do(want, method, path string, body []byte, change ...func(*http.Request)) (string, http.Header) {
	w.t.Helper()
	got, h := w.send(w.request("alice", method, path, body, change...))
	if !strings.HasPrefix(got, want) {
		w.t.Errorf("%s %s: %.500s\nwant %s", method, path, got, want)
	}
	return got, h
}

// refused calls as alice and wants a status and a code.
func (w *world) refused(status, code, method, path string, body []byte, change ...func(*http.Request)) {
	w.t.Helper()
	got, _ := w.send(w.request("alice", method, path, body, change...))
	if !strings.HasPrefix(got, status) || !strings.Contains(got, "<Code>"+code+"</Code>") {
		w.t.Errorf("%s %s: %.500s\nwant %s %s", method, path, got, status, code)
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// files are the files of the bytes.
func (w *world) files() []string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.dir, "*", "*"))
	must(w.t, err)
	return names
}

// caFile is a file with the certificate of the server.
func (w *world) caFile() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "ca.pem")
	must(w.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.http.Certificate().Raw}), 0o600))
	return path
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeKeys wraps data keys by turning their bits around.
type fakeKeys struct{ disabled bool }

func (k *fakeKeys) NewDataKey(_ context.Context, keyID string, context map[string]string) (string, []byte, []byte, error) {
	plain := random(32)
	return "arn:aws:kms:" + strings.TrimPrefix(keyID, "arn:aws:kms:"), plain, append(flip(plain), context["aws:s3:arn"]...), nil
}

func (k *fakeKeys) OpenDataKey(_ context.Context, sealed []byte, context map[string]string) ([]byte, error) {
	if k.disabled {
		return nil, ssm.Errorf("DisabledException", "it is disabled.")
	}
	if string(sealed[32:]) != context["aws:s3:arn"] {
		return nil, errors.New("another context")
	}
	return flip(sealed[:32]), nil
}

func flip(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}
