package sigv4

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Verify holds the signature against the one that secret makes of the request. It
// takes the same time for a wrong signature as for a right one; for an unknown key
// the caller passes a secret that fits nothing. bodyHash is [Hash] of the body.
func (a *Auth) Verify(r *http.Request, bodyHash, secret string) error {
	key := signingKey(secret, a.Date, a.Region, a.Service)
	match := false
	for _, text := range a.stringsToSign(r, bodyHash) {
		want := hex.EncodeToString(mac(key, text))
		match = hmac.Equal([]byte(want), []byte(a.Signature)) || match
	}
	if !match || !bodyHashAgrees(r, bodyHash) {
		return ErrMismatch
	}
	return nil
}

// saltLength is that of a node's RSA-PSS signature, in bytes (agent-control-plane.md §2.2).
const saltLength = 32

// VerifyRSA holds the signature of a managed node against its public key: RSA-PSS
// with SHA-256 over the string that SigV4 signs, in base64.
func (a *Auth) VerifyRSA(r *http.Request, bodyHash string, key *rsa.PublicKey) error {
	signature, err := base64.StdEncoding.DecodeString(a.Signature)
	if err != nil || !bodyHashAgrees(r, bodyHash) {
		return ErrMismatch
	}
	for _, text := range a.stringsToSign(r, bodyHash) {
		sum := sha256.Sum256([]byte(text))
		if rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: saltLength}) == nil {
			return nil
		}
	}
	return ErrMismatch
}

// stringsToSign gives what the client may have signed: one text for each form of
// the path.
func (a *Auth) stringsToSign(r *http.Request, bodyHash string) []string {
	uris := canonicalURIs(r, a.Service)
	query := canonicalQuery(r.URL.RawQuery)
	texts := make([]string, len(uris))
	for i, uri := range uris {
		texts[i] = stringToSign(a.Time, a.scope(), canonicalRequest(r, uri, query, a.SignedHeaders, bodyHash))
	}
	return texts
}

// bodyHashAgrees says whether a hash in the request, which need not be signed, is
// that of the body. Other values of the header are words of S3, whose handler gives
// them as bodyHash.
func bodyHashAgrees(r *http.Request, bodyHash string) bool {
	sent := r.Header.Get(headerContentHash)
	return len(sent) != hex.EncodedLen(sha256.Size) || strings.EqualFold(sent, bodyHash)
}

func stringToSign(at time.Time, scope, canonical string) string {
	return Algorithm + "\n" + at.UTC().Format(timeForm) + "\n" + scope + "\n" + Hash([]byte(canonical))
}

// signingKey derives the key of one day, region and service.
func signingKey(secret, date, region, service string) []byte {
	key := mac([]byte("AWS4"+secret), date)
	key = mac(key, region)
	key = mac(key, service)
	return mac(key, terminator)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
