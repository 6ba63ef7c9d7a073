package auth

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const alicesPassword = "Correct-horse-9-battery"

// alicesHash is one hash for all tests: making one takes a while.
var alicesHash = sync.OnceValue(func() string { return HashPassword(alicesPassword) })

// signInWorld is newWorld with a password for alice.
func signInWorld(t *testing.T) *world {
	w := newWorld(t)
	must(t, w.store.SetLoginProfile(t.Context(), "alice", alicesHash(), false, now))
	return w
}

// from is a request that comes from an address.
func from(t *testing.T, address string) context.Context {
	return awsapi.WithRequest(t.Context(), awsapi.RequestInfo{SourceIP: address})
}

func (w *world) signIn(address, user, password, code string) (string, Principal, error) {
	return w.auth.SignIn(from(w.t, address), SignInInput{UserName: user, Password: store.Secret(password), MFACode: store.Secret(code)})
}

// mustSignIn gives the token of a new console session of alice.
func (w *world) mustSignIn() string {
	w.t.Helper()
	token, _, err := w.signIn("192.0.2.1", "alice", alicesPassword, "")
	must(w.t, err)
	return token
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if !ssm.IsCode(err, code) {
		t.Errorf("%s: got %v, want the code %s", what, err, code)
	}
}

func TestSignInProvesTheUser(t *testing.T) {
	w := signInWorld(t)
	token, p, err := w.signIn("192.0.2.1", "alice", alicesPassword, "")
	must(t, err)
	if p.Kind != User || p.UserName != "alice" || !p.ViaConsole || !p.MFAKnown || !p.MFAAt.IsZero() {
		t.Errorf("signed in as %+v", p)
	}
	s, err := w.auth.Console(t.Context(), token)
	must(t, err)
	if s.Principal.ARN != "arn:aws:iam::123456789012:user/ops/alice" || s.User.ARN != s.Principal.ARN || !s.RoleEnds.IsZero() {
		t.Errorf("the session is of %+v", s)
	}
	for _, other := range []string{"", "x", token + "x", string(make([]byte, 4096))} {
		_, err := w.auth.Console(t.Context(), other)
		wantCode(t, fmt.Sprintf("a token of %d bytes", len(other)), err, CodeSignedOut)
	}
}

// What was wrong is not told: a user that does not exist, one without a password, and one
// with another are refused alike.
func TestSignInRefusesAlike(t *testing.T) {
	w := signInWorld(t)
	var first error
	for _, c := range []struct{ user, password string }{{"alice", "wrong"}, {"bob", alicesPassword}, {"nobody", alicesPassword}, {"", ""}, {"alice\x00", alicesPassword}} {
		_, _, err := w.signIn("192.0.2.1", c.user, c.password, "")
		wantCode(t, c.user, err, CodeSignInFailed)
		if first == nil {
			first = err
		}
		if err == nil || err.Error() != first.Error() {
			t.Errorf("%q: got %v, want %v", c.user, err, first)
		}
	}
	must(t, w.store.SetLoginProfile(t.Context(), "alice", alicesHash(), true, now))
	_, _, err := w.signIn("192.0.2.1", "alice", alicesPassword, "")
	wantCode(t, "a password that must be changed", err, CodeResetRequired)
}

func TestSignInWithACode(t *testing.T) {
	w := signInWorld(t)
	const serial = "arn:aws:iam::123456789012:mfa/alice"
	must(t, w.store.CreateMFADevice(t.Context(), store.MFADevice{Serial: serial, Name: "alice", Seed: rfcSeed, CreatedAt: now}))
	must(t, w.store.EnableMFADevice(t.Context(), serial, "alice", now, 1))
	code, err := totp.GenerateCode(rfcSeed, now)
	must(t, err)
	_, _, err = w.signIn("192.0.2.1", "alice", alicesPassword, "")
	wantCode(t, "no code", err, CodeMFARequired)
	_, _, err = w.signIn("192.0.2.1", "alice", "wrong", code)
	wantCode(t, "a code with a wrong password", err, CodeSignInFailed)
	_, _, err = w.signIn("192.0.2.1", "alice", alicesPassword, "000000")
	wantCode(t, "a wrong code", err, CodeSignInFailed)
	token, p, err := w.signIn("192.0.2.1", "alice", alicesPassword, code)
	must(t, err)
	if !p.MFAAt.Equal(now) {
		t.Errorf("the code was shown at %v, want %v", p.MFAAt, now)
	}
	s, err := w.auth.Console(t.Context(), token)
	must(t, err)
	if !s.Principal.MFAAt.Equal(now) {
		t.Errorf("the session's code was shown at %v, want %v", s.Principal.MFAAt, now)
	}
	_, _, err = w.signIn("192.0.2.1", "alice", alicesPassword, code)
	wantCode(t, "the code again", err, CodeSignInFailed)
}

