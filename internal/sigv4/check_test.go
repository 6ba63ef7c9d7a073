package sigv4_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sekisho/internal/sigv4"
)

// TestRefusals has a case for each row of api.md §2.2 that needs no key, in its
// order: code and text for JSON services, code and status for Query services.
func TestRefusals(t *testing.T) {
	const (
		incomplete = "IncompleteSignatureException"
		invalid    = "InvalidSignatureException"
		scope      = "AKIDEXAMPLE/20260523/local-1/ssm/aws4_request"
	)
	authorization := func(algorithm, scope, headers string) func(r *http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", algorithm+" Credential="+scope+", SignedHeaders="+headers+", Signature=00")
		}
	}
	tests := []struct {
		name    string
		alter   func(r *http.Request)
		code    string
		query   string
		status  int
		message string
	}{
		{
			"header and query", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" },
			invalid, "SignatureDoesNotMatch", 403,
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
		},
		{
			"no authentication", func(r *http.Request) { r.Header.Del("Authorization") },
			"MissingAuthenticationTokenException", "MissingAuthenticationToken", 403,
			"Request is missing Authentication Token",
		},
		{
			"all header parts missing", func(r *http.Request) {
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256")
				r.Header.Del("X-Amz-Date")
			},
			incomplete, "IncompleteSignature", 400,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. " +
				"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256",
		},
		{
			"one header part missing", func(r *http.Request) {
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+scope+",SignedHeaders=host")
			},
			incomplete, "IncompleteSignature", 400,
			"Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Credential=" + scope + ",SignedHeaders=host",
		},
		{
			"date missing", func(r *http.Request) {
				r.Header.Del("X-Amz-Date")
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=00")
			},
			incomplete, "IncompleteSignature", 400,
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. " +
				"Authorization=AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=00",
		},
		{
			"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc") },
			incomplete, "IncompleteSignature", 400,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. Authorization=Bearer abc",
		},
		{
			"date of another form", func(r *http.Request) { r.Header.Set("X-Amz-Date", "2026-05-23T07:31:28Z") },
			incomplete, "IncompleteSignature", 400,
			"Date must be in ISO-8601 'basic format'. Got '2026-05-23T07:31:28Z'. See http://en.wikipedia.org/wiki/ISO_8601",
		},
		{
			"too old", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260523T072627Z") },
			invalid, "SignatureDoesNotMatch", 403,
			"Signature expired: 20260523T072627Z is now earlier than 20260523T072628Z (20260523T073128Z - 5 min.)",
		},
		{
			"in the future", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260523T075540Z") },
			invalid, "SignatureDoesNotMatch", 403,
			"Signature not yet current: 20260523T075540Z is still later than 20260523T073628Z (20260523T073128Z + 5 min.)",
		},
		{
			"host not signed", authorization("AWS4-HMAC-SHA256", scope, "x-amz-date"),
			invalid, "SignatureDoesNotMatch", 403,
			"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
		},
		{
			"algorithm", authorization("AWS4-HMAC-SHA512", scope, "host;x-amz-date"),
			incomplete, "IncompleteSignature", 400,
			"Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). ",
		},
		{
			"scope has three parts", authorization("AWS4-HMAC-SHA256", "a/b/c", "host;x-amz-date"),
			incomplete, "IncompleteSignature", 400,
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c'",
		},
		{
			"scope has six parts", authorization("AWS4-HMAC-SHA256", scope+"/x", "host;x-amz-date"),
			incomplete, "IncompleteSignature", 400,
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + scope + "/x'",
		},
		{
			"region", authorization("AWS4-HMAC-SHA256", "a/20260523/mars-1/ssm/aws4_request", "host;x-amz-date"),
			invalid, "SignatureDoesNotMatch", 403,
			"Credential should be scoped to a valid region, not 'mars-1'. ",
		},
		{
			"service", authorization("AWS4-HMAC-SHA256", "a/20260523/local-1/kms/aws4_request", "host;x-amz-date"),
			invalid, "SignatureDoesNotMatch", 403,
			"Credential should be scoped to correct service: 'ssm'. ",
		},
		{
			"terminator", authorization("AWS4-HMAC-SHA256", "a/20260523/local-1/ssm/e", "host;x-amz-date"),
			invalid, "SignatureDoesNotMatch", 403,
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'e'. ",
		},
		{
			"scope date", authorization("AWS4-HMAC-SHA256", "a/20260522/local-1/ssm/aws4_request", "host;x-amz-date"),
			invalid, "SignatureDoesNotMatch", 403,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: " +
				"'20260522' != '20260523', from '20260523T073128Z'.",
		},
		{
			"signature differs", authorization("AWS4-HMAC-SHA256", scope, "host;x-amz-date"),
			invalid, "SignatureDoesNotMatch", 403,
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
				"and signing method. Consult the service documentation for details.",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := overWire(t, signed(t, "{}"))
			test.alter(r)
			checkError(t, verify(r, body, policy), test.code, test.query, test.status, test.message)
		})
	}
}

