// Package datachannel makes a reliable, ordered message stream out of
// connections that come and go. Both ends of a session use it: the node's
// worker as [Agent], an operator's client as [Client].
package datachannel

import (
	"context"
	"errors"
	"io"
	"log/slog"

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
	Window        int          // bytes of payload sent and not acknowledged; 4 MiB for agents, 1 MiB for clients
	ReceiveBuffer int          // bytes of payload received and not processed; 4 MiB
	Logger        *slog.Logger // discards
}

// Facts that callers branch on.
var (
	ErrClosed       = errors.New("data channel is closed")
	ErrNotConnected = errors.New("data channel is not connected")
)

// Channel is one end of a session's data channel.
type Channel struct{}

// New returns a channel without a connection.
func New(cfg Config) *Channel { return &Channel{} }

// Serve runs the protocol over conn.
func (c *Channel) Serve(ctx context.Context, conn FrameConn) error { return ErrClosed }

// Send numbers, stores and sends a stream message.
func (c *Channel) Send(ctx context.Context, t message.PayloadType, payload []byte) error {
	return ErrClosed
}

// Receive returns the next stream message in order.
func (c *Channel) Receive(ctx context.Context) (*Inbound, error) { return nil, io.EOF }

// Inbound is a received stream message.
type Inbound struct {
	PayloadType message.PayloadType
	Payload     []byte // valid until Done
	Sequence    int64
}

// Done says that the message has been processed.
func (in *Inbound) Done() {}

// SendControl sends an unnumbered message.
func (c *Channel) SendControl(ctx context.Context, m message.Message) error { return ErrNotConnected }

// Control returns the unnumbered messages from the gateway.
func (c *Channel) Control() <-chan message.Message { return nil }

// Drain waits until everything sent is acknowledged.
func (c *Channel) Drain(ctx context.Context) error { return nil }

// Close ends the channel.
func (c *Channel) Close() {}

// Handshake is what the client learned while a session opened.
type Handshake struct {
	Skipped         bool                          // the agent needed none
	Request         message.HandshakeRequest      // zero when skipped
	SessionType     message.SessionTypeParameters // zero when skipped
	CustomerMessage string                        // to show to the user when not empty
}

// AnswerHandshake does the client's part of the handshake. When the agent skips
// it, the first message of the stream is returned with it.
func (c *Channel) AnswerHandshake(ctx context.Context) (Handshake, *Inbound, error) {
	return Handshake{}, nil, io.EOF
}
