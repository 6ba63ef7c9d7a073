//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"sekisho/internal/client/clienttest"
	"sekisho/internal/client/terminal"
	"sekisho/internal/message"
)

// TestMain lets the test binary be the plugin, and the plugin's guard. As the plugin
// it panics, in a goroutine of no importance, at SIGUSR1.
func TestMain(m *testing.M) {
	switch {
	case terminal.IsGuard(os.Args[1:]):
		main()
	case os.Getenv("SEKISHO_TEST_PLUGIN") != "":
		panics := make(chan os.Signal, 1)
		signal.Notify(panics, syscall.SIGUSR1)
		go func() {
			<-panics
			panic("as the test asked")
		}()
		main()
	}
	os.Exit(m.Run())
}

// patience bounds every wait of these tests; none is expected to come near it.
const patience = time.Minute

// plugin is a running plugin on a pseudo-terminal of its own.
type plugin struct {
	t      *testing.T
	ctx    context.Context
	g      *clienttest.Gateway
	cmd    *exec.Cmd
	master *os.File
	tty    *os.File
	before term.State

	mu      sync.Mutex // guards the following fields
	text    bytes.Buffer
	changed chan struct{} // closed and replaced when text grows
	reading sync.WaitGroup
}

// startPlugin starts the plugin as the AWS CLI does. adjust may change the command.
func startPlugin(t *testing.T, g *clienttest.Gateway, adjust func(p *plugin)) *plugin {
	p := &plugin{t: t, g: g, changed: make(chan struct{})}
	var stop context.CancelFunc
	p.ctx, stop = context.WithTimeout(context.Background(), patience)
	t.Cleanup(stop)
	var err error
	if p.master, p.tty, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(p.tty, &pty.Winsize{Cols: 100, Rows: 30}); err != nil {
		t.Fatal(err)
	}
	p.before = p.settings()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.CommandContext(p.ctx, program, "AWS_SSM_START_SESSION_RESPONSE", "local-1", "StartSession", "", `{"Target":"mi-0123456789abcdef0"}`, g.Server.URL)
	p.cmd.Env = []string{
		"SEKISHO_TEST_PLUGIN=1", "AWS_SSM_START_SESSION_RESPONSE=" + g.Response(), "AWS_CA_BUNDLE=" + g.Bundle(t),
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "HOME=/nonexistent", "LC_ALL=C",
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.tty, p.tty, p.tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if adjust != nil {
		adjust(p)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.tty.Close() // the last of them ends the reading
		p.reading.Wait()
		p.master.Close()
	})
	return p
}

