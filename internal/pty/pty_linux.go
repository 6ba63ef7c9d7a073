package pty

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// blockUntilExited waits for the program without reaping it.
func blockUntilExited(pid int, _ *exec.Cmd) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

const getTermios = unix.TCGETS

// flushInput throws away what was typed and not read: what the line discipline holds,
// and what waits before it.
func flushInput(master, slave int) {
	unix.IoctlSetInt(master, unix.TCFLSH, unix.TCOFLUSH)
	unix.IoctlSetInt(slave, unix.TCFLSH, unix.TCIFLUSH)
}

// raise uses the master's own request for it, so that there is no moment between
// learning the foreground group and signalling it (drivers/tty/pty.c, pty_signal).
func raise(master, _ int, sig syscall.Signal) error {
	return unix.IoctlSetInt(master, unix.TIOCSIG, int(sig))
}

// maxPasses bounds how often a session is searched again for processes that were
// born while it was being killed.
const maxPasses = 100

// signalSession sends sig to every living process of the session. SIGKILL is repeated
// until none is left.
func signalSession(sid int, sig syscall.Signal) {
	for range maxPasses {
		members := sessionMembers(sid)
		for _, pid := range members {
			signalMember(pid, sid, sig)
		}
		if sig != syscall.SIGKILL || len(members) == 0 {
			return
		}
	}
}

// signalMember signals one process through a handle, and asks again whether it is
// the one that was meant, because its id may have come to name another.
func signalMember(pid, sid int, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		defer unix.Close(fd)
	} else if err == unix.ESRCH {
		return
	}
	if s, ok := sessionOf(pid); !ok || s != sid {
		return
	}
	signals := []syscall.Signal{sig}
	if sig == syscall.SIGHUP {
		signals = append(signals, syscall.SIGCONT)
	}
	for _, s := range signals {
		if err == nil {
			unix.PidfdSendSignal(fd, s, nil, 0)
		} else { // kernels before 5.3
			unix.Kill(pid, s)
		}
	}
}

// sessionMembers lists the processes of a session that are not zombies.
func sessionMembers(sid int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var members []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, ok := sessionOf(pid); ok && s == sid {
			members = append(members, pid)
		}
	}
	return members
}

// sessionOf reads the session of a process; ok is false for one that is gone or dead.
func sessionOf(pid int) (sid int, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	return parseStat(stat)
}

// parseStat takes the session from a line of /proc/PID/stat (proc_pid_stat(5)):
// "pid (name) state ppid pgrp session ...". The name may hold anything, so the fields
// are counted from the last parenthesis.
func parseStat(stat []byte) (sid int, ok bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, false
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 4 || bytes.ContainsAny(fields[0], "ZXx") {
		return 0, false
	}
	sid, err := strconv.Atoi(string(fields[3]))
	return sid, err == nil
}

func sessionAlive(sid int) bool { return len(sessionMembers(sid)) > 0 }
