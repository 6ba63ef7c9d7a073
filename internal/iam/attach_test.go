package iam_test

import (
	"fmt"
	"strings"
	"testing"
)

// three are the same operations on a user, a group and a role.
var three = []struct{ kind, Kind, list string }{{"user", "User", "Users"}, {"group", "Group", "Groups"}, {"role", "Role", "Roles"}}

// withThree makes a user, a group and a role named "x" under the path /eng/.
func withThree(t *testing.T) *world {
	w := newWorld(t)
	w.call("admin", form("CreateUser", "UserName", "x", "Path", "/eng/"))
	w.call("admin", form("CreateGroup", "GroupName", "x", "Path", "/eng/"))
	w.call("admin", form("CreateRole", "RoleName", "x", "Path", "/eng/", "AssumeRolePolicyDocument", trustSSM))
	return w
}

func TestAttachedPolicies(t *testing.T) {
	w := withThree(t)
	w.call("admin", form("CreatePolicy", "PolicyName", "P", "Path", "/app/", "PolicyDocument", allowing("s3:*")))
	const own = policies + "/app/P"
	both := "<AttachedPolicies><member><PolicyName>P</PolicyName><PolicyArn>" + own + "</PolicyArn></member>" +
		"<member><PolicyName>ReadOnlyAccess</PolicyName><PolicyArn>arn:aws:iam::aws:policy/ReadOnlyAccess</PolicyArn></member></AttachedPolicies><IsTruncated>false</IsTruncated>"
	for _, e := range three {
		name := e.Kind + "Name"
		attach, detach, list := "Attach"+e.Kind+"Policy", "Detach"+e.Kind+"Policy", "ListAttached"+e.Kind+"Policies"
		w.tell([]step{
			{"admin", form(list, name, "x"), "200 <AttachedPolicies/><IsTruncated>false</IsTruncated>"},
			{"admin", form(attach, name, "x", "PolicyArn", own), "200"},
			{"admin", form(attach, name, "x", "PolicyArn", own), "200"},
			{"admin", form(attach, name, "x", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), "200"},
			{"admin", form(list, name, "x"), "200 " + both},
			{"admin", form(list, name, "x", "PathPrefix", "/app/"), "200 <AttachedPolicies><member><PolicyName>P</PolicyName><PolicyArn>" + own +
				"</PolicyArn></member></AttachedPolicies><IsTruncated>false</IsTruncated>"},
			{"admin", form(attach, name, "x", "PolicyArn", policies+"/none"), "404 NoSuchEntity: Policy " + policies + "/none does not exist or is not attachable."},
			{"admin", form(attach, name, "x", "PolicyArn", "arn:aws:iam::aws:policy/None"), "404 NoSuchEntity: Policy arn:aws:iam::aws:policy/None does not exist or is not attachable."},
			{"admin", form(attach, name, "x", "PolicyArn", "no ARN at all, it is not"), "400 ValidationError: Invalid ARN:  Could not be parsed!"},
			{"admin", form(attach, name, "none", "PolicyArn", own), "404 NoSuchEntity: The " + e.kind + " with name none cannot be found."},
			{"admin", form(detach, name, "none", "PolicyArn", own), "404 NoSuchEntity: The " + e.kind + " with name none cannot be found."},
			{"admin", form(list, name, "none"), "404 NoSuchEntity: The " + e.kind + " with name none cannot be found."},
			{"admin", form(detach, name, "x", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), "200"},
			{"admin", form(detach, name, "x", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), "404 NoSuchEntity: Policy arn:aws:iam::aws:policy/ReadOnlyAccess was not found."},
			{"nobody", form(attach, name, "x", "PolicyArn", own), denied("nobody", "iam:"+attach, "arn:aws:iam::123456789012:"+e.kind+"/x")},
		})
	}
	// The policy knows who has it.
	w.call("admin", form("PutUserPermissionsBoundary", "UserName", "nobody", "PermissionsBoundary", own))
	const groups = "<PolicyGroups><member><GroupName>x</GroupName><GroupId>AGPA</GroupId></member></PolicyGroups>"
	const roles = "<PolicyRoles><member><RoleName>x</RoleName><RoleId>AROA</RoleId></member></PolicyRoles>"
	users := func(names ...string) string {
		var b strings.Builder
		for _, name := range names {
			b.WriteString("<member><UserName>" + name + "</UserName><UserId>AIDA</UserId></member>")
		}
		return "<PolicyUsers>" + b.String() + "</PolicyUsers>"
	}
	const end = "<IsTruncated>false</IsTruncated>"
	w.tell([]step{
		{"admin", form("ListEntitiesForPolicy", "PolicyArn", own), "200 " + groups + users("nobody", "x") + roles + end},
		{"admin", form("ListEntitiesForPolicy", "PolicyArn", own, "PathPrefix", "/eng/"), "200 " + groups + users("x") + roles + end},
		{"admin", form("ListEntitiesForPolicy", "PolicyArn", own, "EntityFilter", "Role"), "200 <PolicyGroups/><PolicyUsers/>" + roles + end},
		{"admin", form("ListEntitiesForPolicy", "PolicyArn", own, "PolicyUsageFilter", "PermissionsBoundary"), "200 <PolicyGroups/>" + users("nobody") + "<PolicyRoles/>" + end},
		{"admin", form("ListEntitiesForPolicy", "PolicyArn", policies+"/none"), "404 NoSuchEntity: Policy " + policies + "/none was not found."},
	})
	if got := w.call("admin", form("GetPolicy", "PolicyArn", own)); got.get("AttachmentCount") != "3" || got.get("PermissionsBoundaryUsageCount") != "1" {
		t.Error(got)
	}
}

