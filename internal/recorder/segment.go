package recorder

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// format is the version of the files.
const format = "sekisho-recording/1"

// segmentHead is the first line of a segment.
type segmentHead struct {
	Format   string `json:"format"`
	Session  string `json:"session"`
	Segment  int    `json:"segment"`
	Previous string `json:"previous"` // SHA-256 of the file before, in hexadecimal; of nothing for the first
	Facts    *Facts `json:"facts,omitempty"`
}

// sealed is what the head says of a segment.
type sealed struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// head lists the segments of a recording. Its file has exactly the bytes that encode
// makes, so that nothing in it can be changed without notice.
type head struct {
	Format   string   `json:"format"`
	Session  string   `json:"session"`
	Segments []sealed `json:"segments"`
	// Closed says that the session ended and nothing follows.
	Closed    bool   `json:"closed"`
	Signature string `json:"signature"` // over the rest, in base64
}

const headFile = "head.json"

func segmentFile(n int) string { return fmt.Sprintf("%08d.cast", n) }

// hashOfNothing is what the first segment has for the one before.
var hashOfNothing = hashOf(nil)

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (h head) encode() []byte {
	text, err := json.Marshal(h)
	if err != nil {
		panic(err) // texts and numbers always marshal
	}
	return append(text, '\n')
}

// signed is what the signature is over.
func (h head) signed() []byte {
	h.Signature = ""
	return append([]byte("sekisho recording head\x00"), h.encode()...)
}

// write signs the head and makes it durable.
func (h *head) write(dir string, key ed25519.PrivateKey) error {
	h.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, h.signed()))
	path := filepath.Join(dir, headFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(h.encode())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

var errHead = errors.New("the head of the recording was changed")

// readHead reads the head and holds it against its signature.
func readHead(files fs.FS, key ed25519.PublicKey) (head, error) {
	text, err := fs.ReadFile(files, headFile)
	if err != nil {
		return head{}, err
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil {
		return head{}, errHead
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(h.Signature) // no second way to write it
	if err != nil || h.Format != format || !bytes.Equal(h.encode(), text) || !ed25519.Verify(key, h.signed(), signature) {
		return head{}, errHead
	}
	return h, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
