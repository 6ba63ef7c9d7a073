package datachannel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"sekisho/internal/message"
)

// Role says which end of the session a channel is.
type Role int

// The two ends.
const (
	Agent  Role = iota + 1 // sends output_stream_data
	Client                 // sends input_stream_data
)

// Config is what a channel is made from. The zero value of every field but Role
// is its default.
type Config struct {
	Role          Role
	Window        int          // bytes of payload in flight; default 4 MiB for agents, 1 MiB for clients
	ReceiveBuffer int          // bytes of payload received and not processed; default 4 MiB
	Logger        *slog.Logger // default discards
}

const (
	agentWindow   = 4 << 20
	clientWindow  = 1 << 20
	receiveBuffer = 4 << 20

	// maxAcks bounds acknowledgements that wait for a blocked or absent
	// connection. One more is dropped: its message comes again and is
	// acknowledged then.
	maxAcks = 2 * maxEarly

	// maxControls bounds unnumbered messages that wait in Control.
	maxControls = 16
)

// Facts that callers branch on.
var (
	ErrClosed       = errors.New("data channel is closed")
	ErrNotConnected = errors.New("data channel is not connected")
)

// Channel is one end of a session's data channel. It outlives connections: call
// Serve with one after the other. All methods may be called concurrently, but
// one Serve and one Receive at a time.
type Channel struct {
	log      *slog.Logger
	role     Role
	inType   message.Type
	outType  message.Type
	controls chan message.Message
	closed   chan struct{} // closed by Close

	wake    chan struct{} // 1: the writer may have work
	arrived chan struct{} // 1: Receive may have a message
	resume  chan struct{} // 1: the reader may go on
	opened  chan struct{} // closed by the first Serve

	writing sync.Mutex // held by whoever writes frames, see flush
	acking  []ack      // guarded by writing: being written
	scratch []byte     // guarded by writing

	mu       sync.Mutex // guards what follows
	conn     FrameConn  // of the running Serve, nil when there is none
	broken   error      // a sender could not write to conn
	bulk     bulk
	out      outbox
	in       inbox
	crypt    encryption
	acks     []ack
	states   []state
	alarm    time.Time               // when the sleeping writer looks again by itself
	waiters  int                     // Send and Drain calls that need acknowledgements
	progress chan struct{}           // closed and replaced when a waiter should look again
	stop     context.CancelCauseFunc // of the running Serve, nil when there is none
}

// ack is an acknowledgement to send.
type ack struct {
	seq int64
	id  message.ID
}

// state is an unnumbered message to send, and where to report it.
type state struct {
	frame []byte
	sent  chan error // holds 1
}

// New returns a channel that has no connection yet.
func New(cfg Config) *Channel {
	c := &Channel{
		log:      cfg.Logger,
		role:     cfg.Role,
		inType:   message.TypeInputStreamData,
		outType:  message.TypeOutputStreamData,
		controls: make(chan message.Message, maxControls),
		closed:   make(chan struct{}),
		wake:     make(chan struct{}, 1),
		arrived:  make(chan struct{}, 1),
		resume:   make(chan struct{}, 1),
		opened:   make(chan struct{}),
		progress: make(chan struct{}),
	}
	window := agentWindow
	if cfg.Role == Client {
		window = clientWindow
		c.inType, c.outType = c.outType, c.inType
	}
	if cfg.Window > 0 {
		window = cfg.Window
	}
	c.out = newOutbox(cfg.Role, window)
	c.in.limit = receiveBuffer
	if cfg.ReceiveBuffer > 0 {
		c.in.limit = cfg.ReceiveBuffer
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Serve runs the protocol over conn until conn fails, ctx ends or the channel is
// closed, and returns which. It starts by sending again everything that is not
// acknowledged, in order. It closes conn before it returns, and nothing it
// started runs on.
func (c *Channel) Serve(ctx context.Context, conn FrameConn) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if err := c.attach(stop, conn); err != nil {
		conn.Close()
		return err
	}
	defer c.detach()

	// Whoever writes, in a channel for bulk any sender, must not outlast the connection.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	written, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		defer c.release()
		// Closing unblocks the reader, whatever ended the writer.
		defer conn.Close()
		err := c.write(ctx, conn)
		if ctx.Err() == nil {
			// The peer takes no more. What it said before, the end of the session for one,
			// is still to be read.
			last := time.NewTimer(lastReads)
			defer last.Stop()
			select {
			case <-read:
			case <-last.C:
			case <-ctx.Done():
			}
		}
		stop(err)
	}()
	err := c.read(ctx, conn)
	close(read)
	stop(err)
	<-written
	return context.Cause(ctx)
}

// lastReads is how long a connection that cannot be written to is still read from. What
// the peer said is here already; this bounds only a connection that is dead one way.
const lastReads = time.Second

