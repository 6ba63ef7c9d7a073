package sts

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func TestGetSessionToken(t *testing.T) {
	w := newWorld(t)
	for seconds, want := range map[string]string{"": "2026-01-31T20:09:10Z", "900": "2026-01-31T08:24:10Z", "129600": "2026-02-01T20:09:10Z"} {
		parameters := []string{"DurationSeconds", seconds}
		if seconds == "" {
			parameters = nil
		}
		a := w.call(bob, form("GetSessionToken", parameters...))
		c := w.credentials(a)
		if got := a.get("Expiration"); got != want {
			t.Errorf("%s seconds: expiration = %s, want %s", seconds, got, want)
		}
		if got := w.who(c); got != bobARN {
			t.Errorf("the credentials are of %s", got)
		}
	}
	for _, seconds := range []string{"899", "129601"} {
		if got := w.call(bob, form("GetSessionToken", "DurationSeconds", seconds)).String(); !strings.HasPrefix(got, "400 ValidationError") {
			t.Errorf("%s seconds: %s", seconds, got)
		}
	}
}

func TestSessionTokensAreForLongTermKeys(t *testing.T) {
	w := newWorld(t)
	w.addRole("ops", trusting(aliceARN))
	w.allow(role("ops"), `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	const want = "403 AccessDenied: Cannot call GetSessionToken with session credentials"
	wantAnswer(t, "with a session token", w.call(w.credentials(w.call(bob, "Action=GetSessionToken")), "Action=GetSessionToken"), want)
	wantAnswer(t, "with a role session", w.call(w.credentials(w.call(alice, assume("ops"))), "Action=GetSessionToken"), want)
	u, err := w.store.UserByName(t.Context(), "bob")
	must(t, err)
	if _, err := w.server.GetSessionToken(w.as(w.auth.UserPrincipal(u)), &GetSessionTokenInput{}); !ssm.IsCode(err, "AccessDenied") {
		t.Errorf("signed in at the console: %v", err)
	}
	if _, err := w.server.GetSessionToken(w.as(auth.Principal{Kind: auth.Root, Account: arns.Account}), &GetSessionTokenInput{}); !ssm.IsCode(err, "AccessDenied") {
		t.Errorf("root: %v", err)
	}
}

func TestSessionTokensCanBeDenied(t *testing.T) {
	w := newWorld(t)
	w.allow(user("bob"), `{"Effect":"Deny","Action":"sts:GetSessionToken","Resource":"*"}`)
	wantAnswer(t, "denied", w.call(bob, "Action=GetSessionToken"), refused(bobARN, "sts:GetSessionToken", "*")+" with an explicit deny in an identity-based policy")
}

func TestASessionTokensUserGoes(t *testing.T) {
	w := newWorld(t)
	c := w.credentials(w.call(bob, "Action=GetSessionToken"))
	must(t, w.store.DeleteAccessKey(t.Context(), bob.AccessKeyID))
	must(t, w.store.DeleteUser(t.Context(), "bob"))
	if got := w.who(c); !strings.HasPrefix(got, "403 InvalidClientTokenId") {
		t.Errorf("a deleted user's session is %s", got)
	}
}

func TestOneTimePasswords(t *testing.T) {
	w := newWorld(t)
	serial, seed := w.device("alice")
	const wrong = "403 AccessDenied: " + textWrongCode
	token := func(c sigv4.Credentials, serial, code string) answer {
		return w.call(c, form("GetSessionToken", "SerialNumber", serial, "TokenCode", code))
	}
	w.addRole("mfa", trusting(aliceARN, `{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"600"}}`))
	denial := refused(aliceARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/mfa")

	code := w.code(seed)
	other := fmt.Sprintf("%06d", (atoi(code)+1)%1_000_000)
	wantAnswer(t, "wrong", token(alice, serial, other), wrong)
	proved := w.credentials(token(alice, serial, code))
	wantAnswer(t, "the same again", token(alice, serial, code), wrong)
	wantAnswer(t, "the same for a role", w.call(alice, assume("mfa", "SerialNumber", serial, "TokenCode", code)), wrong)
	wantAnswer(t, "another's device", token(bob, serial, w.code(seed)), "403 AccessDenied: "+textWrongSerial)
	wantAnswer(t, "no device", token(bob, "arn:aws:iam::123456789012:mfa/none", "123456"), "403 AccessDenied: "+textWrongSerial)

	wantAnswer(t, "role without", w.call(alice, assume("mfa")), denial)
	wantAnswer(t, "role with an unproved session", w.call(w.credentials(w.call(alice, "Action=GetSessionToken")), assume("mfa")), denial)
	wantAnswer(t, "role with a proved session", w.call(proved, assume("mfa")), "200")
	w.pass(30 * time.Second)
	wantAnswer(t, "role with a code", w.call(alice, assume("mfa", "SerialNumber", serial, "TokenCode", w.code(seed))), "200")
	w.pass(30 * time.Second)
	unproved := w.credentials(w.call(alice, "Action=GetSessionToken"))
	wantAnswer(t, "role with a code and an unproved session", w.call(unproved, assume("mfa", "SerialNumber", serial, "TokenCode", w.code(seed))), "200")
	w.pass(10 * time.Minute)
	wantAnswer(t, "role with a session proved long ago", w.call(proved, assume("mfa")), denial)
}

// Of requests that show one code at once, one is served.
func TestACodeIsGoodOnce(t *testing.T) {
	w := newWorld(t)
	serial, seed := w.device("bob")
	code := w.code(seed)
	u, err := w.store.UserByName(t.Context(), "bob")
	must(t, err)
	p := w.auth.UserPrincipal(u)
	p.AccessKeyID = bob.AccessKeyID
	var good, bad int
	var mu sync.Mutex // guards good and bad
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := w.server.GetSessionToken(w.as(p), &GetSessionTokenInput{SerialNumber: serial, TokenCode: store.Secret(code)})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				good++
			case ssm.IsCode(err, "AccessDenied"):
				bad++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good != 1 || bad != 7 {
		t.Errorf("%d served, %d refused", good, bad)
	}
}

func TestGuessingCodesIsBounded(t *testing.T) {
	w := newWorld(t)
	serial, seed := w.device("bob")
	code := w.code(seed)
	other := fmt.Sprintf("%06d", (atoi(code)+1)%1_000_000)
	ask := func(code string) answer {
		return w.call(bob, form("GetSessionToken", "SerialNumber", serial, "TokenCode", code))
	}
	for range maxWrongCodes {
		wantAnswer(t, "wrong", ask(other), "403 AccessDenied: "+textWrongCode)
	}
	wantAnswer(t, "right, but too late", ask(code), "400 Throttling: Rate exceeded")
	w.pass(wrongCodePeriod)
	wantAnswer(t, "an hour later", ask(w.code(seed)), "200")
}

// GetSessionToken's credentials are not for other credentials (api.md §4.2).
func TestWhatSessionTokensMayDo(t *testing.T) {
	w := newWorld(t)
	w.allow(user("alice"), decode)
	if !w.may(alice) {
		t.Error("the key may not")
	}
	c := w.credentials(w.call(alice, "Action=GetSessionToken"))
	if w.may(c) {
		t.Error("a session token is good for all of sts")
	}
	w.addRole("ops", trusting(aliceARN))
	kept, err := w.store.TemporaryCredential(t.Context(), w.credentials(w.call(c, assume("ops"))).AccessKeyID)
	must(t, err)
	if kept.Chained || kept.Kind != store.CredentialRole {
		t.Errorf("a user's session token begins a chain: %+v", kept.Kind)
	}
}

func atoi(digits string) (n int) {
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}
