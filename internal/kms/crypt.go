package kms

import (
	"context"
	"errors"
	"strings"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// maxContext bounds an encryption context: names and values together, in bytes.
const maxContext = 8 << 10

// checkContext says what is wrong with an encryption context. Conditions of policies
// compare names without regard to case, so two names that are one to them would let a
// caller choose which value is looked at.
func checkContext(context map[string]string) error {
	size := 0
	seen := make(map[string]bool, len(context))
	for name, value := range context {
		size += len(name) + len(value)
		lower := strings.ToLower(name)
		if seen[lower] {
			return validation("The encryption context has keys that differ only in case.")
		}
		seen[lower] = true
	}
	if size > maxContext {
		return validation("The encryption context is longer than %d bytes.", maxContext)
	}
	return nil
}

// noGrants refuses grant tokens: there are none that could be valid.
func noGrants(tokens []string) error {
	if len(tokens) > 0 {
		return ssm.Errorf(codeInvalidGrantToken, "%s", textNoGrants)
	}
	return nil
}

// Recipient is the attestation document of an enclave.
type Recipient struct{ KeyEncryptionAlgorithm string }

// algorithm checks the algorithms that a request names.
func algorithm(names ...string) error {
	for _, name := range names {
		if name != "" && name != specSymmetric {
			return ssm.Errorf(codeInvalidKeyUsage, "The algorithm %s is not one of this key, which has %s.", name, specSymmetric)
		}
	}
	return nil
}

// seal encrypts under a key's newest material.
func (s *Server) seal(ctx context.Context, k store.KMSKey, context map[string]string, plaintext Plaintext) ([]byte, error) {
	material, err := s.cfg.Store.KMSKeyMaterial(ctx, k.ID, k.CurrentVersion)
	if err != nil {
		return nil, failed(err, s.keyARN(k.ID))
	}
	return encrypt(k.ID, k.CurrentVersion, material, context, plaintext)
}

// EncryptInput is the request of kms:Encrypt.
type EncryptInput struct {
	KeyID               string            `json:"KeyId" constraint:"required len=1..2048"`
	Plaintext           Plaintext         `constraint:"required len=1..4096"`
	EncryptionContext   map[string]string `json:",omitempty"`
	GrantTokens         []string          `json:",omitempty"`
	EncryptionAlgorithm string            `json:",omitempty"`
	DryRun              bool              `json:",omitempty"`
}

// EncryptOutput is the answer of kms:Encrypt.
type EncryptOutput struct {
	CiphertextBlob      []byte
	KeyID               string `json:"KeyId"` // ARN
	EncryptionAlgorithm string
}

// Encrypt encrypts a small text under a key.
func (s *Server) Encrypt(ctx context.Context, in *EncryptInput) (*EncryptOutput, error) {
	if err := checkContext(in.EncryptionContext); err != nil {
		return nil, err
	}
	k, arn, err := s.key(ctx, "Encrypt", in.KeyID, true, contextKeys(in.EncryptionContext))
	if err != nil {
		return nil, err
	}
	if err := ready(arn, k, in.GrantTokens, in.DryRun, in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	blob, err := s.seal(ctx, k, in.EncryptionContext, in.Plaintext)
	if err != nil {
		return nil, err
	}
	return &EncryptOutput{CiphertextBlob: blob, KeyID: arn, EncryptionAlgorithm: specSymmetric}, nil
}

// ready says why a request that its caller may make is not carried out; nil if it is.
func ready(arn string, k store.KMSKey, grants []string, dry bool, algorithms ...string) error {
	err := noGrants(grants)
	if err == nil {
		err = algorithm(algorithms...)
	}
	if err == nil {
		err = usable(arn, k)
	}
	if err == nil && dry {
		err = dryRun()
	}
	return err
}

// DecryptInput is the request of kms:Decrypt.
type DecryptInput struct {
	CiphertextBlob      []byte            `constraint:"required len=1..6144"`
	EncryptionContext   map[string]string `json:",omitempty"`
	GrantTokens         []string          `json:",omitempty"`
	KeyID               string            `json:"KeyId,omitempty" constraint:"len=1..2048"`
	EncryptionAlgorithm string            `json:",omitempty"`
	Recipient           *Recipient        `json:",omitempty"`
	DryRun              bool              `json:",omitempty"`
}

// DecryptOutput is the answer of kms:Decrypt.
type DecryptOutput struct {
	KeyID               string `json:"KeyId"` // ARN
	Plaintext           Plaintext
	EncryptionAlgorithm string
}

// Decrypt decrypts what was encrypted under a key, which the ciphertext names. If the
// caller names one too it must be that.
func (s *Server) Decrypt(ctx context.Context, in *DecryptInput) (*DecryptOutput, error) {
	if err := checkContext(in.EncryptionContext); err != nil {
		return nil, err
	}
	source, err := s.sourceKey(ctx, "Decrypt", in.KeyID, in.CiphertextBlob, contextKeys(in.EncryptionContext))
	if err != nil {
		return nil, err
	}
	if err := ready(source.arn, source.key, in.GrantTokens, false, in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	if err := noEnclave(in.Recipient); err != nil {
		return nil, err
	}
	plaintext, err := s.open(ctx, source, in.EncryptionContext)
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	return &DecryptOutput{KeyID: source.arn, Plaintext: plaintext, EncryptionAlgorithm: specSymmetric}, nil
}

// source is a ciphertext of a request and its key.
type source struct {
	ciphertext ciphertext
	key        store.KMSKey
	arn        string
}

// sourceKey finds the key that a ciphertext is under, and asks for action on it. keyID is
// what the caller says about that; it may be empty.
func (s *Server) sourceKey(ctx context.Context, action, keyID string, blob []byte, extra keys) (source, error) {
	c, malformed := parseCiphertext(blob)
	if keyID == "" {
		if malformed != nil {
			return source{}, errInvalidCiphertext
		}
		k, arn, err := s.key(ctx, action, c.keyID, false, extra)
		if ssm.IsCode(err, codeNotFound) {
			err = ssm.Errorf(ssm.CodeAccessDenied, "%s", textForeignCiphertext)
		}
		return source{c, k, arn}, err
	}
	k, arn, err := s.key(ctx, action, keyID, true, extra)
	switch {
	case err != nil:
		return source{}, err
	case malformed != nil:
		return source{}, errInvalidCiphertext
	case c.keyID != k.ID:
		return source{}, ssm.Errorf(codeIncorrectKey, "%s", textIncorrectKey)
	}
	return source{c, k, arn}, nil
}

// open decrypts. A ciphertext that is forged, or for another encryption context, is an
// invalid one.
func (s *Server) open(ctx context.Context, from source, context map[string]string) (Plaintext, error) {
	material, err := s.cfg.Store.KMSKeyMaterial(ctx, from.key.ID, from.ciphertext.version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errInvalidCiphertext
	}
	if err != nil {
		return nil, err
	}
	plaintext, err := from.ciphertext.open(material, context)
	if err != nil {
		return nil, errInvalidCiphertext
	}
	return plaintext, nil
}

func noEnclave(r *Recipient) error {
	if r != nil {
		return ssm.Errorf(codeUnsupported, "%s", textNoEnclaves)
	}
	return nil
}

// ReEncryptInput is the request of kms:ReEncrypt.
type ReEncryptInput struct {
	CiphertextBlob                 []byte            `constraint:"required len=1..6144"`
	SourceEncryptionContext        map[string]string `json:",omitempty"`
	SourceKeyID                    string            `json:"SourceKeyId,omitempty" constraint:"len=1..2048"`
	DestinationKeyID               string            `json:"DestinationKeyId" constraint:"required len=1..2048"`
	DestinationEncryptionContext   map[string]string `json:",omitempty"`
	SourceEncryptionAlgorithm      string            `json:",omitempty"`
	DestinationEncryptionAlgorithm string            `json:",omitempty"`
	GrantTokens                    []string          `json:",omitempty"`
	DryRun                         bool              `json:",omitempty"`
}

// ReEncryptOutput is the answer of kms:ReEncrypt.
type ReEncryptOutput struct {
	CiphertextBlob                 []byte
	SourceKeyID                    string `json:"SourceKeyId"` // ARN
	KeyID                          string `json:"KeyId"`       // ARN
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
}

// ReEncrypt moves a ciphertext to another key, encryption context or material, without
// showing the plaintext.
func (s *Server) ReEncrypt(ctx context.Context, in *ReEncryptInput) (*ReEncryptOutput, error) {
	for _, context := range []map[string]string{in.SourceEncryptionContext, in.DestinationEncryptionContext} {
		if err := checkContext(context); err != nil {
			return nil, err
		}
	}
	from, err := s.sourceKey(ctx, "ReEncryptFrom", in.SourceKeyID, in.CiphertextBlob, contextKeys(in.SourceEncryptionContext))
	if err != nil {
		return nil, err
	}
	to, toARN, err := s.key(ctx, "ReEncryptTo", in.DestinationKeyID, true, contextKeys(in.DestinationEncryptionContext))
	if err != nil {
		return nil, err
	}
	if err := ready(from.arn, from.key, in.GrantTokens, false, in.SourceEncryptionAlgorithm); err != nil {
		return nil, err
	}
	if err := ready(toARN, to, nil, false, in.DestinationEncryptionAlgorithm); err != nil {
		return nil, err
	}
	plaintext, err := s.open(ctx, from, in.SourceEncryptionContext)
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	blob, err := s.seal(ctx, to, in.DestinationEncryptionContext, plaintext)
	if err != nil {
		return nil, err
	}
	return &ReEncryptOutput{
		CiphertextBlob: blob, SourceKeyID: from.arn, KeyID: toARN,
		SourceEncryptionAlgorithm: specSymmetric, DestinationEncryptionAlgorithm: specSymmetric,
	}, nil
}
