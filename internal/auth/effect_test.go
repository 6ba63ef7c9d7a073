package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// other is a second server on the same database, with an Auth and caches of its own.
func (s *stage) other(dsn string) *stage {
	s.Helper()
	o := *s
	o.store = storetest.OpenDSN(s.T, dsn)
	o.serve()
	return &o
}

// TestChangesCountFromTheNextRequest changes everything that can change, and asks on the
// server that changed it and on another one, both of which have asked before.
func TestChangesCountFromTheNextRequest(t *testing.T) {
	ctx := t.Context()
	group := store.Entity{Type: store.EntityGroup, Name: "Admins"}
	setUp := func(t *testing.T) (one, two *stage) {
		dsn := storetest.SQLite().New(t)
		s := newStageOn(t, storetest.OpenDSN(t, dsn))
		must(t, s.store.CreateGroup(ctx, store.Group{ID: "AGPAGGGGGGGGGGGGGGGGG", Name: group.Name, CreatedAt: now}))
		s.session("token", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID})
		return s, s.other(dsn)
	}
	const full = "arn:aws:iam::" + stageAccount + ":policy/Full"
	inGroup := func(s *stage) {
		must(t, s.store.AddUserToGroup(ctx, group.Name, "alice"))
		must(t, s.store.PutInlinePolicy(ctx, group, "g", policyText(fullAccess), 1, 5120))
	}
	attached := func(s *stage) {
		s.managedPolicy("Full", fullAccess)
		must(t, s.store.AttachPolicy(ctx, entity("alice"), full, 10))
	}
	given := func(s *stage) { s.give("alice", fullAccess); s.give("carol", fullAccess) }
	for _, c := range []struct {
		name   string
		before func(*stage)
		change func(*stage) error
		who    []string
		gone   bool // not even authenticated afterwards
	}{
		{"inline policy replaced", given, func(s *stage) error {
			return s.store.PutInlinePolicy(ctx, entity("alice"), "p", policyText(deny("*", "*", "")), 1, 2048)
		}, []string{"alice", "token"}, false},
		{"inline policy deleted", given, func(s *stage) error { return s.store.DeleteInlinePolicy(ctx, entity("alice"), "p") }, []string{"alice", "token"}, false},
		{"policy of a role deleted", given, func(s *stage) error { return s.store.DeleteInlinePolicy(ctx, entity("carol"), "p") }, []string{"carol"}, false},
		{"policy detached", attached, func(s *stage) error { return s.store.DetachPolicy(ctx, entity("alice"), full) }, []string{"alice", "token"}, false},
		{"new default version", attached, func(s *stage) error {
			_, err := s.store.CreatePolicyVersion(ctx, full, policyText(allow("ssm:GetDocument", "*", "")), true, now)
			return err
		}, []string{"alice", "token"}, false},
		{"member removed", inGroup, func(s *stage) error { return s.store.RemoveUserFromGroup(ctx, group.Name, "alice") }, []string{"alice", "token"}, false},
		{"group's policy deleted", inGroup, func(s *stage) error { return s.store.DeleteInlinePolicy(ctx, group, "g") }, []string{"alice"}, false},
		{"denied through a group", func(s *stage) { given(s); must(t, s.store.AddUserToGroup(ctx, group.Name, "alice")) }, func(s *stage) error {
			return s.store.PutInlinePolicy(ctx, group, "g", policyText(deny("ssm:StartSession", "*", "")), 1, 5120)
		}, []string{"alice"}, false},
		{"boundary set", given, func(s *stage) error {
			return s.store.SetBoundary(ctx, entity("alice"), "arn:aws:iam::aws:policy/IAMReadOnlyAccess")
		}, []string{"alice"}, false},
		{"tag taken", func(s *stage) {
			must(t, s.store.TagIdentity(ctx, "user", aliceID, []ssm.Tag{{Key: "team", Value: "red"}}, 50))
			s.give("alice", allow("ssm:StartSession", "*", `"StringEquals":{"aws:PrincipalTag/team":"red"}`))
		}, func(s *stage) error { return s.store.UntagIdentity(ctx, "user", aliceID, []string{"team"}) }, []string{"alice"}, false},
		{"key deleted", given, func(s *stage) error { return s.store.DeleteAccessKey(ctx, s.creds["alice"].AccessKeyID) }, []string{"alice"}, true},
		{"key switched off", given, func(s *stage) error {
			return s.store.SetAccessKeyActive(ctx, s.creds["alice"].AccessKeyID, false)
		}, []string{"alice"}, true},
		{"user deleted", given, func(s *stage) error {
			must(t, s.store.DeleteInlinePolicy(ctx, entity("alice"), "p"))
			must(t, s.store.DeleteAccessKey(ctx, s.creds["alice"].AccessKeyID))
			return s.store.DeleteUser(ctx, "alice")
		}, []string{"alice", "token"}, true},
		{"role deleted", given, func(s *stage) error {
			must(t, s.store.DeleteInlinePolicy(ctx, entity("carol"), "p"))
			return s.store.DeleteRole(ctx, "Ops")
		}, []string{"carol"}, true},
		{"role made anew", given, func(s *stage) error {
			must(t, s.store.DeleteInlinePolicy(ctx, entity("carol"), "p"))
			must(t, s.store.DeleteRole(ctx, "Ops"))
			must(t, s.store.CreateRole(ctx, store.Role{ID: "AROAOTHEROOOOOOOOOOOO", Name: "Ops", TrustPolicy: trustsAccount, CreatedAt: now}))
			return s.store.AttachPolicy(ctx, entity("carol"), "arn:aws:iam::aws:policy/AdministratorAccess", 10)
		}, []string{"carol"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, two := setUp(t)
			c.before(one)
			for _, who := range c.who {
				one.starts(true, false, who, instanceA, "")
				two.starts(true, false, who, instanceA, "")
			}
			must(t, c.change(one))
			for _, s := range []*stage{one, two} {
				for _, who := range c.who {
					err := s.ask(who, Request{Action: "ssm:StartSession", Resource: instanceA})
					if err == nil {
						t.Errorf("%s starts a session after the change", who)
					} else if gone := strings.Contains(err.Error(), "UnrecognizedClientException"); gone != c.gone {
						t.Errorf("%s is refused with %v, want it known %v", who, err, !c.gone)
					}
				}
			}
		})
	}
}

