package tunnel

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Carrier sends the payloads of a session's data in order.
type Carrier interface {
	// Send copies the payload, and waits while too much is under way.
	Send(ctx context.Context, payload []byte) error
}

// CarrierFunc is a function as a [Carrier].
type CarrierFunc func(ctx context.Context, payload []byte) error

// Send calls f.
func (f CarrierFunc) Send(ctx context.Context, payload []byte) error { return f(ctx, payload) }

const (
	// maxMessage is the most that one message to a stock peer carries, in bytes. Each
	// costs such a peer a hash, an acknowledgement and some system calls; 256 KiB was seen
	// to be taken well (protocol.md §9.2).
	maxMessage = 256 << 10
	// maxPending bounds what is written and not sent, in bytes.
	maxPending = 512 << 10
)

// ErrClosed says that a stream or a session was closed on this end.
var ErrClosed = errors.New("tunnel is closed")

// Bytes makes a byte stream of a session's data messages. What is written while a
// message waits to be sent goes with the next one, so that a busy stream has large
// messages and a quiet one no delay.
type Bytes struct {
	carrier Carrier
	cancel  context.CancelFunc
	pumped  chan struct{}

	mu      sync.Mutex // guards the following
	change  *sync.Cond // any of them changed
	queue   []chunk    // received, not read
	pending []byte     // written, not being sent
	sending bool
	ended   bool  // the peer sends no more
	failed  error // of the carrier, or ErrClosed
}

// chunk is one received payload and what to call when it is read.
type chunk struct {
	data []byte
	done func()
}

// NewBytes starts a byte stream. Close ends it.
func NewBytes(carrier Carrier) *Bytes {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Bytes{carrier: carrier, cancel: cancel, pumped: make(chan struct{})}
	b.change = sync.NewCond(&b.mu)
	go func() {
		defer close(b.pumped)
		b.pump(ctx)
	}()
	return b
}

// Deliver takes a received payload. It keeps it until it is read and then calls done;
// whoever delivers bounds how much that may be.
func (b *Bytes) Deliver(payload []byte, done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil || len(payload) == 0 {
		done()
		return
	}
	b.queue = append(b.queue, chunk{payload, done})
	b.change.Broadcast()
}

// End says that nothing more is delivered: Read gives io.EOF after the rest.
func (b *Bytes) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.change.Broadcast()
}

// Read implements [io.Reader].
func (b *Bytes) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) == 0 {
		switch {
		case b.failed != nil:
			return 0, b.failed
		case b.ended:
			return 0, io.EOF
		}
		b.change.Wait()
	}
	head := &b.queue[0]
	n := copy(p, head.data)
	if head.data = head.data[n:]; len(head.data) == 0 {
		head.done()
		b.queue[0] = chunk{}
		b.queue = b.queue[1:]
	}
	return n, nil
}

// Write takes p over, and waits while too much is pending.
func (b *Bytes) Write(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 {
		for len(b.pending) >= maxPending && b.failed == nil {
			b.change.Wait()
		}
		if b.failed != nil {
			return n, b.failed
		}
		part := min(len(p), maxPending-len(b.pending))
		b.pending = append(b.pending, p[:part]...)
		p, n = p[part:], n+part
		b.change.Broadcast()
	}
	return n, nil
}

// Flush waits until everything written is with the carrier.
func (b *Bytes) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.failed == nil && (b.sending || len(b.pending) > 0) {
		b.change.Wait()
	}
	return b.failed
}

// Close ends both directions at once; call Flush before to lose nothing.
func (b *Bytes) Close() error {
	b.fail(ErrClosed)
	b.cancel()
	<-b.pumped
	return nil
}

func (b *Bytes) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
	}
	for _, c := range b.queue {
		c.done()
	}
	b.queue, b.pending = nil, nil
	b.change.Broadcast()
}

// pump sends what is pending, a message at a time.
func (b *Bytes) pump(ctx context.Context) {
	var message []byte
	for {
		b.mu.Lock()
		for len(b.pending) == 0 && b.failed == nil {
			b.change.Wait()
		}
		if b.failed != nil {
			b.mu.Unlock()
			return
		}
		// The two buffers take turns; a rest beyond one message is rare.
		n := min(len(b.pending), maxMessage)
		message = append(message[:0], b.pending[:n]...)
		b.pending = b.pending[:copy(b.pending, b.pending[n:])]
		b.sending = true
		b.change.Broadcast()
		b.mu.Unlock()

		err := b.carrier.Send(ctx, message)

		b.mu.Lock()
		b.sending = false
		b.change.Broadcast()
		b.mu.Unlock()
		if err != nil {
			b.fail(err)
			return
		}
	}
}
