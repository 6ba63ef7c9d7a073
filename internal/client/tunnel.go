package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/tunnel"
)

const (
	// localForwarding is the type of a Port session for which this end listens.
	localForwarding = "LocalPortForwarding"
	unixConnection  = "unix"

	// Stock agents up to these versions know no multiplexing, and want to hear from it
	// all the while (protocol.md §6.6).
	lastBasicAgent = "3.0.196.0"
	lastNoisyAgent = "3.1.1511.0"

	// stopPatience bounds the wait for the node to hear that the tunnel is closed.
	stopPatience = 2 * time.Second
	// silencePatience is how long after the end of standard input a stock node may still
	// say something before its session is ended: it cannot be told of a half-close.
	silencePatience = 10 * time.Second
	// acceptRetry is the wait after a failed accept, as when descriptors run out.
	acceptRetry = 100 * time.Millisecond
)

// portProperties are what the session document says of a Port session.
type portProperties struct {
	PortNumber          string `json:"portNumber"`
	Type                string `json:"type"`
	LocalPortNumber     string `json:"localPortNumber"`
	LocalUnixSocket     string `json:"localUnixSocket"`
	LocalConnectionType string `json:"localConnectionType"`
}

// StoppedError says that a signal closed a tunnel in order.
type StoppedError struct{ Signal os.Signal }

func (e *StoppedError) Error() string { return "closed by signal: " + e.Signal.String() }

// ListenError says that the tunnel's local end could not be opened.
type ListenError struct{ Err error }

func (e *ListenError) Error() string { return e.Err.Error() }

func (e *ListenError) Unwrap() error { return e.Err }

// newTunnel makes the handler of a Port session.
func (r *run) newTunnel(h datachannel.Handshake) (handler, error) {
	var p portProperties
	if err := json.Unmarshal(h.SessionType.Properties, &p); err != nil {
		return nil, &UnsupportedError{What: fmt.Sprintf("the properties of the session document (%v)", err)}
	}
	if p.Type != localForwarding && h.Tunnel > 0 {
		return newPipe(r), nil
	}
	if p.Type != localForwarding {
		return &stdio{run: r, heard: make(chan struct{}, 1)}, nil
	}
	version := h.Request.AgentVersion
	if message.CompareVersions(version, lastBasicAgent) <= 0 {
		return nil, &UnsupportedError{What: fmt.Sprintf("port forwarding with version %.40s of the node's agent; update the agent", version)}
	}
	l, opened, err := p.open(r.session.ID)
	if err != nil {
		return nil, &ListenError{Err: err}
	}
	if h.Tunnel > 0 {
		return newRelay(r, l, opened), nil
	}
	t := &forward{run: r, listener: l, opened: opened}
	t.bytes = tunnel.NewBytes(tunnel.CarrierFunc(t.send))
	keepAlive := message.CompareVersions(version, lastNoisyAgent) <= 0
	if t.mux, err = tunnel.NewMux(t.bytes, true, keepAlive); err != nil {
		l.Close()
		t.bytes.Close()
		return nil, err
	}
	return t, nil
}

// open listens where the document says, and gives the words of the stock client for it.
func (p portProperties) open(sessionID string) (net.Listener, string, error) {
	if p.LocalConnectionType == unixConnection {
		l, err := net.Listen("unix", p.LocalUnixSocket)
		return l, fmt.Sprintf("Unix socket %s opened for sessionId %s.", p.LocalUnixSocket, sessionID), err
	}
	port := p.LocalPortNumber
	if port == "" {
		port = "0"
	}
	l, err := net.Listen("tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		return nil, "", err
	}
	return l, fmt.Sprintf("Port %d opened for sessionId %s.", l.Addr().(*net.TCPAddr).Port, sessionID), nil
}

// send is the carrier of Port sessions.
func (r *run) send(ctx context.Context, payload []byte) error {
	return r.channel.Send(ctx, message.PayloadOutput, payload)
}

// stopAtSignal closes a tunnel when the user wants that: the node is told, as the stock
// client does, and ends the session.
func (r *run) stopAtSignal(ctx context.Context, words io.Writer) {
	var s os.Signal
	select {
	case <-ctx.Done():
		return
	case s = <-r.Stop:
	}
	fmt.Fprintln(words, "Terminate signal received, exiting.")
	r.endTunnel(ctx)
	r.fail(&StoppedError{Signal: s})
}

