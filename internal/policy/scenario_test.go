package policy

import (
	"strings"
	"testing"
)

// The sample policies of AWS as stories (api.md §21), as far as the policy alone decides. Where StartSession asks
// twice, for the target and for the document, start does what api.md §5.2 says.

const (
	docD1   = "arn:aws:ssm:us-west-2:111122223333:document/exampleAllowedSessionDocument"
	docSSH  = "arn:aws:ssm:us-west-2::document/AWS-StartSSHSession"
	docPort = "arn:aws:ssm:us-west-2::document/AWS-StartPortForwardingSession"
	docCmd  = "arn:aws:ssm:us-west-2::document/AWS-StartInteractiveCommand"
	check   = "ssm:SessionDocumentAccessCheck"
)

// runner asks questions of one set of policies.
type runner struct {
	t        *testing.T
	p        Principal
	identity []Source
	boundary *Source
	session  []Source
	classic  bool // documents need no permission unless a statement says so
	more     Context
}

func run(t *testing.T, p Principal, statements string) *runner {
	return &runner{t: t, p: p, identity: sources(t, managed(statements))}
}

func (r *runner) ask(action, resource string, more Context) Decision {
	return Evaluate(Request{Principal: r.p, Action: action, Resource: resource, Context: with(r.p, merge(r.more, more)), Now: testNow,
		Identity: r.identity, Boundary: r.boundary, Session: r.session, Trace: true})
}

func merge(a, b Context) Context {
	out := Context{}
	for _, c := range []Context{a, b} {
		for k, v := range c {
			out[k] = v
		}
	}
	return out
}

func (r *runner) may(want bool, action, resource string, more Context) {
	r.t.Helper()
	if d := r.ask(action, resource, more); d.Allowed != want {
		r.t.Errorf("%s may %s on %s: %v, want %v", r.p.ARN, action, resource, d.Allowed, want)
	}
}

// finance are the tags of the nodes of Finance.
var finance = Context{"ssm:resourceTag/Finance": {"WebServers"}}

// tags returns the node's tags as context.
func tags(node string) Context {
	if node == instanceB {
		return nil
	}
	return finance
}

// start asks whether a session may begin; an empty document is the default one, not named in the request.
func (r *runner) start(want bool, node, document string, documentTags Context) {
	r.t.Helper()
	target := r.ask("ssm:StartSession", node, merge(tags(node), Context{check: {"true"}}))
	got := target.Allowed
	if got {
		named := document
		if document == "" {
			document = docShell
		}
		needed := !r.classic || named != "" && named != docShell
		for _, m := range target.Matched {
			needed = needed || m.Statement.HasConditionKey(check)
		}
		if needed {
			got = r.ask("ssm:StartSession", document, documentTags).Allowed
		}
	}
	if got != want {
		r.t.Errorf("%s starts on %s with %q (classic %v): %v, want %v", r.p.ARN, node, document, r.classic, got, want)
	}
}

// both runs f strictly and in the classic way.
func (r *runner) both(f func()) {
	r.t.Helper()
	for _, r.classic = range []bool{false, true} {
		f()
	}
	r.classic = false
}

func allow(actions, resources, condition string) string {
	list := func(s string) string { return `["` + strings.ReplaceAll(s, " ", `","`) + `"]` }
	s := `{"Effect":"Allow","Action":` + list(actions) + `,"Resource":` + list(resources)
	if condition != "" {
		s += `,"Condition":{` + condition + `}`
	}
	return s + "}"
}

const ifChecked = `"BoolIfExists":{"` + check + `":"true"}`

func endUser(condition, variable string) string {
	return allow("ssm:StartSession", instanceA+" "+docShell, condition) + "," +
		allow("ssm:DescribeSessions ssm:GetConnectionStatus ssm:DescribeInstanceProperties ec2:DescribeInstances", "*", "") + "," +
		allow("ssm:TerminateSession ssm:ResumeSession ssmmessages:OpenDataChannel", "arn:aws:ssm:*:*:session/${"+variable+"}-*", "") + "," +
		allow("kms:GenerateDataKey", "arn:aws:kms:us-west-2:111122223333:key/k", "")
}

