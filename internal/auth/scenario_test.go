package auth

import (
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// The sample policies of AWS as stories (api.md §21), with users, groups, roles and
// policies in the store and callers who sign their requests.

const (
	ifChecked  = `"BoolIfExists":{"` + checkKey + `":"true"}`
	fullAccess = `{"Effect":"Allow","Action":["ssm:StartSession","ssm:TerminateSession","ssm:ResumeSession","ssm:DescribeSessions","ssm:GetConnectionStatus"],"Resource":"*"}`
)

func endUser(condition, variable string) string {
	return allow("ssm:StartSession", instanceA+" "+docShell, condition) + "," +
		allow("ssm:DescribeSessions ssm:GetConnectionStatus ssm:DescribeInstanceProperties ec2:DescribeInstances", "*", "") + "," +
		allow("ssm:TerminateSession ssm:ResumeSession ssmmessages:OpenDataChannel", sessions+"${"+variable+"}-*", "") + "," +
		allow("kms:GenerateDataKey", "arn:aws:kms:us-west-2:111122223333:key/k", "")
}

func TestScenarioS1AndS2EndUser(t *testing.T) {
	for _, c := range []struct{ name, condition, variable string }{
		{"S1", "", "aws:userid"},
		{"S2", ifChecked, "aws:username"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			for who, id := range map[string]string{"alice": aliceID, "carol": opsID + ":carol"} {
				s.give(who, endUser(c.condition, c.variable))
				for _, classic := range []bool{false, true} {
					s.starts(true, classic, who, instanceA, "")
					s.starts(true, classic, who, instanceA, docShell)
					s.starts(false, classic, who, instanceB, "")
					s.starts(false, classic, who, managedC, "")
					s.starts(false, classic, who, instanceA, docSSH)
					s.starts(false, classic, who, instanceA, docD1)
				}
				// Both variables name one's own sessions, for sessions of roles too (ADR 0013):
				// here S2 is wider than at AWS.
				s.owned(true, who, "ssm:TerminateSession", who+own, id)
				s.owned(true, who, "ssm:ResumeSession", who+own, id)
				s.owned(true, who, "ssm:TerminateSession", who+own, "") // none that exists
				s.owned(false, who, "ssm:TerminateSession", "bob"+own, bobID)
				s.owned(false, who, "ssm:TerminateSession", "bob"+own, "")
				s.may(true, who, "ssm:DescribeSessions", "*", nil)
				s.may(false, who, "ssm:DescribeInstanceInformation", "*", nil)
				s.may(false, who, "ssm:GetDocument", docShell, nil)
				s.may(false, who, "ssm:CreateActivation", "*", nil)
			}
		})
	}
	s := newStage(t)
	s.give("alice", endUser(strings.Replace(ifChecked, "IfExists", "", 1), "aws:username"))
	s.starts(false, false, "alice", instanceA, "")
}

func TestScenarioS3AndS5InstancesWithoutDocuments(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("ssm:StartSession ssm:SendCommand", instanceA, ""))
	s.give("bob", allow("ssm:StartSession", instanceA+" "+instanceB+" arn:aws:ec2:us-west-2:111122223333:instance/i-3", "")+
		","+allow("ssm:TerminateSession", sessions+"${aws:username}-*", ""))
	for _, who := range []string{"alice", "bob"} {
		s.starts(false, false, who, instanceA, "")
		s.starts(true, true, who, instanceA, "")
		s.starts(true, true, who, instanceA, docShell)
		s.starts(false, true, who, instanceA, docD1)
		s.starts(false, true, who, managedC, "")
		s.starts(who == "bob", true, who, instanceB, "")
	}
	s.owned(true, "bob", "ssm:TerminateSession", "bob"+own, bobID)
}

func TestScenarioS4AdministratorByTag(t *testing.T) {
	const byTag = `"StringLike":{"ssm:resourceTag/Finance":["WebServers"]}`
	s := newStage(t)
	s.give("alice", allow("ssm:StartSession", "arn:aws:ec2:*:*:instance/*", byTag)+","+
		allow("ssm:CreateDocument ssm:UpdateDocument ssm:GetDocument", docShell, "")+","+
		allow("ssm:TerminateSession ssm:ResumeSession", sessions+"${aws:username}-*", ""))
	s.starts(false, false, "alice", instanceA, "")
	s.starts(true, true, "alice", instanceA, "")
	s.starts(false, true, "alice", instanceB, "")
	s.starts(false, true, "alice", managedC, "")
	s.may(true, "alice", "ssm:CreateDocument", docShell, nil)
	s.may(true, "alice", "ssm:GetDocument", docShell, nil)
	s.may(false, "alice", "ssm:CreateDocument", docD1, nil)
	s.may(false, "alice", "ssm:UpdateDocumentDefaultVersion", docShell, nil)
	s.owned(false, "alice", "ssm:TerminateSession", "bob"+own, bobID)

	s.give("alice", allow("ssm:StartSession", "arn:aws:ec2:*:*:instance/* arn:aws:ssm:*:*:managed-instance/*", byTag)+","+
		allow("ssm:StartSession", "arn:aws:ssm:*:*:document/*", ""))
	s.starts(true, false, "alice", instanceA, "")
	s.starts(true, false, "alice", managedC, "")
	s.starts(false, false, "alice", instanceB, "")
}

