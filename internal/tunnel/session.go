package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"sekisho/internal/message"
)

// Carriage is a data channel between two of our own ends. Frames are buffers of it with
// room of Headroom bytes in front of the payload; Send and Post keep them.
type Carriage interface {
	Buffer(large bool) []byte // an empty one, with the capacity of a largest frame or a short one's
	Recycle([]byte)           // takes one back that is not sent
	Headroom() int            // bytes before the payload
	Post(frame []byte)        // sends a short frame without waiting
	// Send waits while too much is under way.
	Send(ctx context.Context, frame []byte) error
}

// A payload is one frame of a stream: kind, three zero bytes, the stream's number, data.
const frameHeader = 8

// Kinds of frames.
const (
	kindOpen   = 1 // the client has a connection; its data may follow at once
	kindData   = 2
	kindEnd    = 3 // the sender's connection sends no more
	kindReset  = 4 // the stream is over, whatever was under way
	kindCredit = 5 // the receiver has room for so many more bytes, a uint32
	kindRefuse = 6 // a reset that says that the node could not connect
)

// Windows of streams, in bytes.
const (
	// firstWindow is what either end may send on a stream before it hears of more.
	firstWindow = 64 << 10
	// maxWindow is what a stream gets that is read. Where packets are lost, a way holds
	// several round trips of data: 4 MiB halved the speed at 100 ms and 1 % loss.
	maxWindow = 8 << 20
	// budget bounds the windows of all streams beyond their first.
	budget = 64 << 20
	// shortRead is a read after which a busy stream is a quiet one.
	shortRead = 4 << 10
	// maxStreams bounds the connections of a session.
	maxStreams = 4096
)

// Conn is a connection that a stream carries. CloseWrite ends one direction.
type Conn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Session carries connections between two of our own ends, each with a window of its
// own: one that nobody reads stops no other.
type Session struct {
	carriage Carriage
	dial     func(context.Context) (Conn, error) // of the node; nil on the client
	refused  func(error)
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards the following and all streams
	streams map[uint32]*stream
	last    uint32 // number of the newest stream
	granted int    // beyond the first windows
	closed  bool
}

// NewSession makes one end. The node's has dial, which is called for each stream; refused
// is told of those that could not be connected, on both ends. Close ends it.
func NewSession(carriage Carriage, dial func(context.Context) (Conn, error), refused func(error)) *Session {
	ctx, cancel := context.WithCancel(context.Background())
	return &Session{carriage: carriage, dial: dial, refused: refused, ctx: ctx, cancel: cancel, streams: map[uint32]*stream{}}
}

// stream is one connection's way. Two goroutines move its bytes; session.mu guards it.
type stream struct {
	session *Session
	id      uint32
	change  *sync.Cond // on session.mu
	done    chan struct{}

	conn     Conn // nil until it is dialled
	credit   int  // bytes that may be sent
	queue    []piece
	queued   int  // bytes in queue
	writing  bool // receive writes a piece
	window   int  // what the peer may have under way
	owed     int  // taken from the queue and not yet credited
	ended    bool // the peer sends no more
	sentEnd  bool // we send no more
	finished bool // all was written and the connection told so
	dead     bool // reset by either end
}

// piece is received data in its frame.
type piece struct{ data, frame []byte }

var (
	errRefused   = errors.New("the node could not connect")
	errTooMany   = errors.New("too many connections in one session")
	errMalformed = errors.New("malformed frame")
)

// Open carries a connection, which belongs to the session then. The channel is closed
// when it is over.
func (s *Session) Open(conn Conn) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.streams) >= maxStreams {
		conn.Close()
		if s.closed {
			return nil, ErrClosed
		}
		return nil, errTooMany
	}
	s.last++
	st := s.add(s.last)
	st.conn = conn
	s.post(kindOpen, st.id, nil)
	s.running.Go(st.send)
	s.running.Go(st.receive)
	return st.done, nil
}

// add makes a stream. s.mu is held.
func (s *Session) add(id uint32) *stream {
	st := &stream{session: s, id: id, credit: firstWindow, window: firstWindow, done: make(chan struct{})}
	st.change = sync.NewCond(&s.mu)
	s.streams[id] = st
	return st
}

