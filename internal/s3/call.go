package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/internal/auth"
	"sekisho/internal/sigv4"
	"sekisho/internal/store"
)

// call is one request on its way through.
type call struct {
	s   *Server
	w   *patientWriter
	r   *http.Request
	ctx context.Context // with the caller, once known
	id  string

	operation   string // as CloudTrail names it; empty until it is known
	bucket, key string
	query       url.Values
	sent        body // of the request
}

// operation is a method with what it is chosen by.
type operation struct {
	method string
	// query members that must be there; all others that name a subresource must not be.
	query []string
	name  string
	do    func(*call) error
}

var bucketOperations = []operation{
	{http.MethodPut, nil, "CreateBucket", (*call).createBucket},
	{http.MethodHead, nil, "HeadBucket", (*call).headBucket},
	{http.MethodDelete, nil, "DeleteBucket", (*call).deleteBucket},
	{http.MethodGet, []string{"location"}, "GetBucketLocation", (*call).getBucketLocation},
	{http.MethodGet, []string{"versioning"}, "GetBucketVersioning", (*call).getBucketVersioning},
	{http.MethodGet, []string{"acl"}, "GetBucketAcl", (*call).getACL},
	{http.MethodGet, []string{"policy"}, "GetBucketPolicy", (*call).getBucketPolicy},
	{http.MethodGet, []string{"encryption"}, "GetBucketEncryption", (*call).getBucketEncryption},
	{http.MethodPut, []string{"encryption"}, "PutBucketEncryption", (*call).putBucketEncryption},
	{http.MethodDelete, []string{"encryption"}, "DeleteBucketEncryption", (*call).deleteBucketEncryption},
	{http.MethodPost, []string{"delete"}, "DeleteObjects", (*call).deleteObjects},
	{http.MethodGet, nil, "ListObjects", (*call).listObjects},
}

var objectOperations = []operation{
	{http.MethodGet, nil, "GetObject", (*call).getObject},
	{http.MethodHead, nil, "HeadObject", (*call).getObject},
	{http.MethodPut, nil, "PutObject", (*call).putObject},
	{http.MethodDelete, nil, "DeleteObject", (*call).deleteObject},
	{http.MethodGet, []string{"acl"}, "GetObjectAcl", (*call).getACL},
	{http.MethodPost, []string{"uploads"}, "CreateMultipartUpload", (*call).createUpload},
	{http.MethodPut, []string{"partNumber", "uploadId"}, "UploadPart", (*call).uploadPart},
	{http.MethodGet, []string{"uploadId"}, "ListParts", (*call).listParts},
	{http.MethodPost, []string{"uploadId"}, "CompleteMultipartUpload", (*call).completeUpload},
	{http.MethodDelete, []string{"uploadId"}, "AbortMultipartUpload", (*call).abortUpload},
}

// subresources are the members of a query that make another operation of a request. Those
// of operations that are not here must not be taken for the plain ones.
var subresources = strings.Fields(`accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold
	lifecycle location logging metrics notification object-lock ownershipControls partNumber policy policyStatus publicAccessBlock
	replication requestPayment restore retention select tagging torrent uploadId uploads versionId versioning versions website`)

// choose finds the operation of the request.
func (c *call) choose() (operation, error) {
	if c.bucket == "" {
		if c.r.Method == http.MethodGet {
			return operation{name: "ListBuckets", do: (*call).listBuckets}, nil
		}
		return operation{}, errMethod
	}
	list := bucketOperations
	if c.key != "" {
		list = objectOperations
	}
	var named []string
	for _, name := range subresources {
		if c.query.Has(name) {
			named = append(named, name)
		}
	}
	for _, op := range list {
		if op.method == c.r.Method && slices.Equal(op.query, named) {
			return op, nil
		}
	}
	if len(named) > 0 {
		return operation{}, notImplemented("?" + strings.Join(named, "&") + " with " + c.r.Method)
	}
	return operation{}, errMethod
}

var bucketForm = regexp.MustCompile(`\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\z`)

// maxKey is the longest key in bytes.
const maxKey = 1024

