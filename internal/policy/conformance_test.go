package policy

import "testing"

// The numbered points of api.md §4.10.

const session = "arn:aws:ssm:us-west-2:111122223333:session/"

func TestConformance01DenyInAGroupBeatsAllowOnTheUser(t *testing.T) {
	p := alice()
	user, group := sources(t, managed(allowAll)), sources(t, managed(denyX))
	group[0].Type, group[0].Group = FromGroup, "ops"
	d := Evaluate(Request{Principal: p, Action: "a:x", Resource: "*", Identity: append(user, group...)})
	if d.Reason != DeniedByIdentity || d.Deciding.Source.Group != "ops" {
		t.Errorf("got %+v", d)
	}
}

func TestConformance02BoundaryAloneGrantsNothing(t *testing.T) {
	d := Evaluate(Request{Principal: alice(), Action: "a:x", Resource: "*", Boundary: source(t, managed(allowAll), Managed)})
	if d.Reason != NoIdentityAllows {
		t.Errorf("got %+v", d)
	}
}

func TestConformance03SelfManageWithMFA(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":["iam:*","ssm:*"],"Resource":"*"},
		{"Effect":"Deny","NotAction":["iam:ListMFADevices","iam:EnableMFADevice","sts:GetSessionToken"],"Resource":"*",
		 "Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}`)
	for _, c := range []struct {
		action string
		mfa    []string
		want   Outcome
	}{
		{"iam:EnableMFADevice", nil, Allowed},
		{"ssm:StartSession", nil, ExplicitDeny},
		{"ssm:StartSession", []string{"false"}, ExplicitDeny},
		{"ssm:StartSession", []string{"true"}, Allowed},
		{"sts:GetSessionToken", nil, ImplicitDeny},
	} {
		if d := decide(t, c.action, "*", Context{"aws:MultiFactorAuthPresent": c.mfa}, text); d.Outcome != c.want {
			t.Errorf("%s with MFA %v: %s", c.action, c.mfa, d.Outcome)
		}
	}
}

func TestConformance04AllowNotResource(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":"*","NotResource":["` + docShell + `","arn:aws:iam::*:*"]}`)
	for resource, want := range map[string]bool{docShell: false, aliceARN: false, instanceA: true, "arn:aws:s3:::b/k": true, "*": true} {
		if d := decide(t, "s3:GetObject", resource, nil, text); d.Allowed != want {
			t.Errorf("%s: allowed %v", resource, d.Allowed)
		}
	}
}

func TestConformance05KeysAreAndedValuesOred(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"ssm:resourceTag/env":["dev","test"],"ssm:resourceTag/team":"ops"}}}`)
	for _, c := range []struct {
		env, team string
		want      bool
	}{{"dev", "ops", true}, {"test", "ops", true}, {"prod", "ops", false}, {"dev", "web", false}} {
		if d := decide(t, "a:x", "*", Context{"ssm:resourceTag/env": {c.env}, "ssm:resourceTag/team": {c.team}}, text); d.Allowed != c.want {
			t.Errorf("%+v: allowed %v", c, d.Allowed)
		}
	}
}

// one is a policy with one condition.
func one(condition string) string {
	return managed(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{` + condition + `}}`)
}

func TestConformance06NegatedOperatorWithAbsentKey(t *testing.T) {
	if d := decide(t, "a:x", "*", nil, one(`"StringNotEquals":{"x:k":"v"}`)); !d.Allowed {
		t.Error("StringNotEquals is false for an absent key")
	}
}

func TestConformance07ForAllValuesWithAbsentKey(t *testing.T) {
	if d := decide(t, "a:x", "*", nil, one(`"ForAllValues:StringEquals":{"aws:TagKeys":"v"}`)); !d.Allowed {
		t.Error("ForAllValues is false for an absent key")
	}
}

func TestConformance08BoolIfExistsAndBool(t *testing.T) {
	const key = `{"ssm:SessionDocumentAccessCheck":"true"}`
	if d := decide(t, "a:x", "*", nil, one(`"BoolIfExists":`+key)); !d.Allowed {
		t.Error("BoolIfExists is false for an absent key")
	}
	if d := decide(t, "a:x", "*", nil, one(`"Bool":`+key)); d.Allowed {
		t.Error("Bool is true for an absent key")
	}
}

func TestConformance09NoVariablesWithoutVersion(t *testing.T) {
	text := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}}`
	if d := decide(t, "a:x", session+"alice-1", nil, text); d.Allowed {
		t.Error("a variable is replaced in a policy without Version")
	}
	if d := decide(t, "a:x", session+"${aws:username}-1", nil, text); !d.Allowed {
		t.Error("the literal text does not match")
	}
}

func TestConformance10UserNamedLikeAPattern(t *testing.T) {
	p := alice()
	p.UserName = "a*"
	src := sources(t, managed(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}`))
	for id, want := range map[string]bool{"a*-0123": true, "a-0123": false, "alice-0123": false, "ab-0123": false} {
		d := Evaluate(Request{Principal: p, Action: "ssm:ResumeSession", Resource: session + id, Context: p.Context(), Identity: src})
		if d.Allowed != want {
			t.Errorf("%s: allowed %v", id, d.Allowed)
		}
	}
}

