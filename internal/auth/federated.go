package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"sekisho/internal/sigv4"
	"sekisho/internal/store"
)

// SignInRole begins a console session of somebody who got temporary credentials of a role
// by AssumeRoleWithWebIdentity. It ends with them at the latest.
func (a *Auth) SignInRole(ctx context.Context, accessKeyID string) (token string, s ConsoleSession, err error) {
	s, err = a.holderSession(ctx, accessKeyID, nil)
	if err != nil {
		return "", ConsoleSession{}, err
	}
	s.CreatedAt = a.cfg.Now()
	token = rand.Text() + rand.Text()
	err = a.cfg.Store.CreateFederatedSession(ctx, store.FederatedSession{
		TokenHash: TokenHash(token), UserID: s.User.UserID, AccessKeyID: accessKeyID, CreatedAt: s.CreatedAt, SeenAt: s.CreatedAt,
	})
	if err != nil {
		return "", ConsoleSession{}, err
	}
	return token, s, nil
}

// federated finds who is signed in with a token as the session of a role; gone is the
// error if nobody is.
func (a *Auth) federated(ctx context.Context, hash []byte, gone error) (ConsoleSession, error) {
	f, err := a.cfg.Store.FederatedSession(ctx, hash)
	known, err := found(err)
	if err != nil {
		return ConsoleSession{}, fmt.Errorf("look up a console session: %w", err)
	}
	now := a.cfg.Now()
	if !known || now.Sub(f.SeenAt) >= ConsoleIdle || now.Sub(f.CreatedAt) >= ConsoleLife {
		return ConsoleSession{}, gone
	}
	s, err := a.holderSession(ctx, f.AccessKeyID, gone)
	if err != nil {
		return ConsoleSession{}, err
	}
	if now.Sub(f.SeenAt) >= consoleTouch {
		if err := a.cfg.Store.TouchConsoleSession(ctx, hash, now); err != nil {
			return ConsoleSession{}, err
		}
	}
	s.CreatedAt = f.CreatedAt
	if f.RoleKeyID != "" {
		if err := a.inRole(ctx, &s, f.RoleKeyID); err != nil {
			return ConsoleSession{}, err
		}
		s.Federated = s.Principal.AccessKeyID == s.User.AccessKeyID
	}
	return s, nil
}

// holderSession is the session of the holder of temporary credentials. When they have
// ended, or their role is no more, it is the error gone, if there is one.
func (a *Auth) holderSession(ctx context.Context, accessKeyID string, gone error) (ConsoleSession, error) {
	cred, err := a.cfg.Store.TemporaryCredential(ctx, accessKeyID)
	known, err := found(err)
	if err != nil {
		return ConsoleSession{}, fmt.Errorf("look up the credentials of a console session: %w", err)
	}
	if gone == nil {
		gone = sigv4.ErrInvalidToken
	}
	if !known || !a.cfg.Now().Before(cred.ExpiresAt) {
		return ConsoleSession{}, gone
	}
	p, err := a.holder(ctx, cred)
	if errors.Is(err, sigv4.ErrInvalidToken) {
		return ConsoleSession{}, gone
	}
	if err != nil {
		return ConsoleSession{}, err
	}
	p.ViaConsole = true
	return ConsoleSession{Principal: p, User: p, RoleEnds: cred.ExpiresAt, Federated: true}, nil
}
