package sts

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

// start is the time of all when a world begins.
var start = time.Date(2026, time.January, 31, 8, 9, 10, 0, time.UTC)

// world is the service on a real store and with real auth, served over HTTP. Its users
// are alice, who may assume any role, and bob, who has no policies.
type world struct {
	t      *testing.T
	store  *store.Store
	auth   *auth.Auth
	server *Server
	http   *httptest.Server
	ahead  atomic.Int64 // how far all clocks are past start, in nanoseconds
	log    logged
	hidden []string // what must be in no log and no refusal
}

var (
	alice = sigv4.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "the secret of alice"}
	bob   = sigv4.Credentials{AccessKeyID: "AKIABBBBBBBBBBBBBBBB", SecretAccessKey: "the secret of bob"}
)

const (
	aliceARN = "arn:aws:iam::123456789012:user/alice"
	bobARN   = "arn:aws:iam::123456789012:user/bob"
)

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, store: storetest.Open(t)}
	logger := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	must(t, w.store.CreateDeployment(t.Context(), store.Deployment{AccountID: arns.Account, Region: arns.Region, CreatedAt: start}))
	var err error
	w.auth, err = auth.New(auth.Config{Store: w.store, ARNs: arns, Now: w.now, Logger: logger})
	must(t, err)
	cfg := Config{Store: w.store, Auth: w.auth, ARNs: arns, Now: w.now, Logger: logger}
	for _, f := range change {
		f(&cfg)
	}
	w.server, err = New(cfg)
	must(t, err)
	api, err := awsapi.New(awsapi.Config{Operations: w.server.Operations(), Authenticate: w.auth.ForAPI, Logger: logger})
	must(t, err)
	w.http = httptest.NewServer(api)
	t.Cleanup(func() {
		w.http.Close()
		for _, text := range w.hidden {
			if strings.Contains(w.log.String(), text) {
				t.Errorf("the log has the secret %q", text)
			}
		}
	})
	w.addUser("alice", alice)
	w.addUser("bob", bob)
	w.allow(user("alice"), `{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}`)
	return w
}

func (w *world) now() time.Time { return start.Add(time.Duration(w.ahead.Load())) }

func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

func user(name string) store.Entity { return store.Entity{Type: store.EntityUser, Name: name} }
func role(name string) store.Entity { return store.Entity{Type: store.EntityRole, Name: name} }

func (w *world) addUser(name string, key sigv4.Credentials) {
	w.t.Helper()
	u := store.User{ID: "AIDA" + strings.Repeat(strings.ToUpper(name[:1]), 17), Name: name, Path: "/", CreatedAt: start}
	must(w.t, w.store.CreateUser(w.t.Context(), u))
	must(w.t, w.store.CreateAccessKey(w.t.Context(), store.AccessKey{
		ID: key.AccessKeyID, UserID: u.ID, Secret: store.Secret(key.SecretAccessKey), Active: true, CreatedAt: start,
	}))
	w.hidden = append(w.hidden, key.SecretAccessKey)
}

// allow gives an entity an inline policy of one statement.
func (w *world) allow(e store.Entity, statement string) {
	w.t.Helper()
	document := `{"Version":"2012-10-17","Statement":` + statement + `}`
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), e, fmt.Sprintf("p%x", len(statement)), document, len(document), 10240))
}

