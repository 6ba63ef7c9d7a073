package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/pty"
)

const (
	// shellWindow bounds the output under way, in bytes: what a user still sees after
	// Ctrl-C on a slow line. On a line of 100 ms it allows 10 MB/s, as ssh's 2 MiB of
	// channel window do twice.
	shellWindow = 1 << 20
	// readSize is the largest payload of terminal output. Clients of Windows were never
	// seen to take more (protocol.md §16).
	readSize = 32 << 10
	// hangupGrace is what programs get to end by themselves when a session is ended.
	hangupGrace = 2 * time.Second
	hangupPoll  = 20 * time.Millisecond
	// drainPatience is how long the last output may go without any acknowledgement: a
	// stock client never repeats a lost one (protocol.md §15, item 35).
	drainPatience = 2 * time.Second
	drainPoll     = 100 * time.Millisecond
)

// errTerminated says that somebody else than the shell ends the session.
var errTerminated = errors.New("the session is ended from outside")

// worker runs one session: a shell on a terminal at one end, the data channel at the
// other. Its goroutines are started by runSession, which waits for them.
type worker struct {
	id       string
	logger   *slog.Logger
	ch       *datachannel.Channel
	link     *link
	proc     *pty.Process
	keyboard *keyboard
	end      context.CancelCauseFunc // ends the session from outside
}

// runSession runs a session to its end, or until ctx ends, which hangs the shell up.
func runSession(ctx context.Context, spec workerSpec, logger *slog.Logger) outcome {
	id := spec.Task.SessionId
	srv, err := newServer(&spec.Registration)
	if err != nil {
		return failed(err)
	}
	defer srv.close()
	srv.clock.offset.Store(int64(spec.ClockOffset))
	creds := newCredentials(srv, spec.Registration.Fingerprint, func() (signer, error) {
		key, err := spec.Registration.key(spec.Dir)
		if err != nil {
			return nil, err
		}
		return rsaSigner(srv, spec.Registration.NodeID, key), nil
	})
	creds.seed(spec.Credentials)

	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ch := datachannel.New(datachannel.Config{Role: datachannel.Agent, Window: shellWindow, Logger: logger})
	w := &worker{id: id, logger: logger, ch: ch, end: end}
	w.link = &link{server: srv, creds: creds, ch: ch, nodeID: spec.Registration.NodeID, session: id, pace: spec.Pace, logger: logger}

	// The connection is made while the shell starts; output waits for it.
	linkCtx, endLink := context.WithCancel(context.WithoutCancel(ctx))
	linkDone := make(chan struct{})
	var linkErr error
	go func() {
		defer close(linkDone)
		linkErr = w.link.run(linkCtx)
		end(linkErr)
	}()
	closeLink := func() {
		ch.Close()
		endLink()
		<-linkDone
	}
	if keyID := spec.Task.DocumentContent.Inputs.KMSKeyID; keyID != "" {
		if err := w.encrypt(ctx, keyID); err != nil {
			said := w.link.finish()
			closeLink()
			<-said
			return w.notEncrypted(err, linkErr)
		}
	}
	if w.proc, err = startShell(id); err != nil {
		closeLink()
		logger.Error("shell not started", "error", err)
		return outcome{Status: message.StatusFailed, Output: "Unable to start the shell: " + err.Error()}
	}
	defer w.proc.Close()
	logger.Info("session open", "shell_pid", w.proc.Pid())
	w.keyboard = newKeyboard(w.proc)
	if profile := spec.Task.DocumentContent.Inputs.ShellProfile.Linux; profile != "" {
		w.keyboard.press([]byte(profile+"\n"), func() {})
	}
	err = w.serve(ctx)
	said := w.link.finish()
	closeLink()
	<-said
	logger.Info("session closed", "reason", err)
	if w.link.never() && errors.Is(err, linkErr) {
		return outcome{Status: message.StatusFailed, Output: "Setting up data channel with id " + id + " failed: " + err.Error()}
	}
	if errors.Is(err, datachannel.ErrDecrypt) {
		return failed(errGarbled)
	}
	return outcome{Status: message.StatusSuccess}
}

// errShellEnded is the ordinary end.
var errShellEnded = errors.New("the shell ended")

