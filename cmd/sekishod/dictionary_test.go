package main

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/store"
)

// ask is one permission that an operation takes: an action, and the resource that a
// policy must cover.
type ask struct {
	action, resource string
	shown            string // what the denial names, if it is not the resource
}

// entry is what the dictionary says of an operation.
type entry struct {
	asks  []ask  // in the order in which they are asked
	input string // of JSON services: the body; else further parameters
	// refusal is what an operation answers that permission is not enough for: the caller
	// must be a node. Empty for all others.
	refusal string
}

// dictionary is the table of api.md §5.1 as far as there are operations, by "service
// Operation". ACCOUNT and REGION, NODE, KEY and BLOB are the deployment's. Where an
// operation asks for nothing it is in askNothing.
func dictionary() map[string]entry {
	const (
		node    = "arn:aws:ssm:REGION:ACCOUNT:managed-instance/NODE"
		shell   = "arn:aws:ssm:REGION:ACCOUNT:document/SSM-SessionManagerRunShell"
		tier    = "arn:aws:ssm:REGION:ACCOUNT:servicesetting/ssm/managed-instance/activation-tier"
		session = "arn:aws:ssm:REGION:ACCOUNT:session/clerk-0123456789abcdef0"
		role    = "arn:aws:iam::ACCOUNT:role/it"
		key     = "arn:aws:kms:REGION:ACCOUNT:key/KEY"
		alias   = "arn:aws:kms:REGION:ACCOUNT:alias/it"
	)
	one := func(action, resource, input string) entry {
		return entry{asks: []ask{{action: action, resource: resource}}, input: input}
	}
	all := map[string]entry{
		"ssm CreateActivation":            {asks: []ask{{action: "ssm:CreateActivation", resource: "*"}, {action: "iam:PassRole", resource: role}}, input: `{"IamRole":"it"}`},
		"ssm DescribeActivations":         one("ssm:DescribeActivations", "*", `{}`),
		"ssm DeleteActivation":            one("ssm:DeleteActivation", "*", `{"ActivationId":"01234567-89ab-cdef-0123-456789abcdef"}`),
		"ssm DescribeInstanceInformation": one("ssm:DescribeInstanceInformation", "*", `{}`),
		"ssm UpdateInstanceInformation": {asks: []ask{{action: "ssm:UpdateInstanceInformation", resource: node}}, input: `{"InstanceId":"NODE"}`,
			refusal: "Only the managed node itself may report its information."},
		"ssm StartSession":               {asks: []ask{{action: "ssm:StartSession", resource: node}, {action: "ssm:StartSession", resource: shell}}, input: `{"Target":"NODE"}`},
		"ssm ResumeSession":              one("ssm:ResumeSession", session, `{"SessionId":"clerk-0123456789abcdef0"}`),
		"ssm TerminateSession":           one("ssm:TerminateSession", session, `{"SessionId":"clerk-0123456789abcdef0"}`),
		"ssm DescribeSessions":           one("ssm:DescribeSessions", "*", `{"State":"Active"}`),
		"ssm GetConnectionStatus":        one("ssm:GetConnectionStatus", node, `{"Target":"NODE"}`),
		"ssm ListInstanceAssociations":   one("ssm:ListInstanceAssociations", node, `{"InstanceId":"NODE"}`),
		"ssm ListAssociations":           one("ssm:ListAssociations", "*", `{}`),
		"ssm DescribeInstanceProperties": one("ssm:DescribeInstanceProperties", "*", `{}`),
		"ssm DeregisterManagedInstance":  one("ssm:DeregisterManagedInstance", node, `{"InstanceId":"NODE"}`),
		"ssm UpdateManagedInstanceRole":  {asks: []ask{{action: "ssm:UpdateManagedInstanceRole", resource: node}, {action: "iam:PassRole", resource: role}}, input: `{"InstanceId":"NODE","IamRole":"it"}`},
		"ssm GetServiceSetting":          one("ssm:GetServiceSetting", tier, `{"SettingId":"/ssm/managed-instance/activation-tier"}`),
		"ssm UpdateServiceSetting":       one("ssm:UpdateServiceSetting", tier, `{"SettingId":"/ssm/managed-instance/activation-tier","SettingValue":"advanced"}`),
		"ssm ResetServiceSetting":        one("ssm:ResetServiceSetting", tier, `{"SettingId":"/ssm/managed-instance/activation-tier"}`),
		"ec2 DescribeInstances":          one("ec2:DescribeInstances", "*", ""),
		"ec2messages GetMessages":        one("ec2messages:GetMessages", "*", `{"Destination":"NODE"}`),

		"ssm ListNodes":                   one("ssm:ListNodes", "*", `{}`),
		"ssm ListNodesSummary":            one("ssm:ListNodesSummary", "*", `{"Aggregators":[{"AggregatorType":"Count","TypeName":"Instance","AttributeName":"PlatformType"}]}`),
		"sekisho SearchTranscripts":       one("sekisho:SearchTranscripts", "*", `{"Query":"ls"}`),
		"sekisho ListRecordings":          one("sekisho:ListRecordings", "*", `{}`),
		"sekisho GetRecording":            one("sekisho:GetRecording", session, `{"SessionId":"clerk-0123456789abcdef0"}`),
		"sekisho VerifyRecording":         one("sekisho:GetRecording", session, `{"SessionId":"clerk-0123456789abcdef0"}`),
		"sekisho PutLegalHold":            one("sekisho:PutLegalHold", session, `{"SessionId":"clerk-0123456789abcdef0","Hold":true,"Reason":"x"}`),
		"sekisho WatchSession":            one("sekisho:WatchSession", session, `{"SessionId":"clerk-0123456789abcdef0"}`),
		"sekisho GetNodeHours":            one("sekisho:GetNodeHours", "*", `{}`),
		"sekisho EndUnauthorizedSessions": one("sekisho:EndUnauthorizedSessions", "*", `{"DryRun":true}`),
		"cloudtrail LookupEvents":         one("cloudtrail:LookupEvents", "*", `{}`),

		"sts AssumeRole": {asks: []ask{{action: "sts:AssumeRole", resource: role}, {action: "sts:TagSession", resource: role}, {action: "sts:SetSourceIdentity", resource: role}},
			input: "RoleArn=" + role + "&RoleSessionName=s1&Tags.member.1.Key=k&Tags.member.1.Value=v&SourceIdentity=me"},
		"sts DecodeAuthorizationMessage": one("sts:DecodeAuthorizationMessage", "*", "EncodedMessage=x"),

		"kms CreateKey":    one("kms:CreateKey", "*", `{}`),
		"kms ListKeys":     one("kms:ListKeys", "*", `{}`),
		"kms ListAliases":  one("kms:ListAliases", "*", `{}`),
		"kms CreateAlias":  {asks: []ask{{action: "kms:CreateAlias", resource: alias}, {action: "kms:CreateAlias", resource: key}}, input: `{"AliasName":"alias/it","TargetKeyId":"KEY"}`},
		"kms UpdateAlias":  {asks: []ask{{action: "kms:UpdateAlias", resource: alias}, {action: "kms:UpdateAlias", resource: key, shown: alias}}, input: `{"AliasName":"alias/it","TargetKeyId":"KEY"}`},
		"kms DeleteAlias":  {asks: []ask{{action: "kms:DeleteAlias", resource: alias}, {action: "kms:DeleteAlias", resource: key, shown: alias}}, input: `{"AliasName":"alias/it"}`},
		"kms Decrypt":      one("kms:Decrypt", key, `{"CiphertextBlob":"BLOB"}`),
		"kms ReEncrypt":    {asks: []ask{{action: "kms:ReEncryptFrom", resource: key}, {action: "kms:ReEncryptTo", resource: key}}, input: `{"CiphertextBlob":"BLOB","DestinationKeyId":"KEY"}`},
		"kms Encrypt":      one("kms:Encrypt", key, `{"KeyId":"KEY","Plaintext":"aXQ="}`),
		"kms PutKeyPolicy": one("kms:PutKeyPolicy", key, `{"KeyId":"KEY","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::ACCOUNT:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}"}`),
		"kms TagResource":  one("kms:TagResource", key, `{"KeyId":"KEY","Tags":[{"TagKey":"k","TagValue":"v"}]}`),
		"kms UntagResource": one("kms:UntagResource", key,
			`{"KeyId":"KEY","TagKeys":["k"]}`),
		"kms UpdateKeyDescription": one("kms:UpdateKeyDescription", key, `{"KeyId":"KEY","Description":"it"}`),
	}
	for op := range strings.FieldsSeq(`CancelKeyDeletion DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation GetKeyPolicy
		GetKeyRotationStatus ListKeyPolicies ListResourceTags RotateKeyOnDemand ScheduleKeyDeletion`) {
		all["kms "+op] = one("kms:"+op, key, `{"KeyId":"KEY"}`)
	}
	for _, op := range []string{"GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} {
		all["kms "+op] = one("kms:"+op, key, `{"KeyId":"KEY","KeySpec":"AES_256"}`)
	}
	const document = "arn:aws:ssm:REGION:ACCOUNT:document/paper"
	for op, input := range map[string]string{
		"CreateDocument":               `{"Name":"paper","DocumentType":"Session","Content":"{\"schemaVersion\":\"1.0\",\"sessionType\":\"Standard_Stream\",\"inputs\":{}}"}`,
		"GetDocument":                  `{"Name":"paper"}`,
		"DescribeDocument":             `{"Name":"paper"}`,
		"UpdateDocument":               `{"Name":"paper","Content":"{\"schemaVersion\":\"1.0\",\"sessionType\":\"Standard_Stream\",\"inputs\":{}}"}`,
		"UpdateDocumentDefaultVersion": `{"Name":"paper","DocumentVersion":"1"}`,
		"DeleteDocument":               `{"Name":"paper"}`,
		"ListDocumentVersions":         `{"Name":"paper"}`,
		"DescribeDocumentPermission":   `{"Name":"paper","PermissionType":"Share"}`,
		"ModifyDocumentPermission":     `{"Name":"paper","PermissionType":"Share","AccountIdsToAdd":["111122223333"]}`,
		"AddTagsToResource":            `{"ResourceType":"Document","ResourceId":"paper","Tags":[{"Key":"k","Value":"v"}]}`,
		"RemoveTagsFromResource":       `{"ResourceType":"Document","ResourceId":"paper","TagKeys":["k"]}`,
		"ListTagsForResource":          `{"ResourceType":"Document","ResourceId":"paper"}`,
	} {
		all["ssm "+op] = one("ssm:"+op, document, input)
	}
	all["ssm ListDocuments"] = one("ssm:ListDocuments", "*", `{}`)
	for op, input := range map[string]string{
		"CreateLogGroup": `{"logGroupName":"it"}`, "DeleteLogGroup": `{"logGroupName":"it"}`,
		"PutRetentionPolicy": `{"logGroupName":"it","retentionInDays":1}`, "DeleteRetentionPolicy": `{"logGroupName":"it"}`,
		"CreateLogStream":    `{"logGroupName":"it","logStreamName":"s"}`,
		"DescribeLogStreams": `{"logGroupName":"it"}`, "FilterLogEvents": `{"logGroupName":"it"}`,
		// Both together are refused after the permission was asked, so that nothing streams.
		"StartLiveTail": `{"logGroupIdentifiers":["it"],"logStreamNames":["s"],"logStreamNamePrefixes":["s"]}`,
		"TagLogGroup":   `{"logGroupName":"it","tags":{"k":"v"}}`, "UntagLogGroup": `{"logGroupName":"it","tags":["k"]}`, "ListTagsLogGroup": `{"logGroupName":"it"}`,
		"TagResource":         `{"resourceArn":"arn:aws:logs:REGION:ACCOUNT:log-group:it","tags":{"k":"v"}}`,
		"UntagResource":       `{"resourceArn":"arn:aws:logs:REGION:ACCOUNT:log-group:it","tagKeys":["k"]}`,
		"ListTagsForResource": `{"resourceArn":"arn:aws:logs:REGION:ACCOUNT:log-group:it"}`,
	} {
		all["logs "+op] = one("logs:"+op, "arn:aws:logs:REGION:ACCOUNT:log-group:it", input)
	}
	for op, input := range map[string]string{
		"DeleteLogStream": `{"logGroupName":"it","logStreamName":"s"}`, "GetLogEvents": `{"logGroupName":"it","logStreamName":"s"}`,
		"PutLogEvents": `{"logGroupName":"it","logStreamName":"s","logEvents":[{"timestamp":1,"message":"m"}]}`,
	} {
		all["logs "+op] = one("logs:"+op, "arn:aws:logs:REGION:ACCOUNT:log-group:it:log-stream:s", input)
	}
	all["logs DescribeLogGroups"] = one("logs:DescribeLogGroups", "arn:aws:logs:REGION:ACCOUNT:log-group::log-stream:*", `{}`)
	for resource, operations := range identityOperations {
		if resource != "*" {
			resource = "arn:aws:iam::ACCOUNT:" + resource
		}
		for op := range strings.FieldsSeq(operations) {
			all["iam "+op] = one("iam:"+op, resource, identityParameters)
		}
	}
	addRole := all["iam AddRoleToInstanceProfile"]
	addRole.asks = append(addRole.asks, ask{action: "iam:PassRole", resource: role})
	all["iam AddRoleToInstanceProfile"] = addRole
	return all
}

