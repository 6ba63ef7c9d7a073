package policy

import (
	"strings"
	"testing"
)

func TestActionsMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, action string
		want            bool
	}{
		{"ssm:StartSession", "ssm:StartSession", true},
		{"SSM:startsession", "ssm:StartSession", true},
		{"ssm:startSession", "SSM:STARTSESSION", true},
		{"ssm:Start*", "ssm:StartSession", true},
		{"ssm:*Session", "ssm:StartSession", true},
		{"ssm:*Session", "ssm:StartSessions", false},
		{"ssm:Start?ession", "ssm:StartSession", true},
		{"ssm:Start?Session", "ssm:StartSession", false},
		{"ssm:S*t*S*n", "ssm:StartSession", true},
		{"ssm:*", "ssm:StartSession", true},
		{"ssm:*", "ssmmessages:OpenDataChannel", false},
		{"*", "ec2:DescribeInstances", true},
		{"*:*", "ec2:DescribeInstances", true},
		{"*:Describe*", "ec2:DescribeInstances", true},
		{"ec2:StartSession", "ssm:StartSession", false},
		{"ssm:", "ssm:StartSession", false},
	} {
		allow := managed(`{"Effect":"Allow","Action":["x:y",` + quote(c.pattern) + `],"Resource":"*"}`)
		if d := decide(t, c.action, "*", nil, allow); d.Allowed != c.want {
			t.Errorf("Action %s for %s: allowed %v", c.pattern, c.action, d.Allowed)
		}
		not := managed(`{"Effect":"Allow","NotAction":["x:y",` + quote(c.pattern) + `],"Resource":"*"}`)
		if d := decide(t, c.action, "*", nil, not); d.Allowed == c.want {
			t.Errorf("NotAction %s for %s: allowed %v", c.pattern, c.action, d.Allowed)
		}
	}
}

func TestResourcesMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, resource string
		want              bool
	}{
		{"*", docShell, true},
		{"*", "*", true},
		{docShell, docShell, true},
		{docShell, strings.ToLower(docShell), false},
		{docShell, docShell + "x", false},
		{"arn:aws:ssm:*:*:document/*", docShell, true},
		{"arn:aws:ssm:*:*:document/*", "*", false},
		{"arn:aws:ssm:*", docShell, true}, // padded
		{"arn:aws:ssm", docShell, true},
		{"arn:aws:ssm:us-west-2", docShell, true},
		{"arn:aws:ssm:us-west-2", strings.Replace(docShell, "west", "east", 1), false},
		{"arn:aws:ec2:*:*:*", docShell, false},
		{"arn:aws:ssm:*:*:document/AWS-StartSSHSession", "arn:aws:ssm:us-west-2::document/AWS-StartSSHSession", true},
		{"arn:aws:ssm:*::document/AWS-StartSSHSession", "arn:aws:ssm:us-west-2::document/AWS-StartSSHSession", true},
		{"arn:aws:ssm:*::document/x", "arn:aws:ssm:us-west-2:111122223333:document/x", false},
		{"arn:aws:ssm:*:1111*:document/x", "arn:aws:ssm:us-west-2:111122223333:document/x", true},
		{"arn:aws:ssm:us-*:document/x", "arn:aws:ssm:us-west-2:111122223333:document/x", false},
		{"arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a/b:c", true},
		{"arn:aws:s3:::bucket/*/c", "arn:aws:s3:::bucket/a/b/c", true},
		{"arn:aws:s3:::bucket", "arn:aws:s3:::bucket/a", false},
		{"arn:aws:logs:*:*:log-group:x:*", "arn:aws:logs:us-west-2:1:log-group:x:log-stream:y", true},
		{"arn:aws:ssm:*:*:*", "document/x", false},
		{"arn:aws:ssm:*:*:*", "xrn:aws:ssm:us-west-2:1:document/x", false},
		{"arn:aws:ssm:*:*:*", "", false},
	} {
		allow := managed(`{"Effect":"Allow","Action":"*","Resource":["arn:aws:x:::y",` + quote(c.pattern) + `]}`)
		if d := decide(t, "a:b", c.resource, nil, allow); d.Allowed != c.want {
			t.Errorf("Resource %s for %s: allowed %v", c.pattern, c.resource, d.Allowed)
		}
		not := managed(`{"Effect":"Allow","Action":"*","NotResource":["arn:aws:x:::y",` + quote(c.pattern) + `]}`)
		if d := decide(t, "a:b", c.resource, nil, not); d.Allowed == c.want {
			t.Errorf("NotResource %s for %s: allowed %v", c.pattern, c.resource, d.Allowed)
		}
	}
}