// Guessing slows down, for the right password too; other addresses and users go on.
func TestGuessingIsSlowed(t *testing.T) {
	w := signInWorld(t)
	for range freeGuesses {
		_, _, err := w.signIn("192.0.2.1", "alice", "wrong", "")
		wantCode(t, "a free guess", err, CodeSignInFailed)
	}
	_, _, err := w.signIn("192.0.2.1", "alice", alicesPassword, "")
	wantCode(t, "the right password too early", err, ssm.CodeThrottling)
	_, _, err = w.signIn("192.0.2.1", "ALICE", alicesPassword, "")
	wantCode(t, "the name in capitals", err, ssm.CodeThrottling)
	if _, _, err := w.signIn("192.0.2.2", "alice", alicesPassword, ""); err != nil {
		t.Errorf("alice from elsewhere: %v", err)
	}
	w.clock = w.clock.Add(firstWait)
	if _, _, err := w.signIn("192.0.2.1", "alice", alicesPassword, ""); err != nil {
		t.Errorf("alice after the wait: %v", err)
	}
	// The right password began the count again.
	_, _, err = w.signIn("192.0.2.1", "alice", "wrong", "")
	wantCode(t, "a guess after a right one", err, CodeSignInFailed)
	if _, _, err := w.signIn("192.0.2.1", "alice", alicesPassword, ""); err != nil {
		t.Errorf("alice after one wrong guess: %v", err)
	}
}

func TestWaitsGrowAndEnd(t *testing.T) {
	var g guesses
	at := now
	var last time.Duration
	for i := range freeGuesses + 12 {
		wait := g.wait("alice", "a", at)
		switch {
		case i < freeGuesses && wait != 0:
			t.Errorf("guess %d waits %v", i, wait)
		case i >= freeGuesses && (wait < last || wait > longestWait || wait < firstWait):
			t.Errorf("guess %d waits %v after %v", i, wait, last)
		}
		last = wait
		at = at.Add(wait)
		g.wrong("alice", "a", at)
	}
	if got := g.wait("alice", "a", at); got != longestWait {
		t.Errorf("after many guesses the wait is %v, want %v", got, longestWait)
	}
	if got := g.wait("alice", "a", at.Add(guessMemory)); got != 0 {
		t.Errorf("after all that time the wait is %v", got)
	}
}

// One address may not try one password on everybody, nor many addresses all passwords on
// one user; but those cannot keep the user out for long.
func TestSprayedGuessesAreSlowed(t *testing.T) {
	var spray guesses
	for i := range perAddress {
		if wait := spray.wait(fmt.Sprint("user", i), "a", now); wait != 0 {
			t.Fatalf("user %d waits %v", i, wait)
		}
		spray.wrong(fmt.Sprint("user", i), "a", now)
	}
	if spray.wait("another", "a", now) == 0 {
		t.Error("an address that was wrong for many users does not wait")
	}
	if wait := spray.wait("another", "b", now); wait != 0 {
		t.Errorf("another address waits %v", wait)
	}
	var many guesses
	for i := range perUser + 20 {
		many.wrong("alice", fmt.Sprint("address", i), now)
	}
	if wait := many.wait("alice", "new", now); wait == 0 || wait > longestForUser {
		t.Errorf("a user whom many addresses guess waits %v", wait)
	}
	for i := range maxGuessed {
		many.wrong(fmt.Sprint("user", i), fmt.Sprint("address", i), now)
	}
	if n := len(many.wrongs); n > maxGuessed+3 {
		t.Errorf("%d names are kept", n)
	}
}

