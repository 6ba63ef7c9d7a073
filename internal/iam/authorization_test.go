package iam_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every operation on people asks, on the resource of api.md §5.1, and a refusal is the
// same whether or not what it names exists, under whatever path.
func TestPeopleOperationsAreDenied(t *testing.T) {
	w := newWorld(t)
	for _, f := range []string{
		form("CreateUser", "UserName", "there", "Path", "/hidden/"),
		form("CreateGroup", "GroupName", "there", "Path", "/hidden/"),
		form("CreateLoginProfile", "UserName", "there", "Password", "first of all"),
		form("CreateVirtualMFADevice", "VirtualMFADeviceName", "there"),
	} {
		must(t, okay(w.call("admin", f)))
	}
	key := w.call("admin", form("CreateAccessKey", "UserName", "there"))
	must(t, okay(key))

	user, group, mfa := "arn:aws:iam::123456789012:user/NAME", "arn:aws:iam::123456789012:group/NAME", "arn:aws:iam::123456789012:mfa/NAME"
	two := []string{"AuthenticationCode1", "123456", "AuthenticationCode2", "123456"}
	tests := []struct {
		action, resource string
		parameters       []string
	}{
		{"CreateUser", user, []string{"UserName", "NAME"}},
		{"GetUser", user, []string{"UserName", "NAME"}},
		{"UpdateUser", user, []string{"UserName", "NAME", "NewUserName", "other"}},
		{"DeleteUser", user, []string{"UserName", "NAME"}},
		{"ListUsers", "*", nil},
		{"TagUser", user, []string{"UserName", "NAME", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"}},
		{"UntagUser", user, []string{"UserName", "NAME", "TagKeys.member.1", "k"}},
		{"ListUserTags", user, []string{"UserName", "NAME"}},
		{"CreateAccessKey", user, []string{"UserName", "NAME"}},
		{"ListAccessKeys", user, []string{"UserName", "NAME"}},
		{"UpdateAccessKey", user, []string{"UserName", "NAME", "AccessKeyId", key.get("AccessKeyId"), "Status", "Inactive"}},
		{"DeleteAccessKey", user, []string{"UserName", "NAME", "AccessKeyId", key.get("AccessKeyId")}},
		{"GetAccessKeyLastUsed", "*", []string{"AccessKeyId", key.get("AccessKeyId")}},
		{"CreateGroup", group, []string{"GroupName", "NAME"}},
		{"GetGroup", group, []string{"GroupName", "NAME"}},
		{"UpdateGroup", group, []string{"GroupName", "NAME", "NewPath", "/other/"}},
		{"DeleteGroup", group, []string{"GroupName", "NAME"}},
		{"ListGroups", "*", nil},
		{"ListGroupsForUser", user, []string{"UserName", "NAME"}},
		{"AddUserToGroup", group, []string{"GroupName", "NAME", "UserName", "nobody"}},
		{"RemoveUserFromGroup", group, []string{"GroupName", "NAME", "UserName", "nobody"}},
		{"CreateLoginProfile", user, []string{"UserName", "NAME", "Password", "x"}},
		{"GetLoginProfile", user, []string{"UserName", "NAME"}},
		{"UpdateLoginProfile", user, []string{"UserName", "NAME", "Password", "x"}},
		{"DeleteLoginProfile", user, []string{"UserName", "NAME"}},
		{"ChangePassword", "arn:aws:iam::123456789012:user/nobody", []string{"OldPassword", "x", "NewPassword", "y"}},
		{"CreateVirtualMFADevice", mfa, []string{"VirtualMFADeviceName", "NAME"}},
		{"EnableMFADevice", user, append([]string{"UserName", "NAME", "SerialNumber", mfa}, two...)},
		{"ResyncMFADevice", user, append([]string{"UserName", "NAME", "SerialNumber", mfa}, two...)},
		{"DeactivateMFADevice", user, []string{"UserName", "NAME", "SerialNumber", mfa}},
		{"DeleteVirtualMFADevice", mfa, []string{"SerialNumber", mfa}},
		{"ListMFADevices", user, []string{"UserName", "NAME"}},
		{"ListVirtualMFADevices", "*", nil},
		{"ListSSHPublicKeys", user, []string{"UserName", "NAME"}},
		{"ListSigningCertificates", user, []string{"UserName", "NAME"}},
		{"ListServiceSpecificCredentials", user, []string{"UserName", "NAME"}},
		{"ListAccountAliases", "*", nil},
		{"GetAccountPasswordPolicy", "*", nil},
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
}

// Tags of the user and in the request, and boundaries, decide as condition keys.
func TestConditionKeysOfPeople(t *testing.T) {
	w := newWorld(t)
	w.allow("nobody", "conditions", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:GetUser","iam:TagUser"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"db"}}},
		{"Effect":"Allow","Action":"iam:ListUserTags","Resource":"*","Condition":{"StringEquals":{"iam:ResourceTag/team":"db"}}},
		{"Effect":"Allow","Action":"iam:UntagUser","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["free"]}}},
		{"Effect":"Deny","Action":"iam:TagUser","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}}},
		{"Effect":"Allow","Action":"iam:CreateUser","Resource":"arn:aws:iam::*:user/made/*","Condition":{
			"StringEquals":{"aws:RequestTag/team":"db","iam:PermissionsBoundary":"arn:aws:iam::aws:policy/ReadOnlyAccess"}}}]}`)
	create := func(path, team, boundary string) string {
		return form("CreateUser", "UserName", "made", "Path", path, "Tags.member.1.Key", "team", "Tags.member.1.Value", team, "PermissionsBoundary", boundary)
	}
	const made, readOnly = "arn:aws:iam::123456789012:user/made/made", "arn:aws:iam::aws:policy/ReadOnlyAccess"
	no := func(action string) string { return denied("nobody", action, "arn:aws:iam::123456789012:user/made") }
	w.tell([]step{
		{"nobody", create("/made/", "web", readOnly), denied("nobody", "iam:CreateUser", made)},
		{"nobody", create("/made/", "db", administratorAccess), denied("nobody", "iam:CreateUser", made)},
		{"nobody", create("/", "db", readOnly), no("iam:CreateUser")},
	})
	must(t, okay(w.call("nobody", create("/made/", "db", readOnly))))
	tag := func(key string) string {
		return form("TagUser", "UserName", "made", "Tags.member.1.Key", key, "Tags.member.1.Value", "web")
	}
	w.tell([]step{
		{"nobody", tag("free"), "200"},
		{"nobody", tag("team"), "403 AccessDenied: User: arn:aws:iam::123456789012:user/nobody is not authorized to perform: iam:TagUser on resource: " +
			"arn:aws:iam::123456789012:user/made with an explicit deny in an identity-based policy"},
		{"nobody", form("ListUserTags", "UserName", "made"), "200 " + tagsXML("free", "web", "team", "db") + "<IsTruncated>false</IsTruncated>"},
		{"nobody", form("UntagUser", "UserName", "made", "TagKeys.member.1", "team"), no("iam:UntagUser")},
		{"nobody", form("UntagUser", "UserName", "made", "TagKeys.member.1", "free"), "200"},
		{"admin", tag("team"), "200"},
		{"nobody", form("GetUser", "UserName", "made"), no("iam:GetUser")},
		{"nobody", form("ListUserTags", "UserName", "made"), no("iam:ListUserTags")},
	})
}

// Renaming takes permission on the name there is and on the one that there will be.
func TestRenameNeedsBothNames(t *testing.T) {
	w := newWorld(t)
	w.allow("nobody", "mine", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:UpdateUser","iam:UpdateGroup"],
		"Resource":["arn:aws:iam::*:user/mine/*","arn:aws:iam::*:group/mine/*"]}}`)
	must(t, okay(w.call("admin", form("CreateUser", "UserName", "u", "Path", "/mine/"))))
	must(t, okay(w.call("admin", form("CreateGroup", "GroupName", "g", "Path", "/mine/"))))
	w.tell([]step{
		{"nobody", form("UpdateUser", "UserName", "u", "NewPath", "/"), denied("nobody", "iam:UpdateUser", "arn:aws:iam::123456789012:user/u")},
		{"nobody", form("UpdateGroup", "GroupName", "g", "NewPath", "/"), denied("nobody", "iam:UpdateGroup", "arn:aws:iam::123456789012:group/g")},
		{"nobody", form("UpdateUser", "UserName", "u", "NewUserName", "v"), "200"},
		{"nobody", form("UpdateGroup", "GroupName", "g", "NewPath", "/mine/too/"), "200"},
	})
}

func TestThingsThatNobodyHas(t *testing.T) {
	w := newWorld(t)
	w.tell([]step{
		{"admin", form("ListSSHPublicKeys", "UserName", "nobody"), "200 <SSHPublicKeys/><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListSigningCertificates", "UserName", "nobody"), "200 <Certificates/><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListServiceSpecificCredentials", "UserName", "nobody"), "200 <ServiceSpecificCredentials/>"},
		{"admin", form("ListAccountAliases"), "200 <AccountAliases/><IsTruncated>false</IsTruncated>"},
		{"admin", form("GetAccountPasswordPolicy"), "404 NoSuchEntity: The Password Policy with domain name 123456789012 cannot be found."},
		{"admin", form("ListSSHPublicKeys", "UserName", "ghost"), "404 NoSuchEntity: The user with name ghost cannot be found."},
	})
}
