//go:build linux || darwin

package pty

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// drainLimit is how much is read after the program has ended. The kernel keeps at
// most 64 KiB of a terminal's output (drivers/tty/tty_buffer.c, TTYB_DEFAULT_MEM_LIMIT)
// and the line discipline 4 KiB; what comes after that was written later, by a
// process that outlived the program.
const drainLimit = 256 << 10

// Process is a running program and the master side of its terminal. Read, Write,
// and the other methods may be called at the same time as each other.
type Process struct {
	cmd    *exec.Cmd
	sid    int // session id, which is the program's process id
	master *os.File
	raw    syscall.RawConn

	// slave is kept open so that the end of output is the end of the program and
	// not the moment when nobody happens to hold the terminal.
	slave    *os.File
	rawSlave syscall.RawConn

	exited  chan struct{} // closed when the program has ended
	reap    chan struct{} // closed by Close: the process id may be given back
	reaped  chan struct{} // closed when status is set
	status  Status
	drained int // bytes read since exited; owned by Read

	closing  sync.Once
	closeErr error
	ended    atomic.Bool // set before exited is closed and the reader is woken
}

// Start runs cmd as the leader of a new session whose controlling terminal is a new
// pseudo-terminal.
func Start(cmd Command) (*Process, error) {
	if cmd.Size == (Size{}) {
		cmd.Size = DefaultSize
	}
	master, slave, err := openPair(cmd.Size)
	if err != nil {
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	c := &exec.Cmd{
		Path: cmd.Path, Args: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir,
		Stdin: slave, Stdout: slave, Stderr: slave, ExtraFiles: cmd.Files,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	raw, err := master.SyscallConn()
	rawSlave, err2 := slave.SyscallConn()
	if err = errors.Join(err, err2); err == nil {
		err = c.Start()
	}
	if err != nil {
		master.Close()
		slave.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{
		cmd: c, sid: c.Process.Pid, master: master, raw: raw, slave: slave, rawSlave: rawSlave,
		exited: make(chan struct{}), reap: make(chan struct{}), reaped: make(chan struct{}),
	}
	go p.wait()
	return p, nil
}

// openPair opens a pseudo-terminal whose master side Go can poll and whose slave
// side blocks, as programs expect of their terminal.
func openPair(size Size) (master, slave *os.File, err error) {
	m, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	slaveFD := int(slave.Fd()) // Fd also makes it blocking
	fd, err := unix.FcntlInt(m.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(slaveFD, unix.TIOCSWINSZ, &unix.Winsize{Col: size.Cols, Row: size.Rows})
	}
	if err != nil {
		if fd > 0 {
			unix.Close(fd)
		}
		slave.Close()
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), m.Name()), slave, nil
}

// wait follows the program to its end. It hangs up what the program left behind in
// its session, as closing a terminal does; processes that ignore the hang-up (nohup)
// go on. The process id is given back only after Close, so that it cannot come to
// mean another process while it names the session.
func (p *Process) wait() {
	blockUntilExited(p.sid, p.cmd)
	signalSession(p.sid, syscall.SIGHUP)
	p.ended.Store(true)
	close(p.exited)
	p.master.SetReadDeadline(time.Unix(1, 0)) // wake Read
	<-p.reap
	if p.cmd.ProcessState == nil {
		p.cmd.Wait()
	}
	p.status = Status{Code: p.cmd.ProcessState.ExitCode()}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		p.status = Status{Code: -1, Signal: ws.Signal()}
	}
	close(p.reaped)
}

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Pid is the program's process id, which is also the id of its session.
func (p *Process) Pid() int { return p.sid }

// Read reads what is there, up to len(b), and waits only while there is nothing: a
// burst of output fills one b, a single byte is returned at once. It returns io.EOF
// when the program has ended and its output has been read. One Read at a time.
func (p *Process) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if !p.ended.Load() {
		var n int
		var readErr error
		err := p.raw.Read(func(fd uintptr) bool {
			n, readErr = readAvailable(int(fd), b)
			return n > 0 || readErr != nil
		})
		switch {
		case n > 0:
			return n, nil
		case readErr != nil:
			return 0, fmt.Errorf("read pseudo-terminal: %w", readErr)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		}
	}
	return p.readRest(b)
}

