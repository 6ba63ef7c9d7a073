package kms

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
)

// sessionContext is the encryption context of a session (protocol.md §7).
var sessionContext = map[string]string{"aws:ssm:SessionId": "alice-0123456789abcdef0", "aws:ssm:TargetId": "mi-0123456789abcdef0"}

func sixtyFour() *int { n := 64; return &n }

func TestDataKeyOfASession(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	do[Empty](w, "CreateAlias", &AliasInput{AliasName: "alias/sessions", TargetKeyID: id})
	arn := keyPrefix + id
	var keys []string
	for _, name := range []string{id, arn, "alias/sessions", "arn:aws:kms:local-1:123456789012:alias/sessions"} {
		made := do[GenerateDataKeyOutput](w, "GenerateDataKey", &GenerateDataKeyInput{KeyID: name, NumberOfBytes: sixtyFour(), EncryptionContext: sessionContext})
		if len(made.Plaintext) != 64 || made.KeyID != arn || bytes.Contains(made.CiphertextBlob, made.Plaintext[:8]) {
			t.Fatalf("by %s: %d bytes of key %s", name, len(made.Plaintext), made.KeyID)
		}
		keys = append(keys, string(made.Plaintext))
		for _, as := range []string{name, ""} {
			got := do[DecryptOutput](w, "Decrypt", &DecryptInput{KeyID: as, CiphertextBlob: made.CiphertextBlob, EncryptionContext: sessionContext})
			if !bytes.Equal(got.Plaintext, made.Plaintext) || got.KeyID != arn || got.EncryptionAlgorithm != "SYMMETRIC_DEFAULT" {
				t.Errorf("decrypted as %q: key %s, the same %v", as, got.KeyID, bytes.Equal(got.Plaintext, made.Plaintext))
			}
		}
		other := map[string]string{"aws:ssm:SessionId": "bob-0123456789abcdef0", "aws:ssm:TargetId": "mi-0123456789abcdef0"}
		for _, context := range []map[string]string{nil, other} {
			err := w.try("alice", "Decrypt", &DecryptInput{CiphertextBlob: made.CiphertextBlob, EncryptionContext: context}, nil)
			wantError(t, "another context", err, "InvalidCiphertextException", "")
		}
	}
	if keys[0] == keys[1] {
		t.Error("a data key came twice")
	}
	sealed := do[GenerateDataKeyWithoutPlaintextOutput](w, "GenerateDataKeyWithoutPlaintext", &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_128"})
	if got := do[DecryptOutput](w, "Decrypt", &DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); len(got.Plaintext) != 16 {
		t.Errorf("AES_128 has %d bytes", len(got.Plaintext))
	}
}

func TestCiphertextOfAnotherKey(t *testing.T) {
	w := newWorld(t)
	id, other := w.key(), w.key()
	blob := w.encrypted(id, nil)
	err := w.try("alice", "Decrypt", &DecryptInput{KeyID: other, CiphertextBlob: blob}, nil)
	wantError(t, "another key named", err, "IncorrectKeyException", textIncorrectKey)

	// A blob that names a key which does not exist, and one that was moved to another key.
	foreign, err := encrypt(ssm.NewUUID(), 1, testMaterial, nil, Plaintext("x"))
	must(t, err)
	err = w.try("alice", "Decrypt", &DecryptInput{CiphertextBlob: foreign}, nil)
	wantError(t, "an unknown key", err, "AccessDeniedException", textForeignCiphertext)
	otherBlob := w.encrypted(other, nil)
	copy(otherBlob[offsetKey:offsetMaterial], blob[offsetKey:offsetMaterial])
	err = w.try("alice", "Decrypt", &DecryptInput{CiphertextBlob: otherBlob}, nil)
	wantError(t, "moved to another key", err, "InvalidCiphertextException", "")
	copy(blob[offsetMaterial:], []byte{0, 0, 0, 2})
	err = w.try("alice", "Decrypt", &DecryptInput{CiphertextBlob: blob}, nil)
	wantError(t, "material that does not exist", err, "InvalidCiphertextException", "")
	for _, junk := range []string{"x", strings.Repeat("y", 6144)} {
		for _, name := range []string{"", id} {
			err = w.try("alice", "Decrypt", &DecryptInput{KeyID: name, CiphertextBlob: []byte(junk)}, nil)
			wantError(t, "junk", err, "InvalidCiphertextException", "")
		}
	}
}

func TestReEncrypt(t *testing.T) {
	w := newWorld(t)
	from, to := w.key(), w.key()
	was, becomes := map[string]string{"a": "1"}, map[string]string{"b": "2"}
	blob := w.encrypted(from, was)
	in := ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: was, DestinationKeyID: to, DestinationEncryptionContext: becomes}
	out := do[ReEncryptOutput](w, "ReEncrypt", &in)
	if out.SourceKeyID != keyPrefix+from || out.KeyID != keyPrefix+to {
		t.Errorf("from %s to %s", out.SourceKeyID, out.KeyID)
	}
	got := do[DecryptOutput](w, "Decrypt", &DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: becomes})
	if string(got.Plaintext) != "text" || got.KeyID != keyPrefix+to {
		t.Errorf("got %q under %s", []byte(got.Plaintext), got.KeyID)
	}
	wrong := in
	wrong.SourceEncryptionContext = nil
	wantError(t, "wrong context", w.try("alice", "ReEncrypt", &wrong, nil), "InvalidCiphertextException", "")

	// It takes a permission on each of the keys.
	w.allow(allowing("kms:ReEncryptFrom", keyPrefix+from))
	wantError(t, "no permission to", w.try("bob", "ReEncrypt", &in, nil), "AccessDeniedException",
		denied(bobARN, "ReEncryptTo", keyPrefix+to, noIdentity+"ReEncryptTo action"))
	w.allow(allowing("kms:ReEncryptTo", keyPrefix+to))
	wantError(t, "no permission from", w.try("bob", "ReEncrypt", &in, nil), "AccessDeniedException",
		denied(bobARN, "ReEncryptFrom", keyPrefix+from, noIdentity+"ReEncryptFrom action"))
	w.allow(allowing("kms:ReEncryptTo", keyPrefix+to), allowing("kms:ReEncryptFrom", keyPrefix+from))
	must(t, w.try("bob", "ReEncrypt", &in, nil))
	do[Empty](w, "DisableKey", &KeyInput{KeyID: to})
	wantError(t, "disabled", w.try("alice", "ReEncrypt", &in, nil), "DisabledException", keyPrefix+to+" is disabled.")
}

