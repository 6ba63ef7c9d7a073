// Package sts is the Security Token Service: who am I, and temporary credentials for
// somebody who is allowed to be somebody else for a while. Roles are assumed by users and
// role sessions (AssumeRole) and by people whom an OpenID Connect provider vouches for
// (AssumeRoleWithWebIdentity); GetSessionToken turns a key and a one-time password into
// credentials that know of the password.
//
// It promises that a refusal to assume a role is the same whether the role does not
// exist, does not trust the caller or wants another external id; that session policies
// only narrow; and that no token, code or secret comes into an error or a log. Package
// auth decides who may; the permissions of the credentials are auth's to judge at each
// use. sekishod mounts the operations.
//
// The rules are those of the STS API reference
// (https://docs.aws.amazon.com/STS/latest/APIReference/).
package sts

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config is what the service works with.
type Config struct {
	Store *store.Store
	Auth  *auth.Auth
	ARNs  ssm.ARNs         // the deployment's region and account
	Now   func() time.Time // nil means time.Now
	// Roots are the certificate authorities that identity providers are proved by; nil
	// means the system's.
	Roots  *x509.CertPool
	Logger *slog.Logger // nil means none
}

// Server answers the operations of the service. Its methods may be called concurrently.
type Server struct {
	cfg     Config
	issuers *issuers
	wrong   *wrongCodes
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.ARNs.Account == "" {
		return nil, errors.New("sts needs a store, an auth and an account")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:     cfg,
		issuers: newIssuers(cfg.Now, cfg.Roots, cfg.Logger),
		wrong:   newWrongCodes(),
	}, nil
}

// Operations are the operations that a handler of package awsapi serves.
func (s *Server) Operations() []awsapi.Operation {
	web := awsapi.Op("sts", "AssumeRoleWithWebIdentity", s.AssumeRoleWithWebIdentity)
	web.Anonymous = true // the token proves the right to call it
	return []awsapi.Operation{
		awsapi.Op("sts", "AssumeRole", s.AssumeRole),
		web,
		awsapi.Op("sts", "DecodeAuthorizationMessage", s.DecodeAuthorizationMessage),
		awsapi.Op("sts", "GetAccessKeyInfo", s.GetAccessKeyInfo),
		awsapi.Op("sts", "GetCallerIdentity", s.GetCallerIdentity),
		awsapi.Op("sts", "GetSessionToken", s.GetSessionToken),
	}
}

// caller gives who calls an operation that is not anonymous.
func caller(ctx context.Context) (auth.Principal, error) {
	p, ok := auth.From(ctx)
	if !ok {
		return auth.Principal{}, errors.New("an operation was called without a caller")
	}
	return p, nil
}

// denied is a refusal that says no more than its text.
func denied(text string) error {
	return &ssm.Error{Code: "AccessDenied", Message: text, Status: http.StatusForbidden}
}

func isNotFound(err error) bool {
	// What is invalid to the store is the name of nothing.
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid)
}

// storable says whether any database can keep a text.
func storable(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// issue makes temporary credentials of c, whose holder, permissions and end are set.
func (s *Server) issue(ctx context.Context, c store.TemporaryCredential) (Credentials, error) {
	keyID, secret, token := auth.NewTemporaryCredentials()
	c.AccessKeyID, c.Secret, c.TokenHash = keyID, store.Secret(secret), auth.TokenHash(token)
	if err := s.cfg.Store.CreateTemporaryCredential(ctx, c); err != nil {
		return Credentials{}, err
	}
	return Credentials{
		AccessKeyID: keyID, SecretAccessKey: shownSecret(secret), SessionToken: shownSecret(token), Expiration: c.ExpiresAt,
	}, nil
}