func TestScenarioS1EndUser(t *testing.T) {
	for _, p := range []Principal{alice(), carol()} {
		r := run(t, p, endUser("", "aws:userid"))
		r.both(func() {
			r.start(true, instanceA, "", nil)
			r.start(true, instanceA, docShell, nil)
			r.start(false, instanceB, "", nil)
			r.start(false, managedC, "", nil)
			r.start(false, instanceA, docSSH, nil)
			r.start(false, instanceA, docD1, nil)
		})
		r.may(true, "ssm:TerminateSession", session+p.ID+"-0ab", nil)
		r.may(false, "ssm:TerminateSession", session+bobID+"-0ab", nil)
		r.may(true, "ssm:DescribeSessions", "*", nil)
		r.may(false, "ssm:DescribeInstanceInformation", "*", nil)
		r.may(false, "ssm:GetDocument", docShell, nil)
		r.may(false, "ssm:CreateActivation", "*", nil)
	}
}

func TestScenarioS2OlderEndUser(t *testing.T) {
	a, c := run(t, alice(), endUser(ifChecked, "aws:username")), run(t, carol(), endUser(ifChecked, "aws:username"))
	a.both(func() {
		a.start(true, instanceA, "", nil)
		a.start(false, instanceA, docD1, nil)
		a.start(false, instanceB, "", nil)
	})
	a.may(true, "ssm:TerminateSession", session+"alice-0ab", nil)
	c.start(true, instanceA, "", nil)
	c.may(false, "ssm:TerminateSession", session+"carol-0ab", nil)
	c.may(false, "ssm:ResumeSession", session+opsID+":carol-0ab", nil)
	run(t, alice(), endUser(strings.Replace(ifChecked, "IfExists", "", 1), "aws:username")).start(false, instanceA, "", nil)
}

func TestScenarioS3ConsoleForm(t *testing.T) {
	r := run(t, alice(), allow("ssm:StartSession ssm:SendCommand", instanceA, ""))
	r.start(false, instanceA, "", nil)
	r.classic = true
	r.start(true, instanceA, "", nil)
	r.start(true, instanceA, docShell, nil)
	r.start(false, instanceA, docD1, nil)
}

func TestScenarioS4AdministratorByTag(t *testing.T) {
	const byTag = `"StringLike":{"ssm:resourceTag/Finance":["WebServers"]}`
	r := run(t, alice(), allow("ssm:StartSession", "arn:aws:ec2:*:*:instance/*", byTag)+","+
		allow("ssm:CreateDocument ssm:UpdateDocument ssm:GetDocument", docShell, "")+","+
		allow("ssm:TerminateSession ssm:ResumeSession", "arn:aws:ssm:*:*:session/${aws:username}-*", ""))
	r.start(false, instanceA, "", nil)
	r.classic = true
	r.start(true, instanceA, "", nil)
	r.start(false, instanceB, "", nil)
	r.start(false, managedC, "", nil)
	r.may(true, "ssm:CreateDocument", docShell, nil)
	r.may(true, "ssm:GetDocument", docShell, nil)
	r.may(false, "ssm:CreateDocument", docD1, nil)
	r.may(false, "ssm:UpdateDocumentDefaultVersion", docShell, nil)
	r.may(false, "ssm:TerminateSession", session+"bob-0ab", nil)
	newest := run(t, alice(), allow("ssm:StartSession", "arn:aws:ec2:*:*:instance/* arn:aws:ssm:*:*:managed-instance/*", byTag)+","+
		allow("ssm:StartSession", "arn:aws:ssm:*:*:document/*", ""))
	newest.start(true, instanceA, "", nil)
	newest.start(true, managedC, "", nil)
	newest.start(false, instanceB, "", nil)
}

