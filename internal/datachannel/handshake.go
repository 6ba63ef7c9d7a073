package datachannel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekisho/internal/message"
)

// ErrHandshake is wrapped when the agent asked for something this client cannot
// do. The agent has been told, and ends the session.
var ErrHandshake = errors.New("handshake failed")

// refusalDrain is how long AnswerHandshake waits for a refusal to reach the
// agent.
const refusalDrain = 2 * time.Second

// Handshake is what the client learned while a session opened.
type Handshake struct {
	Skipped         bool                          // the agent needed none; all else is zero
	Request         message.HandshakeRequest      //
	SessionType     message.SessionTypeParameters //
	CustomerMessage string                        // to show to the user when not empty
}

// AnswerHandshake does the client's part of the handshake; call it before
// anything else is sent or received, as the stock agent throws away what comes
// before HandshakeComplete. It answers exactly once, and waits for the agent to
// complete. When the agent skips the handshake, as it does for a shell that is
// not encrypted, the stream has begun with the message that is returned.
//
// Like the stock client it acknowledges the agent's messages before it acts on
// them. ctx bounds the wait; the agent itself gives up after 15 s.
func (c *Channel) AnswerHandshake(ctx context.Context) (Handshake, *Inbound, error) {
	first, err := c.Receive(ctx)
	if err != nil {
		return Handshake{}, nil, fmt.Errorf("wait for first message: %w", err)
	}
	if first.PayloadType != message.PayloadHandshakeRequest {
		return Handshake{Skipped: true}, first, nil
	}
	req, err := message.ParseHandshakeRequest(first.Payload)
	first.Done()
	if err != nil {
		return Handshake{}, nil, err
	}
	resp := message.NewHandshakeResponse(req)
	if err := c.Send(ctx, message.PayloadHandshakeResponse, message.Marshal(resp)); err != nil {
		return Handshake{}, nil, err
	}
	if len(resp.Errors) > 0 {
		drain, cancel := context.WithTimeout(ctx, refusalDrain)
		defer cancel()
		_ = c.Drain(drain) // the refusal matters more than whether it arrived
		return Handshake{}, nil, fmt.Errorf("%w: %s", ErrHandshake, strings.Join(resp.Errors, "; "))
	}
	sessionType, err := req.SessionType()
	if err != nil {
		return Handshake{}, nil, err
	}

	last, err := c.Receive(ctx)
	if err != nil {
		return Handshake{}, nil, fmt.Errorf("wait for handshake to complete: %w", err)
	}
	if last.PayloadType != message.PayloadHandshakeComplete {
		return Handshake{}, nil, fmt.Errorf("%w: agent sent %s before completing it", ErrHandshake, last.PayloadType)
	}
	complete, err := message.ParseHandshakeComplete(last.Payload)
	last.Done()
	if err != nil {
		return Handshake{}, nil, err
	}
	return Handshake{Request: req, SessionType: sessionType, CustomerMessage: complete.CustomerMessage}, nil, nil
}