func TestARenamedUserKeepsItsKeysAndSessions(t *testing.T) {
	s := newStage(t)
	s.give("alice", endUser("", "aws:username"))
	s.session("token", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID})
	s.owned(true, "alice", "ssm:TerminateSession", "alice"+own, aliceID)
	must(t, s.store.UpdateUser(t.Context(), "alice", "alicia", "/new/"))
	for _, who := range []string{"alice", "token"} { // the names of the keys
		s.owned(true, who, "ssm:TerminateSession", "alice"+own, aliceID)
		s.owned(true, who, "ssm:TerminateSession", "alicia"+own, aliceID)
		must(t, s.call(who, func(ctx context.Context) error {
			if p, _ := From(ctx); p.UserName != "alicia" || p.ARN != "arn:aws:iam::111122223333:user/new/alicia" {
				t.Errorf("%s is %+v", who, p)
			}
			return nil
		}))
	}
}

func TestSubjectsAreJudgedByTheirPoliciesOfNow(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	start := Request{Action: "ssm:StartSession", Resource: instanceA}
	subject := func(who string) (subject Subject) {
		must(t, s.call(who, func(ctx context.Context) error {
			subject = s.auth.Subject(ctx)
			return nil
		}))
		return subject
	}
	check := func(name string, subject Subject, want bool, suffix string) {
		t.Helper()
		allowed, reason, err := s.auth.DecideFor(ctx, subject, start)
		must(t, err)
		if allowed != want || !strings.HasSuffix(reason, suffix) {
			t.Errorf("%s: allowed %v, reason %q; want %v, %q", name, allowed, reason, want, suffix)
		}
	}
	const none = "because no identity-based policy allows the ssm:StartSession action"
	here := `"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"StringEquals":{"sekisho:ViaConsole":"false"}`
	s.give("alice", allow("ssm:StartSession", "*", here))
	s.give("carol", fullAccess)
	s.session("narrow", store.TemporaryCredential{RoleName: "Ops", SessionName: "narrow",
		SessionPolicies: []string{policyText(allow("ssm:GetConnectionStatus", "*", ""))}})
	alice, carol, narrow := subject("alice"), subject("carol"), subject("narrow")
	s.from = "198.51.100.1:1"
	away := subject("alice")
	check("alice", alice, true, "")
	check("alice from elsewhere", away, false, none)
	check("carol", carol, true, "")
	check("narrow", narrow, false, "because no session policy allows the ssm:StartSession action")
	check("root", Subject{UserID: stageAccount, ARN: "arn:aws:iam::111122223333:root"}, true, "")
	check("nobody", Subject{}, false, none)
	check("a role by the id of another", Subject{UserID: "AROAOTHEROOOOOOOOOOOO:carol", ARN: carol.ARN}, false, none)
	check("a role with the ARN of a user", Subject{UserID: carol.UserID, ARN: alice.ARN}, false, none)

	// Office hours are those of the start.
	s.give("alice", allow("ssm:StartSession", "*", `"DateLessThan":{"aws:CurrentTime":"`+now.Add(time.Hour).Format(time.RFC3339)+`"}`))
	s.clock = now.Add(2 * time.Hour)
	check("alice after hours", alice, true, "")
	check("alice, who starts after hours", subject("alice"), false, none)
	s.clock = now
	if d, err := s.auth.TraceFor(ctx, alice, start); err != nil || !d.Allowed || len(d.Matched) != 1 {
		t.Errorf("traced: %+v, %v", d, err)
	}

	// Sessions that began before a moment are revoked by the time of their credentials.
	s.give("carol", fullAccess+","+deny("*", "*", `"DateLessThan":{"aws:TokenIssueTime":"`+now.Add(time.Second).Format(time.RFC3339)+`"}`))
	check("carol, revoked", carol, false, "with an explicit deny in an identity-based policy")
	must(t, s.store.DeleteInlinePolicy(ctx, entity("alice"), "p"))
	check("alice without policy", alice, false, none)
	s.give("alice", fullAccess)
	check("alice again", alice, true, "")
	must(t, s.store.DeleteInlinePolicy(ctx, entity("alice"), "p"))
	must(t, s.store.DeleteAccessKey(ctx, s.creds["alice"].AccessKeyID))
	must(t, s.store.DeleteUser(ctx, "alice"))
	check("alice, deleted", alice, false, none)
	s.user("alice", "AIDAALICESECONDAAAAAA"[:21])
	s.give("alice", fullAccess)
	check("alice, another of the name", alice, false, none)
}