func TestTenPoliciesCanBeAttached(t *testing.T) {
	w := withThree(t)
	for i := range 11 {
		w.call("admin", form("CreatePolicy", "PolicyName", fmt.Sprint("P", i), "PolicyDocument", allowing("s3:*")))
	}
	for _, e := range three {
		for i := range 10 {
			w.tell([]step{{"admin", form("Attach"+e.Kind+"Policy", e.Kind+"Name", "x", "PolicyArn", fmt.Sprint(policies, "/P", i)), "200"}})
		}
		w.tell([]step{
			{"admin", form("Attach"+e.Kind+"Policy", e.Kind+"Name", "x", "PolicyArn", policies+"/P10"), "409 LimitExceeded: Cannot exceed quota for PoliciesPer" + e.Kind + ": 10"},
			{"admin", form("Attach"+e.Kind+"Policy", e.Kind+"Name", "x", "PolicyArn", policies+"/P9"), "200"},
		})
	}
}

func TestInlinePolicies(t *testing.T) {
	w := withThree(t)
	quotas := map[string]int{"user": 2048, "group": 5120, "role": 10240}
	for _, e := range three {
		name := e.Kind + "Name"
		put, get, remove, list := "Put"+e.Kind+"Policy", "Get"+e.Kind+"Policy", "Delete"+e.Kind+"Policy", "List"+e.Kind+"Policies"
		long := strings.Replace(allowing("s3:*"), `"Effect"`, `"Sid":"`+strings.Repeat("a", quotas[e.kind]-170)+`","Effect"`, 1)
		tooLong := fmt.Sprintf("409 LimitExceeded: Maximum policy size of %d bytes exceeded for %s x", quotas[e.kind], e.kind)
		w.tell([]step{
			{"admin", form(list, name, "x"), "200 <PolicyNames/><IsTruncated>false</IsTruncated>"},
			{"admin", form(put, name, "x", "PolicyName", "p", "PolicyDocument", " "+allowing("s3:Get*")+"\n"), "200"},
			{"admin", form(get, name, "x", "PolicyName", "p"), "200 <" + name + ">x</" + name + "><PolicyName>p</PolicyName><PolicyDocument>" +
				encoded(" "+allowing("s3:Get*")+"\n") + "</PolicyDocument>"},
			{"admin", form(put, name, "x", "PolicyName", "p", "PolicyDocument", allowing("s3:*")), "200"},
			// A policy without a version may be written into an entity.
			{"admin", form(put, name, "x", "PolicyName", "p", "PolicyDocument", `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`), "200"},
			{"admin", form(put, name, "x", "PolicyName", "q", "PolicyDocument", long), "200"},
			{"admin", form(put, name, "x", "PolicyName", "q", "PolicyDocument", strings.ReplaceAll(long, "{", "{ \n ")), "200"},
			{"admin", form(put, name, "x", "PolicyName", "r", "PolicyDocument", allowing("s3:*")), tooLong},
			{"admin", form(list, name, "x"), "200 <PolicyNames><member>p</member><member>q</member></PolicyNames><IsTruncated>false</IsTruncated>"},
			{"admin", form(get, name, "x", "PolicyName", "r"), "404 NoSuchEntity: The " + e.kind + " policy with name r cannot be found."},
			{"admin", form(get, name, "none", "PolicyName", "r"), "404 NoSuchEntity: The " + e.kind + " with name none cannot be found."},
			{"admin", form(put, name, "none", "PolicyName", "r", "PolicyDocument", allowing("s3:*")), "404 NoSuchEntity: The " + e.kind + " with name none cannot be found."},
			{"admin", form(remove, name, "x", "PolicyName", "p"), "200"},
			{"admin", form(remove, name, "x", "PolicyName", "p"), "404 NoSuchEntity: The " + e.kind + " policy with name p cannot be found."},
			{"admin", form(remove, name, "x", "PolicyName", "q"), "200"},
			{"nobody", form(put, name, "x", "PolicyName", "q", "PolicyDocument", "{"), denied("nobody", "iam:"+put, "arn:aws:iam::123456789012:"+e.kind+"/x")},
		})
		if got := w.call("admin", form(list, name, "x", "MaxItems", "0")).String(); !strings.HasPrefix(got, "400 ValidationError: ") {
			t.Errorf("MaxItems 0: %s", got)
		}
	}
}

