package terminal

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// sizePoll is how often the window size is looked at: a console tells of a change
// only between other input. The stock client polls as often (protocol.md §10.1).
const sizePoll = 500 * time.Millisecond

// mode remembers the console's modes before raw mode.
type mode struct {
	in     int
	saved  *term.State
	out    windows.Handle
	outWas uint32
	outSet bool
}

// makeRaw also asks the console to act on escape sequences in the output, which is
// what a remote shell sends. Windows has no guard: a console's owner keeps its modes.
func makeRaw(in, out *os.File, _ []string) (*mode, error) {
	saved, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	m := &mode{in: int(in.Fd()), saved: saved, out: windows.Handle(out.Fd())}
	if windows.GetConsoleMode(m.out, &m.outWas) == nil {
		sequences := m.outWas | windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
		m.outSet = windows.SetConsoleMode(m.out, sequences) == nil
	}
	return m, nil
}

func (m *mode) restore() error {
	if m.outSet {
		windows.SetConsoleMode(m.out, m.outWas)
	}
	return term.Restore(m.in, m.saved)
}

func (m *mode) reapply() {}

func (t *Terminal) watch(ctx context.Context, changed chan<- struct{}) {
	tick := time.NewTicker(sizePoll)
	defer tick.Stop()
	var wasCols, wasRows int
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if cols, rows := t.Size(); cols != wasCols || rows != wasRows {
				wasCols, wasRows = cols, rows
				notify(changed)
			}
		}
	}
}

// RunGuard does nothing where [Open] starts no guard.
func RunGuard() int { return 0 }

// NewInput reads f, usually standard input, in a way that Close ends.
func NewInput(f *os.File) (io.ReadCloser, error) { return newPump(f), nil }
