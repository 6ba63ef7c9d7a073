package sigv4_test

import (
	"net/http"
	"net/url"
	"testing"

	"sekisho/internal/sigv4"
)

// FuzzParseAuthorization reads foreign headers and queries. Nothing may panic, a
// refusal is always one of the API with a text of bounded length, and no foreign
// signature verifies.
func FuzzParseAuthorization(f *testing.F) {
	const scope = keyID + "/20260523/local-1/ssm/aws4_request"
	f.Add("AWS4-HMAC-SHA256 Credential="+scope+", SignedHeaders=host;x-amz-date, Signature=00", "20260523T073128Z", "/", "")
	f.Add("AWS4-HMAC-SHA256 Credential="+scope+",SignedHeaders=host,Signature=MII+/==", "20260523T073128Z", "//a/../b%2F", "b=1&a=%zz;c")
	f.Add("AWS4-HMAC-SHA256", "", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256")
	f.Add("", "", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+url.QueryEscape(scope)+
		"&X-Amz-Date=20260523T073128Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Security-Token=t")
	f.Add("", "", "/", "X-Amz-Signature&X-Amz-Signature&x%2Damz=1")
	f.Add("Basic x,=,==, Credential=/////", "Sat, 23 May 2026 07:31:28 GMT", "", "+")
	f.Fuzz(func(t *testing.T, authorization, date, path, query string) {
		r := &http.Request{Method: "GET", Host: "h.test", URL: &url.URL{Path: path, RawPath: path, RawQuery: query}, Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if date != "" {
			r.Header.Set("X-Amz-Date", date)
		}
		auth, err := sigv4.Parse(r)
		if err != nil {
			refused(t, err)
			return
		}
		if err := auth.Check(policy); err != nil {
			refused(t, err)
		}
		// An unguessable secret: whatever the request says, it cannot fit.
		if err := auth.Verify(r, sigv4.EmptyHash, t.Name()+secret); err != error(sigv4.ErrMismatch) {
			t.Errorf("a foreign signature: got %v", err)
		}
	})
}

func refused(t *testing.T, err error) {
	e, ok := err.(*sigv4.Error)
	if !ok || e.Code == "" || e.QueryCode == "" || e.QueryStatus < 400 {
		t.Errorf("refusal without a code: %#v", err)
	}
	if len(e.Message) > 4096 {
		t.Errorf("text of %d bytes", len(e.Message))
	}
}

// FuzzCanonicalQuery holds that signing and verifying agree on any URL a client can
// make.
func FuzzCanonicalQuery(f *testing.F) {
	f.Add("/", "a=b&c=%20+d")
	f.Add("//a/./../b/", "")
	f.Add("/%2F%41/é", "é=;&&=&=1")
	f.Fuzz(func(t *testing.T, path, query string) {
		u, err := url.ParseRequestURI("https://h.test/" + path + "?" + query)
		if err != nil {
			return
		}
		r := &http.Request{Method: "GET", Host: "h.test", URL: u, Header: http.Header{}}
		sigv4.Sign(r, sigv4.EmptyHash, credentials, "local-1", "ssm", now)
		if err := verify(r, nil, policy); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	})
}
