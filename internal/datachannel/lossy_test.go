package datachannel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
)

// errCut is what both ends see when a leg is cut.
var errCut = errors.New("connection cut")

// leg is a connection that dies after a number of frames in either direction,
// and takes what is on its way along: unlike [Pipe], neither end reads on.
type leg struct {
	mu     sync.Mutex // guards left
	left   int
	once   sync.Once
	broken chan struct{}
}

func newLeg(frames int) (FrameConn, FrameConn) {
	l := &leg{left: frames, broken: make(chan struct{})}
	a, b := Pipe()
	return &legEnd{a, l}, &legEnd{b, l}
}

func (l *leg) cut() { l.once.Do(func() { close(l.broken) }) }

type legEnd struct {
	FrameConn
	leg *leg
}

func (e *legEnd) ReadFrame(ctx context.Context) ([]byte, error) {
	return limited(ctx, e.leg, func(ctx context.Context) ([]byte, error) { return e.FrameConn.ReadFrame(ctx) })
}

func (e *legEnd) WriteFrame(ctx context.Context, frame []byte) error {
	e.leg.mu.Lock()
	e.leg.left--
	if e.leg.left < 0 {
		e.leg.cut()
	}
	e.leg.mu.Unlock()
	_, err := limited(ctx, e.leg, func(ctx context.Context) (any, error) { return nil, e.FrameConn.WriteFrame(ctx, frame) })
	return err
}

func (e *legEnd) Close() error {
	e.leg.cut()
	return e.FrameConn.Close()
}

// limited calls f with a context that ends when the leg is cut.
func limited[T any](ctx context.Context, l *leg, f func(context.Context) (T, error)) (T, error) {
	var zero T
	select {
	case <-l.broken:
		return zero, errCut
	default:
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-l.broken:
			cancel(errCut)
		case <-done:
		}
	}()
	v, err := f(ctx)
	close(done)
	<-finished
	select {
	case <-l.broken: // the frame was on its way
		return zero, errCut
	default:
	}
	return v, err
}

// reconnecting serves c over one connection after the other until ctx ends.
func reconnecting(ctx context.Context, c *Channel, dial func() FrameConn) {
	for ctx.Err() == nil {
		_ = c.Serve(ctx, dial())
	}
}

// pump sends size pseudo-random bytes in messages of random length and returns
// their hash.
func pump(t testing.TB, c *Channel, seed uint64, size int) [sha256.Size]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	h := sha256.New()
	for size > 0 {
		b := make([]byte, min(size, 1+r.IntN(32<<10)))
		for i := 0; i < len(b); i += 16 { // enough to tell order
			b[i] = byte(r.Uint32())
		}
		h.Write(b)
		size -= len(b)
		if err := c.Send(t.Context(), message.PayloadOutput, b); err != nil {
			t.Errorf("send: %v", err)
			break
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// sink receives size bytes and returns their hash. Now and then it stops for a
// moment, as a terminal does.
func sink(t testing.TB, c *Channel, seed uint64, size int) [sha256.Size]byte {
	r := rand.New(rand.NewPCG(seed, 2))
	h := sha256.New()
	var waiting []*Inbound
	for next := int64(0); size > 0; next++ {
		in, err := c.Receive(t.Context())
		if err != nil {
			t.Errorf("receive: %v", err)
			break
		}
		if in.Sequence != next {
			t.Errorf("received %d, want %d", in.Sequence, next)
		}
		h.Write(in.Payload)
		size -= len(in.Payload)
		waiting = append(waiting, in)
		if len(waiting) > r.IntN(8) || size == 0 {
			for _, in := range waiting {
				in.Done()
			}
			waiting = waiting[:0]
		}
	}
	if size < 0 {
		t.Errorf("%d bytes too many", -size)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// exchange moves size bytes each way and compares.
func exchange(t testing.TB, agent, client *Channel, seed uint64, size int) {
	t.Helper()
	var sent, got [2][sha256.Size]byte
	var wg sync.WaitGroup
	wg.Go(func() { sent[0] = pump(t, agent, seed, size) })
	wg.Go(func() { sent[1] = pump(t, client, seed+1, size) })
	wg.Go(func() { got[0] = sink(t, client, seed, size) })
	wg.Go(func() { got[1] = sink(t, agent, seed+1, size) })
	wg.Wait()
	for i, direction := range []string{"output", "input"} {
		if sent[i] != got[i] {
			t.Errorf("%s arrived changed", direction)
		}
	}
	drain(t, agent)
	drain(t, client)
}

const lossySize = 10 << 20 // each way

// TestConformance28RandomCuts cuts the one connection between two channels again
// and again in the middle of 10 MB each way.
func TestConformance28RandomCuts(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 0))
				agent, client := New(Config{Role: Agent}), New(Config{Role: Client})
				ctx, stop := context.WithCancel(t.Context())
				clientEnds := make(chan FrameConn)
				var wg sync.WaitGroup
				cuts := 0
				wg.Go(func() {
					reconnecting(ctx, agent, func() FrameConn {
						a, b := newLeg(1 + r.IntN(400))
						cuts++
						select {
						case clientEnds <- b:
						case <-ctx.Done():
						}
						return a
					})
				})
				wg.Go(func() {
					reconnecting(ctx, client, func() FrameConn {
						select {
						case b := <-clientEnds:
							return b
						case <-ctx.Done():
							a, _ := Pipe()
							return a
						}
					})
				})
				exchange(t, agent, client, seed, lossySize)
				stop()
				wg.Wait()
				if cuts < 10 {
					t.Errorf("only %d connections: the test lost its teeth", cuts)
				}
			})
		})
	}
}