// identityOperations are those of iam by the resource that each is on; the action has the
// operation's name.
var identityOperations = map[string]string{
	"user/it": `CreateUser GetUser UpdateUser DeleteUser TagUser UntagUser ListUserTags ListGroupsForUser
		CreateAccessKey ListAccessKeys UpdateAccessKey DeleteAccessKey
		CreateLoginProfile GetLoginProfile UpdateLoginProfile DeleteLoginProfile
		EnableMFADevice ResyncMFADevice DeactivateMFADevice ListMFADevices
		ListSSHPublicKeys ListSigningCertificates ListServiceSpecificCredentials
		PutUserPolicy GetUserPolicy DeleteUserPolicy ListUserPolicies AttachUserPolicy DetachUserPolicy ListAttachedUserPolicies
		PutUserPermissionsBoundary DeleteUserPermissionsBoundary
		SimulatePrincipalPolicy GetContextKeysForPrincipalPolicy`,
	"user/clerk": `ChangePassword`,
	"group/it": `CreateGroup GetGroup UpdateGroup DeleteGroup AddUserToGroup RemoveUserFromGroup
		PutGroupPolicy GetGroupPolicy DeleteGroupPolicy ListGroupPolicies AttachGroupPolicy DetachGroupPolicy ListAttachedGroupPolicies`,
	"role/it": `CreateRole GetRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole TagRole UntagRole ListRoleTags
		PutRolePolicy GetRolePolicy DeleteRolePolicy ListRolePolicies AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies
		PutRolePermissionsBoundary DeleteRolePermissionsBoundary ListInstanceProfilesForRole`,
	"instance-profile/it": `CreateInstanceProfile GetInstanceProfile DeleteInstanceProfile AddRoleToInstanceProfile RemoveRoleFromInstanceProfile`,
	"policy/it": `CreatePolicy GetPolicy DeletePolicy CreatePolicyVersion GetPolicyVersion ListPolicyVersions SetDefaultPolicyVersion
		DeletePolicyVersion ListEntitiesForPolicy TagPolicy UntagPolicy ListPolicyTags`,
	"mfa/it": `CreateVirtualMFADevice DeleteVirtualMFADevice`,
	"oidc-provider/issuer.test": `CreateOpenIDConnectProvider GetOpenIDConnectProvider DeleteOpenIDConnectProvider
		AddClientIDToOpenIDConnectProvider RemoveClientIDFromOpenIDConnectProvider UpdateOpenIDConnectProviderThumbprint`,
	"*": `ListUsers ListGroups ListRoles ListPolicies ListInstanceProfiles ListVirtualMFADevices ListOpenIDConnectProviders
		ListAccountAliases GetAccountSummary GetAccountPasswordPolicy GetAccountAuthorizationDetails GetAccessKeyLastUsed
		SimulateCustomPolicy GetContextKeysForCustomPolicy`,
}

