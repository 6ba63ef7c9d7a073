package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// run is one session under way. It is used by Run only.
type run struct {
	session Session
	Options
	channel  *datachannel.Channel
	clientID string // the same on every connection (protocol.md §2.5)
	log      *slog.Logger

	connected atomic.Bool // a connection is up and served
	raw       atomic.Bool // the terminal is raw: lines need carriage returns

	// Owned by the receiving goroutine until it has ended.
	handler  handler // by the session's type; nil until that is known
	greeted  bool
	started  bool // the shell runs
	exitCode *int

	helpers sync.WaitGroup          // input and events, once started
	fail    context.CancelCauseFunc // ends the run
}

// handler is the client's part of one type of session. The receiving goroutine calls
// it; what it starts ends with the context of start, and helpers waits for it.
type handler interface {
	// words is where the plugin's own lines go: the first, the last, and what the node
	// says about the session. Where standard output carries data they go elsewhere.
	words() io.Writer
	// start begins the session's work. Handlers of sessions without a handshake are
	// started by the first message.
	start(ctx context.Context) error
	// handle acts on a message and sees to it that it is acknowledged.
	handle(ctx context.Context, in *datachannel.Inbound) error
}

// Run runs a session until the service ends it, and says how it ended. An end of ctx
// leaves the session alive on the node: the gateway keeps it for ResumeSession until
// its idle time-out. Run waits for a Write to Stdout that is under way; a caller that
// must leave while its output is stuck restores the terminal itself and exits.
func Run(ctx context.Context, s Session, o Options) (Outcome, error) {
	r := &run{session: s, Options: o, clientID: message.NewID().String(), log: o.Logger}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.channel = datachannel.New(datachannel.Config{Role: datachannel.Client, Logger: r.log})
	if !o.LateGreeting {
		if err := r.greet(o.Stdout); err != nil {
			return Outcome{}, err
		}
	}
	end, err := r.conduct(ctx)
	if c, ok := r.handler.(*command); ok {
		c.settle(end)
	}
	outcome := Outcome{Output: end.output, TimedOut: end.timedOut, ExitCode: r.exitCode}
	var stopped *StoppedError
	if err != nil && !errors.As(err, &stopped) {
		return outcome, err
	}
	words := o.Stdout
	if r.handler != nil {
		words = r.handler.words()
	}
	if words == io.Discard && (end.output != "" || end.timedOut) {
		words = o.Stderr // why it ended is told, where it harms no data
	}
	if err := r.greet(words); err != nil {
		return outcome, err
	}
	return outcome, errors.Join(err, r.farewell(words, end))
}

// ending is what the service said at a session's end.
type ending struct {
	output   string
	timedOut bool
}

// conduct runs the goroutines of the session and gives its end. Everything it
// started has ended when it returns, and the terminal is restored.
func (r *run) conduct(parent context.Context) (end ending, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	r.fail = cancel
	if r.Terminal != nil {
		defer func() {
			if restored := r.Terminal.Restore(); err == nil {
				err = restored
			}
			r.raw.Store(false)
		}()
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		if err := r.receive(ctx); err != nil {
			cancel(err)
		}
	}()

	end, err = r.connect(ctx)
	// What arrived before the end is written before the end is told: a closed
	// channel gives what it holds and then io.EOF. After a failure nobody waits.
	r.channel.Close()
	if err != nil {
		cancel(err)
	}
	<-received
	cancel(nil)
	r.Stdin.Close()
	r.helpers.Wait()
	if err == nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause // output failed while the rest was written
		}
	}
	return end, err
}

// receive takes the node's messages in order until the channel is closed.
func (r *run) receive(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	for {
		in, err := r.channel.Receive(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, datachannel.ErrDecrypt) {
			return &EncryptionError{Err: err}
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if err := r.handler.handle(ctx, in); err != nil {
			return err
		}
	}
}

// greet prints the first line, once. Programs wait for it.
func (r *run) greet(words io.Writer) error {
	if r.greeted {
		return nil
	}
	r.greeted = true
	if _, err := fmt.Fprintf(words, "\nStarting session with SessionId: %s\n", r.session.ID); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// farewell prints the last words, as the stock client does (protocol.md §2.2, §4.3).
func (r *run) farewell(words io.Writer, end ending) error {
	var err error
	switch {
	case end.timedOut:
		_, err = fmt.Fprintf(words, "Session: %s timed out.\n", r.session.ID)
	case end.output != "":
		_, err = fmt.Fprintf(words, "\n\nSessionId: %s : %s\n\n", r.session.ID, end.output)
	default:
		_, err = fmt.Fprintf(words, "\n\nExiting session with sessionId: %s.\n\n", r.session.ID)
	}
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
