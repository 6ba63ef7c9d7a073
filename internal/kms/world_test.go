package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

const (
	root      = "arn:aws:iam::123456789012:root"
	aliceARN  = "arn:aws:iam::123456789012:user/alice"
	bobARN    = "arn:aws:iam::123456789012:user/bob"
	keyPrefix = "arn:aws:kms:local-1:123456789012:key/"
)

// world is a key service on a real store, served over HTTP, with the users alice, an
// administrator, and bob, who may do nothing until [world.allow] says so.
type world struct {
	t      *testing.T
	store  *store.Store
	auth   *auth.Auth
	server *Server
	http   *httptest.Server
	ahead  atomic.Int64 // how far the service's clock is ahead, in nanoseconds

	mu   sync.Mutex
	told bytes.Buffer // guarded by mu: whatever was logged or observed
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: storetest.Open(t)}
	logger := slog.New(slog.NewJSONHandler(w, nil))
	var err error
	w.auth, err = auth.New(auth.Config{Store: w.store, ARNs: arns, Logger: logger})
	must(t, err)
	w.server, err = New(Config{Store: w.store, Auth: w.auth, ARNs: arns, Logger: logger,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	must(t, err)
	api, err := awsapi.New(awsapi.Config{Operations: w.server.Operations(), Authenticate: w.auth.ForAPI, Observe: w.observe, Logger: logger})
	must(t, err)
	w.http = httptest.NewServer(api)
	t.Cleanup(w.http.Close)
	for _, name := range []string{"alice", "bob"} {
		id := "AIDA" + strings.Repeat(strings.ToUpper(name[:1]), 17)
		must(t, w.store.CreateUser(t.Context(), store.User{ID: id, Name: name, CreatedAt: time.Now()}))
		must(t, w.store.CreateAccessKey(t.Context(), store.AccessKey{
			ID: credentials(name).AccessKeyID, UserID: id, Secret: store.Secret(credentials(name).SecretAccessKey), Active: true, CreatedAt: time.Now(),
		}))
	}
	must(t, w.store.AttachPolicy(t.Context(), user("alice"), "arn:aws:iam::aws:policy/AdministratorAccess", 10))
	return w
}

func user(name string) store.Entity { return store.Entity{Type: store.EntityUser, Name: name} }

func credentials(user string) sigv4.Credentials {
	return sigv4.Credentials{
		AccessKeyID: "AKIA" + strings.Repeat(strings.ToUpper(user[:1]), 16), SecretAccessKey: user + "'s secret",
	}
}

// allow gives bob statements.
func (w *world) allow(statements ...string) {
	w.t.Helper()
	document := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), user("bob"), "test", document, len(document), 1<<20))
}

func allowing(action, resource string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
}

// Write keeps what is logged.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told.Write(line)
}

// observe keeps an answer in each form in which an audit trail or a log may show it.
func (w *world) observe(ctx context.Context, r awsapi.Result) {
	asJSON, err := json.Marshal([]any{r.Input, r.Output, r.Code, r.Message})
	w.mu.Lock()
	fmt.Fprintf(&w.told, "%s %v\n%+v\n%#v\n%v %v\n", asJSON, err, r.Input, r.Output, r.Code, r.Message)
	w.mu.Unlock()
	slog.New(slog.NewTextHandler(w, nil)).InfoContext(ctx, "answer", "input", r.Input, "output", r.Output)
}

func (w *world) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told.String()
}

// try calls an operation as a user, over HTTP.
func (w *world) try(user, operation string, in, out any) error {
	return w.tryAs(credentials(user), operation, in, out)
}

func (w *world) tryAs(cred sigv4.Credentials, operation string, in, out any) error {
	c := awsapi.Client{Endpoint: w.http.URL, Sign: func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), cred, arns.Region, "kms", time.Now())
		return nil
	}}
	return c.Call(w.t.Context(), "TrentService."+operation, in, out)
}

// do calls an operation as alice, which must succeed.
func do[Out any](w *world, operation string, in any) Out {
	w.t.Helper()
	var out Out
	if err := w.try("alice", operation, in, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// key makes a key and gives its id.
func (w *world) key() string {
	w.t.Helper()
	return do[CreateKeyOutput](w, "CreateKey", &CreateKeyInput{Description: "sessions"}).KeyMetadata.KeyID
}

// encrypted encrypts a text under a key.
func (w *world) encrypted(id string, context map[string]string) []byte {
	w.t.Helper()
	return do[EncryptOutput](w, "Encrypt", &EncryptInput{KeyID: id, Plaintext: Plaintext("text"), EncryptionContext: context}).CiphertextBlob
}

func (w *world) forward(d time.Duration) { w.ahead.Add(int64(d)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[*ssm.Error](err)
	if !ok || e.Code != code || e.Message != message {
		t.Errorf("%s: error = %v\nwant %s: %s", what, err, code, message)
	}
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if !ssm.IsCode(err, code) {
		t.Errorf("%s: error = %v, want %s", what, err, code)
	}
}

func denied(who, action, resource, why string) string {
	return "User: " + who + " is not authorized to perform: kms:" + action + " on resource: " + resource + why
}

const (
	noIdentity = " because no identity-based policy allows the kms:"
	noResource = " because no resource-based policy allows the kms:"
)
