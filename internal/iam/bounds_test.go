package iam_test

import (
	"strings"
	"testing"
)

// What policies are held against is bounded: patterns cost as much as the texts are long.
func TestTextsForPoliciesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.addUser("carol")
	long := strings.Repeat("a", 5000)
	const any = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	simulate := func(more ...string) string {
		return form("SimulateCustomPolicy", append([]string{"PolicyInputList.member.1", any}, more...)...)
	}
	refused := func(member, most string) string {
		return "400 ValidationError: 1 validation error detected: Value at '" + member + "' failed to satisfy constraint: " +
			"Member must satisfy constraint: [Member must have length less than or equal to " + most + "]"
	}
	w.tell([]step{
		{"admin", simulate("ActionNames.member.1", "ssm:"+long), refused("actionNames", "128")},
		{"admin", simulate("ActionNames.member.1", "ssm:A", "ResourceArns.member.1", "arn:aws:ssm:::"+long), refused("resourceArns", "2048")},
		{"admin", simulate("ActionNames.member.1", "ssm:A", "ContextEntries.member.1.ContextKeyName", "aws:username",
			"ContextEntries.member.1.ContextKeyType", "string", "ContextEntries.member.1.ContextKeyValues.member.1", long), refused("contextKeyValues", "4096")},
		{"admin", form("UntagUser", "UserName", "carol", "TagKeys.member.1", long), refused("tagKeys", "128")},
		{"nobody", form("UntagRole", "RoleName", "carol", "TagKeys.member.1", long), refused("tagKeys", "128")},
		{"nobody", form("UntagPolicy", "PolicyArn", "arn:aws:iam::123456789012:policy/p", "TagKeys.member.1", long), refused("tagKeys", "128")},
	})
}

// A page is shorter where policies and texts are long.
func TestAPageOfSimulationsHasABound(t *testing.T) {
	w := newWorld(t)
	wide := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:*","Resource":"arn:aws:ssm:::*` + strings.Repeat("?", 30000) + `x*"}}`
	parameters := []string{"MaxItems", "1000"}
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		parameters = append(parameters, "PolicyInputList.member."+n, wide)
	}
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		parameters = append(parameters, "ActionNames.member."+n, "ssm:A"+n)
	}
	parameters = append(parameters, "ResourceArns.member.1", "arn:aws:ssm:::"+strings.Repeat("a", 2000))
	a := w.call("admin", form("SimulateCustomPolicy", parameters...))
	if a.status != 200 || strings.Count(a.body, "<EvalActionName>") != 2 || a.get("IsTruncated") != "true" {
		t.Errorf("%d results: %.300s", strings.Count(a.body, "<EvalActionName>"), a)
	}
}