func checkError(t *testing.T, err error, code, queryCode string, status int, message string) {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.Code != code || e.QueryCode != queryCode || e.QueryStatus != status {
		t.Errorf("got %s, %d %s; want %s, %d %s", e.Code, e.QueryStatus, e.QueryCode, code, status, queryCode)
	}
	if e.Message != message {
		t.Errorf("text:\n got %q\nwant %q", e.Message, message)
	}
}

// TestRefusalsOfKeys pins what package auth answers with.
func TestRefusalsOfKeys(t *testing.T) {
	checkError(t, sigv4.ErrInvalidToken, "UnrecognizedClientException", "InvalidClientTokenId", 403,
		"The security token included in the request is invalid.")
	checkError(t, sigv4.ErrExpiredToken, "ExpiredTokenException", "ExpiredToken", 403,
		"The security token included in the request is expired")
}

// TestChecksComeInOrder gives each request two faults; the earlier row is the answer.
func TestChecksComeInOrder(t *testing.T) {
	faults := []struct {
		word  string // of the text
		spoil func(parts map[string]string)
	}{
		{"ISO-8601 'basic format'", func(p map[string]string) { p["date"] = "yesterday" }},
		{"Signature expired", func(p map[string]string) { p["date"] = "20200101T000000Z" }},
		{"must be a 'SignedHeader'", func(p map[string]string) { p["headers"] = "x-amz-date" }},
		{"Unsupported AWS 'algorithm'", func(p map[string]string) { p["algorithm"] = "X" }},
		{"exactly 5", func(p map[string]string) { p["extra"] = "/x" }},
		{"valid region", func(p map[string]string) { p["region"] = "mars-1" }},
		{"correct service", func(p map[string]string) { p["service"] = "kms" }},
		{"valid terminator", func(p map[string]string) { p["terminator"] = "e" }},
		{"Date in Credential scope", func(p map[string]string) { p["day"] = "20260522" }},
		{"does not match the signature", func(p map[string]string) { p["signature"] = "00" }},
	}
	for i, first := range faults {
		for _, second := range faults[i:] {
			parts := map[string]string{
				"date": "20260523T073128Z", "headers": "host;x-amz-date", "algorithm": sigv4.Algorithm, "extra": "",
				"region": "local-1", "service": "ssm", "terminator": "aws4_request", "day": "20260523", "signature": "00",
			}
			second.spoil(parts)
			first.spoil(parts)
			r, body := overWire(t, signed(t, "{}"))
			r.Header.Set("X-Amz-Date", parts["date"])
			r.Header.Set("Authorization", parts["algorithm"]+" Credential="+keyID+"/"+parts["day"]+"/"+parts["region"]+"/"+
				parts["service"]+"/"+parts["terminator"]+parts["extra"]+", SignedHeaders="+parts["headers"]+", Signature="+parts["signature"])
			if err := verify(r, body, policy); err == nil || !strings.Contains(err.Error(), first.word) {
				t.Errorf("%q with %q: got %v", first.word, second.word, err)
			}
		}
	}
}

