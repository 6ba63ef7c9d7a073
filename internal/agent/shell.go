package agent

import (
	"context"
	"errors"
	"io"
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
)

// shell is the activity of a Standard_Stream session: a shell on a terminal.
type shell struct {
	w        *worker
	proc     *pty.Process
	keyboard *keyboard
}

func openShell(ctx context.Context, w *worker, task message.SessionTask) (activity, error) {
	who, err := w.account(ctx, task)
	if err != nil {
		return nil, err
	}
	if err := w.startLog(ctx, task, who.Name); err != nil {
		return nil, err
	}
	proc, err := startShell(who, w.id)
	if err != nil {
		return nil, sentence("%s%v", cannotStart, err)
	}
	w.logger.Info("session open", "shell_pid", proc.Pid(), "user", who.Name)
	s := &shell{w: w, proc: proc, keyboard: newKeyboard(proc)}
	if profile := task.DocumentContent.Inputs.ShellProfile.Linux; profile != "" {
		s.keyboard.press([]byte(profile+"\n"), func() {})
	}
	return s, nil
}

func (s *shell) close() {
	s.proc.Close()
	s.w.endLog()
}

// errShellEnded is the ordinary end.
var errShellEnded = errors.New("the shell ended")

// serve moves bytes between terminal and channel until the session ends, and says why
// it did. Afterwards all output is with the client, as far as it takes it, and nothing
// of the terminal runs that should not.
func (s *shell) serve(ctx context.Context) error {
	pumpCtx, stopPump := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPump()
	inCtx, stopInput := context.WithCancel(context.WithoutCancel(ctx))
	var input sync.WaitGroup
	input.Go(func() { s.keyboard.run(inCtx) })
	input.Go(func() { s.receive(inCtx) })
	input.Go(func() { s.w.watchGateway(inCtx, s.w.notice) })
	defer input.Wait()
	defer stopInput()

	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		s.pump(pumpCtx)
	}()
	select {
	case <-pumped:
		s.w.drain(ctx)
		s.w.sayTerminating(ctx)
		return errShellEnded
	case <-ctx.Done():
	}
	s.hangUp()
	// What the programs said last is still worth a moment, if somebody listens.
	if c, _ := s.w.link.current(); c != nil {
		timer := time.AfterFunc(drainPatience, stopPump)
		defer timer.Stop()
		<-pumped
		s.w.drain(pumpCtx)
	}
	stopPump()
	<-pumped
	return context.Cause(ctx)
}

// pump sends the terminal's output until the shell has ended and all of it is sent.
func (s *shell) pump(ctx context.Context) {
	buf := make([]byte, readSize)
	for {
		n, err := s.proc.Read(buf)
		if n > 0 {
			s.w.record(buf[:n])
			if sendErr := s.w.ch.Send(ctx, message.PayloadOutput, buf[:n]); sendErr != nil {
				s.w.logger.Debug("output not sent", "error", sendErr)
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				s.w.logger.Warn("terminal not read", "error", err)
			}
			return
		}
	}
}

// receive takes the client's messages. Sizes and flags take effect at once, whatever
// input waits before them.
func (s *shell) receive(ctx context.Context) {
	for {
		in, err := s.w.ch.Receive(ctx)
		if errors.Is(err, datachannel.ErrDecrypt) {
			s.w.end(err)
		}
		if err != nil {
			return
		}
		switch in.PayloadType {
		case message.PayloadOutput:
			s.keyboard.press(in.Payload, in.Done)
			continue
		case message.PayloadSize:
			s.resize(in.Payload)
		case message.PayloadFlag:
			if flag, err := message.ParseFlag(in.Payload); err == nil && flag == message.FlagTerminateSession {
				s.w.end(errTerminated)
			}
		default:
			s.w.logger.Debug("payload passed over", "type", in.PayloadType)
		}
		in.Done()
	}
}

func (s *shell) resize(payload []byte) {
	size, err := message.ParseSize(payload)
	if err == nil {
		err = s.proc.Resize(pty.Size{
			Cols: uint16(min(size.Cols, math.MaxUint16)), Rows: uint16(min(size.Rows, math.MaxUint16)),
		})
	}
	if err != nil {
		s.w.logger.Debug("window size not set", "error", err)
	}
}

// hangUp ends everything on the terminal: first it is asked, then, after the grace, made to.
func (s *shell) hangUp() {
	s.proc.Hangup()
	poll := time.NewTicker(hangupPoll)
	defer poll.Stop()
	for deadline := time.Now().Add(hangupGrace); s.proc.Alive() && time.Now().Before(deadline); {
		<-poll.C
	}
	s.proc.Kill()
}
