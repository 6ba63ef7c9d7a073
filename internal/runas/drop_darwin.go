package runas

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxGroups is how many groups a process can have on macOS (NGROUPS_MAX).
const maxGroups = 16

// drop takes the account's ids, which are the process's here. Setting them as root sets
// the real, effective and saved ones.
func drop(a Account) error {
	if err := syscall.Setgroups(a.Groups[:min(len(a.Groups), maxGroups)]); err != nil {
		return fmt.Errorf("set the groups: %w", err)
	}
	if err := syscall.Setgid(a.GID); err != nil {
		return fmt.Errorf("set the group id: %w", err)
	}
	if err := syscall.Setuid(a.UID); err != nil {
		return fmt.Errorf("set the user id: %w", err)
	}
	return nil
}

// checkPowers has nothing to add: there are no capabilities.
func checkPowers() error { return nil }

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TIOCGETA)
	return err == nil
}

// hideDescriptors marks every descriptor but the standard ones to be closed when the
// program is executed.
func hideDescriptors() error {
	dir, err := os.Open("/dev/fd")
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
