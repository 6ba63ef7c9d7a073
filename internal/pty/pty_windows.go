package pty

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Process is a running program and its pseudo-console (ConPTY, Windows 10 1809 and later).
// What goes through it is UTF-8, whatever the console's code page: the console host
// translates.
type Process struct {
	process windows.Handle
	job     windows.Handle // holds everything that the program starts
	pid     int

	in  *os.File // our ends of the console's pipes
	out *os.File

	mu      sync.Mutex
	console windows.Handle // guarded by mu; 0 when closed

	exited  chan struct{}
	drained chan struct{} // closed when Read has met the end
	status  Status        // set before exited is closed
	over    atomic.Bool
	drain   sync.Once
	closing sync.Once
}

// exitGrace is how long the console host may take for the last output after the program
// has ended: its pipe has no end of its own while the console is open.
const exitGrace = 200 * time.Millisecond

// Start runs cmd on a new pseudo-console.
func Start(cmd Command) (_ *Process, err error) {
	if cmd.Size == (Size{}) {
		cmd.Size = DefaultSize
	}
	if len(cmd.Files) > 0 {
		return nil, fmt.Errorf("files for a program on a console: %w", errors.ErrUnsupported)
	}
	p := &Process{exited: make(chan struct{}), drained: make(chan struct{})}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	if err := p.openConsole(cmd.Size); err != nil {
		return nil, fmt.Errorf("open pseudo-console: %w", err)
	}
	if err := p.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go p.wait()
	return p, nil
}

func (p *Process) openConsole(size Size) error {
	var inRead, inWrite, outRead, outWrite windows.Handle
	if err := windows.CreatePipe(&inRead, &inWrite, nil, 0); err != nil {
		return err
	}
	defer windows.CloseHandle(inRead) // the console host has its own
	p.in = os.NewFile(uintptr(inWrite), "console input")
	if err := windows.CreatePipe(&outRead, &outWrite, nil, 0); err != nil {
		return err
	}
	defer windows.CloseHandle(outWrite)
	p.out = os.NewFile(uintptr(outRead), "console output")
	return windows.CreatePseudoConsole(coord(size), inRead, outWrite, 0, &p.console)
}

func coord(size Size) windows.Coord {
	return windows.Coord{X: int16(min(size.Cols, 32767)), Y: int16(min(size.Rows, 32767))}
}

// start makes the process suspended, so that it is in its job before it can start others.
func (p *Process) start(cmd Command) error {
	attributes, err := windows.NewProcThreadAttributeList(1)
	if err != nil {
		return err
	}
	defer attributes.Delete()
	// The attribute is the handle itself, not its address.
	err = attributes.Update(windows.PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, *(*unsafe.Pointer)(unsafe.Pointer(&p.console)), unsafe.Sizeof(p.console))
	if err != nil {
		return err
	}
	info := windows.StartupInfoEx{ProcThreadAttributeList: attributes.List()}
	info.Cb = uint32(unsafe.Sizeof(info))
	// Handles that are none: otherwise the program could take those of this process, which
	// are pipes.
	info.Flags = windows.STARTF_USESTDHANDLES
	path, err := windows.UTF16PtrFromString(cmd.Path)
	if err != nil {
		return err
	}
	argv := cmd.Argv
	if len(argv) == 0 {
		argv = []string{cmd.Path}
	}
	line, err := windows.UTF16PtrFromString(windows.ComposeCommandLine(argv))
	if err != nil {
		return err
	}
	environment, err := block(cmd.Env)
	if err != nil {
		return err
	}
	var dir *uint16
	if cmd.Dir != "" {
		if dir, err = windows.UTF16PtrFromString(cmd.Dir); err != nil {
			return err
		}
	}
	if p.job, err = newJob(); err != nil {
		return err
	}
	var made windows.ProcessInformation
	const flags = windows.EXTENDED_STARTUPINFO_PRESENT | windows.CREATE_UNICODE_ENVIRONMENT | windows.CREATE_SUSPENDED
	err = windows.CreateProcess(path, line, nil, nil, false, flags, environment, dir, &info.StartupInfo, &made)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(made.Thread)
	p.process, p.pid = made.Process, int(made.ProcessId)
	err = windows.AssignProcessToJobObject(p.job, p.process)
	if err == nil {
		_, err = windows.ResumeThread(made.Thread)
	}
	if err != nil {
		windows.TerminateProcess(p.process, 1)
	}
	return err
}