func TestGlobalConditionKeys(t *testing.T) {
	s := newStage(t)
	s.session("chained", store.TemporaryCredential{RoleName: "Ops", SessionName: "c", SourceIdentity: "alice",
		MFAAt: s.clock.Add(-time.Minute), Provider: "arn:aws:iam::111122223333:oidc-provider/id.test"})
	equals := func(key, value string) string { return `"StringEquals":{"` + key + `":"` + value + `"}` }
	absent := func(key string) string { return `"Null":{"` + key + `":"true"}` }
	for _, c := range []struct {
		who, condition string
		resource       string
		action         string
	}{
		{"alice", equals("aws:username", "alice"), "*", ""},
		{"alice", equals("aws:userid", aliceID), "*", ""},
		{"alice", equals("aws:PrincipalType", "User"), "*", ""},
		{"alice", equals("aws:PrincipalArn", "arn:aws:iam::111122223333:user/alice"), "*", ""},
		{"alice", equals("aws:PrincipalAccount", stageAccount), "*", ""},
		{"alice", equals("aws:UserAgent", "aws-cli/2.30"), "*", ""},
		{"alice", equals("aws:RequestedRegion", "us-west-2"), "*", ""},
		{"alice", equals("aws:RequestedRegion", "us-east-1"), "*", "iam:ListUsers"},
		{"alice", `"Bool":{"aws:SecureTransport":"true","aws:ViaAWSService":"false","aws:PrincipalIsAWSService":"false","sekisho:ViaConsole":"false"}`, "*", ""},
		{"alice", `"DateEquals":{"aws:CurrentTime":"2026-05-23T07:31:28Z"}`, "*", ""},
		{"alice", equals("aws:ResourceAccount", stageAccount), instanceA, ""},
		{"alice", equals("aws:ResourceAccount", stageAccount), "arn:aws:s3:::bucket/key", "s3:GetObject"},
		{"alice", absent("aws:ResourceAccount"), "*", ""},
		{"alice", absent("aws:ResourceAccount"), docSSH, ""},
		{"alice", absent("aws:TokenIssueTime"), "*", ""},
		{"alice", absent("aws:MultiFactorAuthPresent"), "*", ""},
		{"alice", absent("aws:SourceIdentity"), "*", ""},
		{"alice", absent("ssm:SourceInstanceARN"), "*", ""},
		{"carol", absent("aws:username"), "*", ""},
		{"carol", equals("aws:userid", opsID+":carol"), "*", ""},
		{"carol", equals("aws:PrincipalType", "AssumedRole"), "*", ""},
		{"carol", equals("aws:PrincipalArn", "arn:aws:iam::111122223333:role/team/Ops"), "*", ""},
		{"carol", equals("aws:MultiFactorAuthPresent", "false"), "*", ""},
		{"carol", absent("aws:MultiFactorAuthAge"), "*", ""},
		{"carol", `"DateEquals":{"aws:TokenIssueTime":"2026-05-23T07:31:28Z"}`, "*", ""},
		{"chained", equals("aws:SourceIdentity", "alice"), "*", ""},
		{"chained", equals("aws:FederatedProvider", "arn:aws:iam::111122223333:oidc-provider/id.test"), "*", ""},
		{"chained", equals("aws:MultiFactorAuthPresent", "true"), "*", ""},
		{"chained", `"NumericEquals":{"aws:MultiFactorAuthAge":"60"}`, "*", ""},
	} {
		action := c.action
		if action == "" {
			action = "ssm:DescribeSessions"
		}
		holder := c.who
		if holder == "chained" {
			holder = "Ops"
		}
		s.give(holder, allow(action, "*", c.condition))
		s.may(true, c.who, action, c.resource, nil)
		if strings.Contains(c.condition, `:user`) && c.who == "alice" { // what is known of the caller stands against what is said of the pair
			s.may(true, "alice", action, c.resource, map[string][]string{"aws:username": {"mallory"}, "aws:UserId": {"x"}})
		}
		if t.Failed() {
			t.Fatalf("%s with %s", c.who, c.condition)
		}
	}

	// The console's principal, which is not signed.
	u, err := s.store.UserByID(t.Context(), aliceID)
	must(t, err)
	p := s.auth.UserPrincipal(u)
	p.ViaConsole, p.MFAKnown = true, true
	s.give("alice", allow("ssm:DescribeSessions", "*", `"Bool":{"sekisho:ViaConsole":"true","aws:MultiFactorAuthPresent":"false"},`+equals("aws:RequestedRegion", "us-west-2")))
	must(t, s.auth.Authorize(WithPrincipal(t.Context(), p), Request{Action: "ssm:DescribeSessions", Resource: "*"}))
}