// identityParameters fit every operation of iam: each reads what it knows.
const identityParameters = "UserName=it&GroupName=it&RoleName=it&InstanceProfileName=it&PolicyName=it&VirtualMFADeviceName=it" +
	"&PolicyArn=arn:aws:iam::ACCOUNT:policy/it&PolicySourceArn=arn:aws:iam::ACCOUNT:user/it&VersionId=v1" +
	"&SerialNumber=arn:aws:iam::ACCOUNT:mfa/it&AuthenticationCode1=123456&AuthenticationCode2=654321" +
	"&OpenIDConnectProviderArn=arn:aws:iam::ACCOUNT:oidc-provider/issuer.test&Url=https://issuer.test&ClientID=it" +
	"&ThumbprintList.member.1=0123456789abcdef0123456789abcdef01234567" +
	"&PolicyDocument=" + someDocument + "&PolicyInputList.member.1=" + someDocument + "&ActionNames.member.1=ssm:StartSession" +
	"&AssumeRolePolicyDocument=" + someTrust + "&PermissionsBoundary=arn:aws:iam::aws:policy/ReadOnlyAccess&Description=it" +
	"&AccessKeyId=AKIAABCDEFGHIJKLMNOP&Status=Inactive&Password=a+good+password&OldPassword=x&NewPassword=y" +
	"&TagKeys.member.1=k"

