package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	"sekisho/internal/store"
)

// maxObject is the largest object that comes in one request, and the largest part.
const maxObject = 5 << 30

// keptHeaders are headers of a request that an object keeps.
var keptHeaders = []string{"Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "Cache-Control", "Expires"}

// maxMetadata bounds the names and values of user metadata, in bytes.
const maxMetadata = 2 << 10

// headers gives what an object keeps of the request's headers.
func (c *call) headers() (map[string]string, error) {
	kept := map[string]string{}
	for _, name := range keptHeaders {
		value := c.r.Header.Get(name)
		if name == "Content-Encoding" {
			value = withoutFraming(value)
		}
		if value != "" {
			kept[strings.ToLower(name)] = value
		}
	}
	size := 0
	for name, values := range c.r.Header {
		name = strings.ToLower(name)
		if rest, ok := strings.CutPrefix(name, "x-amz-meta-"); ok {
			kept[name] = strings.Join(values, ",")
			size += len(rest) + len(kept[name])
		}
	}
	if size > maxMetadata {
		return nil, errMetadataTooLarge
	}
	for _, value := range kept {
		if !utf8.ValidString(value) || len(value) > 2*maxMetadata {
			return nil, errMetadataTooLarge
		}
	}
	if kept["content-type"] == "" {
		kept["content-type"] = "binary/octet-stream"
	}
	return kept, nil
}

// withoutFraming takes aws-chunked from a list of encodings: it is of the request only.
func withoutFraming(encodings string) string {
	var left []string
	for encoding := range strings.SplitSeq(encodings, ",") {
		if encoding = strings.TrimSpace(encoding); encoding != "" && encoding != "aws-chunked" {
			left = append(left, encoding)
		}
	}
	return strings.Join(left, ",")
}

// wantedKey is the key of the key service that a new object is encrypted under: the one
// the request names, or the bucket's.
func (c *call) wantedKey(b store.Bucket) (string, error) {
	keyID := c.r.Header.Get("x-amz-server-side-encryption-aws-kms-key-id")
	switch c.r.Header.Get("x-amz-server-side-encryption") {
	case "":
		return b.KMSKeyID, nil
	case sseOwn:
		return "", nil
	case sseKMS:
		if keyID == "" {
			keyID = b.KMSKeyID
		}
		if keyID == "" {
			return "", invalidArgument("aws:kms needs a key: there is no aws/s3 key here.")
		}
		return keyID, nil
	}
	return "", invalidArgument("The encryption method specified is not supported")
}

// putKeys are the condition keys of writing.
func (c *call) putKeys() keys {
	all := keys{}
	for _, name := range []string{"x-amz-acl", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"} {
		if value := c.r.Header.Get(name); value != "" {
			all["s3:"+name] = []string{value}
		}
	}
	return all
}

// mayPut asks for the permission to write the object.
func (c *call) mayPut() (store.Bucket, error) {
	b, err := c.in("PutObject", c.objectARN(), c.putKeys())
	if err == nil {
		err = c.noACL()
	}
	if err == nil {
		err = c.ownLog()
	}
	return b, err
}

// ownLog refuses a node that would write the transcript of another node's session.
func (c *call) ownLog() error {
	return c.s.cfg.Auth.OwnSession(c.ctx, strings.TrimSuffix(path.Base(c.key), ".log"))
}

func (c *call) putObject() error {
	b, err := c.mayPut()
	if err != nil {
		return err
	}
	if c.r.Header.Get("x-amz-copy-source") != "" {
		return notImplemented("CopyObject")
	}
	ifAbsent := false
	switch c.r.Header.Get("If-None-Match") {
	case "":
	case "*":
		ifAbsent = true
	default:
		return notImplemented("If-None-Match with an entity tag")
	}
	headers, err := c.headers()
	if err != nil {
		return err
	}
	kmsKey, err := c.wantedKey(b)
	if err != nil {
		return err
	}
	from, err := c.sent.open(maxObject)
	if err != nil {
		return err
	}
	o := store.Object{BucketID: b.ID, Key: c.key, Headers: headers}
	var dataKey []byte
	if dataKey, o.SealedKey, o.KMSKeyID, err = c.s.vault.newKey(c.ctx, kmsKey, c.objectARN()); err != nil {
		return err
	}
	sum := md5.New()
	segment, err := c.s.write(c.ctx, dataKey, io.TeeReader(from, sum))
	if err != nil {
		return err
	}
	for name, value := range c.sent.sums {
		o.Headers[name] = value
	}
	o.Segments, o.Size, o.ETag, o.ModifiedAt = []store.Segment{segment}, segment.Size, hex.EncodeToString(sum.Sum(nil)), c.s.cfg.Now()
	err = c.s.cfg.Store.PutObject(c.ctx, o, ifAbsent)
	switch {
	case errors.Is(err, store.ErrExists):
		return errPrecondition
	case errors.Is(err, store.ErrNotFound):
		return errNoBucket
	case err != nil:
		return err
	}
	c.encryptionHeaders(o.KMSKeyID)
	c.w.Header().Set("ETag", `"`+o.ETag+`"`)
	for name, value := range c.sent.sums {
		c.w.Header().Set(name, value)
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) encryptionHeaders(kmsKeyID string) {
	c.w.Header().Set("x-amz-server-side-encryption", algorithm(kmsKeyID))
	if kmsKeyID != "" {
		c.w.Header().Set("x-amz-server-side-encryption-aws-kms-key-id", kmsKeyID)
	}
}

// object finds the object. That it does not exist, only those learn who may list.
func (c *call) object(b store.Bucket) (store.Object, error) {
	o, err := c.s.cfg.Store.Object(c.ctx, b.ID, c.key)
	if errors.Is(err, store.ErrNotFound) {
		if c.may("ListBucket", c.bucketARN(), nil) != nil {
			return o, errAccessDenied
		}
		return o, errNoKey
	}
	return o, err
}

// overrides are members of a query that replace headers of the answer.
var overrides = map[string]string{
	"response-content-type": "Content-Type", "response-content-disposition": "Content-Disposition",
	"response-content-encoding": "Content-Encoding", "response-content-language": "Content-Language",
	"response-cache-control": "Cache-Control", "response-expires": "Expires",
}

// getObject serves GetObject, with ranges and conditions, and HeadObject.
func (c *call) getObject() error {
	b, err := c.in("GetObject", c.objectARN(), nil)
	if err != nil {
		return err
	}
	o, err := c.object(b)
	if err != nil {
		return err
	}
	dataKey, err := c.s.vault.openKey(c.ctx, o.KMSKeyID, o.SealedKey, c.objectARN())
	if err != nil {
		return err
	}
	h := c.w.Header()
	checksums := c.r.Header.Get("x-amz-checksum-mode") == "ENABLED" && c.r.Header.Get("Range") == ""
	for name, value := range o.Headers {
		if !strings.HasPrefix(name, "x-amz-checksum-") || checksums {
			h.Set(name, value)
		}
	}
	for member, name := range overrides {
		if value := c.query.Get(member); value != "" && !strings.ContainsAny(value, "\r\n") {
			h.Set(name, value)
		}
	}
	c.encryptionHeaders(o.KMSKeyID)
	h.Set("ETag", `"`+o.ETag+`"`)
	h.Set("Accept-Ranges", "bytes")
	// What a session printed must not run in a browser that follows a presigned URL.
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	r := &objectReader{ctx: c.ctx, blobs: c.s.cfg.Blobs, dataKey: dataKey, segments: o.Segments, size: o.Size}
	defer r.Close()
	if o.Size > 0 && c.r.Method == http.MethodGet { // what cannot be read is an error, not an empty answer
		if err := r.load(); err != nil {
			return err
		}
	}
	http.ServeContent(c.w, c.r, "", o.ModifiedAt, r)
	return r.failed
}

func (c *call) deleteObject() error {
	b, err := c.in("DeleteObject", c.objectARN(), nil)
	if err == nil {
		err = c.ownLog()
	}
	if err == nil {
		err = c.s.cfg.Store.DeleteObject(c.ctx, b.ID, c.key, c.s.cfg.Now())
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteObjects deletes up to a thousand objects, each with its own permission.
func (c *call) deleteObjects() error {
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Objects []struct{ Key string } `xml:"Object"`
	}
	if err := c.readXML(&in); err != nil {
		return err
	}
	if len(in.Objects) == 0 || len(in.Objects) > 1000 {
		return errMalformedXML
	}
	type deleted struct{ Key string }
	type failure struct{ Key, Code, Message string }
	out := struct {
		XMLName xml.Name  `xml:"DeleteResult"`
		XMLNS   string    `xml:"xmlns,attr"`
		Deleted []deleted `xml:"Deleted"`
		Errors  []failure `xml:"Error"`
	}{XMLNS: namespace}
	for _, object := range in.Objects {
		c.key = object.Key
		b, err := c.in("DeleteObject", c.objectARN(), nil)
		if err == nil {
			err = c.ownLog()
		}
		if err == nil {
			err = c.s.cfg.Store.DeleteObject(c.ctx, b.ID, object.Key, c.s.cfg.Now())
		}
		if err == errNoBucket {
			return err
		}
		if err != nil {
			e, known := answerOf(err)
			if !known {
				return err
			}
			out.Errors = append(out.Errors, failure{object.Key, e.Code, e.Message})
		} else if !in.Quiet {
			out.Deleted = append(out.Deleted, deleted{object.Key})
		}
	}
	c.key = ""
	return c.answer(out)
}
