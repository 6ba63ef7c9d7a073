package iam_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Trust policies.
const (
	trustSSM = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	roleARN  = "arn:aws:iam::123456789012:role"
)

// trust makes a trust policy that names one principal.
func trust(kind, value string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"` + kind + `":"` + value + `"},"Action":"sts:AssumeRole"}]}`
}

// encoded is how answers show a document.
func encoded(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

func roleXML(path, name, document, more string) string {
	return "<Path>" + path + "</Path><RoleName>" + name + "</RoleName><RoleId>AROA</RoleId><Arn>" + roleARN + path + name + "</Arn>" +
		started + "<AssumeRolePolicyDocument>" + encoded(document) + "</AssumeRolePolicyDocument>" + more
}

func hour(more string) string { return "<MaxSessionDuration>3600</MaxSessionDuration>" + more }

func TestRoleLivesAndDies(t *testing.T) {
	w := newWorld(t)
	const unused = "<RoleLastUsed></RoleLastUsed>"
	self := trust("AWS", "arn:aws:iam::123456789012:user/admin")
	w.tell([]step{
		{"admin", form("CreateRole", "RoleName", "Ops", "Path", "/eng/", "AssumeRolePolicyDocument", trustSSM, "Description", "of nodes",
			"Tags.member.1.Key", "team", "Tags.member.1.Value", "db"),
			"200 <Role>" + roleXML("/eng/", "Ops", trustSSM, "<Description>of nodes</Description>"+hour(tagsXML("team", "db"))) + "</Role>"},
		{"admin", form("CreateRole", "RoleName", "OPS", "AssumeRolePolicyDocument", trustSSM), "409 EntityAlreadyExists: Role with name OPS already exists."},
		{"admin", form("CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trustSSM, "MaxSessionDuration", "3599"),
			"400 ValidationError: 1 validation error detected: Value '3599' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"},
		{"admin", form("CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trustSSM, "PermissionsBoundary", "arn:aws:iam::123456789012:policy/none"),
			"404 NoSuchEntity: The policy arn:aws:iam::123456789012:policy/none cannot be found"},
		{"admin", form("CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trustSSM, "Tags.member.1.Key", "a", "Tags.member.1.Value", "", "Tags.member.2.Key", "A", "Tags.member.2.Value", ""),
			"400 InvalidInput: Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"admin", form("GetRole", "RoleName", "Ops"),
			"200 <Role>" + roleXML("/eng/", "Ops", trustSSM, "<Description>of nodes</Description>"+hour(tagsXML("team", "db")+unused)) + "</Role>"},
		{"admin", form("GetRole", "RoleName", "none"), "404 NoSuchEntity: The role with name none cannot be found."},

		{"admin", form("UpdateRole", "RoleName", "Ops", "MaxSessionDuration", "43200"), "200 "},
		{"admin", form("UpdateRoleDescription", "RoleName", "Ops", "Description", ""),
			"200 <Role>" + roleXML("/eng/", "Ops", trustSSM, "<MaxSessionDuration>43200</MaxSessionDuration>"+tagsXML("team", "db")+unused) + "</Role>"},
		{"admin", form("UpdateRole", "RoleName", "Ops", "Description", "new"), "200 "},
		{"admin", form("UpdateAssumeRolePolicy", "RoleName", "Ops", "PolicyDocument", self), "200"},
		{"admin", form("TagRole", "RoleName", "Ops", "Tags.member.1.Key", "TEAM", "Tags.member.1.Value", "web", "Tags.member.2.Key", "a", "Tags.member.2.Value", "b"), "200"},
		{"admin", form("TagRole", "RoleName", "Ops", "Tags.member.1.Key", "aws:x", "Tags.member.1.Value", ""), "400 InvalidInput: System tags cannot be added/updated by requester."},
		{"admin", form("UntagRole", "RoleName", "Ops", "TagKeys.member.1", "A"), "200"},
		{"admin", form("ListRoleTags", "RoleName", "Ops"), "200 " + tagsXML("TEAM", "web") + "<IsTruncated>false</IsTruncated>"},
		{"admin", form("ListRoles"), "200 <Roles><member>" + roleXML("/eng/", "Ops", self, "<Description>new</Description><MaxSessionDuration>43200</MaxSessionDuration>") +
			"</member></Roles><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListRoles", "PathPrefix", "/none/"), "200 <Roles/><IsTruncated>false</IsTruncated>"},
	})
	must(t, w.store.TouchRole(t.Context(), "Ops", start.Add(time.Minute)))
	used := w.call("admin", form("GetRole", "RoleName", "Ops")).body
	if want := "<RoleLastUsed><LastUsedDate>2026-01-31T08:10:10Z</LastUsedDate><Region>local-1</Region></RoleLastUsed>"; !strings.Contains(used, want) {
		t.Errorf("no %s in %s", want, used)
	}
	w.tell([]step{
		{"admin", form("PutRolePolicy", "RoleName", "Ops", "PolicyName", "p", "PolicyDocument", allowing("s3:*")), "200"},
		{"admin", form("DeleteRole", "RoleName", "Ops"), "409 DeleteConflict: Cannot delete entity, must delete policies first."},
		{"admin", form("DeleteRolePolicy", "RoleName", "Ops", "PolicyName", "p"), "200"},
		{"admin", form("AttachRolePolicy", "RoleName", "Ops", "PolicyArn", administratorAccess), "200"},
		{"admin", form("DeleteRole", "RoleName", "Ops"), "409 DeleteConflict: Cannot delete entity, must detach all policies first."},
		{"admin", form("DetachRolePolicy", "RoleName", "Ops", "PolicyArn", administratorAccess), "200"},
		{"admin", form("DeleteRole", "RoleName", "Ops"), "200"},
		{"admin", form("DeleteRole", "RoleName", "Ops"), "404 NoSuchEntity: The role with name Ops cannot be found."},
	})
}

func TestTrustPoliciesAreChecked(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.CreateOIDCProvider(t.Context(), store.OIDCProvider{
		ARN: "arn:aws:iam::123456789012:oidc-provider/idp.example", URL: "idp.example", ClientIDs: []string{"c"}, CreatedAt: start}))
	w.tell([]step{{"admin", form("CreateRole", "RoleName", "Ops", "Path", "/eng/", "AssumeRolePolicyDocument", trustSSM), "200 <Role>" + roleXML("/eng/", "Ops", trustSSM, hour("")) + "</Role>"}})
	const iamARN = "arn:aws:iam::123456789012:"
	invalid := func(kind, value string) string {
		return `400 MalformedPolicyDocument: Invalid principal in policy: "` + kind + `":"` + value + `"`
	}
	tests := []struct{ document, want string }{
		{trust("AWS", "*"), "200"},
		{trust("AWS", "123456789012"), "200"},
		{trust("AWS", iamARN+"root"), "200"},
		{trust("AWS", iamARN+"user/admin"), "200"},
		{trust("AWS", strings.Repeat("9", 12)), "200"},
		{trust("AWS", "arn:aws:iam::999999999999:user/somebody"), "200"},
		{trust("AWS", iamARN+"role/eng/Ops"), "200"},
		{trust("AWS", "arn:aws:sts::123456789012:assumed-role/Ops/carol"), "200"},
		{trust("AWS", "AIDA"+strings.Repeat("A", 17)), "200"},
		{trust("Service", "ec2.amazonaws.com"), "200"},
		{trust("Federated", iamARN+"oidc-provider/idp.example"), "200"},
		{trust("Federated", "accounts.google.com"), "200"},
		{trust("AWS", iamARN+"user/nobody2"), invalid("AWS", iamARN+"user/nobody2")},
		{trust("AWS", iamARN+"user/eng/admin"), invalid("AWS", iamARN+"user/eng/admin")},
		{trust("AWS", iamARN+"role/Ops"), invalid("AWS", iamARN+"role/Ops")},
		{trust("AWS", "arn:aws:sts::123456789012:assumed-role/None/carol"), invalid("AWS", "arn:aws:sts::123456789012:assumed-role/None/carol")},
		{trust("AWS", "AIDA"+strings.Repeat("Z", 17)), invalid("AWS", "AIDA"+strings.Repeat("Z", 17))},
		{trust("Service", "example.com"), invalid("Service", "example.com")},
		{trust("Federated", iamARN+"oidc-provider/other.example"), invalid("Federated", iamARN+"oidc-provider/other.example")},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}`,
			"400 MalformedPolicyDocument: Has prohibited field Resource (line 1, "},
		{strings.Replace(trustSSM, "sts:AssumeRole", "s3:GetObject", 1), "400 MalformedPolicyDocument: AssumeRole policy may only specify STS AssumeRole actions. (line 1, "},
		{"{", "400 MalformedPolicyDocument: This policy contains invalid Json (line 1, "},
		{strings.Replace(trustSSM, `"Effect"`, `"Sid":"`+strings.Repeat("a", 2048)+`","Effect"`, 1), "409 LimitExceeded: Cannot exceed quota for ACLSizePerRole: 2048"},
	}
	for _, test := range tests {
		got := w.call("admin", form("UpdateAssumeRolePolicy", "RoleName", "Ops", "PolicyDocument", test.document)).String()
		if got != test.want && (!strings.HasSuffix(test.want, "(line 1, ") || !strings.HasPrefix(got, test.want)) {
			t.Errorf("%.200s\n got %s\nwant %s", test.document, got, test.want)
		}
		if !strings.HasPrefix(test.want, "200") {
			create := w.call("admin", form("CreateRole", "RoleName", "other", "AssumeRolePolicyDocument", test.document)).String()
			if create != got {
				t.Errorf("CreateRole: %s, UpdateAssumeRolePolicy: %s", create, got)
			}
		}
	}
}