func TestBoundaries(t *testing.T) {
	w := withThree(t)
	const boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	shown := "<PermissionsBoundary><PermissionsBoundaryType>PermissionsBoundaryPolicy</PermissionsBoundaryType><PermissionsBoundaryArn>" + boundary +
		"</PermissionsBoundaryArn></PermissionsBoundary>"
	for _, e := range []string{"User", "Role"} {
		put, remove := "Put"+e+"PermissionsBoundary", "Delete"+e+"PermissionsBoundary"
		w.tell([]step{
			{"admin", form(put, e+"Name", "x", "PermissionsBoundary", boundary), "200"},
			{"admin", form(put, e+"Name", "x", "PermissionsBoundary", policies+"/none"), "404 NoSuchEntity: The policy " + policies + "/none cannot be found"},
			{"admin", form(put, e+"Name", "x", "PermissionsBoundary", "arn:aws:s3:::bucket/key/x"), "400 ValidationError: Value (arn:aws:s3:::bucket/key/x) for parameter PermissionsBoundary is invalid."},
			{"admin", form(put, e+"Name", "none", "PermissionsBoundary", boundary), "404 NoSuchEntity: The " + strings.ToLower(e) + " with name none cannot be found."},
		})
		if got := w.call("admin", form("Get"+e, e+"Name", "x")); !strings.Contains(got.body, shown) {
			t.Errorf("no boundary in %s", got.body)
		}
		w.tell([]step{
			{"admin", form(remove, e+"Name", "x"), "200"},
			{"admin", form(remove, e+"Name", "x"), "200"},
			{"admin", form(remove, e+"Name", "none"), "404 NoSuchEntity: The " + strings.ToLower(e) + " with name none cannot be found."},
		})
		if got := w.call("admin", form("Get"+e, e+"Name", "x")); strings.Contains(got.body, "Boundary") {
			t.Errorf("a boundary in %s", got.body)
		}
	}
}

// A clerk may make and equip only users that are bounded, with one policy only, and can
// neither loosen a boundary nor free itself.
func TestAClerkHandsOutNoMoreThanTheBoundaryAllows(t *testing.T) {
	w := withThree(t)
	const boundary, readOnly = policies + "/Bound", "arn:aws:iam::aws:policy/ReadOnlyAccess"
	w.call("admin", form("CreatePolicy", "PolicyName", "Bound", "PolicyDocument", allowing("ssm:*")))
	w.call("admin", form("CreateUser", "UserName", "free"))
	w.call("admin", form("CreateUser", "UserName", "bound", "PermissionsBoundary", boundary))
	w.allow("nobody", "Clerk", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateUser","iam:PutUserPermissionsBoundary","iam:PutUserPolicy"],"Resource":"*",
			"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundary+`"}}},
		{"Effect":"Allow","Action":["iam:AttachUserPolicy","iam:DetachUserPolicy"],"Resource":"*",
			"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundary+`"},"ArnEquals":{"iam:PolicyARN":"`+readOnly+`"}}}]}`)
	user := func(name string) string { return "arn:aws:iam::123456789012:user/" + name }
	put := func(name string) string {
		return form("PutUserPolicy", "UserName", name, "PolicyName", "p", "PolicyDocument", allowing("*"))
	}
	w.tell([]step{
		{"nobody", form("CreateUser", "UserName", "new"), denied("nobody", "iam:CreateUser", user("new"))},
		{"nobody", form("CreateUser", "UserName", "new", "PermissionsBoundary", administratorAccess), denied("nobody", "iam:CreateUser", user("new"))},
		{"nobody", put("free"), denied("nobody", "iam:PutUserPolicy", user("free"))},
		{"nobody", put("bound"), "200"},
		{"nobody", put("none"), denied("nobody", "iam:PutUserPolicy", user("none"))},
		{"nobody", form("AttachUserPolicy", "UserName", "bound", "PolicyArn", readOnly), "200"},
		{"nobody", form("AttachUserPolicy", "UserName", "bound", "PolicyArn", administratorAccess), denied("nobody", "iam:AttachUserPolicy", user("bound"))},
		{"nobody", form("AttachUserPolicy", "UserName", "free", "PolicyArn", readOnly), denied("nobody", "iam:AttachUserPolicy", user("free"))},
		{"nobody", form("DetachUserPolicy", "UserName", "bound", "PolicyArn", readOnly), "200"},
		{"nobody", form("DeleteUserPermissionsBoundary", "UserName", "bound"), denied("nobody", "iam:DeleteUserPermissionsBoundary", user("bound"))},
		{"nobody", form("PutUserPermissionsBoundary", "UserName", "bound", "PermissionsBoundary", administratorAccess), denied("nobody", "iam:PutUserPermissionsBoundary", user("bound"))},
		{"nobody", form("PutUserPermissionsBoundary", "UserName", "bound", "PermissionsBoundary", boundary), "200"},
		{"nobody", form("CreatePolicyVersion", "PolicyArn", boundary, "PolicyDocument", allowing("*"), "SetAsDefault", "true"), denied("nobody", "iam:CreatePolicyVersion", boundary)},
	})
}
