//go:build linux || darwin

package pty

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Piped is a program without a terminal, in a session of its own.
type Piped struct {
	// Stdin is its input, until it is closed.
	Stdin *os.File
	// Stdout and Stderr give what it and its descendants write, to the end. Stderr is nil
	// when both go the same way. Whoever reads closes them.
	Stdout, Stderr *os.File

	cmd *exec.Cmd

	mu     sync.Mutex // guards reaped
	reaped bool       // the process id is given back
}

// StartPiped starts a program. joined sends standard error where standard output goes.
// The command's Size means nothing here.
func StartPiped(cmd Command, joined bool) (*Piped, error) {
	p := &Piped{}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	fail := func(err error) (*Piped, error) {
		p.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	stdin, ours, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	theirs, p.Stdin = append(theirs, stdin), ours
	output := func() (theirEnd, ours *os.File, err error) {
		ours, theirEnd, err = os.Pipe()
		if err == nil {
			theirs = append(theirs, theirEnd)
		}
		return theirEnd, ours, err
	}
	stdout, ours, err := output()
	if err != nil {
		return fail(err)
	}
	p.Stdout = ours
	stderr := stdout
	if !joined {
		if stderr, p.Stderr, err = output(); err != nil {
			return fail(err)
		}
	}
	p.cmd = &exec.Cmd{
		Path: cmd.Path, Args: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, ExtraFiles: cmd.Files,
		Stdin: stdin, Stdout: stdout, Stderr: stderr, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := p.cmd.Start(); err != nil {
		return fail(err)
	}
	return p, nil
}

// Close closes our ends of the pipes.
func (p *Piped) Close() {
	for _, f := range []*os.File{p.Stdin, p.Stdout, p.Stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// Pid is the program's process id.
func (p *Piped) Pid() int { return p.cmd.Process.Pid }

// Raise sends a signal to the program's group, as Ctrl-C and Ctrl-\ at a terminal would.
func (p *Piped) Raise(sig Signal) {
	s := syscall.SIGINT
	if sig == Quit {
		s = syscall.SIGQUIT
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped { // else the number may be another's
		syscall.Kill(-p.Pid(), s)
	}
}

// Hangup asks all processes of the program's session to end.
func (p *Piped) Hangup() { signalSession(p.Pid(), syscall.SIGHUP) }

// Kill ends them.
func (p *Piped) Kill() { signalSession(p.Pid(), syscall.SIGKILL) }

// Wait waits for the program itself and says how it ended. It is called once.
func (p *Piped) Wait() Status {
	blockUntilExited(p.Pid(), p.cmd)
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	p.cmd.Wait() // its error is the status
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return Status{Code: -1, Signal: ws.Signal()}
	}
	return Status{Code: p.cmd.ProcessState.ExitCode()}
}