func TestConsoleSessionsEnd(t *testing.T) {
	w := signInWorld(t)
	token := w.mustSignIn()
	begin := w.clock
	// Requests keep it alive, but not for ever.
	for w.clock.Sub(begin) < ConsoleLife-ConsoleIdle/2 {
		if _, err := w.auth.Console(t.Context(), token); err != nil {
			t.Fatalf("after %v of use: %v", w.clock.Sub(begin), err)
		}
		w.clock = w.clock.Add(ConsoleIdle / 2)
	}
	w.clock = begin.Add(ConsoleLife)
	_, err := w.auth.Console(t.Context(), token)
	wantCode(t, "after its life", err, CodeSignedOut)

	token = w.mustSignIn()
	w.clock = w.clock.Add(ConsoleIdle - time.Second)
	if _, err := w.auth.Console(t.Context(), token); err != nil {
		t.Errorf("before the idle time: %v", err)
	}
	w.clock = w.clock.Add(ConsoleIdle + time.Second)
	_, err = w.auth.Console(t.Context(), token)
	wantCode(t, "after the idle time", err, CodeSignedOut)
	must(t, w.auth.SweepConsole(t.Context()))
	if _, err := w.store.ConsoleSession(t.Context(), TokenHash(token)); err == nil {
		t.Error("a session that has ended is kept")
	}

	token = w.mustSignIn()
	must(t, w.store.SetLoginProfile(t.Context(), "alice", HashPassword("another-Password-1"), false, w.clock))
	_, err = w.auth.Console(t.Context(), token)
	wantCode(t, "with another password", err, CodeSignedOut)
}

func TestSignOutEverywhere(t *testing.T) {
	w := signInWorld(t)
	first, second, third := w.mustSignIn(), w.mustSignIn(), w.mustSignIn()
	must(t, w.auth.SignOut(t.Context(), first, false))
	_, err := w.auth.Console(t.Context(), first)
	wantCode(t, "the browser that signed out", err, CodeSignedOut)
	if _, err := w.auth.Console(t.Context(), second); err != nil {
		t.Errorf("another browser: %v", err)
	}
	must(t, w.auth.SignOut(t.Context(), second, true))
	for _, token := range []string{second, third} {
		_, err := w.auth.Console(t.Context(), token)
		wantCode(t, "signed out everywhere", err, CodeSignedOut)
	}
	wantCode(t, "signing out everywhere without a session", w.auth.SignOut(t.Context(), third, true), CodeSignedOut)
}

// A switched role is the caller until it ends, is left, or is deleted; the user who
// signed in stays the session's owner.
func TestConsoleRole(t *testing.T) {
	w := signInWorld(t)
	token := w.mustSignIn()
	other := w.mustSignIn()
	role := func(id string) {
		must(t, w.store.CreateTemporaryCredential(t.Context(), store.TemporaryCredential{AccessKeyID: id, Secret: "secret", TokenHash: TokenHash(id),
			Kind: store.CredentialRole, RoleName: "NodeRole", RoleID: nodeRoleID, SessionName: "alice", IssuedAt: w.clock, ExpiresAt: w.clock.Add(time.Hour / 2)}))
		must(t, w.auth.SwitchRole(t.Context(), token, id))
	}
	want := func(what, arn string) {
		t.Helper()
		s, err := w.auth.Console(t.Context(), token)
		must(t, err)
		if s.Principal.ARN != arn || s.User.UserName != "alice" || !s.Principal.ViaConsole {
			t.Errorf("%s: %+v, want %s", what, s, arn)
		}
	}
	const alice, assumed = "arn:aws:iam::123456789012:user/ops/alice", "arn:aws:sts::123456789012:assumed-role/NodeRole/alice"
	role("ASIASWITCHEDAAAAAAAA")
	want("switched", assumed)
	if s, err := w.auth.Console(t.Context(), other); err != nil || s.Principal.ARN != alice {
		t.Errorf("the other browser is %+v, %v", s, err)
	}
	w.clock = w.clock.Add(time.Hour / 2)
	want("when the role's time is over", alice)
	role("ASIASWITCHEDBBBBBBBB")
	want("switched again", assumed)
	must(t, w.auth.SwitchRole(t.Context(), token, ""))
	want("switched back", alice)
	role("ASIASWITCHEDCCCCCCCC")
	must(t, w.store.DetachPolicy(t.Context(), nodeRole, "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"))
	must(t, w.auth.SignOut(t.Context(), token, true))
	_, err := w.auth.Console(t.Context(), other)
	wantCode(t, "signed out everywhere from within a role", err, CodeSignedOut)
}