// newJob makes a job whose processes end with its last handle, so that nothing outlives a
// session's worker that is killed.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		windows.CloseHandle(job)
		return 0, err
	}
	return job, nil
}

// block encodes an environment: sorted, each entry and the whole ended by a zero.
func block(env []string) (*uint16, error) {
	sorted := slices.Clone(env)
	slices.SortFunc(sorted, func(a, b string) int { return strings.Compare(strings.ToUpper(a), strings.ToUpper(b)) })
	var text []uint16
	for _, kv := range sorted {
		if strings.ContainsRune(kv, 0) {
			return nil, fmt.Errorf("environment entry with a zero character")
		}
		text = append(append(text, utf16.Encode([]rune(kv))...), 0)
	}
	if len(text) == 0 {
		text = append(text, 0)
	}
	text = append(text, 0)
	return &text[0], nil
}

// wait follows the program to its end, and closes the console once its last output has had
// time to come.
func (p *Process) wait() {
	windows.WaitForSingleObject(p.process, windows.INFINITE)
	var code uint32
	windows.GetExitCodeProcess(p.process, &code)
	p.status = Status{Code: int(int32(code))}
	p.over.Store(true)
	close(p.exited)
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	<-timer.C
	p.closeConsole() // ends the pipe, after what the console host still has
}

func (p *Process) closeConsole() {
	p.mu.Lock()
	console := p.console
	p.console = 0
	p.mu.Unlock()
	if console != 0 {
		windows.ClosePseudoConsole(console)
	}
}

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Pid is the program's process id.
func (p *Process) Pid() int { return p.pid }

// Read reads what is there and waits while there is nothing. It returns io.EOF when the
// program has ended and its output has been read. One Read at a time.
func (p *Process) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := p.out.Read(b)
	if n > 0 {
		return n, nil
	}
	if err != nil {
		p.drain.Do(func() { close(p.drained) })
		if p.over.Load() || errors.Is(err, windows.ERROR_BROKEN_PIPE) {
			return 0, io.EOF
		}
		return 0, fmt.Errorf("read pseudo-console: %w", err)
	}
	return 0, nil
}

// Write types. It waits while the console takes nothing.
func (p *Process) Write(b []byte) (int, error) { return p.in.Write(b) }

// SetWriteDeadline makes a Write that waits give up. The console's pipe knows no deadline:
// the console host always reads, so that no Write waits long.
func (p *Process) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// Resize tells the program its window's new size.
func (p *Process) Resize(size Size) error {
	if size.Cols == 0 || size.Rows == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.console == 0 {
		return os.ErrClosed
	}
	return windows.ResizePseudoConsole(p.console, coord(size))
}

// FindSignal finds nothing: the console host itself makes signals of keys.
func (p *Process) FindSignal([]byte) (int, Signal, bool) { return -1, 0, false }

// Raise returns [errors.ErrUnsupported].
func (p *Process) Raise(Signal, bool) error { return errors.ErrUnsupported }

// Hangup closes the console, which tells its programs so (CTRL_CLOSE_EVENT).
func (p *Process) Hangup() { go p.closeConsole() } // it waits for the programs

// Kill ends everything that runs on the console.
func (p *Process) Kill() { windows.TerminateJobObject(p.job, 1) }

// Alive says whether the program runs.
func (p *Process) Alive() bool { return !p.over.Load() }

// Wait waits for the program's end.
func (p *Process) Wait() Status {
	<-p.exited
	return p.status
}

// Close frees the console. A program that still runs is ended.
func (p *Process) Close() error {
	p.closing.Do(func() {
		p.Kill()
		<-p.exited
		p.release()
	})
	return nil
}

func (p *Process) release() {
	p.closeConsole()
	for _, f := range []*os.File{p.in, p.out} {
		if f != nil {
			f.Close()
		}
	}
	for _, h := range []windows.Handle{p.process, p.job} {
		if h != 0 {
			windows.CloseHandle(h)
		}
	}
}
