package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"sekisho/internal/policy"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// TestOwnSessionsAreNeverAnothers tries names that begin alike, under every way in which
// policies name one's own sessions.
func TestOwnSessionsAreNeverAnothers(t *testing.T) {
	const bobAdminID = "AIDABOBADMINAAAAAAAAA"
	for _, pattern := range []string{"${aws:username}-*", "${aws:userid}-*", "${aws:username}*", "${aws:username}-0*", "${aws:userid}*"} {
		t.Run(pattern, func(t *testing.T) {
			s := newStage(t)
			s.user("bob-admin", bobAdminID)
			s.user("bo", "AIDABOOOOOOOOOOOOOOOO")
			s.session("role bob", store.TemporaryCredential{RoleName: "Ops", SessionName: "bob"})
			for _, who := range []string{"bob", "bob-admin", "bo", "Ops"} {
				s.give(who, allow("ssm:TerminateSession ssm:ResumeSession", sessions+pattern, ""))
			}
			owners := map[string]struct{ id, userID string }{
				"bob":       {"bob" + own, bobID},
				"bob-admin": {"bob-admin" + own, bobAdminID},
				"bo":        {"bo" + own, "AIDABOOOOOOOOOOOOOOOO"},
				"role bob":  {"bob" + own, opsID + ":bob"}, // the very name of a user
				"carol":     {"carol" + own, opsID + ":carol"},
			}
			for who := range owners {
				for owner, session := range owners {
					for _, action := range []string{"ssm:TerminateSession", "ssm:ResumeSession"} {
						s.owned(who == owner, who, action, session.id, session.userID)
					}
				}
			}
			// Ids of sessions that do not exist, and are not of one's own form.
			for _, id := range []string{"bob-admin" + own, "bob-" + own[1:] + own, "bob", "bob-", "bob-0", "bob-x0123456789abcdef", "bob-1123456789abcdef0",
				"bob-0123456789ABCDEF0", "BOB" + own, "bob-0123456789abcdef01", "bob/../bob-admin" + own, own, "", bobID + own, "*" + own, "${aws:username}" + own} {
				s.owned(false, "bob", "ssm:TerminateSession", id, "")
				s.owned(false, "carol", "ssm:TerminateSession", id, "")
			}
			s.owned(true, "bob", "ssm:TerminateSession", "bob"+own, "")
			s.owned(true, "bob-admin", "ssm:TerminateSession", "bob-admin"+own, "")
		})
	}
}

// TestDenialsOfOwnAndOthersSessions holds policies that deny: one that denies one's own
// sessions does not reach others, one that denies all but one's own reaches them all.
func TestDenialsOfOwnAndOthersSessions(t *testing.T) {
	s := newStage(t)
	s.give("bob", allow("ssm:*", "*", "")+","+deny("ssm:TerminateSession", sessions+"${aws:username}-*", ""))
	s.owned(false, "bob", "ssm:TerminateSession", "bob"+own, bobID)
	s.owned(true, "bob", "ssm:TerminateSession", "bob-admin"+own, aliceID)
	others := strings.Replace(deny("ssm:TerminateSession", sessions+"${aws:username}-*", ""), "Resource", "NotResource", 1)
	s.give("bob", allow("ssm:*", "*", "")+","+others)
	s.owned(true, "bob", "ssm:TerminateSession", "bob"+own, bobID)
	s.owned(false, "bob", "ssm:TerminateSession", "bob-admin"+own, aliceID)
	s.give("bob", strings.Replace(others, "Deny", "Allow", 1))
	s.owned(false, "bob", "ssm:TerminateSession", "bob-admin"+own, aliceID)
	// Without variables patterns are taken by the letter, as at AWS.
	s.give("bob", allow("ssm:TerminateSession", sessions+"bob-*", ""))
	s.owned(true, "bob", "ssm:TerminateSession", "bob-admin"+own, aliceID)
}

