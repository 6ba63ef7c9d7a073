package datachannel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"sekisho/internal/message"
)

// DataKeySize is the length of a session's data key in bytes. The first half seals
// what the agent sends, the second what the client sends (protocol.md §7).
const DataKeySize = 64

// A sealed payload is nonce, ciphertext and tag.
const (
	nonceSize = 12
	tagSize   = 16
)

// Facts about encryption that callers branch on.
var (
	// ErrDecrypt says that a payload is not what the other end sealed. Nothing of it
	// is handed out.
	ErrDecrypt = errors.New("payload does not decrypt")
	// ErrNotEncrypted says that data of an encrypted session was to be sent before
	// there was a key.
	ErrNotEncrypted = errors.New("session is not encrypted yet")
)

// DataKey is a session's data key in clear. It prints as nothing else but that it
// is one.
type DataKey []byte

// String keeps the key out of messages.
func (DataKey) String() string { return "[redacted]" }

// Format keeps it out of every verb's output.
func (DataKey) Format(f fmt.State, _ rune) { f.Write([]byte("[redacted]")) }

// LogValue keeps it out of logs.
func (DataKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Cipher seals what one end of an encrypted session sends and opens what it
// receives: AES-256-GCM without associated data. It may be used concurrently.
type Cipher struct {
	seal, open cipher.AEAD

	random bool // a random nonce for each payload, as the stock client has it

	mu    sync.Mutex // guards nonce
	nonce [nonceSize]byte
}

// NewCipher makes the cipher of one end from the session's data key, and wipes that.
// The expanded keys stay in memory as long as the cipher does.
func NewCipher(role Role, key DataKey) (*Cipher, error) {
	defer clear(key)
	if len(key) != DataKeySize {
		return nil, fmt.Errorf("data key has %d bytes, want %d", len(key), DataKeySize)
	}
	agent, err := newGCM(key[:DataKeySize/2])
	if err != nil {
		return nil, err
	}
	client, err := newGCM(key[DataKeySize/2:])
	if err != nil {
		return nil, err
	}
	c := &Cipher{seal: agent, open: client}
	if role == Client {
		c.seal, c.open, c.random = client, agent, true
	}
	rand.Read(c.nonce[:])
	return c, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// Seal appends the sealed plaintext to dst.
func (c *Cipher) Seal(dst, plaintext []byte) []byte {
	nonce := c.next()
	return c.seal.Seal(append(dst, nonce[:]...), nonce[:], plaintext, nil)
}

// next gives a nonce that was not used before. The agent, which may send without
// end, counts from a random start, little-endian; the client's few are random.
func (c *Cipher) next() [nonceSize]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random {
		rand.Read(c.nonce[:])
		return c.nonce
	}
	low := binary.LittleEndian.Uint64(c.nonce[:]) + 1
	binary.LittleEndian.PutUint64(c.nonce[:], low)
	if low == 0 {
		binary.LittleEndian.PutUint32(c.nonce[8:], binary.LittleEndian.Uint32(c.nonce[8:])+1)
	}
	return c.nonce
}

// Open opens what the other end sealed, in place. The blob is lost when it fails.
func (c *Cipher) Open(blob []byte) ([]byte, error) {
	if len(blob) < nonceSize+tagSize {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrDecrypt, len(blob))
	}
	plaintext, err := c.open.Open(blob[nonceSize:nonceSize], blob[:nonceSize], blob[nonceSize:], nil)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}

// sealed reports whether payloads of a type are sealed in an encrypted session.
// Sizes, flags and the handshake stay in clear. PayloadError, which no known agent
// sends, is data as well: a client would show it.
func sealed(from Role, t message.PayloadType) bool {
	switch t {
	case message.PayloadOutput:
		return true
	case message.PayloadStdErr, message.PayloadExitCode, message.PayloadError:
		return from == Agent
	}
	return false
}

// encryption is the state of a channel's encryption. Once wanted there is no way
// back to clear data.
type encryption struct {
	wanted bool    // data may go sealed only
	cipher *Cipher // nil before there is a key
}

// wantEncryption keeps data from being sent in clear from now on.
func (c *Channel) wantEncryption() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crypt.wanted = true
}

// encrypt begins the encryption of data, both ways.
func (c *Channel) encrypt(key *Cipher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crypt = encryption{wanted: true, cipher: key}
}

// sealOutgoing gives a payload as it goes on the wire.
func (c *Channel) sealOutgoing(t message.PayloadType, payload []byte) ([]byte, error) {
	c.mu.Lock()
	crypt := c.crypt
	c.mu.Unlock()
	switch {
	case !crypt.wanted || !sealed(c.role, t):
		return payload, nil
	case crypt.cipher == nil:
		return nil, ErrNotEncrypted
	}
	return crypt.cipher.Seal(make([]byte, 0, len(payload)+nonceSize+tagSize), payload), nil
}

// openIncoming puts the plaintext in a received message's place.
func (c *Channel) openIncoming(in *Inbound) error {
	c.mu.Lock()
	crypt := c.crypt
	c.mu.Unlock()
	peer := Agent
	if c.role == Agent {
		peer = Client
	}
	if crypt.cipher == nil || !sealed(peer, in.PayloadType) {
		return nil
	}
	plaintext, err := crypt.cipher.Open(in.Payload)
	if err != nil {
		return fmt.Errorf("open %s %d: %w", in.PayloadType, in.Sequence, err)
	}
	in.overhead = len(in.Payload) - len(plaintext)
	in.Payload = plaintext
	return nil
}
