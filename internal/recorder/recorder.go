// Package recorder keeps recordings of sessions where the gateway relays them: what the
// user saw and, if that is wanted, typed, with its timing, out of reach of anybody on the
// node. A recording is a directory of segments, text files in the form of asciicast v2,
// each with the hash of the one before, and a head that lists them and is signed.
//
// It promises that taking a frame never waits for the disk; that bytes are kept exactly,
// whatever their encoding; that [Verify] finds every change of a recording from its files
// and the public key alone, and says where; and that a recording goes on after the
// server was killed in the middle of it.
//
// The gateway feeds it through [Recording.Stream]; sekishod makes it and offers verify
// and export. Tunnels leave how many bytes went each way, and when, not the bytes.
package recorder

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sekisho/internal/message"
)

// Config says what is recorded and where.
type Config struct {
	Dir string
	// Seed makes the key that signs: ed25519.SeedSize bytes.
	Seed []byte
	// Input records what users type as well.
	Input  bool
	Logger *slog.Logger
	// SegmentBytes and SegmentTime bound a segment. Zero means 4 MiB and a minute: so
	// much is not signed yet when the server loses its power.
	SegmentBytes int64
	SegmentTime  time.Duration
}

// Recorder makes recordings. It may be used concurrently.
type Recorder struct {
	cfg Config
	key ed25519.PrivateKey
}

// keyFile has the public key, in hexadecimal, for those who verify elsewhere.
const keyFile = "recordings.pub"

// New makes a Recorder and writes its public key into the directory.
func New(cfg Config) (*Recorder, error) {
	if len(cfg.Seed) != ed25519.SeedSize {
		return nil, errors.New("the recorder's seed has a wrong length")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.SegmentBytes <= 0 {
		cfg.SegmentBytes = 4 << 20
	}
	if cfg.SegmentTime <= 0 {
		cfg.SegmentTime = time.Minute
	}
	r := &Recorder{cfg: cfg, key: ed25519.NewKeyFromSeed(cfg.Seed)}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	public := hex.EncodeToString(r.Public()) + "\n"
	if err := os.WriteFile(filepath.Join(cfg.Dir, keyFile), []byte(public), 0o644); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	return r, nil
}

// Public is the key that recordings are verified with.
func (r *Recorder) Public() ed25519.PublicKey { return r.key.Public().(ed25519.PublicKey) }

// ReadPublic reads a public key's file.
func ReadPublic(path string) (ed25519.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(string(trimNewline(text)))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%s has no public key in it", path)
	}
	return key, nil
}

func trimNewline(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}

// Facts say whose session is recorded.
type Facts struct {
	SessionID    string    `json:"sessionId"`
	NodeID       string    `json:"nodeId"`
	Owner        string    `json:"owner"` // ARN
	DocumentName string    `json:"documentName"`
	SessionType  string    `json:"sessionType"`
	KMSKeyID     string    `json:"kmsKeyId,omitempty"` // the payload is encrypted with it
	StartedAt    time.Time `json:"startedAt"`
}

// tunnel says that only sizes are kept.
func (f *Facts) tunnel() bool { return f.SessionType == message.SessionTypePort }
