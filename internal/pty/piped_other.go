//go:build !linux && !darwin

package pty

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// Piped is a program without a terminal.
type Piped struct{ Stdin, Stdout, Stderr *os.File }

// StartPiped returns an error that is [errors.ErrUnsupported].
func StartPiped(Command, bool) (*Piped, error) {
	return nil, fmt.Errorf("commands on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (p *Piped) Close()       {}
func (p *Piped) Pid() int     { return 0 }
func (p *Piped) Raise(Signal) {}
func (p *Piped) Hangup()      {}
func (p *Piped) Kill()        {}
func (p *Piped) Wait() Status { return Status{} }
