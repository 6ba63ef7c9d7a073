package iam_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/iam"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

const administratorAccess = "arn:aws:iam::aws:policy/AdministratorAccess"

// start is the time of the service when a world begins.
var start = time.Date(2026, time.January, 31, 8, 9, 10, 0, time.UTC)

// world is the service on a real store and with real auth, served over HTTP, with the
// users admin, who may do everything, and nobody, who may do nothing.
type world struct {
	t      *testing.T
	file   string // of the database
	store  *store.Store
	auth   *auth.Auth
	server *iam.Server
	http   *httptest.Server
	log    logged
	ahead  atomic.Int64 // how far the service's clock is past start, in nanoseconds
	secret map[string]credential
}

type credential struct{ id, secret string }

func newWorld(t *testing.T) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.db")
	w := newWorldOn(t, "sqlite:"+file)
	w.file = file
	return w
}

// newWorldOn is newWorld on another database.
func newWorldOn(t *testing.T, dsn string) *world {
	t.Helper()
	w := &world{t: t, secret: make(map[string]credential)}
	logger := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.store, err = store.Open(t.Context(), store.Config{
		DSN: dsn, MasterKey: bytes.Repeat([]byte{7}, store.MasterKeySize), Logger: logger,
	})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	must(t, w.store.CreateDeployment(t.Context(), store.Deployment{AccountID: arns.Account, Region: arns.Region, CreatedAt: start}))
	w.auth, err = auth.New(auth.Config{Store: w.store, ARNs: arns, Logger: logger})
	must(t, err)
	w.server, err = iam.New(iam.Config{Store: w.store, Auth: w.auth, ARNs: arns, Now: w.now, Logger: logger})
	must(t, err)
	api, err := awsapi.New(awsapi.Config{Operations: w.server.Operations(), Authenticate: w.auth.ForAPI, Logger: logger})
	must(t, err)
	w.http = httptest.NewServer(api)
	t.Cleanup(w.http.Close)

	w.addUser("admin")
	w.addUser("nobody")
	must(t, w.store.AttachPolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "admin"}, administratorAccess, 10))
	return w
}

func (w *world) now() time.Time { return start.Add(time.Duration(w.ahead.Load())) }

// addUser makes a user with a key, past the service.
func (w *world) addUser(name string) {
	w.t.Helper()
	letter := strings.ToUpper(name[:1])
	u := store.User{ID: "AIDA" + strings.Repeat(letter, 17), Name: name, Path: "/", CreatedAt: start}
	must(w.t, w.store.CreateUser(w.t.Context(), u))
	w.secret[name] = credential{"AKIA" + strings.Repeat(letter, 16), name + "'s secret"}
	must(w.t, w.store.CreateAccessKey(w.t.Context(), store.AccessKey{
		ID: w.secret[name].id, UserID: u.ID, Secret: store.Secret(w.secret[name].secret), Active: true, CreatedAt: start,
	}))
}

// allow gives a user an inline policy.
func (w *world) allow(name, policyName, document string) {
	w.t.Helper()
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), store.Entity{Type: store.EntityUser, Name: name}, policyName, document, len(document), 2048))
}

// allowGroup gives a group an inline policy.
func (w *world) allowGroup(name, policyName, document string) {
	w.t.Helper()
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), store.Entity{Type: store.EntityGroup, Name: name}, policyName, document, len(document), 5120))
}

// answer is what came over HTTP.
type answer struct {
	status int
	body   string
}

// call signs a request as a user and sends it. form is "Action=..." without the version.
func (w *world) call(user, form string) answer {
	w.t.Helper()
	body := form + "&Version=2010-05-08"
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.http.URL, strings.NewReader(body))
	must(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	c, ok := w.secret[user]
	if !ok {
		w.t.Fatalf("user %s has no key", user)
	}
	sigv4.Sign(r, sigv4.Hash([]byte(body)), sigv4.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret}, "us-east-1", "iam", time.Now())
	response, err := w.http.Client().Do(r)
	must(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(w.t, err)
	return answer{response.StatusCode, string(text)}
}

// get gives the text of the first element of that name, or "".
func (a answer) get(element string) string {
	m := regexp.MustCompile(`<` + element + `>([^<]*)</` + element + `>`).FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return m[1]
}

var (
	errorPattern  = regexp.MustCompile(`^<ErrorResponse xmlns="[^"]*"><Error><Type>\w+</Type><Code>(\w+)</Code><Message>(.*?)</Message></Error>`)
	resultPattern = regexp.MustCompile(`<\w+Result>(.*)</\w+Result><ResponseMetadata>`)
	uniqueID      = regexp.MustCompile(`<(\w+Id)>(A[A-Z]{3})[A-Z2-7]{16,17}</`)
)

// String is the status and the result or the error, in a form for comparing: without the
// request id, unique ids cut to their prefix.
func (a answer) String() string {
	if m := errorPattern.FindStringSubmatch(a.body); m != nil {
		text := strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(m[2])
		return fmt.Sprintf("%d %s: %s", a.status, m[1], text)
	}
	m := resultPattern.FindStringSubmatch(a.body)
	if m == nil {
		return fmt.Sprint(a.status)
	}
	return fmt.Sprintf("%d %s", a.status, uniqueID.ReplaceAllString(m[1], "<$1>$2</"))
}

// step is a call and its answer: "200 <result>", "200" without a result, or
// "404 Code: text".
type step struct{ user, form, want string }

// tell makes calls one after the other.
func (w *world) tell(steps []step) {
	w.t.Helper()
	for i, s := range steps {
		if diff := cmp.Diff(s.want, w.call(s.user, s.form).String()); diff != "" {
			w.t.Errorf("step %d, %s: %s (-want +got):\n%s", i+1, s.user, s.form, diff)
		}
	}
}

func denied(user, action, resource string) string {
	return fmt.Sprintf("403 AccessDenied: User: arn:aws:iam::123456789012:user/%s is not authorized to perform: %s on resource: %s"+
		" because no identity-based policy allows the %s action", user, action, resource, action)
}

// form makes a request of an action and names and values in turn.
func form(action string, parameters ...string) string {
	var b strings.Builder
	b.WriteString("Action=" + action)
	for i := 0; i < len(parameters); i += 2 {
		b.WriteString("&" + parameters[i] + "=" + url.QueryEscape(parameters[i+1]))
	}
	return b.String()
}

// logged collects what was logged.
type logged struct {
	mu   sync.Mutex // guards the following field
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
