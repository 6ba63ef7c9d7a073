package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/shlex"

	"sekisho/internal/message"
	"sekisho/internal/platform"
	"sekisho/internal/pty"
	"sekisho/internal/tunnel"
)

const (
	// commandChunk is the most of a command's output that one message carries.
	commandChunk = 64 << 10
	// commandWindow bounds the output under way, in bytes.
	commandWindow = 4 << 20
	// notStarted is the exit code of a command that could not be started, as shells have it.
	notStarted = 127
	// signalled is added to the number of the signal that ended a command, likewise.
	signalled = 128
	// interruptKey and quitKey from a stock client raise their signals; all else that it
	// sends is thrown away, as the stock agent does (protocol.md §10.2).
	interruptKey = 0x03
	quitKey      = 0x1c
)

// commandSpec is what a document's properties say of one platform.
type commandSpec struct {
	Commands              string
	RunAsElevated         message.Bool
	SeparateOutputStream  message.Bool
	StdOutSeparatorPrefix string
	StdErrSeparatorPrefix string
}

// commandFor reads the properties for this machine.
func commandFor(task message.SessionTask) (commandSpec, error) {
	doc := task.DocumentContent
	text, err := json.Marshal(doc.Properties)
	var all struct{ Linux, MacOS, Windows *commandSpec }
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return commandSpec{}, sentence("The session document's properties cannot be read: %v", err)
	}
	spec := map[string]*commandSpec{"linux": all.Linux, "darwin": all.MacOS, "windows": all.Windows}[runtime.GOOS]
	if spec == nil || strings.TrimSpace(spec.Commands) == "" {
		return commandSpec{}, sentence("Commands cannot be empty for session type %s (platform %s)", doc.SessionType, runtime.GOOS)
	}
	return *spec, nil
}

// prepareCommand finds out what to run and as whom — the agent's own account, if the
// document's author says so — and begins the log.
func (w *worker) prepareCommand(ctx context.Context, task message.SessionTask) (spec commandSpec, who account, err error) {
	if spec, err = commandFor(task); err != nil {
		return spec, who, err
	}
	who = ownAccount()
	if !spec.RunAsElevated {
		if who, err = w.account(ctx, task); err != nil {
			return spec, who, err
		}
	}
	return spec, who, w.startLog(ctx, task, who.Name)
}

// openTerminalCommand starts the command of an InteractiveCommands session on a terminal.
// From there on it is a shell like any other.
func openTerminalCommand(ctx context.Context, w *worker, task message.SessionTask) (activity, error) {
	spec, who, err := w.prepareCommand(ctx, task)
	if err != nil {
		return nil, err
	}
	cmd := loginShell(who.Account, os.Environ(), w.id)
	cmd.Path, cmd.Argv = fallbackShell, []string{"sh", "-c", spec.Commands}
	proc, err := who.startTerminal(cmd)
	if err != nil {
		return nil, sentence("%s%v", cannotStart, err)
	}
	w.logger.Info("session open", "command_pid", proc.Pid(), "user", who.Name)
	return &shell{w: w, proc: proc, keyboard: newKeyboard(proc)}, nil
}

// command is the activity of a NonInteractiveCommands session.
type command struct {
	w    *worker
	spec commandSpec
	proc *pty.Piped // nil when it could not be started
	why  error      // then

	input *tunnel.Bytes
	// first is closed when the client has said something: what it says first tells
	// whether it is one of ours (see [message.FlagInput]).
	first chan struct{}
	ours  atomic.Bool
}

// openCommand starts the command. One that cannot be started is told as its output, so
// that who reads standard error and exit code learns it there.
func openCommand(ctx context.Context, w *worker, task message.SessionTask) (activity, error) {
	spec, who, err := w.prepareCommand(ctx, task)
	if err != nil {
		return nil, err
	}
	// No shell looks at it: words are told apart as a shell would, and that is all
	// (protocol.md §10.2).
	words, err := shlex.Split(spec.Commands)
	if err == nil && len(words) == 0 {
		err = errors.New("it has no words")
	}
	if err != nil {
		return nil, sentence("%sthe command line cannot be read: %v", cannotStart, err)
	}
	c := &command{w: w, spec: spec, first: make(chan struct{})}
	cmd := loginShell(who.Account, os.Environ(), w.id)
	if cmd.Path, c.why = findProgram(words[0]); c.why == nil {
		cmd.Argv = words
		c.proc, c.why = who.startPiped(cmd, !bool(spec.SeparateOutputStream))
	}
	if c.why == nil {
		w.logger.Info("session open", "command_pid", c.proc.Pid(), "user", who.Name)
	}
	return c, nil
}

// findProgram is the file that a command's first word names.
func findProgram(word string) (string, error) {
	if strings.ContainsRune(word, '/') {
		return word, nil
	}
	for _, dir := range strings.Split(searchPath, ":") {
		if path := filepath.Join(dir, word); platform.IsExecutable(path) {
			return path, nil
		}
	}
	return "", errors.New(word + ": command not found")
}

func (c *command) close() {
	if c.proc != nil {
		c.proc.Close()
	}
	c.w.endLog()
}

// errCommandEnded is the ordinary end.
var errCommandEnded = errors.New("the command ended")

