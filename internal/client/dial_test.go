package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/message"
)

// memoryGateway serves one websocket over an in-memory connection, so that time can
// be a bubble's. The handler's end is the connection's.
func memoryGateway(t *testing.T, handle func(net.Conn, *websocket.Conn)) *http.Client {
	nearEnd, farEnd := net.Pipe()
	near, far := newSocket(nearEnd), newSocket(farEnd)
	listener := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	listener.conns <- far
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		handle(far, ws)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		near.Close()
		far.Close()
		serving.Wait()
	})
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return near, nil },
		DisableKeepAlives: true,
	}}
}

// socket gives a connection the send buffer that a socket has.
type socket struct {
	net.Conn
	out    chan []byte
	once   sync.Once
	closed chan struct{}
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c, out: make(chan []byte, 64), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-s.out:
				if _, err := s.Conn.Write(b); err != nil {
					return
				}
			case <-s.closed:
				return
			}
		}
	}()
	return s
}

func (s *socket) Write(b []byte) (int, error) {
	select {
	case s.out <- bytes.Clone(b):
		return len(b), nil
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// oneConn is a listener of one connection.
type oneConn struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

const memoryURL = "ws://gateway.test/v1/data-channel/s?role=publish_subscribe"

func TestDeadGatewayIsNoticedWithin15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan struct{})
		h := memoryGateway(t, func(_ net.Conn, ws *websocket.Conn) {
			ws.Read(context.Background()) // the opening message
			<-dead                        // and then nothing: no read, no pong
		})
		defer close(dead)
		conn, err := Dialer{HTTP: h}.Dial(context.Background(), memoryURL, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		_, err = conn.ReadFrame(context.Background())
		if took := time.Since(began); !errors.Is(err, errSilent) || took > 15*time.Second || took < silenceLimit {
			t.Errorf("read ended with %v after %s, want silence noticed in %s", err, took, silenceLimit)
		}
		select {
		case <-conn.Alive():
			t.Error("a gateway that never answered counts as alive")
		default:
		}
	})
}

func TestAQuietGatewayIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryGateway(t, func(_ net.Conn, ws *websocket.Conn) {
			for { // reading answers pings
				if _, _, err := ws.Read(context.Background()); err != nil {
					return
				}
			}
		})
		conn, err := Dialer{HTTP: h}.Dial(context.Background(), memoryURL, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := conn.ReadFrame(context.Background())
			ended <- err
		}()
		<-conn.Alive()
		select {
		case err := <-ended:
			t.Errorf("a connection without traffic ended: %v", err)
		case <-time.After(time.Hour):
		}
		conn.Close()
		<-ended
	})
}

// While nobody reads, because the output is slow, pongs are not seen either.
func TestSlowOutputIsNotADeadGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send := make(chan struct{})
		h := memoryGateway(t, func(_ net.Conn, ws *websocket.Conn) {
			var writer sync.WaitGroup
			defer writer.Wait()
			writer.Go(func() {
				for range send {
					ws.Write(context.Background(), websocket.MessageBinary, []byte("frame"))
				}
			})
			for {
				if _, _, err := ws.Read(context.Background()); err != nil {
					return
				}
			}
		})
		defer close(send)
		conn, err := Dialer{HTTP: h}.Dial(context.Background(), memoryURL, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			send <- struct{}{}
			frame, err := conn.ReadFrame(context.Background())
			if err != nil || string(frame) != "frame" {
				t.Fatalf("read %q, %v", frame, err)
			}
			time.Sleep(time.Minute) // the output takes its time
		}
		conn.Close()
	})
}

func TestTextAndFragmentsFromTheGateway(t *testing.T) {
	large := strings.Repeat("large ", 100_000)
	synctest.Test(t, func(t *testing.T) {
		h := memoryGateway(t, func(_ net.Conn, ws *websocket.Conn) {
			ctx := context.Background()
			ws.Read(ctx)
			ws.Write(ctx, websocket.MessageText, []byte("stray"))
			w, err := ws.Writer(ctx, websocket.MessageBinary)
			if err != nil {
				t.Error(err)
				return
			}
			for rest := large; rest != ""; {
				n := min(len(rest), 4096)
				w.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			w.Close()
			ws.Read(ctx)
		})
		conn, err := Dialer{HTTP: h}.Dial(context.Background(), memoryURL, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		frame, err := conn.ReadFrame(context.Background())
		if err != nil || string(frame) != large {
			t.Errorf("read %d bytes, %v; want the %d of the binary message", len(frame), err, len(large))
		}
	})
}

func TestFrameOverTheLimitEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryGateway(t, func(far net.Conn, ws *websocket.Conn) {
			ws.Read(context.Background())
			w := bufio.NewWriter(far)
			w.Write([]byte{0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) // binary, of nearly 2^63 bytes
			chunk := make([]byte, 64<<10)
			for range 2*maxFrame/len(chunk) + 1 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			t.Error("the client read on")
		})
		conn, err := Dialer{HTTP: h}.Dial(context.Background(), memoryURL, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if frame, err := conn.ReadFrame(context.Background()); err == nil {
			t.Errorf("read a frame of %d bytes", len(frame))
		}
	})
}

func TestOnlyWebsocketURLsAreDialled(t *testing.T) {
	for _, u := range []string{"", "https://gateway.test/", "file:///etc/passwd", "wss://", "://", "gateway.test"} {
		if _, err := (Dialer{HTTP: http.DefaultClient}).Dial(context.Background(), u, nil); err == nil || !strings.Contains(err.Error(), "websocket URL") {
			t.Errorf("dialled %q: %v", u, err)
		}
	}
}

// A node that sends faster than the user's output takes it is held back.
func TestFloodAgainstSlowOutputStaysBounded(t *testing.T) {
	const total, chunk = 100 << 20, 32 << 10
	g, u := gatewayUser(t)
	u.out.gate = make(chan struct{})
	small := &slow{gate: u.out.gate}
	u.options.Stdout = small
	u.start()
	u.out.gate <- struct{}{} // the starting line
	sent := make(chan int, total/chunk+1)
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		payload := make([]byte, chunk)
		for n := range total / chunk {
			if g.Agent.Send(u.ctx, message.PayloadOutput, payload) != nil {
				return
			}
			sent <- n
		}
	}()
	// Let it run until the node is stuck: windows and buffers are full.
	stuck := 0
	for last := -1; stuck < 5; {
		runtime.Gosched()
		if n := len(sent); n != last {
			last, stuck = n, 0
		} else {
			stuck++
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-u.ctx.Done():
			t.Fatal("flood does not come to rest")
		}
	}
	// The node's window of 4 MiB is all that can be under way.
	if got := len(sent) * chunk; got > 16<<20 {
		t.Errorf("%d bytes left the node while the output stood still", got)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("heap holds %d bytes", m.HeapAlloc)
	}
	close(u.out.gate)
	<-flooded // Send ends with u.ctx at the latest
	if err := g.End(u.ctx, ""); err != nil {
		t.Fatal(err)
	}
	if len(sent) != total/chunk {
		t.Fatalf("%d of %d messages were sent", len(sent), total/chunk)
	}
}

// slow is an output that drops what it gets, when it is let.
type slow struct{ gate chan struct{} }

func (s *slow) Write(b []byte) (int, error) {
	<-s.gate
	return len(b), nil
}