func TestAliasesNameTheSameResource(t *testing.T) {
	p := alice()
	const one, other = "arn:aws:ssm:us-west-2:111122223333:session/alice-01", "arn:aws:ssm:us-west-2:111122223333:session/" + aliceID + "-01"
	for _, c := range []struct {
		statement string
		want      Outcome
	}{
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}`, Allowed},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:userid}-*"}`, Allowed},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/bob-*"}`, ImplicitDeny},
		{`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:userid}-*"}`, ExplicitDeny},
		{`{"Effect":"Allow","Action":"*","NotResource":"arn:aws:ssm:*:*:session/${aws:userid}-*"}`, ImplicitDeny},
		{`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","NotResource":"arn:aws:ssm:*:*:session/${aws:userid}-*"}`, Allowed},
	} {
		d := Evaluate(Request{Principal: p, Action: "ssm:TerminateSession", Resource: one, Aliases: []string{other, "third", "fourth"},
			Context: p.Context(), Identity: sources(t, managed(c.statement))})
		if d.Outcome != c.want {
			t.Errorf("%s: %s, want %s", c.statement, d.Outcome, c.want)
		}
	}
}

func TestVariables(t *testing.T) {
	const session = "arn:aws:ssm:us-west-2:111122223333:session/"
	allow := func(resource string) string {
		return `{"Effect":"Allow","Action":"*","Resource":` + quote(resource) + `}`
	}
	cond := func(effect, c string) string {
		return `{"Effect":"` + effect + `","Action":"*","Resource":"*","Condition":{` + c + `}}`
	}
	all := cond("Allow", "") + ","
	for _, c := range []struct {
		name, statement, resource string
		more                      Context
		want                      Outcome
	}{
		{"own name", allow("arn:aws:ssm:*:*:session/${aws:username}-*"), session + "alice-01", nil, Allowed},
		{"name's case", allow("arn:aws:ssm:*:*:session/${AWS:UserName}-*"), session + "alice-01", nil, Allowed},
		{"other name", allow("arn:aws:ssm:*:*:session/${aws:username}-*"), session + "bob-01", nil, ImplicitDeny},
		{"wildcard in the value", allow("arn:aws:ssm:*:*:session/${x:v}-*"), session + "abc-01", Context{"x:v": {"a*"}}, ImplicitDeny},
		{"wildcard as text", allow("arn:aws:ssm:*:*:session/${x:v}-*"), session + "a*-01", Context{"x:v": {"a*"}}, Allowed},
		{"question mark as text", allow("arn:aws:ssm:*:*:session/${x:v}"), session + "abc", Context{"x:v": {"a?c"}}, ImplicitDeny},
		{"variable in the value", allow("arn:aws:ssm:*:*:session/${x:v}"), session + "alice", Context{"x:v": {"${aws:username}"}}, ImplicitDeny},
		{"absent", allow("arn:aws:ssm:*:*:session/${x:v}*"), session + "alice", nil, ImplicitDeny},
		{"empty value", allow("arn:aws:ssm:*:*:session/${x:v}*"), session + "alice", Context{"x:v": {""}}, Allowed},
		{"several values", allow("arn:aws:ssm:*:*:session/${x:v}*"), session + "alice", Context{"x:v": {"alice", "bob"}}, ImplicitDeny},
		{"default", allow("arn:aws:ssm:*:*:session/${x:v, 'none'}-*"), session + "none-1", nil, Allowed},
		{"default unused", allow("arn:aws:ssm:*:*:session/${x:v,'none'}-*"), session + "none-1", Context{"x:v": {"some"}}, ImplicitDeny},
		{"default with a brace and star", allow("arn:aws:ssm:*:*:session/${x:v, '}*'}"), session + "}*", nil, Allowed},
		{"default is literal", allow("arn:aws:ssm:*:*:session/${x:v, '*'}"), session + "z", nil, ImplicitDeny},
		{"literal star", allow("arn:aws:ssm:*:*:session/${*}"), session + "z", nil, ImplicitDeny},
		{"literal star matches itself", allow("arn:aws:ssm:*:*:session/${*}${?}${$}{x}"), session + "*?${x}", nil, Allowed},
		{"tag with a space", allow("arn:aws:ssm:*:*:session/${aws:PrincipalTag/my team}"), session + "ops", Context{"aws:PrincipalTag/My Team": {"ops"}}, Allowed},
		{"before the fifth colon it is text", allow("arn:aws:ssm:${aws:RequestedRegion}:*:session/x"), session + "x", Context{"aws:RequestedRegion": {"us-west-2"}}, ImplicitDeny},
		{"two variables", allow("arn:aws:ssm:*:*:session/${aws:username}*${aws:userid}"), session + "alice--" + aliceID, nil, Allowed},
		{"value with a colon", allow("arn:aws:ssm:*:*:session/${x:v}"), session + "a:b", Context{"x:v": {"a:b"}}, Allowed},

		{"NotResource, absent, Allow", `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:ssm:*:*:session/${x:v}"}`, session + "x", nil, ImplicitDeny},
		{"NotResource, absent, Deny", all + `{"Effect":"Deny","Action":"*","NotResource":"arn:aws:ssm:*:*:session/${x:v}"}`, session + "x", nil, ExplicitDeny},
		{"NotResource, absent, Deny, other listed", all + `{"Effect":"Deny","Action":"*","NotResource":["arn:aws:ssm:*:*:session/${x:v}","` + session + `x"]}`, session + "x", nil, Allowed},
		{"Resource, absent, Deny", all + `{"Effect":"Deny","Action":"*","Resource":"arn:aws:ssm:*:*:session/${x:v}"}`, session + "x", nil, Allowed},

		{"StringEquals", cond("Allow", `"StringEquals":{"x:k":"${aws:username}"}`), "*", Context{"x:k": {"alice"}}, Allowed},
		{"StringEquals, star in value", cond("Allow", `"StringEquals":{"x:k":"${x:v}"}`), "*", Context{"x:k": {"alice"}, "x:v": {"*"}}, ImplicitDeny},
		{"StringLike", cond("Allow", `"StringLike":{"x:k":"${aws:username}/*"}`), "*", Context{"x:k": {"alice/1"}}, Allowed},
		{"StringLike, star in value", cond("Allow", `"StringLike":{"x:k":"${x:v}"}`), "*", Context{"x:k": {"alice"}, "x:v": {"*"}}, ImplicitDeny},
		{"IgnoreCase", cond("Allow", `"StringEqualsIgnoreCase":{"x:k":"<${aws:username}>"}`), "*", Context{"x:k": {"<ALICE>"}}, Allowed},
		{"IgnoreCase, longer", cond("Allow", `"StringEqualsIgnoreCase":{"x:k":"<${aws:username}>"}`), "*", Context{"x:k": {"<ALICE>>"}}, ImplicitDeny},
		{"ArnLike", cond("Allow", `"ArnLike":{"x:k":"arn:aws:iam::111122223333:user/${aws:username}"}`), "*", Context{"x:k": {aliceARN}}, Allowed},
		{"Arn as one variable", cond("Allow", `"ArnEquals":{"x:k":"${aws:PrincipalArn}"}`), "*", Context{"x:k": {aliceARN}}, Allowed},
		{"Arn as one variable, other", cond("Allow", `"ArnEquals":{"x:k":"${aws:PrincipalArn}"}`), "*", Context{"x:k": {aliceARN + "x"}}, ImplicitDeny},
		{"Arn, star in value", cond("Allow", `"ArnLike":{"x:k":"arn:aws:iam::111122223333:user/${x:v}"}`), "*", Context{"x:k": {aliceARN}, "x:v": {"*"}}, ImplicitDeny},
		{"positive, absent, Deny", all + cond("Deny", `"StringEquals":{"x:k":"${x:v}"}`), "*", Context{"x:k": {"a"}}, Allowed},
		{"negated, absent, Allow", cond("Allow", `"StringNotEquals":{"x:k":["${x:v}","b"]}`), "*", Context{"x:k": {"a"}}, ImplicitDeny},
		{"negated, absent, Allow, key absent", cond("Allow", `"StringNotEquals":{"x:k":"${x:v}"}`), "*", nil, ImplicitDeny},
		{"negated, present, Allow", cond("Allow", `"StringNotEquals":{"x:k":"${x:v}"}`), "*", Context{"x:k": {"a"}, "x:v": {"b"}}, Allowed},
		{"negated, absent, Deny", all + cond("Deny", `"StringNotEquals":{"x:k":"${x:v}"}`), "*", Context{"x:k": {"a"}}, ExplicitDeny},
		{"negated Arn, absent, Allow", cond("Allow", `"ArnNotLike":{"x:k":"arn:aws:iam::111122223333:user/${x:v}"}`), "*", Context{"x:k": {aliceARN}}, ImplicitDeny},
		{"default in a condition", cond("Allow", `"StringEquals":{"x:k":"${aws:PrincipalTag/team, 'company-wide'}"}`), "*", Context{"x:k": {"company-wide"}}, Allowed},
		{"no wildcards in Null and Bool", cond("Allow", `"Bool":{"x:k":"true"}`), "*", Context{"x:k": {"true"}}, Allowed},
	} {
		if d := decide(t, "a:b", c.resource, c.more, managed(c.statement)); d.Outcome != c.want {
			t.Errorf("%s: %s with %v: %s, want %s", c.name, c.statement, c.more, d.Outcome, c.want)
		}
	}
}