const (
	someDocument = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`
	someTrust    = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],` +
		`"Principal":{"AWS":"arn:aws:iam::ACCOUNT:root","Service":"ssm.amazonaws.com"}}}`
)

// askNothing are the operations without a permission: why, and what the call of somebody
// without any is answered.
var askNothing = map[string]struct{ why, input, answer string }{
	"ssm RegisterManagedInstance": {"an activation's code guards it",
		`{"ActivationId":"01234567-89ab-cdef-0123-456789abcdef","ActivationCode":"01234567890123456789","Fingerprint":"x","PublicKeyType":"Rsa","PublicKey":"RSA"}`,
		"InvalidActivation"},
	"ssm RequestManagedInstanceRoleToken": {"the node's own key signs", `{"Fingerprint":"x"}`, "UnrecognizedClientException"},
	"ssm UpdateManagedInstancePublicKey":  {"the node's present key signs", `{"NewPublicKey":"RSA","NewPublicKeyType":"Rsa"}`, "UnrecognizedClientException"},
	"sts GetCallerIdentity":               {"who it is, anybody may ask", "", ":user/clerk</Arn>"},
	"sts GetAccessKeyInfo":                {"whose account it is, anybody may ask", "AccessKeyId=AKIAABCDEFGHIJKLMNOP", "<Account>ACCOUNT</Account>"},
	"sts GetSessionToken":                 {"users need no permission; it can be denied", "", "<SessionToken>"},
	"sts AssumeRoleWithWebIdentity": {"the role's trust policy decides alone",
		"RoleArn=arn:aws:iam::ACCOUNT:role/it&RoleSessionName=s1&WebIdentityToken=token", "<Code>InvalidIdentityToken</Code>"},
}

