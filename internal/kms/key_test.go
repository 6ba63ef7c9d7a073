package kms

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
)

func TestKeyMetadata(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/a", TargetKeyID: id})
	got := do[DescribeKeyOutput](w, "DescribeKey", &DescribeKeyInput{KeyID: "alias/a"}).KeyMetadata
	if age := time.Since(got.CreationDate.Time); age < -time.Second || age > time.Minute {
		t.Errorf("made %v ago", age)
	}
	want := fmt.Sprintf("%+v", KeyMetadata{
		AWSAccountID: "123456789012", KeyID: id, ARN: keyPrefix + id, CreationDate: got.CreationDate, Enabled: true,
		Description: "sessions", KeyUsage: "ENCRYPT_DECRYPT", KeyState: "Enabled", Origin: "AWS_KMS", KeyManager: "CUSTOMER",
		CustomerMasterKeySpec: "SYMMETRIC_DEFAULT", KeySpec: "SYMMETRIC_DEFAULT", EncryptionAlgorithms: []string{"SYMMETRIC_DEFAULT"},
	})
	if text := fmt.Sprintf("%+v", got); text != want {
		t.Errorf("\n got %s\nwant %s", text, want)
	}
	empty := ""
	must(t, w.try("alice", "UpdateKeyDescription", &UpdateKeyDescriptionInput{KeyID: id, Description: &empty}, nil))
	if got = do[DescribeKeyOutput](w, "DescribeKey", &DescribeKeyInput{KeyID: id}).KeyMetadata; got.Description != "" {
		t.Errorf("description %q", got.Description)
	}
}

// TestKeyStates goes through the states of a key and asks in each what it refuses.
func TestKeyStates(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	arn := keyPrefix + id
	blob := w.encrypted(id, nil)
	text := "x"
	uses := map[string]any{
		"Encrypt":                         &EncryptInput{KeyID: id, Plaintext: Plaintext("x")},
		"Decrypt":                         &DecryptInput{CiphertextBlob: blob},
		"ReEncrypt":                       &ReEncryptInput{CiphertextBlob: blob, DestinationKeyID: id},
		"GenerateDataKey":                 &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_256"},
		"GenerateDataKeyWithoutPlaintext": &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_256"},
		"EnableKeyRotation":               &EnableKeyRotationInput{KeyID: id},
		"DisableKeyRotation":              &KeyInput{KeyID: id},
		"RotateKeyOnDemand":               &KeyInput{KeyID: id},
	}
	changes := map[string]any{
		"UpdateKeyDescription": &UpdateKeyDescriptionInput{KeyID: id, Description: &text},
		"TagResource":          &TagResourceInput{KeyID: id, Tags: []Tag{{"a", "b"}}},
		"UntagResource":        &UntagResourceInput{KeyID: id, TagKeys: []string{"a"}},
		"CreateAlias":          &AliasInput{AliasName: "alias/new", TargetKeyID: id},
		"EnableKey":            &KeyInput{KeyID: id},
		"ScheduleKeyDeletion":  &ScheduleKeyDeletionInput{KeyID: id},
	}
	state := func(want string) {
		t.Helper()
		got := do[DescribeKeyOutput](w, "DescribeKey", &DescribeKeyInput{KeyID: id}).KeyMetadata
		if got.KeyState != want || got.Enabled != (want == "Enabled") || (got.DeletionDate != nil) != (want == "PendingDeletion") {
			t.Fatalf("state %s, enabled %v, deletion %v; want %s", got.KeyState, got.Enabled, got.DeletionDate, want)
		}
	}
	for range 2 { // also again
		do[Empty](w, "DisableKey", &KeyInput{KeyID: id})
		state("Disabled")
	}
	for operation, in := range uses {
		wantError(t, operation, w.try("alice", operation, in, nil), "DisabledException", arn+" is disabled.")
	}
	do[Empty](w, "EnableKey", &KeyInput{KeyID: id})
	state("Enabled")
	for operation, in := range uses {
		must(t, w.try("alice", operation, in, nil))
	}

	seven := 7
	out := do[ScheduleKeyDeletionOutput](w, "ScheduleKeyDeletion", &ScheduleKeyDeletionInput{KeyID: id, PendingWindowInDays: &seven})
	if out.KeyID != arn || out.KeyState != "PendingDeletion" || out.PendingWindowInDays != 7 || out.DeletionDate.Before(time.Now().Add(7*day-time.Minute)) {
		t.Errorf("scheduled %+v", out)
	}
	state("PendingDeletion")
	pending := arn + " is pending deletion."
	for operation, in := range uses {
		wantError(t, operation, w.try("alice", operation, in, nil), "KMSInvalidStateException", pending)
	}
	for operation, in := range changes {
		wantError(t, operation, w.try("alice", operation, in, nil), "KMSInvalidStateException", pending)
	}
	wantError(t, "disabling", w.try("alice", "DisableKey", &KeyInput{KeyID: id}, nil), "KMSInvalidStateException", pending)
	w.forward(7*day - time.Hour)
	must(t, w.server.Sweep(t.Context()))
	if got := do[CancelKeyDeletionOutput](w, "CancelKeyDeletion", &KeyInput{KeyID: id}); got.KeyID != arn {
		t.Errorf("cancelled for %s", got.KeyID)
	}
	state("Disabled")
	must(t, w.server.Sweep(t.Context()))
	do[Empty](w, "EnableKey", &KeyInput{KeyID: id})
	if got := do[DecryptOutput](w, "Decrypt", &DecryptInput{CiphertextBlob: blob}); string(got.Plaintext) != "text" {
		t.Errorf("after all that it decrypts to %q", []byte(got.Plaintext))
	}
}

