package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// noExitCode is the exit code of a command that has none, because its session failed or
// was ended, as ssh has it.
const noExitCode = 255

// command is the handler of sessions that run one command without a terminal. Standard
// output has what the command writes there, and nothing else, unless a person looks at it.
type command struct {
	*run
	accepted chan struct{} // closed when the node takes input
	taken    atomic.Bool   // accepted is closed
}

func newCommand(r *run) *command { return &command{run: r, accepted: make(chan struct{})} }

func (c *command) words() io.Writer {
	if c.Terminal != nil {
		return c.Stdout
	}
	return io.Discard
}

func (c *command) start(ctx context.Context) error {
	if err := c.flag(ctx, message.FlagInput); err != nil {
		return err
	}
	c.helpers.Go(func() { c.signals(ctx) })
	c.helpers.Go(func() {
		if err := c.input(ctx); err != nil {
			c.fail(err)
		}
	})
	return nil
}

func (c *command) handle(ctx context.Context, in *datachannel.Inbound) error {
	switch in.PayloadType {
	case message.PayloadOutput, message.PayloadError, message.PayloadStdErr, message.PayloadExitCode:
		if err := c.print(in.PayloadType, in.Payload); err != nil {
			c.endTunnel(ctx) // nobody reads what it says
			return err
		}
	case message.PayloadFlag:
		if flag, _ := message.ParseFlag(in.Payload); flag == message.FlagInput && c.taken.CompareAndSwap(false, true) {
			close(c.accepted)
		}
	}
	in.Done()
	return nil
}

// input sends standard input to its end, if the node takes it: a stock agent gives its
// commands none.
func (c *command) input(ctx context.Context) error {
	select {
	case <-c.accepted:
	case <-ctx.Done():
		return nil
	}
	buf := make([]byte, stdioChunk)
	for {
		n, err := c.Stdin.Read(buf)
		if n > 0 && c.send(ctx, buf[:n]) != nil {
			return nil // the session has ended
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, io.EOF):
			_ = c.flag(ctx, message.FlagInputEnded) // an error is the session's end
			return nil
		default:
			return fmt.Errorf("read input: %w", err)
		}
	}
}

// signals passes keys on to the command, and ends it when this program is to end.
func (c *command) signals(ctx context.Context) {
	for {
		var key byte
		select {
		case <-ctx.Done():
			return
		case key = <-c.Keys:
		case s := <-c.Stop:
			switch s {
			case os.Interrupt:
				key = interruptKey
			case syscall.SIGQUIT:
				key = quitKey
			default:
				c.endTunnel(ctx)
				c.fail(&StoppedError{Signal: s})
				return
			}
		}
		if !c.connected.Load() {
			c.fail(ErrAbandoned)
			return
		}
		if c.raise(ctx, key) != nil {
			return // the session has ended
		}
	}
}

// Keys of a terminal that raise signals.
const (
	interruptKey = 0x03
	quitKey      = 0x1c
)

// raise tells the node of a key: in the input, where that is all that the node looks for
// in it (protocol.md §10.2).
func (c *command) raise(ctx context.Context, key byte) error {
	if !c.taken.Load() {
		return c.send(ctx, []byte{key})
	}
	if key == quitKey {
		return c.flag(ctx, message.FlagQuit)
	}
	return c.flag(ctx, message.FlagInterrupt)
}

func (c *command) flag(ctx context.Context, f message.Flag) error {
	return c.channel.Send(ctx, message.PayloadFlag, f.Payload())
}

// settle gives the session's end an exit code where the command did not: one that failed
// is no success to a script.
func (c *command) settle(end ending) {
	if c.exitCode == nil && (c.taken.Load() || end.output != "" || end.timedOut) {
		code := noExitCode
		c.exitCode = &code
	}
}
