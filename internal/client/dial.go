package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/batch"
	"sekisho/internal/message"
)

const (
	// pingInterval and silenceLimit find a dead gateway within 15 s: an idle
	// connection hears a pong every 8 s, and has 6 s to hear it.
	pingInterval = 8 * time.Second
	silenceLimit = 14 * time.Second
	silenceCheck = 500 * time.Millisecond

	// maxFrame is the largest frame that is read. Peers were seen to take 8 MiB
	// (protocol.md §2.6); a larger one is an attack on memory.
	maxFrame = 16 << 20
)

// StatusError is a refusal to open a websocket.
type StatusError struct {
	Status int
	Body   string // the beginning of the answer's body
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("the gateway answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Body != "" {
		text += fmt.Sprintf(" (%.200q)", e.Body)
	}
	return text
}

// errSilent ends a connection that nothing is heard on.
var errSilent = errors.New("nothing heard from the gateway")

// Dialer opens data channels over websockets.
type Dialer struct {
	HTTP *http.Client // see [HTTPClient]
}

// Dial connects to a stream URL and sends the opening message. ctx bounds the
// opening only.
func (d Dialer) Dial(ctx context.Context, streamURL string, open []byte) (Conn, error) {
	u, err := url.Parse(streamURL)
	if err != nil || u.Host == "" || (u.Scheme != "wss" && u.Scheme != "ws") {
		return nil, fmt.Errorf("open data channel: %q is not a websocket URL", streamURL)
	}
	c := &wsConn{heard: time.Now(), alive: make(chan struct{})}
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { c.batch = batch.Of(i.Conn) },
	})
	ws, answer, err := websocket.Dial(traced, streamURL, &websocket.DialOptions{
		HTTPClient: d.HTTP,
		// Compression is off by default: the stock gateway refuses extensions.
		OnPongReceived: func(context.Context, []byte) { c.hear(true) },
	})
	if err != nil {
		if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
			return nil, fmt.Errorf("open data channel: %w", &StatusError{Status: answer.StatusCode, Body: string(body)})
		}
		return nil, fmt.Errorf("open data channel: %w", err)
	}
	ws.SetReadLimit(maxFrame)
	c.ws = ws
	if err := ws.Write(ctx, websocket.MessageText, open); err != nil {
		ws.CloseNow()
		return nil, fmt.Errorf("send opening message: %w", err)
	}
	var life context.Context
	life, c.end = context.WithCancel(context.Background())
	c.keepers.Go(func() { c.ping(life) })
	c.keepers.Go(func() { c.listen(life) })
	return c, nil
}

// wsConn is one websocket. A goroutine pings and another watches for silence; both
// end with Close.
type wsConn struct {
	ws      *websocket.Conn
	batch   *batch.Conn // below ws, or nil
	end     context.CancelFunc
	keepers sync.WaitGroup
	alive   chan struct{} // closed when first heard

	mu      sync.Mutex // guards the following fields
	heard   time.Time  // last sign of life, or when the last read began
	reading bool       // a read is under way: silence is the gateway's
	served  bool       // alive is closed
	silent  bool       // given up for silence
}

func (c *wsConn) Alive() <-chan struct{} { return c.alive }

// hear notes a sign of life. A pong, or a whole frame, also shows that the opening
// message was taken: it stood before the ping.
func (c *wsConn) hear(served bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
	if served && !c.served {
		c.served = true
		close(c.alive)
	}
}

// setReading tells the watcher whether silence counts: while nobody reads, because
// the output is slow, a pong waits in the socket.
func (c *wsConn) setReading(reading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = reading
	c.heard = time.Now()
}

// ReadFrame gives the next binary message. Text has no meaning after the opening
// (protocol.md §2.6) and is passed over.
func (c *wsConn) ReadFrame(ctx context.Context) ([]byte, error) {
	c.setReading(true)
	defer c.setReading(false)
	for {
		kind, r, err := c.ws.Reader(ctx)
		if err != nil {
			return nil, c.explain(err)
		}
		frame, err := message.Read(hearing{c, r})
		if err != nil {
			return nil, c.explain(err)
		}
		if kind == websocket.MessageBinary {
			return frame, nil
		}
	}
}

// hearing is a message as it comes in: each piece is a sign of life.
type hearing struct {
	c *wsConn
	io.Reader
}

func (h hearing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.c.hear(err == io.EOF)
	return n, err
}

// explain names the silence that made the connection end, if it was that.
func (c *wsConn) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent {
		return fmt.Errorf("%w for %s", errSilent, silenceLimit)
	}
	return fmt.Errorf("read frame: %w", err)
}

func (c *wsConn) WriteFrame(ctx context.Context, frame []byte) error {
	err := c.batch.Join(ctx, func() error {
		return c.ws.Write(ctx, websocket.MessageBinary, frame)
	}, c.ws.CloseNow)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// Close drops the connection as the stock peers do, without a closing handshake
// (protocol.md §2.8).
func (c *wsConn) Close() error {
	c.end()
	err := c.ws.CloseNow()
	c.keepers.Wait()
	return err
}

// ping sends pings, one at a time: the first at once, as the stock client does. It
// waits for a blocked write and for a late pong; the watcher decides what is too late.
func (c *wsConn) ping(life context.Context) {
	for {
		if c.ws.Ping(life) != nil {
			return
		}
		if wait(life, pingInterval) != nil {
			return
		}
	}
}

// listen ends a connection on which nothing was heard for too long.
func (c *wsConn) listen(life context.Context) {
	tick := time.NewTicker(silenceCheck)
	defer tick.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		c.silent = c.reading && time.Since(c.heard) >= silenceLimit
		silent := c.silent
		c.mu.Unlock()
		if silent {
			c.ws.CloseNow()
			return
		}
	}
}