func TestDueKeyIsDeleted(t *testing.T) {
	w := newWorld(t)
	id, kept := w.key(), w.key()
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/gone", TargetKeyID: id})
	blob := w.encrypted(id, nil)
	out := do[ScheduleKeyDeletionOutput](w, "ScheduleKeyDeletion", &ScheduleKeyDeletionInput{KeyID: id})
	if out.PendingWindowInDays != 30 {
		t.Errorf("waits for %d days", out.PendingWindowInDays)
	}
	w.forward(30 * day)
	must(t, w.server.Sweep(t.Context()))
	wantError(t, "the key", w.try("alice", "DescribeKey", &DescribeKeyInput{KeyID: id}, nil), "NotFoundException", "Key '"+keyPrefix+id+"' does not exist")
	wantError(t, "its alias", w.try("alice", "DescribeKey", &DescribeKeyInput{KeyID: "alias/gone"}, nil), "NotFoundException",
		"Alias arn:aws:kms:local-1:123456789012:alias/gone is not found.")
	wantError(t, "its ciphertext", w.try("alice", "Decrypt", &DecryptInput{CiphertextBlob: blob}, nil), "AccessDeniedException", textForeignCiphertext)
	if list := do[ListKeysOutput](w, "ListKeys", &ListKeysInput{}); len(list.Keys) != 1 || list.Keys[0].KeyID != kept {
		t.Errorf("keys %v", list.Keys)
	}
	if !strings.Contains(w.all(), `"msg":"key deleted","key_id":"`+id) {
		t.Error("the deletion is not in the log")
	}
}

