package client

import (
	"context"
	"encoding/binary"
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
	case handshake.Skipped:
		return r.handle(ctx, first)
	}
	if handshake.CustomerMessage != "" {
		if _, err := fmt.Fprintln(r.Stdout, handshake.CustomerMessage); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	switch kind := handshake.SessionType.SessionType; kind {
	case message.SessionTypeStandardStream, message.SessionTypeInteractive, message.SessionTypeNonInteractive:
		return r.startShell(ctx)
	default:
		return r.decline(ctx, kind)
	}
}

// decline ends a session of a kind that this client does not do: the node is told
// in the way it knows from port sessions (protocol.md §5.2).
func (r *run) decline(ctx context.Context, kind string) error {
	end := binary.BigEndian.AppendUint32(nil, uint32(message.FlagTerminateSession))
	if err := r.channel.Send(ctx, message.PayloadFlag, end); err == nil {
		patience, stop := context.WithTimeout(ctx, refusalPatience)
		defer stop()
		_ = r.channel.Drain(patience) // what the user reads is the same either way
	}
	return &UnsupportedError{What: fmt.Sprintf("sessions of type %s", kind)}
}
