package sts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekisho/internal/auth"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func TestCallerIdentityIsNeverDenied(t *testing.T) {
	w := newWorld(t)
	w.allow(user("bob"), `{"Effect":"Deny","Action":"*","Resource":"*"}`)
	a := w.call(bob, "Action=GetCallerIdentity")
	if a.get("Arn") != bobARN || a.get("UserId") != "AIDABBBBBBBBBBBBBBBBB" || a.get("Account") != arns.Account {
		t.Errorf("bob is %s", a.body)
	}
	if a := w.call(bob, form("GetAccessKeyInfo", "AccessKeyId", alice.AccessKeyID)); a.get("Account") != arns.Account {
		t.Errorf("the account of a key: %s", a.body)
	}
	if got := w.who(sigv4.Credentials{}); !strings.HasPrefix(got, "403 MissingAuthenticationToken") {
		t.Errorf("unsigned: %s", got)
	}
}

func TestDecodeAuthorizationMessage(t *testing.T) {
	w := newWorld(t)
	wantAnswer(t, "without permission", w.call(bob, "Action=DecodeAuthorizationMessage&EncodedMessage=x"),
		refused(bobARN, "sts:DecodeAuthorizationMessage", "*")+" because no identity-based policy allows the sts:DecodeAuthorizationMessage action")
	w.allow(user("bob"), decode)
	if !w.may(bob) {
		t.Error("denied with permission")
	}
}

func TestAssumeRole(t *testing.T) {
	w := newWorld(t)
	w.addRole("ops", trusting(aliceARN), func(r *store.Role) { r.Path = "/team/" })
	w.allow(role("ops"), decode)
	a := w.call(alice, assume("team/ops"))
	c := w.credentials(a)
	if got := a.get("Arn"); got != "arn:aws:sts::123456789012:assumed-role/ops/work" {
		t.Errorf("arn = %s", got)
	}
	if got := a.get("AssumedRoleId"); got != roleID("ops")+":work" {
		t.Errorf("id = %s", got)
	}
	if got := a.get("Expiration"); got != "2026-01-31T09:09:10Z" {
		t.Errorf("expiration = %s", got)
	}
	if got := w.who(c); got != "arn:aws:sts::123456789012:assumed-role/ops/work" {
		t.Errorf("the credentials are of %s", got)
	}
	// The session has the role's permissions, not those of who assumed it.
	if !w.may(c) || w.may(alice) {
		t.Error("the session and its caller have the same permissions")
	}
	kept, err := w.store.TemporaryCredential(t.Context(), c.AccessKeyID)
	must(t, err)
	want := store.TemporaryCredential{
		AccessKeyID: c.AccessKeyID, Kind: store.CredentialRole, RoleName: "ops", RoleID: roleID("ops"), SessionName: "work",
		IssuedAt: start, ExpiresAt: start.Add(time.Hour),
	}
	if diff := cmp.Diff(want, kept, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(store.TemporaryCredential{}, "Secret", "TokenHash")); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	r, err := w.store.Role(t.Context(), "ops")
	must(t, err)
	if !r.LastUsedAt.Equal(start) {
		t.Errorf("last used at %v", r.LastUsedAt)
	}
}

