//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package terminal

import (
	"context"
	"io"
	"os"

	"golang.org/x/term"
)

// mode remembers the settings before raw mode.
type mode struct {
	fd    int
	saved *term.State
}

func makeRaw(in, _ *os.File, _ []string) (*mode, error) {
	saved, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	return &mode{fd: int(in.Fd()), saved: saved}, nil
}

func (m *mode) restore() error { return term.Restore(m.fd, m.saved) }

func (m *mode) reapply() {}

// watch reports nothing: these systems have no window signal that Go knows.
func (t *Terminal) watch(ctx context.Context, _ chan<- struct{}) { <-ctx.Done() }

// RunGuard does nothing where [Open] starts no guard.
func RunGuard() int { return 0 }

// NewInput reads f, usually standard input, in a way that Close ends.
func NewInput(f *os.File) (io.ReadCloser, error) { return newPump(f), nil }
