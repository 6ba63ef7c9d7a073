package sts

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sekisho/internal/store"
)

const unreachable = "400 IDPCommunicationError: "

// What an issuer answers cannot take more than its bounds, nor lead elsewhere.
func TestIssuersThatMisbehave(t *testing.T) {
	elsewhere := newIssuer(t)
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		block := make([]byte, 64<<10)
		for i := range block {
			block[i] = ' '
		}
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	many := keySet()
	for range maxKeys + 1 {
		many.Keys = append(many.Keys, key("rsa", rsaKey().Public()))
	}
	short := made1(rsa.GenerateKey(rand.Reader, 1024))
	for _, c := range []struct {
		name   string
		change func(*issuing)
	}{
		{"endless description", func(is *issuing) { is.describe = endless }},
		{"endless keys", func(is *issuing) { is.keys = endless }},
		{"too many keys", func(is *issuing) { is.keys = answering(many) }},
		{"description elsewhere", func(is *issuing) { is.describe = redirect(elsewhere.url + discoveryPath) }},
		{"keys elsewhere", func(is *issuing) { is.keys = redirect(strings.TrimSuffix(elsewhere.url, "/tenant") + "/keys") }},
		{"description of another", func(is *issuing) {
			is.describe = answering(map[string]string{"issuer": elsewhere.url, "jwks_uri": strings.TrimSuffix(is.url, "/tenant") + "/keys"})
		}},
		{"keys without TLS", func(is *issuing) {
			is.describe = answering(map[string]string{"issuer": is.url, "jwks_uri": "http" + strings.TrimPrefix(strings.TrimSuffix(is.url, "/tenant"), "https") + "/keys"})
		}},
		{"keys in a file", func(is *issuing) {
			is.describe = answering(map[string]string{"issuer": is.url, "jwks_uri": "file:///etc/passwd"})
		}},
		{"no keys", func(is *issuing) { is.describe = answering(map[string]string{"issuer": is.url}) }},
		{"no JSON", func(is *issuing) { is.describe = text("<html>") }},
		{"keys that are no JSON", func(is *issuing) { is.keys = text("{") }},
		{"an error", func(is *issuing) {
			is.keys = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		}},
		{"a symmetric key", func(is *issuing) { is.keys = answering(keySet(key("rsa", []byte("everybody knows this secret")))) }},
		{"a key for encryption", func(is *issuing) {
			is.keys = answering(keySet(jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "rsa", Use: "enc"}))
		}},
		{"a short key", func(is *issuing) { is.keys = answering(keySet(key("rsa", short.Public()))) }},
		{"a closed connection", func(is *issuing) {
			is.keys = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}},
	} {
		is := newIssuer(t)
		w := webWorld(t, is)
		is.change(func() { c.change(is) })
		if got := w.exchange("ci", is.token(w)).String(); !strings.HasPrefix(got, unreachable) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// A key is good for the algorithm that the issuer says.
func TestAKeyIsForItsAlgorithm(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	k := key("rsa", rsaKey().Public())
	k.Algorithm = "RS512"
	is.change(func() { is.keys = answering(keySet(k)) })
	if got := w.exchange("ci", is.token(w)).String(); !strings.HasPrefix(got, "400 InvalidIdentityToken") {
		t.Errorf("RS256: %s", got)
	}
	wantAnswer(t, "RS512", w.exchange("ci", sign(t, jose.RS512, rsaKey(), "rsa", is.claims(w))), "200")
}

// Kinds of keys that are not known here do not spoil the others.
func TestUnknownKindsOfKeysArePassedOver(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	good := made1(json.Marshal(key("rsa", rsaKey().Public())))
	is.change(func() {
		is.keys = func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"keys":[{"kty":"PQC","kid":"x"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},`+string(good)+`]}`)
		}
	})
	wantAnswer(t, "good key", w.exchange("ci", is.token(w)), "200")
}

// Tokens cannot make the server bother an issuer, and what the issuer changes is seen.
func TestKeysAreKept(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	const unknown = "400 InvalidIdentityToken: No key of the identity provider matches the key id of the token."
	wantAnswer(t, "first", w.exchange("ci", is.token(w)), "200")
	for range 5 {
		wantAnswer(t, "unknown id", w.exchange("ci", sign(t, jose.RS256, rsaKey(), "new", is.claims(w))), unknown)
	}
	if n := is.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	is.change(func() { is.keys = answering(keySet(key("new", rsaKey().Public()))) })
	wantAnswer(t, "too soon", w.exchange("ci", sign(t, jose.RS256, rsaKey(), "new", is.claims(w))), unknown)
	w.pass(fetchPause)
	wantAnswer(t, "the new key", w.exchange("ci", sign(t, jose.RS256, rsaKey(), "new", is.claims(w))), "200")
	if n := is.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	wantAnswer(t, "the old key", w.exchange("ci", is.token(w)), unknown)

	is.change(func() {
		is.keys = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	})
	w.pass(keysFresh - time.Second)
	wantAnswer(t, "while the issuer is away", w.exchange("ci", sign(t, jose.RS256, rsaKey(), "new", is.claims(w))), "200")
	w.pass(time.Second)
	if got := w.exchange("ci", sign(t, jose.RS256, rsaKey(), "new", is.claims(w))).String(); !strings.HasPrefix(got, unreachable) {
		t.Errorf("when the keys are old: %s", got)
	}
	n := is.asked.Load()
	if got := w.exchange("ci", sign(t, jose.RS256, rsaKey(), "new", is.claims(w))).String(); !strings.HasPrefix(got, unreachable) || is.asked.Load() != n {
		t.Errorf("at once again: %s, asked %d times more", got, is.asked.Load()-n)
	}
}

// A removed provider, or one with another client id, counts from the next request on.
func TestAProviderCountsAsItIsNow(t *testing.T) {
	is := newIssuer(t)
	w := webWorld(t, is)
	arn := "arn:aws:iam::123456789012:oidc-provider/" + strings.TrimPrefix(is.url, "https://")
	wantAnswer(t, "first", w.exchange("ci", is.token(w)), "200")
	must(t, w.store.RemoveOIDCClientID(t.Context(), arn, "sekisho"))
	wantAnswer(t, "without the client", w.exchange("ci", is.token(w)), "400 InvalidIdentityToken: Incorrect token audience")
	must(t, w.store.DeleteOIDCProvider(t.Context(), arn))
	if got := w.exchange("ci", is.token(w)).String(); !strings.HasPrefix(got, "400 InvalidIdentityToken: No OpenIDConnect provider") {
		t.Errorf("without the provider: %s", got)
	}
}

func TestIssuersProveThemselves(t *testing.T) {
	from, to := start.Add(-time.Hour), start.Add(time.Hour)
	for _, c := range []struct {
		name        string
		host        string
		from, to    time.Time
		thumbprints func(*issuing) []string
		want        bool
	}{
		{"unknown authority", "127.0.0.1", from, to, nil, false},
		{"thumbprint of the authority", "127.0.0.1", from, to, func(is *issuing) []string { return []string{thumbprint(is.authority)} }, true},
		{"thumbprint of the server", "127.0.0.1", from, to, func(is *issuing) []string { return []string{strings.Repeat("0", 40), thumbprint(is.leaf)} }, true},
		{"another thumbprint", "127.0.0.1", from, to, func(*issuing) []string { return []string{strings.Repeat("0", 40)} }, false},
		{"thumbprint, but another host", "issuer.test", from, to, func(is *issuing) []string { return []string{thumbprint(is.authority), thumbprint(is.leaf)} }, false},
		{"thumbprint, but expired", "127.0.0.1", from, start.Add(-time.Second), func(is *issuing) []string { return []string{thumbprint(is.authority), thumbprint(is.leaf)} }, false},
	} {
		authority, leaf := certificates(t, c.host, c.from, c.to)
		is := newIssuerWith(t, authority, leaf)
		w := newWorld(t, func(cfg *Config) { cfg.Roots = x509.NewCertPool() })
		var thumbprints []string
		if c.thumbprints != nil {
			thumbprints = c.thumbprints(is)
		}
		w.provide(is, thumbprints...)
		got := w.exchange("ci", is.token(w)).String()
		if c.want && got != "200" || !c.want && !strings.HasPrefix(got, unreachable) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// Keys that came under thumbprints are forgotten with them.
func TestOtherThumbprintsFetchAnew(t *testing.T) {
	is := newIssuer(t)
	w := newWorld(t, func(cfg *Config) { cfg.Roots = x509.NewCertPool() })
	w.provide(is, thumbprint(is.authority))
	wantAnswer(t, "first", w.exchange("ci", is.token(w)), "200")
	arn := "arn:aws:iam::123456789012:oidc-provider/" + strings.TrimPrefix(is.url, "https://")
	must(t, w.store.SetOIDCThumbprints(t.Context(), arn, []string{strings.Repeat("0", 40)}))
	if got := w.exchange("ci", is.token(w)).String(); !strings.HasPrefix(got, unreachable) {
		t.Errorf("with another thumbprint: %s", got)
	}
}

// once is a listener of one connection.
type once struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *once) Close() error   { close(l.closed); return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// An issuer that takes its time has fetchTimeout, wherever it stops, and whoever asks
// next does not wait again.
func TestSlowIssuers(t *testing.T) {
	for name, slow := range map[string]http.HandlerFunc{
		"in the handshake": nil,
		"before it answers": func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		},
		"in its answer": func(w http.ResponseWriter, r *http.Request) {
			for tick := time.NewTicker(time.Second); ; {
				select {
				case <-tick.C:
					w.Write([]byte(" "))
					w.(http.Flusher).Flush()
				case <-r.Context().Done():
					tick.Stop()
					return
				}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			authority, leaf := certificates(t, "issuer.test", start.Add(-time.Hour), start.Add(time.Hour))
			is := newIssuers(func() time.Time { return start }, x509.NewCertPool(), slog.New(slog.DiscardHandler))
			is.roots.AddCert(authority)
			ours, theirs := net.Pipe()
			// A caller that leaves does not end the fetch: it must end by itself.
			gone, leave := context.WithCancel(t.Context())
			is.dial = func(context.Context, string, string) (net.Conn, error) { leave(); return ours, nil }
			var server http.Server
			listener := &once{make(chan net.Conn, 1), make(chan struct{})}
			if slow != nil {
				server.Handler = slow
				listener.conn <- tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{leaf}})
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()

			p := store.OIDCProvider{ARN: "arn", URL: "https://issuer.test"}
			began := time.Now()
			if _, err := is.find(gone, p, "k"); !errors.Is(err, errUnreachable) || time.Since(began) != fetchTimeout {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			again := time.Now()
			if _, err := is.find(t.Context(), p, "k"); !errors.Is(err, errUnreachable) || time.Since(again) != 0 {
				t.Errorf("%s: %v after %v", name, err, time.Since(again))
			}
			theirs.Close()
			server.Close()
			<-served
		})
	}
}

// Callers that wait for another's fetch may leave.
func TestWaitingForKeysEndsWithTheCaller(t *testing.T) {
	is := newIssuers(time.Now, nil, slog.New(slog.DiscardHandler))
	p := store.OIDCProvider{URL: "https://issuer.test"}
	<-is.get(p.URL).turn // somebody fetches
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := is.find(ctx, p, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
