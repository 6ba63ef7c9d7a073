package store

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealVersion is the first byte of every sealed value. It names the cipher and the
// key derivation: XChaCha20-Poly1305 with a random 24-byte nonce (long enough to be
// drawn at random without a count of messages), key from HKDF-SHA256.
const sealVersion = 1

// sealer seals the secrets that are stored.
type sealer struct {
	master []byte
	aead   cipher.AEAD
}

func newSealer(master []byte) *sealer {
	s := &sealer{master: append([]byte(nil), master...)}
	aead, err := chacha20poly1305.NewX(s.derive("seal/1"))
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	s.aead = aead
	return s
}

// derive makes a 32-byte key for one purpose.
func (s *sealer) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.master, nil, "sekisho/store/"+purpose, chacha20poly1305.KeySize)
	if err != nil {
		panic(err) // only for a length beyond 255 hashes
	}
	return key
}

// close seals a secret. place names the column and row: what is sealed for one place
// does not open in another, so that rows cannot be exchanged inside the database.
func (s *sealer) close(secret Secret, place string) []byte {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(secret)+chacha20poly1305.Overhead)
	out[0] = sealVersion
	rand.Read(out[1:])
	return s.aead.Seal(out, out[1:], []byte(secret), []byte(place))
}

var errSealed = errors.New("sealed value cannot be opened")

// open opens what close sealed for the same place.
func (s *sealer) open(sealed []byte, place string) (Secret, error) {
	const head = 1 + chacha20poly1305.NonceSizeX
	if len(sealed) < head || sealed[0] != sealVersion {
		return "", errSealed
	}
	secret, err := s.aead.Open(nil, sealed[1:head], sealed[head:], []byte(place))
	if err != nil {
		return "", errSealed
	}
	return Secret(secret), nil
}

// canary is what the master key's own row holds, sealed.
const canary = "sekisho"

// checkMasterKey seals a known text at the first opening of a database and opens it
// at every later one, so that a wrong key is noticed before anything is written.
func (s *Store) checkMasterKey(ctx context.Context) error {
	const place = "master_key.canary"
	_, err := s.writer().exec(ctx, `
		insert into master_key (id, canary) values (1, $1)
		on conflict (id) do nothing`, s.seal.close(canary, place))
	if err != nil {
		return fmt.Errorf("write master key canary: %w", err)
	}
	var sealed []byte
	if err := s.reader().row(ctx, `select canary from master_key`, nil, &sealed); err != nil {
		return fmt.Errorf("read master key canary: %w", err)
	}
	if text, err := s.seal.open(sealed, place); err != nil || text != canary {
		return ErrWrongMasterKey
	}
	return nil
}
