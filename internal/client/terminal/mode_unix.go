//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package terminal

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// mode remembers the settings before and under raw mode.
type mode struct {
	fd         int
	saved, raw *unix.Termios
	guard      *guard // nil for none
}

// makeRaw starts the guard first: a process killed between the two calls leaves
// settings that somebody puts back.
func makeRaw(in, _ *os.File, command []string) (*mode, error) {
	fd := int(in.Fd())
	saved, err := unix.IoctlGetTermios(fd, readTermios)
	if err != nil {
		return nil, err
	}
	m := &mode{fd: fd, saved: saved}
	if command != nil {
		// Without a guard when none can be started: a machine that is out of
		// processes is one the operator needs a session to repair from.
		m.guard, _ = startGuard(in, command, saved)
	}
	if _, err := term.MakeRaw(fd); err != nil {
		m.guard.release()
		return nil, err
	}
	// Read back, because a driver may not take every bit as asked.
	if m.raw, err = unix.IoctlGetTermios(fd, readTermios); err != nil {
		m.restore()
		return nil, err
	}
	m.guard.watch(m.raw)
	return m, nil
}

// restore puts the saved settings back. A process in the background leaves settings
// alone that somebody else has changed since: they belong to the shell in front.
func (m *mode) restore() error {
	defer m.guard.release()
	// Changing a terminal from the background raises SIGTTOU, which would stop us.
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	if m.raw != nil && !inFront(m.fd) {
		now, err := unix.IoctlGetTermios(m.fd, readTermios)
		if err != nil || *now != *m.raw {
			return err
		}
	}
	return unix.IoctlSetTermios(m.fd, writeTermios, m.saved)
}

// reapply makes the terminal raw again, if it is ours at the moment.
func (m *mode) reapply() {
	if inFront(m.fd) {
		unix.IoctlSetTermios(m.fd, writeTermios, m.raw)
	}
}

// inFront says whether this process is in the terminal's foreground process group.
// When the terminal does not tell, as one that is not the controlling terminal, it
// is taken as ours.
func inFront(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// watch reports window changes, and the return from a stop: the window may have
// another size by then, and the shell has put its own settings on the terminal.
func (t *Terminal) watch(ctx context.Context, changed chan<- struct{}) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == syscall.SIGCONT {
				t.resume()
			}
			notify(changed)
		}
	}
}