func TestOldVersionHasNoVariables(t *testing.T) {
	for _, version := range []string{``, `"Version":"2008-10-17",`} {
		text := `{` + version + `"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}/${broken","Condition":{"StringLike":{"x:k":"${*}"}}}}`
		for resource, want := range map[string]bool{"arn:aws:s3:::${aws:username}/${broken": true, "arn:aws:s3:::alice/${broken": false} {
			if d := decide(t, "a:b", resource, Context{"x:k": {"${any}"}}, text); d.Allowed != want {
				t.Errorf("version %q, %s: allowed %v", version, resource, d.Allowed)
			}
		}
	}
}

// TestWildcardsTakeBoundedTime would not end within the test's time if matching tried again after each star.
func TestWildcardsTakeBoundedTime(t *testing.T) {
	text := strings.Repeat("a", 4000)
	p, err := compilePattern(strings.Repeat("*a", 2000)+"*b", patternRules{wildcards: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.match(&evaluation{}, text) {
		t.Error("a text without b matches")
	}
	p, err = compilePattern(strings.Repeat("*?a", 1000)+"*b*", patternRules{wildcards: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.match(&evaluation{}, text) || !p.match(&evaluation{}, text+"bc") {
		t.Error("wrong answer on a long text")
	}
}

func TestManyVariablesInOnePattern(t *testing.T) {
	n := maxInlineVariables * 3
	p := alice()
	text := managed(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::` + strings.Repeat("${aws:username}*", n) + `"}`)
	for _, k := range []int{n - 1, n} {
		d := Evaluate(Request{Principal: p, Action: "s3:GetObject", Resource: "arn:aws:s3:::" + strings.Repeat("alice/", k), Context: p.Context(), Identity: sources(t, text)})
		if d.Allowed != (k == n) {
			t.Errorf("%d names for %d variables: allowed %v", k, n, d.Allowed)
		}
	}
}
