package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/batch"
	"sekisho/internal/message"
)

// Sizes of what a peer may send, in bytes, checked before anything is allocated.
const (
	// maxOpenMessage bounds the first (text) message of a channel; real ones have
	// about 300 bytes.
	maxOpenMessage = 16 << 10
	// maxFrame bounds one binary message. Stock peers send up to 1 KiB on a data
	// channel and 142,000 bytes on a control channel (protocol.md §2.6); ours up to
	// 64 KiB, later tunnels up to 1 MiB.
	maxFrame = 4 << 20
)

// wire is one websocket connection.
type wire struct {
	ws     *websocket.Conn
	batch  *batch.Conn // below ws, or nil
	remote string
}

// idleBuffer is the size of both buffers of a connection that is idle nearly always. What
// is larger passes them by.
const idleBuffer = 512

// smallBuffers gives an upgraded connection buffers of idleBuffer in place of net/http's.
// There are as many of them as nodes.
type smallBuffers struct{ http.ResponseWriter }

// Hijack is of [http.Hijacker].
func (w smallBuffers) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, old, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// A peer that was quick sent something with its request.
	if early, _ := old.Reader.Peek(old.Reader.Buffered()); len(early) > 0 {
		conn = &earlyConn{Conn: conn, early: bytes.Clone(early)}
	}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, idleBuffer), bufio.NewWriterSize(conn, idleBuffer)), nil
}

// earlyConn is a connection of which the first bytes were read already.
type earlyConn struct {
	net.Conn
	early []byte // owned by the reader
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	if c.early = c.early[n:]; len(c.early) == 0 {
		c.early = nil
	}
	return n, nil
}

// hijacked remembers the connection that was upgraded.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack is of [http.Hijacker].
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	var hijacker http.Hijacker = http.NewResponseController(h.ResponseWriter)
	if own, ok := h.ResponseWriter.(http.Hijacker); ok {
		hijacker = own
	}
	conn, rw, err := hijacker.Hijack()
	h.conn = conn
	return conn, rw, err
}

// accept answers the upgrade. Stock peers offer neither subprotocol nor extension and
// want the Connection header to be the single word "Upgrade" (protocol.md §2.4).
func accept(w http.ResponseWriter, r *http.Request) (*wire, error) {
	h := &hijacked{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled,
		// Possession of a token opens a channel, not a browser's cookie, so a page of
		// another origin gains nothing.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return nil, fmt.Errorf("accept the websocket: %w", err)
	}
	ws.SetReadLimit(maxOpenMessage)
	return &wire{ws: ws, batch: batch.Of(h.conn), remote: r.RemoteAddr}, nil
}

// opening reads the first message. Later ones may be larger.
func (w *wire) opening(ctx context.Context) ([]byte, error) {
	kind, data, err := w.ws.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the first message: %w", err)
	}
	if kind != websocket.MessageText {
		return nil, fmt.Errorf("read the first message: not a text message")
	}
	w.ws.SetReadLimit(maxFrame)
	return data, nil
}

// read returns the next binary message in memory of its own, as [message.Read] does. Text messages are passed
// over: no peer sends one after the first.
func (w *wire) read(ctx context.Context) ([]byte, error) {
	for {
		kind, r, err := w.ws.Reader(ctx)
		if err != nil {
			return nil, err
		}
		frame, err := message.Read(r)
		if err != nil {
			return nil, err
		}
		if kind == websocket.MessageBinary {
			return frame, nil
		}
	}
}

// write sends one binary message. When ctx ends first the connection is closed.
func (w *wire) write(ctx context.Context, frame []byte) error {
	return w.batch.Join(ctx, func() error {
		return w.ws.Write(ctx, websocket.MessageBinary, frame)
	}, w.ws.CloseNow)
}

// ping asks the peer for a pong and waits for it; somebody must be reading.
func (w *wire) ping(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return w.ws.Ping(ctx)
}

// close drops the connection without waiting for the peer: neither stock peer answers a
// close frame in a useful way (protocol.md §2.8).
func (w *wire) close() { _ = w.ws.CloseNow() }
