package console

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
	"sekisho/internal/sts"
)

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// signInWorld is a console with a provider on loopback, whose tokens a test may spoil.
type signInWorld struct {
	t        *testing.T
	console  *Console
	provider *httptest.Server
	change   func(claims map[string]any) // what is wrong with the next token
	events   []string                    // outcome of each ConsoleLogin

	mu   sync.Mutex // guards code
	code map[string]url.Values
}

const oidcAccount = "123456789012"

func newSignInWorld(t *testing.T) *signInWorld {
	t.Helper()
	w := &signInWorld{t: t, code: map[string]url.Values{}, change: func(map[string]any) {}}
	w.provider = httptest.NewTLSServer(http.HandlerFunc(w.provide))
	t.Cleanup(w.provider.Close)
	s := storetest.Open(t)
	now := time.Now()
	arns := ssm.ARNs{Region: "local-1", Account: oidcAccount}
	ctx := t.Context()
	ok(t, s.CreateDeployment(ctx, store.Deployment{AccountID: arns.Account, Region: arns.Region, CreatedAt: now}))
	host := strings.TrimPrefix(w.provider.URL, "https://")
	arn := "arn:aws:iam::" + oidcAccount + ":oidc-provider/" + host
	ok(t, s.CreateOIDCProvider(ctx, store.OIDCProvider{ARN: arn, URL: w.provider.URL, ClientIDs: []string{"sekisho"}, CreatedAt: now}))
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + arn + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"` + host + `:sub":"alice"}}}}`
	ok(t, s.CreateRole(ctx, store.Role{ID: "AROAOPSOPSOPSOPSOPSOP", Name: "Ops", Path: "/", TrustPolicy: trust, MaxSession: time.Hour, CreatedAt: now}))
	a, err := auth.New(auth.Config{Store: s, ARNs: arns})
	ok(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(w.provider.Certificate())
	tokens, err := sts.New(sts.Config{Store: s, Auth: a, ARNs: arns, Roots: roots})
	ok(t, err)
	w.console, err = New(Config{Region: "local-1", Endpoint: "https://console.example", Auth: a, Operations: tokens.Operations(),
		Assets: fstest.MapFS{"index.html": {Data: []byte("<html></html>")}},
		Record: func(_ context.Context, action string, _, _ any, err error) {
			said := "Success"
			if e, ok := err.(*ssm.Error); ok {
				said = e.Code
			}
			w.events = append(w.events, action+" "+said)
		},
		OIDC: &OIDC{Name: "Example", Issuer: w.provider.URL, ClientID: "sekisho", ClientSecret: "hush", RoleClaim: "groups", NameClaim: "email",
			Roles:  []RoleRule{{"ops", "arn:aws:iam::" + oidcAccount + ":role/Ops"}},
			Client: tokens.ProviderClient}})
	ok(t, err)
	return w
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// provide is the provider's server. A code is good once, for the verifier it was made for.
func (w *signInWorld) provide(out http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		out.Header().Set("Content-Type", "application/json")
		json.NewEncoder(out).Encode(v)
	}
	base := "https://" + r.Host
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(map[string]any{"issuer": base, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token", "jwks_uri": base + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	case "/keys":
		answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signingKey().Public(), KeyID: "1", Use: "sig"}}})
	case "/token":
		w.mu.Lock()
		defer w.mu.Unlock()
		asked := w.code[r.FormValue("code")]
		delete(w.code, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		_, secret, _ := r.BasicAuth()
		if asked == nil || secret != "hush" || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
			out.WriteHeader(http.StatusBadRequest)
			answer(map[string]string{"error": "invalid_grant"})
			return
		}
		now := time.Now().Unix()
		claims := map[string]any{"iss": base, "sub": "alice", "aud": "sekisho", "iat": now, "exp": now + 300, "nonce": asked.Get("nonce"),
			"email": "alice@example.com", "email_verified": true, "groups": []string{"staff", "ops"}}
		w.change(claims)
		signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: signingKey(), KeyID: "1"}}, nil)
		text, _ := json.Marshal(claims)
		signed, _ := signer.Sign(text)
		token, _ := signed.CompactSerialize()
		answer(map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 300, "id_token": token})
	default:
		http.NotFound(out, r)
	}
}

// get is a request of a browser with cookies.
func (w *signInWorld) get(path string, cookies ...*http.Cookie) *http.Response {
	w.t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "console.example"
	for _, c := range cookies {
		r.AddCookie(c)
	}
	out := httptest.NewRecorder()
	w.console.ServeHTTP(out, r)
	return out.Result()
}

// start begins to sign in and gives what the browser keeps and what the provider is asked.
func (w *signInWorld) start() (*http.Cookie, url.Values) {
	w.t.Helper()
	out := w.get("/console/oidc/start")
	target, err := url.Parse(out.Header.Get("Location"))
	if err != nil || out.StatusCode != http.StatusSeeOther || target.Path != "/authorize" || len(out.Cookies()) != 1 {
		w.t.Fatalf("start: %d to %q", out.StatusCode, out.Header.Get("Location"))
	}
	c := out.Cookies()[0]
	if c.Name != oidcCookie || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		w.t.Errorf("the cookie is %v", c)
	}
	asked := target.Query()
	if asked.Get("code_challenge_method") != "S256" || asked.Get("redirect_uri") != "https://console.example/console/oidc/callback" {
		w.t.Errorf("asked is %v", asked)
	}
	return c, asked
}

func (w *signInWorld) grant(asked url.Values) string {
	code := rand.Text()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code[code] = asked
	return code
}

func (w *signInWorld) wantFailure(out *http.Response, code string) {
	w.t.Helper()
	if got := out.Header.Get("Location"); got != "/#/sign-in/"+code {
		w.t.Errorf("led to %q, want the code %s", got, code)
	}
	for _, c := range out.Cookies() {
		if c.Name == cookieName {
			w.t.Error("somebody is signed in")
		}
	}
	if n := len(w.events); n == 0 || w.events[n-1] != "signin:ConsoleLogin "+code {
		w.t.Errorf("the trail has %q", w.events)
	}
}

func callback(code, state string) string {
	return "/console/oidc/callback?" + url.Values{"code": {code}, "state": {state}}.Encode()
}

func TestSignInByProvider(t *testing.T) {
	w := newSignInWorld(t)
	cookie, asked := w.start()
	code := w.grant(asked)
	out := w.get(callback(code, asked.Get("state")), cookie)
	var token string
	for _, c := range out.Cookies() {
		if c.Name == cookieName {
			token = c.Value
		}
	}
	if out.Header.Get("Location") != "/" || token == "" {
		t.Fatalf("led to %q, trail %q", out.Header.Get("Location"), w.events)
	}
	s, err := w.console.cfg.Auth.Console(t.Context(), token)
	ok(t, err)
	if want := "arn:aws:sts::" + oidcAccount + ":assumed-role/Ops/alice@example.com"; s.Principal.ARN != want || !s.Federated || !s.Principal.ViaConsole {
		t.Errorf("signed in as %s, want %s", s.Principal.ARN, want)
	}
	if shown := w.console.session(s); shown.UserName != "alice@example.com" || shown.Role != "Ops" {
		t.Errorf("the page shows %+v", shown)
	}
	// The same answer again, by somebody who kept the cookie.
	w.wantFailure(w.get(callback(code, asked.Get("state")), cookie), codeOIDCToken)
	ok(t, w.console.cfg.Auth.SignOut(t.Context(), token, true))
	if _, err := w.console.cfg.Auth.Console(t.Context(), token); !ssm.IsCode(err, auth.CodeSignedOut) {
		t.Errorf("after signing out everywhere: %v", err)
	}
}

func TestSignInByProviderIsRefused(t *testing.T) {
	w := newSignInWorld(t)
	for _, test := range []struct {
		name   string
		change func(map[string]any)
		code   string
	}{
		{"wrong nonce", func(c map[string]any) { c["nonce"] = "another" }, codeOIDCToken},
		{"wrong audience", func(c map[string]any) { c["aud"] = "another" }, codeOIDCToken},
		{"wrong issuer", func(c map[string]any) { c["iss"] = "https://another.example" }, codeOIDCToken},
		{"expired", func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, codeOIDCToken},
		{"no role", func(c map[string]any) { c["groups"] = "staff" }, codeOIDCNoRole},
		{"role that does not exist", func(c map[string]any) { c["groups"] = "arn:aws:iam::" + oidcAccount + ":role/None" }, codeOIDCDenied},
		{"trust policy", func(c map[string]any) { c["sub"] = "mallory" }, codeOIDCDenied},
		{"unverified name", func(c map[string]any) { c["email_verified"] = false }, codeOIDCNoName},
		{"name of another form", func(c map[string]any) { c["email"] = "<img src=x>" }, codeOIDCNoName},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.t, w.change = t, test.change
			cookie, asked := w.start()
			w.wantFailure(w.get(callback(w.grant(asked), asked.Get("state")), cookie), test.code)
		})
	}
	w.t, w.change = t, func(map[string]any) {}

	// What another browser, or nobody, asked for.
	cookie, asked := w.start()
	other, _ := w.start()
	w.wantFailure(w.get(callback(w.grant(asked), "wrong"), cookie), codeOIDCExpired)
	w.wantFailure(w.get(callback(w.grant(asked), asked.Get("state")), other), codeOIDCExpired)
	w.wantFailure(w.get(callback(w.grant(asked), asked.Get("state"))), codeOIDCExpired)
	w.wantFailure(w.get(callback(w.grant(asked), asked.Get("state")), &http.Cookie{Name: oidcCookie, Value: "x"}), codeOIDCExpired)
	// A stolen code does not go with the thief's verifier.
	thief, his := w.start()
	w.wantFailure(w.get(callback(w.grant(asked), his.Get("state")), thief), codeOIDCToken)
	// The person was long away, or said no.
	old, _ := parseAsked(cookie.Value)
	old.at = old.at.Add(-oidcPatience)
	w.wantFailure(w.get(callback(w.grant(asked), asked.Get("state")), &http.Cookie{Name: oidcCookie, Value: old.String()}), codeOIDCExpired)
	w.wantFailure(w.get("/console/oidc/callback?error=access_denied&state="+asked.Get("state"), cookie), codeOIDCCanceled)

	w.provider.Close()
	w.wantFailure(w.get(callback(w.grant(asked), asked.Get("state")), cookie), codeOIDCProvider)
	w.console.federation.asked = time.Time{}
	w.wantFailure(w.get("/console/oidc/start"), codeOIDCProvider)
}

func TestSignInStartsAtThePublicAddress(t *testing.T) {
	w := newSignInWorld(t)
	r := httptest.NewRequest("GET", "/console/oidc/start", nil)
	r.Host = "127.0.0.1:8443"
	out := httptest.NewRecorder()
	w.console.ServeHTTP(out, r)
	if got := out.Header().Get("Location"); got != "https://console.example/console/oidc/start" {
		t.Errorf("led to %q", got)
	}
}
