package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// How long a sign-in at the console lasts: so long without a request, and so long at the
// most (the service's own console signs out after 12 hours).
const (
	ConsoleIdle = time.Hour
	ConsoleLife = 12 * time.Hour

	// consoleTouch is how exactly the last request is written down.
	consoleTouch = time.Minute
)

// Error codes of a sign-in.
const (
	CodeSignInFailed  = "AuthFailure"
	CodeMFARequired   = "MFARequired"
	CodeResetRequired = "PasswordResetRequired"
	CodeSignedOut     = "SignedOut"
)

// SignInInput is what somebody signs in with.
type SignInInput struct {
	UserName string
	Password store.Secret
	MFACode  store.Secret // empty if none was given
}

// ConsoleSession is a sign-in that holds.
type ConsoleSession struct {
	Principal Principal // who calls: the user, or the role that the user has switched to
	User      Principal // who signed in
	CreatedAt time.Time
	RoleEnds  time.Time // of a role; else zero
	// Federated says that the session is a role's from its start: an OpenID Connect
	// provider vouched for the person. User is then that session of the role.
	Federated bool
}

var errSignIn = &ssm.Error{Code: CodeSignInFailed, Status: http.StatusUnauthorized,
	Message: "Your authentication information is incorrect. Please try again."}

// SignIn proves a user by password, and by a code for a user that has an MFA device, and
// gives the token of a new console session. What was wrong is not told, nor whether there
// is such a user; wrong guesses of one user from one address wait longer each time.
func (a *Auth) SignIn(ctx context.Context, in SignInInput) (token string, p Principal, err error) {
	now := a.cfg.Now()
	address := awsapi.Info(ctx).SourceIP
	if wait := a.guesses.wait(in.UserName, address, now); wait > 0 {
		return "", Principal{}, tooMany(wait)
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return "", Principal{}, ctx.Err()
	}
	hash, err := a.cfg.Store.PasswordHash(ctx, in.UserName)
	if _, err := found(err); err != nil {
		return "", Principal{}, fmt.Errorf("look up a password: %w", err)
	}
	if !CheckPassword(hash, in.Password.Reveal()) {
		a.guesses.wrong(in.UserName, address, now)
		return "", Principal{}, errSignIn
	}
	user, err := a.cfg.Store.UserByName(ctx, in.UserName)
	if err != nil {
		return "", Principal{}, fmt.Errorf("look up a user: %w", err)
	}
	mfaAt, err := a.secondFactor(ctx, user.Name, in.MFACode.Reveal(), now)
	if err != nil {
		if ssm.IsCode(err, CodeSignInFailed) {
			a.guesses.wrong(in.UserName, address, now)
		}
		return "", Principal{}, err
	}
	a.guesses.forget(in.UserName, address)
	if user.PasswordResetRequired {
		return "", Principal{}, &ssm.Error{Code: CodeResetRequired, Status: http.StatusForbidden,
			Message: "The password must be changed before it can be used here."}
	}
	token = rand.Text() + rand.Text()
	err = a.cfg.Store.CreateConsoleSession(ctx, store.ConsoleSession{
		TokenHash: TokenHash(token), UserID: user.ID, PasswordPrint: TokenHash(hash), CreatedAt: now, SeenAt: now, MFAAt: mfaAt,
	})
	if err != nil {
		return "", Principal{}, err
	}
	if err := a.cfg.Store.TouchPassword(ctx, user.Name, now); err != nil {
		a.cfg.Logger.Warn("last use of a password not written down", "principal", user.Name, "error", err)
	}
	return token, a.consolePrincipal(user, mfaAt), nil
}

// secondFactor says when a code was shown: now, or the zero time for a user without a
// device.
func (a *Auth) secondFactor(ctx context.Context, userName, code string, now time.Time) (time.Time, error) {
	devices, err := a.cfg.Store.UserMFADevices(ctx, userName)
	if err != nil {
		return time.Time{}, err
	}
	if len(devices) == 0 {
		return time.Time{}, nil
	}
	if code == "" {
		return time.Time{}, &ssm.Error{Code: CodeMFARequired, Status: http.StatusUnauthorized,
			Message: "Enter the code that your MFA device shows."}
	}
	for _, d := range devices {
		step, ok := CheckTOTP(d.Seed.Reveal(), code, now, d.LastStep)
		if !ok {
			continue
		}
		if ok, err = a.cfg.Store.UseMFAStep(ctx, d.Serial, step); err != nil || ok {
			return now, err
		}
	}
	return time.Time{}, errSignIn
}

func (a *Auth) consolePrincipal(u store.User, mfaAt time.Time) Principal {
	p := a.UserPrincipal(u)
	p.ViaConsole, p.MFAKnown, p.MFAAt = true, true, mfaAt
	return p
}

