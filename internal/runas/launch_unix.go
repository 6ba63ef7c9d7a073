//go:build linux || darwin

package runas

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// The child's descriptors: what to run comes on one, what went wrong goes on the other.
	specFD   = 3
	statusFD = 4

	// maxStatus bounds what the child may say, in bytes.
	maxStatus = 4096
	// launchPatience bounds the launch. It takes some milliseconds; a home directory on
	// a file server that does not answer may take for ever.
	launchPatience = 30 * time.Second
)

// How the text begins that the child writes when it fails.
const (
	notDropped  = 'd'
	notExecuted = 'x'
)

// Launch is a program about to run. [Prepare] makes it; then the caller executes itself
// with [Launch.Files] as the descriptors from 3 on, so that [Child] is called there, and
// at last calls Wait.
type Launch struct {
	command        Command
	spec, status   *os.File // our ends
	specR, statusW *os.File // the child's
}

// Prepare refuses an account that is root's.
func Prepare(c Command) (*Launch, error) {
	if c.Account.Root() {
		return nil, fmt.Errorf("run as %s: %w", c.Account.Name, ErrRoot)
	}
	l := &Launch{command: c}
	var err, err2 error
	l.specR, l.spec, err = os.Pipe()
	l.status, l.statusW, err2 = os.Pipe()
	if err = errors.Join(err, err2); err != nil {
		l.Close()
		return nil, fmt.Errorf("run as %s: %w", c.Account.Name, err)
	}
	return l, nil
}

// Files are the child's descriptors from 3 on.
func (l *Launch) Files() []*os.File { return []*os.File{l.specR, l.statusW} }

// Close gives up a launch. After Wait it does nothing.
func (l *Launch) Close() {
	for _, f := range []*os.File{l.spec, l.status, l.specR, l.statusW} {
		if f != nil {
			f.Close()
		}
	}
}

// Wait tells the started child what to run and returns when that runs, or why it does
// not: [ErrNotExecuted] if only the program is at fault.
func (l *Launch) Wait() error {
	defer l.Close()
	l.specR.Close()
	l.statusW.Close()
	deadline := time.Now().Add(launchPatience)
	l.spec.SetDeadline(deadline)
	l.status.SetDeadline(deadline)
	err := gob.NewEncoder(l.spec).Encode(l.command)
	l.spec.Close()
	text, readErr := io.ReadAll(io.LimitReader(l.status, maxStatus))
	who := l.command.Account.Name
	switch {
	case len(text) > 0 && text[0] == notExecuted:
		return fmt.Errorf("run %s as %s: %w: %s", l.command.Path, who, ErrNotExecuted, text[1:])
	case len(text) > 0:
		return fmt.Errorf("become %s: %s", who, text[1:])
	case readErr != nil:
		return fmt.Errorf("become %s: %w", who, readErr)
	case err != nil:
		return fmt.Errorf("become %s: %w", who, err)
	}
	return nil
}

// Child is the main function of the re-executed child. It becomes the account and
// executes the program in its own place, with the standard descriptors that it has; when
// that fails it says so and returns the exit status.
func Child() int {
	// What is per thread must be done on the thread that executes the program.
	runtime.LockOSThread()
	unix.CloseOnExec(specFD)
	unix.CloseOnExec(statusFD)
	status := os.NewFile(statusFD, "status")
	fail := func(kind byte, err error) int {
		text := append([]byte{kind}, err.Error()...)
		status.Write(text[:min(len(text), maxStatus)])
		return 1
	}
	var c Command
	spec := os.NewFile(specFD, "spec")
	if err := gob.NewDecoder(spec).Decode(&c); err != nil {
		return fail(notDropped, fmt.Errorf("read what to run: %w", err))
	}
	spec.Close()
	if err := become(c.Account); err != nil {
		return fail(notDropped, err)
	}
	unix.Umask(c.Umask)
	// As the account: root may not be allowed into a home directory on a file server.
	if os.Chdir(c.Dir) != nil {
		if err := os.Chdir("/"); err != nil {
			return fail(notDropped, err)
		}
	}
	if err := hideDescriptors(); err != nil {
		return fail(notDropped, err)
	}
	return fail(notExecuted, syscall.Exec(c.Path, c.Argv, c.Env))
}

// become gives up all rights but the account's, and checks that they are gone.
func become(a Account) error {
	if a.Root() {
		return ErrRoot
	}
	// The terminal is the account's from now on, as login(1) does it, or programs that
	// open it by its name fail. Its group and mode are those that the system gives.
	var st unix.Stat_t
	if unix.Fstat(0, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && isTerminal(0) {
		if err := unix.Fchown(0, a.UID, -1); err != nil {
			return fmt.Errorf("hand over the terminal: %w", err)
		}
	}
	if err := drop(a); err != nil {
		return err
	}
	return check(a)
}

// errStillRoot says that the rights were not given up, whatever the calls returned.
var errStillRoot = errors.New("this machine's settings leave a way back to root")

// check tries what must not be possible any more.
func check(a Account) error {
	if unix.Getuid() != a.UID || unix.Geteuid() != a.UID || unix.Getgid() != a.GID || unix.Getegid() != a.GID {
		return fmt.Errorf("the ids are %d/%d and %d/%d, want %d and %d",
			unix.Getuid(), unix.Geteuid(), unix.Getgid(), unix.Getegid(), a.UID, a.GID)
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g != a.GID && !contains(a.Groups, g) {
			return fmt.Errorf("the group %d was kept", g)
		}
	}
	if syscall.Setuid(0) == nil || syscall.Setgid(0) == nil || syscall.Seteuid(0) == nil || syscall.Setgroups([]int{0}) == nil {
		return errStillRoot
	}
	return checkPowers()
}

func contains(list []int, n int) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}
