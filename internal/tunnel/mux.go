package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/xtaci/smux"
)

// Mux carries many connections in a byte stream as the stock peers do.
type Mux struct {
	bytes   *Bytes
	session *smux.Session
	pairs   sync.WaitGroup
}

// NewMux starts the multiplexer on a byte stream that it then owns. client says that
// this end opens the streams. keepAlive is for peers of old, which end a session that is
// silent for 30 s (protocol.md §6.6).
func NewMux(b *Bytes, client, keepAlive bool) (*Mux, error) {
	cfg := smux.DefaultConfig() // version 1; a copy of its own
	cfg.KeepAliveDisabled = !keepAlive
	start := smux.Server
	if client {
		start = smux.Client
	}
	session, err := start(b, cfg)
	if err != nil {
		return nil, fmt.Errorf("start the multiplexer: %w", err)
	}
	return &Mux{bytes: b, session: session}, nil
}

// Open carries a connection that was accepted; it belongs to the multiplexer then.
func (m *Mux) Open(conn net.Conn) error {
	stream, err := m.session.OpenStream()
	if err != nil {
		conn.Close()
		return fmt.Errorf("open a stream: %w", err)
	}
	m.pairs.Go(func() { join(stream, conn) })
	return nil
}

// Serve dials for each stream that the peer opens, until the multiplexer ends. refused is
// called for one that could not be; the stream is closed then.
func (m *Mux) Serve(ctx context.Context, dial func(context.Context) (net.Conn, error), refused func(error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for {
		stream, err := m.session.AcceptStream()
		if err != nil {
			return fmt.Errorf("accept a stream: %w", err)
		}
		m.pairs.Go(func() {
			conn, err := dial(ctx)
			if err != nil {
				refused(err)
				stream.Close()
				return
			}
			join(stream, conn)
		})
	}
}

// Close ends every connection and waits until nothing is left of them.
func (m *Mux) Close() error {
	err := errors.Join(m.session.Close(), m.bytes.Close())
	m.pairs.Wait()
	return err
}

// join copies between a stream and a connection until either ends. There is no
// half-close in this protocol: a peer that closes its end reads no more.
func join(stream *smux.Stream, conn net.Conn) {
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(conn, stream)
		conn.Close()
	})
	io.Copy(struct{ io.Writer }{stream}, conn)
	stream.Close()
	conn.Close()
	back.Wait()
}
