// Package release is what server and agents agree on about the agent's programs: the names
// of their files, and the signed list that says which there are.
//
// It promises that [Open] returns nothing that the key's owner has not signed. It knows no
// network and no directory. cmd/sekishod signs, internal/agent opens.
package release

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// MaxManifest bounds a signed list in bytes; one of six programs has about 2 KiB.
const MaxManifest = 64 << 10

// MaxBinary bounds a program in bytes; today's have 9 MB.
const MaxBinary = 128 << 20

// Binary is one program of a release.
type Binary struct {
	Name   string // of the file, see [FileName]
	OS     string // as Go names it: linux, darwin, windows
	Arch   string // as Go names it: amd64, arm64
	Size   int64  // bytes
	SHA256 string // of the file, in hex
}

// Manifest lists the programs of a release.
type Manifest struct {
	Version string // for people
	// Published orders releases: an agent takes none older than the one it has.
	Published time.Time
	Binaries  []Binary
}

// signed is the file: the list as the bytes that were signed, and their signature.
type signed struct {
	Manifest  []byte
	Signature []byte
}

// purpose keeps signatures for this from being taken for others of the same key.
const purpose = "sekisho agent release 1\n"

// Errors of Open.
var (
	ErrSignature = errors.New("the list of programs is not signed by the key that was pinned at registration")
	ErrMalformed = errors.New("the list of programs cannot be read")
)

// Sign encodes a list together with its signature.
func Sign(m Manifest, key ed25519.PrivateKey) ([]byte, error) {
	for _, b := range m.Binaries {
		if err := b.check(); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(signed{text, ed25519.Sign(key, append([]byte(purpose), text...))})
}

// Open decodes a list whose signature is key's.
func Open(text []byte, key ed25519.PublicKey) (Manifest, error) {
	if len(text) > MaxManifest {
		return Manifest{}, fmt.Errorf("%w: it is larger than %d bytes", ErrMalformed, MaxManifest)
	}
	var s signed
	if err := json.Unmarshal(text, &s); err != nil {
		return Manifest{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(purpose), s.Manifest...), s.Signature) {
		return Manifest{}, ErrSignature
	}
	var m Manifest
	decoder := json.NewDecoder(bytes.NewReader(s.Manifest))
	if err := decoder.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	for _, b := range m.Binaries {
		if err := b.check(); err != nil {
			return Manifest{}, fmt.Errorf("%w: %v", ErrMalformed, err)
		}
	}
	return m, nil
}

func (b Binary) check() error {
	sum, err := hex.DecodeString(b.SHA256)
	switch {
	case b.Name != FileName(b.OS, b.Arch):
		return fmt.Errorf("%q is not the name of a program for %s/%s", b.Name, b.OS, b.Arch)
	case err != nil || len(sum) != 32:
		return fmt.Errorf("%s has no SHA-256 sum", b.Name)
	case b.Size <= 0 || b.Size > MaxBinary:
		return fmt.Errorf("%s has an impossible size, %d", b.Name, b.Size)
	}
	return nil
}

// For finds the program for a system.
func (m Manifest) For(os, arch string) (Binary, bool) {
	for _, b := range m.Binaries {
		if b.OS == os && b.Arch == arch {
			return b, true
		}
	}
	return Binary{}, false
}

// FileName is the name of the program for a system.
func FileName(os, arch string) string {
	name := "sekisho-agent-" + os + "-" + arch
	if os == "windows" {
		name += ".exe"
	}
	return name
}

var nameForm = regexp.MustCompile(`^sekisho-agent-([a-z0-9]+)-([a-z0-9]+)(\.exe)?$`)

// ParseFileName reads a system from the name of its program.
func ParseFileName(name string) (os, arch string, ok bool) {
	m := nameForm.FindStringSubmatch(name)
	if m == nil || FileName(m[1], m[2]) != name {
		return "", "", false
	}
	return m[1], m[2], true
}

// EncodeKey is a public key as one line of text.
func EncodeKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

// ParseKey reads such a line.
func ParseKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q is no key of releases: that is %d bytes in base64", text, ed25519.PublicKeySize)
	}
	return key, nil
}
