// Package iam is the service that keeps users, groups, roles and policies: one method
// per operation of the IAM API, one file per noun. A method starts by asking
// [auth.Auth.Authorize], so that a caller without permission learns nothing about what
// exists, and then acts through the store.
//
// It promises that a secret (an access key's, a password, the seed of an MFA device) is
// shown at most once, to the caller who made it, and is in no error and no log; that
// every write may be repeated or is refused with the code that the service has for it;
// and that what it changed holds for the next request. sekishod serves
// [Server.Operations] through awsapi; the console calls the same methods as the
// signed-in principal.
package iam

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
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
	ARNs  ssm.ARNs // the deployment's region and account
	// PageKey protects markers. Every server of a deployment must have the same; nil
	// derives it from the store's master key.
	PageKey []byte
	Now     func() time.Time // nil means time.Now
	Logger  *slog.Logger     // nil means none
}

// Server serves the operations of IAM. Its methods may be called concurrently; they
// read the caller from the context ([auth.WithPrincipal]).
type Server struct {
	cfg     Config
	hashing chan struct{} // bounds the password hashes under way, each of 19 MiB
	guesses guesses       // of old passwords
}

// maxHashing is how many passwords are hashed at the same time.
const maxHashing = 2

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("iam needs a store, auth, an account and a region")
	}
	if cfg.PageKey == nil {
		cfg.PageKey = cfg.Store.DeriveKey("iam markers")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, hashing: make(chan struct{}, maxHashing)}, nil
}

// Operations are the operations that awsapi serves.
func (s *Server) Operations() []awsapi.Operation {
	return slices.Concat(
		s.peopleOperations(),
		s.roleOperations(),
		s.policyOperations(),
		s.accountOperations(),
		s.oidcOperations(),
	)
}

// op makes an operation of this service.
func op[In, Out any](name string, f func(context.Context, *In) (*Out, error)) awsapi.Operation {
	return awsapi.Op("iam", name, f)
}

// Prefixes of unique ids (api.md §3).
const (
	prefixUser            = "AIDA"
	prefixRole            = "AROA"
	prefixGroup           = "AGPA"
	prefixPolicy          = "ANPA"
	prefixInstanceProfile = "AIPA"
)

// newID makes a unique id: the prefix and 17 of A-Z2-7.
func newID(prefix string) string { return prefix + rand.Text()[:17] }

// arn names an entity of the account: kind "user", path "/eng/", name "alice".
func (s *Server) arn(kind, path, name string) string {
	return "arn:aws:iam::" + s.cfg.ARNs.Account + ":" + kind + orSlash(path) + name
}

// orSlash is the path of an entity that has none.
func orSlash(path string) string {
	if path == "" {
		return "/"
	}
	return path
}
