package sts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sekisho/internal/sigv4"
	"sekisho/internal/store"
)

// issuing is an OpenID Connect issuer on loopback, with a certificate of its own
// authority. A test replaces what it answers.
type issuing struct {
	t         *testing.T
	url       string
	authority *x509.Certificate
	leaf      *x509.Certificate
	asked     atomic.Int64 // how often it was asked for its keys
	mu        sync.Mutex   // guards the following
	describe  http.HandlerFunc
	keys      http.HandlerFunc
}

// Keys are made once: it takes a while.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return made1(rsa.GenerateKey(rand.Reader, 2048)) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return made1(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return made1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func made1[K any](key K, err error) K {
	if err != nil {
		panic(err)
	}
	return key
}

// certificates makes an authority and a certificate of it for a host.
func certificates(t *testing.T, host string, from, to time.Time) (authority *x509.Certificate, leaf tls.Certificate) {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1000 * time.Hour),
	}
	caDER := made1(x509.CreateCertificate(rand.Reader, ca, ca, ecKey().Public(), ecKey()))
	authority = made1(x509.ParseCertificate(caDER))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	key := made1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := made1(x509.CreateCertificate(rand.Reader, template, authority, key.Public(), ecKey()))
	return authority, tls.Certificate{Certificate: [][]byte{der, caDER}, PrivateKey: key, Leaf: made1(x509.ParseCertificate(der))}
}

// newIssuer starts an issuer with the keys "rsa" and "ec".
func newIssuer(t *testing.T) *issuing {
	t.Helper()
	authority, leaf := certificates(t, "127.0.0.1", start.Add(-time.Hour), start.Add(100*time.Hour))
	return newIssuerWith(t, authority, leaf)
}

func newIssuerWith(t *testing.T, authority *x509.Certificate, leaf tls.Certificate) *issuing {
	t.Helper()
	is := &issuing{t: t, authority: authority, leaf: leaf.Leaf}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is.mu.Lock()
		describe, keys := is.describe, is.keys
		is.mu.Unlock()
		switch r.URL.Path {
		case "/tenant/.well-known/openid-configuration":
			describe(w, r)
		case "/keys":
			is.asked.Add(1)
			keys(w, r)
		default:
			http.NotFound(w, r)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that refuse its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	is.url = server.URL + "/tenant"
	is.describe = answering(map[string]any{"issuer": is.url, "jwks_uri": server.URL + "/keys"})
	is.keys = answering(keySet(key("rsa", rsaKey().Public()), key("ec", ecKey().Public())))
	return is
}

func (is *issuing) change(f func()) {
	is.mu.Lock()
	defer is.mu.Unlock()
	f()
}

func answering(v any) http.HandlerFunc {
	body := made1(json.Marshal(v))
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }
}

func key(id string, k any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: k, KeyID: id, Use: "sig"}
}

func keySet(keys ...jose.JSONWebKey) jose.JSONWebKeySet { return jose.JSONWebKeySet{Keys: keys} }

