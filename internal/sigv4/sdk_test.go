package sigv4_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdkssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sekisho/internal/sigv4"
)

var sdkCredentials = aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}

// TestSDKSigner has the AWS SDK's signer sign requests of all kinds; what a server
// sees of them must verify.
func TestSDKSigner(t *testing.T) {
	tests := []struct {
		name    string
		method  string
		url     string
		header  http.Header
		body    string
		unknown bool // length of the body
		service string
		token   string
	}{
		{name: "json", method: "POST", url: "https://h.test:8443/", body: `{"Target":"mi-0"}`,
			header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"AmazonSSM.StartSession"}}},
		{name: "length unknown", method: "POST", url: "https://h.test/", body: "{}", unknown: true},
		{name: "default port", method: "POST", url: "https://h.test:443/", body: "{}"},
		{name: "no path", method: "POST", url: "https://h.test", body: "{}"},
		{name: "address", method: "POST", url: "http://127.0.0.1:8080/", body: "{}"},
		{name: "ipv6", method: "POST", url: "https://[::1]:8443/", body: "{}"},
		{name: "session token", method: "POST", url: "https://h.test/", body: "{}", token: "IQoJ/+=="},
		{name: "query", method: "GET", url: "https://h.test/v1/control-channel/mi-0?stream=input&role=subscribe", service: "ssmmessages"},
		{name: "query with all kinds", method: "GET", url: "https://h.test/?b=1&a=x%20y&a=%2B%2F&c&%C3%A9=%E3%81%82&a=&d=~!*'()", service: "ssmmessages"},
		{name: "path with escapes", method: "GET", url: "https://h.test/v1/data-channel/j%C3%B6rg%40example.com%3Ax%2Fy", service: "ssmmessages"},
		{name: "path with raw reserved", method: "GET", url: "https://h.test/v1/data-channel/user@example.com-0a", service: "ssmmessages"},
		{name: "double slashes", method: "GET", url: "https://h.test//v1//data-channel/a/", service: "ssmmessages"},
		{name: "dot segments", method: "GET", url: "https://h.test/a/../b/./c", service: "ssmmessages"},
		{name: "duplicate header", method: "POST", url: "https://h.test/", body: "{}", header: http.Header{"X-Amz-Meta": {"b", "a", " c  d "}}},
		{name: "header with spaces", method: "POST", url: "https://h.test/", body: "{}", header: http.Header{"X-Amz-Meta": {"  a   b\tc  "}}},
		{name: "empty header", method: "POST", url: "https://h.test/", body: "{}", header: http.Header{"X-Amz-Meta": {""}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var reader io.Reader = strings.NewReader(test.body)
			if test.unknown {
				reader = io.MultiReader(reader)
			}
			r, err := http.NewRequest(test.method, test.url, reader)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range test.header {
				r.Header[name] = values
			}
			service := test.service
			if service == "" {
				service = "ssm"
			}
			cred := sdkCredentials
			cred.SessionToken = test.token
			if err := v4.NewSigner().SignHTTP(context.Background(), cred, r, sigv4.Hash([]byte(test.body)), service, "local-1", now); err != nil {
				t.Fatal(err)
			}
			seen, body := overWire(t, r)
			p := policy
			p.Service = service
			if err := verify(seen, body, p); err != nil {
				t.Errorf("%v\n%s", err, seen.Header.Get("Authorization"))
			}
		})
	}
}