func TestWindow(t *testing.T) {
	tests := []struct {
		name   string
		skew   time.Duration
		offset time.Duration // of our clock
		want   string
	}{
		{"same second", 0, 0, ""},
		{"edge of the past", 0, 5 * time.Minute, ""},
		{"within the last second", 0, 5*time.Minute + 900*time.Millisecond, ""},
		{"past", 0, 5*time.Minute + time.Second, "Signature expired"},
		{"edge of the future", 0, -5 * time.Minute, ""},
		{"future", 0, -5*time.Minute - time.Second, "Signature not yet current"},
		{"wider window", 15 * time.Minute, 14 * time.Minute, ""},
		{"wider window, past", 15 * time.Minute, 16 * time.Minute, "- 15 min.)"},
		{"window in seconds", 90 * time.Second, 2 * time.Minute, "- 90 sec.)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := overWire(t, signed(t, "{}"))
			p := policy
			p.Skew, p.Now = test.skew, now.Add(test.offset)
			err := verify(r, body, p)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestRefusalsOfPresigned(t *testing.T) {
	const all = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20260523%2Flocal-1%2Fsts%2Faws4_request" +
		"&X-Amz-Date=20260523T073128Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
	tests := []struct{ name, query, code, message string }{
		{
			"parts missing", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260523T073128Z", "IncompleteSignatureException",
			"AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. " +
				"AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters.",
		},
		{
			"algorithm missing", strings.Replace(all, "X-Amz-Algorithm", "X", 1), "IncompleteSignatureException",
			"AWS query-string parameters must include 'X-Amz-Algorithm'. Re-examine the query-string parameters.",
		},
		{
			"part twice", all + "&X-Amz-Date=20260523T073129Z", "IncompleteSignatureException",
			"AWS query-string parameter 'X-Amz-Date' appears more than once.",
		},
		{
			"life of zero", all + "&X-Amz-Expires=0", "IncompleteSignatureException",
			"X-Amz-Expires must be a number of seconds from 1 to 604800, got '0'.",
		},
		{
			"life too long", all + "&X-Amz-Expires=604801", "IncompleteSignatureException",
			"X-Amz-Expires must be a number of seconds from 1 to 604800, got '604801'.",
		},
		{
			"life no number", all + "&X-Amz-Expires=-5", "IncompleteSignatureException",
			"X-Amz-Expires must be a number of seconds from 1 to 604800, got '-5'.",
		},
		{
			"date", strings.Replace(all, "20260523T073128Z", "now", 1), "IncompleteSignatureException",
			"Date must be in ISO-8601 'basic format'. Got 'now'. See http://en.wikipedia.org/wiki/ISO_8601",
		},
		{
			"signature differs", all + "&X-Amz-Expires=60", "InvalidSignatureException", sigv4.ErrMismatch.Message,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := readRequest(t, "GET /?"+test.query+" HTTP/1.1\r\nHost: server.test\r\n\r\n")
			p := policy
			p.Service = "sts"
			err := verify(r, body, p)
			var e *sigv4.Error
			if !errors.As(err, &e) || e.Code != test.code || e.Message != test.message {
				t.Errorf("got %v, want %s: %s", err, test.code, test.message)
			}
		})
	}
}

func TestHeaderFormsThatAreAccepted(t *testing.T) {
	forms := []struct {
		name  string
		alter func(r *http.Request)
	}{
		{"no space after commas", func(r *http.Request) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ", ", ","))
		}},
		{"more spaces", func(r *http.Request) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ", ", " ,  "))
		}},
		{"an unknown part", func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+", Extra=1")
		}},
		{"date in the Date header, form of HTTP", func(r *http.Request) {
			r.Header.Del("X-Amz-Date")
			r.Header.Set("Date", now.Format(http.TimeFormat))
			resign(r, []string{"host"})
		}},
		{"date in the Date header, basic form", func(r *http.Request) {
			r.Header.Del("X-Amz-Date")
			r.Header.Set("Date", "20260523T073128Z")
			resign(r, []string{"date", "host"})
		}},
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			client := signed(t, "{}")
			form.alter(client)
			r, body := overWire(t, client)
			if err := verify(r, body, policy); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnreadableHeadersAreRefused(t *testing.T) {
	tests := []struct{ name, want string }{
		{"part twice", "more than one 'Signature' parameter"},
		{"too many parts", "too many parameters"},
		{"header twice", "more than one 'Authorization' header"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := signed(t, "{}")
			header := r.Header.Get("Authorization")
			switch test.name {
			case "part twice":
				r.Header.Set("Authorization", header+", Signature=00")
			case "too many parts":
				for i := range 20 {
					header += ", p" + string(rune('a'+i)) + "=1"
				}
				r.Header.Set("Authorization", header)
			case "header twice":
				r.Header.Add("Authorization", header)
			}
			if _, err := sigv4.Parse(r); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	r := signed(t, "{}")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+strings.Repeat("x", 100000))
	_, err := sigv4.Parse(r)
	if err == nil || len(err.Error()) > 2048 {
		t.Errorf("error text has %d bytes", len(err.Error()))
	}
	r = &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/"}, Header: http.Header{}}
	if _, err := sigv4.Parse(r); err != error(sigv4.ErrUnsigned) {
		t.Errorf("got %v, want %v", err, sigv4.ErrUnsigned)
	}
}
