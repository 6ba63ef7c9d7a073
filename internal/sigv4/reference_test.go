package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sekisho/internal/sigv4"
)

// reference signs a canonical request that a test wrote down in full: the algorithm
// of the documentation and nothing else, with no code of the package.
func reference(canonical, date, region, service string) string {
	sum := sha256.Sum256([]byte(canonical))
	day := date[:8]
	text := "AWS4-HMAC-SHA256\n" + date + "\n" + day + "/" + region + "/" + service + "/aws4_request\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// resign signs a bodiless-path call of ssm with body "{}" over the headers named, by
// the reference.
func resign(r *http.Request, headers []string) {
	slices.Sort(headers)
	canonical := "POST\n/\n\n"
	for _, name := range headers {
		value := r.Header.Get(name)
		if name == "host" {
			value = "server.test:8443"
		}
		canonical += name + ":" + value + "\n"
	}
	list := strings.Join(headers, ";")
	canonical += "\n" + list + "\n" + sigv4.Hash([]byte("{}"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyID+"/20260523/local-1/ssm/aws4_request, SignedHeaders="+
		list+", Signature="+reference(canonical, "20260523T073128Z", "local-1", "ssm"))
}

// TestCanonicalForm has requests as they are on the wire and what their signer must
// have hashed, after the kinds of cases of the public test suite.
func TestCanonicalForm(t *testing.T) {
	const date = "20150830T123600Z"
	empty := "\n" + sigv4.EmptyHash
	tests := []struct {
		name      string
		wire      string // request line and headers, without Host and X-Amz-Date
		signed    string
		canonical string
		service   string // "service" when empty
		refused   bool
	}{
		{name: "vanilla", wire: "GET / HTTP/1.1", signed: "host;x-amz-date",
			canonical: "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:" + date + "\n\nhost;x-amz-date" + empty},
		{name: "empty query", wire: "GET /? HTTP/1.1", signed: "host",
			canonical: "GET\n/\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query sorted by name", wire: "GET /?b=1&a=2&B=3 HTTP/1.1", signed: "host",
			canonical: "GET\n/\nB=3&a=2&b=1\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query sorted by value", wire: "GET /?a=2&a=1&a=10 HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=1&a=10&a=2\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query without values", wire: "GET /?b&a= HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=&b=\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with unreserved", wire: "GET /?-._~09AZaz=-._~09AZaz HTTP/1.1", signed: "host",
			canonical: "GET\n/\n-._~09AZaz=-._~09AZaz\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with reserved and utf-8", wire: "GET /?a%2fb=c%20d%3D%E3%81%82 HTTP/1.1", signed: "host",
			canonical: "GET\n/\na%2Fb=c%20d%3D%E3%81%82\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with raw reserved", wire: "GET /?a=b:c/d@e!*'() HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=b%3Ac%2Fd%40e%21%2A%27%28%29\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with plus for space", wire: "GET /?a=b+c%2Bd HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=b%20c%2Bd\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with equals in value", wire: "GET /?a=b=c HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=b%3Dc\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with semicolon", wire: "GET /?a=b;c=d HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=b%3Bc%3Dd\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "query with stray percent", wire: "GET /?a=100%&b=%zz HTTP/1.1", signed: "host",
			canonical: "GET\n/\na=100%25&b=%25zz\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "header values joined", wire: "GET / HTTP/1.1\r\nMy-Header: z\r\nMy-Header: a\r\nMy-Header: p", signed: "host;my-header",
			canonical: "GET\n/\n\nhost:example.amazonaws.com\nmy-header:z,a,p\n\nhost;my-header" + empty},
		{name: "header spaces", wire: "GET / HTTP/1.1\r\nMy-Header:   a   b \"c  d\"  ", signed: "host;my-header",
			canonical: "GET\n/\n\nhost:example.amazonaws.com\nmy-header:a b \"c d\"\n\nhost;my-header" + empty},
		{name: "header absent", wire: "GET / HTTP/1.1", signed: "host;my-header",
			canonical: "GET\n/\n\nhost:example.amazonaws.com\nmy-header:\n\nhost;my-header" + empty},
		{name: "authority of http/2", wire: "GET / HTTP/1.1", signed: ":authority",
			canonical: "GET\n/\n\n:authority:example.amazonaws.com\n\n:authority" + empty},
		{name: "body", wire: "POST / HTTP/1.1\r\nContent-Length: 13\r\n\r\nParam1=value1", signed: "content-length;host",
			canonical: "POST\n/\n\ncontent-length:13\nhost:example.amazonaws.com\n\ncontent-length;host\n" +
				sigv4.Hash([]byte("Param1=value1"))},
		{name: "chunked body", wire: "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nParam1\r\n7\r\n=value1\r\n0\r\n\r\n", signed: "host",
			canonical: "POST\n/\n\nhost:example.amazonaws.com\n\nhost\n" + sigv4.Hash([]byte("Param1=value1"))},
		{name: "path encoded twice", wire: "GET /a%20b/%E1%88%B4 HTTP/1.1", signed: "host",
			canonical: "GET\n/a%2520b/%25E1%2588%25B4\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "path encoded once for s3", wire: "GET /a%20b/%E1%88%B4//c HTTP/1.1", signed: "host", service: "s3",
			canonical: "GET\n/a%20b/%E1%88%B4//c\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "path with colon and at", wire: "GET /v1/data-channel/a@b:c HTTP/1.1", signed: "host",
			canonical: "GET\n/v1/data-channel/a%40b%3Ac\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "double slash as sent", wire: "GET //a//b/ HTTP/1.1", signed: "host",
			canonical: "GET\n//a//b/\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "double slash removed", wire: "GET //a//b/ HTTP/1.1", signed: "host",
			canonical: "GET\n/a/b/\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "dots removed", wire: "GET /a/./b/../c HTTP/1.1", signed: "host",
			canonical: "GET\n/a/c\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "dots are not removed for s3", wire: "GET /a/../b HTTP/1.1", signed: "host", service: "s3", refused: true,
			canonical: "GET\n/b\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "another path", wire: "GET /a/b HTTP/1.1", signed: "host", refused: true,
			canonical: "GET\n/a\n\nhost:example.amazonaws.com\n\nhost" + empty},
		{name: "encoded slash is no slash", wire: "GET /a%2Fb HTTP/1.1", signed: "host", refused: true,
			canonical: "GET\n/a/b\n\nhost:example.amazonaws.com\n\nhost" + empty},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := test.service
			if service == "" {
				service = "service"
			}
			line, rest, _ := strings.Cut(test.wire, "\r\n")
			wire := line + "\r\nHost: example.amazonaws.com\r\nX-Amz-Date: " + date +
				"\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + keyID + "/20150830/us-east-1/" + service +
				"/aws4_request, SignedHeaders=" + test.signed + ", Signature=" + reference(test.canonical, date, "us-east-1", service) + "\r\n" + rest
			if !strings.Contains(rest, "\r\n\r\n") {
				wire += "\r\n\r\n"
			}
			r, body := readRequest(t, wire)
			auth, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			err = auth.Verify(r, sigv4.Hash(body), secret)
			if test.refused != (err != nil) {
				t.Errorf("got %v, want refused %v", err, test.refused)
			}
		})
	}
}

// TestPublishedSignatures has two signatures that the public documentation and test
// suite print for the example credentials, so that the reference is not alone.
func TestPublishedSignatures(t *testing.T) {
	tests := []struct{ name, wire string }{
		{"get-vanilla", "GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\nX-Amz-Date: 20150830T123600Z\r\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
			"SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n\r\n"},
		{"ListUsers", "GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1\r\nHost: iam.amazonaws.com\r\nX-Amz-Date: 20150830T123600Z\r\n" +
			"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
			"SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := readRequest(t, test.wire)
			auth, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := auth.Verify(r, sigv4.Hash(body), secret); err != nil {
				t.Error(err)
			}
		})
	}
}