func TestConformance11ActionsHaveNoCase(t *testing.T) {
	if d := decide(t, "ssm:StartSession", instanceA, nil, managed(`{"Effect":"Allow","Action":"SSM:startsession","Resource":"*"}`)); !d.Allowed {
		t.Error("the case of an action counts")
	}
}

func TestConformance12OtherAccountOrRegion(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":"*","Resource":"` + instanceA + `"}`)
	for _, resource := range []string{
		"arn:aws:ec2:us-west-2:444455556666:instance/i-0aaaaaaaaaaaaaaaa",
		"arn:aws:ec2:us-east-1:111122223333:instance/i-0aaaaaaaaaaaaaaaa",
	} {
		if d := decide(t, "ssm:StartSession", resource, nil, text); d.Allowed {
			t.Errorf("%s is allowed", resource)
		}
	}
}

func TestConformance13IPv6Block(t *testing.T) {
	text := one(`"IpAddress":{"aws:SourceIp":"2001:db8:1234::/48"}`)
	for address, want := range map[string]bool{"2001:db8:1234:5678::1": true, "2001:DB8:1234::": true, "2001:db8:1235::1": false, "192.0.2.1": false} {
		if d := decide(t, "a:x", "*", Context{"aws:SourceIp": {address}}, text); d.Allowed != want {
			t.Errorf("%s: allowed %v", address, d.Allowed)
		}
	}
}

func TestConformance14NullForLongTermKeys(t *testing.T) {
	text := one(`"Null":{"aws:TokenIssueTime":"true"}`)
	if d := decide(t, "a:x", "*", nil, text); !d.Allowed {
		t.Error("Null true is false for an absent key")
	}
	if d := decide(t, "a:x", "*", Context{"aws:TokenIssueTime": {"2026-01-01T00:00:00Z"}}, text); d.Allowed {
		t.Error("Null true is true for a present key")
	}
}

func TestConformance15DenyWithAbsentKeyDoesNotApply(t *testing.T) {
	text := managed(allowAll + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"ssm:resourceTag/env":"prod"}}}`)
	if d := decide(t, "a:x", "*", nil, text); !d.Allowed {
		t.Error("a deny applies although its key is absent")
	}
	if d := decide(t, "a:x", "*", Context{"ssm:resourceTag/env": {"prod"}}, text); d.Outcome != ExplicitDeny {
		t.Error("the deny never applies")
	}
}

func TestConformance16SessionPolicyNarrowsOnly(t *testing.T) {
	p := carol()
	r := Request{Principal: p, Resource: "*", Identity: sources(t, managed(allowX)), Session: sources(t, managed(allowX+","+allowY))}
	for action, want := range map[string]Reason{"a:x": AllowedByPolicy, "a:y": NoIdentityAllows} {
		r.Action = action
		if d := Evaluate(r); d.Reason != want {
			t.Errorf("%s: reason %d, want %d", action, d.Reason, want)
		}
	}
}

func TestConformance17DenyInTheSessionPolicyBeatsAll(t *testing.T) {
	d := Evaluate(Request{Principal: carol(), Action: "a:x", Resource: "*", Identity: sources(t, managed(allowAll)),
		Boundary: source(t, managed(allowAll), Managed), Session: sources(t, managed(allowAll), managed(denyX))})
	if d.Reason != DeniedBySession {
		t.Errorf("got %+v", d)
	}
}

func TestConformance18DefaultOfAVariable(t *testing.T) {
	text := managed(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'company-wide'}/*"}`)
	if d := decide(t, "s3:GetObject", "arn:aws:s3:::bucket/company-wide/x", nil, text); !d.Allowed {
		t.Error("the default does not count")
	}
	if d := decide(t, "s3:GetObject", "arn:aws:s3:::bucket/company-wide/x", Context{"aws:PrincipalTag/team": {"red"}}, text); d.Allowed {
		t.Error("the default counts although the key is there")
	}
}

// Points 19 and 20 are kept by those who gather the policies and check the keys; what this package owes them is
// that a decision has no memory.
func TestConformance19ChangedPolicyCountsAtOnce(t *testing.T) {
	src := sources(t, managed(allowX))
	r := Request{Principal: carol(), Action: "a:x", Resource: "*", Identity: src}
	if d := Evaluate(r); !d.Allowed {
		t.Fatalf("got %+v", d)
	}
	src[0].Policy = mustParse(t, managed(allowY), Inline)
	if d := Evaluate(r); d.Allowed {
		t.Error("the former policy counts still")
	}
}

func TestConformance20PrincipalWithoutPoliciesMayNothing(t *testing.T) {
	r := Request{Principal: alice(), Action: "a:x", Resource: "*", Identity: sources(t, managed(allowX))}
	if d := Evaluate(r); !d.Allowed {
		t.Fatalf("got %+v", d)
	}
	r.Identity = nil
	if d := Evaluate(r); d.Reason != NoIdentityAllows {
		t.Errorf("got %+v", d)
	}
}