// clerk is the user whose permissions a test changes, and caller the way to call as it.
type clerk struct {
	t        *testing.T
	server   *server
	client   *http.Client
	services map[string]awsapi.Service
	words    []string          // of values
	values   *strings.Replacer // puts the deployment's values for the words in capitals
	admin    sigv4.Credentials
	user     sigv4.Credentials
}

func newClerk(t *testing.T) *clerk {
	t.Helper()
	s, client := startTest(t)
	c := &clerk{t: t, server: s, client: client, services: map[string]awsapi.Service{}}
	for _, service := range awsapi.Services() {
		c.services[service.SigningName] = service
	}
	public, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public.Public())
	if err != nil {
		t.Fatal(err)
	}
	c.knows("ACCOUNT", s.arns.Account, "REGION", s.arns.Region, "NODE", "mi-0123456789abcdef0", "RSA", base64.StdEncoding.EncodeToString(der))
	s.control.Close() // polls are not held
	now := time.Now()
	for name, to := range map[string]*sigv4.Credentials{"clerk": &c.user, "head": &c.admin} {
		made, err := grantAdministrator(t.Context(), s.store, name, now)
		if err != nil {
			t.Fatal(err)
		}
		*to = sigv4.Credentials{AccessKeyID: made.AccessKeyID, SecretAccessKey: made.SecretAccessKey}
	}
	err = s.store.DetachPolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "clerk"}, administratorAccess)
	if err == nil {
		err = s.store.DeleteLoginProfile(t.Context(), "clerk")
	}
	if err != nil {
		t.Fatal(err)
	}
	var key struct {
		KeyMetadata struct {
			KeyID string `json:"KeyId"`
		}
	}
	c.decode("kms CreateKey", `{}`, &key)
	c.knows("KEY", key.KeyMetadata.KeyID)
	var sealed struct{ CiphertextBlob string }
	c.decode("kms Encrypt", `{"KeyId":"KEY","Plaintext":"aXQ="}`, &sealed)
	c.knows("BLOB", sealed.CiphertextBlob)
	return c
}

