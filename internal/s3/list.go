package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"

	"sekisho/internal/store"
)

// maxKeys is the largest page of a list.
const maxKeys = 1000

type listedObject struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
	Owner                   *owner `xml:",omitempty"`
}

type commonPrefix struct{ Prefix string }

// objectList is the answer of ListObjects in both versions.
type objectList struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	XMLNS                 string   `xml:"xmlns,attr"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys               int
	IsTruncated           bool
	Marker                *string `xml:",omitempty"`
	NextMarker            string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	Contents              []listedObject
	CommonPrefixes        []commonPrefix
}

// listObjects serves version 2 (list-type=2) and version 1.
func (c *call) listObjects() error {
	q := c.query
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	context := keys{"s3:prefix": {prefix}, "s3:delimiter": {delimiter}, "s3:max-keys": {q.Get("max-keys")}}
	for name, member := range map[string]string{"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys"} {
		if !q.Has(member) {
			delete(context, name)
		}
	}
	b, err := c.in("ListBucket", c.bucketARN(), context)
	if err != nil {
		return err
	}
	limit := maxKeys
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return invalidArgument("Argument max-keys must be an integer between 0 and 2147483647")
		}
		limit = min(n, maxKeys)
	}
	v2 := q.Get("list-type") == "2"
	after := q.Get("marker")
	if v2 {
		after = q.Get("start-after")
		if token := q.Get("continuation-token"); token != "" {
			text, err := base64.RawURLEncoding.DecodeString(token)
			if err != nil {
				return errInvalidToken
			}
			after = string(text)
		}
	}
	encode := func(s string) string { return s }
	out := &objectList{XMLNS: namespace, Name: b.Name, MaxKeys: limit}
	if q.Get("encoding-type") == "url" {
		encode = encodeKey
		out.EncodingType = "url"
	}
	out.Prefix, out.Delimiter = encode(prefix), encode(delimiter)
	last, err := c.fill(b, out, prefix, delimiter, after, limit, encode, !v2 || q.Get("fetch-owner") == "true")
	if err != nil {
		return err
	}
	if v2 {
		out.KeyCount = new(len(out.Contents) + len(out.CommonPrefixes))
		out.StartAfter, out.ContinuationToken = encode(q.Get("start-after")), q.Get("continuation-token")
		if out.IsTruncated {
			out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(last))
		}
	} else {
		out.Marker = new(encode(after))
		if out.IsTruncated && delimiter != "" {
			out.NextMarker = encode(last)
		}
	}
	return c.answer(out)
}

// encodeKey is a key as encoding-type=url has it.
func encodeKey(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}

// fill puts objects and common prefixes into a list. It gives the last that is in it,
// from where the next page goes on.
func (c *call) fill(b store.Bucket, out *objectList, prefix, delimiter, after string, limit int, encode func(string) string, owned bool) (last string, err error) {
	f := store.ObjectFilter{BucketID: b.ID, Prefix: prefix, After: after, Limit: maxKeys}
	// The last page may have ended with a common prefix: nothing in it comes again.
	if group, ok := groupOf(after, prefix, delimiter); ok && group == after {
		f.From = following(group)
	}
	for count := 0; ; {
		list, err := c.s.cfg.Store.Objects(c.ctx, f)
		if err != nil || len(list) == 0 {
			return last, err
		}
		skipped := ""
		for _, o := range list {
			f.After = o.Key
			if skipped != "" && strings.HasPrefix(o.Key, skipped) {
				continue
			}
			if count == limit {
				out.IsTruncated = limit > 0
				return last, nil
			}
			count++
			if group, ok := groupOf(o.Key, prefix, delimiter); ok {
				out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{encode(group)})
				last, skipped = group, group
				continue
			}
			last = o.Key
			item := listedObject{Key: encode(o.Key), LastModified: isoTime(o.ModifiedAt), ETag: `"` + o.ETag + `"`, Size: o.Size, StorageClass: "STANDARD"}
			if owned {
				item.Owner = c.owner()
			}
			out.Contents = append(out.Contents, item)
		}
		if skipped != "" {
			f.From = following(skipped)
		}
	}
}

// groupOf gives the common prefix that a key belongs to.
func groupOf(key, prefix, delimiter string) (string, bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || delimiter == "" {
		return "", false
	}
	head, _, ok := strings.Cut(rest, delimiter)
	return prefix + head + delimiter, ok
}

// following is the first text that is after all that begin with prefix. Keys are UTF-8
// and so have no byte 0xff.
func following(prefix string) string { return prefix + "\xff" }
