package s3

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"sekisho/internal/store"
)

const (
	maxParts = 10000
	// minPart is the smallest part that is not the last one.
	minPart = 5 << 20
)

func (c *call) createUpload() error {
	b, err := c.mayPut()
	if err != nil {
		return err
	}
	u := store.ObjectUpload{ID: rand.Text() + rand.Text(), BucketID: b.ID, Key: c.key, CreatedAt: c.s.cfg.Now()}
	if u.Headers, err = c.headers(); err != nil {
		return err
	}
	kmsKey, err := c.wantedKey(b)
	if err != nil {
		return err
	}
	if _, u.SealedKey, u.KMSKeyID, err = c.s.vault.newKey(c.ctx, kmsKey, c.objectARN()); err != nil {
		return err
	}
	if err := c.s.cfg.Store.CreateUpload(c.ctx, u); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return errNoBucket
		}
		return err
	}
	c.encryptionHeaders(u.KMSKeyID)
	return c.answer(struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		XMLNS    string   `xml:"xmlns,attr"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{XMLNS: namespace, Bucket: b.Name, Key: c.key, UploadID: u.ID})
}

// upload finds the upload that the request names, for who has the permission action.
func (c *call) upload(action string) (store.ObjectUpload, error) {
	b, err := c.in(action, c.objectARN(), nil)
	if err != nil {
		return store.ObjectUpload{}, err
	}
	u, err := c.s.cfg.Store.Upload(c.ctx, b.ID, c.key, c.query.Get("uploadId"))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return u, errNoUpload
	}
	return u, err
}

func (c *call) uploadPart() error {
	u, err := c.upload("PutObject")
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return errInvalidPartNumber
	}
	if c.r.Header.Get("x-amz-copy-source") != "" {
		return notImplemented("UploadPartCopy")
	}
	from, err := c.sent.open(maxObject)
	if err != nil {
		return err
	}
	dataKey, err := c.s.vault.openKey(c.ctx, u.KMSKeyID, u.SealedKey, c.objectARN())
	if err != nil {
		return err
	}
	sum := md5.New()
	segment, err := c.s.write(c.ctx, dataKey, io.TeeReader(from, sum))
	if err != nil {
		return err
	}
	part := store.ObjectPart{Number: number, Segment: segment, MD5: sum.Sum(nil), CreatedAt: c.s.cfg.Now()}
	if err := c.s.cfg.Store.PutPart(c.ctx, u.ID, part); err != nil {
		return uploadError(err)
	}
	c.encryptionHeaders(u.KMSKeyID)
	c.w.Header().Set("ETag", `"`+hex.EncodeToString(part.MD5)+`"`)
	for name, value := range c.sent.sums {
		c.w.Header().Set(name, value)
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// uploadError is the answer where an upload ended meanwhile.
func uploadError(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errNoUpload
	}
	return err
}

func (c *call) listParts() error {
	u, err := c.upload("ListMultipartUploadParts")
	if err != nil {
		return err
	}
	limit, after := maxKeys, 0
	for name, n := range map[string]*int{"max-parts": &limit, "part-number-marker": &after} {
		if text := c.query.Get(name); text != "" {
			if *n, err = strconv.Atoi(text); err != nil || *n < 0 {
				return invalidArgument("%s must be a number", name)
			}
		}
	}
	limit = min(max(limit, 1), maxKeys)
	parts, err := c.s.cfg.Store.Parts(c.ctx, u.ID, after, limit+1)
	if err != nil {
		return err
	}
	type part struct {
		PartNumber         int
		LastModified, ETag string
		Size               int64
	}
	out := struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		XMLNS                string   `xml:"xmlns,attr"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		Initiator, Owner     *owner
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Parts                []part `xml:"Part"`
	}{XMLNS: namespace, Bucket: c.bucket, Key: c.key, UploadID: u.ID, Initiator: c.owner(), Owner: c.owner(), StorageClass: "STANDARD",
		PartNumberMarker: after, MaxParts: limit, IsTruncated: len(parts) > limit}
	for _, p := range parts[:min(len(parts), limit)] {
		out.Parts = append(out.Parts, part{p.Number, isoTime(p.CreatedAt), `"` + hex.EncodeToString(p.MD5) + `"`, p.Segment.Size})
		out.NextPartNumberMarker = p.Number
	}
	return c.answer(out)
}

func (c *call) completeUpload() error {
	u, err := c.upload("PutObject")
	if err != nil {
		return err
	}
	var in struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Parts   []struct {
			PartNumber int
			ETag       string
		} `xml:"Part"`
	}
	if err := c.readXML(&in); err != nil {
		return err
	}
	if len(in.Parts) == 0 || len(in.Parts) > maxParts {
		return errMalformedXML
	}
	have := map[int]store.ObjectPart{}
	for after := 0; ; {
		parts, err := c.s.cfg.Store.Parts(c.ctx, u.ID, after, maxKeys)
		if err != nil {
			return err
		}
		for _, p := range parts {
			have[p.Number] = p
			after = p.Number
		}
		if len(parts) < maxKeys {
			break
		}
	}
	o := store.Object{BucketID: u.BucketID, Key: u.Key, Headers: u.Headers, KMSKeyID: u.KMSKeyID, SealedKey: u.SealedKey, ModifiedAt: c.s.cfg.Now()}
	sums := md5.New()
	for i, named := range in.Parts {
		p, ok := have[named.PartNumber]
		if !ok || strings.Trim(named.ETag, `"`) != hex.EncodeToString(p.MD5) {
			return errInvalidPart
		}
		if i > 0 && named.PartNumber <= in.Parts[i-1].PartNumber {
			return errInvalidPartOrder
		}
		if i < len(in.Parts)-1 && p.Segment.Size < minPart {
			return errEntityTooSmall
		}
		sums.Write(p.MD5)
		o.Size += p.Segment.Size
		if p.Segment.Size > 0 {
			o.Segments = append(o.Segments, p.Segment)
		}
	}
	o.ETag = hex.EncodeToString(sums.Sum(nil)) + "-" + strconv.Itoa(len(in.Parts))
	if err := c.s.cfg.Store.CompleteUpload(context.WithoutCancel(c.ctx), u.ID, o); err != nil {
		return uploadError(err)
	}
	c.encryptionHeaders(o.KMSKeyID)
	return c.answer(struct {
		XMLName                     xml.Name `xml:"CompleteMultipartUploadResult"`
		XMLNS                       string   `xml:"xmlns,attr"`
		Location, Bucket, Key, ETag string
	}{XMLNS: namespace, Location: "https://" + c.r.Host + c.r.URL.EscapedPath(), Bucket: c.bucket, Key: c.key, ETag: `"` + o.ETag + `"`})
}

func (c *call) abortUpload() error {
	u, err := c.upload("AbortMultipartUpload")
	if err != nil {
		return err
	}
	if err := c.s.cfg.Store.AbortUpload(c.ctx, u.ID, c.s.cfg.Now()); err != nil {
		return uploadError(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