func TestRotationKeepsOldCiphertexts(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	blobs := [][]byte{w.encrypted(id, nil)}
	do[RotateKeyOnDemandOutput](w, "RotateKeyOnDemand", &KeyInput{KeyID: id})
	blobs = append(blobs, w.encrypted(id, nil))
	days := 90
	do[Empty](w, "EnableKeyRotation", &EnableKeyRotationInput{KeyID: id, RotationPeriodInDays: &days})
	status := do[GetKeyRotationStatusOutput](w, "GetKeyRotationStatus", &KeyInput{KeyID: id})
	if !status.KeyRotationEnabled || status.RotationPeriodInDays != 90 || status.KeyID != keyPrefix+id || status.NextRotationDate == nil ||
		!status.NextRotationDate.After(time.Now().Add(89*day)) {
		t.Errorf("status %+v", status)
	}
	must(t, w.server.Sweep(t.Context()))
	blobs = append(blobs, w.encrypted(id, nil))
	w.forward(91 * day)
	must(t, w.server.Sweep(t.Context()))
	blobs = append(blobs, w.encrypted(id, nil))
	for i, version := range []int{1, 2, 2, 3} {
		c, err := parseCiphertext(blobs[i])
		must(t, err)
		if c.version != version {
			t.Errorf("ciphertext %d is of version %d, want %d", i, c.version, version)
		}
		if got := do[DecryptOutput](w, "Decrypt", &DecryptInput{CiphertextBlob: blobs[i]}); string(got.Plaintext) != "text" {
			t.Errorf("ciphertext %d is %q", i, []byte(got.Plaintext))
		}
	}
	do[Empty](w, "DisableKeyRotation", &KeyInput{KeyID: id})
	if status = do[GetKeyRotationStatusOutput](w, "GetKeyRotationStatus", &KeyInput{KeyID: id}); status.KeyRotationEnabled || status.NextRotationDate != nil {
		t.Errorf("status %+v", status)
	}
	for range maxRotations - 1 {
		do[RotateKeyOnDemandOutput](w, "RotateKeyOnDemand", &KeyInput{KeyID: id})
	}
	wantCode(t, "a rotation too many", w.try("alice", "RotateKeyOnDemand", &KeyInput{KeyID: id}, nil), "LimitExceededException")
}