func TestScenarioS5ThreeNodes(t *testing.T) {
	r := run(t, alice(), allow("ssm:StartSession", instanceA+" "+instanceB+" arn:aws:ec2:us-west-2:111122223333:instance/i-3", "")+","+
		allow("ssm:TerminateSession", "arn:aws:ssm:*:*:session/${aws:username}-*", ""))
	r.start(false, instanceA, "", nil)
	r.classic = true
	r.start(true, instanceA, "", nil)
	r.start(true, instanceB, docShell, nil)
	r.start(false, managedC, "", nil)
	r.start(false, instanceA, docD1, nil)
	r.may(true, "ssm:TerminateSession", session+"alice-0ab", nil)
}

func TestScenarioS6Documents(t *testing.T) {
	r := run(t, alice(), allow("ssm:GetDocument ssm:ListDocuments", "arn:aws:ssm:us-west-2:111122223333:document/SessionDocument-*", ""))
	r.may(true, "ssm:GetDocument", "arn:aws:ssm:us-west-2:111122223333:document/SessionDocument-x", nil)
	r.may(false, "ssm:GetDocument", docShell, nil)
	r.may(false, "ssm:ListDocuments", "*", nil)
}

func TestScenarioS7TwoTags(t *testing.T) {
	r := run(t, alice(), allow("ssm:StartSession", "*", `"StringEquals":{"ssm:resourceTag/k1":"v1","ssm:resourceTag/k2":"v2"}`))
	for _, c := range []struct {
		tags Context
		want bool
	}{
		{Context{"ssm:resourceTag/k1": {"v1"}, "ssm:resourceTag/k2": {"v2"}}, true},
		{Context{"ssm:resourceTag/K1": {"v1"}, "ssm:resourceTag/k2": {"v2"}}, true},
		{Context{"ssm:resourceTag/k1": {"V1"}, "ssm:resourceTag/k2": {"v2"}}, false},
		{Context{"ssm:resourceTag/k1": {"v1"}}, false},
		{nil, false}, // as the untagged document in strict
	} {
		r.may(c.want, "ssm:StartSession", instanceA, c.tags)
	}
}

func TestScenarioS8OwnSessionsByUserName(t *testing.T) {
	const statements = `{"Effect":"Allow","Action":"ssm:DescribeSessions","Resource":"*"},{"Effect":"Allow","Action":"ssm:TerminateSession","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}`
	r := run(t, alice(), statements)
	r.may(true, "ssm:TerminateSession", session+"alice-0ab", nil)
	r.may(false, "ssm:TerminateSession", session+"bob-0ab", nil)
	r.may(true, "ssm:TerminateSession", session+"alice-x-0ab", nil) // AWS's trap: the caller must keep such names apart
	r.may(false, "ssm:ResumeSession", session+"alice-0ab", nil)
	r.may(true, "ssm:DescribeSessions", "*", nil)
	ali := alice()
	ali.UserName = "ali"
	run(t, ali, statements).may(false, "ssm:TerminateSession", session+"alice-0ab", nil)
}

func TestScenarioS9SessionsOfOneTarget(t *testing.T) {
	r := run(t, alice(), allow("ssm:TerminateSession", "*", `"StringLike":{"ssm:resourceTag/aws:ssmmessages:target-id":["i-0aaa"]}`))
	r.may(true, "ssm:TerminateSession", session+"bob-0ab", Context{"ssm:resourceTag/aws:ssmmessages:target-id": {"i-0aaa"}})
	r.may(false, "ssm:TerminateSession", session+"bob-0ab", Context{"ssm:resourceTag/aws:ssmmessages:target-id": {"i-0bbb"}})
}

