// Package logstream is the log service that comes with a deployment: log groups, their
// streams and events, with the wire API of CloudWatch Logs, so that the aws CLI, the
// SDKs and the stock agent use it unchanged. One method per operation, one file per
// noun; a method asks [auth.Auth.Authorize] before it acts.
//
// It promises that what PutLogEvents accepted is in the database when it answers; that
// events whose retention is over are never shown again, and are removed by
// [Server.Sweep]; and that the events of a group with a key are encrypted under it and
// cannot be read while that key is disabled.
//
// sekishod serves [Server.Operations] through awsapi and calls [Server.Sweep] now and
// then; [Server.Close] ends the live tails before it stops. Insights queries, metric
// filters and subscriptions are not there: `aws logs tail --follow` polls and needs none
// of them.
package logstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config says what a Server works with.
type Config struct {
	Store *store.Store
	Auth  *auth.Auth
	ARNs  ssm.ARNs         // the deployment's region and account
	Keys  Keys             // nil: groups cannot be encrypted
	Now   func() time.Time // nil means time.Now
	// Logger is told what [Server.Sweep] removed. Nil means none.
	Logger *slog.Logger
}

// Keys makes and opens the data keys of encrypted groups.
type Keys interface {
	// NewDataKey makes a key of 32 bytes, in clear and encrypted under the key that
	// keyID names, if the caller may use that. It gives that key's ARN.
	NewDataKey(ctx context.Context, keyID string, context map[string]string) (arn string, plain, sealed []byte, err error)
	// OpenDataKey decrypts such a key, as long as the key over it may be used.
	OpenDataKey(ctx context.Context, sealed []byte, context map[string]string) (plain []byte, err error)
}

// Server serves the operations of CloudWatch Logs. Its methods may be called
// concurrently; those named after operations read the caller from the context
// ([auth.WithPrincipal]).
type Server struct {
	cfg      Config
	tokenKey []byte
	keys     keyring

	stopping chan struct{} // closed by Close

	mu       sync.Mutex
	sequence int64          // guarded by mu: the last that was given out
	tails    map[string]int // guarded by mu: live tails that run, by who started them
	stopped  bool           // guarded by mu
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("logstream needs a store, auth, an account and a region")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, tokenKey: cfg.Store.DeriveKey("log tokens"), keys: keyring{open: map[int64]openKey{}},
		stopping: make(chan struct{}), tails: map[string]int{}}, nil
}

// Close ends the live tails.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
}

// Operations are the operations that awsapi serves.
func (s *Server) Operations() []awsapi.Operation {
	return []awsapi.Operation{
		op("CreateLogGroup", s.CreateLogGroup),
		op("DeleteLogGroup", s.DeleteLogGroup),
		op("DescribeLogGroups", s.DescribeLogGroups),
		op("PutRetentionPolicy", s.PutRetentionPolicy),
		op("DeleteRetentionPolicy", s.DeleteRetentionPolicy),

		op("CreateLogStream", s.CreateLogStream),
		op("DeleteLogStream", s.DeleteLogStream),
		op("DescribeLogStreams", s.DescribeLogStreams),

		op("PutLogEvents", s.PutLogEvents),
		op("GetLogEvents", s.GetLogEvents),
		op("FilterLogEvents", s.FilterLogEvents),
		op("StartLiveTail", s.StartLiveTail),

		op("TagResource", s.TagResource),
		op("UntagResource", s.UntagResource),
		op("ListTagsForResource", s.ListTagsForResource),
		op("TagLogGroup", s.TagLogGroup),
		op("UntagLogGroup", s.UntagLogGroup),
		op("ListTagsLogGroup", s.ListTagsLogGroup),
	}
}

// op makes an operation of this service.
func op[In, Out any](name string, f func(context.Context, *In) (*Out, error)) awsapi.Operation {
	return awsapi.Op("logs", name, f)
}

// Empty is the answer of an operation that gives nothing.
type Empty struct{}

// Sweep removes the events whose retention is over, and what belonged to deleted groups
// and streams. Any number of servers may do so at any time.
func (s *Server) Sweep(ctx context.Context) error {
	expired, errExpired := s.cfg.Store.RemoveExpiredLogs(ctx, s.cfg.Now())
	deleted, errDeleted := s.cfg.Store.RemoveDeletedLogs(ctx)
	if expired+deleted > 0 {
		s.cfg.Logger.Info("log events removed", "expired", expired, "deleted", deleted)
	}
	if err := errors.Join(errExpired, errDeleted); err != nil {
		return fmt.Errorf("sweep logs: %w", err)
	}
	return nil
}