// Console finds who is signed in with a token. A session that has had its time, and one
// of a password that is no more the user's, is an error with the code [CodeSignedOut].
func (a *Auth) Console(ctx context.Context, token string) (ConsoleSession, error) {
	gone := &ssm.Error{Code: CodeSignedOut, Status: http.StatusUnauthorized, Message: "You are not signed in, or your session has ended. Sign in."}
	if token == "" || len(token) > 128 {
		return ConsoleSession{}, gone
	}
	hash := TokenHash(token)
	s, err := a.cfg.Store.ConsoleSession(ctx, hash)
	known, err := found(err)
	if err != nil {
		return ConsoleSession{}, fmt.Errorf("look up a console session: %w", err)
	}
	if !known {
		return a.federated(ctx, hash, gone)
	}
	now := a.cfg.Now()
	if now.Sub(s.SeenAt) >= ConsoleIdle || now.Sub(s.CreatedAt) >= ConsoleLife ||
		s.PasswordHash == "" || subtle.ConstantTimeCompare(TokenHash(s.PasswordHash), s.PasswordPrint) != 1 {
		return ConsoleSession{}, gone
	}
	if now.Sub(s.SeenAt) >= consoleTouch {
		if err := a.cfg.Store.TouchConsoleSession(ctx, hash, now); err != nil {
			return ConsoleSession{}, err
		}
	}
	user := a.consolePrincipal(s.User, s.MFAAt)
	session := ConsoleSession{Principal: user, User: user, CreatedAt: s.CreatedAt}
	if s.AccessKeyID != "" {
		if err := a.inRole(ctx, &session, s.AccessKeyID); err != nil {
			return ConsoleSession{}, err
		}
	}
	return session, nil
}

// inRole makes the holder of temporary credentials the caller of a session. When they
// have ended, or their role is no more, the user stays the caller.
func (a *Auth) inRole(ctx context.Context, s *ConsoleSession, accessKeyID string) error {
	cred, err := a.cfg.Store.TemporaryCredential(ctx, accessKeyID)
	known, err := found(err)
	if err != nil {
		return fmt.Errorf("look up the role of a console session: %w", err)
	}
	if !known || !a.cfg.Now().Before(cred.ExpiresAt) {
		return nil
	}
	p, err := a.holder(ctx, cred)
	if errors.Is(err, sigv4.ErrInvalidToken) {
		return nil
	}
	if err != nil {
		return err
	}
	p.ViaConsole = true
	s.Principal, s.RoleEnds = p, cred.ExpiresAt
	return nil
}

// SwitchRole makes the session of a token act with temporary credentials, which the
// caller got for its user; with an empty id, as its user again.
func (a *Auth) SwitchRole(ctx context.Context, token, accessKeyID string) error {
	return a.cfg.Store.SetConsoleRole(ctx, TokenHash(token), accessKeyID)
}

// SignOut ends the session of a token, or all sessions of its user.
func (a *Auth) SignOut(ctx context.Context, token string, everywhere bool) error {
	if everywhere {
		s, err := a.Console(ctx, token)
		if err != nil {
			return err
		}
		_, err = a.cfg.Store.DeleteConsoleSessionsOf(ctx, s.User.UserID)
		return err
	}
	return a.cfg.Store.DeleteConsoleSession(ctx, TokenHash(token))
}

// SweepConsole removes sign-ins that have had their time.
func (a *Auth) SweepConsole(ctx context.Context) error {
	now := a.cfg.Now()
	_, err := a.cfg.Store.DeleteOldConsoleSessions(ctx, now.Add(-ConsoleLife), now.Add(-ConsoleIdle))
	return err
}

// tooMany refuses a guess that comes too early.
func tooMany(wait time.Duration) error {
	return &ssm.Error{Code: ssm.CodeThrottling, Status: http.StatusTooManyRequests,
		Message: fmt.Sprintf("Too many failed attempts to sign in. Try again in %d seconds.", int(wait/time.Second)+1)}
}

// MayRequest names something that the console would ask for.
type MayRequest struct {
	Action   string
	Resource string // an ARN, or "*"
}

// May tells whether the caller could do something, for buttons that say so beforehand.
// It is a guess in the caller's favour: where a policy asks for what only the operation
// itself knows, such as the tags of a node, it says yes. The refusal is in the words in
// which the operation would refuse.
func (a *Auth) May(ctx context.Context, m MayRequest) (bool, string, error) {
	p, _ := From(ctx)
	r := Request{Action: m.Action, Resource: m.Resource}
	if id, ok := strings.CutPrefix(m.Resource, a.cfg.ARNs.Session("")); ok {
		r = a.SessionRequest(p, m.Action, id, "", false)
	}
	d, err := a.Decide(ctx, r)
	if err != nil {
		return false, "", err
	}
	if d.Allowed || len(d.MissingContext) > 0 {
		return true, "", nil
	}
	return false, a.explain(p.ARN, d, r), nil
}