func TestScenarioS6Documents(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("ssm:GetDocument ssm:ListDocuments", ssmARN+"document/SessionDocument-*", ""))
	s.may(true, "alice", "ssm:GetDocument", ssmARN+"document/SessionDocument-x", nil)
	s.may(false, "alice", "ssm:GetDocument", docShell, nil)
	s.may(false, "alice", "ssm:ListDocuments", "*", nil)
}

func TestScenarioS7TwoTags(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("ssm:StartSession", "*", `"StringEquals":{"ssm:resourceTag/k1":"v1","ssm:resourceTag/k2":"v2"}`))
	for _, c := range []struct {
		tags map[string][]string
		want bool
	}{
		{map[string][]string{"ssm:resourceTag/k1": {"v1"}, "ssm:resourceTag/k2": {"v2"}}, true},
		{map[string][]string{"ssm:resourceTag/K1": {"v1"}, "ssm:resourceTag/k2": {"v2"}}, true},
		{map[string][]string{"ssm:resourceTag/k1": {"V1"}, "ssm:resourceTag/k2": {"v2"}}, false},
		{map[string][]string{"ssm:resourceTag/k1": {"v1"}}, false},
		{nil, false},
	} {
		s.may(c.want, "alice", "ssm:StartSession", instanceA, c.tags)
	}
}

func TestScenarioS8OwnSessionsByUserName(t *testing.T) {
	s := newStage(t)
	s.user("ali", "AIDAALIIIIIIIIIIIIIII")
	for _, who := range []string{"alice", "ali"} {
		s.give(who, allow("ssm:DescribeSessions", "*", "")+","+allow("ssm:TerminateSession", sessions+"${aws:username}-*", ""))
	}
	s.owned(true, "alice", "ssm:TerminateSession", "alice"+own, aliceID)
	s.owned(false, "alice", "ssm:ResumeSession", "alice"+own, aliceID)
	s.owned(false, "alice", "ssm:TerminateSession", "bob"+own, bobID)
	s.owned(false, "ali", "ssm:TerminateSession", "alice"+own, aliceID)
	// AWS falls into this trap (api.md §5.3); ADR 0013 is how we do not.
	s.owned(false, "alice", "ssm:TerminateSession", "alice-x"+own, "AIDAALICEXXXXXXXXXXXX")
	s.may(true, "alice", "ssm:DescribeSessions", "*", nil)
}

func TestScenarioS9SessionsOfOneTarget(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("ssm:TerminateSession", "*", `"StringLike":{"ssm:resourceTag/aws:ssmmessages:target-id":["i-0aaa"]}`))
	const key = "ssm:resourceTag/aws:ssmmessages:target-id"
	s.may(true, "alice", "ssm:TerminateSession", ssmARN+"session/bob"+own, map[string][]string{key: {"i-0aaa"}})
	s.may(false, "alice", "ssm:TerminateSession", ssmARN+"session/bob"+own, map[string][]string{key: {"i-0bbb"}})
}

func TestScenarioS10AndS11SessionTag(t *testing.T) {
	byTag := func(value string) string {
		return allow("ssm:TerminateSession", "*", `"StringLike":{"ssm:resourceTag/aws:ssmmessages:session-id":["`+value+`"]}`)
	}
	s := newStage(t)
	s.give("alice", byTag("${aws:userid}"))
	s.give("carol", byTag("${aws:userid}"))
	s.session("dave", store.TemporaryCredential{RoleName: "Ops", SessionName: "dave"})
	s.owned(true, "alice", "ssm:TerminateSession", "alice"+own, aliceID)
	s.owned(false, "alice", "ssm:TerminateSession", "bob"+own, bobID)
	s.owned(true, "carol", "ssm:TerminateSession", "carol"+own, opsID+":carol")
	s.owned(false, "dave", "ssm:TerminateSession", "carol"+own, opsID+":carol")
	s.give("bob", byTag(aliceID))
	s.owned(true, "bob", "ssm:TerminateSession", "alice"+own, aliceID)
	s.owned(false, "bob", "ssm:TerminateSession", "bob"+own, bobID)
	s.give("alice", byTag("${aws:username}-*"))
	s.owned(false, "alice", "ssm:TerminateSession", "alice"+own, aliceID)
}

