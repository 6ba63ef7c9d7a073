package pty

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// blockUntilExited reaps the program: the system offers no other way to wait for it.
func blockUntilExited(_ int, cmd *exec.Cmd) { cmd.Wait() }

const getTermios = unix.TIOCGETA

func flushInput(_, slave int) {
	unix.IoctlSetPointerInt(slave, unix.TIOCFLUSH, 1) // FREAD
}

func raise(master, sid int, sig syscall.Signal) error {
	group, err := unix.IoctlGetInt(master, unix.TIOCGPGRP)
	if err != nil || group <= 0 {
		group = sid
	}
	return unix.Kill(-group, sig)
}

// signalSession reaches the program's own process group; the kernel hangs up the
// foreground group when the terminal closes.
func signalSession(sid int, sig syscall.Signal) {
	unix.Kill(-sid, sig)
	if sig == syscall.SIGHUP {
		unix.Kill(-sid, syscall.SIGCONT)
	}
}

func sessionAlive(sid int) bool { return unix.Kill(-sid, 0) == nil }
