// Package batch makes few system calls of many small reads and writes.
//
// TLS writes each record and websockets each piece of a frame by itself: 128 KiB were
// up to forty system calls. A [Conn] stands below TLS and joins them; a busy one
// reads ahead as well. An idle one has no buffer at all.
package batch

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

const (
	// size is what is written or read at once, in bytes: a frame of a tunnel with the
	// overhead of its records.
	size = 144 << 10
	// ahead is a read after which more is expected, in bytes.
	ahead = 8 << 10
)

var buffers = sync.Pool{New: func() any { return new([size]byte) }}

// Conn is a connection whose writes can be held back. Its other methods are those of the
// connection.
type Conn struct {
	net.Conn

	writing sync.Mutex // guards the following
	buf     *[size]byte
	held    int // bytes in buf
	holding bool
	err     error // of a write whose caller was told that all is well

	// The following belong to the reader.
	read *[size]byte
	rest []byte // of read
	busy bool
}

// New wraps a connection.
func New(c net.Conn) *Conn { return &Conn{Conn: c} }

// Of gives the Conn below a connection's TLS, or nil if there is none, whose Join just writes.
func Of(c net.Conn) *Conn {
	for {
		switch t := c.(type) {
		case *Conn:
			return t
		case *tls.Conn:
			c = t.NetConn()
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil
		}
	}
}

// Listener wraps the connections that are accepted.
type Listener struct{ net.Listener }

// Accept is of [net.Listener].
func (l Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return New(c), nil
}

// Join calls write, holds back what it writes and writes that at once. When ctx ends while
// the peer takes it, abort is called, which must close the connection. Calls do not overlap.
func (c *Conn) Join(ctx context.Context, write, abort func() error) error {
	if c == nil {
		return write()
	}
	c.hold(true)
	if err := write(); err != nil {
		c.hold(false) // what is held is half a frame: the connection is of no more use
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = abort() })()
	c.writing.Lock()
	defer c.writing.Unlock()
	c.holding = false
	return c.flush()
}

func (c *Conn) hold(on bool) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.holding = on
}

// flush writes what is held. c.writing is held.
func (c *Conn) flush() error {
	if c.buf == nil {
		return c.err
	}
	if c.err == nil && c.held > 0 {
		_, c.err = c.Conn.Write(c.buf[:c.held])
	}
	buffers.Put(c.buf)
	c.buf, c.held = nil, 0
	return c.err
}

// Write is of [net.Conn]. After an error that came later than the write that it was for,
// it fails.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.held+len(p) > size {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if !c.holding || len(p) > size {
		return c.Conn.Write(p)
	}
	if c.buf == nil {
		c.buf = buffers.Get().(*[size]byte)
	}
	c.held += copy(c.buf[c.held:], p)
	return len(p), nil
}

// Read is of [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if !c.busy || len(p) >= size {
			n, err := c.Conn.Read(p)
			c.busy = n == len(p) && n > 0 || n >= ahead
			return n, err
		}
		c.read = buffers.Get().(*[size]byte)
		n, err := c.Conn.Read(c.read[:])
		c.busy = n >= ahead
		c.rest = c.read[:n]
		if n == 0 {
			c.release()
			return 0, err
		}
		// An error beside content is left: the next read has it again.
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.release()
	}
	return n, nil
}

func (c *Conn) release() {
	buffers.Put(c.read)
	c.read, c.rest = nil, nil
}