// TestDefaultsDoNotReplaceWhatIsTaken: the default of a variable is for callers who have
// no such name, and then it is a text like any other.
func TestDefaultsDoNotReplaceWhatIsTaken(t *testing.T) {
	s := newStage(t)
	for _, who := range []string{"alice", "carol"} {
		s.give(who, allow("ssm:TerminateSession", sessions+"${aws:username,'bob'}-*", ""))
	}
	s.owned(false, "alice", "ssm:TerminateSession", "bob"+own, bobID)
	s.owned(true, "carol", "ssm:TerminateSession", "bob"+own, bobID)
	s.owned(true, "alice", "ssm:TerminateSession", "alice"+own, aliceID)
}

// TestLongNamesKeepTheirSessions: ids have at most 96 characters, so long names are cut.
func TestLongNamesKeepTheirSessions(t *testing.T) {
	s := newStage(t)
	long := strings.Repeat("n", 64)
	s.session(long, store.TemporaryCredential{RoleName: "Ops", SessionName: long})
	p := Principal{Kind: User, UserID: aliceID, UserName: strings.Repeat("u", 100)}
	id := ssm.NewSessionID(p.SessionOwner())
	for _, found := range []bool{false, true} {
		r := s.auth.SessionRequest(p, "ssm:TerminateSession", id, aliceID, found)
		if got := r.Variables["aws:username"]; len(got) != 1 || got[0]+id[len(id)-18:] != id || len(r.Aliases) != 1 || r.Aliases[0] != ssmARN+"session/"+aliceID+id[len(id)-18:] {
			t.Errorf("found %v: variables %v, aliases %v for %s", found, r.Variables, r.Aliases, id)
		}
	}
	s.give("Ops", allow("ssm:TerminateSession", sessions+"${aws:userid}-*", ""))
	s.owned(true, long, "ssm:TerminateSession", ssm.NewSessionID(long), opsID+":"+long)
	// A session without a stored owner is nobody's.
	if r := s.auth.SessionRequest(Principal{}, "ssm:TerminateSession", "root"+own, "", true); r.Aliases != nil || r.Variables["aws:userid"] != nil {
		t.Errorf("a session of nobody is that of an anonymous caller: %+v", r)
	}
}

// TestNamesAreNoPatterns: what stands for a variable is taken by the letter.
func TestNamesAreNoPatterns(t *testing.T) {
	s := newStage(t)
	for i, name := range []string{"a*", "${aws:userid}", "?????"} {
		id := "AIDA" + strings.Repeat(string("XYZ"[i]), 17)
		s.user(name, id)
		s.give(name, allow("ssm:GetDocument", "arn:aws:ssm:*:*:document/${aws:username}-*", "")+","+
			allow("ssm:ListDocuments", "*", `"StringLike":{"aws:RequestTag/x":"${aws:username}"}`))
		s.may(true, name, "ssm:GetDocument", ssmARN+"document/"+name+"-1", nil)
		s.may(false, name, "ssm:GetDocument", ssmARN+"document/alice-1", nil)
		s.may(false, name, "ssm:ListDocuments", "*", map[string][]string{"aws:RequestTag/x": {"alice"}})
	}
}

func TestTemporaryCredentialsEnd(t *testing.T) {
	s := newStage(t)
	s.give("alice", fullAccess)
	s.give("carol", fullAccess)
	s.session("token", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID})
	s.session("chained", store.TemporaryCredential{RoleName: "Ops", SessionName: "c", Chained: true})
	s.clock = now.Add(time.Hour - time.Second)
	for _, who := range []string{"carol", "token", "chained"} {
		s.starts(true, false, who, instanceA, "")
	}
	s.clock = now.Add(time.Hour)
	for _, who := range []string{"carol", "token", "chained"} {
		if err := s.ask(who); err == nil || !strings.Contains(err.Error(), "ExpiredTokenException") {
			t.Errorf("%s after the end: %v", who, err)
		}
	}
	// The key of one session is nothing with the token of another, nor a long-term key.
	s.session("other", store.TemporaryCredential{RoleName: "Ops", SessionName: "o"})
	s.session("fresh", store.TemporaryCredential{RoleName: "Ops", SessionName: "f"})
	mixed := s.creds["fresh"]
	mixed.SessionToken = s.creds["other"].SessionToken
	bare := s.creds["fresh"]
	bare.SessionToken = ""
	s.creds["mixed"], s.creds["bare"] = mixed, bare
	for _, who := range []string{"mixed", "bare"} {
		if err := s.ask(who); err == nil || !strings.Contains(err.Error(), sigv4.ErrInvalidToken.Code) {
			t.Errorf("%s: %v", who, err)
		}
	}
}