// knows adds words and their values.
func (c *clerk) knows(words ...string) {
	c.words = append(c.words, words...)
	c.values = strings.NewReplacer(c.words...)
}

// decode calls an operation of a JSON service as the administrator.
func (c *clerk) decode(op, input string, into any) {
	c.t.Helper()
	status, answer := c.call(c.admin, op, input)
	if err := json.Unmarshal([]byte(answer), into); status != http.StatusOK || err != nil {
		c.t.Fatalf("%s: %d %s (%v)", op, status, answer, err)
	}
}

// restore makes whatever the dictionary's operations are about, where it is not there.
func (c *clerk) restore(service string) {
	operations := map[string][]string{
		"iam": {"CreateUser", "CreateGroup", "CreateRole", "CreatePolicy", "CreateInstanceProfile"},
		"sts": {"CreateRole"}, "ssm": {"CreateRole"},
	}
	for _, op := range operations[service] {
		c.call(c.admin, "iam "+op, identityParameters)
	}
	if service == "kms" {
		for _, op := range []string{"CancelKeyDeletion", "EnableKey"} {
			c.call(c.admin, "kms "+op, `{"KeyId":"KEY"}`)
		}
		c.call(c.admin, "kms CreateAlias", `{"AliasName":"alias/it","TargetKeyId":"KEY"}`)
	}
}

