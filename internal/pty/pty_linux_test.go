package pty

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds the waits for real processes; nothing is asserted about time.
const patience = 30 * time.Second

func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Command{
		Path: "/bin/sh", Argv: []string{"sh", "-c", script},
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "TERM=xterm"}, Dir: "/",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Close()
	})
	return p
}

// readUntil reads until the output contains want.
func readUntil(t *testing.T, p *Process, want string) string {
	t.Helper()
	timer := time.AfterFunc(patience, p.Kill)
	defer timer.Stop()
	var out []byte
	buf := make([]byte, 1024)
	for !bytes.Contains(out, []byte(want)) {
		n, err := p.Read(buf)
		if out = append(out, buf[:n]...); err != nil {
			t.Fatalf("read: %v; want %q in output, got %q", err, want, out)
		}
	}
	return string(out)
}

func readAll(t *testing.T, p *Process) string {
	t.Helper()
	timer := time.AfterFunc(patience, p.Kill)
	defer timer.Stop()
	var out bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		n, err := p.Read(buf)
		out.Write(buf[:n])
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
	}
}

func TestProgramSeesATerminalOfTheGivenSize(t *testing.T) {
	p := start(t, `tty >/dev/null && stty size; read x; stty size`)
	readUntil(t, p, "24 80\r\n")
	if err := p.Resize(Size{Cols: 0, Rows: 10}); err != nil {
		t.Fatal(err)
	}
	if err := p.Resize(Size{Cols: 132, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, p, "50 132\r\n")
	readAll(t, p)
	p.Close()
	if got := p.Wait(); got != (Status{}) {
		t.Errorf("status = %+v, want zero", got)
	}
}

func TestExitStatusAndSignalAreReported(t *testing.T) {
	p := start(t, "exit 7")
	readAll(t, p)
	p.Close()
	if got, want := p.Wait(), (Status{Code: 7}); got != want {
		t.Errorf("status = %+v, want %+v", got, want)
	}
	p = start(t, "kill -TERM $$")
	readAll(t, p)
	p.Close()
	if got, want := p.Wait(), (Status{Code: -1, Signal: syscall.SIGTERM}); got != want {
		t.Errorf("status = %+v, want %+v", got, want)
	}
}

func TestStartOfAMissingProgramFails(t *testing.T) {
	_, err := Start(Command{Path: "/nonexistent", Argv: []string{"x"}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want one that is os.ErrNotExist", err)
	}
}

// A process that outlives the shell and holds the terminal neither cuts the shell's
// output short nor keeps it from ending.
func TestOutputEndsWithTheProgramAndIsComplete(t *testing.T) {
	p := start(t, `(trap "" HUP; exec sleep 1000) & seq 1 30000`)
	out := readAll(t, p)
	var want strings.Builder
	for i := range 30000 {
		want.WriteString(strconv.Itoa(i+1) + "\r\n")
	}
	if out != want.String() {
		t.Errorf("got %d bytes of output, want %d", len(out), want.Len())
	}
	if got := sessionMembers(p.Pid()); len(got) != 1 {
		t.Errorf("processes that ignore the hang-up: %v, want one", got)
	}
	p.Kill()
	if got := sessionMembers(p.Pid()); len(got) != 0 {
		t.Errorf("after Kill the session still has %v", got)
	}
}

// A process that goes on writing after the shell's end does not keep Read busy for ever.
func TestOutputOfASurvivorIsBounded(t *testing.T) {
	p := start(t, `trap "" HUP; yes & echo started`)
	out := readAll(t, p)
	if !strings.Contains(out, "started") {
		t.Error("the shell's own output is missing")
	}
}

func TestShellExitHangsUpItsBackgroundJobs(t *testing.T) {
	p := start(t, `sleep 1000 & echo $!`)
	out := readAll(t, p)
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		if _, alive := sessionOf(pid); !alive {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the background job still runs")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestKillReachesEveryProcessGroupOfTheSession(t *testing.T) {
	p := start(t, `set -m; trap "" HUP TERM INT; (trap "" HUP; while :; do sleep 1000; done) & sleep 1000 & echo up; wait`)
	readUntil(t, p, "up")
	p.Kill()
	p.Close()
	if got := sessionMembers(p.Pid()); len(got) != 0 {
		t.Errorf("the session still has %v", got)
	}
	if got := p.Wait(); got.Signal != syscall.SIGKILL {
		t.Errorf("status = %+v, want killed", got)
	}
}

// A program that does not read its input fills the terminal; an interrupt still
// reaches it, and what was typed before is thrown away.
func TestInterruptPassesAFullInput(t *testing.T) {
	p := start(t, `trap "echo interrupted; read line; echo got:\$line; exit" INT; echo ready; while :; do sleep 1000; done`)
	readUntil(t, p, "ready")
	line := append(bytes.Repeat([]byte("x"), 63), '\n')
	p.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for {
		if _, err := p.Write(bytes.Repeat(line, 64)); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			break
		}
	}
	p.SetWriteDeadline(time.Time{})
	at, sig, flush := p.FindSignal([]byte("ab\x03"))
	if at != 2 || sig != Interrupt || !flush {
		t.Fatalf("FindSignal = %d, %v, %v", at, sig, flush)
	}
	if err := p.Raise(sig, flush); err != nil {
		t.Fatal(err)
	}
	readUntil(t, p, "interrupted")
	if _, err := p.Write([]byte("fresh\n")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, p, "got:fresh")
}

func TestRawModeHasNoSignalKeys(t *testing.T) {
	p := start(t, `stty raw; echo ready; read x`)
	readUntil(t, p, "ready")
	if at, _, _ := p.FindSignal([]byte("\x03\x1c\x1a")); at != -1 {
		t.Errorf("found a signal at %d in raw mode", at)
	}
}

// Whatever a process calls itself, the session is that of the fields after its name.
func FuzzParseStat(f *testing.F) {
	f.Add([]byte("sh"), 12)
	f.Add([]byte("a) Z 1 12 99"), 7)
	f.Add([]byte("(x) ("), 1<<30)
	f.Fuzz(func(t *testing.T, name []byte, sid int) {
		parseStat(name) // must not panic
		stat := append([]byte("12 ("), name...)
		stat = append(stat, []byte(") S 1 12 "+strconv.Itoa(sid)+" 34816 12")...)
		if got, ok := parseStat(stat); !ok || got != sid {
			t.Errorf("parseStat(%q) = %d, %v, want %d", stat, got, ok, sid)
		}
	})
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		stat string
		sid  int
		ok   bool
	}{
		{"12 (sh) S 1 12 34 34816 12 4194304 0", 34, true},
		{"12 (a) b (c) S 1 12 34 34816", 34, true},
		{"12 (sh) Z 1 12 34 0", 0, false},
		{"12 (sh) S 1", 0, false},
		{"", 0, false},
	} {
		sid, ok := parseStat([]byte(c.stat))
		if sid != c.sid && c.ok || ok != c.ok {
			t.Errorf("parseStat(%q) = %d, %v, want %d, %v", c.stat, sid, ok, c.sid, c.ok)
		}
	}
}
