package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sekisho/internal/blob"
	"sekisho/internal/ssm"
)

// Stored is an [Archive] whose recordings are also kept in a bucket: they are copied
// there by [Stored.Copy], and what is not on this disk any more is fetched from there
// when somebody reads it. The files are the same in both places, so that Verify holds for
// either.
type Stored struct {
	Archive
	bucket blob.Bucket

	mu     sync.Mutex
	copied map[string]int // guarded by mu: segments of recordings that run
	fetch  sync.Mutex     // one at a time; it is held during I/O and guards nothing else
}

// fetchPatience bounds fetching a recording.
const fetchPatience = 10 * time.Minute

// Stored makes a Stored that keeps r's recordings in a bucket.
func (r *Recorder) Stored(bucket blob.Bucket) *Stored {
	return &Stored{Archive: r.Archive(), bucket: bucket, copied: map[string]int{}}
}

func (s *Stored) logger() *slog.Logger { return s.recorder.cfg.Logger }

// removedDir has an empty file for each recording that is yet to be removed from the bucket.
func (s *Stored) removedDir() string { return s.recorder.cfg.Dir + ".removed" }

// Copy brings the files of a recording to the bucket: of one that runs, the segments that
// will not change any more, with the head that signs them. A recording whose files are
// not on this disk is [fs.ErrNotExist].
func (s *Stored) Copy(ctx context.Context, id string) (closed bool, err error) {
	dir, err := s.path(id)
	if err != nil {
		return false, err
	}
	h, err := readHead(os.DirFS(dir), s.recorder.Public())
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	done := s.copied[id]
	s.mu.Unlock()
	if !h.Closed && done == len(h.Segments) {
		return false, nil
	}
	var names []string
	for n := done; n < len(h.Segments); n++ {
		names = append(names, segmentFile(n))
	}
	for _, name := range append(names, headFile) { // the head last: what it names is there
		if err := s.put(ctx, filepath.Join(dir, name), path.Join(id, name)); err != nil {
			return false, fmt.Errorf("store recording %s: %w", id, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copied[id] = len(h.Segments); h.Closed {
		delete(s.copied, id)
	}
	return h.Closed, nil
}

func (s *Stored) put(ctx context.Context, file, key string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return s.bucket.Put(ctx, key, info.Size(), func() (io.ReadCloser, error) { return os.Open(file) })
}

// Evict removes the files of a recording from this disk, once they have been there for as
// long as keep. The caller knows that the bucket has them.
func (s *Stored) Evict(id string, keep time.Duration) error {
	dir, err := s.path(id)
	if err != nil {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && time.Since(info.ModTime()) < keep {
		return nil
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// Idle gives the recordings whose files did not change for as long as keep.
func (s *Stored) Idle(keep time.Duration) ([]string, error) {
	list, err := s.List()
	var idle []string
	for _, id := range list {
		if info, err := os.Stat(filepath.Join(s.recorder.cfg.Dir, id)); err == nil && time.Since(info.ModTime()) >= keep {
			idle = append(idle, id)
		}
	}
	return idle, err
}

// Remove removes a recording here and from the bucket. If the bucket is away that is
// noted, and [Stored.RemoveLeft] does it.
func (s *Stored) Remove(id string) error {
	if _, err := s.path(id); err != nil {
		return nil
	}
	if err := os.MkdirAll(s.removedDir(), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.removedDir(), id), nil, 0o600); err != nil {
		return err
	}
	if err := s.Archive.Remove(id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchPatience)
	defer cancel()
	if err := s.removeStored(ctx, id); err != nil {
		s.logger().Warn("recording not removed from its store; it is tried again", "session_id", id, "error", err)
	}
	return nil
}

// RemoveLeft removes from the bucket what could not be removed before.
func (s *Stored) RemoveLeft(ctx context.Context) error {
	entries, err := os.ReadDir(s.removedDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err == nil {
			err = s.removeStored(ctx, e.Name())
		}
	}
	return err
}

func (s *Stored) removeStored(ctx context.Context, id string) error {
	keys, err := s.bucket.List(ctx, id+"/")
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := s.bucket.Remove(ctx, key); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(s.removedDir(), id))
}

// Read is [Archive.Read].
func (s *Stored) Read(id string, from int64, limit int, input bool, key []byte) (ssm.RecordingPart, error) {
	if err := s.local(id); err != nil {
		return ssm.RecordingPart{}, err
	}
	return s.Archive.Read(id, from, limit, input, key)
}

// Key is [Archive.Key].
func (s *Stored) Key(id string) (ssm.RecordingKey, error) {
	if err := s.local(id); err != nil {
		return ssm.RecordingKey{}, err
	}
	return s.Archive.Key(id)
}

// Verify is [Archive.Verify].
func (s *Stored) Verify(id string) (*ssm.VerifyRecordingOutput, error) {
	if err := s.local(id); err != nil {
		return nil, err
	}
	return s.Archive.Verify(id)
}

// Transcript is [Archive.Transcript].
func (s *Stored) Transcript(id string, limit int) (ssm.Transcript, error) {
	if err := s.local(id); err != nil {
		return ssm.Transcript{}, err
	}
	return s.Archive.Transcript(id, limit)
}

// local fetches a recording that is closed, if it is not on this disk.
func (s *Stored) local(id string) error {
	dir, err := s.path(id)
	if err != nil {
		return err
	}
	there := func() bool { _, err := os.Stat(dir); return err == nil }
	if there() {
		return nil
	}
	s.fetch.Lock()
	defer s.fetch.Unlock()
	if there() { // another reader fetched it meanwhile
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchPatience)
	defer cancel()
	keys, err := s.bucket.List(ctx, id+"/")
	if err != nil {
		return fmt.Errorf("fetch recording %s: %w", id, err)
	}
	if len(keys) == 0 {
		return fmt.Errorf("recording %q: %w", id, fs.ErrNotExist)
	}
	// Beside the recordings, not among them: a half one must not be taken for one.
	temporary, err := os.MkdirTemp(filepath.Dir(s.recorder.cfg.Dir), "."+filepath.Base(s.recorder.cfg.Dir)+"-fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	for _, key := range keys {
		name := strings.TrimPrefix(key, id+"/")
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return fmt.Errorf("fetch recording %s: the store has a file %q", id, name)
		}
		if err := s.get(ctx, key, filepath.Join(temporary, name)); err != nil {
			return fmt.Errorf("fetch recording %s: %w", id, err)
		}
	}
	if h, err := readHead(os.DirFS(temporary), s.recorder.Public()); err == nil && !h.Closed {
		return fmt.Errorf("recording %q runs on another server: %w", id, fs.ErrNotExist)
	}
	// One whose head was changed comes too: Verify has to say so.
	return os.Rename(temporary, dir)
}

func (s *Stored) get(ctx context.Context, key, file string) error {
	from, err := s.bucket.Get(ctx, key)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
