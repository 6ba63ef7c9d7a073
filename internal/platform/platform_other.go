//go:build !linux && !darwin

package platform

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
)

const osType = Windows

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

func osRelease() (name, version string) { return runtime.GOOS, "" }

// CurrentAccount is the account that this process runs as.
func CurrentAccount() Account {
	u, err := user.Current()
	if err != nil {
		return Account{}
	}
	return Account{Name: u.Username, Home: u.HomeDir}
}

// Self is a path that executes this program.
func Self() (string, error) { return os.Executable() }

// SignalSiblings finds nothing on this system.
func SignalSiblings(...string) int { return 0 }

// Siblings finds nothing on this system.
func Siblings(...string) []string { return nil }

// Detach does nothing: a process outlives the one that started it on this system.
func Detach(*exec.Cmd) {}

// LockDir returns an error that is [errors.ErrUnsupported].
func LockDir(string) (func(), error) {
	return nil, fmt.Errorf("lock a directory on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// ShellSignals are none here: there are no terminal signals to hand on.
func ShellSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// StopSignals are those that ask a process to end.
func StopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// Terminate ends a process: it cannot be asked to on this system.
func Terminate(p *os.Process) error { return p.Kill() }

// IsExecutable says whether the file exists.
func IsExecutable(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