func TestScenarioS10And11SessionTag(t *testing.T) {
	tag := func(id string) Context { return Context{"ssm:resourceTag/aws:ssmmessages:session-id": {id}} }
	own := allow("ssm:TerminateSession", "*", `"StringLike":{"ssm:resourceTag/aws:ssmmessages:session-id":["${aws:userid}"]}`)
	a, c := run(t, alice(), own), run(t, carol(), own)
	a.may(true, "ssm:TerminateSession", session+"alice-0ab", tag(aliceID))
	a.may(false, "ssm:TerminateSession", session+"bob-0ab", tag(bobID))
	c.may(true, "ssm:TerminateSession", session+"carol-0ab", tag(opsID+":carol"))
	c.may(false, "ssm:TerminateSession", session+"dave-0ab", tag(opsID+":dave"))
	literal := run(t, alice(), strings.Replace(own, "${aws:userid}", bobID, 1))
	literal.may(true, "ssm:TerminateSession", session+"bob-0ab", tag(bobID))
	literal.may(false, "ssm:TerminateSession", session+"alice-0ab", tag(aliceID))
	s11 := run(t, alice(), strings.Replace(own, "${aws:userid}", "${aws:username}-*", 1))
	s11.may(false, "ssm:TerminateSession", session+"alice-0ab", tag(aliceID))
}

const fullAccess = `{"Effect":"Allow","Action":["ssm:StartSession","ssm:TerminateSession","ssm:ResumeSession","ssm:DescribeSessions","ssm:GetConnectionStatus"],"Resource":"*"}`

func TestScenarioS12FullAccess(t *testing.T) {
	r := run(t, alice(), fullAccess)
	for _, node := range []string{instanceA, instanceB, managedC} {
		for _, doc := range []string{"", docShell, docD1, docSSH, docPort} {
			r.start(true, node, doc, nil)
		}
	}
	r.may(true, "ssm:TerminateSession", session+"bob-0ab", nil)
	r.may(false, "ssm:CreateDocument", docD1, nil)
	r.may(false, "ssm:CreateActivation", "*", nil)
}

func TestScenarioS13And14NamedDocuments(t *testing.T) {
	one := run(t, alice(), allow("ssm:StartSession", instanceA+" "+docD1, ifChecked))
	one.both(func() {
		one.start(true, instanceA, docD1, nil)
		one.start(false, instanceA, "", nil)
		one.start(false, instanceA, docCmd, nil)
		one.start(false, instanceB, docD1, nil)
	})
	two := run(t, alice(), allow("ssm:StartSession", "arn:aws:ec2:us-west-2:111122223333:instance/* "+docD1+" "+docD1+"2", ifChecked))
	two.start(true, instanceB, docD1, nil)
	two.start(true, instanceA, docD1+"2", nil)
	two.start(false, instanceA, "", nil)
	two.start(false, managedC, docD1, nil)
}

func TestScenarioS15And16SSH(t *testing.T) {
	const ssh = "arn:aws:ssm:*:*:document/AWS-StartSSHSession"
	only := run(t, alice(), allow("ssm:StartSession", instanceA+" "+ssh, ""))
	only.start(true, instanceA, docSSH, nil)
	only.start(false, instanceA, "", nil)
	only.start(false, instanceA, docPort, nil)
	only.classic = true
	only.start(true, instanceA, "", nil)
	only.start(false, instanceA, docPort, nil)
	denied := run(t, alice(), fullAccess+`,{"Effect":"Deny","Action":"ssm:StartSession","Resource":"`+ssh+`"}`)
	denied.both(func() {
		denied.start(true, instanceA, "", nil)
		denied.start(false, instanceA, docSSH, nil)
		denied.start(true, instanceA, docPort, nil)
	})
	noPorts := run(t, alice(), fullAccess+`,{"Effect":"Deny","Action":"ssm:StartSession","Resource":"arn:aws:ssm:*:*:document/AWS-StartPortForwardingSession*"}`)
	noPorts.start(false, instanceA, docPort, nil)
	noPorts.start(false, instanceA, docPort+"ToRemoteHost", nil)
	noPorts.start(true, instanceA, docSSH, nil)
}

