package iam_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every operation on roles, policies and the account asks, on the resource of api.md §5.1,
// and a refusal is the same whether or not what it names exists, under whatever path.
func TestRoleAndPolicyOperationsAreDenied(t *testing.T) {
	w := newWorld(t)
	for _, f := range []string{
		form("CreateUser", "UserName", "there", "Path", "/hidden/"),
		form("CreateGroup", "GroupName", "there", "Path", "/hidden/"),
		form("CreateRole", "RoleName", "there", "Path", "/hidden/", "AssumeRolePolicyDocument", trustSSM),
		form("CreateInstanceProfile", "InstanceProfileName", "there", "Path", "/hidden/"),
		form("CreatePolicy", "PolicyName", "there", "PolicyDocument", allowing("s3:*")),
	} {
		must(t, okay(w.call("admin", f)))
	}
	const account = "arn:aws:iam::123456789012:"
	resources := map[string]string{"User": account + "user/NAME", "Group": account + "group/NAME", "Role": account + "role/NAME",
		"InstanceProfile": account + "instance-profile/NAME", "Policy": account + "policy/NAME"}
	type call struct {
		action, resource string
		parameters       []string
	}
	tests := []call{
		{"CreateRole", resources["Role"], []string{"RoleName", "NAME", "AssumeRolePolicyDocument", "{"}},
		{"UpdateRole", resources["Role"], []string{"RoleName", "NAME"}},
		{"UpdateRoleDescription", resources["Role"], []string{"RoleName", "NAME", "Description", ""}},
		{"UpdateAssumeRolePolicy", resources["Role"], []string{"RoleName", "NAME", "PolicyDocument", "{"}},
		{"TagRole", resources["Role"], []string{"RoleName", "NAME", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"}},
		{"UntagRole", resources["Role"], []string{"RoleName", "NAME", "TagKeys.member.1", "k"}},
		{"CreatePolicy", resources["Policy"], []string{"PolicyName", "NAME", "PolicyDocument", "{"}},
		{"CreatePolicyVersion", resources["Policy"], []string{"PolicyArn", resources["Policy"], "PolicyDocument", "{"}},
		{"TagPolicy", resources["Policy"], []string{"PolicyArn", resources["Policy"], "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"}},
		{"UntagPolicy", resources["Policy"], []string{"PolicyArn", resources["Policy"], "TagKeys.member.1", "k"}},
		{"GetAccountSummary", "*", nil},
		{"GetAccountAuthorizationDetails", "*", nil},
		{"SimulateCustomPolicy", "*", []string{"PolicyInputList.member.1", "{", "ActionNames.member.1", "x"}},
		{"GetContextKeysForCustomPolicy", "*", []string{"PolicyInputList.member.1", "{"}},
		{"SimulatePrincipalPolicy", resources["Role"], []string{"PolicySourceArn", resources["Role"], "ActionNames.member.1", "x"}},
		{"GetContextKeysForPrincipalPolicy", resources["User"], []string{"PolicySourceArn", resources["User"]}},
	}
	for _, action := range []string{"ListRoles", "ListInstanceProfiles", "ListPolicies"} {
		tests = append(tests, call{action, "*", nil})
	}
	for _, action := range []string{"GetRole", "DeleteRole", "ListRoleTags", "ListInstanceProfilesForRole"} {
		tests = append(tests, call{action, resources["Role"], []string{"RoleName", "NAME"}})
	}
	for _, action := range []string{"CreateInstanceProfile", "GetInstanceProfile", "DeleteInstanceProfile", "AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"} {
		tests = append(tests, call{action, resources["InstanceProfile"], []string{"InstanceProfileName", "NAME", "RoleName", "there"}})
	}
	for _, action := range []string{"GetPolicy", "DeletePolicy", "ListPolicyTags", "ListEntitiesForPolicy", "GetPolicyVersion", "ListPolicyVersions", "SetDefaultPolicyVersion", "DeletePolicyVersion"} {
		tests = append(tests, call{action, resources["Policy"], []string{"PolicyArn", resources["Policy"], "VersionId", "v1"}})
	}
	for _, e := range three {
		all := []string{e.Kind + "Name", "NAME", "PolicyName", "p", "PolicyArn", administratorAccess, "PolicyDocument", "{"}
		for _, action := range []string{"Attach%Policy", "Detach%Policy", "ListAttached%Policies", "Put%Policy", "Get%Policy", "Delete%Policy", "List%Policies"} {
			tests = append(tests, call{strings.Replace(action, "%", e.Kind, 1), resources[e.Kind], all})
		}
		if e.kind != "group" {
			bounded := []string{e.Kind + "Name", "NAME", "PermissionsBoundary", administratorAccess}
			tests = append(tests, call{"Put" + e.Kind + "PermissionsBoundary", resources[e.Kind], bounded}, call{"Delete" + e.Kind + "PermissionsBoundary", resources[e.Kind], bounded})
		}
	}
	for _, test := range tests {
		for _, name := range []string{"there", "absent"} {
			parameters := make([]string, len(test.parameters))
			for i, p := range test.parameters {
				parameters[i] = strings.ReplaceAll(p, "NAME", name)
			}
			want := denied("nobody", "iam:"+test.action, strings.ReplaceAll(test.resource, "NAME", name))
			if diff := cmp.Diff(want, w.call("nobody", form(test.action, parameters...)).String()); diff != "" {
				t.Errorf("%s of what is %s (-want +got):\n%s", test.action, name, diff)
			}
		}
	}
	if want := 17 + 38 + 6; len(tests) != want {
		t.Errorf("%d operations are tried, there are %d", len(tests), want)
	}
}