func TestInstanceProfiles(t *testing.T) {
	w := newWorld(t)
	const profile = "<Path>/app/</Path><InstanceProfileName>web</InstanceProfileName><InstanceProfileId>AIPA</InstanceProfileId>" +
		"<Arn>arn:aws:iam::123456789012:instance-profile/app/web</Arn>" + started
	role := "<Roles><member>" + roleXML("/", "Web", trustSSM, hour("")) + "</member></Roles>"
	w.tell([]step{
		{"admin", form("CreateRole", "RoleName", "Web", "AssumeRolePolicyDocument", trustSSM), "200 <Role>" + roleXML("/", "Web", trustSSM, hour("")) + "</Role>"},
		{"admin", form("CreateRole", "RoleName", "Other", "AssumeRolePolicyDocument", trustSSM), "200 <Role>" + roleXML("/", "Other", trustSSM, hour("")) + "</Role>"},
		{"admin", form("ListInstanceProfilesForRole", "RoleName", "Web"), "200 <InstanceProfiles/><IsTruncated>false</IsTruncated>"},
		{"admin", form("CreateInstanceProfile", "InstanceProfileName", "web", "Path", "/app/"), "200 <InstanceProfile>" + profile + "<Roles/></InstanceProfile>"},
		{"admin", form("CreateInstanceProfile", "InstanceProfileName", "web"), "409 EntityAlreadyExists: Instance Profile web already exists."},
		{"admin", form("AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "none"), "404 NoSuchEntity: The role with name none cannot be found."},
		{"admin", form("AddRoleToInstanceProfile", "InstanceProfileName", "none", "RoleName", "Web"), "404 NoSuchEntity: Instance Profile none cannot be found."},
		{"admin", form("AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "Web"), "200"},
		{"admin", form("GetInstanceProfile", "InstanceProfileName", "web"), "200 <InstanceProfile>" + profile + role + "</InstanceProfile>"},
		{"admin", form("ListInstanceProfilesForRole", "RoleName", "Web"), "200 <InstanceProfiles><member>" + profile + role + "</member></InstanceProfiles><IsTruncated>false</IsTruncated>"},
		{"admin", form("ListInstanceProfiles", "PathPrefix", "/app/"), "200 <InstanceProfiles><member>" + profile + role + "</member></InstanceProfiles><IsTruncated>false</IsTruncated>"},
		{"admin", form("DeleteInstanceProfile", "InstanceProfileName", "web"), "409 DeleteConflict: Cannot delete entity, must remove roles from instance profile first."},
		{"admin", form("DeleteRole", "RoleName", "Web"), "409 DeleteConflict: Cannot delete entity, must remove roles from instance profile first."},
		{"admin", form("RemoveRoleFromInstanceProfile", "InstanceProfileName", "web", "RoleName", "Web"), "200"},
		{"admin", form("RemoveRoleFromInstanceProfile", "InstanceProfileName", "web", "RoleName", "Web"), "404 NoSuchEntity: The role with name Web cannot be found."},
		{"admin", form("DeleteInstanceProfile", "InstanceProfileName", "web"), "200"},
		{"admin", form("GetInstanceProfile", "InstanceProfileName", "web"), "404 NoSuchEntity: Instance Profile web cannot be found."},
	})
	// Who puts a role into a profile hands it on, and so must be allowed to pass it.
	w.allow("nobody", "Profiles", allowing("iam:AddRoleToInstanceProfile"))
	w.tell([]step{{"nobody", form("AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "Web"), denied("nobody", "iam:PassRole", roleARN+"/Web")}})
}

// allowing makes a policy that allows actions on everything.
func allowing(actions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + actions + `","Resource":"*"}]}`
}

func TestRolesArePagedThrough(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "B", "c", "D", "e"} {
		must(t, w.store.CreateRole(t.Context(), store.Role{ID: "AROA" + strings.Repeat(strings.ToUpper(name), 17), Name: name, Path: "/", TrustPolicy: trustSSM,
			Tags: []ssm.Tag{{Key: "k", Value: name}}, CreatedAt: start}))
	}
	var names []string
	marker := ""
	for range 3 {
		parameters := []string{"MaxItems", "2"}
		if marker != "" {
			parameters = append(parameters, "Marker", marker)
		}
		got := w.call("admin", form("ListRoles", parameters...))
		names = append(names, all(got.body, "RoleName")...)
		marker = got.get("Marker")
	}
	if got := strings.Join(names, ""); got != "aBcDe" || marker != "" {
		t.Errorf("got %s, marker %q", got, marker)
	}
	first := w.call("admin", form("ListRoles", "MaxItems", "2")).get("Marker")
	w.tell([]step{
		{"admin", form("ListRoles", "PathPrefix", "/x/", "Marker", first), "400 ValidationError: Invalid Marker."},
		{"admin", form("ListInstanceProfiles", "Marker", first), "400 ValidationError: Invalid Marker."},
	})
}

// all gives the texts of all elements of a name.
func all(body, element string) []string {
	var found []string
	for part := range strings.SplitSeq(body, "<"+element+">") {
		if text, _, ok := strings.Cut(part, "</"+element+">"); ok && !strings.Contains(text, "<") {
			found = append(found, text)
		}
	}
	return found
}
