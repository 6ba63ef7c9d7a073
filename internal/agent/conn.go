package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/batch"
	"sekisho/internal/message"
)

// pace says how a connection is watched.
type pace struct {
	Interval time.Duration // between pings
	Pong     time.Duration // how long the answer may take
	// Stalled replaces the sum of the two while a write is stuck, because the peer
	// then cannot read our ping: it holds us back on purpose, or it is dead.
	Stalled time.Duration
}

// defaultPace notices a dead peer within 18 s and costs 5 pings a minute: of it there are
// as many as nodes.
var defaultPace = pace{Interval: 12 * time.Second, Pong: 6 * time.Second, Stalled: time.Minute}

// sessionPace notices a dead peer within 15 s, for a user waits.
var sessionPace = pace{Interval: 9 * time.Second, Pong: 5 * time.Second, Stalled: time.Minute}

// maxFrame bounds one message from the gateway. Stock clients send up to 1 KiB and ours
// 64 KiB; stock agents were seen to take 8 MiB (protocol.md §2.6).
const maxFrame = 8<<20 + message.HeaderSize

// errSilent says that the peer answers no ping.
var errSilent = errors.New("the server does not answer any more")

// conn is one websocket to the gateway; it is a datachannel.FrameConn.
type conn struct {
	ws    *websocket.Conn
	batch *batch.Conn // below ws, or nil
	pace  pace

	born     time.Time
	heardAt  atomic.Int64 // nanoseconds since born: the last sign of life
	ackedAt  atomic.Int64 // nanoseconds since born: the last acknowledgement
	stuckFor atomic.Int64 // nanoseconds since born when the running write began, or 0
}

func newConn(p pace) *conn { return &conn{pace: p, born: time.Now()} }

// attach gives the connection its websocket, before anything else uses it.
func (c *conn) attach(ws *websocket.Conn) {
	ws.SetReadLimit(maxFrame)
	c.ws = ws
	c.heard()
}

func (c *conn) age() int64 { return max(1, int64(time.Since(c.born))) }
func (c *conn) heard()     { c.heardAt.Store(c.age()) }

// lastAck is when the peer last acknowledged something, or the zero time.
func (c *conn) lastAck() time.Time {
	if at := c.ackedAt.Load(); at != 0 {
		return c.born.Add(time.Duration(at))
	}
	return time.Time{}
}

// ReadFrame returns the next binary message in memory of its own, as [message.Read] does. Text messages are
// passed over: a gateway sends none.
func (c *conn) ReadFrame(ctx context.Context) ([]byte, error) {
	for {
		kind, r, err := c.ws.Reader(ctx)
		if err != nil {
			return nil, err
		}
		frame, err := message.Read(r)
		if err != nil {
			return nil, err
		}
		c.heard()
		if kind != websocket.MessageBinary {
			continue
		}
		if h, err := message.ParseHeader(frame); err == nil && h.Type == message.TypeAcknowledge {
			c.ackedAt.Store(c.age())
		}
		return frame, nil
	}
}

// WriteFrame sends one binary message.
func (c *conn) WriteFrame(ctx context.Context, frame []byte) error {
	c.stuckFor.Store(c.age())
	defer c.stuckFor.Store(0)
	return c.batch.Join(ctx, func() error {
		return c.ws.Write(ctx, websocket.MessageBinary, frame)
	}, c.ws.CloseNow)
}

func (c *conn) writeText(ctx context.Context, text []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, text)
}

// Close drops the connection without a word, as the stock agent does (protocol.md §2.8).
func (c *conn) Close() error { return c.ws.CloseNow() }

// bye ends the connection so that what was written before arrives: it says so and waits
// for the answer, which the library bounds to some seconds. Dropping the connection
// could take unread output with it.
func (c *conn) bye() { c.ws.Close(websocket.StatusNormalClosure, "") }

// keepAlive pings until ctx ends, or drops a connection whose peer is silent and says so.
func (c *conn) keepAlive(ctx context.Context) error {
	ticker := time.NewTicker(c.pace.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		pongCtx, cancel := context.WithTimeout(ctx, c.pace.Pong)
		err := c.ws.Ping(pongCtx)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && c.silent() {
			c.Close()
			return errSilent
		}
	}
}

// silent says whether the peer gave no sign of life for too long. Anything received
// counts: a busy peer may answer a ping late.
func (c *conn) silent() bool {
	now := c.age()
	limit := c.pace.Interval
	if began := c.stuckFor.Load(); began != 0 && time.Duration(now-began) > c.pace.Pong {
		limit = c.pace.Stalled
	}
	return time.Duration(now-c.heardAt.Load()) >= limit
}