// TestSDKPresigner does the same for presigned URLs.
func TestSDKPresigner(t *testing.T) {
	for _, url := range []string{
		"https://h.test/?Action=GetCallerIdentity&Version=2011-06-15",
		"https://h.test:8443/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60",
		"https://h.test/v1/data-channel/user@example.com-0a?role=publish_subscribe&X-Amz-Expires=604800",
	} {
		t.Run(url, func(t *testing.T) {
			r, err := http.NewRequest("GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			cred := sdkCredentials
			cred.SessionToken = "IQoJ/+=="
			presigned, header, err := v4.NewSigner().PresignHTTP(context.Background(), cred, r, sigv4.EmptyHash, "sts", "us-east-1", now)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := http.NewRequest("GET", presigned, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range header {
				sent.Header[name] = values
			}
			seen, body := overWire(t, sent)
			p := sigv4.Policy{Now: now, Service: "sts"}
			if err := verify(seen, body, p); err != nil {
				t.Fatal(err)
			}
			auth, err := sigv4.Parse(seen)
			if err != nil {
				t.Fatal(err)
			}
			if !auth.Presigned || auth.SecurityToken != cred.SessionToken {
				t.Errorf("got %+v", auth)
			}
			seen.URL.RawQuery = strings.Replace(seen.URL.RawQuery, "2011-06-15", "2011-06-16", 1)
			seen.URL.Path += "x"
			if err := verify(seen, body, p); err != error(sigv4.ErrMismatch) {
				t.Errorf("altered URL: got %v", err)
			}
		})
	}
}

// verifier is a server that verifies what it gets and answers with the reason.
func verifier(t *testing.T, http2 bool, p sigv4.Policy, answer string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			p := p
			p.Now = time.Now()
			err = verify(r, body, p)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":"Refused","message":%q}`, err)
			return
		}
		w.Header().Set("Seen-Proto", r.Proto)
		_, _ = io.WriteString(w, answer)
	}))
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestSDKClients has whole clients of the AWS SDK call a server, over HTTP/1.1 and
// HTTP/2.
func TestSDKClients(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			server := verifier(t, proto == "HTTP/2.0", sigv4.Policy{}, `{"Target":"mi-0","Status":"connected"}`)
			client := server.Client()
			seen := ""
			config := aws.Config{
				Region: "local-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
				HTTPClient: recordProto{client, &seen},
				Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					return sdkCredentials, nil
				}),
			}
			out, err := sdkssm.NewFromConfig(config).GetConnectionStatus(t.Context(), &sdkssm.GetConnectionStatusInput{Target: aws.String("mi-0")})
			if err != nil {
				t.Fatal(err)
			}
			if aws.ToString(out.Target) != "mi-0" || seen != proto {
				t.Errorf("got %v over %s", out, seen)
			}

			presigned, err := sts.NewPresignClient(sts.NewFromConfig(config)).PresignGetCallerIdentity(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), presigned.Method, presigned.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				text, _ := io.ReadAll(answer.Body)
				t.Errorf("presigned %s: %s", presigned.Method, text)
			}
		})
	}
}

type recordProto struct {
	*http.Client
	seen *string
}

func (c recordProto) Do(r *http.Request) (*http.Response, error) {
	answer, err := c.Client.Do(r)
	if err == nil {
		*c.seen = answer.Header.Get("Seen-Proto")
	}
	return answer, err
}

// TestSignAgreesWithSDK signs the same request with both and compares the signatures.
func TestSignAgreesWithSDK(t *testing.T) {
	body := []byte(`{"Target":"mi-0"}`)
	ours := newRequest(t, string(body))
	ours.ContentLength = 0 // the SDK would sign a length; ours leaves it out
	theirs := ours.Clone(t.Context())
	theirs.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	sigv4.Sign(ours, sigv4.Hash(body), credentials, "local-1", "ssm", now)
	if err := v4.NewSigner().SignHTTP(t.Context(), sdkCredentials, theirs, sigv4.Hash(body), "ssm", "local-1", now); err != nil {
		t.Fatal(err)
	}
	if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestPresign(t *testing.T) {
	presign := func(expires time.Duration) *http.Request {
		r, err := http.NewRequest("GET", "https://h.test/a b?Action=GetCallerIdentity&x=1+2&Version=2011-06-15", nil)
		if err != nil {
			t.Fatal(err)
		}
		cred := credentials
		cred.SessionToken = "t/+="
		sigv4.Presign(r, sigv4.EmptyHash, cred, "us-east-1", "sts", expires, now)
		seen, _ := overWire(t, r)
		return seen
	}
	tests := []struct {
		expires, age time.Duration
		want         string
	}{
		{time.Hour, time.Hour, ""},
		{time.Hour, time.Hour + time.Second, "Signature expired: 20260523T073128Z is now earlier than 20260523T073129Z (20260523T083129Z - 60 min.)"},
		{time.Minute, 2 * time.Minute, "Signature expired"}, // shorter than the window
		{time.Hour, -6 * time.Minute, "Signature not yet current"},
		{0, 4 * time.Minute, ""},
		{0, 6 * time.Minute, "- 5 min.)"},
	}
	for _, test := range tests {
		err := verify(presign(test.expires), nil, sigv4.Policy{Now: now.Add(test.age), Service: "sts"})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("expires %v, age %v: got %v, want %q", test.expires, test.age, err, test.want)
		}
	}
	r := presign(time.Hour)
	again, _ := http.NewRequest("GET", r.URL.String(), nil)
	again.URL.Host = "h.test"
	sigv4.Presign(again, sigv4.EmptyHash, credentials, "us-east-1", "sts", time.Hour, now)
	if n := strings.Count(again.URL.RawQuery, "X-Amz-Signature="); n != 1 {
		t.Errorf("presigned twice has %d signatures", n)
	}
}

// TestSignAgain pins that a request can be signed anew for a retry.
func TestSignAgain(t *testing.T) {
	r := signed(t, "{}")
	later := now.Add(time.Hour)
	sigv4.Sign(r, sigv4.Hash([]byte("{}")), credentials, "local-1", "ssm", later)
	seen, body := overWire(t, r)
	p := policy
	p.Now = later
	if err := verify(seen, body, p); err != nil {
		t.Error(err)
	}
}
