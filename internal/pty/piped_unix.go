//go:build linux || darwin

package pty

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Piped is a program without a terminal, in a session of its own. Its input is empty.
type Piped struct {
	// Stdout and Stderr give what it and its descendants write, to the end. Stderr is nil
	// when both go the same way. Whoever reads closes them.
	Stdout, Stderr *os.File

	cmd *exec.Cmd
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
	pipe := func() (theirEnd *os.File, ours *os.File, err error) {
		ours, theirEnd, err = os.Pipe()
		if err == nil {
			theirs = append(theirs, theirEnd)
		}
		return theirEnd, ours, err
	}
	stdout, ours, err := pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.Stdout = ours
	stderr := stdout
	if !joined {
		if stderr, p.Stderr, err = pipe(); err != nil {
			p.Close()
			return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
		}
	}
	p.cmd = &exec.Cmd{
		Path: cmd.Path, Args: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, ExtraFiles: cmd.Files,
		Stdout: stdout, Stderr: stderr, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := p.cmd.Start(); err != nil {
		p.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Close closes our ends of the pipes.
func (p *Piped) Close() {
	for _, f := range []*os.File{p.Stdout, p.Stderr} {
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
	syscall.Kill(-p.Pid(), s)
}

// Hangup asks all processes of the program's session to end.
func (p *Piped) Hangup() { signalSession(p.Pid(), syscall.SIGHUP) }

// Kill ends them.
func (p *Piped) Kill() { signalSession(p.Pid(), syscall.SIGKILL) }

// Wait waits for the program itself and says how it ended. It is called once.
func (p *Piped) Wait() Status {
	p.cmd.Wait() // its error is the status
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return Status{Code: -1, Signal: ws.Signal()}
	}
	return Status{Code: p.cmd.ProcessState.ExitCode()}
}
