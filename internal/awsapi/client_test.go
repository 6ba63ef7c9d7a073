package awsapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// newClient makes a client of a TLS server with that handler.
func newClient(t *testing.T, h http.Handler) *awsapi.Client {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	return &awsapi.Client{Endpoint: server.URL, HTTP: server.Client(), UserAgent: "sekisho-test/1"}
}

func TestClientCallsServer(t *testing.T) {
	f := newFixture(t)
	f.authenticate = func(ctx context.Context, r *http.Request, body []byte, op awsapi.Operation) (context.Context, error) {
		auth, err := sigv4.Parse(r)
		if err != nil {
			return nil, err
		}
		if err := auth.Check(sigv4.Policy{Now: time.Now(), Service: op.Service}); err != nil {
			return nil, err
		}
		return ctx, auth.Verify(r, sigv4.Hash(body), "secret")
	}
	c := newClient(t, f)
	in := &ssm.StartSessionInput{Target: "mi-0"} // the empty members must not be sent: their constraints refuse ""
	var out ssm.StartSessionOutput
	if err := c.Call(t.Context(), "AmazonSSM.StartSession", in, &out); !ssm.IsCode(err, "MissingAuthenticationTokenException") {
		t.Errorf("unsigned: got %v", err)
	}
	c.Sign = func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, "local-1", "ssm", time.Now())
		return nil
	}
	if err := c.Call(t.Context(), "AmazonSSM.StartSession", in, &out); err != nil {
		t.Fatal(err)
	}
	if out.SessionID != "admin-0a" || out.StreamURL != "wss://h/?a=b&c=mi-0" || f.results[1].UserAgent != "sekisho-test/1" {
		t.Errorf("got %+v, observed %+v", out, f.results[1])
	}
	if err := c.Call(t.Context(), "AmazonSSM.DescribeActivations", nil, nil); err != nil {
		t.Errorf("no input, no output: %v", err)
	}
	c.Sign = func(*http.Request, []byte) error { return errors.New("no key") }
	if err := c.Call(t.Context(), "AmazonSSM.StartSession", in, &out); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("signer fails: got %v", err)
	}
}

func TestClientReadsErrors(t *testing.T) {
	tests := []struct {
		name, header, body string
		status             int
		want               ssm.Error
	}{
		{"plain", "", `{"__type":"TargetNotConnected","message":"m"}`, 400, ssm.Error{Code: "TargetNotConnected", Message: "m", Status: 400}},
		{"capital", "", `{"__type":"TargetNotConnected","Message":"M"}`, 400, ssm.Error{Code: "TargetNotConnected", Message: "M", Status: 400}},
		{"prefix", "", `{"__type":"com.amazon.coral.service#AccessDeniedException"}`, 400, ssm.Error{Code: "AccessDeniedException", Status: 400}},
		{"suffix", "", `{"__type":"A#B:http://x/"}`, 500, ssm.Error{Code: "B", Status: 500}},
		{"header", "InternalFailure:http://x/", `{}`, 500, ssm.Error{Code: "InternalFailure", Status: 500}},
		{"no JSON", "", `<html>bad gateway</html>`, 502, ssm.Error{Code: "Bad Gateway", Message: "the server answered 502 Bad Gateway", Status: 502}},
		{"nothing", "", ``, 413, ssm.Error{Code: "Request Entity Too Large", Message: "the server answered 413 Request Entity Too Large", Status: 413}},
		{"a list", "", `[1]`, 418, ssm.Error{Code: "I'm a teapot", Message: "the server answered 418 I'm a teapot", Status: 418}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.header != "" {
					w.Header().Set("x-amzn-ErrorType", test.header)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			err := c.Call(t.Context(), "AmazonSSM.StartSession", nil, nil)
			var got *ssm.Error
			if !errors.As(err, &got) || *got != test.want {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestClientBoundsAnswers(t *testing.T) {
	long := bytes.Repeat([]byte(" "), 4<<20+1)
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(long[:len(long)-len(r.Header.Values("X-Fits"))])
	}))
	if err := c.Call(t.Context(), "AmazonSSM.X", nil, nil); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
	c.Sign = func(r *http.Request, _ []byte) error { r.Header.Set("X-Fits", "1"); return nil }
	if err := c.Call(t.Context(), "AmazonSSM.X", nil, nil); err != nil {
		t.Errorf("an answer of just the limit: %v", err)
	}
}

func TestClientReportsWhatIsWrong(t *testing.T) {
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	if err := c.Call(t.Context(), "AmazonSSM.X", nil, &ssm.Empty{}); err == nil || !strings.HasPrefix(err.Error(), "call AmazonSSM.X: decode answer: ") {
		t.Errorf("no JSON: got %v", err)
	}
	if err := c.Call(t.Context(), "AmazonSSM.X", 5, nil); err == nil {
		t.Error("a number as input is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Call(ctx, "AmazonSSM.X", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	c.HTTP = nil // the default client does not know the server's certificate
	if err := c.Call(t.Context(), "AmazonSSM.X", nil, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown certificate: got %v", err)
	}
}
