package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

const (
	// openWindow is how long a session's first connection is tried for; a gateway
	// gives up on a node after about as long.
	openWindow = 30 * time.Second
	// resumeWindow is how long a lost connection is tried again for.
	resumeWindow = 15 * time.Minute
	// settledAfter is how long a connection must have lasted for its loss to be
	// retried at once.
	settledAfter = 250 * time.Millisecond
)

// link keeps a session's data channel connected.
type link struct {
	server  *server
	creds   *credentials
	ch      *datachannel.Channel
	nodeID  string
	session string
	pace    pace
	logger  *slog.Logger

	mu    sync.Mutex // guards the following
	conn  *conn      // nil while there is none
	since time.Time  // when conn was set or lost
	ever  bool       // there was one
	over  bool       // no other is wanted
}

func (l *link) set(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.since = c, time.Now()
	l.ever = l.ever || c != nil
}

// byePatience bounds the wait for the gateway's answer to a close.
const byePatience = time.Second

// finish ends the connection so that everything sent arrives, and asks for no other.
// The returned channel is closed when nothing of it is left, which is soon after the
// context of run has ended.
func (l *link) finish() <-chan struct{} {
	l.mu.Lock()
	l.over = true
	c := l.conn
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c != nil {
			c.bye()
		}
	}()
	timer := time.NewTimer(byePatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return done
}

func (l *link) finished() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// never says that no connection was ever made.
func (l *link) never() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ever
}

// current is the connection and since when it is there, or nil and since when not.
func (l *link) current() (*conn, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn, l.since
}

// run connects again and again until ctx ends, the session is over, or nothing was
// reached for too long. It returns which.
func (l *link) run(ctx context.Context) error {
	first, window := true, openWindow
	lost := time.Now()
	retry := quickRetry{}
	for {
		opened := time.Now()
		err := l.serve(ctx, first)
		switch conn, since := l.current(); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errSessionOver), errors.Is(err, datachannel.ErrClosed), l.finished():
			return err
		case conn != nil: // it was open until now
			l.set(nil)
			first, window, lost = false, resumeWindow, time.Now()
			switch {
			case time.Since(since) >= settledAfter:
				retry = quickRetry{}
			case !conn.lastAck().IsZero(): // it was of some use
				retry = quickRetry{attempts: 1}
			}
			l.logger.Info("data channel lost", "reason", err, "lasted", time.Since(opened).Round(time.Millisecond))
		case time.Since(lost) > window:
			return fmt.Errorf("nothing reached for %s: %w", window, err)
		default:
			l.logger.Info("data channel not open", "error", err)
		}
		if !wait(ctx, retry.next()) {
			return context.Cause(ctx)
		}
	}
}

// serve opens one connection and runs the channel over it until it fails. While it is
// open, and until the caller has noticed its end, it is the link's conn.
func (l *link) serve(ctx context.Context, first bool) error {
	var c *conn
	err := l.creds.use(ctx, func(creds Credentials) (err error) {
		c, err = l.server.connect(ctx, creds, dataChannel(l.nodeID, l.session), l.pace)
		return err
	})
	if err != nil {
		return err
	}
	if first {
		// Before Serve, so that it comes before all output.
		err := c.WriteFrame(ctx, sessionState(l.session, message.StateConnected))
		if err != nil {
			c.Close()
			return fmt.Errorf("announce the session: %w", err)
		}
	}
	l.set(c)
	l.logger.Debug("data channel open")
	watchCtx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	var silent error // set by the watcher before it ends
	watch.Go(func() { silent = c.keepAlive(watchCtx) })
	err = l.ch.Serve(ctx, c)
	cancel()
	watch.Wait()
	return errors.Join(silent, err)
}

// sessionState is the frame of agent_session_state.
func sessionState(sessionID, state string) []byte {
	return message.Append(nil, stateMessage(sessionID, state))
}

func stateMessage(sessionID, state string) message.Message {
	return message.Message{
		Type: message.TypeAgentSessionState, Flags: message.FlagsControl,
		Payload: message.Marshal(message.SessionState{SchemaVersion: 1, SessionState: state, SessionId: sessionID}),
	}
}

// quickRetry spaces a session's attempts: the first at once, because most losses are a
// server's restart or a passing cut, then 100 ms and twice as long each time, up to 5 s.
// Sessions of a node are few, so they need no spread.
type quickRetry struct{ attempts int }

func (q *quickRetry) next() time.Duration {
	q.attempts++
	switch {
	case q.attempts == 1:
		return 0
	case q.attempts > 7:
		return 5 * time.Second
	}
	return min(5*time.Second, 100*time.Millisecond<<(q.attempts-2))
}
