// Package sigv4 reads, verifies and makes AWS Signature Version 4 signatures, in
// the Authorization header and in the query of a presigned URL, with the variant
// that a managed node signs with its own RSA key.
//
// It promises the checks, their order and their texts as the services have them
// (api.md §2.2), compares signatures in constant time, and never reads a body: the
// caller gives its hash. It knows no keys: package auth looks them up between
// [Auth.Check] and [Auth.Verify]. The node agent and the tests sign with it.
//
// The algorithm is that of the public reference
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
// A signature carries no nonce, and SDKs repeat a request byte for byte when they
// retry within a second, so a repeat inside the window is not an error here.
package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Algorithm is the only algorithm of the service; a node's RSA signature carries the
// same name (agent-control-plane.md §2.2).
const Algorithm = "AWS4-HMAC-SHA256"

// terminator ends every credential scope.
const terminator = "aws4_request"

// Forms of the two dates in a signature.
const (
	timeForm = "20060102T150405Z" // X-Amz-Date
	dateForm = "20060102"         // credential scope
)

// EmptyHash is the hash of an empty body.
const EmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// UnsignedPayload stands in the place of the body's hash where S3 does not hash it.
const UnsignedPayload = "UNSIGNED-PAYLOAD"

// MaxExpires is the longest life of a presigned URL: seven days.
const MaxExpires = 604800 * time.Second

// Names of the headers, which are also those of the query of a presigned URL.
const (
	headerDate        = "X-Amz-Date"
	headerToken       = "X-Amz-Security-Token"
	headerContentHash = "X-Amz-Content-Sha256"
	queryAlgorithm    = "X-Amz-Algorithm"
	queryCredential   = "X-Amz-Credential"
	querySigned       = "X-Amz-SignedHeaders"
	querySignature    = "X-Amz-Signature"
	queryExpires      = "X-Amz-Expires"
)

// Credentials are what a request is signed with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of temporary credentials; else empty
}

// Hash gives the hash of a body as a signature has it: SHA-256 in lower-case
// hexadecimal digits.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Auth is what a request says about its signature. [Parse] makes it; nothing in it
// is to be believed before [Auth.Check] and [Auth.Verify] have agreed.
type Auth struct {
	Algorithm     string
	Credential    string // as sent: key id and scope
	AccessKeyID   string // or a managed node's id
	Date          string // of the scope, YYYYMMDD
	Region        string
	Service       string
	SignedHeaders []string
	Signature     string
	Time          time.Time     // X-Amz-Date
	Expires       time.Duration // of a presigned URL; zero when it names none
	Presigned     bool
	SecurityToken string // X-Amz-Security-Token, header or query

	terminator string
	scopeParts int // slash-delimited elements of Credential; 5 is right
}

// scope is the credential without the key id.
func (a *Auth) scope() string {
	return a.Date + "/" + a.Region + "/" + a.Service + "/" + a.terminator
}