// readRest reads after the program's end, without waiting.
func (p *Process) readRest(b []byte) (int, error) {
	b = b[:min(len(b), drainLimit-p.drained)]
	var n int
	err := p.raw.Control(func(fd uintptr) {
		// Polling first makes the kernel hand over what is still on its way from
		// the slave side (drivers/tty/n_tty.c, n_tty_poll).
		for n < len(b) && readable(int(fd)) {
			m, err := readAvailable(int(fd), b[n:])
			if n += m; m == 0 || err != nil {
				return
			}
		}
	})
	p.drained += n
	switch {
	case err != nil:
		return n, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// readAvailable reads until b is full or nothing more is there.
func readAvailable(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := unix.Read(fd, b[n:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN || n > 0 && err != nil:
			return n, nil
		case err != nil:
			return n, err
		case m == 0:
			return n, nil
		default:
			n += m
		}
	}
	return n, nil
}

func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
		}
	}
}

// Write types b. It blocks while the terminal's input is full, until the deadline
// set by [Process.SetWriteDeadline]; n then says how much was taken.
func (p *Process) Write(b []byte) (n int, err error) { return p.master.Write(b) }

// SetWriteDeadline bounds the Write that is running and later ones; the error is
// then [os.ErrDeadlineExceeded].
func (p *Process) SetWriteDeadline(t time.Time) error { return p.master.SetWriteDeadline(t) }

// Resize sets the window and tells the foreground process group (SIGWINCH). A size
// with a zero in it is no window and is ignored.
func (p *Process) Resize(size Size) error {
	if size.Cols == 0 || size.Rows == 0 {
		return nil
	}
	var err error
	if cerr := p.raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: size.Cols, Row: size.Rows})
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("set window size: %w", err)
	}
	return nil
}

// FindSignal looks in input for the first byte that raises a signal with the
// terminal's present settings. flush says whether raising it throws away the input
// before it, which is so unless the program asked otherwise (NOFLSH). at is -1 when
// there is none, for instance because the terminal is in raw mode.
func (p *Process) FindSignal(input []byte) (at int, sig Signal, flush bool) {
	settings, err := p.termios()
	if err != nil || settings == nil || settings.Lflag&unix.ISIG == 0 {
		return -1, 0, false
	}
	// A key is switched off by the value _POSIX_VDISABLE: 0 on Linux, 0xff on macOS.
	keys := map[byte]Signal{}
	for key, sig := range map[byte]Signal{
		settings.Cc[unix.VSUSP]: Suspend, settings.Cc[unix.VQUIT]: Quit, settings.Cc[unix.VINTR]: Interrupt,
	} {
		if key != 0 && key != 0xff {
			keys[key] = sig
		}
	}
	for i, b := range input {
		if sig, ok := keys[b]; ok {
			return i, sig, settings.Lflag&unix.NOFLSH == 0
		}
	}
	return -1, 0, false
}

// termios reads the terminal's settings; nil after Close.
func (p *Process) termios() (settings *unix.Termios, err error) {
	p.rawSlave.Control(func(fd uintptr) { settings, err = unix.IoctlGetTermios(int(fd), getTermios) })
	return settings, err
}

// Raise sends sig to the foreground process group as if its key had been typed and
// had passed all input that is waiting. With flush that input is thrown away.
func (p *Process) Raise(sig Signal, flush bool) error {
	var err error
	if cerr := p.raw.Control(func(fd uintptr) {
		if flush {
			p.rawSlave.Control(func(slave uintptr) { flushInput(int(fd), int(slave)) })
		}
		err = raise(int(fd), p.sid, map[Signal]syscall.Signal{
			Interrupt: syscall.SIGINT, Quit: syscall.SIGQUIT, Suspend: syscall.SIGTSTP,
		}[sig])
	}); cerr != nil {
		return cerr
	}
	return err
}

// Hangup asks every process of the terminal's session to end, as when the terminal's
// line is lost: SIGHUP, and SIGCONT so that stopped ones hear it.
func (p *Process) Hangup() { signalSession(p.sid, syscall.SIGHUP) }

// Kill ends every process of the terminal's session. Processes that made a session
// of their own (daemons, terminal multiplexers) are not among them.
func (p *Process) Kill() { signalSession(p.sid, syscall.SIGKILL) }

// Wait waits until Close has been called and says how the program ended.
func (p *Process) Wait() Status {
	<-p.reaped
	return p.status
}

// Close kills the program if it still runs, waits for it and closes the terminal,
// which hangs up what is left in its session.
func (p *Process) Close() error {
	p.closing.Do(func() {
		select {
		case <-p.exited:
		default:
			p.Kill()
			<-p.exited
		}
		p.closeErr = errors.Join(p.master.Close(), p.slave.Close())
		close(p.reap)
		<-p.reaped
	})
	return p.closeErr
}

// Alive says whether any process of the terminal's session still runs.
func (p *Process) Alive() bool { return sessionAlive(p.sid) }
