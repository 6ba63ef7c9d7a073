package sigv4

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sign signs a request in its Authorization header. bodyHash is [Hash] of the body.
func Sign(r *http.Request, bodyHash string, cred Credentials, region, service string, now time.Time) {
	prepare(r, cred.SessionToken, now)
	scope := scopeOf(region, service, now)
	signed := headersToSign(r)
	text := textToSign(r, bodyHash, scope, service, signed, now)
	key := signingKey(cred.SecretAccessKey, scope[:len(dateForm)], region, service)
	setAuthorization(r, cred.AccessKeyID, scope, signed, hex.EncodeToString(mac(key, text)))
}

// SignRSA signs a request with a managed node's own key, as [Auth.VerifyRSA] reads it.
func SignRSA(r *http.Request, bodyHash, nodeID string, key *rsa.PrivateKey, region, service string, now time.Time) error {
	prepare(r, "", now)
	scope := scopeOf(region, service, now)
	signed := headersToSign(r)
	sum := sha256.Sum256([]byte(textToSign(r, bodyHash, scope, service, signed, now)))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: saltLength})
	if err != nil {
		return fmt.Errorf("sign request with the node's key: %w", err)
	}
	setAuthorization(r, nodeID, scope, signed, base64.StdEncoding.EncodeToString(signature))
	return nil
}

// Presign puts a signature into the request's URL, good for expires from now. Only
// the host is signed of the headers, so that the URL alone is enough to send it. An
// expires of zero leaves the window to the service.
func Presign(r *http.Request, bodyHash string, cred Credentials, region, service string, expires time.Duration, now time.Time) {
	scope := scopeOf(region, service, now)
	query := r.URL.Query()
	query.Set(queryAlgorithm, Algorithm)
	query.Set(queryCredential, cred.AccessKeyID+"/"+scope)
	query.Set(headerDate, now.UTC().Format(timeForm))
	query.Set(querySigned, "host")
	query.Del(querySignature)
	if expires > 0 {
		query.Set(queryExpires, strconv.FormatInt(int64(expires/time.Second), 10))
	}
	if cred.SessionToken != "" {
		query.Set(headerToken, cred.SessionToken)
	}
	r.URL.RawQuery = canonicalQuery(query.Encode())
	text := textToSign(r, bodyHash, scope, service, []string{"host"}, now)
	key := signingKey(cred.SecretAccessKey, scope[:len(dateForm)], region, service)
	r.URL.RawQuery += "&" + querySignature + "=" + hex.EncodeToString(mac(key, text))
}

// prepare sets the headers that belong to a signature and drops those of an older one.
func prepare(r *http.Request, token string, now time.Time) {
	r.Header.Del("Authorization")
	r.Header.Set(headerDate, now.UTC().Format(timeForm))
	r.Header.Del(headerToken)
	if token != "" {
		r.Header.Set(headerToken, token)
	}
}

// headersToSign are the host, the content's type and everything of AWS: what proxies
// on the way have no reason to touch.
func headersToSign(r *http.Request) []string {
	names := []string{"host"}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") || name == "content-type" || name == "content-md5" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func textToSign(r *http.Request, bodyHash, scope, service string, signed []string, now time.Time) string {
	canonical := canonicalRequest(r, canonicalURIs(r, service)[0], canonicalQuery(r.URL.RawQuery), signed, bodyHash)
	return stringToSign(now, scope, canonical)
}

func scopeOf(region, service string, now time.Time) string {
	return now.UTC().Format(dateForm) + "/" + region + "/" + service + "/" + terminator
}

func setAuthorization(r *http.Request, keyID, scope string, signed []string, signature string) {
	r.Header.Set("Authorization", Algorithm+" Credential="+keyID+"/"+scope+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+signature)
}
