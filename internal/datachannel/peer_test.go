package datachannel

import (
	"context"
	"errors"
	"testing"
	"time"

	"sekisho/internal/message"
)

// peer is the other end of a connection, played by hand: it says exactly what a
// test wants said and nothing by itself.
type peer struct {
	t    testing.TB
	conn FrameConn
	out  message.Type // of the stream messages it sends
}

// serve connects c to a new peer. The returned function ends the connection and
// waits for Serve.
func serve(t testing.TB, c *Channel) (p *peer, hangUp func() error) {
	t.Helper()
	ours, theirs := Pipe()
	served := make(chan error, 1)
	go func() { served <- c.Serve(t.Context(), ours) }()
	return &peer{t, theirs, c.inType}, func() error {
		theirs.Close()
		return <-served
	}
}

// read returns the next frame, which must come within a minute.
func (p *peer) read() message.Message {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	frame, err := p.conn.ReadFrame(ctx)
	if err != nil {
		p.t.Fatalf("read frame: %v", err)
	}
	m, err := message.Parse(frame)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := m.VerifyDigest(); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// expectData reads frames until a stream message, which must have this number.
func (p *peer) expectData(seq int64) message.Message {
	p.t.Helper()
	for {
		m := p.read()
		if !m.Type.Stream() {
			continue
		}
		if m.Sequence != seq {
			p.t.Fatalf("stream message %d, want %d", m.Sequence, seq)
		}
		return m
	}
}

// expectAck reads frames until an acknowledgement, which must be for seq.
func (p *peer) expectAck(seq int64) {
	p.t.Helper()
	for {
		m := p.read()
		if m.Type != message.TypeAcknowledge {
			continue
		}
		a, err := message.ParseAcknowledge(m.Payload)
		if err != nil {
			p.t.Fatal(err)
		}
		if a.AcknowledgedMessageSequenceNumber != seq || a.AcknowledgedMessageType != string(p.out) {
			p.t.Fatalf("acknowledged %+v, want %s %d", a, p.out, seq)
		}
		return
	}
}

// silent checks that nothing comes for d.
func (p *peer) silent(d time.Duration) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), d)
	defer cancel()
	frame, err := p.conn.ReadFrame(ctx)
	if err == nil {
		h, _ := message.ParseHeader(frame)
		p.t.Fatalf("got %+v, want silence", h)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatal(err)
	}
}

func (p *peer) send(m message.Message) {
	p.t.Helper()
	if err := p.conn.WriteFrame(p.t.Context(), message.Append(nil, m)); err != nil {
		p.t.Fatalf("write frame: %v", err)
	}
}

func (p *peer) data(seq int64, payload string) {
	p.t.Helper()
	p.send(message.Message{Type: p.out, Sequence: seq, PayloadType: message.PayloadOutput, Payload: []byte(payload)})
}

func (p *peer) ack(m message.Message) {
	p.t.Helper()
	if err := p.conn.WriteFrame(p.t.Context(), message.AppendAcknowledge(nil, m.Type, m.ID, m.Sequence)); err != nil {
		p.t.Fatalf("write acknowledgement: %v", err)
	}
}

func (p *peer) control(t message.Type) {
	p.t.Helper()
	p.send(message.Message{Type: t, Payload: []byte("{}")})
}

func send(t testing.TB, c *Channel, payload string) {
	t.Helper()
	if err := c.Send(t.Context(), message.PayloadOutput, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next message, which must have this payload.
func receive(t testing.TB, c *Channel, want string) *Inbound {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in, err := c.Receive(ctx)
	if err != nil {
		t.Fatalf("receive: %v, want %q", err, want)
	}
	if string(in.Payload) != want {
		t.Fatalf("received %q, want %q", in.Payload, want)
	}
	return in
}

func drain(t testing.TB, c *Channel) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}