func TestScenarioS12ThroughAGroup(t *testing.T) {
	s := newStage(t)
	must(t, s.store.CreateGroup(t.Context(), store.Group{ID: "AGPAGGGGGGGGGGGGGGGGG", Name: "Admins", CreatedAt: now}))
	must(t, s.store.AddUserToGroup(t.Context(), "Admins", "alice"))
	arn := s.managedPolicy("Sessions", fullAccess)
	must(t, s.store.AttachPolicy(t.Context(), store.Entity{Type: store.EntityGroup, Name: "Admins"}, arn, 10))
	for _, node := range []string{instanceA, instanceB, managedC} {
		for _, doc := range []string{"", docShell, docD1, docSSH, docPort} {
			s.starts(true, false, "alice", node, doc)
		}
	}
	s.owned(true, "alice", "ssm:TerminateSession", "bob"+own, bobID)
	s.may(false, "alice", "ssm:CreateDocument", docD1, nil)
	s.may(false, "alice", "ssm:CreateActivation", "*", nil)
	s.starts(false, false, "bob", instanceA, "")
}

func TestScenarioS13AndS14NamedDocuments(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("ssm:StartSession", instanceA+" "+docD1, ifChecked))
	for _, classic := range []bool{false, true} {
		s.starts(true, classic, "alice", instanceA, docD1)
		s.starts(false, classic, "alice", instanceA, "")
		s.starts(false, classic, "alice", instanceA, docCommand)
		s.starts(false, classic, "alice", instanceB, docD1)
	}
	s.give("bob", allow("ssm:StartSession", "arn:aws:ec2:us-west-2:111122223333:instance/* "+docD1+" "+docD1+"2", ifChecked))
	s.starts(true, false, "bob", instanceB, docD1)
	s.starts(true, false, "bob", instanceA, docD1+"2")
	s.starts(false, false, "bob", instanceA, "")
	s.starts(false, false, "bob", managedC, docD1)
}

func TestScenarioS15AndS16SSH(t *testing.T) {
	const ssh = "arn:aws:ssm:*:*:document/AWS-StartSSHSession"
	s := newStage(t)
	s.give("alice", allow("ssm:StartSession", instanceA+" "+ssh, ""))
	s.starts(true, false, "alice", instanceA, docSSH)
	s.starts(false, false, "alice", instanceA, "")
	s.starts(true, true, "alice", instanceA, "")
	s.starts(false, true, "alice", instanceA, docPort)
	s.give("bob", fullAccess+","+deny("ssm:StartSession", ssh, ""))
	s.starts(true, false, "bob", instanceA, "")
	s.starts(false, false, "bob", instanceA, docSSH)
	s.starts(true, false, "bob", instanceA, docPort)
	s.give("carol", fullAccess+","+deny("ssm:StartSession", "arn:aws:ssm:*:*:document/AWS-StartPortForwardingSession*", ""))
	s.starts(false, false, "carol", instanceA, docPort)
	s.starts(false, false, "carol", instanceA, docPort+"ToRemoteHost")
	s.starts(true, false, "carol", instanceA, docSSH)
}

func TestScenarioS18Tier(t *testing.T) {
	const setting = ssmARN + "servicesetting/ssm/managed-instance/activation-tier"
	s := newStage(t)
	s.give("alice", allow("ssm:*", "*", "")+","+deny("ssm:ResetServiceSetting ssm:UpdateServiceSetting", setting, ""))
	s.may(true, "alice", "ssm:GetServiceSetting", setting, nil)
	s.denied(s.ask("alice", Request{Action: "ssm:UpdateServiceSetting", Resource: setting}),
		"User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ssm:UpdateServiceSetting on resource: "+
			setting+" with an explicit deny in an identity-based policy")
}

