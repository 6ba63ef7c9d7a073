package recorder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekisho/internal/blob"
	"sekisho/internal/message"
)

// moody is a bucket that may be away.
type moody struct {
	blob.Dir
	away bool
}

func (m *moody) List(ctx context.Context, prefix string) ([]string, error) {
	if m.away {
		return nil, errors.New("away")
	}
	return m.Dir.List(ctx, prefix)
}

func (m *moody) Put(ctx context.Context, key string, size int64, open func() (io.ReadCloser, error)) error {
	if m.away {
		return errors.New("away")
	}
	return m.Dir.Put(ctx, key, size, open)
}

func TestStoredRecording(t *testing.T) {
	r := newRecorder(t, func(c *Config) { c.SegmentBytes = 2000 })
	bucket := &moody{Dir: blob.Dir(t.TempDir())}
	s := r.Stored(bucket)
	rec := r.Begin(facts())
	long := strings.Repeat("日本語 ", 300)
	for n := range int64(20) {
		rec.Stream(true, n, message.PayloadOutput, []byte(long))
	}
	rec.Close(false) // as when the server stops
	if closed, err := s.Copy(t.Context(), "bob-1"); err != nil || closed {
		t.Fatalf("closed %v, %v", closed, err)
	}
	running, err := bucket.Dir.List(t.Context(), "bob-1/")
	must(t, err)
	if len(running) < 2 { // a segment and the head
		t.Errorf("of a recording that runs: %q", running)
	}
	// Its copy is not to be taken for a recording that is over.
	must(t, os.Rename(filepath.Join(r.cfg.Dir, "bob-1"), filepath.Join(t.TempDir(), "aside")))
	if _, err := s.Verify("bob-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a recording that runs elsewhere: %v", err)
	}
	must(t, os.RemoveAll(string(bucket.Dir)))

	rec = r.Begin(facts())
	for n := range int64(20) {
		rec.Stream(true, n, message.PayloadOutput, []byte(long))
	}
	rec.Close(true)
	bucket.away = true
	if _, err := s.Copy(t.Context(), "bob-1"); err == nil {
		t.Error("copied to a bucket that is away")
	}
	bucket.away = false
	s = r.Stored(bucket) // after a restart
	if closed, err := s.Copy(t.Context(), "bob-1"); err != nil || !closed {
		t.Fatalf("closed %v, %v", closed, err)
	}
	want := readAllOf(t, s)
	must(t, s.Evict("bob-1", 0))
	if _, err := s.Facts("bob-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("evicted: %v", err)
	}
	if got := readAllOf(t, s); got != want || !strings.Contains(got, "日本語") {
		t.Errorf("fetched %d bytes, want %d", len(got), len(want))
	}
	if out, err := s.Verify("bob-1"); err != nil || !out.Verified || !out.Closed {
		t.Errorf("%+v, %v", out, err)
	}
	// A file changed in the bucket is found.
	must(t, s.Evict("bob-1", 0))
	file := filepath.Join(string(bucket.Dir), "bob-1", segmentFile(0))
	text, err := os.ReadFile(file)
	must(t, err)
	text[len(text)/2] ^= 1
	must(t, os.WriteFile(file, text, 0o600))
	if out, err := s.Verify("bob-1"); err != nil || out.Verified || out.File != segmentFile(0) {
		t.Errorf("%+v, %v", out, err)
	}
	// Removed in both places, also if one is away for a while.
	bucket.away = true
	must(t, s.Remove("bob-1"))
	if err := s.RemoveLeft(t.Context()); err == nil {
		t.Error("removed from a bucket that is away")
	}
	bucket.away = false
	must(t, s.RemoveLeft(t.Context()))
	if keys, err := bucket.Dir.List(t.Context(), ""); err != nil || len(keys) != 0 {
		t.Errorf("left: %q, %v", keys, err)
	}
	if _, err := s.Verify("bob-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
	must(t, s.RemoveLeft(t.Context()))
	if _, err := s.Verify("../bob-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no name of a recording: %v", err)
	}
}

func readAllOf(t *testing.T, s *Stored) (cast string) {
	t.Helper()
	for from := int64(0); ; {
		part, err := s.Read("bob-1", from, 1<<20, false, nil)
		must(t, err)
		cast += part.Cast
		if part.End {
			return cast
		}
		from = part.Next
	}
}
