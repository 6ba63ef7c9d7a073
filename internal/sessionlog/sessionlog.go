// Package sessionlog is the node's side of session logs: it keeps what a session shows
// in a spool on the node, sends it to a log group while the session runs if the session
// document asks for that, and brings the transcript to the bucket and the log group
// afterwards, in the forms of the stock agent (agent/session/shell/shell.go).
//
// It promises that [Writer.Write] never waits, whatever disk and network do; that a sink
// which is slow or away neither delays a session nor loses its log: what was not
// delivered stays in the spool, and [Deliver] is called again until it succeeds or
// [Retention] is over; and that a session whose document demands an encrypted sink is
// refused by [Check] when the sink is not, or cannot be asked.
//
// Workers of sessions write, and stream; the agent delivers what workers left.
package sessionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Retention is how long a log is kept that cannot be delivered, as the stock agent
// keeps its files (SessionLogsRetentionDurationHours, 336).
const Retention = 14 * 24 * time.Hour

// Settings say whose log it is and where it goes. They are kept with the log.
type Settings struct {
	SessionID string
	NodeID    string
	Region    string
	Owner     string // ARN of who started the session
	RunAsUser string
	Began     time.Time

	Bucket    string // empty: to no bucket
	KeyPrefix string
	LogGroup  string // empty: to no log group
	Streaming bool   // to the log group while the session runs

	// BucketEncryption and GroupEncryption say that the session must not run without.
	BucketEncryption bool
	GroupEncryption  bool
}

// Wanted says whether there is anything to keep a log for.
func (s *Settings) Wanted() bool { return s.Bucket != "" || s.LogGroup != "" }

// key is the transcript's key in the bucket.
func (s *Settings) key() string { return path.Join(s.KeyPrefix, s.SessionID+".log") }

// Service is how the sinks are reached.
type Service interface {
	// Logs calls an operation of CloudWatch Logs. Errors of the service are [*ssm.Error]s.
	Logs(ctx context.Context, operation string, in, out any) error
	// Bucket sends a request to S3. path begins with the bucket, query is encoded, and hash
	// is that of the body in hexadecimal. The caller closes the answer's body.
	Bucket(ctx context.Context, method, path, query, hash string, header http.Header, size int64, body func() (Body, error)) (*http.Response, error)
}

// Body is what is sent to a bucket.
type Body interface {
	Read([]byte) (int, error)
	Close() error
}

// Files of a log in its spool directory.
const (
	settingsFile = "settings.json"
	outputFile   = "output"   // what the session showed, as it was
	streamedFile = "streamed" // how much of output is with the log group
	storedFile   = "stored"   // which sinks have the transcript
)

// progress is what is done of a delivery, so that it is not done again.
type progress struct {
	Bucket bool
	Group  int64 // bytes of the transcript that are in the log group
}

func writeJSON(dir, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	// Written aside and renamed: a half file is never read.
	temporary := filepath.Join(dir, name+".new")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, name))
}

// readJSON reads what writeJSON wrote; nothing there leaves v as it is.
func readJSON(dir, name string, v any) error {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("read %s of a session log: %w", name, err)
	}
	return nil
}

func readSettings(dir string) (Settings, error) {
	var s Settings
	err := readJSON(dir, settingsFile, &s)
	if err == nil && s.SessionID == "" {
		err = errors.New("a session log without settings")
	}
	return s, err
}