func TestScenarioS18Tier(t *testing.T) {
	const setting = "arn:aws:ssm:us-west-2:111122223333:servicesetting/ssm/managed-instance/activation-tier"
	r := run(t, alice(), allow("ssm:*", "*", "")+`,{"Effect":"Deny","Action":["ssm:ResetServiceSetting","ssm:UpdateServiceSetting"],"Resource":"`+setting+`"}`)
	r.may(true, "ssm:GetServiceSetting", setting, nil)
	d := r.ask("ssm:UpdateServiceSetting", setting, nil)
	want := "User: " + aliceARN + " is not authorized to perform: ssm:UpdateServiceSetting on resource: " + setting + " with an explicit deny in an identity-based policy"
	if got := Explain(d, aliceARN, "ssm:UpdateServiceSetting", setting); got != want {
		t.Errorf("got %s", got)
	}
}

func TestScenarioS19NodeRole(t *testing.T) {
	r := run(t, carol(), allow("ssm:UpdateInstanceInformation ssmmessages:CreateControlChannel ssmmessages:OpenControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenDataChannel", "*", "")+
		","+allow("s3:PutObject", "arn:aws:s3:::bucket/prefix/*", ""))
	r.may(true, "ssmmessages:OpenControlChannel", "*", nil)
	r.may(true, "s3:PutObject", "arn:aws:s3:::bucket/prefix/a/b.log", nil)
	r.may(false, "s3:PutObject", "arn:aws:s3:::bucket/other", nil)
	r.may(false, "ssm:StartSession", instanceA, nil)
	trust := source(t, managed(`{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}`), Trust)
	for provider, want := range map[string]bool{"ssm.amazonaws.com": true, "ec2.amazonaws.com": false} {
		d := Evaluate(Request{Principal: Principal{Type: Service, Provider: provider}, Action: "sts:AssumeRole", Resource: "arn:aws:iam::111122223333:role/NodeRole", Trust: trust})
		if d.Allowed != want {
			t.Errorf("%s may assume the role: %v", provider, d.Allowed)
		}
	}
}

func TestScenarioS20ActivationClerk(t *testing.T) {
	r := run(t, alice(), allow("ssm:CreateActivation", "*", "")+","+
		allow("iam:PassRole", "arn:aws:iam::111122223333:role/service-role/NodeRole", `"StringEquals":{"iam:PassedToService":"ssm.amazonaws.com"}`))
	to := Context{"iam:PassedToService": {"ssm.amazonaws.com"}}
	r.may(true, "ssm:CreateActivation", "*", nil)
	r.may(true, "iam:PassRole", "arn:aws:iam::111122223333:role/service-role/NodeRole", to)
	r.may(false, "iam:PassRole", "arn:aws:iam::111122223333:role/Admin", to)
	r.may(false, "iam:PassRole", "arn:aws:iam::111122223333:role/service-role/NodeRole", Context{"iam:PassedToService": {"ec2.amazonaws.com"}})
}

func TestScenarioS21MFA(t *testing.T) {
	r := run(t, alice(), fullAccess+`,{"Effect":"Deny","Action":"ssm:StartSession","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}`)
	r.start(false, instanceA, "", nil)
	r.more = Context{"aws:MultiFactorAuthPresent": {"true"}}
	r.start(true, instanceA, "", nil)
	r.more = Context{"aws:MultiFactorAuthPresent": {"false"}}
	r.start(false, instanceA, "", nil)
}

func TestScenarioS22Address(t *testing.T) {
	r := run(t, alice(), fullAccess+`,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24"]}}}`)
	for address, want := range map[string]bool{"192.0.2.17": true, "198.51.100.1": false, "2001:db8::1": false} {
		r.more = Context{"aws:SourceIp": {address}}
		r.start(want, instanceA, "", nil)
	}
}

