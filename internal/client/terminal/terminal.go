// Package terminal is the user's terminal as a session client needs it: raw mode, so
// that every key travels as the byte it is, the window size, input that can be
// stopped, and the promise that the settings found are put back: when the program
// returns, and also when it dies in a way that runs none of its code (SIGKILL, a
// panic in some goroutine), by a guard process that outlives it.
//
// Internal/client and the programs over it call it. A program that wants the guard
// runs [RunGuard] when it is started with [GuardArgs].
package terminal

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/term"
)

// The window size told for a program whose output is no terminal, as the stock
// client has it (protocol.md §10.1).
const (
	defaultCols = 300
	defaultRows = 100
)

// GuardArgs are the arguments with which a program starts itself as the guard.
func GuardArgs() []string { return []string{"be-child", "terminal"} }

// IsGuard says whether args, without the program's name, ask for the guard.
func IsGuard(args []string) bool { return slices.Equal(args, GuardArgs()) }

// Terminal is the terminal of a pair of files, usually standard input and output.
// Its methods may be called concurrently.
type Terminal struct {
	in, out *os.File
	guard   []string // command line of the guard; nil for none

	mu   sync.Mutex // guards the following fields
	mode *mode      // what to put back; nil when not raw
}

// Open describes the terminal of in and out, either of which may be no terminal at
// all. guard is the command line of a program that calls [RunGuard]; nil means that
// nobody restores the terminal after this process is killed.
func Open(in, out *os.File, guard []string) *Terminal {
	return &Terminal{in: in, out: out, guard: guard}
}

// Interactive says whether input comes from a terminal.
func (t *Terminal) Interactive() bool { return term.IsTerminal(int(t.in.Fd())) }

// MakeRaw puts the terminal of the input into raw mode and starts the guard. Further
// calls do nothing until Restore.
func (t *Terminal) MakeRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mode != nil {
		return nil
	}
	m, err := makeRaw(t.in, t.out, t.guard)
	if err != nil {
		return fmt.Errorf("put terminal into raw mode: %w", err)
	}
	t.mode = m
	return nil
}

// Restore puts back what MakeRaw found and ends the guard. It does nothing when the
// terminal is not raw.
func (t *Terminal) Restore() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mode == nil {
		return nil
	}
	m := t.mode
	t.mode = nil
	if err := m.restore(); err != nil {
		return fmt.Errorf("restore terminal: %w", err)
	}
	return nil
}

// resume makes the terminal raw again after the shell that stopped this process put
// its own settings on.
func (t *Terminal) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mode != nil {
		t.mode.reapply()
	}
}

// Size is the size of the output's window, 300 by 100 when it is no terminal. A
// terminal that does not know its size gives zeros.
func (t *Terminal) Size() (cols, rows int) {
	if !term.IsTerminal(int(t.out.Fd())) {
		return defaultCols, defaultRows
	}
	cols, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil {
		return 0, 0
	}
	return cols, rows
}

// Changes gives a value whenever the size may have changed, until ctx ends. Values
// that nobody took are merged into one.
func (t *Terminal) Changes(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go t.watch(ctx, changed)
	return changed
}

// notify leaves word in changed, once.
func notify(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}