// allow replaces what the clerk may do.
func (c *clerk) allow(statements ...string) {
	c.t.Helper()
	entity := store.Entity{Type: store.EntityUser, Name: "clerk"}
	text := c.values.Replace(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
	var err error
	if len(statements) > 0 {
		err = c.server.store.PutInlinePolicy(c.t.Context(), entity, "it", text, len(text), 1<<20)
	} else if err = c.server.store.DeleteInlinePolicy(c.t.Context(), entity, "it"); err != nil && strings.Contains(err.Error(), store.ErrNotFound.Error()) {
		err = nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// call signs a request as somebody and sends it.
func (c *clerk) call(as sigv4.Credentials, op, input string) (status int, answer string) {
	c.t.Helper()
	service, name, _ := strings.Cut(op, " ")
	known, ok := c.services[service]
	if !ok {
		c.t.Fatalf("there is no service %q", service)
	}
	body, region := c.values.Replace(input), c.server.arns.Region
	if known.Protocol != awsapi.JSON {
		form := url.Values{"Action": {name}, "Version": {known.Version}}
		for pair := range strings.SplitSeq(body, "&") {
			if key, value, ok := strings.Cut(pair, "="); ok {
				form.Set(key, value)
			}
		}
		if strings.HasPrefix(name, "Tag") || name == "AssumeRole" {
			form.Set("Tags.member.1.Key", "k")
			form.Set("Tags.member.1.Value", "v")
		}
		body = form.Encode()
		if service == "iam" {
			region = "us-east-1"
		}
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.server.url+"/", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if known.Protocol == awsapi.JSON {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", known.TargetPrefix+"."+name)
	} else {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	sigv4.Sign(r, sigv4.Hash([]byte(body)), as, region, service, time.Now())
	got, err := c.client.Do(r)
	if err != nil {
		c.t.Fatalf("%s: %v", op, err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		c.t.Fatalf("%s: %v", op, err)
	}
	return got.StatusCode, string(text)
}

// denied requires that the clerk's call is refused for want of exactly one permission.
func (c *clerk) denied(when, op string, e entry, want ask) {
	c.t.Helper()
	status, answer := c.call(c.user, op, e.input)
	service, _, _ := strings.Cut(op, " ")
	code, wantStatus := `AccessDeniedException`, http.StatusBadRequest
	switch c.services[service].Protocol {
	case awsapi.Query:
		code, wantStatus = "<Code>AccessDenied</Code>", http.StatusForbidden
	case awsapi.EC2:
		code, wantStatus = "<Code>UnauthorizedOperation</Code>", http.StatusForbidden
	}
	resource := cmp.Or(want.shown, want.resource)
	if resource == "*" && strings.HasPrefix(want.action, "ssm:") {
		resource = c.server.arns.Any()
	}
	text := c.values.Replace("User: arn:aws:iam::ACCOUNT:user/clerk is not authorized to perform: " + want.action + " on resource: " + resource)
	if op == "sts AssumeRole" { // AWS says no more about it (api.md §4.8)
		text += "<"
	} else {
		text += " because no identity-based policy allows the " + want.action + " action"
	}
	if status != wantStatus || !strings.Contains(answer, code) || !strings.Contains(answer, text) {
		c.t.Errorf("%s, %s: %d %s\nwant %d %s %s", op, when, status, answer, wantStatus, code, text)
	}
}

func statement(effect, key, action, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,%q:%q,"Resource":%q}`, effect, key, action, resource)
}

// TestEveryOperationAsksForItsPermission calls each operation that is served, over HTTP,
// as somebody who may do nothing, who may do everything but what it takes, and who may do
// what it takes and nothing else. A new operation fails until it is in the dictionary.
func TestEveryOperationAsksForItsPermission(t *testing.T) {
	c := newClerk(t)
	operations := c.server.operations
	rows := dictionary()
	var served []string
	for _, op := range operations {
		name := op.Service + " " + op.Name
		served = append(served, name)
		if _, free := askNothing[name]; free {
			continue
		}
		if _, ok := rows[name]; !ok {
			t.Errorf("%s is served and is not in the dictionary", name)
		}
		if op.Anonymous || op.NodeSigned {
			t.Errorf("%s is called without a user's signature: it can ask for no permission", name)
		}
	}
	for _, name := range append(slices.Sorted(maps.Keys(rows)), slices.Sorted(maps.Keys(askNothing))...) {
		if !slices.Contains(served, name) {
			t.Errorf("%s is in the dictionary and is not served", name)
		}
	}

	slices.Sort(served)
	for _, name := range served {
		e, ok := rows[name]
		if !ok {
			continue
		}
		service, _, _ := strings.Cut(name, " ")
		c.restore(service)
		c.allow()
		c.denied("may do nothing", name, e, e.asks[0])
		for i, want := range e.asks {
			others := []string{statement("Allow", "NotAction", want.action, "*")}
			for j, a := range e.asks {
				if j != i {
					others = append(others, statement("Allow", "Action", a.action, a.resource))
				}
			}
			c.allow(others...)
			c.denied("may do all but "+want.action+" on "+want.resource, name, e, want)
		}
		var exactly []string
		for _, a := range e.asks {
			exactly = append(exactly, statement("Allow", "Action", a.action, a.resource))
		}
		c.allow(exactly...)
		status, answer := c.call(c.user, name, e.input)
		refused := status != http.StatusOK && (strings.Contains(answer, "AccessDenied") || strings.Contains(answer, "not authorized"))
		if e.refusal == "" && (refused || status >= 500) || e.refusal != "" && !strings.Contains(answer, e.refusal) {
			t.Errorf("%s with permission: %d %s", name, status, answer)
		}
		if strings.Contains(answer, "ValidationE") || strings.Contains(answer, "ValidationError") {
			t.Errorf("%s: the dictionary's input is wrong: %s", name, answer)
		}
	}
}

// TestWhatTakesNoPermission holds the exceptions to what is said of them.
func TestWhatTakesNoPermission(t *testing.T) {
	c := newClerk(t)
	for name, e := range askNothing {
		status, answer := c.call(c.user, name, e.input)
		if !strings.Contains(answer, c.values.Replace(e.answer)) || strings.Contains(answer, "is not authorized to perform") {
			t.Errorf("%s (%s): %d %s, want %s", name, e.why, status, answer, e.answer)
		}
	}
	c.allow(statement("Deny", "Action", "*", "*"))
	for _, name := range []string{"sts GetCallerIdentity", "sts GetAccessKeyInfo"} {
		if status, answer := c.call(c.user, name, askNothing[name].input); status != http.StatusOK {
			t.Errorf("%s is denied: %d %s", name, status, answer)
		}
	}
	status, answer := c.call(c.user, "sts GetSessionToken", "")
	if status != http.StatusForbidden || !strings.Contains(answer, "sts:GetSessionToken on resource: * with an explicit deny in an identity-based policy") {
		t.Errorf("GetSessionToken where it is denied: %d %s", status, answer)
	}
}
