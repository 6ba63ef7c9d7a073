package platform

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestLocalFactsAreFilled(t *testing.T) {
	f := Local()
	if f.Type != Linux || f.Name == "" || f.ComputerName == "" {
		t.Errorf("facts = %+v", f)
	}
}

func TestCurrentAccount(t *testing.T) {
	a := CurrentAccount()
	if a.UID != os.Getuid() || a.Name == "" {
		t.Errorf("account = %+v", a)
	}
}

func TestLockedDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	unlock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v, want ErrLocked", err)
	}
	unlock()
	unlock, err = LockDir(dir)
	if err != nil {
		t.Errorf("after unlock: %v", err)
	} else {
		unlock()
	}
	if _, err := LockDir(dir + "/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

func TestSiblingsAreFoundByTheirArguments(t *testing.T) {
	// An argument that no other process of the machine has.
	name := fmt.Sprintf("1000.%d%d", os.Getpid(), time.Now().UnixNano())
	cmd := exec.Command("sleep", name)
	Detach(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if sid, err := syscall.Getpgid(cmd.Process.Pid); err != nil || sid != cmd.Process.Pid {
		t.Errorf("process group %d (%v), want its own", sid, err)
	}
	if got := Siblings(name); len(got) != 0 {
		t.Errorf("too many arguments asked for: found %q", got)
	}
	if got := Siblings(); !slices.Contains(got, name) {
		t.Errorf("found %q, want %s among them", got, name)
	}
	if n := SignalSiblings(name, ""); n != 0 {
		t.Errorf("other arguments: signalled %d", n)
	}
	if n := SignalSiblings(name); n != 1 {
		t.Errorf("signalled %d, want 1", n)
	}
	cmd.Wait()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want SIGTERM", ws.Signal())
	}
}