func (c *Channel) attach(stop context.CancelCauseFunc, conn FrameConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return ErrClosed
	}
	if c.stop != nil {
		return errors.New("data channel already serves a connection")
	}
	c.stop, c.conn, c.broken = stop, conn, nil
	select {
	case <-c.opened:
	default:
		close(c.opened)
	}
	c.out.connected()
	return nil
}

func (c *Channel) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop, c.conn = nil, nil
	for _, s := range c.states {
		s.sent <- ErrNotConnected
	}
	c.states = nil
}

// Close ends the channel: Serve, Send and Drain return [ErrClosed]; Receive
// still returns what is in order, then [io.EOF]. It may be called more than once.
func (c *Channel) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return
	}
	close(c.closed)
	if c.stop != nil {
		c.stop(ErrClosed)
	}
}

func (c *Channel) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Send numbers a payload, stores it and sets it on its way. It waits while the
// window is full, also while there is no connection. It copies payload; an
// empty one is not sent, as the stock peers cannot carry it. Concurrent calls
// get unique numbers without gaps, in no particular order. In an encrypted session
// data is sealed first, see [Channel.RequestHandshake].
func (c *Channel) Send(ctx context.Context, t message.PayloadType, payload []byte) error {
	return c.send(ctx, t, payload, 0)
}

// SendNotice is Send for the agent's own words to the user, which are marked as such.
func (c *Channel) SendNotice(ctx context.Context, payload []byte) error {
	return c.send(ctx, message.PayloadOutput, payload, message.FlagNotice)
}

// send is Send with flags for the header.
func (c *Channel) send(ctx context.Context, t message.PayloadType, payload []byte, flags uint64) error {
	if len(payload) == 0 {
		return nil
	}
	payload, err := c.sealOutgoing(t, payload)
	if err != nil {
		return fmt.Errorf("send %s: %w", t, err)
	}
	c.mu.Lock()
	buf := c.out.free.get(message.HeaderSize + len(payload))
	c.mu.Unlock()
	// The digest is made before the place in the order is known, so that hashing
	// a large payload does not hold up the reader.
	frame := message.Append(buf, message.Message{Type: c.outType, PayloadType: t, Payload: payload})

	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.wait(ctx, func() bool { return !c.out.full(len(payload)) }); err != nil {
		c.out.free.put(frame)
		return fmt.Errorf("send %s: %w", t, err)
	}
	// The stock agent marks its first message, the stock client none.
	if c.role == Agent && c.out.ring.end == 0 {
		flags |= message.FlagSYN
	}
	c.out.add(frame, flags)
	signal(c.wake)
	return nil
}

// Drain waits until the peer has everything that was sent. The caller bounds it
// (the stock agent gives up after 2 s): a peer that went away never answers.
func (c *Channel) Drain(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.wait(ctx, c.out.drained); err != nil {
		return fmt.Errorf("drain data channel: %w", err)
	}
	return nil
}

