package recorder

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Report is what [Verify] found of a recording that is as it was made.
type Report struct {
	Session  string
	Segments int
	Bytes    int64
	Closed   bool
	// Unsigned says that there is a last segment which is not signed yet: the session
	// runs, or the server was killed and has not taken it up again.
	Unsigned bool
}

// Damage says where a recording is not what it was.
type Damage struct {
	File string
	What string
}

func (d *Damage) Error() string { return d.File + ": " + d.What }

// Verify holds the recording in dir against the public key. A recording that was changed
// gives a [*Damage], the first one that is found.
func Verify(dir string, key ed25519.PublicKey) (Report, error) {
	return verify(os.DirFS(dir), filepath.Base(dir), key)
}

func verify(files fs.FS, session string, key ed25519.PublicKey) (Report, error) {
	h, err := readHead(files, key)
	if errors.Is(err, errHead) || errors.Is(err, fs.ErrNotExist) {
		return Report{}, &Damage{headFile, "missing, changed, or signed by another key"}
	}
	if err != nil {
		return Report{}, err
	}
	report := Report{Session: h.Session, Segments: len(h.Segments), Closed: h.Closed}
	if session != h.Session {
		return Report{}, &Damage{headFile, "is of the session " + h.Session + ", not " + session}
	}
	previous := hashOfNothing
	for n, want := range h.Segments {
		name := segmentFile(n)
		text, err := fs.ReadFile(files, name)
		if errors.Is(err, fs.ErrNotExist) {
			return Report{}, &Damage{name, "missing"}
		}
		if err != nil {
			return Report{}, err
		}
		switch {
		case int64(len(text)) != want.Size:
			return Report{}, &Damage{name, fmt.Sprintf("has %d bytes, not %d", len(text), want.Size)}
		case hashOf(text) != want.SHA256:
			return Report{}, &Damage{name, "changed"}
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		var first segmentHead
		if err := json.Unmarshal(line, &first); err != nil || first.Session != h.Session || first.Segment != n || first.Previous != previous {
			return Report{}, &Damage{name, "does not follow the one before"}
		}
		previous = want.SHA256
		report.Bytes += want.Size
	}
	return report, others(files, h, &report)
}

// others looks for files that the head does not name.
func others(files fs.FS, h head, report *Report) error {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return err
	}
	known := map[string]bool{headFile: true, headFile + ".new": !h.Closed}
	for n := range h.Segments {
		known[segmentFile(n)] = true
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case known[name]:
		case name == segmentFile(len(h.Segments)) && !h.Closed:
			report.Unsigned = true
		default:
			return &Damage{name, "is not of this recording"}
		}
	}
	return nil
}
