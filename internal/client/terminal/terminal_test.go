//go:build linux || darwin

package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the guard, and a program that puts its terminal
// into raw mode and waits to be killed.
func TestMain(m *testing.M) {
	switch {
	case IsGuard(os.Args[1:]):
		os.Exit(RunGuard())
	case os.Getenv("SEKISHO_TEST_RAW") != "":
		holdRaw()
	}
	os.Exit(m.Run())
}

func guardCommand(t testing.TB) []string {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{program}, GuardArgs()...)
}

// holdRaw makes the terminal raw, says so, and waits for the end.
func holdRaw() {
	program, _ := os.Executable()
	t := Open(os.Stdin, os.Stdout, append([]string{program}, GuardArgs()...))
	if err := t.MakeRaw(); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("raw\n")
	select {}
}

// openPty gives a pseudo-terminal: the master, and the end that programs see.
func openPty(t testing.TB) (master, tty *os.File) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tty.Close()
		master.Close()
	})
	return master, tty
}

func settings(t testing.TB, f *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), readTermios)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func TestRawModeAndBack(t *testing.T) {
	_, tty := openPty(t)
	before := settings(t, tty)
	for _, guard := range [][]string{nil, guardCommand(t), {"/does/not/exist"}} {
		term := Open(tty, tty, guard)
		if !term.Interactive() {
			t.Fatal("a pseudo-terminal counts as no terminal")
		}
		for range 2 {
			if err := term.MakeRaw(); err != nil {
				t.Fatal(err)
			}
			now := settings(t, tty)
			if now.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG|unix.IEXTEN) != 0 || now.Iflag&(unix.ICRNL|unix.IXON) != 0 || now.Oflag&unix.OPOST != 0 {
				t.Errorf("settings %+v are not raw", now)
			}
			for range 2 { // the second does nothing
				if err := term.Restore(); err != nil {
					t.Fatal(err)
				}
			}
			if now := settings(t, tty); now != before {
				t.Errorf("settings %+v, want %+v as before", now, before)
			}
		}
	}
}

func TestGuardRestoresAfterKill(t *testing.T) {
	master, tty := openPty(t)
	before := settings(t, tty)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEKISHO_TEST_RAW=1")
	cmd.Stdin, cmd.Stdout = tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(master, make([]byte, len("raw\n"))); err != nil {
		t.Fatal(err)
	}
	if settings(t, tty) == before {
		t.Fatal("terminal is not raw")
	}
	// To the whole group, as a shell's "kill -9 %1" does.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	eventually(t, "the terminal is restored", func() bool { return settings(t, tty) == before })
}

func TestGuardLeavesForeignSettingsAlone(t *testing.T) {
	_, tty := openPty(t)
	saved, raw, foreign := settings(t, tty), settings(t, tty), settings(t, tty)
	raw.Lflag &^= unix.ECHO
	foreign.Lflag &^= unix.ICANON
	for _, c := range []struct {
		name      string
		now, want unix.Termios
		told      bool
	}{
		{"still raw", raw, saved, true},
		{"set by another program", foreign, foreign, true},
		{"killed before raw mode was known", foreign, saved, false},
	} {
		if err := unix.IoctlSetTermios(int(tty.Fd()), writeTermios, &c.now); err != nil {
			t.Fatal(err)
		}
		g, err := startGuard(tty, guardCommand(t), &saved)
		if err != nil {
			t.Fatal(err)
		}
		if c.told {
			g.watch(&raw)
		}
		g.pipe.Close() // what the kernel does for a process that is killed
		if err := g.cmd.Wait(); err != nil {
			t.Errorf("%s: guard ended with %v", c.name, err)
		}
		if got := settings(t, tty); got != c.want {
			t.Errorf("%s: settings %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestSize(t *testing.T) {
	_, tty := openPty(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Cols: 132, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		out        *os.File
		cols, rows int
	}{{tty, 132, 50}, {file, 300, 100}} {
		if cols, rows := Open(file, c.out, nil).Size(); cols != c.cols || rows != c.rows {
			t.Errorf("size %dx%d, want %dx%d", cols, rows, c.cols, c.rows)
		}
	}
	if Open(file, tty, nil).Interactive() {
		t.Error("a file counts as a terminal")
	}
}

func TestWindowSignalIsReported(t *testing.T) {
	_, tty := openPty(t)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	changes := Open(tty, tty, nil).Changes(ctx)
	for {
		// Again and again, as the watcher may not have asked for signals yet.
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changes:
			return
		case <-ctx.Done():
			t.Fatal("no change was reported")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestContinuedProcessIsRawAgain(t *testing.T) {
	_, tty := openPty(t)
	before := settings(t, tty)
	term := Open(tty, tty, nil)
	if err := term.MakeRaw(); err != nil {
		t.Fatal(err)
	}
	raw := settings(t, tty)
	if err := unix.IoctlSetTermios(int(tty.Fd()), writeTermios, &before); err != nil { // as a shell does
		t.Fatal(err)
	}
	term.resume()
	if settings(t, tty) != raw {
		t.Error("terminal is not raw after the process goes on")
	}
	if err := term.Restore(); err != nil {
		t.Fatal(err)
	}
	term.resume()
	if settings(t, tty) != before {
		t.Error("terminal is raw after it was restored")
	}
}

func TestInputCloseEndsARead(t *testing.T) {
	_, tty := openPty(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, f := range map[string]*os.File{"terminal": tty, "pipe": r} {
		in, err := NewInput(f)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := in.Read(make([]byte, 10))
			ended <- err
		}()
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: read ended with %v, want %v", name, err, os.ErrClosed)
		}
		if _, err := in.Read(make([]byte, 10)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: read after close ended with %v", name, err)
		}
		if _, err := f.Stat(); err != nil {
			t.Errorf("%s: the file is closed: %v", name, err)
		}
	}
}

func TestInputGivesWhatComes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewInput(r)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	const text = "all of it\x00\n"
	go func() {
		for i := range len(text) {
			w.WriteString(text[i : i+1])
		}
		w.Close()
	}()
	got, err := io.ReadAll(in)
	if err != nil || string(got) != text {
		t.Errorf("read %q, %v; want %q", got, err, text)
	}
}

// eventually waits for another process to have done something.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen that %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