// What may not be assumed is refused in the same words, whether or not it exists.
func TestRefusalsToAssumeAreAlike(t *testing.T) {
	w := newWorld(t)
	w.addRole("others", trusting(bobARN))
	w.addRole("vendor", trusting(aliceARN, `{"StringEquals":{"sts:ExternalId":"right"}}`))
	w.addRole("mfa", trusting(aliceARN, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`))
	w.addRole("barred", trusting(aliceARN))
	w.allow(user("alice"), `{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"arn:aws:iam::123456789012:role/barred"}`)
	w.addRole("moved", trusting(aliceARN), func(r *store.Role) { r.Path = "/there/" })
	for _, name := range []string{"nobody", "others", "vendor", "mfa", "barred", "moved", "here/moved", "OTHERS"} {
		wantAnswer(t, name, w.call(alice, assume(name, "ExternalId", "wrong")),
			refused(aliceARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/"+name))
	}
	foreign := "arn:aws:iam::210987654321:role/vendor"
	wantAnswer(t, "another account", w.call(alice, form("AssumeRole", "RoleArn", foreign, "RoleSessionName", "work", "ExternalId", "right")),
		refused(aliceARN, "sts:AssumeRole", foreign))
	wantAnswer(t, "right external id", w.call(alice, assume("vendor", "ExternalId", "right")), "200")
	wantAnswer(t, "right path", w.call(alice, assume("there/moved")), "200")
}

func TestTrustAndPermission(t *testing.T) {
	w := newWorld(t)
	w.addRole("account", trusting("arn:aws:iam::123456789012:root"))
	w.addRole("bob", trusting(bobARN))
	wantAnswer(t, "the account's trust and permission", w.call(alice, assume("account")), "200")
	wantAnswer(t, "the account's trust alone", w.call(bob, assume("account")), refused(bobARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/account"))
	wantAnswer(t, "named", w.call(bob, assume("bob")), "200")
}

func TestRootAndNodesAssumeNothing(t *testing.T) {
	w := newWorld(t)
	w.addRole("any", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`)
	w.allow(role("any"), `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	in := &AssumeRoleInput{RoleARN: "arn:aws:iam::123456789012:role/any", RoleSessionName: "work"}
	root := auth.Principal{Kind: auth.Root, Account: arns.Account, ARN: "arn:aws:iam::123456789012:root", UserID: arns.Account}
	_, err := w.server.AssumeRole(w.as(root), in)
	if !ssm.IsCode(err, "AccessDenied") || !strings.Contains(err.Error(), "Roles may not be assumed by root accounts.") {
		t.Errorf("root: %v", err)
	}
	node := auth.Principal{
		Kind: auth.RoleSession, Account: arns.Account, ARN: "arn:aws:sts::123456789012:assumed-role/any/mi-00000000000000001",
		UserID: roleID("any") + ":mi-00000000000000001", RoleName: "any", RoleID: roleID("any"), NodeID: "mi-00000000000000001",
		SessionName: "mi-00000000000000001", SessionKind: store.CredentialNode, TokenIssuedAt: start,
	}
	if _, err := w.server.AssumeRole(w.as(node), in); !ssm.IsCode(err, "AccessDenied") {
		t.Errorf("node: %v", err)
	}
	if _, err := w.server.AssumeRole(t.Context(), in); err == nil {
		t.Error("nobody assumed a role")
	}
}

func TestBadRequestsToAssume(t *testing.T) {
	w := newWorld(t)
	w.addRole("ops", trusting(aliceARN))
	const name = `failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`
	long := strings.Repeat("x", 2048)
	for _, c := range []struct {
		name string
		form string
		want string
	}{
		{"session name", strings.Replace(assume("ops"), "=work", "=Session1:2", 1),
			"400 ValidationError: 1 validation error detected: Value 'Session1:2' at 'roleSessionName' " + name},
		{"two", strings.Replace(assume("ops", "SourceIdentity", "a b"), "=work", "=a%2Fb", 1),
			"400 ValidationError: 2 validation errors detected: Value 'a/b' at 'roleSessionName' " + name + "; Value 'a b' at 'sourceIdentity' " + name},
		{"code", assume("ops", "SerialNumber", "arn:aws:iam::1:mfa/x", "TokenCode", "12345x"),
			`400 ValidationError: 1 validation error detected: Value at 'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\d]*`},
		{"no arn", form("AssumeRole", "RoleArn", "role/ops-and-something-more", "RoleSessionName", "work"), "400 ValidationError: role/ops-and-something-more is invalid"},
		{"a user's arn", form("AssumeRole", "RoleArn", aliceARN, "RoleSessionName", "work"), "400 ValidationError: " + aliceARN + " is invalid"},
		{"no name", assume(""), "400 ValidationError: arn:aws:iam::123456789012:role/ is invalid"},
		{"another partition", form("AssumeRole", "RoleArn", "arn:aws-cn:iam::123456789012:role/ops", "RoleSessionName", "work"), "400 ValidationError: arn:aws-cn:iam::123456789012:role/ops is invalid"},
		{"context", assume("ops", "ProvidedContexts.member.1.ContextAssertion", "assertion"), "400 InvalidParameterValue: There is no provider of context assertions."},
		{"policy that is none", assume("ops", "Policy", "{"), "400 MalformedPolicyDocument: Syntax errors in policy."},
		{"large policy", assume("ops", "Policy", strings.Replace(allowAll, `"*"`, `["s3:`+long+`"]`, 1)), "400 PackedPolicyTooLarge: The policies and tags of the session exceed the limit."},
		{"policy that does not exist", assume("ops", "PolicyArns.member.1.arn", "arn:aws:iam::123456789012:policy/none"), "400 ValidationError: Policy arn:aws:iam::123456789012:policy/none does not exist or is not attachable."},
		{"policy of a user", assume("ops", "PolicyArns.member.1.arn", aliceARN), "400 ValidationError: " + aliceARN + " is invalid"},
		{"half an MFA", assume("ops", "TokenCode", "123456"), "403 AccessDenied: " + textHalfMFA},
	} {
		a := w.call(alice, c.form)
		if got := a.String(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	for i, parameters := range [][]string{{"DurationSeconds", "899"}, {"DurationSeconds", "43201"}, {"TokenCode", "1"}, {"ExternalId", "x"}} {
		if got := w.call(alice, assume("ops", parameters...)).String(); !strings.HasPrefix(got, "400 ValidationError: 1 validation error detected") {
			t.Errorf("%d: %s", i, got)
		}
	}
}

const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

func TestRoleSessionsLastAsLongAsTheRoleSays(t *testing.T) {
	w := newWorld(t)
	w.addRole("hour", trusting(aliceARN))
	w.addRole("day", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["`+aliceARN+`","arn:aws:iam::123456789012:role/hour"]},"Action":"sts:AssumeRole"}}`,
		func(r *store.Role) { r.MaxSession = 12 * time.Hour })
	hour := w.credentials(w.call(alice, assume("hour")))
	const (
		tooLong = "400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
		chained = "400 ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
	)
	for _, c := range []struct {
		caller  sigv4.Credentials
		role    string
		seconds int
		want    string
	}{
		{alice, "hour", 900, "200"},
		{alice, "hour", 3600, "200"},
		{alice, "hour", 3601, tooLong},
		{alice, "day", 43200, "200"},
		{hour, "day", 3600, "200"},
		{hour, "day", 3601, chained},
		{bob, "day", 43200, refused(bobARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/day")},
		{bob, "hour", 43200, refused(bobARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/hour")},
	} {
		a := w.call(c.caller, assume(c.role, "DurationSeconds", fmt.Sprint(c.seconds)))
		wantAnswer(t, fmt.Sprint(c.role, " for ", c.seconds), a, c.want)
		if a.status == 200 {
			if want := start.Add(time.Duration(c.seconds) * time.Second).Format(time.RFC3339); a.get("Expiration") != want {
				t.Errorf("%s for %d ends at %s, want %s", c.role, c.seconds, a.get("Expiration"), want)
			}
		}
	}
}

// A chain of roles ends with the first link: expired credentials assume nothing, and
// those that they gave live on for an hour at most.
func TestNoRoleChainingPastExpiry(t *testing.T) {
	w := newWorld(t)
	w.addRole("first", trusting(aliceARN))
	w.addRole("second", trusting("arn:aws:iam::123456789012:role/first"), func(r *store.Role) { r.MaxSession = 12 * time.Hour })
	first := w.credentials(w.call(alice, assume("first", "DurationSeconds", "900")))
	w.pass(15*time.Minute - time.Second)
	second := w.credentials(w.call(first, assume("second")))
	w.pass(time.Second)
	if got := w.call(first, assume("second")).String(); !strings.HasPrefix(got, "403 ExpiredToken") {
		t.Errorf("expired credentials: %s", got)
	}
	w.pass(time.Hour - 2*time.Second)
	if got := w.who(second); got != "arn:aws:sts::123456789012:assumed-role/second/work" {
		t.Errorf("within the hour: %s", got)
	}
	w.pass(time.Second)
	if got := w.who(second); !strings.HasPrefix(got, "403 ExpiredToken") {
		t.Errorf("after the hour: %s", got)
	}
}

func TestADeletedRoleEndsItsSessions(t *testing.T) {
	w := newWorld(t)
	w.addRole("ops", trusting(aliceARN))
	c := w.credentials(w.call(alice, assume("ops")))
	must(t, w.store.DeleteRole(t.Context(), "ops"))
	for range 2 {
		if got := w.who(c); !strings.HasPrefix(got, "403 InvalidClientTokenId") {
			t.Errorf("a deleted role's session is %s", got)
		}
		// Another role of that name does not bring them back.
		if _, err := w.store.Role(t.Context(), "ops"); err != nil {
			w.addRole("ops", trusting(aliceARN), func(r *store.Role) { r.ID = "AROAYYYYYYYYYYYYYYYYY" })
		}
	}
}

// Session policies narrow what a role may; nothing in them can widen it.
func TestSessionPoliciesNeverWiden(t *testing.T) {
	w := newWorld(t)
	w.addRole("weak", trusting(aliceARN))
	w.addRole("strong", trusting(aliceARN))
	w.allow(role("strong"), decode)
	const (
		admin   = "arn:aws:iam::aws:policy/AdministratorAccess"
		nothing = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`
		deny    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}`
	)
	own := store.ManagedPolicy{ID: "ANPAAAAAAAAAAAAAAAAAA", ARN: "arn:aws:iam::123456789012:policy/own", Name: "own", Path: "/", CreatedAt: start}
	must(t, w.store.CreatePolicy(t.Context(), own, nothing))
	for _, c := range []struct {
		name string
		role string
		more []string
		want bool
	}{
		{"weak, all by document", "weak", []string{"Policy", allowAll}, false},
		{"weak, all by ARN", "weak", []string{"PolicyArns.member.1.arn", admin}, false},
		{"weak, both", "weak", []string{"Policy", allowAll, "PolicyArns.member.1.arn", admin}, false},
		{"strong, all by document", "strong", []string{"Policy", allowAll}, true},
		{"strong, all by ARN", "strong", []string{"PolicyArns.member.1.arn", admin}, true},
		{"strong, something else", "strong", []string{"Policy", nothing}, false},
		{"strong, something else by ARN", "strong", []string{"PolicyArns.member.1.arn", own.ARN}, false},
		{"strong, one of two allows", "strong", []string{"Policy", nothing, "PolicyArns.member.1.arn", admin}, true},
		{"strong, one of two denies", "strong", []string{"Policy", deny, "PolicyArns.member.1.arn", admin}, false},
	} {
		a := w.call(alice, assume(c.role, c.more...))
		if got := w.may(w.credentials(a)); got != c.want {
			t.Errorf("%s: may = %v", c.name, got)
		}
		if a.get("PackedPolicySize") == "0" {
			t.Errorf("%s: the policies take no room", c.name)
		}
	}
}

func TestSessionTags(t *testing.T) {
	w := newWorld(t)
	w.addRole("first", trusting(aliceARN))
	w.addRole("second", trusting("arn:aws:iam::123456789012:role/first"))
	w.addRole("untagged", trust(`"Principal":{"AWS":"`+aliceARN+`"},"Action":"sts:AssumeRole"`))
	w.addRole("red", trusting(aliceARN, `{"StringEquals":{"aws:RequestTag/team":"red"}}`))
	team := func(value string) []string {
		return []string{"Tags.member.1.Key", "Team", "Tags.member.1.Value", value}
	}
	wantAnswer(t, "no trust for tags", w.call(alice, assume("untagged", team("red")...)),
		refused(aliceARN, "sts:TagSession", "arn:aws:iam::123456789012:role/untagged"))
	wantAnswer(t, "another tag", w.call(alice, assume("red", team("blue")...)), refused(aliceARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/red"))
	wantAnswer(t, "the tag", w.call(alice, assume("red", team("red")...)), "200")
	wantAnswer(t, "twice", w.call(alice, assume("first", append(team("red"), "Tags.member.2.Key", "tEAM", "Tags.member.2.Value", "x")...)),
		"400 InvalidParameterValue: Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	wantAnswer(t, "reserved", w.call(alice, assume("first", "Tags.member.1.Key", "AWS:x", "Tags.member.1.Value", "x")),
		"400 InvalidParameterValue: Tag keys that begin with aws: are reserved.")
	wantAnswer(t, "transitive without a tag", w.call(alice, assume("first", append(team("red"), "TransitiveTagKeys.member.1", "x")...)),
		"400 InvalidParameterValue: The specified transitive tag key must be included in the requested tags.")

	first := w.credentials(w.call(alice, assume("first", append(team("red"), "TransitiveTagKeys.member.1", "team",
		"Tags.member.2.Key", "once", "Tags.member.2.Value", "x")...)))
	wantAnswer(t, "a transitive tag again", w.call(first, assume("second", "Tags.member.1.Key", "TEAM", "Tags.member.1.Value", "blue")),
		"400 InvalidParameterValue: One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
	second := w.credentials(w.call(first, assume("second", "Tags.member.1.Key", "own", "Tags.member.1.Value", "y")))
	kept, err := w.store.TemporaryCredential(t.Context(), second.AccessKeyID)
	must(t, err)
	if diff := cmp.Diff([]ssm.Tag{{Key: "own", Value: "y"}, {Key: "Team", Value: "red"}}, kept.SessionTags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Team"}, kept.TransitiveTagKeys); diff != "" || !kept.Chained {
		t.Errorf("chained %v, transitive (-want +got):\n%s", kept.Chained, diff)
	}
}

func TestTheSourceIdentityStays(t *testing.T) {
	w := newWorld(t)
	w.addRole("first", trusting(aliceARN))
	w.addRole("second", trusting("arn:aws:iam::123456789012:role/first"))
	w.addRole("plain", trust(`"Principal":{"AWS":["`+aliceARN+`","arn:aws:iam::123456789012:role/first"]},"Action":"sts:AssumeRole"`))
	wantAnswer(t, "no trust for it", w.call(alice, assume("plain", "SourceIdentity", "Alice")), refused(aliceARN, "sts:SetSourceIdentity", "arn:aws:iam::123456789012:role/plain"))
	a := w.call(alice, assume("first", "SourceIdentity", "Alice"))
	first := w.credentials(a)
	if got := a.get("SourceIdentity"); got != "Alice" {
		t.Errorf("source identity = %q", got)
	}
	const firstARN = "arn:aws:sts::123456789012:assumed-role/first/work"
	wantAnswer(t, "another", w.call(first, assume("second", "SourceIdentity", "Mallory")), refused(firstARN, "sts:AssumeRole", "arn:aws:iam::123456789012:role/second"))
	wantAnswer(t, "handed on without trust for it", w.call(first, assume("plain")), refused(firstARN, "sts:SetSourceIdentity", "arn:aws:iam::123456789012:role/plain"))
	if got := w.call(first, assume("second")).get("SourceIdentity"); got != "Alice" {
		t.Errorf("handed on: %q", got)
	}
}