// serve takes the steps of a request: which operation, who calls, and then the operation
// itself, which asks what it may.
func (c *call) serve() error {
	// The stock agent needs it on every answer to HeadBucket, whatever it says
	// (agent-control-plane.md §5.1).
	c.w.Header().Set("x-amz-bucket-region", c.s.cfg.ARNs.Region)
	path := strings.TrimPrefix(c.r.URL.Path, "/")
	bucket, _ := c.s.bucketOfHost(c.r.Host)
	if bucket != "" {
		c.bucket, c.key = bucket, path
	} else {
		c.bucket, c.key, _ = strings.Cut(path, "/")
	}
	c.query = c.r.URL.Query()
	op, err := c.choose()
	if err != nil {
		return err
	}
	hash, err := c.bodyHash()
	if err != nil {
		return err
	}
	p, err := c.s.cfg.Auth.AuthenticateHash(c.ctx, c.r, hash, "s3")
	if err != nil {
		return c.s.refused(err, c.query.Has("X-Amz-Signature"))
	}
	if p.Kind == auth.Node { // its own key is good for its own operations only
		return errUnknownKey
	}
	c.ctx = auth.WithPrincipal(c.ctx, p)
	c.operation = op.name
	switch {
	case c.bucket != "" && !bucketForm.MatchString(c.bucket):
		return errBucketName
	case len(c.key) > maxKey:
		return errKeyTooLong
	case !utf8.ValidString(c.key):
		return invalidArgument("Keys are UTF-8.")
	case c.r.Header.Get("x-amz-server-side-encryption-customer-algorithm") != "":
		return errServerSideCustom
	}
	return op.do(c)
}

// bodyHash gives what was signed of the body and prepares reading it.
func (c *call) bodyHash() (string, error) {
	hash := c.r.Header.Get("x-amz-content-sha256")
	presigned := c.query.Has("X-Amz-Signature")
	if err := c.allSigned(presigned); err != nil {
		return "", err
	}
	if hash == "" && !presigned {
		return "", errMissingHash
	}
	if hash == "" {
		hash = unsignedPayload
	}
	c.sent = body{call: c, hash: hash}
	return hash, nil
}

// allSigned says whether the signature covers each header of S3: who could add one on the
// way could change what the request means.
func (c *call) allSigned(presigned bool) error {
	sig, err := sigv4.Parse(c.r)
	if err != nil {
		return c.s.refused(err, presigned)
	}
	for name := range c.r.Header {
		name = strings.ToLower(name)
		if name == "x-amz-content-sha256" { // is itself a part of what is signed
			continue
		}
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(sig.SignedHeaders, name) {
			return errUnsignedHeader
		}
	}
	return nil
}

func (c *call) bucketARN() string { return "arn:aws:s3:::" + c.bucket }
func (c *call) objectARN() string { return c.bucketARN() + "/" + c.key }

// keys are condition keys of one question, by their full names.
type keys = map[string][]string

// may asks for a permission.
func (c *call) may(action, resource string, context keys) error {
	return c.s.cfg.Auth.Authorize(c.ctx, auth.Request{Action: "s3:" + action, Resource: resource, Context: context})
}

// in asks for a permission and then finds the bucket: only who may act on it learns that
// it does not exist.
func (c *call) in(action, resource string, context keys) (store.Bucket, error) {
	if err := c.may(action, resource, context); err != nil {
		return store.Bucket{}, err
	}
	b, err := c.s.cfg.Store.Bucket(c.ctx, c.bucket)
	if errors.Is(err, store.ErrNotFound) {
		return b, errNoBucket
	}
	return b, err
}

// answer sends a document of S3.
func (c *call) answer(document any) error {
	body, err := xml.Marshal(document)
	if err != nil {
		return err
	}
	c.sendXML(http.StatusOK, body)
	return nil
}

func (c *call) sendXML(status int, body []byte) {
	body = append([]byte(xml.Header), body...)
	h := c.w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // the client may be gone
	}
}

// maxXML bounds a document in a request: a thousand keys, or ten thousand parts.
const maxXML = 2 << 20

// readXML reads a document from the request.
func (c *call) readXML(into any) error {
	r, err := c.sent.open(maxXML)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := xml.Unmarshal(text, into); err != nil {
		return errMalformedXML
	}
	return nil
}

// namespace is that of all documents.
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// patience is how long a peer may take or give nothing. The server's own limits are for
// whole requests and would cut large objects on slow lines.
const patience = time.Minute

// patientWriter is the answer, with a deadline for each write.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	began   bool
}

// WriteHeader notes that the answer has begun.
func (w *patientWriter) WriteHeader(status int) {
	w.began = true
	_ = w.control.SetWriteDeadline(time.Now().Add(patience)) // not all writers can
	w.ResponseWriter.WriteHeader(status)
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.began = true
	_ = w.control.SetWriteDeadline(time.Now().Add(patience))
	return w.ResponseWriter.Write(p)
}
