//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// input reads a file only when it has something, so that a read can be given up.
type input struct {
	file   *os.File
	fd     int
	wakeFD int      // of wakeR
	wakeW  *os.File // closing it makes wakeR readable
	once   sync.Once

	mu    sync.Mutex // held while reading; guards the following field
	wakeR *os.File   // nil once closed
}

// NewInput reads f, usually standard input, in a way that Close ends: a blocked Read
// then returns [os.ErrClosed], no byte is taken from f, and f stays open.
func NewInput(f *os.File) (io.ReadCloser, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	in := &input{file: f, fd: int(f.Fd()), wakeFD: int(r.Fd()), wakeW: w, wakeR: r}
	if max(in.fd, in.wakeFD) >= unix.FD_SETSIZE {
		in.Close()
		return nil, errors.New("open input: too many open files")
	}
	return in, nil
}

func (in *input) Read(b []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.wakeR != nil {
		// select, because poll does not know terminals on macOS.
		var ready unix.FdSet
		ready.Set(in.fd)
		ready.Set(in.wakeFD)
		_, err := unix.Select(max(in.fd, in.wakeFD)+1, &ready, nil, nil, nil)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return 0, fmt.Errorf("wait for input: %w", err)
		case ready.IsSet(in.wakeFD):
			return 0, os.ErrClosed
		}
		return in.file.Read(b)
	}
	return 0, os.ErrClosed
}

func (in *input) Close() error {
	in.once.Do(func() {
		in.wakeW.Close()
		in.mu.Lock() // a Read that saw the end of the pipe has returned by now
		defer in.mu.Unlock()
		in.wakeR.Close()
		in.wakeR = nil
	})
	return nil
}
