package sigv4_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sekisho/internal/sigv4"
)

// nodeKey is made once: key generation is slow under the race detector.
var nodeKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

const nodeID = "mi-0123456789abcdef0"

// verifyRSA takes the steps of a server for a node's request.
func verifyRSA(r *http.Request, body []byte, key *rsa.PublicKey) (*sigv4.Auth, error) {
	auth, err := sigv4.Parse(r)
	if err != nil {
		return nil, err
	}
	if err := auth.Check(policy); err != nil {
		return nil, err
	}
	return auth, auth.VerifyRSA(r, sigv4.Hash(body), key)
}

func TestNodeSignatureRoundTrip(t *testing.T) {
	const text = `{"Fingerprint":"f"}`
	r := newRequest(t, text)
	if err := sigv4.SignRSA(r, sigv4.Hash([]byte(text)), nodeID, nodeKey(), "local-1", "ssm", now); err != nil {
		t.Fatal(err)
	}
	seen, body := overWire(t, r)
	auth, err := verifyRSA(seen, body, &nodeKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if auth.AccessKeyID != nodeID || auth.SecurityToken != "" {
		t.Errorf("got %+v", auth)
	}
	if _, err := verifyRSA(seen, []byte(`{"Fingerprint":"g"}`), &nodeKey().PublicKey); err != error(sigv4.ErrMismatch) {
		t.Errorf("another body: got %v", err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyRSA(seen, body, &other.PublicKey); err != error(sigv4.ErrMismatch) {
		t.Errorf("another key: got %v", err)
	}
	seen.Header.Set("X-Amz-Target", "AmazonSSM.UpdateManagedInstancePublicKey")
	if _, err := verifyRSA(seen, body, &nodeKey().PublicKey); err != error(sigv4.ErrMismatch) {
		t.Errorf("another operation: got %v", err)
	}
	// An RSA signature is none of an HMAC's, whatever the secret.
	if err := auth.Verify(seen, sigv4.Hash(body), ""); err != error(sigv4.ErrMismatch) {
		t.Errorf("as HMAC: got %v", err)
	}
}

// TestStockAgentRequest has the bytes of a stock agent's request for its role token
// (agent-control-plane.md §2.2): chunked, the body's hash sent but not signed, the
// signature in base64 over a text that the test writes down itself.
func TestStockAgentRequest(t *testing.T) {
	const text = `{"Fingerprint":"f0a1b2c3-0000-0000-0000-000000000000"}`
	bodyHash := sigv4.Hash([]byte(text))
	sign := func(salt int) string {
		canonical := sha256.Sum256([]byte("POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:server.test:8443\n" +
			"x-amz-date:20260523T073128Z\nx-amz-target:AmazonSSM.RequestManagedInstanceRoleToken\n\n" +
			"content-type;host;x-amz-date;x-amz-target\n" + bodyHash))
		sum := sha256.Sum256([]byte("AWS4-HMAC-SHA256\n20260523T073128Z\n20260523/local-1/ssm/aws4_request\n" + hex.EncodeToString(canonical[:])))
		signature, err := rsa.SignPSS(rand.Reader, nodeKey(), crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(signature)
	}
	wire := func(signature, hash string) string {
		return "POST / HTTP/1.1\r\nHost: server.test:8443\r\n" +
			"User-Agent: aws-sdk-go/1.51.20 (go1.22; linux; amd64) amazon-ssm-agent/3.3.0.0\r\nTransfer-Encoding: chunked\r\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=" + nodeID + "/20260523/local-1/ssm/aws4_request, " +
			"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + signature + "\r\n" +
			"Content-Type: application/x-amz-json-1.1\r\nX-Amz-Content-Sha256: " + hash + "\r\nX-Amz-Date: 20260523T073128Z\r\n" +
			"X-Amz-Target: AmazonSSM.RequestManagedInstanceRoleToken\r\nAccept-Encoding: gzip\r\n\r\n" +
			strconv.FormatInt(int64(len(text)), 16) + "\r\n" + text + "\r\n0\r\n\r\n"
	}
	good := sign(32)
	tests := []struct {
		name, wire string
		ok         bool
	}{
		{"as sent", wire(good, bodyHash), true},
		{"the hash of another body", wire(good, sigv4.EmptyHash), false},
		{"another salt length", wire(sign(20), bodyHash), false},
		{"no base64", wire("%%%", bodyHash), false},
		{"base64 without padding", wire(strings.TrimRight(good, "="), bodyHash), false},
		{"base64 of the URL kind", wire(base64.URLEncoding.EncodeToString([]byte("\xff\xff\xff")), bodyHash), false},
		{"empty base64", wire("=", bodyHash), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := readRequest(t, test.wire)
			if string(body) != text {
				t.Fatalf("body %q", body)
			}
			_, err := verifyRSA(r, body, &nodeKey().PublicKey)
			if test.ok != (err == nil) {
				t.Errorf("got %v, want ok %v", err, test.ok)
			}
		})
	}
}
