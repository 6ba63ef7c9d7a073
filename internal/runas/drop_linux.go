package runas

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// drop takes the account's ids. Package syscall does it for all threads.
func drop(a Account) error {
	// What root could hand to any program: inheritable and ambient capabilities.
	if err := setCapabilities(func(d *unix.CapUserData) { d.Inheritable = 0 }); err != nil {
		return err
	}
	// A kernel before 4.3 has no ambient capabilities.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	if err := syscall.Setgroups(a.Groups); err != nil {
		return fmt.Errorf("set the groups: %w", err)
	}
	if err := syscall.Setresgid(a.GID, a.GID, a.GID); err != nil {
		return fmt.Errorf("set the group id: %w", err)
	}
	if err := syscall.Setresuid(a.UID, a.UID, a.UID); err != nil {
		return fmt.Errorf("set the user id: %w", err)
	}
	// The kernel has cleared them with the user id, unless it is set not to
	// (SECBIT_NO_SETUID_FIXUP).
	if err := setCapabilities(func(d *unix.CapUserData) { *d = unix.CapUserData{} }); err != nil {
		return err
	}
	// A session keyring is handed on regardless of ids, and gives its keys to whoever
	// has it. Kernels without keyrings have nothing to hand on.
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil &&
		!errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("leave the keyring: %w", err)
	}
	return nil
}

// setCapabilities changes the capabilities of this thread.
func setCapabilities(change func(*unix.CapUserData)) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for i := range data {
		change(&data[i])
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// checkPowers checks what only Linux has: saved ids and capabilities.
func checkPowers() error {
	r, e, s := unix.Getresuid()
	if r != e || e != s {
		return errStillRoot
	}
	if r, e, s = unix.Getresgid(); r != e || e != s {
		return errStillRoot
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if data != ([2]unix.CapUserData{}) {
		return errStillRoot
	}
	return nil
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// hideDescriptors marks every descriptor but the standard ones to be closed when the
// program is executed, whoever opened it.
func hideDescriptors() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	// Kernels before 5.11.
	dir, err := os.Open("/proc/self/fd")
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
