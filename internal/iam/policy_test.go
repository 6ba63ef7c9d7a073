package iam_test

import (
	"fmt"
	"strings"
	"testing"
)

const policies = "arn:aws:iam::123456789012:policy"

func policyXML(path, name, version string, attached, bounding int, more string) string {
	return fmt.Sprintf("<PolicyName>%s</PolicyName><PolicyId>ANPA</PolicyId><Arn>%s%s%s</Arn><Path>%s</Path><DefaultVersionId>%s</DefaultVersionId>"+
		"<AttachmentCount>%d</AttachmentCount><PermissionsBoundaryUsageCount>%d</PermissionsBoundaryUsageCount><IsAttachable>true</IsAttachable>%s",
		name, policies, path, name, path, version, attached, bounding, more)
}

const updated = started + "<UpdateDate>2026-01-31T08:09:10Z</UpdateDate>"

func versionXML(n string, isDefault bool, document string) string {
	text := ""
	if document != "" {
		text = "<Document>" + encoded(document) + "</Document>"
	}
	return fmt.Sprintf("%s<VersionId>%s</VersionId><IsDefaultVersion>%v</IsDefaultVersion>%s", text, n, isDefault, started)
}

func TestManagedPolicyLivesAndDies(t *testing.T) {
	w := newWorld(t)
	one, two := allowing("s3:*"), "{\n  \"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Deny\", \"Action\": \"s3:*\", \"Resource\": \"*\"}}"
	arn := policies + "/app/Read"
	w.tell([]step{
		{"admin", form("CreatePolicy", "PolicyName", "Read", "Path", "/app/", "PolicyDocument", one, "Description", "for all", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"),
			"200 <Policy>" + policyXML("/app/", "Read", "v1", 0, 0, "<Description>for all</Description>"+updated+tagsXML("k", "v")) + "</Policy>"},
		{"admin", form("CreatePolicy", "PolicyName", "READ", "PolicyDocument", one), "409 EntityAlreadyExists: A policy called READ already exists. Duplicate names are not allowed."},
		{"admin", form("GetPolicy", "PolicyArn", arn), "200 <Policy>" + policyXML("/app/", "Read", "v1", 0, 0, "<Description>for all</Description>"+updated+tagsXML("k", "v")) + "</Policy>"},
		{"admin", form("GetPolicy", "PolicyArn", policies+"/Read"), "404 NoSuchEntity: Policy " + policies + "/Read was not found."},
		{"admin", form("GetPolicy", "PolicyArn", "this is no ARN at all"), "400 ValidationError: Invalid ARN:  Could not be parsed!"},
		{"admin", form("GetPolicy", "PolicyArn", "arn:aws:s3:::bucket/some/key"), "400 ValidationError: ARN arn:aws:s3:::bucket/some/key is not valid."},

		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", two), "200 <PolicyVersion>" + versionXML("v2", false, "") + "</PolicyVersion>"},
		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", two, "SetAsDefault", "true"), "200 <PolicyVersion>" + versionXML("v3", true, "") + "</PolicyVersion>"},
		{"admin", form("GetPolicyVersion", "PolicyArn", arn, "VersionId", "v2"), "200 <PolicyVersion>" + versionXML("v2", false, two) + "</PolicyVersion>"},
		{"admin", form("GetPolicyVersion", "PolicyArn", arn, "VersionId", "v9"), "404 NoSuchEntity: Policy " + arn + " version v9 does not exist or is not attachable."},
		{"admin", form("GetPolicyVersion", "PolicyArn", arn, "VersionId", "v99999999999"), "404 NoSuchEntity: Policy " + arn + " version v99999999999 does not exist or is not attachable."},
		{"admin", form("GetPolicyVersion", "PolicyArn", arn, "VersionId", "2"), "400 ValidationError: 1 validation error detected: Value '2' at 'versionId' failed to satisfy constraint: " +
			`Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`},
		{"admin", form("DeletePolicyVersion", "PolicyArn", arn, "VersionId", "v3"), "409 DeleteConflict: Cannot delete the default version of a policy."},
		{"admin", form("DeletePolicyVersion", "PolicyArn", arn, "VersionId", "v2"), "200"},
		{"admin", form("DeletePolicyVersion", "PolicyArn", arn, "VersionId", "v2"), "404 NoSuchEntity: Policy " + arn + " version v2 does not exist or is not attachable."},
		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", one), "200 <PolicyVersion>" + versionXML("v4", false, "") + "</PolicyVersion>"},
		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", one), "200 <PolicyVersion>" + versionXML("v5", false, "") + "</PolicyVersion>"},
		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", one), "200 <PolicyVersion>" + versionXML("v6", false, "") + "</PolicyVersion>"},
		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", one),
			"409 LimitExceeded: A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version."},
		{"admin", form("SetDefaultPolicyVersion", "PolicyArn", arn, "VersionId", "v6"), "200"},
		{"admin", form("SetDefaultPolicyVersion", "PolicyArn", arn, "VersionId", "v2"), "404 NoSuchEntity: Policy " + arn + " version v2 does not exist or is not attachable."},
		{"admin", form("ListPolicyVersions", "PolicyArn", arn, "MaxItems", "1000"), "200 <Versions><member>" + strings.Join([]string{versionXML("v6", true, ""),
			versionXML("v5", false, ""), versionXML("v4", false, ""), versionXML("v3", false, ""), versionXML("v1", false, "")}, "</member><member>") +
			"</member></Versions><IsTruncated>false</IsTruncated>"},
		{"admin", form("TagPolicy", "PolicyArn", arn, "Tags.member.1.Key", "K", "Tags.member.1.Value", "w"), "200"},
		{"admin", form("ListPolicyTags", "PolicyArn", arn), "200 " + tagsXML("K", "w") + "<IsTruncated>false</IsTruncated>"},
		{"admin", form("UntagPolicy", "PolicyArn", arn, "TagKeys.member.1", "k"), "200"},
		{"admin", form("DeletePolicy", "PolicyArn", arn), "409 DeleteConflict: This policy has more than one version. Before you delete a policy, you must delete the policy's versions. " +
			"The default version is deleted with the policy."},
	})
	for _, v := range []string{"v1", "v3", "v4", "v5"} {
		w.tell([]step{{"admin", form("DeletePolicyVersion", "PolicyArn", arn, "VersionId", v), "200"}})
	}
	w.tell([]step{
		{"admin", form("AttachUserPolicy", "UserName", "nobody", "PolicyArn", arn), "200"},
		{"admin", form("DeletePolicy", "PolicyArn", arn), "409 DeleteConflict: Cannot delete a policy attached to entities."},
		{"admin", form("DetachUserPolicy", "UserName", "nobody", "PolicyArn", arn), "200"},
		{"admin", form("PutUserPermissionsBoundary", "UserName", "nobody", "PermissionsBoundary", arn), "200"},
		{"admin", form("DeletePolicy", "PolicyArn", arn), "409 DeleteConflict: Cannot delete a policy attached to entities."},
		{"admin", form("DeleteUserPermissionsBoundary", "UserName", "nobody"), "200"},
		{"admin", form("DeletePolicy", "PolicyArn", arn), "200"},
		{"admin", form("DeletePolicy", "PolicyArn", arn), "404 NoSuchEntity: Policy " + arn + " was not found."},
	})
}