// claims are those of a token that is good, for change to alter.
func (is *issuing) claims(w *world, change ...func(map[string]any)) map[string]any {
	c := map[string]any{
		"iss": is.url, "sub": "repo:org/app", "aud": "sekisho", "jti": rand.Text(),
		"iat": w.now().Unix(), "exp": w.now().Add(5 * time.Minute).Unix(),
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// sign makes a token.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, keyID string, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	must(t, err)
	signed, err := signer.Sign(made1(json.Marshal(claims)))
	must(t, err)
	return made1(signed.CompactSerialize())
}

func (is *issuing) token(w *world, change ...func(map[string]any)) string {
	is.t.Helper()
	return sign(is.t, jose.RS256, rsaKey(), "rsa", is.claims(w, change...))
}

// webWorld is a world with a provider for an issuer and the role ci, which trusts the
// subject repo:org/app of it.
func webWorld(t *testing.T, is *issuing) *world {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(is.authority)
	w := newWorld(t, func(c *Config) { c.Roots = roots })
	w.provide(is)
	return w
}

func (w *world) provide(is *issuing, thumbprints ...string) {
	w.t.Helper()
	host := strings.TrimPrefix(is.url, "https://")
	arn := "arn:aws:iam::123456789012:oidc-provider/" + host
	must(w.t, w.store.CreateOIDCProvider(w.t.Context(), store.OIDCProvider{
		ARN: arn, URL: is.url, ClientIDs: []string{"sekisho"}, Thumbprints: thumbprints, CreatedAt: start,
	}))
	w.addRole("ci", trust(`"Principal":{"Federated":"`+arn+`"},"Action":"sts:AssumeRoleWithWebIdentity"`,
		`{"StringEquals":{"`+host+`:aud":"sekisho"},"StringLike":{"`+host+`:sub":"repo:org/*"}}`))
	w.allow(role("ci"), decode)
}

// exchange asks for the credentials of a role for a token.
func (w *world) exchange(name, token string, more ...string) answer {
	w.t.Helper()
	if len(token) > 40 {
		w.hidden = append(w.hidden, token[len(token)-32:]) // the end of its signature
	}
	return w.call(sigv4.Credentials{}, form("AssumeRoleWithWebIdentity", append([]string{
		"RoleArn", "arn:aws:iam::123456789012:role/" + name, "RoleSessionName", "build", "WebIdentityToken", token}, more...)...))
}

const notAuthorized = "403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	a := w.exchange("ci", is.token(w))
	c := w.credentials(a)
	for element, want := range map[string]string{
		"SubjectFromWebIdentityToken": "repo:org/app", "Audience": "sekisho", "Provider": is.url,
		"AssumedRoleId": roleID("ci") + ":build", "Expiration": "2026-01-31T09:09:10Z",
	} {
		if got := a.get(element); got != want {
			t.Errorf("%s = %q, want %q", element, got, want)
		}
	}
	if got := w.who(c); got != "arn:aws:sts::123456789012:assumed-role/ci/build" || !w.may(c) {
		t.Errorf("the credentials are of %s", got)
	}
	for name, token := range map[string]string{
		"EC":               sign(t, jose.ES256, ecKey(), "ec", is.claims(w)),
		"no key id":        sign(t, jose.RS256, rsaKey(), "", is.claims(w)),
		"several audience": is.token(w, func(c map[string]any) { c["aud"] = []string{"other", "sekisho"} }),
	} {
		wantAnswer(t, name, w.exchange("ci", token), "200")
	}
	if n := is.asked.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	narrow := w.credentials(w.exchange("ci", is.token(w), "Policy", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`))
	if w.may(narrow) {
		t.Error("the session policy does not count")
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	is := newIssuer(t)
	other := newIssuer(t) // whose provider is not stored
	w := webWorld(t, is)
	with := func(name string, value any) string {
		return is.token(w, func(c map[string]any) {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		})
	}
	public := made1(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	good := is.token(w)
	part := strings.Split(good, ".")
	encoded := func(v any) string { return base64.RawURLEncoding.EncodeToString(made1(json.Marshal(v))) }
	const invalid, expired = "400 InvalidIdentityToken", "400 ExpiredTokenException"
	for _, c := range []struct{ name, token, want string }{
		{"no token", "nothing", invalid},
		{"alg none", encoded(map[string]string{"alg": "none", "kid": "rsa"}) + "." + part[1] + ".", invalid},
		{"alg None", encoded(map[string]string{"alg": "None", "kid": "rsa"}) + "." + part[1] + "." + part[2], invalid},
		{"HS256 with the public key", sign(t, jose.HS256, public, "rsa", is.claims(w)), invalid},
		{"HS256 with the modulus", sign(t, jose.HS256, rsaKey().N.Bytes(), "rsa", is.claims(w)), invalid},
		{"PS256", sign(t, jose.PS256, rsaKey(), "rsa", is.claims(w)), invalid},
		{"a foreign key under a known id", sign(t, jose.RS256, otherKey(), "rsa", is.claims(w)), invalid},
		{"a foreign key without id", sign(t, jose.RS256, otherKey(), "", is.claims(w)), invalid},
		{"an unknown key id", sign(t, jose.RS256, rsaKey(), "new", is.claims(w)), invalid},
		{"the wrong one of two keys", sign(t, jose.RS256, rsaKey(), "ec", is.claims(w)), invalid},
		{"a key in the token", embedded(t, is.claims(w)), invalid},
		{"other claims", part[0] + "." + encoded(is.claims(w)) + "." + part[2], invalid},
		{"no signature", part[0] + "." + part[1] + ".", invalid},
		{"four parts", good + ".x", invalid},
		{"JSON serialization", `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`, invalid},
		{"unknown issuer", other.token(w), invalid + ": No OpenIDConnect provider found in your account for " + other.url},
		{"issuer without https", with("iss", "http://127.0.0.1"), invalid},
		{"issuer that nearly is", with("iss", is.url+"/"), invalid},
		{"issuer in another case", with("iss", strings.Replace(is.url, "tenant", "Tenant", 1)), invalid},
		{"no issuer", with("iss", nil), invalid},
		{"wrong audience", with("aud", "other"), invalid + ": Incorrect token audience"},
		{"no audience", with("aud", nil), invalid + ": Missing a required claim: aud"},
		{"empty audience", with("aud", []string{}), invalid + ": Missing a required claim: aud"},
		{"expired", with("exp", w.now().Unix()), expired},
		{"expired long ago", with("exp", 1), expired},
		{"no end", with("exp", nil), invalid + ": Missing a required claim: exp"},
		{"end that is no number", with("exp", "never"), invalid},
		{"of tomorrow", with("iat", w.now().Add(24*time.Hour).Unix()), invalid + ": The token is not valid yet."},
		{"not before tomorrow", with("nbf", w.now().Add(24*time.Hour).Unix()), invalid + ": The token is not valid yet."},
		{"no start", with("iat", nil), invalid + ": Missing a required claim: iat"},
		{"no subject", with("sub", nil), invalid + ": Missing a required claim: sub"},
		{"subject in another case only", is.token(w, func(c map[string]any) { delete(c, "sub"); c["Sub"] = "repo:org/app" }), invalid + ": Missing a required claim: sub"},
		{"long subject", with("sub", "repo:org/"+strings.Repeat("x", 300)), invalid},
		{"two subjects", twice(t, is, w), invalid},
		{"another subject", with("sub", "repo:evil/app"), notAuthorized},
		{"a subject that shouts", is.token(w, func(c map[string]any) { c["sub"] = "repo:evil/app"; c["SUB"] = "repo:org/app" }), notAuthorized},
	} {
		if got := w.exchange("ci", c.token).String(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	wantAnswer(t, "a good one after all that", w.exchange("ci", good), "200")
	for _, name := range []string{"ops", "nobody"} { // the one trusts alice, the other is not there
		if name == "ops" {
			w.addRole(name, trusting(aliceARN))
		}
		wantAnswer(t, name, w.exchange(name, is.token(w)), notAuthorized)
	}
}

// embedded makes a token that brings its own key.
func embedded(t *testing.T, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: otherKey()}, &jose.SignerOptions{EmbedJWK: true})
	must(t, err)
	return made1(made1(signer.Sign(made1(json.Marshal(claims)))).CompactSerialize())
}

// twice makes a token with two subjects.
func twice(t *testing.T, is *issuing, w *world) string {
	t.Helper()
	text := string(made1(json.Marshal(is.claims(w))))
	text = strings.Replace(text, `{`, `{"sub":"repo:evil/app",`, 1)
	return sign(t, jose.RS256, rsaKey(), "rsa", json.RawMessage(text))
}

// One token file serves an SDK for every renewal until the issuer's own end of it.
func TestATokenIsGoodUntilItExpires(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	token := is.token(w, func(c map[string]any) { c["exp"] = w.now().Add(time.Hour).Unix() })
	first := w.credentials(w.exchange("ci", token))
	w.pass(time.Hour - time.Second)
	second := w.credentials(w.exchange("ci", token))
	if first.AccessKeyID == second.AccessKeyID {
		t.Error("the same credentials twice")
	}
	w.pass(time.Second)
	if got := w.exchange("ci", token).String(); !strings.HasPrefix(got, "400 ExpiredTokenException") {
		t.Errorf("after its end: %s", got)
	}
}

func TestWebIdentityRequestsThatAreRefused(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	for name, c := range map[string]struct {
		more []string
		want string
	}{
		"provider of access tokens": {[]string{"ProviderId", "www.amazon.com"}, "400 ValidationError: ProviderId"},
		"long":                      {[]string{"DurationSeconds", "3601"}, "400 ValidationError: The requested DurationSeconds exceeds"},
		"bad policy":                {[]string{"Policy", "{}"}, "400 MalformedPolicyDocument"},
		"unknown policy":            {[]string{"PolicyArns.member.1.arn", "arn:aws:iam::123456789012:policy/none"}, "400 ValidationError: Policy"},
	} {
		if got := w.exchange("ci", is.token(w), c.more...).String(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := w.exchange("ci", strings.Repeat("x", 20001)).String(); !strings.HasPrefix(got, "400 ValidationError") || strings.Contains(got, "xxx") {
		t.Errorf("a huge token: %.200s", got)
	}
	if n := is.asked.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}