// serve moves bytes between terminal and channel until the session ends, and says why
// it did. Afterwards all output is with the client, as far as it takes it, and nothing
// of the terminal runs that should not.
func (w *worker) serve(ctx context.Context) error {
	pumpCtx, stopPump := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPump()
	inCtx, stopInput := context.WithCancel(context.WithoutCancel(ctx))
	var input sync.WaitGroup
	input.Go(func() { w.keyboard.run(inCtx) })
	input.Go(func() { w.receive(inCtx) })
	input.Go(func() { w.watchGateway(inCtx) })
	defer input.Wait()
	defer stopInput()

	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		w.pump(pumpCtx)
	}()
	select {
	case <-pumped:
		w.drain(ctx)
		if ctx.Err() == nil {
			stateCtx, cancel := context.WithTimeout(ctx, drainPatience)
			defer cancel()
			if err := w.ch.SendControl(stateCtx, stateMessage(w.id, message.StateTerminating)); err != nil {
				w.logger.Debug("end of the shell not announced", "error", err)
			}
		}
		return errShellEnded
	case <-ctx.Done():
	}
	w.hangUp()
	// What the programs said last is still worth a moment, if somebody listens.
	if c, _ := w.link.current(); c != nil {
		timer := time.AfterFunc(drainPatience, stopPump)
		defer timer.Stop()
		<-pumped
		w.drain(pumpCtx)
	}
	stopPump()
	<-pumped
	return context.Cause(ctx)
}

// pump sends the terminal's output until the shell has ended and all of it is sent.
func (w *worker) pump(ctx context.Context) {
	buf := make([]byte, readSize)
	for {
		n, err := w.proc.Read(buf)
		if n > 0 {
			if sendErr := w.ch.Send(ctx, message.PayloadOutput, buf[:n]); sendErr != nil {
				w.logger.Debug("output not sent", "error", sendErr)
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				w.logger.Warn("terminal not read", "error", err)
			}
			return
		}
	}
}

// receive takes the client's messages. Sizes and flags take effect at once, whatever
// input waits before them.
func (w *worker) receive(ctx context.Context) {
	for {
		in, err := w.ch.Receive(ctx)
		if errors.Is(err, datachannel.ErrDecrypt) {
			w.end(err)
		}
		if err != nil {
			return
		}
		switch in.PayloadType {
		case message.PayloadOutput:
			w.keyboard.press(in.Payload, in.Done)
			continue
		case message.PayloadSize:
			w.resize(in.Payload)
		case message.PayloadFlag:
			if flag, err := message.ParseFlag(in.Payload); err == nil && flag == message.FlagTerminateSession {
				w.end(errTerminated)
			}
		default:
			w.logger.Debug("payload passed over", "type", in.PayloadType)
		}
		in.Done()
	}
}

func (w *worker) resize(payload []byte) {
	size, err := message.ParseSize(payload)
	if err == nil {
		err = w.proc.Resize(pty.Size{
			Cols: uint16(min(size.Cols, math.MaxUint16)), Rows: uint16(min(size.Rows, math.MaxUint16)),
		})
	}
	if err != nil {
		w.logger.Debug("window size not set", "error", err)
	}
}

// watchGateway ends the session when the gateway says so, and shows what it has to say.
func (w *worker) watchGateway(ctx context.Context) {
	for {
		select {
		case m := <-w.ch.Control():
			switch m.Type {
			case message.TypeChannelClosed:
				w.end(errTerminated)
			case message.TypeSessionNotice:
				w.notice(ctx, m)
			}
		case <-ctx.Done():
			return
		}
	}
}

// hangUp ends everything on the terminal: first it is asked, then, after the grace, made to.
func (w *worker) hangUp() {
	w.proc.Hangup()
	poll := time.NewTicker(hangupPoll)
	defer poll.Stop()
	for deadline := time.Now().Add(hangupGrace); w.proc.Alive() && time.Now().Before(deadline); {
		<-poll.C
	}
	w.proc.Kill()
}

// drain waits until the client has all output. It gives up when the connected client
// acknowledges nothing for a while; a lost connection is waited for, as ever.
func (w *worker) drain(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		pollCtx, cancel := context.WithTimeout(ctx, drainPoll)
		err := w.ch.Drain(pollCtx)
		cancel()
		if err == nil || errors.Is(err, datachannel.ErrClosed) {
			return
		}
		c, since := w.link.current()
		if c == nil {
			continue
		}
		latest := began
		for _, t := range []time.Time{since, c.lastAck()} {
			if t.After(latest) {
				latest = t
			}
		}
		if time.Since(latest) > drainPatience {
			w.logger.Debug("output not acknowledged")
			return
		}
	}
}