func TestScenarioS20ActivationClerk(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/service-role/NodeRole"
	s := newStage(t)
	s.give("alice", allow("ssm:CreateActivation", "*", "")+","+allow("iam:PassRole", role, `"StringEquals":{"iam:PassedToService":"ssm.amazonaws.com"}`))
	activate := func(role string) error {
		return s.ask("alice", Request{Action: "ssm:CreateActivation", Resource: "*"},
			Request{Action: "iam:PassRole", Resource: role, Context: map[string][]string{"iam:PassedToService": {"ssm.amazonaws.com"}}})
	}
	must(t, activate(role))
	s.denied(activate("arn:aws:iam::111122223333:role/Admin"), "is not authorized to perform: iam:PassRole on resource: "+
		"arn:aws:iam::111122223333:role/Admin because no identity-based policy allows the iam:PassRole action")
	s.may(false, "alice", "iam:PassRole", role, map[string][]string{"iam:PassedToService": {"ec2.amazonaws.com"}})
}

func TestScenarioS21MFA(t *testing.T) {
	s := newStage(t)
	policy := fullAccess + "," + deny("ssm:StartSession", "*", `"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`)
	s.give("alice", policy)
	s.give("carol", policy)
	s.session("alice with MFA", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID, MFAAt: s.clock})
	s.session("alice without MFA", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID})
	s.session("carol with MFA", store.TemporaryCredential{RoleName: "Ops", SessionName: "carol", MFAAt: s.clock})
	for who, want := range map[string]bool{
		"alice": false, "alice with MFA": true, "alice without MFA": false, "carol": false, "carol with MFA": true,
	} {
		s.starts(want, false, who, instanceA, "")
	}
	// By age: the key is absent without MFA, and grows with time.
	s.give("alice", fullAccess+","+deny("*", "*", `"NumericGreaterThan":{"aws:MultiFactorAuthAge":"600"}`))
	s.clock = s.clock.Add(10 * time.Minute)
	s.starts(true, false, "alice with MFA", instanceA, "")
	s.clock = s.clock.Add(time.Second)
	s.starts(false, false, "alice with MFA", instanceA, "")
	s.starts(true, false, "alice without MFA", instanceA, "")
}

func TestScenarioS22Address(t *testing.T) {
	s := newStage(t)
	s.give("alice", fullAccess+","+deny("*", "*", `"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24"]}`))
	for from, want := range map[string]bool{"192.0.2.17:1": true, "[::ffff:192.0.2.17]:1": true, "198.51.100.1:1": false, "[2001:db8::1]:1": false} {
		s.from = from
		s.starts(want, false, "alice", instanceA, "")
	}
}

func TestScenarioS23TagsOnCreate(t *testing.T) {
	s := newStage(t)
	statement := allow("ssm:CreateDocument", "arn:aws:ssm:*:*:document/*",
		`"StringEquals":{"aws:RequestTag/team":"${aws:PrincipalTag/team}"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`)
	s.user("tess", "AIDATESSTTTTTTTTTTTTT", ssm.Tag{Key: "Team", Value: "red"})
	s.session("dave", store.TemporaryCredential{RoleName: "Ops", SessionName: "dave", SessionTags: []ssm.Tag{{Key: "team", Value: "red"}}})
	for _, who := range []string{"alice", "tess", "carol"} {
		s.give(who, statement)
	}
	request := func(team string, keys ...string) map[string][]string {
		return map[string][]string{"aws:RequestTag/team": {team}, "aws:TagKeys": keys}
	}
	for _, who := range []string{"tess", "dave"} {
		s.may(true, who, "ssm:CreateDocument", docD1, request("red", "team"))
		s.may(false, who, "ssm:CreateDocument", docD1, request("blue", "team"))
		s.may(false, who, "ssm:CreateDocument", docD1, request("red", "team", "env"))
		s.may(false, who, "ssm:CreateDocument", docD1, nil)
	}
	s.may(false, "alice", "ssm:CreateDocument", docD1, request("red", "team"))
	s.may(false, "carol", "ssm:CreateDocument", docD1, request("red", "team"))
	// A session's tag stands over the role's, whatever the case of its key.
	must(t, s.store.TagIdentity(t.Context(), "role", opsID, []ssm.Tag{{Key: "TEAM", Value: "blue"}}, 50))
	s.may(true, "dave", "ssm:CreateDocument", docD1, request("red", "team"))
	s.may(true, "carol", "ssm:CreateDocument", docD1, request("blue", "team"))
}

func TestScenarioS24DocumentType(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("ssm:*Document*", "*", `"StringEquals":{"ssm:DocumentType":"Session"}`))
	s.may(true, "alice", "ssm:DeleteDocument", docD1, map[string][]string{"ssm:DocumentType": {"Session"}})
	s.may(false, "alice", "ssm:CreateDocument", docD1, map[string][]string{"ssm:DocumentType": {"Command"}})
	s.may(false, "alice", "ssm:ListDocuments", "*", nil)
}

