package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"sekisho/internal/store"
)

// A ciphertext tells what is needed to decrypt it, apart from the encryption context.
// Clients treat it as opaque:
//
//	 1 byte   1, the version of this layout
//	16 bytes  id of the key
//	 4 bytes  version of the key's material, big-endian, beginning at 1
//	16 bytes  salt of the message key
//	12 bytes  nonce
//	 n bytes  plaintext under AES-256-GCM, n > 0
//	16 bytes  tag
//
// The message key is made from the key's material and the salt, by HKDF-SHA256. A key
// may thus encrypt without a count of messages, where random nonces alone would bound
// it to 2^32. Everything up to the salt and the encryption context are authenticated.
const (
	layoutVersion = 1
	materialSize  = 32 // bytes: AES-256

	offsetKey      = 1
	offsetMaterial = offsetKey + 16
	offsetSalt     = offsetMaterial + 4
	offsetNonce    = offsetSalt + 16
	offsetSealed   = offsetNonce + 12
	tagSize        = 16
)

// purpose is what message keys are derived for.
const purpose = "sekisho/kms/message key/1"

// ciphertext is one that was taken apart.
type ciphertext struct {
	blob    []byte // whole
	keyID   string // UUID
	version int    // of the material
}

var errNotCiphertext = errors.New("not a ciphertext of this service")

// parseCiphertext takes a ciphertext apart. That it is authentic is not known before it
// is opened.
func parseCiphertext(blob []byte) (ciphertext, error) {
	if len(blob) <= offsetSealed+tagSize || blob[0] != layoutVersion {
		return ciphertext{}, errNotCiphertext
	}
	version := binary.BigEndian.Uint32(blob[offsetMaterial:])
	if version == 0 || version > math.MaxInt32 {
		return ciphertext{}, errNotCiphertext
	}
	id := uuid.UUID(blob[offsetKey:offsetMaterial])
	return ciphertext{blob: blob, keyID: id.String(), version: int(version)}, nil
}

// open decrypts with the material that the ciphertext names.
func (c ciphertext) open(material store.Secret, context map[string]string) (Plaintext, error) {
	aead, err := messageCipher(material, c.blob[offsetSalt:offsetNonce])
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, c.blob[offsetNonce:offsetSealed], c.blob[offsetSealed:],
		authenticated(c.blob[:offsetNonce], context))
}

// encrypt makes a ciphertext.
func encrypt(keyID string, version int, material store.Secret, context map[string]string, plaintext Plaintext) ([]byte, error) {
	id, err := uuid.Parse(keyID)
	if err != nil {
		return nil, fmt.Errorf("key id %q: %w", keyID, err)
	}
	blob := make([]byte, offsetSealed, offsetSealed+len(plaintext)+tagSize)
	blob[0] = layoutVersion
	copy(blob[offsetKey:], id[:])
	binary.BigEndian.PutUint32(blob[offsetMaterial:], uint32(version))
	rand.Read(blob[offsetSalt:])
	aead, err := messageCipher(material, blob[offsetSalt:offsetNonce])
	if err != nil {
		return nil, err
	}
	return aead.Seal(blob, blob[offsetNonce:], plaintext, authenticated(blob[:offsetNonce], context)), nil
}

// messageCipher is the cipher of one ciphertext.
func messageCipher(material store.Secret, salt []byte) (cipher.AEAD, error) {
	if len(material) != materialSize {
		return nil, errors.New("key material has a wrong length")
	}
	key, err := hkdf.Key(sha256.New, []byte(material.Reveal()), salt, purpose, materialSize)
	if err != nil {
		return nil, fmt.Errorf("derive message key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// authenticated is the data that a ciphertext is bound to: its head and the encryption
// context. Names and values stand with their lengths in the order of the names, so that
// no two contexts look alike.
func authenticated(head []byte, context map[string]string) []byte {
	data := slices.Clone(head)
	text := func(s string) {
		data = binary.BigEndian.AppendUint32(data, uint32(len(s)))
		data = append(data, s...)
	}
	for _, name := range sortedNames(context) {
		text(name)
		text(context[name])
	}
	return data
}