func TestNamesOfKeys(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/a", TargetKeyID: id})
	unknown := ssm.NewUUID()
	for name, message := range map[string]string{
		unknown:             "Key '" + keyPrefix + unknown + "' does not exist",
		keyPrefix + unknown: "Key '" + keyPrefix + unknown + "' does not exist",
		"alias/b":           "Alias arn:aws:kms:local-1:123456789012:alias/b is not found.",
		"alias/":            "Alias arn:aws:kms:local-1:123456789012:alias/ is not found.",
		"alias/aws/ssm":     "Alias arn:aws:kms:local-1:123456789012:alias/aws/ssm is not found.",
		"a":                 "Invalid keyId 'a'",
		"mrk-1234":          "Invalid keyId 'mrk-1234'",
		"arn:aws:kms:us-east-1:123456789012:key/" + id: "Invalid arn us-east-1",
		"arn:aws:kms:local-1:999999999999:key/" + id:   "Key 'arn:aws:kms:local-1:999999999999:key/" + id + "' does not exist",
		"arn:aws:kms:local-1:999999999999:alias/a":     "Key 'arn:aws:kms:local-1:999999999999:alias/a' does not exist",
		"arn:aws:s3:local-1:123456789012:key/" + id:    "Invalid arn arn:aws:s3:local-1:123456789012:key/" + id,
		"arn:aws:kms:local-1:123456789012:" + id:       "Invalid arn arn:aws:kms:local-1:123456789012:" + id,
		"arn:":                                         "Invalid arn arn:",
		"arn:aws:kms:local-1:123456789012:key/alias/a": "",
	} {
		err := w.try("alice", "DescribeKey", &DescribeKeyInput{KeyID: name}, nil)
		if message == "" {
			wantCode(t, name, err, "NotFoundException")
			continue
		}
		wantError(t, name, err, "NotFoundException", message)
	}
	// Operations that change a key take no alias.
	wantError(t, "by alias", w.try("alice", "DisableKey", &KeyInput{KeyID: "alias/a"}, nil), "NotFoundException", "Invalid keyId 'alias/a'")
}