// serve passes the output on until the command, and whoever else holds its output, has
// ended, and then says how.
func (c *command) serve(ctx context.Context) error {
	inCtx, stopInput := context.WithCancel(context.WithoutCancel(ctx))
	c.input = tunnel.NewBytes(tunnel.CarrierFunc(func(context.Context, []byte) error { return nil })) // nothing is written
	var input sync.WaitGroup
	input.Go(c.feed)
	input.Go(func() { c.receive(inCtx) })
	input.Go(func() { c.w.watchGateway(inCtx, nil) })
	defer input.Wait()
	defer c.input.Close()
	if c.proc != nil {
		defer c.proc.Stdin.Close() // ends a write to a command's child that does not read
	}
	defer stopInput()

	code := notStarted
	if c.proc == nil {
		text := []byte(cannotStart + c.why.Error() + "\n")
		c.w.record(text)
		if err := c.w.ch.Send(ctx, message.PayloadStdErr, text); err != nil {
			return err
		}
	} else {
		var ended bool
		if code, ended = c.run(ctx); !ended {
			return context.Cause(ctx)
		}
	}
	if c.tellsCode(ctx) {
		if err := c.w.ch.Send(ctx, message.PayloadExitCode, message.ExitCode(code).Payload()); err != nil {
			return err
		}
	}
	c.w.drain(ctx)
	c.w.sayTerminating(ctx)
	return errCommandEnded
}

// tellsCode says whether the client is told the exit code: one of ours always, a stock one,
// which shows it among the output, where the document asks for that.
func (c *command) tellsCode(ctx context.Context) bool {
	if c.spec.SeparateOutputStream {
		return true
	}
	patience := time.NewTimer(drainPatience)
	defer patience.Stop()
	select {
	case <-c.first: // at the latest with the first output; a stock client tells its window's size
	case <-patience.C:
	case <-ctx.Done():
	}
	return c.ours.Load()
}

// feed gives the command its input.
func (c *command) feed() {
	if c.proc != nil {
		_, _ = io.Copy(c.proc.Stdin, c.input) // an error means that it reads no more
		c.proc.Stdin.Close()
	}
	_, _ = io.Copy(io.Discard, c.input)
}

// run passes the output on and gives the exit code. ended is false if ctx came first; then
// nothing of the command runs any more.
func (c *command) run(ctx context.Context) (code int, ended bool) {
	pumpCtx, stopPump := context.WithCancel(ctx)
	defer stopPump()
	var pumps sync.WaitGroup
	pumps.Go(func() {
		c.pump(pumpCtx, c.proc.Stdout, message.PayloadOutput, c.spec.StdOutSeparatorPrefix)
	})
	if c.proc.Stderr != nil {
		pumps.Go(func() {
			c.pump(pumpCtx, c.proc.Stderr, message.PayloadStdErr, c.spec.StdErrSeparatorPrefix)
		})
	}
	pumped := make(chan struct{})
	go func() {
		pumps.Wait()
		close(pumped)
	}()
	select {
	case <-pumped:
	case <-ctx.Done():
		c.proc.Hangup()
		grace := time.NewTimer(hangupGrace)
		select {
		case <-pumped:
		case <-grace.C:
		}
		grace.Stop()
		c.proc.Kill()
		c.proc.Close() // ends what reads, also if somebody else holds the other end
		<-pumped
		c.proc.Wait()
		return 0, false
	}
	status := c.proc.Wait()
	c.w.logger.Info("command ended", "code", status.Code, "signal", status.Signal)
	if s, ok := status.Signal.(syscall.Signal); ok {
		return signalled + int(s), true
	}
	return status.Code, true
}

// pump sends one stream of output to its end. prefix goes before the first output and
// before each that follows a line's end (protocol.md §10.2).
func (c *command) pump(ctx context.Context, from io.Reader, t message.PayloadType, prefix string) {
	if !c.spec.SeparateOutputStream {
		prefix = ""
	}
	buf := make([]byte, len(prefix)+commandChunk)
	copy(buf, prefix)
	fresh := true
	for {
		n, err := from.Read(buf[len(prefix):])
		if n > 0 {
			out := buf[len(prefix) : len(prefix)+n]
			c.w.record(out)
			if fresh {
				out = buf[:len(prefix)+n]
			}
			fresh = out[len(out)-1] == '\n'
			if c.w.ch.Send(ctx, t, out) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// receive takes the client's messages: input, keys that raise a signal, and the wish to end.
func (c *command) receive(ctx context.Context) {
	heard := false
	for {
		in, err := c.w.ch.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, io.EOF) {
				c.w.end(err)
			}
			return
		}
		var flag message.Flag
		if in.PayloadType == message.PayloadFlag {
			flag, _ = message.ParseFlag(in.Payload) // 0 is none
		}
		if !heard {
			heard = true
			c.greet(ctx, flag == message.FlagInput)
		}
		switch {
		case in.PayloadType == message.PayloadOutput && c.ours.Load():
			c.input.Deliver(in.Payload, in.Done)
			continue
		case in.PayloadType == message.PayloadOutput:
			for _, b := range in.Payload {
				c.key(b)
			}
		case flag == message.FlagInputEnded:
			c.input.End()
		case flag == message.FlagInterrupt:
			c.key(interruptKey)
		case flag == message.FlagQuit:
			c.key(quitKey)
		case flag == message.FlagTerminateSession:
			c.w.end(errTerminated)
		}
		in.Done()
	}
}

// greet is for what the client says first. The commands of a stock one have no input.
func (c *command) greet(ctx context.Context, ours bool) {
	c.ours.Store(ours)
	close(c.first)
	if !ours {
		c.input.End()
		return
	}
	if err := c.w.ch.Send(ctx, message.PayloadFlag, message.FlagInput.Payload()); err != nil {
		c.w.logger.Debug("input not agreed on", "error", err)
	}
}

func (c *command) key(b byte) {
	switch {
	case c.proc == nil:
	case b == interruptKey:
		c.proc.Raise(pty.Interrupt)
	case b == quitKey:
		c.proc.Raise(pty.Quit)
	}
}
