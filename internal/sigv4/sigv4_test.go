package sigv4_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sekisho/internal/sigv4"
)

// What the tests sign with: the public example credentials of the documentation.
const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var (
	credentials = sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	now         = time.Date(2026, 5, 23, 7, 31, 28, 0, time.UTC)
	policy      = sigv4.Policy{Now: now, Service: "ssm", Regions: func(_, region string) bool { return region == "local-1" }}
)

// newRequest makes a call of ssm as a client has it before signing.
func newRequest(t *testing.T, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "https://server.test:8443/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.StartSession")
	return r
}

// signed makes a call of ssm signed with the test's credentials.
func signed(t *testing.T, body string) *http.Request {
	t.Helper()
	r := newRequest(t, body)
	sigv4.Sign(r, sigv4.Hash([]byte(body)), credentials, "local-1", "ssm", now)
	return r
}

// overWire sends a client's request through net/http's own writer and reader, and
// gives what a server sees, with the body.
func overWire(t *testing.T, r *http.Request) (*http.Request, []byte) {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatalf("write request: %v", err)
	}
	return readRequest(t, wire.String())
}

// readRequest reads a request as a server does.
func readRequest(t *testing.T, wire string) (*http.Request, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		t.Fatalf("read request %q: %v", wire, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return r, body
}

// verify takes the steps of a server.
func verify(r *http.Request, body []byte, p sigv4.Policy) error {
	auth, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := auth.Check(p); err != nil {
		return err
	}
	return auth.Verify(r, sigv4.Hash(body), secret)
}

func TestSignedRequestIsAccepted(t *testing.T) {
	r, body := overWire(t, signed(t, `{"Target":"mi-0"}`))
	if err := verify(r, body, policy); err != nil {
		t.Fatal(err)
	}
	// A client that retries within a second sends the same bytes: no attack.
	if err := verify(r, body, policy); err != nil {
		t.Fatalf("byte-identical repeat: %v", err)
	}
}

func TestParseTellsWhoSigned(t *testing.T) {
	r := newRequest(t, "{}")
	cred := credentials
	cred.SessionToken = "token/with+signs="
	sigv4.Sign(r, sigv4.Hash([]byte("{}")), cred, "local-1", "ssm", now)
	auth, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if auth.AccessKeyID != keyID || auth.Date != "20260523" || auth.Region != "local-1" || auth.Service != "ssm" ||
		auth.SecurityToken != cred.SessionToken || !auth.Time.Equal(now) || auth.Presigned {
		t.Errorf("got %+v", auth)
	}
	want := "content-type host x-amz-date x-amz-security-token x-amz-target"
	if got := strings.Join(auth.SignedHeaders, " "); got != want {
		t.Errorf("signed headers: got %q, want %q", got, want)
	}
}

// TestAlteredRequestIsRefused changes one thing at a time after signing.
func TestAlteredRequestIsRefused(t *testing.T) {
	tests := []struct {
		name  string
		alter func(r *http.Request, body *[]byte)
	}{
		{"method", func(r *http.Request, _ *[]byte) { r.Method = "PUT" }},
		{"path", func(r *http.Request, _ *[]byte) { r.URL.Path = "/other" }},
		{"path with a trailing slash", func(r *http.Request, _ *[]byte) { r.URL.Path = "/a/" }},
		{"query added", func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "a=b" }},
		{"operation", func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Target", "AmazonSSM.TerminateSession") }},
		{"content type", func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Type", "text/plain") }},
		{"second value of a header", func(r *http.Request, _ *[]byte) { r.Header.Add("X-Amz-Target", "x") }},
		{"header removed", func(r *http.Request, _ *[]byte) { r.Header.Del("X-Amz-Target") }},
		{"host", func(r *http.Request, _ *[]byte) { r.Host = "other.test:8443" }},
		{"host without port", func(r *http.Request, _ *[]byte) { r.Host = "server.test" }},
		{"date", func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Date", "20260523T073129Z") }},
		{"body", func(_ *http.Request, body *[]byte) { *body = []byte(`{"Target":"mi-1"}`) }},
		{"body removed", func(_ *http.Request, body *[]byte) { *body = nil }},
		{"signed headers cut", func(r *http.Request, _ *[]byte) { rewrite(r, ";x-amz-target", "") }},
		{"signed headers reordered", func(r *http.Request, _ *[]byte) { rewrite(r, "content-type;host", "host;content-type") }},
		{"signature cut", func(r *http.Request, _ *[]byte) { cutAuthorization(r, 1) }},
		{"signature of another length", func(r *http.Request, _ *[]byte) { cutAuthorization(r, 63) }},
		{"hash of another body", func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Content-Sha256", sigv4.EmptyHash) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := overWire(t, signed(t, `{"Target":"mi-0"}`))
			test.alter(r, &body)
			if err := verify(r, body, policy); err != error(sigv4.ErrMismatch) {
				t.Errorf("got %v, want %v", err, sigv4.ErrMismatch)
			}
		})
	}
}

func rewrite(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func cutAuthorization(r *http.Request, n int) {
	header := r.Header.Get("Authorization")
	r.Header.Set("Authorization", header[:len(header)-n])
}

func TestOtherSecretIsRefused(t *testing.T) {
	r, body := overWire(t, signed(t, "{}"))
	auth, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"", secret + "x", strings.ToLower(secret)} {
		if err := auth.Verify(r, sigv4.Hash(body), other); err != error(sigv4.ErrMismatch) {
			t.Errorf("secret %q: got %v", other, err)
		}
	}
}

func TestContentHashOfTheBodyNeedNotBeSigned(t *testing.T) {
	r, body := overWire(t, signed(t, `{"Target":"mi-0"}`))
	r.Header.Set("X-Amz-Content-Sha256", strings.ToUpper(sigv4.Hash(body)))
	if err := verify(r, body, policy); err != nil {
		t.Error(err)
	}
}

func TestServiceIsReadWithoutJudging(t *testing.T) {
	r := newRequest(t, "{}")
	if got := sigv4.Service(r); got != "" {
		t.Errorf("unsigned: got %q", got)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/kms/x/y, Broken")
	if got := sigv4.Service(r); got != "kms" {
		t.Errorf("header: got %q", got)
	}
	r.URL.RawQuery = "X-Amz-Credential=a%2Fb%2Fc%2Fsts%2Fx"
	if got := sigv4.Service(r); got != "sts" {
		t.Errorf("query: got %q", got)
	}
}
