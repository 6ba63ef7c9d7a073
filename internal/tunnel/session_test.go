package tunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"sekisho/internal/message"
)

// lane is a [Carriage] to another session: a goroutine delivers frames one at a time, as
// a data channel's reader does.
type lane struct {
	t      testing.TB
	frames chan []byte
}

const laneHeadroom = 3

func (l *lane) Buffer(large bool) []byte {
	if large {
		return make([]byte, 0, message.BulkPayload+1000)
	}
	return make([]byte, 0, 1<<10)
}
func (l *lane) Recycle([]byte)    {}
func (l *lane) Headroom() int     { return laneHeadroom }
func (l *lane) Post(frame []byte) { l.frames <- frame }
func (l *lane) Send(ctx context.Context, frame []byte) error {
	if n := len(frame) - laneHeadroom; n > message.BulkPayload {
		l.t.Errorf("a frame has %d bytes", n)
	}
	select {
	case l.frames <- frame:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pair connects a client's session to a node's that dials.
func pair(t testing.TB, dial func(context.Context) (Conn, error), refused func(error)) *Session {
	up, down := &lane{t, make(chan []byte, 1<<14)}, &lane{t, make(chan []byte, 1<<14)}
	client := NewSession(up, nil, refused)
	node := NewSession(down, dial, func(error) {})
	quit := make(chan struct{})
	var carrying sync.WaitGroup
	carry := func(l *lane, to *Session) {
		for {
			select {
			case frame := <-l.frames:
				if err := to.Deliver(frame[laneHeadroom:], frame); err != nil {
					t.Errorf("deliver: %v", err)
				}
			case <-quit:
				return
			}
		}
	}
	carrying.Go(func() { carry(up, node) })
	carrying.Go(func() { carry(down, client) })
	t.Cleanup(func() {
		client.Close()
		node.Close()
		close(quit)
		carrying.Wait()
	})
	return client
}

// serve accepts connections on loopback until the test ends.
func serve(t testing.TB, handle func(*net.TCPConn)) func(context.Context) (Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return func(ctx context.Context) (Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
}

// local gives the two ends of a TCP connection.
func local(t testing.TB) (app, tunnelled *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// TestHalfClose sends random amounts both ways: the service answers only when it has seen
// the end of what it is sent, with a digest of it and as much again.
func TestHalfClose(t *testing.T) {
	client := pair(t, serve(t, func(c *net.TCPConn) {
		content, err := io.ReadAll(c)
		if err != nil {
			return
		}
		sum := sha256.Sum256(content)
		c.Write(sum[:])
		c.Write(content)
	}), func(error) {})
	var all sync.WaitGroup
	for i := range 40 {
		app, tunnelled := local(t)
		done, err := client.Open(tunnelled)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			content := make([]byte, rand.IntN(1<<(i%20+1)))
			rand.NewChaCha8([32]byte{byte(i)}).Read(content)
			go func() {
				app.Write(content)
				app.CloseWrite()
			}()
			answer, err := io.ReadAll(app)
			sum := sha256.Sum256(content)
			if err != nil || !bytes.Equal(answer, append(sum[:], content...)) {
				t.Errorf("%d bytes came back of %d (%v), or others", len(answer)-len(sum), len(content), err)
			}
			app.Close()
			<-done
		})
	}
	all.Wait()
	client.mu.Lock()
	defer client.mu.Unlock()
	if len(client.streams) != 0 || client.granted != 0 {
		t.Errorf("%d streams and %d bytes of windows are left", len(client.streams), client.granted)
	}
}

// TestStalledStream has one stream that nobody reads: others go on, and what is kept of
// it is bounded by its window.
func TestStalledStream(t *testing.T) {
	stalled := make(chan struct{})
	client := pair(t, serve(t, func(c *net.TCPConn) {
		kind := []byte{0}
		if _, err := io.ReadFull(c, kind); err != nil {
			return
		}
		if kind[0] == 'x' {
			<-stalled
			return
		}
		io.Copy(c, c)
		c.CloseWrite()
	}), func(error) {})
	t.Cleanup(func() { close(stalled) }) // before that of serve, which waits for the service
	app, tunnelled := local(t)
	if _, err := client.Open(tunnelled); err != nil {
		t.Fatal(err)
	}
	app.Write([]byte{'x'})
	var flooding sync.WaitGroup
	flooding.Go(func() { io.Copy(app, zeros{}) })
	defer flooding.Wait()
	defer app.Close()
	for range 20 {
		other, tunnelled := local(t)
		if _, err := client.Open(tunnelled); err != nil {
			t.Fatal(err)
		}
		content := bytes.Repeat([]byte{'e'}, 300_000)
		go func() {
			other.Write(append([]byte{'e'}, content...))
			other.CloseWrite()
		}()
		if got, err := io.ReadAll(other); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("beside a stalled stream: %d bytes, %v", len(got), err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestRefusedAndReset holds that a client learns that nobody listens, and that a reset on
// one end is one on the other.
func TestRefusedAndReset(t *testing.T) {
	refusal := make(chan error, 1)
	client := pair(t, func(context.Context) (Conn, error) { return nil, errors.New("nobody listens") },
		func(err error) { refusal <- err })
	app, tunnelled := local(t)
	done, err := client.Open(tunnelled)
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if err := <-refusal; !errors.Is(err, errRefused) {
		t.Errorf("refused with %v", err)
	}
	if _, err := app.Read(make([]byte, 1)); err == nil {
		t.Error("a refused connection can be read")
	}
	client = pair(t, serve(t, func(c *net.TCPConn) {
		c.Read(make([]byte, 1))
		c.SetLinger(0)
	}), func(error) {})
	app, tunnelled = local(t)
	if done, err = client.Open(tunnelled); err != nil {
		t.Fatal(err)
	}
	app.Write([]byte{1})
	if _, err := app.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a reset is %v on the other end", err)
	}
	<-done
}

// FuzzDeliver gives both ends whatever a hostile peer sends.
func FuzzDeliver(f *testing.F) {
	f.Add([]byte{8, kindOpen, 0, 0, 0, 0, 0, 0, 1, 10, kindData, 0, 0, 0, 0, 0, 0, 1, 'a', 'b'})
	f.Add([]byte{8, kindOpen, 0, 0, 0, 0, 0, 0, 2, 8, kindEnd, 0, 0, 0, 0, 0, 0, 2, 12, kindCredit, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0})
	f.Add([]byte{8, kindRefuse, 0, 0, 0, 0, 0, 0, 1, 8, kindReset, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		out := &lane{t, make(chan []byte, 1<<14)}
		dial := func(context.Context) (Conn, error) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			return halfPipe{near}, nil
		}
		for _, s := range []*Session{NewSession(out, dial, func(error) {}), NewSession(out, nil, func(error) {})} {
			if near, far := net.Pipe(); s.dial == nil {
				go io.Copy(io.Discard, far)
				s.Open(halfPipe{near})
			}
			for rest := text; len(rest) > 0; {
				n := min(int(rest[0]), len(rest)-1)
				frame := bytes.Clone(rest[1 : 1+n])
				if s.Deliver(frame, nil) != nil {
					break
				}
				rest = rest[1+n:]
			}
			s.mu.Lock()
			for id, st := range s.streams {
				if st.queued > st.window || st.window > maxWindow {
					t.Errorf("stream %d keeps %d bytes with a window of %d", id, st.queued, st.window)
				}
			}
			s.mu.Unlock()
			s.Close()
		}
	})
}

type halfPipe struct{ net.Conn }

func (h halfPipe) CloseWrite() error { return h.Close() }

// TestMalformed holds what is no frame, or breaks a window.
func TestMalformed(t *testing.T) {
	s := NewSession(&lane{t, make(chan []byte, 16)}, func(ctx context.Context) (Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, func(error) {})
	defer s.Close()
	frame := func(kind byte, id uint32, data ...byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{kind, 0, 0, 0}, id), data...)
	}
	if err := s.Deliver(frame(kindOpen, 1), nil); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string][]byte{
		"short": {1, 2, 3}, "unknown kind": frame(99, 1), "same stream": frame(kindOpen, 1), "older stream": frame(kindOpen, 0),
		"credit of 3 bytes": frame(kindCredit, 1, 1, 2, 3), "huge credit": frame(kindCredit, 1, 255, 255, 255, 255),
		"more than the window": frame(kindData, 1, make([]byte, firstWindow+1)...),
	} {
		if err := s.Deliver(f, nil); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v, want malformed", name, err)
		}
	}
}

// TestSingleBytes holds that data in tiny pieces does not cost a frame each.
func TestSingleBytes(t *testing.T) {
	s := NewSession(&lane{t, make(chan []byte, 16)}, func(ctx context.Context) (Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, func(error) {})
	defer s.Close()
	header := []byte{kindOpen, 0, 0, 0, 0, 0, 0, 1}
	if err := s.Deliver(header, nil); err != nil {
		t.Fatal(err)
	}
	header[0] = kindData
	var sent, kept []byte
	for i := range firstWindow {
		sent = append(sent, byte(i*7))
		frame := append(append(make([]byte, 0, 8<<10), header...), byte(i*7))
		if err := s.Deliver(frame, frame); err != nil {
			t.Fatal(err)
		}
	}
	st := s.streams[1]
	for _, p := range st.queue {
		kept = append(kept, p.data...)
	}
	if !bytes.Equal(kept, sent) {
		t.Error("the bytes changed")
	}
	if len(st.queue) > 16 || st.queued != firstWindow {
		t.Errorf("%d bytes are in %d frames", st.queued, len(st.queue))
	}
}
