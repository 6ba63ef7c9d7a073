package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// inputChunk is the most of the input that one message carries. The stock client
// takes 1024 bytes; both stock and our agents accept any size (protocol.md §8.6).
const inputChunk = 16 << 10

// endOfTransmission is what a terminal's Ctrl-D sends: the end of the input when a
// line is empty, and the line so far when it is not.
const endOfTransmission = 0x04

// shell is the handler of sessions at a terminal.
type shell struct{ *run }

func (s shell) words() io.Writer { return s.Stdout }

func (s shell) start(ctx context.Context) error { return s.startShell(ctx) }

func (s shell) handle(ctx context.Context, in *datachannel.Inbound) error {
	switch in.PayloadType {
	case message.PayloadOutput, message.PayloadError, message.PayloadStdErr, message.PayloadExitCode:
		if err := s.startShell(ctx); err != nil { // without a handshake nothing else begins it
			return err
		}
		if err := s.print(in.PayloadType, in.Payload); err != nil {
			return err
		}
	default:
		s.log.Debug("message of no use here", "session_id", s.session.ID, "payload_type", uint32(in.PayloadType))
	}
	in.Done()
	return nil
}

// startShell begins the shell session: raw mode, the window size, then the input.
// Further calls do nothing.
func (r *run) startShell(ctx context.Context) error {
	if r.started {
		return nil
	}
	r.started = true
	if r.Terminal != nil {
		if err := r.Terminal.MakeRaw(); err != nil {
			return err
		}
		r.raw.Store(true)
	}
	size, err := r.sendSize(ctx, message.Size{})
	if err != nil {
		return err
	}
	r.helpers.Go(func() { r.events(ctx, size) })
	r.helpers.Go(func() {
		if err := r.input(ctx); err != nil {
			r.fail(err)
		}
	})
	return nil
}

// print writes a message's payload where it belongs.
func (r *run) print(t message.PayloadType, payload []byte) error {
	out := r.Stdout
	switch t {
	case message.PayloadExitCode:
		code, err := ParseExitCode(payload)
		if err != nil {
			r.log.Warn("exit code not understood", "session_id", r.session.ID, "error", err)
			return nil
		}
		r.exitCode = &code
		return nil
	case message.PayloadStdErr, message.PayloadError:
		out = r.Stderr
	}
	if _, err := out.Write(payload); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// sendSize tells the window size unless it is told already or unknown, and gives the
// size that is told now.
func (r *run) sendSize(ctx context.Context, told message.Size) (message.Size, error) {
	if r.Size == nil {
		return told, nil
	}
	cols, rows := r.Size()
	if cols <= 0 || rows <= 0 {
		return told, nil
	}
	size := message.Size{Cols: uint32(cols), Rows: uint32(rows)}
	if size == told {
		return told, nil
	}
	payload, err := json.Marshal(size)
	if err != nil {
		return told, fmt.Errorf("encode window size: %w", err)
	}
	return size, r.channel.Send(ctx, message.PayloadSize, payload)
}

// events sends window sizes and keys until the session ends.
func (r *run) events(ctx context.Context, told message.Size) {
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-r.Resized:
			told, err = r.sendSize(ctx, told)
		case key := <-r.Keys:
			err = r.channel.Send(ctx, message.PayloadOutput, []byte{key})
		}
		if err != nil {
			return // the session has ended
		}
	}
}

// input sends what is typed until the session or the input ends. Bytes go as they
// are: the terminal is raw, so control characters are among them.
func (r *run) input(ctx context.Context) error {
	chunk := make([]byte, inputChunk)
	last := byte('\n')
	var escape escape
	for {
		n, err := r.Stdin.Read(chunk)
		if n > 0 {
			if r.Terminal != nil && escape.asked(chunk[:n], !r.connected.Load()) {
				return ErrAbandoned
			}
			if r.channel.Send(ctx, message.PayloadOutput, chunk[:n]) != nil {
				return nil // the session has ended
			}
			last = chunk[n-1]
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrClosed):
			return nil
		case r.Terminal != nil:
			// A raw terminal has no end of file; a hang-up looks like one.
			return fmt.Errorf("%w: %w", ErrHangUp, err)
		case errors.Is(err, io.EOF):
			return r.inputEnded(ctx, last)
		default:
			return fmt.Errorf("read input: %w", err)
		}
	}
}

// inputEnded tells the node's terminal that the input is over. An unfinished line
// needs a first EOT to be handed to the reader and a second to mean the end.
func (r *run) inputEnded(ctx context.Context, last byte) error {
	end := []byte{endOfTransmission}
	if last != '\n' {
		end = append(end, endOfTransmission)
	}
	r.channel.Send(ctx, message.PayloadOutput, end) // an error is the session's end
	return nil
}

// escape finds the wish to give up in what is typed while the connection is lost:
// "~." at the beginning of a line, as ssh has it. While connected every byte belongs
// to the node and none is looked at.
type escape struct {
	state int // bytes of "\n~" seen; a new outage begins as at a new line
	lost  bool
}

// asked says whether the bytes complete the wish.
func (e *escape) asked(typed []byte, lost bool) bool {
	if !lost {
		*e = escape{}
		return false
	}
	if !e.lost {
		*e = escape{state: 1, lost: true}
	}
	for _, b := range typed {
		switch {
		case b == '\r' || b == '\n':
			e.state = 1
		case e.state == 1 && b == '~':
			e.state = 2
		case e.state == 2 && b == '.':
			return true
		default:
			e.state = 0
		}
	}
	return false
}