func TestDryRun(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	blob := w.encrypted(id, nil)
	for operation, in := range map[string]any{
		"Encrypt":         &EncryptInput{KeyID: id, Plaintext: Plaintext("x"), DryRun: true},
		"Decrypt":         &DecryptInput{CiphertextBlob: blob, DryRun: true},
		"ReEncrypt":       &ReEncryptInput{CiphertextBlob: blob, DestinationKeyID: id, DryRun: true},
		"GenerateDataKey": &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_256", DryRun: true},
	} {
		wantError(t, operation, w.try("alice", operation, in, nil), "DryRunOperationException", textDryRun)
		wantCode(t, operation, w.try("bob", operation, in, nil), "AccessDeniedException")
	}
	do[Empty](w, "DisableKey", &KeyInput{KeyID: id})
	wantCode(t, "disabled", w.try("alice", "Encrypt", &EncryptInput{KeyID: id, Plaintext: Plaintext("x"), DryRun: true}, nil), "DisabledException")
}

func TestRefusedInputs(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	number := func(n int) *int { return &n }
	long := map[string]string{"name": strings.Repeat("x", maxContext)}
	for _, test := range []struct {
		what, operation string
		in              any
		code            string
	}{
		{"too much plaintext", "Encrypt", &EncryptInput{KeyID: id, Plaintext: make(Plaintext, 4097)}, "ValidationException"},
		{"no plaintext", "Encrypt", &EncryptInput{KeyID: id}, "ValidationException"},
		{"long context", "Encrypt", &EncryptInput{KeyID: id, Plaintext: Plaintext("x"), EncryptionContext: long}, "ValidationException"},
		{"ambiguous context", "Encrypt", &EncryptInput{KeyID: id, Plaintext: Plaintext("x"), EncryptionContext: map[string]string{"Team": "a", "team": "b"}}, "ValidationException"},
		{"another algorithm", "Encrypt", &EncryptInput{KeyID: id, Plaintext: Plaintext("x"), EncryptionAlgorithm: "RSAES_OAEP_SHA_256"}, "InvalidKeyUsageException"},
		{"a grant", "Encrypt", &EncryptInput{KeyID: id, Plaintext: Plaintext("x"), GrantTokens: []string{"t"}}, "InvalidGrantTokenException"},
		{"neither", "GenerateDataKey", &GenerateDataKeyInput{KeyID: id}, "ValidationException"},
		{"both", "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, NumberOfBytes: number(1), KeySpec: "AES_256"}, "ValidationException"},
		{"no such spec", "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_192"}, "ValidationException"},
		{"0 bytes", "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, NumberOfBytes: number(0)}, "ValidationException"},
		{"1025 bytes", "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, NumberOfBytes: number(1025)}, "ValidationException"},
		{"an enclave", "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_256", Recipient: &Recipient{"x"}}, "UnsupportedOperationException"},
		{"long ciphertext", "Decrypt", &DecryptInput{CiphertextBlob: make([]byte, 6145)}, "ValidationException"},
		{"an asymmetric key", "CreateKey", &CreateKeyInput{KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY"}, "UnsupportedOperationException"},
		{"a MAC key", "CreateKey", &CreateKeyInput{KeyUsage: "GENERATE_VERIFY_MAC"}, "UnsupportedOperationException"},
		{"imported material", "CreateKey", &CreateKeyInput{Origin: "EXTERNAL"}, "UnsupportedOperationException"},
		{"a key store", "CreateKey", &CreateKeyInput{CustomKeyStoreID: "cks-1"}, "UnsupportedOperationException"},
		{"many regions", "CreateKey", &CreateKeyInput{MultiRegion: true}, "UnsupportedOperationException"},
		{"a reserved tag", "CreateKey", &CreateKeyInput{Tags: []Tag{{"aws:x", "y"}}}, "TagException"},
		{"a tag twice", "CreateKey", &CreateKeyInput{Tags: []Tag{{"x", "y"}, {"x", "z"}}}, "TagException"},
		{"6 days", "ScheduleKeyDeletion", &ScheduleKeyDeletionInput{KeyID: id, PendingWindowInDays: number(6)}, "ValidationException"},
		{"31 days", "ScheduleKeyDeletion", &ScheduleKeyDeletionInput{KeyID: id, PendingWindowInDays: number(31)}, "ValidationException"},
		{"89 days", "EnableKeyRotation", &EnableKeyRotationInput{KeyID: id, RotationPeriodInDays: number(89)}, "ValidationException"},
		{"not due for deletion", "CancelKeyDeletion", &KeyInput{KeyID: id}, "KMSInvalidStateException"},
		{"no such operation", "CreateGrant", &KeyInput{KeyID: id}, "UnknownOperationException"},
	} {
		wantCode(t, test.what, w.try("alice", test.operation, test.in, nil), test.code)
	}
}

// TestSecretsStaySecret looks for plaintext and key material in everything that was
// logged, observed or answered with an error.
func TestSecretsStaySecret(t *testing.T) {
	w := newWorld(t)
	id := w.key()
	secret := Plaintext("a-plaintext-to-be-looked-for")
	blob := do[EncryptOutput](w, "Encrypt", &EncryptInput{KeyID: id, Plaintext: secret}).CiphertextBlob
	do[DecryptOutput](w, "Decrypt", &DecryptInput{CiphertextBlob: blob})
	dataKey := do[GenerateDataKeyOutput](w, "GenerateDataKey", &GenerateDataKeyInput{KeyID: id, KeySpec: "AES_256"}).Plaintext
	do[RotateKeyOnDemandOutput](w, "RotateKeyOnDemand", &KeyInput{KeyID: id})
	long := append(bytes.Clone(secret), make([]byte, 4096)...)
	said := []string{
		fmt.Sprint(w.try("alice", "Encrypt", &EncryptInput{KeyID: id, Plaintext: long}, nil)),
		fmt.Sprint(w.try("bob", "Encrypt", &EncryptInput{KeyID: id, Plaintext: secret}, nil)),
		fmt.Sprintf("%v %s %x %q %d %+v %#v", secret, secret, secret, secret, secret, struct{ P Plaintext }{secret}, &EncryptInput{Plaintext: secret}),
	}
	do[Empty](w, "DisableKey", &KeyInput{KeyID: id})
	said = append(said, fmt.Sprint(w.try("alice", "Encrypt", &EncryptInput{KeyID: id, Plaintext: secret}, nil)))
	said = append(said, fmt.Sprint(w.server.Sweep(t.Context())), w.all())
	if !strings.Contains(w.all(), id) || !strings.Contains(w.all(), redacted) {
		t.Fatal("nothing was observed")
	}
	secrets := [][]byte{secret, dataKey}
	for version := 1; version <= 2; version++ {
		material, err := w.store.KMSKeyMaterial(t.Context(), id, version)
		must(t, err)
		secrets = append(secrets, []byte(material.Reveal()))
	}
	for _, text := range said {
		for i, s := range secrets {
			decimal := strings.Trim(fmt.Sprint(s[:8]), "[]")
			for _, form := range []string{string(s[:16]), hex.EncodeToString(s[:8]), base64.StdEncoding.EncodeToString(s[:15]),
				decimal, strings.ReplaceAll(decimal, " ", ", "), fmt.Sprintf("%#v", s[:4])[7:20]} {
				if strings.Contains(text, form) {
					t.Errorf("secret %d is shown as %q in %.300s", i, form, text)
				}
			}
		}
	}
}
