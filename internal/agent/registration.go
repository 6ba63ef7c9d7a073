package agent

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sekisho/internal/platform"
)

// DefaultDir is where a registration is kept unless the operator says otherwise.
func DefaultDir() string { return platform.DataDir(agentName) }

// Files of the directory. The key of a registration under way waits in nextKeyFile, so
// that the old registration works until the new one is complete.
const (
	registrationFile = "registration.json"
	keyFile          = "key.pem"
	nextKeyFile      = "key.pem.next"
)

// maxFile bounds what is read of a file of the directory.
const maxFile = 1 << 20

// Registration is who this node is and where its service is.
type Registration struct {
	Endpoint    string // https://host[:port]
	Region      string
	NodeID      string
	Fingerprint string
	// CA is the certificate authorities, in PEM, that the server's certificate must
	// come from. Empty means those of the system.
	CA string `json:",omitempty"`
	// ReleaseKey is whose signature a new version of this program must have. Empty: none
	// is taken from the server.
	ReleaseKey   string `json:",omitempty"`
	KeySHA256    string // of the public key's PKIX DER: which of two key files is meant
	RegisteredAt time.Time
	// ClockError makes the agent believe that this machine's clock shows so much more: for
	// tests of a clock that is wrong. Nothing sets it.
	ClockError time.Duration `json:",omitempty"`
}

// ErrNotRegistered says that a directory holds no registration.
var ErrNotRegistered = errors.New("this machine is not registered")

// Load reads the registration in dir.
func Load(dir string) (*Registration, error) {
	text, err := readFile(filepath.Join(dir, registrationFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNotRegistered, dir, registrationFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the registration: %w", err)
	}
	var r Registration
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the registration %s: %w", filepath.Join(dir, registrationFile), err)
	}
	if r.Endpoint == "" || r.Region == "" || r.NodeID == "" || r.Fingerprint == "" {
		return nil, fmt.Errorf("%w: %s is not complete", ErrNotRegistered, filepath.Join(dir, registrationFile))
	}
	return &r, nil
}

// key reads the private key that belongs to the registration, or the one that has taken
// its place since the registration was read.
func (r *Registration) key(dir string) (*rsa.PrivateKey, error) {
	key, err := r.readKey(dir)
	if err == nil {
		return key, nil
	}
	if now, loadErr := Load(dir); loadErr == nil && now.NodeID == r.NodeID && now.KeySHA256 != r.KeySHA256 {
		return now.readKey(dir)
	}
	return nil, err
}

func (r *Registration) readKey(dir string) (*rsa.PrivateKey, error) {
	var first error
	for _, name := range []string{keyFile, nextKeyFile} {
		key, err := readKey(filepath.Join(dir, name))
		if err == nil && publicKeyHash(&key.PublicKey) == r.KeySHA256 {
			return key, nil
		}
		if err == nil {
			err = fmt.Errorf("%s is the key of another registration", filepath.Join(dir, name))
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("read the node's key: %w", first)
}

func readKey(path string) (*rsa.PrivateKey, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no RSA key", path)
	}
	return key, nil
}

// draft is the file of a registration that is being made. It has its size before the
// service is asked, so that a disk that fills up meanwhile does not lose the answer.
type draft struct {
	dir  string
	file *os.File
}

// draftSlack is how much longer a registration's text may get: by its node id and its
// date.
const draftSlack = 512 // bytes

func newDraft(dir string, r *Registration) (_ *draft, err error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return nil, err
	}
	d := &draft{dir, file}
	defer func() {
		if err != nil {
			d.discard()
		}
	}()
	if _, err := file.Write(append(text, make([]byte, draftSlack)...)); err != nil {
		return nil, err
	}
	return d, file.Sync()
}

// discard removes the draft. After save there is none, and it does nothing.
func (d *draft) discard() {
	if d.file.Close() == nil {
		os.Remove(d.file.Name())
	}
}

// save makes the registration and the key that waits in nextKeyFile the ones that
// count. After each step one of the two registrations is whole: the registration names
// its key by hash.
func (d *draft) save(r *Registration) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := d.file.WriteAt(text, 0); err != nil {
		return err
	}
	if err := d.file.Truncate(int64(len(text))); err != nil {
		return err
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	// Closed first: Windows renames no open file.
	if err := d.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(d.file.Name(), filepath.Join(d.dir, registrationFile)); err != nil {
		os.Remove(d.file.Name())
		return err
	}
	return os.Rename(filepath.Join(d.dir, nextKeyFile), filepath.Join(d.dir, keyFile))
}

func publicKeyHash(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil { // cannot happen for an RSA key
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// readFile reads a file of bounded size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}

// writeFile replaces a file, readable by its owner only, whole or not at all.
func writeFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