func TestPoliciesOfTheServiceAreReadOnly(t *testing.T) {
	w := newWorld(t)
	const arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
	got := w.call("admin", form("GetPolicy", "PolicyArn", arn))
	for element, want := range map[string]string{"PolicyName": "AmazonSSMManagedInstanceCore", "Arn": arn, "DefaultVersionId": "v1", "Path": "/", "IsAttachable": "true"} {
		if got.get(element) != want {
			t.Errorf("%s is %q, want %q", element, got.get(element), want)
		}
	}
	if document := w.call("admin", form("GetPolicyVersion", "PolicyArn", arn, "VersionId", "v1")).get("Document"); !strings.Contains(document, "ssmmessages%3AOpenControlChannel") {
		t.Errorf("document %s", document)
	}
	refused := func(action string) string {
		return "403 AccessDenied: User: arn:aws:iam::123456789012:user/admin is not authorized to perform: " + action + " on resource: policy " + arn
	}
	w.tell([]step{
		{"admin", form("GetPolicyVersion", "PolicyArn", arn, "VersionId", "v2"), "404 NoSuchEntity: Policy " + arn + " version v2 does not exist or is not attachable."},
		{"admin", form("GetPolicy", "PolicyArn", "arn:aws:iam::aws:policy/None"), "404 NoSuchEntity: Policy arn:aws:iam::aws:policy/None was not found."},
		{"admin", form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", allowing("*")), refused("iam:CreatePolicyVersion")},
		{"admin", form("DeletePolicy", "PolicyArn", arn), refused("iam:DeletePolicy")},
		{"admin", form("SetDefaultPolicyVersion", "PolicyArn", arn, "VersionId", "v1"), refused("iam:SetDefaultPolicyVersion")},
		{"admin", form("DeletePolicyVersion", "PolicyArn", arn, "VersionId", "v1"), refused("iam:DeletePolicyVersion")},
		{"admin", form("TagPolicy", "PolicyArn", arn, "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"), refused("iam:TagPolicy")},
		{"admin", form("UntagPolicy", "PolicyArn", arn, "TagKeys.member.1", "k"), refused("iam:UntagPolicy")},
		{"nobody", form("GetPolicy", "PolicyArn", arn), denied("nobody", "iam:GetPolicy", arn)},
	})
}

func TestListPolicies(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"Beta", "alpha"} {
		w.call("admin", form("CreatePolicy", "PolicyName", name, "Path", "/app/", "PolicyDocument", allowing("s3:*")))
	}
	w.call("admin", form("AttachUserPolicy", "UserName", "nobody", "PolicyArn", policies+"/app/Beta"))
	w.call("admin", form("PutUserPermissionsBoundary", "UserName", "nobody", "PermissionsBoundary", policies+"/app/alpha"))
	names := func(parameters ...string) string {
		var found []string
		marker := ""
		for {
			with := parameters
			if marker != "" {
				with = append(with[:len(with):len(with)], "Marker", marker)
			}
			got := w.call("admin", form("ListPolicies", with...))
			if got.status != 200 {
				t.Fatal(got)
			}
			found = append(found, all(got.body, "PolicyName")...)
			marker = got.get("Marker")
			if (marker == "") != (got.get("IsTruncated") == "false") {
				t.Errorf("marker %q with %s", marker, got.get("IsTruncated"))
			}
			if marker == "" {
				return strings.Join(found, " ")
			}
		}
	}
	shipped := "AdministratorAccess AmazonS3ReadOnlyAccess AmazonSSMFullAccess AmazonSSMManagedInstanceCore AmazonSSMReadOnlyAccess CloudWatchAgentServerPolicy " +
		"IAMFullAccess IAMReadOnlyAccess ReadOnlyAccess SekishoAuditor SekishoSessionAdministrator SekishoSessionUser"
	for _, test := range []struct {
		parameters []string
		want       string
	}{
		{nil, "alpha Beta " + shipped},
		{[]string{"MaxItems", "1"}, "alpha Beta " + shipped},
		{[]string{"MaxItems", "2"}, "alpha Beta " + shipped},
		{[]string{"MaxItems", "5", "Scope", "All"}, "alpha Beta " + shipped},
		{[]string{"Scope", "AWS"}, shipped},
		{[]string{"Scope", "Local"}, "alpha Beta"},
		{[]string{"Scope", "Local", "PathPrefix", "/none/"}, ""},
		{[]string{"PathPrefix", "/app/"}, "alpha Beta"},
		{[]string{"OnlyAttached", "true"}, "Beta AdministratorAccess"},
		{[]string{"PolicyUsageFilter", "PermissionsBoundary"}, "alpha"},
	} {
		if got := names(test.parameters...); got != test.want {
			t.Errorf("%v:\n got %s\nwant %s", test.parameters, got, test.want)
		}
	}
}

