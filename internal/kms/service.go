package kms

import (
	"context"
	"errors"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// NewDataKey makes a data key of 32 bytes for another service of this deployment that
// encrypts what the caller asked it to. The caller must be allowed to GenerateDataKey.
// It gives the ARN of the key that keyID names.
func (s *Server) NewDataKey(ctx context.Context, keyID string, context map[string]string) (arn string, plain, sealed []byte, err error) {
	out, err := s.GenerateDataKey(ctx, &GenerateDataKeyInput{KeyID: keyID, EncryptionContext: context, KeySpec: "AES_256"})
	if err != nil {
		return "", nil, nil, err
	}
	return out.KeyID, out.Plaintext, out.CiphertextBlob, nil
}

// OpenDataKey decrypts what NewDataKey made, for the service that had it made: who may
// see what is encrypted with it, that service decides. The key must be one that can be
// used.
func (s *Server) OpenDataKey(ctx context.Context, sealed []byte, context map[string]string) ([]byte, error) {
	c, err := parseCiphertext(sealed)
	if err != nil {
		return nil, errInvalidCiphertext
	}
	k, err := s.cfg.Store.KMSKey(ctx, c.keyID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ssm.Errorf(codeNotFound, "Key '%s' does not exist", s.keyARN(c.keyID))
	}
	if err != nil {
		return nil, err
	}
	if err := usable(s.keyARN(k.ID), k); err != nil {
		return nil, err
	}
	material, err := s.cfg.Store.KMSKeyMaterial(ctx, k.ID, c.version)
	if err != nil {
		return nil, failed(err, s.keyARN(k.ID))
	}
	plain, err := c.open(material, context)
	if err != nil {
		return nil, errInvalidCiphertext
	}
	return plain, nil
}
