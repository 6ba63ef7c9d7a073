package platform

import (
	"errors"
	"os"
	"os/exec"
	"os/user"

	"golang.org/x/sys/unix"
)

const osType = MacOS

func osRelease() (name, version string) {
	version, _ = unix.Sysctl("kern.osproductversion")
	return "macOS", version
}

// CurrentAccount is the account that this process runs as. Accounts live in a
// directory service; the login shell is the one in the environment, or the system's.
func CurrentAccount() Account {
	a := Account{UID: os.Getuid(), Home: os.Getenv("HOME"), Shell: os.Getenv("SHELL")}
	if u, err := user.Current(); err == nil {
		a.Name, a.Home = u.Username, u.HomeDir
	}
	if a.Shell == "" {
		a.Shell = "/bin/zsh"
	}
	return a
}

// Self is a path that executes this program.
func Self() (string, error) { return os.Executable() }

// SignalSiblings finds nothing on this system.
func SignalSiblings(...string) int { return 0 }

// Siblings finds nothing on this system.
func Siblings(...string) []string { return nil }

// Detach makes cmd the leader of a session of its own, so that neither the end of
// this process nor a signal to its group ends it.
func Detach(cmd *exec.Cmd) { detach(cmd) }

// DataDir is where a service of this name keeps its data.
func DataDir(name string) string { return "/var/db/" + name }

// LockHolder cannot be told on this system.
func LockHolder(string) (int, error) { return 0, errors.ErrUnsupported }

func isZombie(int) bool { return false }