// relay is a gateway that loses what was on its way to a connection that broke:
// the other end's connection stays up and learns nothing of it.
type relay struct {
	mu    sync.Mutex // guards what follows
	to    [2]FrameConn
	ready [2]chan struct{} // closed while to[i] is set
}

func newRelay() *relay {
	return &relay{ready: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
}

// attach relays from conn, the connection of side i, until it breaks.
func (r *relay) attach(ctx context.Context, i int, conn FrameConn) {
	defer conn.Close()
	r.mu.Lock()
	r.to[i] = conn
	close(r.ready[i])
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.ready[i] = make(chan struct{})
		r.mu.Unlock()
	}()
	for {
		frame, err := conn.ReadFrame(ctx)
		if err != nil {
			return
		}
		r.mu.Lock()
		ready := r.ready[1-i]
		r.mu.Unlock()
		select {
		case <-ready: // hold the frame for an absent side
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		to := r.to[1-i]
		r.mu.Unlock()
		_ = to.WriteFrame(ctx, frame) // lost, if it breaks just now
	}
}

// TestConformance28RandomCutsBehindARelay cuts the two legs of a relayed session
// independently.
func TestConformance28RandomCutsBehindARelay(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rly := newRelay()
				channels := [2]*Channel{New(Config{Role: Agent}), New(Config{Role: Client, Window: 256 << 10})}
				ctx, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for i, c := range channels {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					wg.Go(func() {
						var relaying sync.WaitGroup
						defer relaying.Wait()
						reconnecting(ctx, c, func() FrameConn {
							relaying.Wait()
							ours, theirs := newLeg(1 + r.IntN(600))
							relaying.Go(func() { rly.attach(ctx, i, theirs) })
							return ours
						})
					})
				}
				exchange(t, channels[0], channels[1], seed, lossySize)
				stop()
				wg.Wait()
			})
		})
	}
}

// stockClient receives as the official client does (protocol.md §8.1): nothing
// is acknowledged twice. Its connection comes and goes, its state stays.
type stockClient struct {
	expected int64
	early    map[int64]message.Message
	got      bytes.Buffer
	notReady int // messages in order to leave unacknowledged at the start
}

func (s *stockClient) serve(ctx context.Context, conn FrameConn) {
	defer conn.Close()
	for {
		frame, err := conn.ReadFrame(ctx)
		if err != nil {
			return
		}
		m, err := message.Parse(frame)
		if err != nil || m.Type != message.TypeOutputStreamData || m.Sequence < s.expected {
			continue
		}
		if m.Sequence > s.expected {
			if _, held := s.early[m.Sequence]; held || len(s.early) < clientReorder {
				s.early[m.Sequence] = m
				if conn.WriteFrame(ctx, message.AppendAcknowledge(nil, m.Type, m.ID, m.Sequence)) != nil {
					return
				}
			}
			continue
		}
		if s.notReady > 0 {
			s.notReady--
			continue
		}
		s.got.Write(m.Payload)
		s.expected++
		if conn.WriteFrame(ctx, message.AppendAcknowledge(nil, m.Type, m.ID, m.Sequence)) != nil {
			return
		}
		for {
			follower, held := s.early[s.expected]
			if !held {
				break
			}
			delete(s.early, s.expected)
			s.got.Write(follower.Payload)
			s.expected++
		}
	}
}

// TestConformance35StockClientLosesAcknowledgements cuts the connection to a
// client that acknowledges nothing twice. The acknowledgements that a cut takes
// along never come again, and must neither lose bytes nor close the window.
func TestConformance35StockClientLosesAcknowledgements(t *testing.T) {
	for _, window := range []int{0, 64 << 10, 8 << 10} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("window %d seed %d", window, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, cuts := rand.New(rand.NewPCG(seed, 9)), rand.New(rand.NewPCG(seed, 10))
					agent := New(Config{Role: Agent, Window: window})
					client := &stockClient{early: make(map[int64]message.Message), notReady: 3}
					ctx, stop := context.WithCancel(t.Context())
					var wg sync.WaitGroup
					wg.Go(func() {
						var serving sync.WaitGroup
						defer serving.Wait()
						reconnecting(ctx, agent, func() FrameConn {
							serving.Wait()
							ours, theirs := newLeg(1 + cuts.IntN(3000))
							serving.Go(func() { client.serve(ctx, theirs) })
							return ours
						})
					})
					var want bytes.Buffer
					for i := range 4000 {
						b := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+r.IntN(500))
						want.Write(b)
						if err := agent.Send(t.Context(), message.PayloadOutput, b); err != nil {
							t.Fatal(err)
						}
					}
					// The acknowledgement of the very last message may be among the
					// lost, and then nothing tells: that is what the bound is for.
					bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
					if err := agent.Drain(bounded); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					cancel()
					stop()
					wg.Wait()
					if !bytes.Equal(client.got.Bytes(), want.Bytes()) {
						t.Errorf("got %d bytes, want %d, and the same", client.got.Len(), want.Len())
					}
				})
			})
		}
	}
}

func TestPipe(t *testing.T) {
	a, b := Pipe()
	frame := []byte("one")
	if err := a.WriteFrame(t.Context(), frame); err != nil {
		t.Fatal(err)
	}
	copy(frame, "two")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := b.ReadFrame(t.Context()); err != nil || string(got) != "one" {
		t.Errorf("read %q, %v; want what was written before the close", got, err)
	}
	if _, err := b.ReadFrame(t.Context()); err != io.EOF {
		t.Errorf("read after the peer closed: %v", err)
	}
	if err := b.WriteFrame(t.Context(), frame); err != io.ErrClosedPipe {
		t.Errorf("write after the peer closed: %v", err)
	}
	if _, err := a.ReadFrame(t.Context()); err != io.ErrClosedPipe {
		t.Errorf("read after close: %v", err)
	}
}
