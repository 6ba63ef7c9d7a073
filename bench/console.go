package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience bounds every wait for another program. It is far above what any needs.
const patience = 60 * time.Second

// keptOutput is how much of the last output a failure shows.
const keptOutput = 500

var errSilent = fmt.Errorf("no answer within %s", patience)

// contender is a client program that opens a shell on this machine.
type contender struct {
	name        string
	banner      bool // prints a line of its own before the session's output
	outputBytes int  // what it is given in a round of output
	// begin does what comes before the program is started, and says how to start it.
	begin func(ctx context.Context) (argv, env []string, err error)
}

// console is a client program with a terminal, held by the bench at the other end. It
// reads and writes with plain blocking calls: the poller of the Go runtime would add
// its own time to every keystroke.
type console struct {
	cmd    *exec.Cmd
	master *os.File
	out    *os.File // master, or the pipe that output goes to
	inFD   int
	outFD  int
	banner bool      // the program prints its own line first
	began  time.Time // of what comes before the program is started, and belongs to it
	buf    []byte
	tail   []byte // the last output, for errors
}

// open starts a program at a new terminal. With piped its standard output is a pipe
// and only its input the terminal. An end of ctx kills the program.
func open(ctx context.Context, c *contender, piped bool) (_ *console, err error) {
	began := time.Now()
	argv, env, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	defer slave.Close()
	t := &console{master: master, out: master, banner: c.banner, began: began, buf: make([]byte, 1<<20)}
	defer func() {
		if err != nil {
			t.closeFiles()
		}
	}()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		return nil, fmt.Errorf("set window size: %w", err)
	}
	stdout := slave
	if piped {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer w.Close()
		t.out, stdout = r, w
	}
	t.inFD, t.outFD = int(t.master.Fd()), int(t.out.Fd()) // Fd makes them blocking
	t.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	t.cmd.Env = env
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, stdout, stdout
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	t.cmd.WaitDelay = time.Second
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return t, nil
}

// read waits for output and returns it. It is valid until the next read.
func (t *console) read() ([]byte, error) {
	fds := []unix.PollFd{{Fd: int32(t.outFD), Events: unix.POLLIN}}
	for {
		switch n, err := unix.Poll(fds, int(patience/time.Millisecond)); {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("wait for output: %w", err)
		case n == 0:
			return nil, t.failed(errSilent)
		}
		n, err := unix.Read(t.outFD, t.buf)
		switch {
		case err == unix.EINTR:
		case err == unix.EIO || err == nil && n == 0: // a terminal's end, a pipe's end
			return nil, t.failed(io.EOF)
		case err != nil:
			return nil, fmt.Errorf("read output: %w", err)
		default:
			t.remember(t.buf[:n])
			return t.buf[:n], nil
		}
	}
}

func (t *console) remember(output []byte) {
	if len(output) > keptOutput {
		output = output[len(output)-keptOutput:]
	}
	t.tail = append(t.tail, output...)
	if len(t.tail) > keptOutput {
		t.tail = t.tail[len(t.tail)-keptOutput:]
	}
}

// failed adds to an error what the program said last.
func (t *console) failed(err error) error {
	return fmt.Errorf("%w; last output %q", err, t.tail)
}

// write types text.
func (t *console) write(text []byte) error {
	for len(text) > 0 {
		n, err := unix.Write(t.inFD, text)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("type: %w", err)
		default:
			text = text[n:]
		}
	}
	return nil
}

// prompt waits for the first byte of the remote shell and says when it came.
func (t *console) prompt() (time.Time, error) {
	var all []byte
	for {
		got, err := t.read()
		if err != nil {
			return time.Time{}, fmt.Errorf("wait for the prompt: %w", err)
		}
		now := time.Now()
		if all = append(all, got...); afterBanner(all, t.banner) >= 0 {
			return now, nil
		}
	}
}

// marker is what command has the shell print when all before it is done. It is typed
// in two parts, so that the echo of the command line is not taken for it.
const marker = "bench-ready"

// command types a line that ends in printing the marker and then doing last, and waits
// for the marker.
func (t *console) command(line, last string) error {
	line += "; printf 'bench-''ready\\n'"
	if last != "" {
		line += "; " + last
	}
	if err := t.write([]byte(line + "\r")); err != nil {
		return err
	}
	var all []byte
	for {
		got, err := t.read()
		if err != nil {
			return fmt.Errorf("wait for the answer of the shell: %w", err)
		}
		all = append(all, got...)
		if at := bytes.Index(all, []byte(marker)); at >= 0 && bytes.IndexByte(all[at:], '\n') >= 0 {
			return nil
		}
	}
}

// leave types keys that end the session, and waits for the program's end.
func (t *console) leave(keys string) error {
	if err := t.write([]byte(keys)); err != nil {
		return err
	}
	for {
		if _, err := t.read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("wait for the end of the session: %w", err)
		}
	}
	// How the remote shell ended is of no interest, only that the program did.
	var exit *exec.ExitError
	if err := t.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// close ends the program if it still runs.
func (t *console) close() {
	if t.cmd.ProcessState == nil {
		t.cmd.Process.Kill()
		t.cmd.Wait()
	}
	t.closeFiles()
}

func (t *console) closeFiles() {
	t.master.Close()
	if t.out != t.master {
		t.out.Close()
	}
}