// trusting is a trust policy of one statement for a caller by its ARN.
func trusting(arn string, condition ...string) string {
	return trust(`"Principal":{"AWS":"`+arn+`"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, condition...)
}

func trust(rest string, condition ...string) string {
	for _, c := range condition {
		rest += `,"Condition":` + c
	}
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + rest + `}}`
}

// addRole makes a role; change may alter it before.
func (w *world) addRole(name, trustPolicy string, change ...func(*store.Role)) {
	w.t.Helper()
	r := store.Role{ID: roleID(name), Name: name, Path: "/", TrustPolicy: trustPolicy, MaxSession: time.Hour, CreatedAt: start}
	for _, f := range change {
		f(&r)
	}
	must(w.t, w.store.CreateRole(w.t.Context(), r))
}

func roleID(name string) string {
	return "AROA" + strings.ToUpper(name + strings.Repeat("X", 17))[:17]
}

// device gives a user an MFA device and tells its serial number and its seed.
func (w *world) device(name string) (serial, seed string) {
	w.t.Helper()
	serial, seed = "arn:aws:iam::123456789012:mfa/"+name, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	must(w.t, w.store.CreateMFADevice(w.t.Context(), store.MFADevice{Serial: serial, Name: name, Seed: store.Secret(seed), CreatedAt: start}))
	must(w.t, w.store.EnableMFADevice(w.t.Context(), serial, name, start, 0))
	w.hidden = append(w.hidden, seed)
	return serial, seed
}

// code is what a device shows now.
func (w *world) code(seed string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(seed, w.now())
	must(w.t, err)
	return code
}

// answer is what came over HTTP.
type answer struct {
	status int
	body   string
}

// call signs a request and sends it; credentials without a key id mean unsigned.
func (w *world) call(c sigv4.Credentials, form string) answer {
	w.t.Helper()
	body := form + "&Version=2011-06-15"
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.http.URL, strings.NewReader(body))
	must(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if c.AccessKeyID != "" {
		sigv4.Sign(r, sigv4.Hash([]byte(body)), c, "us-east-1", "sts", w.now())
	}
	response, err := w.http.Client().Do(r)
	must(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(w.t, err)
	a := answer{response.StatusCode, string(text)}
	if a.status != http.StatusOK {
		for _, hidden := range w.hidden {
			if strings.Contains(a.body, hidden) {
				w.t.Errorf("a refusal tells the secret %q: %s", hidden, a.body)
			}
		}
	}
	for _, element := range []string{"SecretAccessKey", "SessionToken"} {
		if text := a.get(element); text != "" {
			w.hidden = append(w.hidden, text)
		}
	}
	return a
}

// get gives the text of the first element of that name, or "".
func (a answer) get(element string) string {
	m := regexp.MustCompile(`<` + element + `>([^<]*)</` + element + `>`).FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(m[1])
}

// credentials gives those in an answer, which must have some.
func (w *world) credentials(a answer) sigv4.Credentials {
	w.t.Helper()
	if a.status != http.StatusOK || a.get("SessionToken") == "" {
		w.t.Fatalf("no credentials: %s", a)
	}
	return sigv4.Credentials{AccessKeyID: a.get("AccessKeyId"), SecretAccessKey: a.get("SecretAccessKey"), SessionToken: a.get("SessionToken")}
}

// String is "200", or status, code and text of an error.
func (a answer) String() string {
	if a.status == http.StatusOK {
		return "200"
	}
	return fmt.Sprintf("%d %s: %s", a.status, a.get("Code"), a.get("Message"))
}

// who tells whom credentials are taken for.
func (w *world) who(c sigv4.Credentials) string {
	w.t.Helper()
	a := w.call(c, "Action=GetCallerIdentity")
	if a.status != http.StatusOK {
		return a.String()
	}
	return a.get("Arn")
}

// may says whether credentials may do the one thing here that needs a permission and
// nothing else.
func (w *world) may(c sigv4.Credentials) bool {
	w.t.Helper()
	a := w.call(c, "Action=DecodeAuthorizationMessage&EncodedMessage=x")
	switch a.get("Code") {
	case "InvalidAuthorizationMessageException":
		return true
	case "AccessDenied":
		return false
	}
	w.t.Fatalf("DecodeAuthorizationMessage: %s", a)
	return false
}

const decode = `{"Effect":"Allow","Action":"sts:DecodeAuthorizationMessage","Resource":"*"}`

// form makes a request of an action and names and values in turn.
func form(action string, parameters ...string) string {
	var b strings.Builder
	b.WriteString("Action=" + action)
	for i := 0; i < len(parameters); i += 2 {
		b.WriteString("&" + parameters[i] + "=" + url.QueryEscape(parameters[i+1]))
	}
	return b.String()
}

// assume is a request to assume a role of the account.
func assume(name string, parameters ...string) string {
	return form("AssumeRole", append([]string{"RoleArn", "arn:aws:iam::123456789012:role/" + name, "RoleSessionName", "work"}, parameters...)...)
}

func refused(arn, action, resource string) string {
	return "403 AccessDenied: User: " + arn + " is not authorized to perform: " + action + " on resource: " + resource
}

func wantAnswer(t *testing.T, what string, a answer, want string) {
	t.Helper()
	if diff := cmp.Diff(want, a.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// as gives a context in which p is the caller, for callers that have no keys.
func (w *world) as(p auth.Principal) context.Context { return auth.WithPrincipal(w.t.Context(), p) }

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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