func (s *Session) frame(kind byte, id uint32, large bool) []byte {
	b := s.carriage.Buffer(large)
	n := s.carriage.Headroom()
	b = b[:n+frameHeader]
	h := b[n:]
	binary.BigEndian.PutUint32(h, uint32(kind)<<24) // and three zeros
	binary.BigEndian.PutUint32(h[4:], id)
	return b
}

func (s *Session) post(kind byte, id uint32, data []byte) {
	s.carriage.Post(append(s.frame(kind, id, false), data...))
}

// Deliver takes a received payload together with the buffer that it is in. It does not
// wait. An error means that the peer does not keep to the protocol.
func (s *Session) Deliver(payload, frame []byte) error {
	if len(payload) < frameHeader {
		return errMalformed
	}
	kind, id, data := payload[0], binary.BigEndian.Uint32(payload[4:]), payload[frameHeader:]
	kept := false
	defer func() {
		if !kept {
			s.carriage.Recycle(frame)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	st := s.streams[id]
	if kind == kindOpen {
		if s.dial == nil || st != nil || id <= s.last {
			return errMalformed
		}
		s.last = id
		if len(s.streams) >= maxStreams {
			s.post(kindRefuse, id, nil)
			return nil
		}
		st = s.add(id)
		s.running.Go(st.connect)
		return nil
	}
	if st == nil || st.dead { // it was reset while this was under way
		return nil
	}
	switch kind {
	case kindData:
		if st.ended || st.queued+st.owed+len(data) > st.window {
			return errMalformed
		}
		rest := data[st.writeDirectly(data):]
		st.queued += len(rest)
		kept = st.keep(rest, frame)
	case kindEnd:
		st.ended = true
	case kindReset:
		st.kill()
	case kindRefuse:
		st.kill()
		s.running.Go(func() { s.refused(errRefused) })
	case kindCredit:
		if len(data) != 4 {
			return errMalformed
		}
		if n := binary.BigEndian.Uint32(data); n > maxWindow || st.credit+int(n) > 2*maxWindow {
			return errMalformed
		}
		st.credit += int(binary.BigEndian.Uint32(data))
	default:
		return errMalformed
	}
	st.change.Broadcast()
	return nil
}

// keep puts data into the queue, and reports whether it is there in its frame. Little data
// goes into the frame before it, if there is room: or a peer that sends single bytes would
// fill the memory with frames, window or not. session.mu is held.
func (st *stream) keep(data, frame []byte) (kept bool) {
	if len(data) == 0 {
		return false
	}
	if n := len(st.queue); n > 0 && len(data) <= shortRead {
		last := &st.queue[n-1]
		if len(data) <= cap(last.data)-len(last.data) {
			last.data = append(last.data, data...)
			return false
		}
	}
	st.queue = append(st.queue, piece{data, frame})
	return true
}

// writeDirectly writes little data without waiting, if nothing stands before it, and
// says how much. It saves a change of goroutines, which a round trip would wait for.
// session.mu is held.
func (st *stream) writeDirectly(data []byte) int {
	if len(data) > shortRead || len(st.queue) > 0 || st.writing || st.conn == nil {
		return 0
	}
	n := tryWrite(st.conn, data)
	if n > 0 {
		st.credited(n)
	}
	return n
}

// connect dials for a stream that the peer opened.
func (st *stream) connect() {
	s := st.session
	conn, err := s.dial(s.ctx)
	s.mu.Lock()
	if err == nil && !st.dead {
		st.conn = conn
		s.running.Go(st.send)
		s.running.Go(st.receive)
		s.mu.Unlock()
		return
	}
	dead := st.dead
	s.mu.Unlock()
	if err == nil {
		conn.Close()
	} else if !dead {
		s.refused(err) // first, so that whoever ends the session for it has the last word
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.dead {
		s.post(kindRefuse, st.id, nil)
		st.kill()
	}
	st.forget()
}

// kill ends a stream at once: its goroutines see it. session.mu is held.
func (st *stream) kill() {
	st.dead = true
	st.drop()
	if st.conn != nil {
		reset(st.conn)
	}
	st.change.Broadcast()
}

// reset closes a connection so that its other end learns that not all came through.
func reset(c Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// drop gives the queue up. session.mu is held.
func (st *stream) drop() {
	for _, p := range st.queue {
		st.session.carriage.Recycle(p.frame)
	}
	st.queue, st.queued = nil, 0
}

// fail resets a stream because its connection failed here.
func (st *stream) fail() {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.dead {
		if !s.closed {
			s.post(kindReset, st.id, nil)
		}
		st.kill()
	}
}

// forget takes a stream out when both directions are over. session.mu is held.
func (st *stream) forget() {
	s := st.session
	if s.streams[st.id] != st || !st.dead && !(st.sentEnd && st.finished) {
		return
	}
	delete(s.streams, st.id)
	s.granted -= st.window - firstWindow
	if st.conn != nil && !st.dead {
		st.conn.Close()
	}
	close(st.done)
}

// send moves what the connection says to the peer.
func (st *stream) send() {
	s := st.session
	defer func() {
		s.mu.Lock()
		st.forget()
		s.mu.Unlock()
	}()
	busy := false
	for {
		s.mu.Lock()
		for st.credit == 0 && !st.dead {
			st.change.Wait()
		}
		credit, dead := st.credit, st.dead
		s.mu.Unlock()
		if dead {
			return
		}
		// A stream that is quiet, as most are, holds a small buffer while it waits.
		frame := s.frame(kindData, st.id, busy)
		room := min(credit, cap(frame)-len(frame), message.BulkPayload-frameHeader)
		n, err := st.conn.Read(frame[len(frame) : len(frame)+room])
		busy = n == room || busy && n > shortRead
		if n > 0 {
			s.mu.Lock()
			st.credit -= n
			s.mu.Unlock()
			if s.carriage.Send(s.ctx, frame[:len(frame)+n]) != nil {
				return // the session is over
			}
		} else {
			s.carriage.Recycle(frame)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if s.carriage.Send(s.ctx, s.frame(kindEnd, st.id, false)) == nil {
				s.mu.Lock()
				st.sentEnd = true
				s.mu.Unlock()
			}
			return
		default:
			st.fail()
			return
		}
	}
}

// receive moves what the peer sent to the connection.
func (st *stream) receive() {
	s := st.session
	defer func() {
		s.mu.Lock()
		st.forget()
		s.mu.Unlock()
	}()
	for {
		s.mu.Lock()
		for len(st.queue) == 0 && !st.ended && !st.dead {
			st.change.Wait()
		}
		if st.dead {
			s.mu.Unlock()
			return
		}
		if len(st.queue) == 0 {
			st.finished = true
			s.mu.Unlock()
			if st.conn.CloseWrite() != nil {
				st.fail()
			}
			return
		}
		st.writing = true
		p := st.queue[0]
		st.queue[0] = piece{}
		st.queue = st.queue[1:]
		s.mu.Unlock()

		_, err := st.conn.Write(p.data)
		size := len(p.data)
		s.carriage.Recycle(p.frame)
		if err != nil {
			st.fail()
			return
		}
		s.mu.Lock()
		st.writing = false
		if !st.dead {
			st.queued -= size
			st.credited(size)
		}
		s.mu.Unlock()
	}
}

// credited tells the peer of room once a quarter of a window is free. A stream that is read gets
// a larger window, as far as the budget goes. session.mu is held.
func (st *stream) credited(size int) {
	s := st.session
	st.owed += size
	if st.owed < st.window/4 || st.ended || s.closed {
		return
	}
	grant := st.owed
	want := max(firstWindow, min(maxWindow, budget/max(1, len(s.streams))))
	if more := min(want-st.window, budget-s.granted); more > 0 {
		st.window += more
		s.granted += more
		grant += more
	}
	st.owed = 0
	s.post(kindCredit, st.id, binary.BigEndian.AppendUint32(nil, uint32(grant)))
}

// Close ends every connection and waits until nothing is left of them.
func (s *Session) Close() {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for _, st := range s.streams {
		if !st.dead {
			st.kill()
		}
	}
	s.mu.Unlock()
	s.running.Wait()
}
