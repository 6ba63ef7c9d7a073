package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/sigv4"
)

// S3 is a service that speaks S3. Buckets are named in the path, which all of them take.
type S3 struct {
	endpoint string // https://host
	region   string
	access   Access
	client   *http.Client
}

// OpenS3 gives the service of "https://HOST?region=REGION".
func OpenS3(address string, access Access) (*S3, error) {
	endpoint, region, err := Service(address)
	if err != nil {
		return nil, err
	}
	return newS3(endpoint, region, access)
}

// Service reads the address of a service, "https://HOST?region=REGION".
func Service(address string) (endpoint, region string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", fmt.Errorf("address of a service: %w", err)
	}
	region = u.Query().Get("region")
	if u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || region == "" || u.User != nil {
		return "", "", fmt.Errorf("%q is not https://HOST?region=REGION", address)
	}
	return "https://" + u.Host, region, nil
}

func newS3(endpoint, region string, access Access) (*S3, error) {
	if region == "" {
		return nil, fmt.Errorf("the address of the store names no region")
	}
	if endpoint == "" {
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q is not https://HOST", endpoint)
	}
	client, err := access.Client()
	if err != nil {
		return nil, err
	}
	return &S3{endpoint: "https://" + u.Host, region: region, access: access, client: client}, nil
}

// Error is a refusal of the service.
type Error struct {
	Status        int
	Code, Message string
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("the store answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Code + ": " + e.Message
}

// Is says that a missing key is [fs.ErrNotExist].
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && e.Status == http.StatusNotFound && e.Code != "NoSuchBucket"
}

const (
	// maxDocument bounds an answer that is a document, in bytes: a thousand keys.
	maxDocument = 8 << 20
	// maxPut bounds how long one request may take.
	maxPut = time.Hour
)

// send sends a request. The caller closes the answer's body, which is not an error's.
func (s *S3) send(ctx context.Context, method, bucket, key string, query url.Values, header http.Header, hash string, size int64,
	open func() (io.ReadCloser, error)) (*http.Response, error) {
	address := s.endpoint + "/" + escape(bucket)
	if key != "" {
		address += "/" + escape(key)
	}
	if len(query) > 0 {
		address += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if open != nil {
		if r.Body, err = open(); err != nil {
			return nil, err
		}
		if r.ContentLength = size; size == 0 {
			r.Body.Close()
			r.Body = http.NoBody
		}
		r.GetBody = open
	}
	credentials, err := s.access.Credentials()
	if err != nil {
		return nil, err
	}
	r.Header.Set("x-amz-content-sha256", hash)
	sigv4.Sign(r, hash, credentials, s.region, "s3", time.Now())
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxDocument)) // what came is enough for a message
		e := &Error{Status: answer.StatusCode}
		var doc struct{ Code, Message string }
		if xml.Unmarshal(text, &doc) == nil { // a proxy's answer may be anything
			e.Code, e.Message = doc.Code, doc.Message
		}
		return nil, e
	}
	return answer, nil
}

// escape escapes a path for a URL as S3 wants it signed.
func escape(key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(part), "+", "%20")
	}
	return strings.Join(parts, "/")
}

// Put puts an object into a bucket.
func (s *S3) Put(ctx context.Context, bucket, key string, header http.Header, size int64, open func() (io.ReadCloser, error)) error {
	ctx, cancel := context.WithTimeout(ctx, maxPut)
	defer cancel()
	hash, err := hashOf(size, open)
	if err != nil {
		return err
	}
	answer, err := s.send(ctx, http.MethodPut, bucket, key, nil, header, hash, size, open)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// hashOf reads what is to be sent once, for the signature.
func hashOf(size int64, open func() (io.ReadCloser, error)) (string, error) {
	body, err := open()
	if err != nil {
		return "", err
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, body)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}

// prefixed are the objects of a bucket whose keys begin with a path.
type prefixed struct {
	s      *S3
	bucket string
	prefix string // without slashes around it; may be empty
}

func (p *prefixed) key(key string) string {
	if p.prefix == "" {
		return key
	}
	return p.prefix + "/" + key
}

func (p *prefixed) Put(ctx context.Context, key string, size int64, open func() (io.ReadCloser, error)) error {
	return p.s.Put(ctx, p.bucket, p.key(key), nil, size, open)
}

func (p *prefixed) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	answer, err := p.s.send(ctx, http.MethodGet, p.bucket, p.key(key), nil, nil, sigv4.EmptyHash, 0, nil)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

func (p *prefixed) Remove(ctx context.Context, key string) error {
	answer, err := p.s.send(ctx, http.MethodDelete, p.bucket, p.key(key), nil, nil, sigv4.EmptyHash, 0, nil)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func (p *prefixed) List(ctx context.Context, prefix string) (keys []string, err error) {
	query := url.Values{"list-type": {"2"}, "prefix": {p.key(prefix)}, "encoding-type": {"url"}}
	for {
		answer, err := p.s.send(ctx, http.MethodGet, p.bucket, "", query, nil, sigv4.EmptyHash, 0, nil)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument))
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		var doc struct {
			IsTruncated           string
			NextContinuationToken string
			EncodingType          string
			Contents              []struct{ Key string }
		}
		if err := xml.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("read the list of the store: %w", err)
		}
		for _, o := range doc.Contents {
			if doc.EncodingType == "url" {
				if o.Key, err = url.QueryUnescape(o.Key); err != nil {
					return nil, fmt.Errorf("read the list of the store: %w", err)
				}
			}
			if p.prefix != "" {
				o.Key = strings.TrimPrefix(o.Key, p.prefix+"/")
			}
			keys = append(keys, o.Key)
		}
		if more, _ := strconv.ParseBool(doc.IsTruncated); !more || doc.NextContinuationToken == "" {
			return keys, nil
		}
		query.Set("continuation-token", doc.NextContinuationToken)
	}
}