// wait waits for ok, with c.mu held on entry and return. ok is asked again when
// acknowledgements arrive or the writer sends something again.
func (c *Channel) wait(ctx context.Context, ok func() bool) error {
	for {
		if c.isClosed() {
			return ErrClosed
		}
		if ok() {
			return nil
		}
		c.waiters++
		signal(c.resume) // acknowledgements are needed: see read
		progress := c.progress
		c.mu.Unlock()
		var err error
		select {
		case <-progress:
		case <-c.closed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		c.mu.Lock()
		c.waiters--
		if err != nil {
			return err
		}
	}
}

// progressed makes waiters look again. c.mu is held.
func (c *Channel) progressed() {
	if c.waiters > 0 {
		close(c.progress)
		c.progress = make(chan struct{})
	}
}

// SendControl sends an unnumbered message, such as agent_session_state, ahead of
// data that waits, and returns when it is written. It is sent once or not at
// all: without a connection the error is [ErrNotConnected].
func (c *Channel) SendControl(ctx context.Context, m message.Message) error {
	m.Flags = message.FlagsControl
	s := state{frame: message.Append(nil, m), sent: make(chan error, 1)}
	c.mu.Lock()
	if c.stop == nil {
		c.mu.Unlock()
		return ErrNotConnected
	}
	c.states = append(c.states, s)
	c.mu.Unlock()
	signal(c.wake)
	select {
	case err := <-s.sent:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Control returns the unnumbered messages from the gateway that are not handled
// here, channel_closed first of all. It holds a few; when it is full the oldest
// goes, because the one that matters comes last. It is never closed.
func (c *Channel) Control() <-chan message.Message { return c.controls }

// Receive returns the next stream message in order. The consumer calls Done on
// it when it is processed. Types that package message does not know are
// acknowledged and left out. After Close it returns what is left, then [io.EOF]. In
// an encrypted session data comes opened; [ErrDecrypt] says that it could not be, and
// is a reason to end the session: the message is not acknowledged.
func (c *Channel) Receive(ctx context.Context) (*Inbound, error) {
	for {
		closed := c.isClosed() // before looking, or a last message could slip between
		c.mu.Lock()
		in := c.in.take()
		c.mu.Unlock()
		if in != nil {
			if err := c.openIncoming(in); err != nil {
				return nil, err
			}
			return in, nil
		}
		if closed {
			return nil, io.EOF
		}
		select {
		case <-c.arrived:
		case <-c.closed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// processed is [Inbound.Done].
func (c *Channel) processed(in *Inbound) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in.finish(in) {
		c.acknowledge(in)
	}
	signal(c.resume)
}

// acknowledge queues an acknowledgement. c.mu is held.
func (c *Channel) acknowledge(in *Inbound) {
	in.acked = true
	if len(c.acks) < maxAcks {
		c.acks = append(c.acks, ack{in.Sequence, in.id})
		signal(c.wake)
	}
}

// read is the reading half of Serve.
func (c *Channel) read(ctx context.Context, conn FrameConn) error {
	for {
		if err := c.awaitRoom(ctx); err != nil {
			return err
		}
		frame, err := conn.ReadFrame(ctx)
		if err != nil {
			return fmt.Errorf("read frame: %w", err)
		}
		c.handle(frame)
	}
}

// awaitRoom waits while the consumer is too far behind, unless acknowledgements
// for our own messages are needed: they come on the same connection.
func (c *Channel) awaitRoom(ctx context.Context) error {
	for {
		c.mu.Lock()
		ok := !c.in.blocked() || c.waiters > 0
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-c.resume:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// handle takes one frame. What is wrong with it is logged and ignored, as the
// official peers do, rather than ending a session for it.
func (c *Channel) handle(frame []byte) {
	m, err := message.Parse(frame)
	if err != nil {
		c.log.Debug("frame ignored", "error", err)
		return
	}
	switch m.Type {
	case c.inType:
		if m.Flags&message.FlagBulk != 0 && c.bulkAllowed() {
			c.handleBulk(m, frame)
			return
		}
		if err := m.VerifyDigest(); err != nil {
			c.log.Debug("stream message ignored", "error", err, "sequence", m.Sequence)
			return
		}
		if c.bulkStarted() {
			c.handleBulk(m, nil)
			return
		}
		c.handleStream(m)
	case message.TypeAcknowledge:
		a, err := message.ParseAcknowledge(m.Payload)
		if err != nil {
			c.log.Debug("acknowledgement ignored", "error", err)
			return
		}
		c.mu.Lock()
		c.unpause()
		if m.Flags&message.FlagBulk != 0 {
			c.out.ackThrough(a.AcknowledgedMessageSequenceNumber, time.Now())
		} else {
			c.out.ack(a.AcknowledgedMessageSequenceNumber, time.Now())
		}
		c.progressed()
		// The writer sleeps until c.alarm. Most acknowledgements move the next
		// deadline back and need not wake it.
		if due, ok := c.out.deadline(); len(c.out.resend) > 0 || ok && due.Before(c.alarm) {
			signal(c.wake)
		}
		c.mu.Unlock()
	case message.TypePausePublication:
		c.mu.Lock()
		c.out.paused = c.role == Agent // reported to clients too, who ignore it
		c.mu.Unlock()
	case message.TypeStartPublication:
		c.mu.Lock()
		c.unpause()
		c.mu.Unlock()
	case c.outType:
		c.log.Debug("stream message in the wrong direction ignored")
	default:
		c.deliverControl(m)
	}
}

func (c *Channel) handleStream(m message.Message) {
	in := &Inbound{PayloadType: m.PayloadType, Payload: m.Payload, Sequence: m.Sequence, id: m.ID, c: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unpause()
	from := c.in.expected
	if c.in.admit(in) {
		c.acknowledge(in)
	}
	for seq := from; seq < c.in.expected; seq++ {
		if ready := c.in.ring.at(seq); !ready.PayloadType.Known() && c.in.finish(ready) {
			c.acknowledge(ready)
		}
	}
	if c.in.expected > from {
		signal(c.arrived)
	}
}

// unpause ends a pause: any stream message or acknowledgement does. c.mu is held.
func (c *Channel) unpause() {
	if c.out.paused {
		c.out.paused = false
		signal(c.wake)
	}
}

func (c *Channel) deliverControl(m message.Message) {
	for {
		select {
		case c.controls <- m:
			return
		default:
		}
		select {
		case old := <-c.controls:
			c.log.Debug("control message dropped", "type", old.Type)
		default:
		}
	}
}

// signal leaves a token in a channel that holds one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