func TestSourcesAreWhatDecides(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	group := store.Entity{Type: store.EntityGroup, Name: "Admins"}
	must(t, s.store.CreateGroup(ctx, store.Group{ID: "AGPAGGGGGGGGGGGGGGGGG", Name: "Admins", CreatedAt: now}))
	must(t, s.store.AddUserToGroup(ctx, "Admins", "alice"))
	must(t, s.store.PutInlinePolicy(ctx, group, "g", policyText(fullAccess), 1, 5120))
	s.give("alice", fullAccess)
	must(t, s.store.AttachPolicy(ctx, entity("alice"), s.managedPolicy("Own", fullAccess), 10))
	must(t, s.store.AttachPolicy(ctx, entity("alice"), "arn:aws:iam::aws:policy/ReadOnlyAccess", 10))
	must(t, s.store.SetBoundary(ctx, entity("alice"), "arn:aws:iam::aws:policy/AdministratorAccess"))
	identity, boundary, principal, err := s.auth.Sources(ctx, entity("alice"))
	must(t, err)
	got := map[string]policy.Source{}
	for _, src := range identity {
		got[src.Name] = src
	}
	for name, want := range map[string]policy.Source{
		"g":              {Type: policy.FromGroup, Group: "Admins"},
		"p":              {Type: policy.FromUser},
		"Own":            {Type: policy.UserManaged, ARN: "arn:aws:iam::111122223333:policy/Own"},
		"ReadOnlyAccess": {Type: policy.AWSManaged, ARN: "arn:aws:iam::aws:policy/ReadOnlyAccess"},
	} {
		if g := got[name]; g.Type != want.Type || g.ARN != want.ARN || g.Group != want.Group || g.Policy == nil {
			t.Errorf("%s: %+v, want %+v", name, g, want)
		}
	}
	if len(identity) != 4 || boundary == nil || boundary.Name != "AdministratorAccess" || principal.ID != aliceID {
		t.Errorf("%d policies, boundary %+v, principal %+v", len(identity), boundary, principal)
	}
	identity, boundary, _, err = s.auth.Sources(ctx, group)
	must(t, err)
	if len(identity) != 1 || boundary != nil {
		t.Errorf("the group has %v and %v", identity, boundary)
	}
	_, _, principal, err = s.auth.Sources(ctx, entity("Ops"))
	must(t, err)
	if principal.ARN != "arn:aws:iam::111122223333:role/team/Ops" {
		t.Errorf("the role is %+v", principal)
	}
	for _, e := range []store.Entity{{Type: store.EntityUser, Name: "x"}, {Type: store.EntityGroup, Name: "x"}, {Type: store.EntityRole, Name: "x"}} {
		if _, _, _, err := s.auth.Sources(ctx, e); err == nil {
			t.Errorf("%s exists", e)
		}
	}
}

func TestUsesAreWrittenDownOnceAMinute(t *testing.T) {
	s := newStage(t)
	used := func() (key, role time.Time) {
		k, err := s.store.AccessKey(t.Context(), s.creds["alice"].AccessKeyID)
		must(t, err)
		r, err := s.store.Role(t.Context(), "Ops")
		must(t, err)
		return k.LastUsedAt, r.LastUsedAt
	}
	for _, c := range []struct{ after, want time.Duration }{{0, 0}, {59 * time.Second, 0}, {time.Minute, time.Minute}, {90 * time.Second, time.Minute}} {
		s.clock = now.Add(c.after)
		before, err := s.store.IdentityRevision(t.Context())
		must(t, err)
		s.may(false, "alice", "ssm:StartSession", instanceA, nil)
		s.may(false, "carol", "ssm:StartSession", instanceA, nil)
		if key, role := used(); !key.Equal(now.Add(c.want)) || !role.Equal(now.Add(c.want)) {
			t.Errorf("after %v: used %v and %v", c.after, key, role)
		}
		if after, err := s.store.IdentityRevision(t.Context()); err != nil || after != before {
			t.Errorf("a use is a change: revision %d, then %d, %v", before, after, err)
		}
	}
}
