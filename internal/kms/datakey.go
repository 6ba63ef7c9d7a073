package kms

import (
	"context"
	"crypto/rand"
)

// GenerateDataKeyInput is the request of kms:GenerateDataKey and
// kms:GenerateDataKeyWithoutPlaintext.
type GenerateDataKeyInput struct {
	KeyID             string            `json:"KeyId" constraint:"required len=1..2048"`
	EncryptionContext map[string]string `json:",omitempty"`
	NumberOfBytes     *int              `json:",omitempty" constraint:"range=1..1024"`
	KeySpec           string            `json:",omitempty"`
	GrantTokens       []string          `json:",omitempty"`
	Recipient         *Recipient        `json:",omitempty"`
	DryRun            bool              `json:",omitempty"`
}

// size is the length of the wanted data key in bytes.
func (in *GenerateDataKeyInput) size() (int, error) {
	if (in.NumberOfBytes != nil) == (in.KeySpec != "") {
		return 0, validation("Please specify either number of bytes or key spec.")
	}
	switch in.KeySpec {
	case "":
		return *in.NumberOfBytes, nil
	case "AES_256":
		return 32, nil
	case "AES_128":
		return 16, nil
	}
	return 0, validation("1 validation error detected: Value '%s' at 'keySpec' failed to satisfy constraint: "+
		"Member must satisfy enum value set: [AES_256, AES_128]", in.KeySpec[:min(len(in.KeySpec), 128)])
}

// GenerateDataKeyOutput is the answer of kms:GenerateDataKey.
type GenerateDataKeyOutput struct {
	CiphertextBlob []byte
	Plaintext      Plaintext
	KeyID          string `json:"KeyId"` // ARN
}

// GenerateDataKey makes a random key for the caller, in clear and encrypted.
func (s *Server) GenerateDataKey(ctx context.Context, in *GenerateDataKeyInput) (*GenerateDataKeyOutput, error) {
	return s.dataKey(ctx, "GenerateDataKey", in)
}

// GenerateDataKeyWithoutPlaintextOutput is the answer of kms:GenerateDataKeyWithoutPlaintext.
type GenerateDataKeyWithoutPlaintextOutput struct {
	CiphertextBlob []byte
	KeyID          string `json:"KeyId"` // ARN
}

// GenerateDataKeyWithoutPlaintext makes a random key for the caller, only encrypted.
func (s *Server) GenerateDataKeyWithoutPlaintext(ctx context.Context, in *GenerateDataKeyInput) (*GenerateDataKeyWithoutPlaintextOutput, error) {
	out, err := s.dataKey(ctx, "GenerateDataKeyWithoutPlaintext", in)
	if err != nil {
		return nil, err
	}
	return &GenerateDataKeyWithoutPlaintextOutput{CiphertextBlob: out.CiphertextBlob, KeyID: out.KeyID}, nil
}

func (s *Server) dataKey(ctx context.Context, action string, in *GenerateDataKeyInput) (*GenerateDataKeyOutput, error) {
	if err := checkContext(in.EncryptionContext); err != nil {
		return nil, err
	}
	k, arn, err := s.key(ctx, action, in.KeyID, true, contextKeys(in.EncryptionContext))
	if err != nil {
		return nil, err
	}
	size, err := in.size()
	if err == nil {
		err = noEnclave(in.Recipient)
	}
	if err == nil {
		err = ready(arn, k, in.GrantTokens, in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	plaintext := make(Plaintext, size)
	rand.Read(plaintext)
	blob, err := s.seal(ctx, k, in.EncryptionContext, plaintext)
	if err != nil {
		return nil, err
	}
	return &GenerateDataKeyOutput{CiphertextBlob: blob, Plaintext: plaintext, KeyID: arn}, nil
}