func TestScenarioS23TagsOnCreate(t *testing.T) {
	statement := allow("ssm:CreateDocument", "arn:aws:ssm:*:*:document/*",
		`"StringEquals":{"aws:RequestTag/team":"${aws:PrincipalTag/team}"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`)
	teamed := alice()
	teamed.Tags = map[string]string{"team": "red"}
	r := run(t, teamed, statement)
	request := func(team string, keys ...string) Context {
		return Context{"aws:RequestTag/team": {team}, "aws:TagKeys": keys}
	}
	r.may(true, "ssm:CreateDocument", docD1, request("red", "team"))
	r.may(false, "ssm:CreateDocument", docD1, request("blue", "team"))
	r.may(false, "ssm:CreateDocument", docD1, request("red", "team", "env"))
	r.may(false, "ssm:CreateDocument", docD1, nil)
	run(t, alice(), statement).may(false, "ssm:CreateDocument", docD1, request("red", "team"))
}

func TestScenarioS24DocumentType(t *testing.T) {
	r := run(t, alice(), allow("ssm:*Document*", "*", `"StringEquals":{"ssm:DocumentType":"Session"}`))
	r.may(true, "ssm:DeleteDocument", docD1, Context{"ssm:DocumentType": {"Session"}})
	r.may(false, "ssm:CreateDocument", docD1, Context{"ssm:DocumentType": {"Command"}})
	r.may(false, "ssm:ListDocuments", "*", nil)
}

func TestScenarioS25Boundary(t *testing.T) {
	r := run(t, alice(), allowAll)
	r.boundary = source(t, managed(endUser("", "aws:userid")), Managed)
	r.start(true, instanceA, "", nil)
	r.start(false, instanceB, "", nil)
	d := r.ask("ssm:CreateActivation", "*", nil)
	if got := Explain(d, aliceARN, "ssm:CreateActivation", "*"); !strings.HasSuffix(got, " on resource: * because no permissions boundary allows the ssm:CreateActivation action") {
		t.Errorf("got %s", got)
	}
}

func TestScenarioS26SessionPolicy(t *testing.T) {
	r := run(t, carol(), fullAccess)
	r.session = []Source{*source(t, managed(allow("ssm:GetConnectionStatus", "*", "")), Session)}
	r.may(true, "ssm:GetConnectionStatus", instanceA, nil)
	d := r.ask("ssm:StartSession", instanceA, nil)
	if got := Explain(d, r.p.SessionARN, "ssm:StartSession", instanceA); !strings.HasSuffix(got, " because no session policy allows the ssm:StartSession action") {
		t.Errorf("got %s", got)
	}
}

// TestScenarioWalkthrough is the policy of walkthrough.md: its second statement undoes its first.
func TestScenarioWalkthrough(t *testing.T) {
	first := `{"Sid":"one",` + allow("ssm:StartSession", instanceA+" "+docShell, "")[1:]
	third := allow("ssm:TerminateSession ssm:ResumeSession", "arn:aws:ssm:*:*:session/${aws:userid}-*", "")
	const listed = "ssm:DescribeSessions ssm:GetConnectionStatus ssm:DescribeInstanceProperties ec2:DescribeInstances"
	printed := run(t, alice(), first+","+allow(listed+" ssm:StartSession", "*", "")+","+third)
	if d := printed.ask("ssm:StartSession", instanceB, nil); !d.Allowed || d.Deciding.Statement.Index() != 2 {
		t.Errorf("as printed: allowed %v by %v", d.Allowed, d.Deciding.Statement)
	}
	corrected := run(t, alice(), first+","+allow(listed, "*", "")+","+third)
	corrected.start(true, instanceA, "", nil)
	corrected.start(false, instanceB, "", nil)
	corrected.start(false, instanceA, docD1, nil)
	if d := corrected.ask("ssm:StartSession", instanceA, nil); d.Deciding.Statement.Sid() != "one" {
		t.Errorf("decided by %q", d.Deciding.Statement.Sid())
	}
}
