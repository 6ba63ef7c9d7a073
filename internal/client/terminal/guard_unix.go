//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package terminal

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardPatience bounds the wait for the guard's exit, which takes about as long as
// it takes to start a process.
const guardPatience = time.Second

// guard is the process that puts the terminal back if this one cannot. It reads
// orders from a pipe, whose end is the news of this process's end.
type guard struct {
	cmd    *exec.Cmd
	pipe   *os.File
	orders *json.Encoder
}

// order is what the guard is told, one JSON value each.
type order struct {
	Saved *unix.Termios `json:",omitempty"` // to put back
	Raw   *unix.Termios `json:",omitempty"` // only while these are on; nil: always
	Done  bool          `json:",omitempty"` // nothing to put back any more
}

// startGuard starts the guard in a process group of its own, so that a signal to
// ours does not reach it, with the terminal as its fourth file and no other file of
// ours: a reader of our output must see it end with us.
func startGuard(terminal *os.File, command []string, saved *unix.Termios) (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{} // it needs nothing, and ours may hold secrets
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.ExtraFiles = []*os.File{terminal}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start terminal guard: %w", err)
	}
	g := &guard{cmd: cmd, pipe: w, orders: json.NewEncoder(w)}
	g.orders.Encode(order{Saved: saved})
	return g, nil
}

// watch tells the guard what raw mode looks like, so that it leaves a terminal alone
// that somebody else has set since.
func (g *guard) watch(raw *unix.Termios) {
	if g != nil {
		g.orders.Encode(order{Raw: raw})
	}
}

// release ends the guard and waits for it, so that it cannot act on whatever uses
// the terminal next. A guard that somebody stopped is killed.
func (g *guard) release() {
	if g == nil {
		return
	}
	g.orders.Encode(order{Done: true})
	g.pipe.Close()
	late := time.AfterFunc(guardPatience, func() { g.cmd.Process.Kill() })
	g.cmd.Wait()
	late.Stop()
}

// RunGuard is the guard: it waits for the end of the process that started it and
// puts the terminal's settings back unless told that this is done. It gives the exit
// code.
func RunGuard() int {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	const terminal = 3 // the first of ExtraFiles
	var orders order
	decoder := json.NewDecoder(os.Stdin)
	for {
		// A later order adds to the earlier ones.
		if err := decoder.Decode(&orders); err != nil {
			break
		}
	}
	if orders.Done || orders.Saved == nil {
		return 0
	}
	if orders.Raw != nil {
		now, err := unix.IoctlGetTermios(terminal, readTermios)
		if err != nil || *now != *orders.Raw {
			return 0
		}
	}
	if err := unix.IoctlSetTermios(terminal, writeTermios, orders.Saved); err != nil {
		return 1
	}
	return 0
}
