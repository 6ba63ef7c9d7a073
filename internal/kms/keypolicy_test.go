package kms

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// keyPolicy is a key policy of statements.
func keyPolicy(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func statement(effect, principal, action string) string {
	return fmt.Sprintf(`{"Effect":%q,"Principal":{"AWS":%q},"Action":%q,"Resource":"*"}`, effect, principal, action)
}

func TestDefaultPolicyLeavesItToIdentityPolicies(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	in := &EncryptInput{KeyID: id, Plaintext: Plaintext("x")}
	wantError(t, "nothing", w.try("bob", "Encrypt", in, nil), "AccessDeniedException",
		denied(bobARN, "Encrypt", keyPrefix+id, noIdentity+"Encrypt action"))
	w.allow(allowing("kms:Encrypt", keyPrefix+id))
	must(t, w.try("bob", "Encrypt", in, nil))
	wantCode(t, "another key", w.try("bob", "Encrypt", &EncryptInput{KeyID: w.key(), Plaintext: Plaintext("x")}, nil), "AccessDeniedException")

	got := do[GetKeyPolicyOutput](w, "GetKeyPolicy", &GetKeyPolicyInput{KeyID: id})
	if got.PolicyName != "default" || got.Policy != w.server.defaultPolicy() || !strings.Contains(got.Policy, root) {
		t.Errorf("policy %+v", got)
	}
	// It is a policy that may be put.
	must(t, w.try("alice", "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, PolicyName: "default", Policy: got.Policy}, nil))
	if list := do[ListKeyPoliciesOutput](w, "ListKeyPolicies", &ListKeyPoliciesInput{KeyID: id}); fmt.Sprint(list.PolicyNames) != "[default]" || list.Truncated {
		t.Errorf("policies %+v", list)
	}
	wantCode(t, "another name", w.try("alice", "GetKeyPolicy", &GetKeyPolicyInput{KeyID: id, PolicyName: "x"}, nil), "NotFoundException")
	wantCode(t, "another name", w.try("alice", "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, PolicyName: "x", Policy: got.Policy}, nil), "ValidationException")
}

func TestKeyPolicyDecides(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	put := func(statements ...string) {
		t.Helper()
		do[Empty](w, "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, Policy: keyPolicy(statements...)})
	}
	encrypt := &EncryptInput{KeyID: id, Plaintext: Plaintext("x")}
	use := func(who string) error { return w.try(who, "Encrypt", encrypt, nil) }
	administer := statement("Allow", aliceARN, "kms:PutKeyPolicy")

	// Named as himself, bob needs no policy of his own.
	put(administer, statement("Allow", bobARN, "kms:Encrypt"))
	must(t, use("bob"))
	// And the administrator of everything is locked out of what the key policy does not give her.
	wantError(t, "an administrator", use("alice"), "AccessDeniedException",
		denied(aliceARN, "Encrypt", keyPrefix+id, noResource+"Encrypt action"))
	// A deny of his own counts nevertheless.
	w.allow(`{"Effect":"Deny","Action":"kms:*","Resource":"*"}`)
	wantError(t, "his own deny", use("bob"), "AccessDeniedException",
		denied(bobARN, "Encrypt", keyPrefix+id, " with an explicit deny in an identity-based policy"))
	w.allow(allowing("kms:*", "*"))
	put(administer, statement("Allow", root, "kms:*"), statement("Deny", bobARN, "kms:Encrypt"))
	wantError(t, "the key's deny", use("bob"), "AccessDeniedException",
		denied(bobARN, "Encrypt", keyPrefix+id, " with an explicit deny in a resource-based policy"))
	must(t, use("alice"))
	// Everybody.
	w.allow(allowing("iam:GetUser", "*"))
	put(administer, statement("Allow", "*", "kms:Encrypt"))
	must(t, use("bob"))

	// The account's root reaches every key, so that none is lost.
	ctx := auth.WithPrincipal(t.Context(), auth.Principal{Kind: auth.Root, Account: arns.Account, ARN: root, UserID: arns.Account})
	_, err := w.server.PutKeyPolicy(ctx, &PutKeyPolicyInput{KeyID: id, Policy: w.server.defaultPolicy()})
	must(t, err)
	must(t, use("alice"))
}

func TestLockoutIsRefused(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	for name, text := range map[string]string{
		"only bob":         keyPolicy(statement("Allow", bobARN, "kms:*")),
		"other actions":    keyPolicy(statement("Allow", root, "kms:Get*")),
		"denied":           keyPolicy(statement("Allow", root, "kms:*"), statement("Deny", aliceARN, "kms:PutKeyPolicy")),
		"a condition":      keyPolicy(`{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"bob"}}}`),
		"another resource": keyPolicy(`{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"arn:aws:kms:local-1:123456789012:key/x"}`),
	} {
		wantError(t, name, w.try("alice", "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, Policy: text}, nil), codeMalformedPolicy, textLockout)
		wantError(t, name, w.try("alice", "CreateKey", &CreateKeyInput{Policy: text}, nil), codeMalformedPolicy, textLockout)
	}
	if list := do[ListKeysOutput](w, "ListKeys", &ListKeysInput{}); len(list.Keys) != 1 {
		t.Errorf("keys %v", list.Keys)
	}
	// Whoever insists may.
	text := keyPolicy(statement("Allow", bobARN, "kms:*"))
	made := do[CreateKeyOutput](w, "CreateKey", &CreateKeyInput{Policy: text, BypassPolicyLockoutSafetyCheck: true}).KeyMetadata.KeyID
	do[Empty](w, "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, Policy: text, BypassPolicyLockoutSafetyCheck: true})
	for _, id := range []string{id, made} {
		wantCode(t, "locked out", w.try("alice", "GetKeyPolicy", &GetKeyPolicyInput{KeyID: id}, nil), "AccessDeniedException")
		var got GetKeyPolicyOutput
		must(t, w.try("bob", "GetKeyPolicy", &GetKeyPolicyInput{KeyID: id}, &got))
		if got.Policy != text {
			t.Errorf("policy %s", got.Policy)
		}
	}
}

func TestMalformedPolicies(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	must(t, w.store.CreateRole(t.Context(), store.Role{ID: "AROARRRRRRRRRRRRRRRRR", Name: "Role", Path: "/p/", TrustPolicy: "{}", MaxSession: time.Hour, CreatedAt: time.Now()}))
	account := statement("Allow", root, "kms:*")
	for principal, ok := range map[string]bool{
		"123456789012": true, root: true, bobARN: true, "AIDABBBBBBBBBBBBBBBBB": true, "AROARRRRRRRRRRRRRRRRR": true,
		"arn:aws:iam::123456789012:role/p/Role": true, "arn:aws:sts::123456789012:assumed-role/Role/x": true,
		"999999999999": false, "arn:aws:iam::999999999999:root": false, "arn:aws:iam::999999999999:user/bob": false,
		"arn:aws:iam::123456789012:user/carol": false, "arn:aws:iam::123456789012:user/p/bob": false, "arn:aws:iam::123456789012:role/Role": false,
		"AIDACCCCCCCCCCCCCCCCC": false, "AROACCCCCCCCCCCCCCCCC": false, "arn:aws:sts::123456789012:assumed-role/Role": false,
		"arn:aws:sts::123456789012:assumed-role/None/x": false, "arn:aws:sts::123456789012:federated-user/x": false,
	} {
		err := w.try("alice", "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, Policy: keyPolicy(account, statement("Allow", principal, "kms:Encrypt"))}, nil)
		if ok {
			must(t, err)
		} else {
			wantError(t, principal, err, codeMalformedPolicy, textInvalidPrincipals)
		}
	}
	for name, text := range map[string]string{
		"no JSON":      "{",
		"no principal": keyPolicy(allowing("kms:*", "*")),
		"no resource":  keyPolicy(`{"Effect":"Allow","Principal":"*","Action":"kms:*"}`),
		"wildcard":     keyPolicy(statement("Allow", "arn:aws:iam::123456789012:user/*", "kms:*")),
	} {
		wantCode(t, name, w.try("alice", "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, Policy: text}, nil), codeMalformedPolicy)
		wantCode(t, name, w.try("alice", "CreateKey", &CreateKeyInput{Policy: text, BypassPolicyLockoutSafetyCheck: true}, nil), codeMalformedPolicy)
	}
	long := keyPolicy(account) + strings.Repeat(" ", maxPolicy)
	wantCode(t, "long", w.try("alice", "PutKeyPolicy", &PutKeyPolicyInput{KeyID: id, Policy: long}, nil), "LimitExceededException")
}

func TestConditions(t *testing.T) {
	w := newWorld(t)
	id := do[CreateKeyOutput](w, "CreateKey", &CreateKeyInput{Tags: []Tag{{"team", "a"}}}).KeyMetadata.KeyID
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/a", TargetKeyID: id})
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/b", TargetKeyID: id})
	encrypt := func(name string, context map[string]string) error {
		return w.try("bob", "Encrypt", &EncryptInput{KeyID: name, Plaintext: Plaintext("x"), EncryptionContext: context}, nil)
	}
	own := map[string]string{"aws:ssm:SessionId": "bob-1", "aws:ssm:TargetId": "mi-1"}
	others := map[string]string{"aws:ssm:SessionId": "alice-1", "aws:ssm:TargetId": "mi-1"}
	for _, test := range []struct {
		condition string
		name      string
		context   map[string]string
		ok        bool
	}{
		{`"StringLike":{"kms:EncryptionContext:aws:ssm:SessionId":"${aws:username}-*"}`, id, own, true},
		{`"StringLike":{"kms:EncryptionContext:aws:ssm:SessionId":"${aws:username}-*"}`, id, others, false},
		{`"StringLike":{"kms:EncryptionContext:aws:ssm:SessionId":"${aws:username}-*"}`, id, nil, false},
		{`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["aws:ssm:SessionId","aws:ssm:TargetId"]}`, id, own, true},
		{`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["aws:ssm:SessionId"]}`, id, own, false},
		{`"Null":{"kms:EncryptionContextKeys":"true"}`, id, nil, true},
		{`"StringEquals":{"aws:ResourceTag/team":"a"}`, id, nil, true},
		{`"StringEquals":{"aws:ResourceTag/team":"b"}`, id, nil, false},
		{`"StringEquals":{"kms:RequestAlias":"alias/a"}`, "alias/a", nil, true},
		{`"StringEquals":{"kms:RequestAlias":"alias/a"}`, "alias/b", nil, false},
		{`"StringEquals":{"kms:RequestAlias":"alias/a"}`, id, nil, false},
		{`"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/b"}`, id, nil, true},
		{`"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/c"}`, id, nil, false},
		{`"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT","kms:KeySpec":"SYMMETRIC_DEFAULT","kms:CallerAccount":"123456789012"}`, id, nil, true},
		{`"Null":{"kms:ViaService":"true"}`, id, nil, true},
	} {
		w.allow(`{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{` + test.condition + `}}`)
		err := encrypt(test.name, test.context)
		if test.ok && err != nil || !test.ok && !ssm.IsCode(err, "AccessDeniedException") {
			t.Errorf("%s on %s with %v: %v", test.condition, test.name, test.context, err)
		}
	}
	// Tags in a request.
	w.allow(allowing("kms:CreateKey", "*"))
	tagged := &CreateKeyInput{Tags: []Tag{{"team", "b"}}}
	wantCode(t, "tags need a permission", w.try("bob", "CreateKey", tagged, nil), "AccessDeniedException")
	w.allow(allowing("kms:CreateKey", "*"), `{"Effect":"Allow","Action":"kms:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"b"}}}`)
	must(t, w.try("bob", "CreateKey", tagged, nil))
	wantCode(t, "another tag", w.try("bob", "CreateKey", &CreateKeyInput{Tags: []Tag{{"team", "c"}}}, nil), "AccessDeniedException")
}

// Whoever may not use a key does not learn whether it exists.
func TestRefusalsDoNotTellWhatExists(t *testing.T) {
	w := newWorld(t)
	id, unknown := w.key(), ssm.NewUUID()
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/known", TargetKeyID: id})
	blob := w.encrypted(id, nil)
	foreign, err := encrypt(unknown, 1, testMaterial, nil, Plaintext("x"))
	must(t, err)
	ask := func(name string) string {
		return fmt.Sprint(w.try("bob", "Encrypt", &EncryptInput{KeyID: name, Plaintext: Plaintext("x")}, nil))
	}
	decrypt := func(blob []byte) string {
		return fmt.Sprint(w.try("bob", "Decrypt", &DecryptInput{CiphertextBlob: blob}, nil))
	}
	for _, pair := range [][2]string{
		{strings.ReplaceAll(ask(id), id, "X"), strings.ReplaceAll(ask(unknown), unknown, "X")},
		{strings.ReplaceAll(ask("alias/known"), "alias/known", "X"), strings.ReplaceAll(ask("alias/other"), "alias/other", "X")},
		{strings.ReplaceAll(decrypt(blob), id, "X"), strings.ReplaceAll(decrypt(foreign), unknown, "X")},
	} {
		if pair[0] != pair[1] || !strings.Contains(pair[0], "AccessDeniedException") {
			t.Errorf("\nknown   %s\nunknown %s", pair[0], pair[1])
		}
	}
	if text := ask("alias/known"); strings.Contains(text, id) || !strings.Contains(text, "arn:aws:kms:local-1:123456789012:alias/known") {
		t.Errorf("by alias: %s", text)
	}
}

// TestNodeDecrypts has a managed node decrypt the data key of its session, as its agent does.
func TestNodeDecrypts(t *testing.T) {
	w := newWorld(t)
	const node = "mi-0123456789abcdef0"
	id := w.key()
	role := store.Role{ID: "AROARRRRRRRRRRRRRRRRR", Name: "NodeRole", Path: "/service-role/", TrustPolicy: "{}", MaxSession: time.Hour, CreatedAt: time.Now()}
	must(t, w.store.CreateRole(t.Context(), role))
	code := sha256.Sum256([]byte("code"))
	must(t, w.store.CreateActivation(t.Context(), store.Activation{ID: "a", CodeHash: code[:], IamRole: "NodeRole", RegistrationLimit: 1,
		ExpirationDate: time.Now().Add(time.Hour), CreatedAt: time.Now()}))
	_, err := w.store.RegisterNode(t.Context(), "a", code[:], store.Node{ID: node, PublicKey: []byte{1}, PublicKeyType: "Rsa", Fingerprint: "f"}, time.Now())
	must(t, err)
	cred := sigv4.Credentials{AccessKeyID: "ASIANNNNNNNNNNNNNNNN", SecretAccessKey: "node's secret", SessionToken: "token"}
	must(t, w.store.CreateTemporaryCredential(t.Context(), store.TemporaryCredential{
		AccessKeyID: cred.AccessKeyID, Secret: store.Secret(cred.SecretAccessKey), TokenHash: auth.TokenHash(cred.SessionToken), Kind: store.CredentialNode,
		RoleName: role.Name, RoleID: role.ID, SessionName: node, NodeID: node, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}))
	made := do[GenerateDataKeyOutput](w, "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, NumberOfBytes: sixtyFour(), EncryptionContext: sessionContext})
	in := &DecryptInput{KeyID: id, CiphertextBlob: made.CiphertextBlob, EncryptionContext: sessionContext}
	wantError(t, "without a policy", w.tryAs(cred, "Decrypt", in, nil), "AccessDeniedException",
		denied("arn:aws:sts::123456789012:assumed-role/NodeRole/"+node, "Decrypt", keyPrefix+id, noIdentity+"Decrypt action"))

	everything := `{"Version":"2012-10-17","Statement":[` + allowing("*", "*") + `]}`
	must(t, w.store.PutInlinePolicy(t.Context(), store.Entity{Type: store.EntityRole, Name: "NodeRole"}, "p", everything, len(everything), 1<<20))
	var got DecryptOutput
	must(t, w.tryAs(cred, "Decrypt", in, &got))
	if string(got.Plaintext) != string(made.Plaintext) {
		t.Error("the node has another key than the client")
	}
	must(t, w.tryAs(cred, "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_256"}, nil))
	// Whatever its role may do, a node administers no keys.
	for operation, in := range map[string]any{"DisableKey": &KeyInput{KeyID: id}, "ListKeys": &ListKeysInput{}, "CreateKey": &CreateKeyInput{}} {
		wantCode(t, operation, w.tryAs(cred, operation, in, nil), "AccessDeniedException")
	}
}
