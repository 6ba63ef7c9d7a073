package iam_test

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The stock CLI speaks to each operation on roles and policies and understands each
// answer: documents come back as JSON.
func TestStockCLIWithRolesAndPolicies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the CLI some sixty times")
	}
	if out, err := exec.CommandContext(t.Context(), awsCLI, "--version").Output(); err != nil || !strings.HasPrefix(string(out), "aws-cli/2.") {
		t.Skip("the aws CLI version 2 is not installed (Debian package awscli)")
	}
	w := newWorld(t)
	ids := regexp.MustCompile(`\b(A[A-Z]{3})[A-Z2-7]{16,17}\b`)
	// says runs a command and compares its answer, without white space and unique ids.
	says := func(want string, args ...string) {
		t.Helper()
		out, code := w.aws("admin", args...)
		got := ids.ReplaceAllString(out, "$1")
		if code == 0 && got != "" {
			var value any
			if err := json.Unmarshal([]byte(got), &value); err != nil {
				t.Errorf("aws iam %s: %v in %s", strings.Join(args, " "), err, out)
				return
			}
			text, err := json.Marshal(value) // sorts the members
			must(t, err)
			got = string(text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("aws iam %s (-want +got):\n%s", strings.Join(args, " "), diff)
		}
	}
	const (
		created  = `"CreateDate":"2026-01-31T08:09:10+00:00"`
		account  = `arn:aws:iam::123456789012:`
		trusting = `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"}}],"Version":"2012-10-17"}`
		role     = `{"Arn":"` + account + `role/Ops","AssumeRolePolicyDocument":` + trusting + `,` + created + `,"MaxSessionDuration":3600,"Path":"/","RoleId":"AROA","RoleName":"Ops"}`
		document = `{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}`
		core     = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
		attached = `{"AttachedPolicies":[{"PolicyArn":"` + core + `","PolicyName":"AmazonSSMManagedInstanceCore"}]}`
	)
	policyOf := func(version, more string) string {
		return `{"Arn":"` + policies + `/P","AttachmentCount":0,` + created + `,"DefaultVersionId":"` + version + `","IsAttachable":true,"Path":"/","PermissionsBoundaryUsageCount":0,` +
			`"PolicyId":"ANPA","PolicyName":"P",` + more + `"UpdateDate":"2026-01-31T08:09:10+00:00"}`
	}

	says(`{"Role":`+role+`}`, "create-role", "--role-name", "Ops", "--assume-role-policy-document", trustSSM)
	says(`{"Role":`+strings.Replace(role, `"RoleName"`, `"RoleLastUsed":{},"RoleName"`, 1)+`}`, "get-role", "--role-name", "Ops")
	says(`{"Roles":[`+role+`]}`, "list-roles")
	says("", "update-role", "--role-name", "Ops", "--max-session-duration", "7200")
	says("", "update-role", "--role-name", "Ops", "--max-session-duration", "3600")
	says("", "update-assume-role-policy", "--role-name", "Ops", "--policy-document", trustSSM)
	says("", "tag-role", "--role-name", "Ops", "--tags", "Key=a,Value=b")
	says(`{"IsTruncated":false,"Tags":[{"Key":"a","Value":"b"}]}`, "list-role-tags", "--role-name", "Ops")
	says("", "untag-role", "--role-name", "Ops", "--tag-keys", "a")
	says("", "attach-role-policy", "--role-name", "Ops", "--policy-arn", core)
	says(attached, "list-attached-role-policies", "--role-name", "Ops")
	says("", "put-role-policy", "--role-name", "Ops", "--policy-name", "p", "--policy-document", document)
	says(`{"PolicyDocument":`+document+`,"PolicyName":"p","RoleName":"Ops"}`, "get-role-policy", "--role-name", "Ops", "--policy-name", "p")
	says(`{"PolicyNames":["p"]}`, "list-role-policies", "--role-name", "Ops")
	says("", "put-role-permissions-boundary", "--role-name", "Ops", "--permissions-boundary", core)
	says("", "delete-role-permissions-boundary", "--role-name", "Ops")

	profile := `{"Arn":"` + account + `instance-profile/i",` + created + `,"InstanceProfileId":"AIPA","InstanceProfileName":"i","Path":"/","Roles":[`
	says(`{"InstanceProfile":`+profile+`]}}`, "create-instance-profile", "--instance-profile-name", "i")
	says("", "add-role-to-instance-profile", "--instance-profile-name", "i", "--role-name", "Ops")
	says(`{"InstanceProfiles":[`+profile+role+`]}]}`, "list-instance-profiles-for-role", "--role-name", "Ops")
	says("", "remove-role-from-instance-profile", "--instance-profile-name", "i", "--role-name", "Ops")
	says(`{"InstanceProfiles":[]}`, "list-instance-profiles-for-role", "--role-name", "Ops")
	says("", "delete-instance-profile", "--instance-profile-name", "i")

	says(`{"Policy":`+policyOf("v1", "")+`}`, "create-policy", "--policy-name", "P", "--policy-document", document)
	says(`{"PolicyVersion":{`+created+`,"IsDefaultVersion":true,"VersionId":"v2"}}`, "create-policy-version", "--policy-arn", policies+"/P", "--policy-document", document, "--set-as-default")
	says(`{"PolicyVersion":{`+created+`,"Document":`+document+`,"IsDefaultVersion":true,"VersionId":"v2"}}`, "get-policy-version", "--policy-arn", policies+"/P", "--version-id", "v2")
	says(`{"Policies":[`+policyOf("v2", "")+`]}`, "list-policies", "--scope", "Local")
	says("", "set-default-policy-version", "--policy-arn", policies+"/P", "--version-id", "v1")
	says("", "delete-policy-version", "--policy-arn", policies+"/P", "--version-id", "v2")
	says(`{"Versions":[{`+created+`,"IsDefaultVersion":true,"VersionId":"v1"}]}`, "list-policy-versions", "--policy-arn", policies+"/P")
	says(`{"PolicyGroups":[],"PolicyRoles":[{"RoleId":"AROA","RoleName":"Ops"}],"PolicyUsers":[]}`, "list-entities-for-policy", "--policy-arn", core)
	says("", "tag-policy", "--policy-arn", policies+"/P", "--tags", "Key=a,Value=b")
	says(`{"Policy":`+policyOf("v1", `"Tags":[{"Key":"a","Value":"b"}],`)+`}`, "get-policy", "--policy-arn", policies+"/P")
	says("An error occurred (MalformedPolicyDocument) when calling the CreatePolicy operation: Syntax errors in policy. (line 1, column 2: the name of an element is expected)",
		"create-policy", "--policy-name", "Q", "--policy-document", "{")

	says(`{"EvaluationResults":[{"EvalActionName":"s3:GetObject","EvalDecision":"allowed","EvalResourceName":"*","MatchedStatements":[{"EndPosition":{"Column":64,"Line":1},`+
		`"SourcePolicyId":"role_Ops_p","SourcePolicyType":"role","StartPosition":{"Column":15,"Line":1}}],"MissingContextValues":[]}]}`,
		"simulate-principal-policy", "--policy-source-arn", account+"role/Ops", "--action-names", "s3:GetObject")
	says(`{"EvaluationResults":[{"EvalActionName":"s3:GetObject","EvalDecision":"implicitDeny","EvalResourceName":"*","MatchedStatements":[],"MissingContextValues":[]}]}`,
		"simulate-custom-policy", "--policy-input-list", strings.Replace(document, "s3:*", "ec2:*", 1), "--action-names", "s3:GetObject")
	says(`{"ContextKeyNames":[]}`, "get-context-keys-for-custom-policy", "--policy-input-list", document)
	details, code := w.aws("admin", "get-account-authorization-details", "--filter", "Role")
	if code != 0 || !strings.Contains(details, `"RolePolicyList"`) || !strings.Contains(details, "sts:AssumeRole") {
		t.Errorf("get-account-authorization-details: %d %s", code, details)
	}
	summary, code := w.aws("admin", "get-account-summary")
	if code != 0 || !strings.Contains(summary, `"Roles": 1`) {
		t.Errorf("get-account-summary: %d %s", code, summary)
	}

	says("", "delete-role-policy", "--role-name", "Ops", "--policy-name", "p")
	says("", "detach-role-policy", "--role-name", "Ops", "--policy-arn", core)
	says("", "delete-role", "--role-name", "Ops")
	says("", "delete-policy", "--policy-arn", policies+"/P")
}