// TestACallerIsWhoItIsNotWhatItIsCalled: a role named like a user, and a user named like
// a role, have nothing of each other.
func TestACallerIsWhoItIsNotWhatItIsCalled(t *testing.T) {
	s := newStage(t)
	must(t, s.store.CreateRole(t.Context(), store.Role{ID: "AROAALICEAAAAAAAAAAAA", Name: "alice", TrustPolicy: trustsAccount, CreatedAt: now}))
	s.user("Ops", "AIDAOPSOOOOOOOOOOOOOO")
	s.session("alice the role", store.TemporaryCredential{RoleName: "alice", SessionName: "alice"})
	s.give("alice", fullAccess)
	s.starts(false, false, "alice the role", instanceA, "")
	s.give("carol", fullAccess) // the role Ops
	s.starts(false, false, "Ops", instanceA, "")
	s.starts(true, false, "carol", instanceA, "")
}

func TestWhoMayAssumeARole(t *testing.T) {
	trust := func(principal, condition string) string {
		text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"]`
		if condition != "" {
			text += `,"Condition":{` + condition + `}`
		}
		return text + `}}`
	}
	const target = "arn:aws:iam::111122223333:role/x/Target"
	const aliceARN, roleARN = "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/team/Ops"
	const sessionARN = "arn:aws:sts::111122223333:assumed-role/Ops/carol"
	may := allow("sts:AssumeRole", target, "")
	for _, c := range []struct {
		name, who, trust, policy string
		extra                    policy.Context
		reason                   policy.Reason
	}{
		{"named", "alice", trust(`{"AWS":"`+aliceARN+`"}`, ""), "", nil, policy.AllowedByPolicy},
		{"named by id", "alice", trust(`{"AWS":"`+aliceID+`"}`, ""), "", nil, policy.AllowedByPolicy},
		{"named and denied", "alice", trust(`{"AWS":"`+aliceARN+`"}`, ""), deny("sts:*", "*", ""), nil, policy.DeniedByIdentity},
		{"account alone", "alice", trust(`{"AWS":"111122223333"}`, ""), "", nil, policy.NoIdentityAllows},
		{"account and policy", "alice", trust(`{"AWS":"arn:aws:iam::111122223333:root"}`, ""), may, nil, policy.AllowedByPolicy},
		{"policy alone", "alice", trust(`{"AWS":"`+roleARN+`"}`, ""), may, nil, policy.NoTrustAllows},
		{"another account", "alice", trust(`{"AWS":"444455556666"}`, ""), may, nil, policy.NoTrustAllows},
		{"role named", "carol", trust(`{"AWS":"`+roleARN+`"}`, ""), "", nil, policy.AllowedByPolicy},
		{"session named", "carol", trust(`{"AWS":"`+sessionARN+`"}`, ""), "", nil, policy.AllowedByPolicy},
		{"another session of the role", "dave", trust(`{"AWS":"`+sessionARN+`"}`, ""), may, nil, policy.NoTrustAllows},
		{"role without its path", "carol", trust(`{"AWS":"arn:aws:iam::111122223333:role/Ops"}`, ""), may, nil, policy.NoTrustAllows},
		{"service", "alice", trust(`{"Service":"ssm.amazonaws.com"}`, ""), may, nil, policy.NoTrustAllows},
		{"external id", "alice", trust(`{"AWS":"`+aliceARN+`"}`, `"StringEquals":{"sts:ExternalId":"e"}`), "", policy.Context{"sts:ExternalId": {"e"}}, policy.AllowedByPolicy},
		{"another external id", "alice", trust(`{"AWS":"`+aliceARN+`"}`, `"StringEquals":{"sts:ExternalId":"e"}`), "", policy.Context{"sts:ExternalId": {"f"}}, policy.NoTrustAllows},
		{"MFA with the call", "alice", trust(`{"AWS":"`+aliceARN+`"}`, `"Bool":{"aws:MultiFactorAuthPresent":"true"}`), "", policy.Context{"aws:MultiFactorAuthPresent": {"true"}}, policy.AllowedByPolicy},
		{"MFA with the call, by a role", "carol", trust(`{"AWS":"`+roleARN+`"}`, `"Bool":{"aws:MultiFactorAuthPresent":"true"}`), "", policy.Context{"aws:MultiFactorAuthPresent": {"true"}}, policy.AllowedByPolicy},
		{"no MFA", "alice", trust(`{"AWS":"`+aliceARN+`"}`, `"Bool":{"aws:MultiFactorAuthPresent":"true"}`), "", nil, policy.NoTrustAllows},
		{"tags of the role", "alice", trust(`{"AWS":"111122223333"}`, ""), allow("sts:AssumeRole", "*", `"StringEquals":{"aws:ResourceTag/team":"red","iam:ResourceTag/Team":"red"}`), nil, policy.AllowedByPolicy},
		{"no trust policy", "alice", "", allow("*", "*", ""), nil, policy.NoTrustAllows},
		{"session policy forbids", "narrow", trust(`{"AWS":"111122223333"}`, ""), may, nil, policy.NoSessionAllows},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.session("dave", store.TemporaryCredential{RoleName: "Ops", SessionName: "dave"})
			s.session("narrow", store.TemporaryCredential{RoleName: "Ops", SessionName: "n", SessionPolicies: []string{policyText(allow("ssm:*", "*", ""))}})
			holder := c.who
			if holder == "narrow" {
				holder = "Ops"
			}
			if c.policy != "" {
				s.give(holder, c.policy)
			}
			role := store.Role{ID: "AROATARGETAAAAAAAAAAA", Name: "Target", Path: "/x/", TrustPolicy: c.trust, Tags: []ssm.Tag{{Key: "Team", Value: "red"}}}
			must(t, s.call(c.who, func(ctx context.Context) error {
				d, err := s.auth.MayAssume(ctx, role, "sts:AssumeRole", c.extra)
				if d.Reason != c.reason || d.Allowed != (c.reason == policy.AllowedByPolicy) {
					t.Errorf("allowed %v, reason %d; want %d", d.Allowed, d.Reason, c.reason)
				}
				return err
			}))
		})
	}

	s := newStage(t)
	everybody := store.Role{ID: "AROATARGETAAAAAAAAAAA", Name: "Target", TrustPolicy: trust(`"*"`, "")}
	for _, p := range []Principal{{}, {Kind: Root, Account: stageAccount}, {Kind: Node, NodeID: nodeID}} {
		if d, err := s.auth.MayAssume(WithPrincipal(t.Context(), p), everybody, "sts:AssumeRole", nil); err != nil || d.Allowed {
			t.Errorf("%s assumes a role: %v", p.Kind, err)
		}
	}
	const provider = "arn:aws:iam::111122223333:oidc-provider/id.test"
	web := store.Role{Name: "Web", TrustPolicy: trust(`{"Federated":"`+provider+`"}`, `"StringEquals":{"id.test:aud":"app"},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`)}
	for _, c := range []struct {
		provider, audience string
		want               bool
	}{{provider, "app", true}, {provider, "other", false}, {provider + "2", "app", false}} {
		caller := policy.Principal{Type: policy.WebIdentity, AccountID: stageAccount, Provider: c.provider}
		must(t, s.call("alice", func(ctx context.Context) error {
			d, err := s.auth.MayFederate(ctx, web, "sts:AssumeRoleWithWebIdentity", caller, policy.Context{"id.test:aud": {c.audience}})
			if d.Allowed != c.want {
				t.Errorf("%+v: allowed %v", c, d.Allowed)
			}
			return err
		}))
	}
}