// read reads what comes out of the terminal.
func (p *plugin) read() {
	p.reading.Go(func() {
		chunk := make([]byte, 32<<10)
		for {
			n, err := p.master.Read(chunk)
			p.mu.Lock()
			p.text.Write(chunk[:n])
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

// prompt lets the node show a prompt and waits until it is on the terminal.
func (p *plugin) prompt() {
	p.t.Helper()
	p.say("$ ")
	p.await("$ ")
}

func (p *plugin) say(text string) {
	p.t.Helper()
	if err := p.g.Agent.Send(p.ctx, message.PayloadOutput, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plugin) await(want string) {
	p.t.Helper()
	for {
		p.mu.Lock()
		text, changed := p.text.String(), p.changed
		p.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			p.t.Fatalf("terminal shows no %q: %q", want, text)
		}
	}
}

func (p *plugin) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// expect wants the node's next message to be this one.
func (p *plugin) expect(wantType message.PayloadType, want string) {
	p.t.Helper()
	in, err := p.g.Agent.Receive(p.ctx)
	if err != nil {
		p.t.Fatalf("node waits for %s %q: %v", wantType, want, err)
	}
	defer in.Done()
	if in.PayloadType != wantType || string(in.Payload) != want {
		p.t.Fatalf("node got %s %q, want %s %q", in.PayloadType, in.Payload, wantType, want)
	}
}

func (p *plugin) settings() term.State {
	p.t.Helper()
	state, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		p.t.Fatal(err)
	}
	return *state
}

// exit waits for the end of the process and gives its exit code, -1 after a signal.
func (p *plugin) exit() int {
	p.t.Helper()
	err := p.cmd.Wait()
	if p.ctx.Err() != nil {
		p.t.Fatalf("plugin does not end; terminal shows %q", p.screen())
	}
	if err != nil && p.cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// restored waits until the terminal is as it was.
func (p *plugin) restored() {
	p.t.Helper()
	for p.settings() != p.before {
		select {
		case <-p.ctx.Done():
			p.t.Fatal("terminal is not restored")
		case <-time.After(2 * time.Millisecond): // another process does it
		}
	}
}

func TestSessionOnATerminal(t *testing.T) {
	p := startPlugin(t, clienttest.New(t), nil)
	p.read()
	p.prompt()
	if p.settings() == p.before {
		t.Error("terminal is not raw during the session")
	}
	p.expect(message.PayloadSize, `{"cols":100,"rows":30}`)
	const keys = "ls\r\x03\x1a\x1c\x11\x13\x04~.\n"
	if _, err := p.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	var typed string
	for len(typed) < len(keys) {
		in, err := p.g.Agent.Receive(p.ctx)
		if err != nil {
			t.Fatal(err)
		}
		typed += string(in.Payload)
		in.Done()
	}
	if typed != keys {
		t.Errorf("node got %q, want the keys %q as they are", typed, keys)
	}
	if err := pty.Setsize(p.tty, &pty.Winsize{Cols: 132, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	p.expect(message.PayloadSize, `{"cols":132,"rows":50}`)
	if err := p.g.End(p.ctx, ""); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	if p.settings() != p.before {
		t.Error("terminal is not as before")
	}
	p.await("Exiting session with sessionId: " + clienttest.SessionID + ".\r\n\r\n")
	want := "\r\nStarting session with SessionId: " + clienttest.SessionID + "\r\n$ \r\n\r\nExiting session with sessionId: " + clienttest.SessionID + ".\r\n\r\n"
	if got := p.screen(); got != want {
		t.Errorf("terminal shows %q, want %q", got, want)
	}
}

func TestTerminalIsRestoredAtEveryEnd(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		code   int
	}{
		{syscall.SIGTERM, 143},
		{syscall.SIGHUP, 129},
		{syscall.SIGINT, 130},
		{syscall.SIGQUIT, 131},
		{syscall.SIGUSR1, 2}, // the panic
		{syscall.SIGKILL, -1},
	} {
		t.Run(c.signal.String(), func(t *testing.T) {
			p := startPlugin(t, clienttest.New(t), nil)
			p.read()
			p.prompt()
			if p.settings() == p.before {
				t.Fatal("terminal is not raw during the session")
			}
			if err := p.cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if code := p.exit(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if c.signal != syscall.SIGKILL && c.signal != syscall.SIGUSR1 && p.settings() != p.before {
				t.Error("terminal is not restored when the plugin has ended")
			}
			p.restored()
		})
	}
}

// The output stands still, so the session cannot end in order.
func TestStuckOutputDoesNotKeepTheTerminal(t *testing.T) {
	p := startPlugin(t, clienttest.New(t), nil)
	p.say(strings.Repeat("x", 1<<20)) // more than the terminal takes
	for p.settings() == p.before {
		select {
		case <-p.ctx.Done():
			t.Fatal("terminal does not become raw")
		case <-time.After(2 * time.Millisecond):
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
	if p.settings() != p.before {
		t.Error("terminal is not restored")
	}
}

func TestReaderOfTheOutputThatGoesAway(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startPlugin(t, clienttest.New(t), func(p *plugin) { p.cmd.Stdout = w })
	w.Close()
	p.read()
	p.say("$ ")
	p.expect(message.PayloadSize, `{"cols":300,"rows":100}`) // standard output is no terminal
	r.Close()
	p.say("nobody reads this")
	if code := p.exit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if p.settings() != p.before {
		t.Error("terminal is not restored")
	}
}

func TestPipedInput(t *testing.T) {
	var out bytes.Buffer
	in, typed := io.Pipe()
	p := startPlugin(t, clienttest.New(t), func(p *plugin) {
		p.cmd.Stdin, p.cmd.Stdout = in, &out
		p.cmd.SysProcAttr = nil
	})
	p.read()
	p.say("$ ")
	p.expect(message.PayloadSize, `{"cols":300,"rows":100}`)
	if p.settings() != p.before {
		t.Error("a terminal that is not the input was changed")
	}
	io.WriteString(typed, "make\n")
	p.expect(message.PayloadOutput, "make\n")
	// Ctrl-C at the terminal is a signal then, and means the remote command.
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.expect(message.PayloadOutput, "\x03")
	typed.Close()
	p.expect(message.PayloadOutput, "\x04")
	p.say("bye\n")
	if err := p.g.End(p.ctx, "Remote close."); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	want := fmt.Sprintf("\nStarting session with SessionId: %s\n$ bye\n\n\nSessionId: %[1]s : Remote close.\n\n", clienttest.SessionID)
	if out.String() != want {
		t.Errorf("printed %q, want %q", &out, want)
	}
}

func TestLostConnectionOnATerminal(t *testing.T) {
	p := startPlugin(t, clienttest.New(t), nil)
	p.read()
	p.prompt()
	p.expect(message.PayloadSize, `{"cols":100,"rows":30}`)
	p.g.Cut()
	p.await("\r\n[Connected again.]\r\n")
	if _, err := p.master.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	p.expect(message.PayloadOutput, "x")
	p.g.OnResume(func(string) clienttest.Answer {
		return clienttest.Answer{Status: 200, Body: `{"SessionId":"s"}`}
	})
	p.g.Cut()
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d after the time-out, want %d", code, exitOK)
	}
	p.await("Session: " + clienttest.SessionID + " timed out.\r\n")
	if p.settings() != p.before {
		t.Error("terminal is not restored")
	}
}

func TestSessionThatCannotBeOpenedIsTerminated(t *testing.T) {
	g := clienttest.New(t)
	p := startPlugin(t, g, func(p *plugin) {
		response := strings.Replace(g.Response(), g.Token(), "another-token", 1)
		response = strings.Replace(response, "/v1/data-channel/", "/nowhere/", 1)
		p.cmd.Env = append(p.cmd.Env, "AWS_SSM_START_SESSION_RESPONSE="+response)
	})
	p.read()
	if code := p.exit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	p.await("could not be opened")
	select {
	case <-g.Terminated:
	default:
		t.Error("TerminateSession was not called")
	}
}