func TestPolicyDocumentsAreRefusedInTheWordsOfIAM(t *testing.T) {
	w := newWorld(t)
	statement := func(text string) string { return `{"Version":"2012-10-17","Statement":[` + text + `]}` }
	tests := []struct{ name, document, want string }{
		{"not JSON", `{"Version"`, "Syntax errors in policy."},
		{"unknown element", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Colour":"red"}`), "Syntax errors in policy."},
		{"no effect", statement(`{"Action":"s3:*","Resource":"*"}`), "Syntax errors in policy."},
		{"no statement", statement(``), "Syntax errors in policy."},
		{"no version", `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`, "Policy document must be version 2012-10-17 or greater."},
		{"no action", statement(`{"Effect":"Allow","Resource":"*"}`), "Policy statement must contain actions."},
		{"no resource", statement(`{"Effect":"Allow","Action":"s3:*"}`), "Policy statement must contain resources."},
		{"no vendor", statement(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"two colons", statement(`{"Effect":"Allow","Action":"s3:Get:Object","Resource":"*"}`), "Actions/Condition can contain only one colon."},
		{"bad vendor", statement(`{"Effect":"Allow","Action":"a a:Get","Resource":"*"}`), "Vendor a a is not valid"},
		{"same Sid", statement(`{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}`),
			"Statement IDs (SID) in a single policy must be unique."},
		{"no ARN", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"x"}`), `Resource x must be in ARN format or "*".`},
		{"other partition", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:b:s3:::x"}`), `Partition "b" is not valid for resource "arn:b:s3:::x".`},
		{"region in IAM", statement(`{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam:eu-west-1:123456789012:user/x"}`),
			"IAM resource arn:aws:iam:eu-west-1:123456789012:user/x cannot contain region information."},
	}
	arn := policies + "/P"
	w.call("admin", form("CreatePolicy", "PolicyName", "P", "PolicyDocument", allowing("s3:*")))
	for _, test := range tests {
		forms := []string{
			form("CreatePolicy", "PolicyName", "Q", "PolicyDocument", test.document),
			form("CreatePolicyVersion", "PolicyArn", arn, "PolicyDocument", test.document),
		}
		if test.name != "no version" {
			forms = append(forms, form("PutUserPolicy", "UserName", "nobody", "PolicyName", "p", "PolicyDocument", test.document))
		}
		for _, f := range forms {
			got := w.call("admin", f).String()
			if want := "400 MalformedPolicyDocument: " + test.want; !strings.HasPrefix(got, want+" (line ") {
				t.Errorf("%s: %.30s\n got %s\nwant %s", test.name, f, got, want)
			}
		}
	}
	// The place of the fault comes behind IAM's text.
	w.tell([]step{
		{"admin", form("CreatePolicy", "PolicyName", "Q", "PolicyDocument", "{\n \"Version\": \"2012-10-17\",\n \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"s3:*\"}}"),
			"400 MalformedPolicyDocument: Policy statement must contain resources. (line 3, column 15, Statement: Resource or NotResource is missing or empty)"},
		{"admin", form("CreatePolicy", "PolicyName", "Q", "PolicyDocument", statement(`{"Sid":"`+strings.Repeat("a", 6144)+`","Effect":"Allow","Action":"s3:*","Resource":"*"}`)),
			"409 LimitExceeded: Cannot exceed quota for PolicySize: 6144"},
		{"nobody", form("CreatePolicy", "PolicyName", "Q", "PolicyDocument", "{"), denied("nobody", "iam:CreatePolicy", policies+"/Q")},
	})
}