func TestScenarioS25Boundary(t *testing.T) {
	s := newStage(t)
	boundary := s.managedPolicy("Limits", endUser("", "aws:userid"))
	for _, who := range []string{"alice", "carol"} {
		e := entity(who)
		must(t, s.store.SetBoundary(t.Context(), e, boundary))
		s.starts(false, false, who, instanceA, "") // a boundary alone grants nothing
		must(t, s.store.AttachPolicy(t.Context(), e, "arn:aws:iam::aws:policy/AdministratorAccess", 10))
		s.starts(true, false, who, instanceA, "")
		s.starts(false, false, who, instanceB, "")
		s.denied(s.ask(who, Request{Action: "ssm:CreateActivation", Resource: "*"}),
			"because no permissions boundary allows the ssm:CreateActivation action")
	}
	must(t, s.store.SetBoundary(t.Context(), entity("alice"), s.managedPolicy("NoStart", allow("*", "*", "")+","+deny("ssm:StartSession", "*", ""))))
	s.denied(s.ask("alice", Request{Action: "ssm:StartSession", Resource: instanceA}), "with an explicit deny in a permissions boundary")
}

func TestScenarioS26SessionPolicy(t *testing.T) {
	s := newStage(t)
	s.give("carol", fullAccess)
	status := policyText(allow("ssm:GetConnectionStatus ssm:CreateActivation", "*", ""))
	managed := s.managedPolicy("Status", allow("ssm:GetConnectionStatus", "*", ""))
	denies := policyText(deny("ssm:StartSession", "*", "") + "," + allow("*", "*", ""))
	s.session("inline", store.TemporaryCredential{RoleName: "Ops", SessionName: "x", SessionPolicies: []string{status}})
	s.session("managed", store.TemporaryCredential{RoleName: "Ops", SessionName: "x", SessionPolicyARNs: []string{managed}})
	s.session("shipped", store.TemporaryCredential{RoleName: "Ops", SessionName: "x", SessionPolicyARNs: []string{"arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"}})
	for _, who := range []string{"inline", "managed", "shipped"} {
		s.may(true, who, "ssm:GetConnectionStatus", instanceA, nil)
		s.may(false, who, "ssm:CreateActivation", "*", nil) // it narrows, it never widens
		s.denied(s.ask(who, Request{Action: "ssm:StartSession", Resource: instanceA}), "because no session policy allows the ssm:StartSession action")
	}
	s.session("denied", store.TemporaryCredential{RoleName: "Ops", SessionName: "x", SessionPolicies: []string{denies}})
	s.denied(s.ask("denied", Request{Action: "ssm:StartSession", Resource: instanceA}), "with an explicit deny in a session policy")
	s.may(true, "denied", "ssm:GetConnectionStatus", instanceA, nil)

	// With a policy that is gone, what it denied must not come back.
	s.session("mixed", store.TemporaryCredential{RoleName: "Ops", SessionName: "x",
		SessionPolicies: []string{policyText(allow("*", "*", ""))}, SessionPolicyARNs: []string{managed}})
	s.may(true, "mixed", "ssm:StartSession", instanceA, nil)
	must(t, s.store.DeletePolicy(t.Context(), managed))
	s.may(false, "mixed", "ssm:StartSession", instanceA, nil)
	s.may(false, "managed", "ssm:GetConnectionStatus", instanceA, nil)
}

func TestSessionTokensOfUsers(t *testing.T) {
	s := newStage(t)
	s.give("alice", allow("*", "*", ""))
	s.session("plain", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID})
	s.session("mfa", store.TemporaryCredential{Kind: store.CredentialSession, UserID: aliceID, MFAAt: s.clock})
	const user = "arn:aws:iam::111122223333:user/alice"
	for _, c := range []struct {
		action     string
		plain, mfa bool
	}{
		{"ssm:StartSession", true, true}, {"iam:GetUser", false, true}, {"IAM:CreateUser", false, true}, {"iam:PassRole", true, true},
		{"sts:AssumeRole", true, true}, {"sts:GetCallerIdentity", true, true}, {"sts:GetSessionToken", false, false}, {"sts:GetFederationToken", false, false},
	} {
		s.may(c.plain, "plain", c.action, user, nil)
		s.may(c.mfa, "mfa", c.action, user, nil)
	}
	// They have the user's policies, and its name.
	s.give("alice", endUser("", "aws:username"))
	s.owned(true, "plain", "ssm:TerminateSession", "alice"+own, aliceID)
	s.may(false, "plain", "ssm:CreateActivation", "*", nil)
}
