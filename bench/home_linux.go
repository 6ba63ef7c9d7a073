package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
)

// emptyHome is set in the environment of the process that measures in an empty home.
const emptyHome = "SEKISHO_BENCH_EMPTY_HOME"

// inEmptyHome runs the benchmark again where the account's home directory is empty, so
// that its start-up files (a second of them on some machines) are not what the start of
// a session measures. It needs root, for a mount namespace of its own; without it, or
// with the programs below the home directory, the benchmark measures where it is and
// says so. ran says that the other process did the work and ended with code.
func inEmptyHome() (code int, ran bool, note string) {
	if os.Getenv(emptyHome) != "" {
		account, err := user.Current()
		if err == nil {
			err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		}
		if err == nil {
			err = syscall.Mount("bench", account.HomeDir, "tmpfs", 0, "mode=0700")
		}
		if err != nil {
			return 0, false, fmt.Sprintf("the home directory could not be emptied (%v): its start-up files are in the figures", err)
		}
		return 0, false, ""
	}
	account, err := user.Current()
	if err != nil {
		return 0, false, ""
	}
	here, err := os.Getwd()
	switch {
	case err != nil || os.Geteuid() != 0:
		return 0, false, "only root can measure in an empty home directory: the shell's start-up files are in the figures"
	case strings.HasPrefix(here+"/", filepath.Clean(account.HomeDir)+"/"):
		return 0, false, "this directory is below the home directory, which therefore cannot be emptied: the shell's start-up files are in the figures"
	}
	self, err := os.Executable()
	if err != nil {
		return 0, false, ""
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), emptyHome+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	// Signals do not end this process, see main; the other gets them too and cleans up.
	if err := cmd.Run(); cmd.ProcessState == nil {
		return 0, false, fmt.Sprintf("no mount namespace (%v): the shell's start-up files are in the figures", err)
	}
	return cmd.ProcessState.ExitCode(), true, ""
}
