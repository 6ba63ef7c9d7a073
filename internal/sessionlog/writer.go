package sessionlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sekisho/internal/platform"
)

const (
	// maxWaiting bounds what waits in memory for the disk, in bytes. Beyond it, output is
	// counted and not kept.
	maxWaiting = 16 << 20
	// retryDisk is how long a disk that did not take something is left alone.
	retryDisk = time.Second
	// closePatience is how long Close waits for such a disk, and for the last events of a
	// log group.
	closePatience = 3 * time.Second
	// streamInterval is that of the stock agent (agent-control-plane.md §5.2).
	streamInterval = time.Second
)

// Writer keeps the log of a session that runs. Write may be called concurrently; the
// writer's own goroutines end with Close.
type Writer struct {
	dir      string
	file     *os.File
	unlock   func()
	settings Settings
	service  Service
	logger   *slog.Logger

	mu      sync.Mutex
	waiting []byte // guarded by mu
	lost    int64  // guarded by mu: bytes that were not kept
	closed  bool   // guarded by mu
	more    chan struct{}
	wrote   sync.WaitGroup // the goroutine that writes

	endStream context.CancelFunc
	streamed  sync.WaitGroup
	final     chan struct{} // closed when nothing more is written
}

// Open begins the log of a session in the spool. Where there is no room for one, or no
// permission, there is no log: that is an error to report and no reason to refuse the
// session.
func Open(spool string, settings Settings, service Service, logger *slog.Logger) (*Writer, error) {
	dir := filepath.Join(spool, settings.SessionID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin a session log: %w", err)
	}
	unlock, err := platform.LockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("begin a session log: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, outputFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		err = writeJSON(dir, settingsFile, settings)
	}
	if err != nil {
		unlock()
		return nil, fmt.Errorf("begin a session log: %w", err)
	}
	w := &Writer{dir: dir, file: file, unlock: unlock, settings: settings, service: service, logger: logger,
		more: make(chan struct{}, 1), final: make(chan struct{})}
	w.wrote.Go(w.write)
	ctx, cancel := context.WithCancel(context.Background())
	w.endStream = cancel
	if settings.Streaming && settings.LogGroup != "" {
		w.streamed.Go(func() { w.stream(ctx) })
	}
	return w, nil
}

// Write keeps p, or counts it as lost. It does not wait.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, errors.New("the session log is closed")
	}
	if len(w.waiting)+len(p) > maxWaiting {
		w.lost += int64(len(p))
		return len(p), nil
	}
	if w.lost > 0 {
		w.waiting = fmt.Appendf(w.waiting, "\r\n[%d bytes of output could not be kept here]\r\n", w.lost)
		w.logger.Error("output missing from the session log", "bytes", w.lost)
		w.lost = 0
	}
	w.waiting = append(w.waiting, p...)
	select {
	case w.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Close ends the log. It waits a moment for the disk and for the log group; what is not
// with the log group by then, the agent brings there.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.more)
	w.wrote.Wait()
	close(w.final)
	time.AfterFunc(closePatience, w.endStream)
	w.streamed.Wait()
	w.endStream()
	w.unlock()
}

// write brings what waits to the disk until the log is closed.
func (w *Writer) write() {
	defer w.file.Close()
	var deadline time.Time // once it is closed
	complained := false
	for {
		_, open := <-w.more
		for {
			w.mu.Lock()
			p := w.waiting
			w.waiting = nil
			w.mu.Unlock()
			if len(p) == 0 {
				break
			}
			n, err := w.file.Write(p)
			if err == nil {
				complained = false
				continue
			}
			w.mu.Lock()
			w.waiting = append(p[n:], w.waiting...)
			closed := w.closed
			w.mu.Unlock()
			if !complained {
				w.logger.Error("session log not written to the spool", "error", err)
				complained = true
			}
			if closed && deadline.IsZero() {
				deadline = time.Now().Add(closePatience)
			}
			if closed && time.Now().After(deadline) {
				w.logger.Error("the end of a session log is lost", "bytes", len(p)-n)
				return
			}
			<-time.After(retryDisk)
		}
		if !open {
			return
		}
	}
}

// stream sends events to the log group until the log is closed and all is sent, or ctx
// ends.
func (w *Writer) stream(ctx context.Context) {
	tick := time.NewTicker(streamInterval)
	defer tick.Stop()
	s := &streamer{dir: w.dir, settings: w.settings, service: w.service}
	wait, failures := time.Duration(0), 0
	for {
		final := false
		select {
		case <-tick.C:
		case <-w.final:
			final = true
		}
		if wait -= streamInterval; wait > 0 && !final {
			continue
		}
		if final && failures > 0 {
			return // the agent goes on trying; the end of the session does not wait for it
		}
		err := s.run(ctx, final)
		switch {
		case err == nil && failures > 0:
			w.logger.Info("session log reaches its log group again")
			failures, wait = 0, 0
		case err != nil:
			if failures++; failures == 1 {
				w.logger.Warn("session log does not reach its log group; it is kept and tried again", "group", w.settings.LogGroup, "error", err)
			}
			wait = min(streamInterval<<min(failures, 6), time.Minute)
		}
		if final {
			return
		}
	}
}
