package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// refusalPatience bounds the wait for the node to have read that its session is not
// wanted. Both stock peers wait as long at a session's end (protocol.md §10.1).
const refusalPatience = 2 * time.Second

// begin finds out what kind of session this is, by the handshake or by the first
// message where there is none, and starts what handles it.
func (r *run) begin(ctx context.Context) error {
	handshake, first, err := r.channel.AnswerHandshake(ctx, r.dataKey)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, datachannel.ErrClosed):
		return nil // the session ended before it began
	case errors.Is(err, datachannel.ErrEncryption):
		return &EncryptionError{Err: err}
	case errors.Is(err, datachannel.ErrHandshake):
		return &UnsupportedError{What: err.Error()}
	case err != nil:
		return err
	case handshake.Skipped: // it is a shell that is not encrypted (protocol.md §6.5)
		r.handler = shell{r}
		if err := r.greet(r.handler.words()); err != nil {
			return err
		}
		return r.handler.handle(ctx, first)
	}
	switch kind := handshake.SessionType.SessionType; kind {
	case message.SessionTypeStandardStream, message.SessionTypeInteractive:
		r.handler = shell{r}
	case message.SessionTypeNonInteractive:
		r.handler = newCommand(r)
	case message.SessionTypePort:
		tunnel, err := r.newTunnel(handshake)
		if err != nil {
			return r.decline(ctx, err)
		}
		r.handler = tunnel
	default:
		return r.decline(ctx, &UnsupportedError{What: fmt.Sprintf("sessions of type %s", kind)})
	}
	words := r.handler.words()
	if err := r.greet(words); err != nil {
		return err
	}
	if handshake.CustomerMessage != "" {
		if _, err := fmt.Fprintln(words, handshake.CustomerMessage); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return r.handler.start(ctx)
}

// decline ends a session that this client cannot do, and gives why: the node is told
// in the way it knows from port sessions (protocol.md §5.2).
func (r *run) decline(ctx context.Context, why error) error {
	if err := r.channel.Send(ctx, message.PayloadFlag, message.FlagTerminateSession.Payload()); err == nil {
		patience, stop := context.WithTimeout(ctx, refusalPatience)
		defer stop()
		_ = r.channel.Drain(patience) // what the user reads is the same either way
	}
	return why
}
