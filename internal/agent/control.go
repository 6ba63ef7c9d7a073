package agent

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/platform"
)

const (
	// steadyAfter is how long a control channel must have lasted for the next loss to
	// be retried quickly: two nodes with one identity take turns otherwise.
	steadyAfter = 10 * time.Second
	// writeTimeout bounds one write on the control channel.
	writeTimeout = 10 * time.Second
)

// uplink is the control channel as seen by those who send on it: there or not.
type uplink struct {
	mu   sync.Mutex    // guards the following
	conn *conn         // nil while there is none
	up   chan struct{} // closed when conn is set; replaced when it is lost
}

func (u *uplink) init() { u.up = make(chan struct{}) }

func (u *uplink) set(c *conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case c != nil:
		close(u.up)
	case u.conn != nil:
		u.up = make(chan struct{})
	}
	u.conn = c
}

// send sends m as soon as there is a control channel. When one fails in the middle the
// next is waited for.
func (u *uplink) send(ctx context.Context, m message.Message) error {
	frame := message.Append(nil, m)
	for {
		u.mu.Lock()
		c, up := u.conn, u.up
		u.mu.Unlock()
		if c != nil {
			writeCtx, cancel := context.WithTimeout(ctx, writeTimeout)
			err := c.WriteFrame(writeCtx, frame)
			cancel()
			if err == nil || ctx.Err() != nil {
				return err
			}
			c.Close() // the reader notices and takes the next
			if !wait(ctx, 50*time.Millisecond) {
				return context.Cause(ctx)
			}
			continue
		}
		select {
		case <-up:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// keepControl keeps a control channel open until ctx ends. tasks is the context of what
// comes in on it.
func (a *agent) keepControl(ctx, tasks context.Context) {
	retry := backoff{min: 500 * time.Millisecond, max: 30 * time.Second}
	for ctx.Err() == nil {
		opened, err := a.serveControl(ctx, tasks)
		if ctx.Err() != nil {
			return
		}
		if !opened.IsZero() && time.Since(opened) >= steadyAfter {
			retry.reset()
		}
		delay := retry.next()
		a.logger.Warn("control channel not open", "error", err, "hint", Hint(err), "retry_in", delay)
		wait(ctx, delay)
	}
}

// serveControl opens a control channel and serves it until it fails. opened is zero if
// it never opened.
func (a *agent) serveControl(ctx, tasks context.Context) (opened time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var c *conn
	err = a.creds.use(ctx, func(creds Credentials) (err error) {
		c, err = a.server.connect(ctx, creds, controlChannel(a.reg.NodeID, platformType()), a.cfg.pace)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	defer c.Close()
	opened = time.Now()
	a.logger.Info("control channel open")
	a.online()

	var watch sync.WaitGroup
	var silent error // set by the watcher before it ends
	watch.Go(func() { silent = c.keepAlive(ctx) })
	a.control.set(c)
	for {
		var frame []byte
		if frame, err = c.ReadFrame(ctx); err != nil {
			break
		}
		a.receive(tasks, frame)
	}
	a.control.set(nil)
	cancel()
	watch.Wait()
	return opened, errors.Join(silent, err)
}

// platformType is the platform as the first message of a control channel has it.
func platformType() string { return strings.ToLower(platform.Local().Type) }

// receive takes one frame of the control channel. It never blocks on a session, and
// nothing in a frame ends the channel: that would take the node off for everybody.
func (a *agent) receive(ctx context.Context, frame []byte) {
	m, err := message.Parse(frame)
	if err != nil {
		a.logger.Warn("bad frame on the control channel", "error", err)
		return
	}
	switch m.Type {
	case message.TypeInteractiveShell:
		a.startSession(ctx, m.Payload)
	case message.TypeChannelClosed:
		closed, err := message.ParseChannelClosed(m.Payload)
		if err != nil {
			a.logger.Warn("bad frame on the control channel", "error", err)
			return
		}
		a.sessions.terminate(closed.SessionId, a.logger)
	case message.TypeAgentTaskAcknowledge:
		ack, err := message.ParseTaskAcknowledge(m.Payload)
		if err != nil {
			a.logger.Warn("bad frame on the control channel", "error", err)
			return
		}
		a.sessions.acknowledged(ack.MessageId)
	default:
		a.logger.Debug("message passed over", "type", string(m.Type))
	}
}
