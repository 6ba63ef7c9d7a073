//go:build linux || darwin

package platform

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// FreeSpace says how many bytes can still be written below path, by this account.
func FreeSpace(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}

// OwnerOnly says whether no account but its owner's may read the file, root aside.
func OwnerOnly(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return info.Mode().Perm()&0o077 == 0, nil
}

// IsRoot says whether this process may act as any account.
func IsRoot() bool { return os.Geteuid() == 0 }

// RootDir is a directory that is always there.
func RootDir() string { return "/" }

// ProbeShell is a program, with its arguments, that prints the two words with a hyphen
// between them.
func ProbeShell(first, second string) (path string, argv []string) {
	return "/bin/sh", []string{"sh", "-c", `printf '%s-%s\n' "$0" "$1"`, first, second}
}

// MakePrivate keeps other accounts out of a directory. One that exists keeps its mode
// here: it may be the operator's own, and the files in it are private by themselves.
func MakePrivate(string) error { return nil }

// BecomeProgram replaces the program of this process: same process id, new program. A file
// that is not nil stays open, and the variable says as which descriptor. It returns only
// with an error.
func BecomeProgram(path string, argv, env []string, variable string, keep *os.File) error {
	if keep != nil {
		fd, err := unix.Dup(int(keep.Fd())) // the copy stays open
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		env = append(env, variable+"="+strconv.Itoa(fd))
	}
	return &os.PathError{Op: "exec", Path: path, Err: unix.Exec(path, argv, env)}
}

// CloseOnExec keeps a descriptor from the programs that this process starts.
func CloseOnExec(fd int) { unix.CloseOnExec(fd) }

// EndProcess asks a process to end, and then makes it.
func EndProcess(pid int, patience time.Duration) error {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			err := unix.Kill(pid, signal)
			if errors.Is(err, unix.ESRCH) || isZombie(pid) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

// UpdateSignal asks a running agent to look for a release.
func UpdateSignal() []os.Signal { return []os.Signal{unix.SIGUSR1} }

// AskForUpdate sends that signal.
func AskForUpdate(pid int) error { return unix.Kill(pid, unix.SIGUSR1) }

// Shell says nothing here: an account has its own.
func Shell([]string, string) (path string, argv, env []string, dir string, ok bool) {
	return "", nil, nil, "", false
}