func TestAliases(t *testing.T) {
	w := newWorld(t)
	one, two := w.key(), w.key()
	for _, name := range []string{"alias/b", "alias/a/b_c-D1"} {
		do[Empty](w, "CreateAlias", &AliasInput{AliasName: name, TargetKeyID: one})
	}
	wantError(t, "again", w.try("alice", "CreateAlias", &AliasInput{AliasName: "alias/b", TargetKeyID: two}, nil), "AlreadyExistsException",
		"An alias with the name arn:aws:kms:local-1:123456789012:alias/b already exists")
	for _, name := range []string{"b", "alias/", "alias/aws/x", "alias/a:b", "alias/a b", "alias/ä", "xalias/b"} {
		wantCode(t, name, w.try("alice", "CreateAlias", &AliasInput{AliasName: name, TargetKeyID: one}, nil), "InvalidAliasNameException")
	}
	wantCode(t, "unknown key", w.try("alice", "CreateAlias", &AliasInput{AliasName: "alias/c", TargetKeyID: ssm.NewUUID()}, nil), "NotFoundException")

	do[Empty](w, "UpdateAlias", &AliasInput{AliasName: "alias/b", TargetKeyID: two})
	if got := do[DescribeKeyOutput](w, "DescribeKey", &DescribeKeyInput{KeyID: "alias/b"}).KeyMetadata.KeyID; got != two {
		t.Errorf("alias/b is %s, want %s", got, two)
	}
	list := do[ListAliasesOutput](w, "ListAliases", &ListAliasesInput{}).Aliases
	if len(list) != 2 || list[0].AliasName != "alias/a/b_c-D1" || list[1].TargetKeyID != two || list[1].AliasARN != "arn:aws:kms:local-1:123456789012:alias/b" {
		t.Errorf("aliases %+v", list)
	}
	if list = do[ListAliasesOutput](w, "ListAliases", &ListAliasesInput{KeyID: two}).Aliases; len(list) != 1 || list[0].AliasName != "alias/b" {
		t.Errorf("aliases of the second %+v", list)
	}
	do[Empty](w, "DeleteAlias", &DeleteAliasInput{AliasName: "alias/b"})
	const gone = "Alias arn:aws:kms:local-1:123456789012:alias/b is not found."
	wantError(t, "again", w.try("alice", "DeleteAlias", &DeleteAliasInput{AliasName: "alias/b"}, nil), "NotFoundException", gone)
	wantError(t, "moving", w.try("alice", "UpdateAlias", &AliasInput{AliasName: "alias/b", TargetKeyID: one}, nil), "NotFoundException", gone)

	// It takes a permission on the alias and on each key.
	use := AliasInput{AliasName: "alias/a/b_c-D1", TargetKeyID: two}
	alias := allowing("kms:*", "arn:aws:kms:local-1:123456789012:alias/a/*")
	for _, some := range [][]string{{alias}, {alias, allowing("kms:*", keyPrefix+one)}, {alias, allowing("kms:*", keyPrefix+two)}, {allowing("kms:*", keyPrefix+"*")}} {
		w.allow(some...)
		wantCode(t, fmt.Sprint(some), w.try("bob", "UpdateAlias", &use, nil), "AccessDeniedException")
	}
	w.allow(alias, allowing("kms:*", keyPrefix+one), allowing("kms:*", keyPrefix+two))
	must(t, w.try("bob", "UpdateAlias", &use, nil))
	must(t, w.try("bob", "DeleteAlias", &DeleteAliasInput{AliasName: use.AliasName}, nil))
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	id := do[CreateKeyOutput](w, "CreateKey", &CreateKeyInput{Tags: []Tag{{"team", "a"}, {"env", ""}}}).KeyMetadata.KeyID
	do[Empty](w, "TagResource", &TagResourceInput{KeyID: keyPrefix + id, Tags: []Tag{{"team", "b"}, {"Team", "c"}}})
	do[Empty](w, "UntagResource", &UntagResourceInput{KeyID: id, TagKeys: []string{"env", "none"}})
	two, one := 2, 1
	got := do[ListResourceTagsOutput](w, "ListResourceTags", &ListResourceTagsInput{KeyID: id, Limit: &two})
	if !slices.Equal(got.Tags, []Tag{{"Team", "c"}, {"team", "b"}}) || got.Truncated {
		t.Errorf("tags %+v", got)
	}
	first := do[ListResourceTagsOutput](w, "ListResourceTags", &ListResourceTagsInput{KeyID: id, Limit: &one})
	second := do[ListResourceTagsOutput](w, "ListResourceTags", &ListResourceTagsInput{KeyID: id, Limit: &one, Marker: first.NextMarker})
	if !first.Truncated || second.Truncated || !slices.Equal(second.Tags, []Tag{{"team", "b"}}) {
		t.Errorf("pages %+v %+v", first, second)
	}
	var many []Tag
	for i := range maxTags - 1 {
		many = append(many, Tag{fmt.Sprint("k", i), "v"})
	}
	wantCode(t, "too many", w.try("alice", "TagResource", &TagResourceInput{KeyID: id, Tags: many}, nil), "LimitExceededException")
	do[Empty](w, "TagResource", &TagResourceInput{KeyID: id, Tags: many[1:]})
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, w.key())
		do[Empty](w, "CreateAlias", &AliasInput{AliasName: fmt.Sprint("alias/", i), TargetKeyID: ids[i]})
	}
	slices.Sort(ids)
	two := 2
	var got, names []string
	keys, aliases := ListKeysInput{Limit: &two}, ListAliasesInput{Limit: &two}
	for more := true; more; {
		page := do[ListKeysOutput](w, "ListKeys", &keys)
		for _, k := range page.Keys {
			got = append(got, k.KeyID)
		}
		keys.Marker, more = page.NextMarker, page.Truncated
		if len(page.Keys) > 2 || more != (page.NextMarker != "") {
			t.Fatalf("page %+v", page)
		}
	}
	for more := true; more; {
		page := do[ListAliasesOutput](w, "ListAliases", &aliases)
		for _, a := range page.Aliases {
			names = append(names, a.AliasName)
		}
		aliases.Marker, more = page.NextMarker, page.Truncated
	}
	if !slices.Equal(got, ids) || strings.Join(names, " ") != "alias/0 alias/1 alias/2 alias/3 alias/4" {
		t.Errorf("keys %v\nwant %v\naliases %v", got, ids, names)
	}
	marker := do[ListKeysOutput](w, "ListKeys", &ListKeysInput{Limit: &two}).NextMarker
	for what, err := range map[string]error{
		"another list's": w.try("alice", "ListAliases", &ListAliasesInput{Marker: marker}, nil),
		"a forged one":   w.try("alice", "ListKeys", &ListKeysInput{Marker: marker + "AAAA"}, nil),
		"no marker":      w.try("alice", "ListKeys", &ListKeysInput{Marker: "?"}, nil),
		"of one name":    w.try("alice", "ListKeyPolicies", &ListKeyPoliciesInput{KeyID: ids[0], Marker: marker}, nil),
	} {
		wantCode(t, what, err, "InvalidMarkerException")
	}
}
