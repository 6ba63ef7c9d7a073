package sts

import (
	"context"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/policy"
	"sekisho/internal/store"
)

// defaultUserSession is how long credentials of a user last that does not say.
const defaultUserSession = 12 * time.Hour

// GetSessionToken gives a user credentials with an end; with a one-time password they
// prove it from then on. No permission is needed, but policies may deny it.
func (s *Server) GetSessionToken(ctx context.Context, in *GetSessionTokenInput) (*GetSessionTokenOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	// A password at the console is no key: these credentials would outlive it. Root has
	// no keys here.
	if p.Kind != auth.User || !p.TokenIssuedAt.IsZero() || p.AccessKeyID == "" {
		return nil, denied("Cannot call GetSessionToken with session credentials")
	}
	var bad violations
	bad.word("serialNumber", in.SerialNumber, marksSerial, patternSerial)
	bad.code("tokenCode", in.TokenCode)
	if err := bad.err(); err != nil {
		return nil, err
	}
	ask := auth.Request{Action: "sts:GetSessionToken", Resource: "*"}
	decision, err := s.cfg.Auth.Decide(ctx, ask)
	if err != nil {
		return nil, err
	}
	if decision.Outcome == policy.ExplicitDeny {
		return nil, denied(policy.Explain(decision, p.ARN, ask.Action, ask.Resource))
	}
	shown, err := s.provedBy(ctx, p, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	length := defaultUserSession
	if in.DurationSeconds != nil {
		length = time.Duration(*in.DurationSeconds) * time.Second
	}
	now := s.cfg.Now()
	credentials, err := s.issue(ctx, store.TemporaryCredential{
		Kind: store.CredentialSession, UserID: p.UserID, IssuedAt: now, ExpiresAt: now.Add(length), MFAAt: shown,
	})
	if err != nil {
		return nil, err
	}
	return &GetSessionTokenOutput{Credentials: credentials}, nil
}
