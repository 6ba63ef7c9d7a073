package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sekisho/internal/ssm"
)

// Credentials are a node's temporary credentials. They are never written to disk: an
// agent that starts asks for new ones.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Obtained        time.Time
	Expires         time.Time // on the server's clock
}

// LogValue keeps the secrets out of logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String keeps the secrets out of everything else that prints.
func (c Credentials) String() string { return "[redacted]" }

// expiryMargin is how long before their end credentials are not used any more: a
// request takes a moment, and a session's worker is handed them at its start.
const expiryMargin = 30 * time.Second

// credentials gets a node's temporary credentials with the node's own key and renews
// them. It may be used by several goroutines.
type credentials struct {
	server      *server
	fingerprint string
	signer      func() (signer, error) // of the node's own key

	current atomic.Pointer[Credentials] // never nil

	// keyWanted has a value when the server asks for a new key pair.
	keyWanted chan struct{}

	// renewal holds the one renewal; who takes it out is its owner until he puts it
	// back. Callers wait for it no longer than their context, and only those whose
	// credentials are of no use wait at all.
	renewal chan renewal
}

// renewal is the state of asking for credentials.
type renewal struct {
	retry   backoff
	notTill time.Time // the next attempt after a failure
}

func newCredentials(s *server, fingerprint string, signer func() (signer, error)) *credentials {
	c := &credentials{server: s, fingerprint: fingerprint, signer: signer, keyWanted: make(chan struct{}, 1), renewal: make(chan renewal, 1)}
	c.current.Store(&Credentials{})
	c.renewal <- renewal{retry: backoff{min: 500 * time.Millisecond, max: 30 * time.Second}}
	return c
}

// seed starts with credentials that another process obtained.
func (c *credentials) seed(now Credentials) { c.current.Store(&now) }

// use calls f with valid credentials, and once more with new ones when the server does
// not take them.
func (c *credentials) use(ctx context.Context, f func(Credentials) error) error {
	now, err := c.get(ctx)
	if err != nil {
		return err
	}
	if err = f(now); !isStaleCredential(err) {
		return err
	}
	c.drop(now)
	if now, err = c.get(ctx); err != nil {
		return err
	}
	return f(now)
}

// get returns credentials that are valid for a while.
func (c *credentials) get(ctx context.Context) (Credentials, error) {
	return c.renewed(ctx, func(now Credentials) bool {
		return c.server.clock.now().Before(now.Expires.Add(-expiryMargin))
	})
}

// drop forgets credentials that the server refused.
func (c *credentials) drop(bad Credentials) {
	if now := c.current.Load(); now.AccessKeyID == bad.AccessKeyID {
		c.current.CompareAndSwap(now, &Credentials{})
	}
}

// renewed returns the credentials if they are good, else new ones. After a failure the
// next attempt waits, whoever makes it.
func (c *credentials) renewed(ctx context.Context, good func(Credentials) bool) (Credentials, error) {
	if now := *c.current.Load(); good(now) {
		return now, nil
	}
	var r renewal
	select {
	case r = <-c.renewal:
	case <-ctx.Done():
		return Credentials{}, context.Cause(ctx)
	}
	defer func() { c.renewal <- r }()
	if now := *c.current.Load(); good(now) { // meanwhile renewed by another
		return now, nil
	}
	if !wait(ctx, time.Until(r.notTill)) {
		return Credentials{}, context.Cause(ctx)
	}
	fresh, err := c.request(ctx)
	if err != nil {
		r.notTill = time.Now().Add(r.retry.next())
		return Credentials{}, err
	}
	c.current.Store(&fresh)
	r.retry.reset()
	return fresh, nil
}

func (c *credentials) request(ctx context.Context) (Credentials, error) {
	sign, err := c.signer()
	if err != nil {
		return Credentials{}, err
	}
	var out ssm.RequestManagedInstanceRoleTokenOutput
	err = c.server.call(ctx, "AmazonSSM.RequestManagedInstanceRoleToken",
		&ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: c.fingerprint}, &out, sign)
	if err != nil {
		return Credentials{}, err
	}
	now := c.server.clock.now()
	if out.AccessKeyID == "" || out.SecretAccessKey == "" {
		return Credentials{}, errors.New("the server answered without credentials")
	}
	if !out.TokenExpirationDate.After(now.Add(expiryMargin)) {
		// The clocks disagree and the answer was not refused for it, or the server's
		// credentials are useless. Either way asking again at once would not help.
		return Credentials{}, fmt.Errorf("the server's credentials end at %s, which is past: compare the clocks", out.TokenExpirationDate.Format(time.RFC3339))
	}
	if out.UpdateKeyPair {
		select {
		case c.keyWanted <- struct{}{}:
		default:
		}
	}
	return Credentials{
		AccessKeyID: out.AccessKeyID, SecretAccessKey: out.SecretAccessKey, SessionToken: out.SessionToken,
		Obtained: now, Expires: out.TokenExpirationDate.Time,
	}, nil
}

// keepFresh renews the credentials at half of their life until ctx ends, so that new
// sessions never start with credentials about to expire.
func (c *credentials) keepFresh(ctx context.Context, logger *slog.Logger) {
	fresh := func(now Credentials) bool {
		return c.server.clock.now().Before(now.Obtained.Add(now.Expires.Sub(now.Obtained) / 2))
	}
	failing := false
	for {
		now, err := c.renewed(ctx, fresh)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failing = true
			logger.Warn("credentials not obtained", "error", err, "hint", Hint(err))
			continue // renewed itself waits
		}
		if failing {
			logger.Info("credentials obtained")
			failing = false
		}
		half := now.Obtained.Add(now.Expires.Sub(now.Obtained) / 2)
		if !wait(ctx, max(time.Second, half.Sub(c.server.clock.now()))) {
			return
		}
	}
}