// endTunnel tells the node that the session is over.
func (r *run) endTunnel(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, stopPatience)
	defer stop()
	if r.channel.Send(ctx, message.PayloadFlag, message.FlagTerminateSession.Payload()) == nil {
		_ = r.channel.Drain(ctx) // nothing else can be done about it
	}
}

// forward is the handler of sessions for which this end listens.
type forward struct {
	*run
	listener net.Listener
	opened   string // the words for it
	bytes    *tunnel.Bytes
	mux      *tunnel.Mux
}

func (f *forward) words() io.Writer { return f.Stdout }

func (f *forward) start(ctx context.Context) error {
	f.helpers.Go(func() { f.stopAtSignal(ctx, f.Stdout) })
	if _, err := fmt.Fprintf(f.Stdout, "%s\nWaiting for connections...\n", f.opened); err != nil {
		f.listener.Close()
		f.mux.Close()
		return fmt.Errorf("write output: %w", err)
	}
	f.helpers.Go(func() { f.accept(ctx, f.listener, f.mux.Open) })
	f.helpers.Go(func() {
		<-ctx.Done()
		f.listener.Close()
		f.mux.Close()
	})
	return nil
}

// accept takes connections until the listener is closed.
func (r *run) accept(ctx context.Context, l net.Listener, open func(net.Conn) error) {
	first := true
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			r.log.Warn("connection not accepted", "session_id", r.session.ID, "error", err)
			if wait(ctx, acceptRetry) != nil {
				return
			}
			continue
		}
		if first {
			first = false
			fmt.Fprintf(r.Stdout, "\nConnection accepted for session [%s]\n", r.session.ID)
		}
		if err := open(conn); err != nil {
			r.log.Warn("connection not forwarded", "session_id", r.session.ID, "error", err)
		}
	}
}

func (f *forward) handle(_ context.Context, in *datachannel.Inbound) error {
	switch in.PayloadType {
	case message.PayloadOutput:
		f.bytes.Deliver(in.Payload, in.Done)
		return nil
	case message.PayloadFlag:
		if flag, _ := message.ParseFlag(in.Payload); flag == message.FlagConnectToPortError {
			fmt.Fprint(f.Stdout, "\nConnection to destination port failed, check SSM Agent logs.\n")
		}
	}
	in.Done()
	return nil
}

// stdio is the handler of sessions whose connection is standard input and output, as
// ssh's ProxyCommand has it. Nothing else is written there.
type stdio struct {
	*run
	heard chan struct{} // 1: the node said something
}

func (s *stdio) words() io.Writer { return io.Discard }

func (s *stdio) start(ctx context.Context) error {
	s.helpers.Go(func() { s.stopAtSignal(ctx, io.Discard) })
	s.helpers.Go(func() {
		if err := s.input(ctx); err != nil {
			s.fail(err)
		}
	})
	return nil
}

func (s *stdio) handle(_ context.Context, in *datachannel.Inbound) error {
	if in.PayloadType == message.PayloadOutput {
		if _, err := s.Stdout.Write(in.Payload); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		select {
		case s.heard <- struct{}{}:
		default:
		}
	}
	in.Done()
	return nil
}

// input sends what is read until the session or the input ends.
func (s *stdio) input(ctx context.Context) error {
	buf := make([]byte, stdioChunk)
	for {
		n, err := s.Stdin.Read(buf)
		if n > 0 && s.send(ctx, buf[:n]) != nil {
			return nil // the session has ended
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, io.EOF):
			s.inputOver(ctx)
			return nil
		default:
			return fmt.Errorf("read input: %w", err)
		}
	}
}

// stdioChunk is the most that one message of standard input carries, in bytes.
const stdioChunk = 128 << 10

// inputOver ends the session when the node has nothing more to say to the end of input.
func (s *stdio) inputOver(ctx context.Context) {
	for {
		timer := time.NewTimer(silencePatience)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.heard:
			timer.Stop()
		case <-timer.C:
			s.endTunnel(ctx)
			return
		}
	}
}
