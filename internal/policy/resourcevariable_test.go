package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestVariablesInResourcesCanHaveOtherValues holds [Request.ResourceVariables]: they count in Resource and
// NotResource and nowhere else.
func TestVariablesInResourcesCanHaveOtherValues(t *testing.T) {
	const own, other, fallback = "arn:aws:ssm:*:*:session/${aws:username}-*", "arn:aws:ssm:*:*:session/${AWS:UserName}-*", "arn:aws:ssm:*:*:session/${aws:username, 'bob'}-*"
	taken := Context{"aws:username": nil}
	named := func(name string) Context { return Context{"AWS:username": {name}} }
	statement := func(effect, element, resource string) string {
		return `{"Effect":"` + effect + `","Action":"ssm:*","` + element + `":"` + resource + `"}`
	}
	everything := statement("Allow", "Resource", "*") + ","
	for _, c := range []struct {
		name      string
		who       Principal
		statement string
		variables Context
		resource  string
		want      bool
	}{
		{"as in the context", alice(), statement("Allow", "Resource", own), nil, "alice-1", true},
		{"others are as in the context", alice(), statement("Allow", "Resource", own), Context{"aws:userid": nil}, "alice-1", true},
		{"replaced", alice(), statement("Allow", "Resource", other), named("bob"), "bob-1", true},
		{"no longer the old one", alice(), statement("Allow", "Resource", own), named("bob"), "alice-1", false},
		{"given to who has none", carol(), statement("Allow", "Resource", own), named("carol"), "carol-1", true},
		{"taken", alice(), statement("Allow", "Resource", own), taken, "alice-1", false},
		{"taken, with a default", alice(), statement("Allow", "Resource", fallback), taken, "bob-1", false},
		{"never had, with a default", carol(), statement("Allow", "Resource", fallback), taken, "bob-1", true},
		{"several values", alice(), statement("Allow", "Resource", own), Context{"aws:username": {"alice", "bob"}}, "alice-1", false},
		{"a value is no pattern", alice(), statement("Allow", "Resource", own), named("*"), "alice-1", false},
		{"NotResource, taken", alice(), statement("Allow", "NotResource", own), taken, "bob-1", false},
		{"NotResource, replaced", alice(), statement("Allow", "NotResource", own), named("bob"), "alice-1", true},
		{"denied NotResource, taken", alice(), everything + statement("Deny", "NotResource", own), taken, "alice-1", false},
		{"denied, taken", alice(), everything + statement("Deny", "Resource", own), taken, "alice-1", true},
		{"denied, replaced", alice(), everything + statement("Deny", "Resource", own), named("bob"), "bob-1", false},
		{"conditions have the context", alice(), allow("ssm:*", "*", `"StringEquals":{"aws:username":"${aws:username}","aws:userid":"`+aliceID+`"}`), named("bob"), "bob-1", true},
		{"conditions keep what is taken", alice(), allow("ssm:*", "*", `"StringLike":{"aws:username":"${aws:username}"}`), taken, "bob-1", true},
	} {
		d := Evaluate(Request{Principal: c.who, Action: "ssm:TerminateSession", Resource: session + c.resource, Context: with(c.who, nil),
			ResourceVariables: c.variables, Identity: sources(t, managed(c.statement)), Now: testNow, Trace: true})
		if d.Allowed != c.want {
			t.Errorf("%s: %v, want %v", c.name, d.Allowed, c.want)
		}
	}

	// A key that is given for resources is not missing there.
	r := Request{Principal: carol(), Action: "ssm:TerminateSession", Resource: session + "carol-1", Context: with(carol(), nil),
		Identity: sources(t, managed(statement("Allow", "Resource", own))), Trace: true}
	for _, given := range []bool{false, true} {
		if given {
			r.ResourceVariables = named("carol")
		}
		missing := slices.ContainsFunc(Evaluate(r).MissingContext, func(k string) bool { return strings.EqualFold(k, "aws:username") })
		if missing == given {
			t.Errorf("given %v, missing %v", given, missing)
		}
	}
}
