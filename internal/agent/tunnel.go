package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/tunnel"
)

const (
	// tunnelWindow bounds what a tunnel has under way, in bytes.
	tunnelWindow = 8 << 20
	// localForwarding is the type of a Port session whose client listens; of any other
	// the client's standard input and output are the one connection.
	localForwarding = "LocalPortForwarding"
)

// Versions from which clients do something (protocol.md §6.6).
const (
	muxVersion   = "1.1.70"
	quietVersion = "1.2.331.1" // mux without keep-alive
)

// portProperties are what a document of type Port says.
type portProperties struct {
	PortNumber string `json:"portNumber"`
	Host       string `json:"host"`
	Type       string `json:"type"`
}

// port is the activity of a Port session.
type port struct {
	w      *worker
	target *target
	listen bool // the client listens
	mux    bool // its connections share the session
	quiet  bool // the client wants no keep-alive

	bytes *tunnel.Bytes
}

// Ends of a tunnel.
var (
	errTunnelClosed = errors.New("the client closed the tunnel")
	errTargetClosed = errors.New("the target closed its connection")
)

func openTunnel(ctx context.Context, w *worker, task message.SessionTask) (activity, error) {
	var p portProperties
	if err := json.Unmarshal(message.Marshal(task.DocumentContent.Properties), &p); err != nil {
		return nil, sentence("The properties of the session document cannot be read: %v", err)
	}
	t, err := newTarget(ctx, p.Host, p.PortNumber, nil)
	if err != nil {
		return nil, err
	}
	listen := p.Type == localForwarding
	w.logger.Info("tunnel open", "host", p.Host, "port", p.PortNumber, "client_version", w.client.ClientVersion)
	return &port{
		w: w, target: t, listen: listen,
		mux:   listen && message.CompareVersions(w.client.ClientVersion, muxVersion) >= 0,
		quiet: message.CompareVersions(w.client.ClientVersion, quietVersion) >= 0,
	}, nil
}

func (p *port) close() {}

func (p *port) serve(ctx context.Context) error {
	inCtx, stopInput := context.WithCancel(context.WithoutCancel(ctx))
	var input sync.WaitGroup
	defer input.Wait()
	defer stopInput()
	input.Go(func() { p.w.watchGateway(inCtx, nil) })

	if p.w.client.Tunnel > 0 {
		return p.serveOurs(ctx)
	}
	p.bytes = tunnel.NewBytes(tunnel.CarrierFunc(func(ctx context.Context, payload []byte) error {
		return p.w.ch.Send(ctx, message.PayloadOutput, payload)
	}))
	hangUp := make(chan struct{}, 1)
	input.Go(func() { p.receive(inCtx, hangUp) })
	var err error
	if p.mux {
		err = p.serveMux(ctx)
	} else {
		err = p.serveBasic(ctx, hangUp)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.w.drain(ctx)
	return err
}

// serveOurs carries the connections as two of our own ends do.
func (p *port) serveOurs(ctx context.Context) error {
	ch := p.w.ch
	s := tunnel.NewSession(ch.Bulk(), func(ctx context.Context) (tunnel.Conn, error) {
		conn, err := p.target.dial(ctx)
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil // nothing else is dialled
	}, func(err error) {
		if err = p.notConnected(err); !p.listen {
			p.w.end(err)
		}
	})
	defer s.Close()
	ch.StartBulk(tunnelWindow, func(d datachannel.Delivered) {
		switch d.PayloadType {
		case message.PayloadOutput:
			if err := s.Deliver(d.Payload, d.Frame); err != nil {
				p.w.end(fmt.Errorf("tunnel: %w", err))
			}
			return
		case message.PayloadFlag:
			if flag, _ := message.ParseFlag(d.Payload); flag == message.FlagTerminateSession {
				p.w.end(errTunnelClosed)
			}
		}
	})
	<-ctx.Done()
	return context.Cause(ctx)
}

// receive takes the client's messages.
func (p *port) receive(ctx context.Context, hangUp chan<- struct{}) {
	for {
		in, err := p.w.ch.Receive(ctx)
		if err != nil {
			p.bytes.End()
			return
		}
		switch in.PayloadType {
		case message.PayloadOutput:
			p.bytes.Deliver(in.Payload, in.Done)
			continue
		case message.PayloadFlag:
			switch flag, _ := message.ParseFlag(in.Payload); flag {
			case message.FlagTerminateSession:
				p.w.end(errTunnelClosed)
			case message.FlagDisconnectToPort:
				if !p.mux {
					select {
					case hangUp <- struct{}{}:
					default:
					}
				}
			}
		}
		in.Done()
	}
}

// serveMux dials for each of the client's connections.
func (p *port) serveMux(ctx context.Context) error {
	m, err := tunnel.NewMux(p.bytes, false, !p.quiet)
	if err != nil {
		p.bytes.Close()
		return err
	}
	stop := context.AfterFunc(ctx, func() { m.Close() })
	defer stop()
	defer m.Close()
	err = m.Serve(ctx, p.target.dial, func(err error) {
		p.w.logger.Info("target not connected", "error", err)
		_ = p.w.ch.Send(ctx, message.PayloadFlag, message.FlagConnectToPortError.Payload())
	})
	return fmt.Errorf("multiplexer: %w", err)
}

// serveBasic carries one connection at a time as the session's bytes. Where the client
// listens, the next input after the end of one makes another (protocol.md §10.3).
func (p *port) serveBasic(ctx context.Context, hangUp <-chan struct{}) error {
	defer p.bytes.Close()
	stop := context.AfterFunc(ctx, func() { p.bytes.Close() })
	defer stop()
	input := make(chan []byte)
	ended := make(chan struct{})
	quit := make(chan struct{})
	defer close(quit)
	go func() { // ends with the bytes
		defer close(ended)
		for {
			buf := make([]byte, readSize)
			n, err := p.bytes.Read(buf)
			if n > 0 {
				select {
				case input <- buf[:n]:
				case <-quit:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	conn, err := p.target.dial(ctx)
	for {
		if err != nil {
			return p.notConnected(err)
		}
		err = p.carry(ctx, conn, input, ended, hangUp)
		if !p.listen || ctx.Err() != nil || !errors.Is(err, errTargetClosed) {
			return errors.Join(err, p.bytes.Flush())
		}
		select {
		case first := <-input:
			if conn, err = p.target.dial(ctx); err == nil {
				_, _ = conn.Write(first) // an error shows at the next read
			}
		case <-ended:
			return errTunnelClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *port) notConnected(err error) error {
	p.w.logger.Info("target not connected", "error", err)
	return sentence("The node could not connect to port %d of its target: %.300v", p.target.port, err)
}

// carry copies between a connection and the session until the connection ends.
func (p *port) carry(ctx context.Context, conn net.Conn, input <-chan []byte, ended <-chan struct{}, hangUp <-chan struct{}) error {
	var copying sync.WaitGroup
	defer copying.Wait()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a write may be stuck
	out := make(chan error, 1)
	copying.Go(func() {
		_, err := io.Copy(struct{ io.Writer }{p.bytes}, conn)
		out <- err
	})
	for {
		select {
		case data := <-input:
			if _, err := conn.Write(data); err != nil {
				return errTargetClosed
			}
		case <-out:
			return errTargetClosed
		case <-hangUp:
			return errTargetClosed
		case <-ended:
			return errTunnelClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
