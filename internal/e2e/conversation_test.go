package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// conversation is a person at a terminal: a program on a pty, what it has shown, and
// keys that are typed.
type conversation struct {
	t    testing.TB
	cmd  *exec.Cmd
	term *os.File
	done chan struct{} // closed when the program ended and all output was read

	mu    sync.Mutex
	shown []byte        // guarded by mu; everything since the start
	more  chan struct{} // guarded by mu; closed and renewed when shown grows
	from  int           // owned by the test: where the next expectation looks
}

// converse starts a program on a terminal of 80 columns and 24 rows.
func converse(t testing.TB, cmd *exec.Cmd) *conversation {
	t.Helper()
	term, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	c := &conversation{t: t, cmd: cmd, term: term, done: make(chan struct{}), more: make(chan struct{})}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := term.Read(buf)
			c.mu.Lock()
			c.shown = append(c.shown, buf[:n]...)
			close(c.more)
			c.more = make(chan struct{})
			c.mu.Unlock()
			if err != nil {
				break
			}
		}
		cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-c.done
		term.Close()
		if t.Failed() {
			t.Logf("terminal:\n%s", tail(string(c.shown), 2000))
		}
		if strings.Contains(string(c.shown), "DATA RACE") {
			t.Errorf("the program reports a data race:\n%s", c.shown)
		}
	})
	return c
}

// typed sends keys.
func (c *conversation) typed(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.term, keys); err != nil {
		c.t.Fatalf("type %q: %v", keys, err)
	}
}

// expect waits for text that matches the pattern, after what earlier calls matched, and
// returns the submatches.
func (c *conversation) expect(pattern string) []string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	ended := c.done
	for {
		c.mu.Lock()
		at := re.FindSubmatchIndex(c.shown[c.from:])
		var found []string
		if at != nil {
			for i := 0; i < len(at); i += 2 {
				if at[i] < 0 {
					found = append(found, "")
					continue
				}
				found = append(found, string(c.shown[c.from+at[i]:c.from+at[i+1]]))
			}
			c.from += at[1]
		}
		more, rest := c.more, string(c.shown[c.from:])
		c.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-ended:
			ended = nil // look once more: the last output and the end may come together
			select {
			case <-more:
			default:
				c.t.Fatalf("the program ended; waited for %q in %q", pattern, tail(rest, 400))
			}
		case <-timeout:
			c.t.Fatalf("waited for %q in %q", pattern, tail(rest, 400))
		}
	}
}

// ends waits for the program's end and returns its exit code.
func (c *conversation) ends() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatalf("the program has not ended; it shows %q", tail(string(c.shown), 400))
	}
	return c.cmd.ProcessState.ExitCode()
}

// resize changes the terminal's size as a window manager does.
func (c *conversation) resize(cols, rows uint16) {
	c.t.Helper()
	if err := pty.Setsize(c.term, &pty.Winsize{Cols: cols, Rows: rows}); err != nil {
		c.t.Fatal(err)
	}
}

// exitCode is the exit code of a command's error, or -1.
func exitCode(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}
