package sessionlog

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sekisho/internal/platform"
)

// ErrRunning says that the session of a log still runs.
var ErrRunning = errors.New("the session of the log runs")

// Deliver brings the log in a spool directory to its sinks and then removes it. What is
// done is noted, so that a delivery that failed goes on where it was. One that fails
// until Retention is over is given up: the log is removed and that is logged.
func Deliver(ctx context.Context, dir string, service Service, logger *slog.Logger) error {
	unlock, err := platform.LockDir(dir)
	if errors.Is(err, platform.ErrLocked) {
		return ErrRunning
	}
	if err != nil {
		return err
	}
	defer unlock()
	settings, err := readSettings(dir)
	if err != nil {
		return giveUp(dir, err, logger)
	}
	logger = logger.With("session_id", settings.SessionID)
	d := &delivery{dir: dir, settings: settings, service: service}
	if err := d.run(ctx); err != nil {
		return giveUp(dir, err, logger)
	}
	logger.Info("session log delivered", "bucket", settings.Bucket, "key", settings.key(), "group", settings.LogGroup, "bytes", d.size)
	return os.RemoveAll(dir)
}

// giveUp removes a log that is too old, and else gives the error.
func giveUp(dir string, cause error, logger *slog.Logger) error {
	info, err := os.Stat(filepath.Join(dir, outputFile))
	if err != nil {
		info, err = os.Stat(dir)
	}
	if err != nil || time.Since(info.ModTime()) < Retention {
		return cause
	}
	logger.Error("session log given up", "spool", dir, "error", cause)
	return os.RemoveAll(dir)
}

// delivery is one attempt.
type delivery struct {
	dir      string
	settings Settings
	service  Service
	done     progress
	size     int64
}

func (d *delivery) run(ctx context.Context) error {
	if err := readJSON(d.dir, storedFile, &d.done); err != nil {
		return err
	}
	t, err := openTranscript(d.dir, d.settings)
	if err != nil {
		return err
	}
	defer t.Close()
	d.size = t.size
	// One sink that is away does not keep the log from the other.
	return errors.Join(d.toBucket(ctx, t), d.toGroup(ctx, t))
}

func (d *delivery) note() error { return writeJSON(d.dir, storedFile, d.done) }

func (d *delivery) toBucket(ctx context.Context, t *transcript) error {
	if d.settings.Bucket == "" || d.done.Bucket {
		return nil
	}
	sha, sum := sha256.New(), md5.New()
	if _, err := io.Copy(io.MultiWriter(sha, sum), t.reader()); err != nil {
		return fmt.Errorf("read session log: %w", err)
	}
	header := http.Header{}
	header.Set("Content-Type", "text/plain")
	header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	header.Set("x-amz-acl", "bucket-owner-full-control")
	path := "/" + d.settings.Bucket + "/" + escapeKey(d.settings.key())
	answer, err := d.service.Bucket(ctx, http.MethodPut, path, "", hex.EncodeToString(sha.Sum(nil)), header, t.size,
		func() (Body, error) { return io.NopCloser(t.reader()), nil })
	if err != nil {
		return fmt.Errorf("session log to bucket %s: %w", d.settings.Bucket, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxDocument)) // what came is enough for a message
		return fmt.Errorf("session log to bucket %s: %w", d.settings.Bucket, bucketError(answer.StatusCode, text))
	}
	d.done.Bucket = true
	return d.note()
}

// escapeKey escapes a key for a URL as S3 wants it signed.
func escapeKey(key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(part), "+", "%20")
	}
	return strings.Join(parts, "/")
}

func (d *delivery) toGroup(ctx context.Context, t *transcript) error {
	if d.settings.LogGroup == "" {
		return nil
	}
	if d.settings.Streaming {
		s := &streamer{dir: d.dir, settings: d.settings, service: d.service}
		if err := s.run(ctx, true); err != nil {
			return fmt.Errorf("session log to log group %s: %w", d.settings.LogGroup, err)
		}
		return nil
	}
	k := newSink(d.service, d.settings)
	buf := make([]byte, maxEventUpload*maxCallEvents)
	for d.done.Group < t.size {
		n, err := t.ReadAt(buf, d.done.Group)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read session log: %w", err)
		}
		var messages []string
		used := 0
		for used < n && len(messages) < maxCallEvents {
			length := wholeText(buf[used:n], maxEventUpload)
			if used+length == n && d.done.Group+int64(n) < t.size && used > 0 {
				break // the rest comes with what follows
			}
			messages = append(messages, string(buf[used:used+length]))
			used += length
		}
		if err := k.put(ctx, messages); err != nil {
			return fmt.Errorf("session log to log group %s: %w", d.settings.LogGroup, err)
		}
		d.done.Group += int64(used)
		if err := d.note(); err != nil {
			return err
		}
	}
	return nil
}

// transcript is the log of a session in the form of the stock agent, which has it made by
// script(1): a line when it began, the terminal's output as it was, and a line when it
// ended.
type transcript struct {
	head, tail []byte
	output     *os.File
	length     int64 // of output
	size       int64
}

const scriptTime = "2006-01-02 15:04:05-07:00"

func openTranscript(dir string, s Settings) (*transcript, error) {
	f, err := os.Open(filepath.Join(dir, outputFile))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	t := &transcript{
		head:   []byte("Script started on " + s.Began.Format(scriptTime) + "\n"),
		tail:   []byte("\nScript done on " + info.ModTime().Format(scriptTime) + "\n"),
		output: f, length: info.Size(),
	}
	t.size = int64(len(t.head)) + t.length + int64(len(t.tail))
	return t, nil
}

// Close closes the file.
func (t *transcript) Close() error { return t.output.Close() }

// reader reads it from the beginning.
func (t *transcript) reader() io.Reader { return io.NewSectionReader(t, 0, t.size) }

// ReadAt is that of [io.ReaderAt].
func (t *transcript) ReadAt(p []byte, at int64) (n int, err error) {
	parts := []struct {
		from io.ReaderAt
		size int64
	}{
		{strings.NewReader(string(t.head)), int64(len(t.head))},
		{t.output, t.length},
		{strings.NewReader(string(t.tail)), int64(len(t.tail))},
	}
	start := int64(0)
	for _, part := range parts {
		end := start + part.size
		for n < len(p) && at+int64(n) >= start && at+int64(n) < end {
			want := p[n:min(int64(len(p)), int64(n)+end-(at+int64(n)))]
			m, err := part.from.ReadAt(want, at+int64(n)-start)
			n += m
			if m < len(want) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
		}
		start = end
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Spooled gives the directories of the logs in a spool.
func Spooled(spool string) ([]string, error) {
	entries, err := os.ReadDir(spool)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() {
			dirs = append(dirs, filepath.Join(spool, entry.Name()))
		}
	}
	return dirs, nil
}
