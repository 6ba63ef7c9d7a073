package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sekisho/internal/sigv4"
)

// badSignatures sends requests whose signatures are wrong in one way each.
func badSignatures(t *testing.T, d *deployment) {
	p := newRawPeer(t, d)
	const target, body = "AmazonSSM.DescribeSessions", `{"State":"Active"}`
	now := time.Now()
	region := p.region()
	cases := []struct {
		name       string
		at         time.Time
		region     string
		service    string
		change     func(*http.Request)
		code, text string
	}{
		{"right", now, region, "ssm", nil, "", `{"Sessions":[]}`},
		{"client's clock is slow", now.Add(-20 * time.Minute), region, "ssm", nil, "InvalidSignatureException", "Signature expired: "},
		{"client's clock is fast", now.Add(20 * time.Minute), region, "ssm", nil, "InvalidSignatureException", "Signature not yet current: "},
		{"region", now, "eu-west-1", "ssm", nil, "InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-1'. "},
		{"global region", now, "us-east-1", "ssm", nil, "InvalidSignatureException", "Credential should be scoped to a valid region, not 'us-east-1'. "},
		{"service", now, region, "sqs", nil, "InvalidSignatureException", "Credential should be scoped to correct service: 'ssm'. "},
		{"unsigned", now, region, "ssm", func(r *http.Request) { r.Header.Del("Authorization") },
			"MissingAuthenticationTokenException", "Request is missing Authentication Token"},
		{"altered body", now, region, "ssm", func(r *http.Request) { *r = *withBody(p, r, `{"State":"History"}`) },
			"InvalidSignatureException", "The request signature we calculated does not match"},
		{"altered operation", now, region, "ssm", func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSSM.DescribeActivations") },
			"InvalidSignatureException", "The request signature we calculated does not match"},
		{"altered path", now, region, "ssm", func(r *http.Request) { r.URL.Path = "/other" },
			"InvalidSignatureException", "The request signature we calculated does not match"},
		{"unknown key", now, region, "ssm", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), p.cred.AccessKeyID, "AKIAAAAAAAAAAAAAAAAA", 1))
		}, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"token to a key without one", now, region, "ssm", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "token") },
			"UnrecognizedClientException", "The security token included in the request is invalid."},
		{"garbage", now, region, "ssm", func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 \xff\xfe=,=,,=") },
			"IncompleteSignatureException", "Authorization header requires 'Credential' parameter. "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := p.request(target, body)
			p.sign(r, body, c.region, c.service, c.at)
			if c.change != nil {
				c.change(r)
			}
			status, code, text := p.do(r)
			if code != c.code || !strings.Contains(text, c.text) || status != map[bool]int{true: 200, false: 400}[c.code == ""] {
				t.Errorf("%d %s %s", status, code, text)
			}
		})
	}

	t.Run("byte-identical retry", func(t *testing.T) {
		// A client that repeats a request within a second repeats its signature too.
		first := p.request(target, body)
		p.sign(first, body, region, "ssm", time.Now())
		for range 3 {
			again := withBody(p, first, body)
			if status, code, text := p.do(again); status != 200 {
				t.Errorf("%d %s %s", status, code, text)
			}
		}
	})

	t.Run("presigned", func(t *testing.T) {
		presigned := func(expires time.Duration, at time.Time, alter func(url.Values)) (int, string) {
			t.Helper()
			r, err := http.NewRequestWithContext(p.ctx(), http.MethodGet, p.endpoint()+"/?Action=GetCallerIdentity&Version=2011-06-15", nil)
			if err != nil {
				t.Fatal(err)
			}
			sigv4.Presign(r, sigv4.Hash(nil), p.cred, region, "sts", expires, at)
			if alter != nil {
				query := r.URL.Query()
				alter(query)
				r.URL.RawQuery = query.Encode()
			}
			status, _, text := p.do(r)
			return status, text
		}
		// It lives as long as it says, also beyond the window of other requests.
		if status, text := presigned(time.Hour, now.Add(-30*time.Minute), nil); status != 200 || !strings.Contains(text, "<Arn>arn:aws:iam::") {
			t.Errorf("presigned: %d %s", status, text)
		}
		if status, text := presigned(time.Minute, now.Add(-2*time.Minute), nil); status != 403 || !strings.Contains(text, "Signature expired: ") {
			t.Errorf("expired: %d %s", status, text)
		}
		if status, text := presigned(time.Minute, now.Add(-2*time.Minute), func(q url.Values) { q.Set("X-Amz-Expires", "3600") }); status != 403 || !strings.Contains(text, "SignatureDoesNotMatch") {
			t.Errorf("with a longer life than was signed: %d %s", status, text)
		}
		if status, text := presigned(8*24*time.Hour, now, nil); status != 400 {
			t.Errorf("for more than a week: %d %s", status, text)
		}
	})

	t.Run("cut off by clocks", func(t *testing.T) {
		// The text of the error tells both clocks, as the service's does.
		r := p.request(target, body)
		p.sign(r, body, region, "ssm", now.Add(-time.Hour))
		_, _, text := p.do(r)
		var answer struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		if stamp := now.Add(-time.Hour).UTC().Format("20060102T150405Z"); answer.Type != "InvalidSignatureException" || !strings.Contains(answer.Message, stamp) || !strings.HasSuffix(answer.Message, "- 5 min.)") {
			t.Errorf("%+v", answer)
		}
	})
}

// withBody is the same request with another body, signature and all.
func withBody(p *rawPeer, r *http.Request, body string) *http.Request {
	p.t.Helper()
	next := p.request(r.Header.Get("X-Amz-Target"), body)
	next.Header = r.Header.Clone()
	return next
}
