//go:build linux || darwin

package platform

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

func detach(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
}

// LockDir locks a directory for this process until unlock is called or the process
// ends. The directory itself is locked: a full disk has no room for a lock file.
// The error is [ErrLocked] when another process has it.
func LockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		return func() { f.Close() }, nil
	case unix.EWOULDBLOCK:
		f.Close()
		return nil, ErrLocked
	default:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
}

// ShellSignals are the signals that mean something to programs on a terminal. A
// process that is started in the background may have been told to ignore some, and
// would hand that on to every shell; to take them over undoes it.
func ShellSignals() []os.Signal {
	return []os.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPIPE,
		syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGTTIN,
		syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGXFSZ, syscall.SIGXCPU,
	}
}

// StopSignals are those that ask a process to end.
func StopSignals() []os.Signal { return []os.Signal{syscall.SIGTERM, syscall.SIGINT} }

// Terminate asks a process to end.
func Terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// IsExecutable says whether this account may execute the file.
func IsExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil
}
