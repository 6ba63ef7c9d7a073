package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strings"

	"sekisho/internal/store"
)

// owner is whom everything belongs to.
type owner struct {
	ID          string
	DisplayName string
}

func (c *call) owner() *owner {
	return &owner{ID: c.s.cfg.ARNs.Account, DisplayName: c.s.cfg.ARNs.Account}
}

func (c *call) listBuckets() error {
	if err := c.may("ListAllMyBuckets", "*", nil); err != nil {
		return err
	}
	list, err := c.s.cfg.Store.Buckets(c.ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b store.Bucket) int { return strings.Compare(a.Name, b.Name) })
	type bucket struct{ Name, CreationDate string }
	out := struct {
		XMLName xml.Name `xml:"ListAllMyBucketsResult"`
		XMLNS   string   `xml:"xmlns,attr"`
		Owner   *owner
		Buckets []bucket `xml:"Buckets>Bucket"`
	}{XMLNS: namespace, Owner: c.owner()}
	for _, b := range list {
		out.Buckets = append(out.Buckets, bucket{b.Name, isoTime(b.CreatedAt)})
	}
	return c.answer(out)
}

func (c *call) createBucket() error {
	if err := c.may("CreateBucket", c.bucketARN(), nil); err != nil {
		return err
	}
	if err := c.noACL(); err != nil {
		return err
	}
	if c.r.Header.Get("x-amz-bucket-object-lock-enabled") == "true" {
		return notImplemented("Object lock")
	}
	if c.r.ContentLength > 0 {
		var in struct {
			XMLName            xml.Name `xml:"CreateBucketConfiguration"`
			LocationConstraint string
		}
		if err := c.readXML(&in); err != nil {
			return err
		}
		if in.LocationConstraint != "" && in.LocationConstraint != c.s.cfg.ARNs.Region {
			return newError(http.StatusBadRequest, "InvalidLocationConstraint", "The specified location-constraint is not valid")
		}
	}
	err := c.s.cfg.Store.CreateBucket(c.ctx, store.Bucket{Name: c.bucket, CreatedAt: c.s.cfg.Now()})
	if errors.Is(err, store.ErrExists) {
		return errBucketExists
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// noACL refuses ACLs but those that say what is so anyhow: all belongs to the account.
func (c *call) noACL() error {
	switch c.r.Header.Get("x-amz-acl") {
	case "", "private", "bucket-owner-full-control":
	default:
		return errNoACL
	}
	for name := range c.r.Header {
		if strings.HasPrefix(name, "X-Amz-Grant-") {
			return errNoACL
		}
	}
	return nil
}

func (c *call) headBucket() error {
	if _, err := c.in("ListBucket", c.bucketARN(), nil); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) deleteBucket() error {
	b, err := c.in("DeleteBucket", c.bucketARN(), nil)
	if err != nil {
		return err
	}
	err = c.s.cfg.Store.DeleteBucket(c.ctx, b.Name, c.s.cfg.Now())
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		return errBucketNotEmpty
	case errors.Is(err, store.ErrNotFound):
		return errNoBucket
	case err != nil:
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) getBucketLocation() error {
	if _, err := c.in("GetBucketLocation", c.bucketARN(), nil); err != nil {
		return err
	}
	return c.answer(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		XMLNS   string   `xml:"xmlns,attr"`
		Region  string   `xml:",chardata"`
	}{XMLNS: namespace, Region: c.s.cfg.ARNs.Region})
}

func (c *call) getBucketVersioning() error {
	if _, err := c.in("GetBucketVersioning", c.bucketARN(), nil); err != nil {
		return err
	}
	return c.answer(struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		XMLNS   string   `xml:"xmlns,attr"`
	}{XMLNS: namespace})
}

func (c *call) getBucketPolicy() error {
	if _, err := c.in("GetBucketPolicy", c.bucketARN(), nil); err != nil {
		return err
	}
	return errNoBucketPolicy
}

// getACL answers what is so of every bucket and object: they are the account's alone.
func (c *call) getACL() error {
	action, resource := "GetBucketAcl", c.bucketARN()
	if c.key != "" {
		action, resource = "GetObjectAcl", c.objectARN()
	}
	b, err := c.in(action, resource, nil)
	if err == nil && c.key != "" {
		_, err = c.object(b)
	}
	if err != nil {
		return err
	}
	type grantee struct {
		XSI         string `xml:"xmlns:xsi,attr"`
		Type        string `xml:"xsi:type,attr"`
		ID          string
		DisplayName string
	}
	type grant struct {
		Grantee    grantee
		Permission string
	}
	all := c.owner()
	return c.answer(struct {
		XMLName           xml.Name `xml:"AccessControlPolicy"`
		XMLNS             string   `xml:"xmlns,attr"`
		Owner             *owner
		AccessControlList []grant `xml:"AccessControlList>Grant"`
	}{XMLNS: namespace, Owner: all, AccessControlList: []grant{{
		Grantee:    grantee{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", all.ID, all.DisplayName},
		Permission: "FULL_CONTROL",
	}}})
}

// encryption is the document of a bucket's encryption.
type encryption struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration"`
	XMLNS   string           `xml:"xmlns,attr,omitempty"`
	Rules   []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default struct {
		Algorithm string `xml:"SSEAlgorithm"`
		KeyID     string `xml:"KMSMasterKeyID,omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKeyEnabled bool
}

// The words for encryption with the deployment's own key and under a key of the key
// service.
const (
	sseOwn = "AES256"
	sseKMS = "aws:kms"
)

// getBucketEncryption tells what new objects are encrypted with. That they are not is no
// case here.
func (c *call) getBucketEncryption() error {
	b, err := c.in("GetEncryptionConfiguration", c.bucketARN(), nil)
	if err != nil {
		return err
	}
	rule := encryptionRule{}
	rule.Default.Algorithm, rule.Default.KeyID = algorithm(b.KMSKeyID), b.KMSKeyID
	return c.answer(encryption{XMLNS: namespace, Rules: []encryptionRule{rule}})
}

func algorithm(kmsKeyID string) string {
	if kmsKeyID == "" {
		return sseOwn
	}
	return sseKMS
}

func (c *call) putBucketEncryption() error {
	b, err := c.in("PutEncryptionConfiguration", c.bucketARN(), nil)
	if err != nil {
		return err
	}
	var in encryption
	if err := c.readXML(&in); err != nil {
		return err
	}
	if len(in.Rules) != 1 {
		return errMalformedXML
	}
	switch rule := in.Rules[0].Default; {
	case rule.Algorithm == sseOwn && rule.KeyID == "":
		err = c.s.cfg.Store.SetBucketKey(c.ctx, b.Name, "")
	case rule.Algorithm == sseKMS && rule.KeyID != "":
		// Making a key and throwing it away shows that the key can be used, and gives its ARN.
		var arn string
		if _, _, arn, err = c.s.vault.newKey(c.ctx, rule.KeyID, c.bucketARN()); err == nil {
			err = c.s.cfg.Store.SetBucketKey(c.ctx, b.Name, arn)
		}
	case rule.Algorithm == sseKMS:
		return invalidArgument("aws:kms needs a KMSMasterKeyID: there is no aws/s3 key here.")
	default:
		return errMalformedXML
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) deleteBucketEncryption() error {
	b, err := c.in("PutEncryptionConfiguration", c.bucketARN(), nil)
	if err == nil {
		err = c.s.cfg.Store.SetBucketKey(c.ctx, b.Name, "")
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
