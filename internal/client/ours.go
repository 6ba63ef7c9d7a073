package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/tunnel"
)

// bulkWindow bounds what a tunnel between two of our own ends has under way, in bytes.
const bulkWindow = 8 << 20

// connectFailed are the stock client's words.
const connectFailed = "\nConnection to destination port failed, check SSM Agent logs.\n"

// relay is the handler of sessions for which this end listens, when the node's agent is
// ours as well.
type relay struct {
	*run
	listener net.Listener
	opened   string // the words for it
	session  *tunnel.Session
}

func newRelay(r *run, l net.Listener, opened string) *relay {
	return &relay{run: r, listener: l, opened: opened,
		session: tunnel.NewSession(r.channel.Bulk(), nil, func(error) { fmt.Fprint(r.Stdout, connectFailed) })}
}

func (y *relay) words() io.Writer { return y.Stdout }

func (y *relay) start(ctx context.Context) error {
	y.helpers.Go(func() { y.stopAtSignal(ctx, y.Stdout) })
	if _, err := fmt.Fprintf(y.Stdout, "%s\nWaiting for connections...\n", y.opened); err != nil {
		y.listener.Close()
		y.session.Close()
		return fmt.Errorf("write output: %w", err)
	}
	y.startBulk(y.session)
	y.helpers.Go(func() {
		y.accept(ctx, y.listener, func(conn net.Conn) error {
			_, err := y.session.Open(conn.(tunnel.Conn)) // of TCP or of a Unix socket
			return err
		})
	})
	y.helpers.Go(func() {
		<-ctx.Done()
		y.listener.Close()
		y.session.Close()
	})
	return nil
}

// handle is called for nothing once the channel is one for bulk.
func (y *relay) handle(_ context.Context, in *datachannel.Inbound) error {
	in.Done()
	return nil
}

// startBulk gives what comes from now on to a session.
func (r *run) startBulk(s *tunnel.Session) {
	r.channel.StartBulk(bulkWindow, func(d datachannel.Delivered) {
		if d.PayloadType != message.PayloadOutput {
			return
		}
		if err := s.Deliver(d.Payload, d.Frame); err != nil {
			r.fail(fmt.Errorf("tunnel: %w", err))
		}
	})
}

// pipe is the handler of sessions whose connection is standard input and output, when the
// node's agent is ours as well.
type pipe struct {
	*run
	session *tunnel.Session
	once    sync.Once
	over    chan struct{} // closed when the node's connection has ended
}

func newPipe(r *run) *pipe {
	return &pipe{run: r, over: make(chan struct{}), session: tunnel.NewSession(r.channel.Bulk(), nil, func(error) {})}
}

func (p *pipe) words() io.Writer { return io.Discard }

func (p *pipe) start(ctx context.Context) error {
	p.helpers.Go(func() { p.stopAtSignal(ctx, io.Discard) })
	p.startBulk(p.session)
	if _, err := p.session.Open(p); err != nil {
		return err
	}
	p.helpers.Go(func() {
		select {
		case <-ctx.Done():
		case <-p.over:
			p.endTunnel(ctx)
			<-ctx.Done()
		}
		p.session.Close()
	})
	return nil
}

// handle is called for nothing once the channel is one for bulk.
func (p *pipe) handle(_ context.Context, in *datachannel.Inbound) error {
	in.Done()
	return nil
}

// Read, Write, CloseWrite and Close make a [tunnel.Conn] of standard input and output.
// Reading ends with the run, which closes the input.
func (p *pipe) Read(b []byte) (int, error) { return p.Stdin.Read(b) }

func (p *pipe) Write(b []byte) (int, error) { return p.Stdout.Write(b) }

// CloseWrite says that the node's connection has nothing more to say: the session is over,
// as ssh and others expect of a program in its place.
func (p *pipe) CloseWrite() error { return p.Close() }

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}
