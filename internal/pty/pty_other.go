//go:build !linux && !darwin && !windows

package pty

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Process is a running program and its terminal.
type Process struct{}

// Start returns an error that is [errors.ErrUnsupported].
func Start(Command) (*Process, error) {
	return nil, fmt.Errorf("pseudo-terminals on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (p *Process) Exited() <-chan struct{}               { return nil }
func (p *Process) Pid() int                              { return 0 }
func (p *Process) Read([]byte) (int, error)              { return 0, errors.ErrUnsupported }
func (p *Process) Write([]byte) (int, error)             { return 0, errors.ErrUnsupported }
func (p *Process) SetWriteDeadline(time.Time) error      { return errors.ErrUnsupported }
func (p *Process) Resize(Size) error                     { return errors.ErrUnsupported }
func (p *Process) FindSignal([]byte) (int, Signal, bool) { return -1, 0, false }
func (p *Process) Raise(Signal, bool) error              { return errors.ErrUnsupported }
func (p *Process) Hangup()                               {}
func (p *Process) Kill()                                 {}
func (p *Process) Alive() bool                           { return false }
func (p *Process) Wait() Status                          { return Status{} }
func (p *Process) Close() error                          { return errors.ErrUnsupported }
