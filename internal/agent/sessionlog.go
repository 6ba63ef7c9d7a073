package agent

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/sessionlog"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// logSpool is where session logs wait, in the agent's directory.
const logSpool = "session-logs"

// logSinks are the log groups and buckets of this deployment, as a node reaches them.
type logSinks struct {
	server *server
	creds  *credentials
	bulk   *http.Client
}

// storePatience is how long a bucket may take to answer when it has all of a log: a
// large one takes a moment to reach the disk.
const storePatience = 5 * time.Minute

func newLogSinks(s *server, creds *credentials) *logSinks {
	transport := s.transport.Clone()
	transport.ResponseHeaderTimeout = storePatience
	return &logSinks{server: s, creds: creds, bulk: &http.Client{
		Transport:     watchDate{transport, &s.clock},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Logs calls an operation of CloudWatch Logs.
func (l *logSinks) Logs(ctx context.Context, operation string, in, out any) error {
	return l.creds.use(ctx, func(c Credentials) error {
		return l.server.call(ctx, "Logs_20140328."+operation, in, out, l.server.sigv4Signer(c, "logs"))
	})
}

// Bucket sends a request to S3, by path, so that one host name is enough.
func (l *logSinks) Bucket(ctx context.Context, method, path, query, hash string, header http.Header, size int64,
	body func() (sessionlog.Body, error)) (answer *http.Response, err error) {
	send := func(c Credentials) error {
		var content io.Reader
		if body != nil {
			b, err := body()
			if err != nil {
				return err
			}
			content = b
		}
		r, err := http.NewRequestWithContext(ctx, method, l.server.endpoint+path+"?"+query, content)
		if err != nil {
			return err
		}
		for name, values := range header {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
		r.ContentLength = size
		r.Header.Set("User-Agent", userAgent)
		r.Header.Set("x-amz-content-sha256", hash)
		sigv4.Sign(r, hash, sigv4.Credentials{
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		}, l.server.region, "s3", l.server.clock.now())
		answer, err = l.bulk.Do(r)
		if err != nil {
			return err
		}
		return bucketRefusal(answer)
	}
	err = l.creds.use(ctx, func(c Credentials) error {
		return l.server.retrySkewed(func() error { return send(c) })
	})
	if errors.Is(err, errAnswered) {
		return answer, nil
	}
	return answer, err
}

// errAnswered says that an error is for the caller to read from the answer.
var errAnswered = errors.New("the bucket answered with an error")

// maxRefusal bounds what is read of an answer that is an error, in bytes.
const maxRefusal = 64 << 10

// bucketRefusal reads an answer that is an error: one about the credentials or the clock
// is dealt with here, as for the other services; others are left to be read again.
func bucketRefusal(answer *http.Response) error {
	if answer.StatusCode < http.StatusBadRequest {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal)) // what came is enough
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(text))
	var doc struct{ Code, Message string }
	_ = xml.Unmarshal(text, &doc) // a proxy's answer may be anything
	switch doc.Code {
	case "ExpiredToken", "RequestTimeTooSkewed":
		return ssm.Errorf(doc.Code, "%s", doc.Message)
	case "InvalidAccessKeyId":
		return ssm.Errorf("InvalidClientTokenId", "%s", doc.Message)
	}
	return errAnswered
}

// startLog begins the log that a session's document asks for. Its error is the reason to
// refuse the session: something must be encrypted and is not, or does not say. Where a
// log cannot be kept, the session goes on without: who cannot write to the disk may have
// come to make room on it.
func (w *worker) startLog(ctx context.Context, task message.SessionTask, user string) error {
	in := task.DocumentContent.Inputs
	settings := sessionlog.Settings{
		SessionID: w.id, NodeID: w.link.nodeID, Region: w.link.server.region, Owner: task.SessionOwner, RunAsUser: user, Began: time.Now(),
		Bucket: in.S3BucketName, KeyPrefix: in.S3KeyPrefix, BucketEncryption: bool(in.S3EncryptionEnabled),
		LogGroup: in.CloudWatchLogGroupName, GroupEncryption: bool(in.CloudWatchEncryptionEnabled),
		// Only a shell's output comes in lines that are worth to be seen at once.
		Streaming: bool(in.CloudWatchStreamingEnabled) && task.DocumentContent.SessionType == message.SessionTypeStandardStream,
	}
	if !settings.Wanted() {
		return nil
	}
	sinks := newLogSinks(w.link.server, w.link.creds)
	if err := sessionlog.Check(ctx, sinks, settings); err != nil {
		return userError(err.Error())
	}
	log, err := sessionlog.Open(filepath.Join(w.dir, logSpool), settings, sinks, w.logger)
	if err != nil {
		w.logger.Error("no log of this session is kept", "error", err)
		return nil
	}
	w.log = log
	return nil
}

// record keeps output for the session's log. It does not wait.
func (w *worker) record(output []byte) {
	if w.log != nil {
		_, _ = w.log.Write(output) // what is lost the log itself tells
	}
}

// endLog ends the session's log; the agent delivers it.
func (w *worker) endLog() {
	if w.log != nil {
		w.log.Close()
	}
}

// deliverLogs brings the logs of sessions that ended to where they belong, also those of
// an agent before this one, until ctx ends. A sink that is away is tried again, for as
// long as [sessionlog.Retention].
func (a *agent) deliverLogs(ctx context.Context) {
	sinks := newLogSinks(a.server, a.creds)
	retry := backoff{min: time.Second, max: 5 * time.Minute}
	complained := map[string]bool{}
	for {
		left, running := a.deliverAll(ctx, sinks, complained)
		var again <-chan time.Time
		switch {
		case left:
			again = time.After(retry.next())
		case running:
			again = time.After(runningInterval)
		}
		if !left {
			retry.reset()
			clear(complained)
		}
		select {
		case <-a.sessions.logs:
			retry.reset()
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// runningInterval is how often the logs of sessions that run are looked at: their workers
// may be those of an agent before this one, which does not hear of their end.
const runningInterval = 5 * time.Second

// deliverAll tries each log once. left says that some could not be delivered, running
// that some are of sessions that run.
func (a *agent) deliverAll(ctx context.Context, sinks *logSinks, complained map[string]bool) (left, running bool) {
	dirs, err := sessionlog.Spooled(filepath.Join(a.cfg.Dir, logSpool))
	if err != nil {
		a.logger.Error("session logs not found", "error", err)
		return true, false
	}
	for _, dir := range dirs {
		err := sessionlog.Deliver(ctx, dir, sinks, a.logger)
		switch {
		case ctx.Err() != nil:
			return true, running
		case err == nil:
		case errors.Is(err, sessionlog.ErrRunning):
			running = true
		default:
			left = true
			level := slog.LevelDebug
			if !complained[dir] { // once for each, as long as it lasts
				complained[dir], level = true, slog.LevelWarn
			}
			a.logger.Log(ctx, level, "session log not delivered; it is kept and tried again", "spool", dir, "error", err, "hint", Hint(err))
		}
	}
	return left, running
}

// logEnded tells deliverLogs that there may be a log.
func (s *sessions) logEnded() {
	select {
	case s.logs <- struct{}{}:
	default:
	}
}
