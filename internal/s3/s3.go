// Package s3 is the object service that comes with a deployment: buckets for session
// logs, with the wire API of Amazon S3 as far as the aws CLI, the SDKs and the stock
// agent need it for that. One method per operation, one file per noun; each asks
// [auth.Auth.Authorize] before it acts.
//
// It promises that what PutObject accepted is on the disk when it answers, whole or not
// at all; that every object is encrypted before it gets there, with a key of its own, so
// that whoever has the disk and not the master key has nothing; and that a body is held
// against every checksum that came with it. The index of the objects is in the store:
// lists are exact and an object is replaced in one step.
//
// sekishod sends requests here that [Server.Matches] knows, and calls [Server.Sweep] now
// and then. Versions, object locks, ACLs, bucket policies, tags and events are not there.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config says what a Server works with.
type Config struct {
	Store *store.Store
	Auth  *auth.Auth
	ARNs  ssm.ARNs // the deployment's region and account
	Blobs Blobs    // where the bytes are
	Keys  Keys     // nil: buckets cannot have a key of the key service
	// Domains are host names below which buckets have names of their own:
	// BUCKET.DOMAIN. Requests by any other name have the bucket in their path.
	Domains []string
	// Record is told of every answer. Nil means nobody.
	Record func(ctx context.Context, action string, in, out any, err error)
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means none
}

// Keys makes and opens data keys under keys of the key service.
type Keys interface {
	// NewDataKey makes a key of 32 bytes, in clear and encrypted under the key that
	// keyID names, if the caller may use that. It gives that key's ARN.
	NewDataKey(ctx context.Context, keyID string, context map[string]string) (arn string, plain, sealed []byte, err error)
	// OpenDataKey decrypts such a key, as long as the key over it may be used.
	OpenDataKey(ctx context.Context, sealed []byte, context map[string]string) (plain []byte, err error)
}

// Server serves the operations. It may be used concurrently.
type Server struct {
	cfg   Config
	vault vault
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.Blobs == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("s3 needs a store, auth, blobs, an account and a region")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Record == nil {
		cfg.Record = func(context.Context, string, any, any, error) {}
	}
	return &Server{cfg: cfg, vault: newVault(cfg.Store.DeriveKey("objects"), cfg.Keys)}, nil
}

// Matches says whether a request is for this service: it is signed for it, or comes by
// one of its host names.
func (s *Server) Matches(r *http.Request) bool {
	if service := sigv4.Service(r); service != "" {
		return service == "s3"
	}
	_, ours := s.bucketOfHost(r.Host)
	return ours && r.Header.Get("X-Amz-Target") == ""
}

// bucketOfHost takes the bucket from a host name. ours says that the name is one of
// Domains or below; the bucket is then empty for the domain itself.
func (s *Server) bucketOfHost(host string) (bucket string, ours bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for _, domain := range s.cfg.Domains {
		if host == domain {
			return "", true
		}
		if bucket, ok := strings.CutSuffix(host, "."+domain); ok {
			return bucket, true
		}
	}
	return "", false
}

const (
	// reservation is how long a blob may take to be written.
	reservation = 24 * time.Hour
	// uploadLife is how long an upload in parts may take.
	uploadLife = 7 * 24 * time.Hour
	// sweepBatch is how many blobs are removed before others are looked for.
	sweepBatch = 500
)

// Sweep removes the blobs that are not used any more, and uploads that were never
// finished. Any number of servers may do so at any time.
func (s *Server) Sweep(ctx context.Context) error {
	now := s.cfg.Now()
	if err := s.cfg.Store.AbortUploadsBefore(ctx, now.Add(-uploadLife), now); err != nil {
		return fmt.Errorf("sweep uploads: %w", err)
	}
	for {
		ids, err := s.cfg.Store.UnusedBlobs(ctx, now.Add(-readGrace), sweepBatch)
		if err != nil {
			return fmt.Errorf("sweep objects: %w", err)
		}
		for _, id := range ids {
			err = errors.Join(err, s.cfg.Blobs.Remove(ctx, id))
			if err == nil {
				err = s.cfg.Store.ForgetBlob(ctx, id)
			}
			if err != nil {
				return fmt.Errorf("sweep objects: %w", err)
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
}

// readGrace is how long the blobs of an object that was replaced stay for those who are
// reading it.
const readGrace = time.Hour

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := awsapi.WithRequest(r.Context(), awsapi.RequestInfo{
		Service: "s3", SourceIP: sourceIP(r.RemoteAddr), UserAgent: strings.ToValidUTF8(r.UserAgent(), ""), Host: r.Host,
	})
	c := &call{s: s, w: &patientWriter{ResponseWriter: w, control: http.NewResponseController(w)}, r: r, ctx: ctx, id: awsapi.Info(ctx).RequestID}
	c.w.Header().Set("x-amz-request-id", c.id)
	c.w.Header().Set("Server", "AmazonS3") // some clients look whether it is one
	err := c.serve()
	if err != nil {
		c.fail(err)
	}
	if c.operation != "" {
		in := &Request{BucketName: c.bucket, Key: c.key}
		s.cfg.Record(c.ctx, "s3:"+c.operation, in, &struct{}{}, apiError(err))
	}
}

// Request is what the audit trail is told of a request.
type Request struct {
	BucketName string `json:"bucketName"`
	Key        string `json:"key,omitempty"`
}

func sourceIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
