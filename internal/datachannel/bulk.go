package datachannel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sekisho/internal/message"
)

// A channel for bulk differs from others where both ends are ours and agreed to it in
// the handshake (docs/adr/0020): no digests, acknowledgements for all messages up to a
// number, no repeats but after a lost connection, messages in buffers that are used
// again (message.Buffer), and a consumer that is called by the reader and never waits.

// ackEvery and ackDelay bound, in bytes and in time, what is received and not yet
// acknowledged. Acknowledgements free the sender's memory, and nothing waits for them
// unless its window is full.
const (
	ackEvery = 512 << 10
	ackDelay = 25 * time.Millisecond
)

// bulk is what a channel keeps for it. c.mu guards it, except deliver.
type bulk struct {
	allowed bool // such frames may come
	started bool // everything goes to deliver

	owed     bool      // an acknowledgement is
	ackBytes int       // received since the last
	ackDue   time.Time // when it must go, with owed
	through  int64     // what it acknowledges

	delivering sync.Mutex      // held while deliver runs: messages go to it in order
	deliver    func(Delivered) //
}

// Delivered is a received message of a bulk channel.
type Delivered struct {
	PayloadType message.PayloadType
	// Payload belongs to the consumer together with Frame, in which it is.
	Payload []byte
	// Frame is to be given to [message.Recycle] when the payload is of no more use. It may be nil.
	Frame []byte
}

func (c *Channel) allowBulk() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bulk.allowed = true
}

func (c *Channel) bulkAllowed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bulk.allowed
}

func (c *Channel) bulkStarted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bulk.started
}

// StartBulk makes the channel one for bulk after a handshake that agreed on it. window
// is the most that is sent and not acknowledged, in bytes. From now on deliver is called
// with each message, in order, one at a time, by whoever reads the connection: it must
// not wait for anything. Receive gives nothing any more.
func (c *Channel) StartBulk(window int, deliver func(Delivered)) {
	c.bulk.delivering.Lock()
	defer c.bulk.delivering.Unlock()
	c.bulk.deliver = deliver
	c.mu.Lock()
	c.out.bulk, c.out.window = true, window
	c.bulk.started = true
	ready := c.takeReady(nil)
	c.mu.Unlock()
	for _, in := range ready {
		deliver(Delivered{PayloadType: in.PayloadType, Payload: in.Payload})
	}
	signal(c.wake)
}

// takeReady takes out what is in order, and owes an acknowledgement for it. c.mu is held.
func (c *Channel) takeReady(ready []*Inbound) []*Inbound {
	for in := c.in.take(); in != nil; in = c.in.take() {
		c.in.finish(in)
		c.owe(len(in.Payload))
		ready = append(ready, in)
	}
	return ready
}

// owe notes that messages up to the expected one must be acknowledged. c.mu is held.
func (c *Channel) owe(size int) {
	b := &c.bulk
	b.ackBytes += size
	b.through = c.in.expected - 1
	if !b.owed {
		b.owed, b.ackDue = true, time.Now().Add(ackDelay)
	}
	if b.ackBytes >= ackEvery || b.ackDue.Before(c.alarm) {
		signal(c.wake)
	}
}

// settle gives the acknowledgement that is to be written now. c.mu is held.
func (b *bulk) settle(now time.Time) (through int64, due bool) {
	if !b.owed || b.ackBytes < ackEvery && now.Before(b.ackDue) {
		return 0, false
	}
	b.owed, b.ackBytes = false, 0
	return b.through, true
}

// handleBulk takes a stream message. frame is nil when it is not one of [message.Buffer].
func (c *Channel) handleBulk(m message.Message, frame []byte) {
	c.mu.Lock()
	if !c.bulk.started { // it came before StartBulk, which takes it
		c.mu.Unlock()
		c.handleStream(m)
		return
	}
	c.mu.Unlock()
	c.bulk.delivering.Lock()
	defer c.bulk.delivering.Unlock()
	c.mu.Lock()
	c.unpause()
	if m.Sequence == c.in.expected && c.in.ring.base == c.in.expected && c.in.early == 0 {
		c.in.expected++ // the common case: nothing is kept
		c.in.next = c.in.expected
		c.in.ring.base, c.in.ring.end = c.in.expected, max(c.in.ring.end, c.in.expected)
		c.owe(len(m.Payload))
		c.mu.Unlock()
		c.bulk.deliver(Delivered{PayloadType: m.PayloadType, Payload: m.Payload, Frame: frame})
		return
	}
	in := &Inbound{PayloadType: m.PayloadType, Payload: m.Payload, Sequence: m.Sequence, id: m.ID, c: c}
	known := m.Sequence < c.in.expected
	if c.in.admit(in); known {
		c.owe(0) // the acknowledgement was lost
		c.bulk.ackDue = time.Time{}
		signal(c.wake)
	}
	ready := c.takeReady(nil)
	c.mu.Unlock()
	if known {
		message.Recycle(frame)
	}
	for _, in := range ready {
		c.bulk.deliver(Delivered{PayloadType: in.PayloadType, Payload: in.Payload})
	}
}

// errNoBuffer reports a misuse.
var errNoBuffer = errors.New("not a frame of a bulk channel")

// Bulk is the sending side of a channel for bulk.
type Bulk struct{ c *Channel }

// Bulk gives the sending side, to be used from [Channel.StartBulk] on.
func (c *Channel) Bulk() Bulk { return Bulk{c} }

// Buffer is [message.Buffer].
func (Bulk) Buffer(large bool) []byte { return message.Buffer(large) }

// Recycle is [message.Recycle].
func (Bulk) Recycle(b []byte) { message.Recycle(b) }

// Headroom is the room that a frame has in front of its payload, in bytes.
func (Bulk) Headroom() int { return message.HeaderSize }

// Send sends a frame of [message.Buffer] whose payload stands after [message.HeaderSize]
// bytes of room, and keeps the buffer. It waits while the window is full.
func (b Bulk) Send(ctx context.Context, frame []byte) error {
	c := b.c
	if len(frame) <= message.HeaderSize {
		return errNoBuffer
	}
	message.FillBulk(frame, c.outType)
	c.mu.Lock()
	if err := c.wait(ctx, func() bool { return !c.out.full(len(frame) - message.HeaderSize) }); err != nil {
		c.mu.Unlock()
		message.Recycle(frame)
		return fmt.Errorf("send: %w", err)
	}
	c.out.add(frame, message.FlagBulk)
	conn := c.conn
	c.mu.Unlock()
	if conn == nil || !c.writing.TryLock() {
		signal(c.wake)
		return nil
	}
	// The writer is idle: a message that does not wait for it arrives sooner.
	defer c.writing.Unlock()
	c.mu.Lock()
	conn = c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil // the next connection begins with it
	}
	err := c.flush(context.Background(), conn) // Serve closes conn when it is to end
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.broken == nil {
		c.broken = err // the writer ends the connection; the next begins with the frame
	}
	if c.broken != nil || c.nextDeadline().Before(c.alarm) {
		signal(c.wake)
	}
	return nil
}

// Post is Send for short frames of control, of which a consumer has few under
// way: it never waits, so that deliver may call it.
func (b Bulk) Post(frame []byte) {
	c := b.c
	message.FillBulk(frame, c.outType)
	c.mu.Lock()
	c.out.add(frame, message.FlagBulk)
	c.mu.Unlock()
	signal(c.wake)
}
