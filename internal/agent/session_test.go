//go:build linux

package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sekisho/internal/message"
	"sekisho/internal/platform"
)

func TestShellConversation(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()

	x.type_("echo $((6*7))\r")
	x.expect("\n42\r\n")

	x.type_("stty size\r")
	x.expect("\n24 80\r\n") // until the client says otherwise
	x.send(message.PayloadSize, message.Marshal(message.Size{Cols: 211, Rows: 57}))
	x.type_("stty size\r")
	x.expect("\n57 211\r\n")

	// A process that speaks is in the foreground; before, Ctrl-C would be the shell's.
	x.type_("sh -c 'echo run''ning; exec sleep 1000'; echo slept:$?\r")
	x.expect("\nrunning\r\n")
	x.type_("\x03")
	x.type_("echo after:$?\r")
	x.expect("\nafter:130\r\n") // 128 + SIGINT

	x.type_("exit 7\r")
	done, _ := c.completion(t, true)
	if done.TaskId != x.id || done.FinalTaskStatus != message.StatusSuccess || done.Output != "" {
		t.Errorf("completion %+v", done)
	}
	if strings.Contains(x.output(), "slept:0") {
		t.Error("sleep ended by itself")
	}
	eventually(t, "the worker ends", func() bool { return workers(x.id) == 0 })
}

func TestEnvironmentIsThatOfALogin(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "agent-secret")
	t.Setenv("SEKISHO_ACTIVATION_CODE", "agent-secret")
	t.Setenv("LC_TIME", "C")
	s := newTestServer(t)
	_, x := s.openSession()
	account := platform.CurrentAccount()
	for command, want := range map[string]string{
		`echo "1:$TERM:"`:                "1:xterm-256color:",
		`echo "2:$HOME:$PWD:"`:           "2:" + account.Home + ":" + account.Home + ":",
		`echo "3:$USER:$LOGNAME:"`:       "3:" + account.Name + ":" + account.Name + ":",
		`echo "4:$SEKISHO_SESSION_ID:"`:  "4:" + x.id + ":",
		`echo "5:$0:"`:                   "5:-" + filepath.Base(shellOf(account)) + ":",
		`echo "6:${LANG:+set}:$LC_TIME"`: "6:set:C",
		`echo "7:$(tty | cut -c1-9):"`:   "7:/dev/pts/:",
	} {
		x.type_(command + "\r")
		x.expect("\n" + want)
	}
	x.type_("env | grep -c agent-secret; echo do''ne\r")
	x.expect("\n0\r\ndone\r\n")
	// Nothing secret in arguments or files either.
	x.type_("cat /proc/$PPID/cmdline | tr '\\0' ' '; echo; ls -l /proc/$$/fd | wc -l; echo li''sted\r")
	x.expect("listed")
	if out := x.output(); strings.Contains(out, "ASIA") || strings.Contains(out, "secret-") {
		t.Error("credentials are among the worker's arguments")
	}
}

func shellOf(a platform.Account) string {
	return loginShell(a, nil, "").Path
}

func TestHundredThousandLinesArriveComplete(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("stty -echo; echo be''gin; seq 1 100000; exit\r")
	done, _ := c.completion(t, true)
	if done.FinalTaskStatus != message.StatusSuccess {
		t.Errorf("completion %+v", done)
	}
	_, got, _ := strings.Cut(x.output(), "begin\r\n")
	var want strings.Builder
	for i := range 100000 {
		want.WriteString(strconv.Itoa(i+1) + "\r\n")
	}
	if !strings.HasPrefix(got, want.String()) {
		t.Errorf("got %d bytes, want %d", len(got), want.Len())
	}
	if states := x.states(); !slices.Equal(states, []string{"Connected", "Terminating"}) {
		t.Errorf("states %q", states)
	}
}

// The connection is cut again and again in the middle of output and of input.
func TestCutsLoseNothing(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("stty raw -echo; echo be''gin; seq 1 200000; head -c 300000 | sha256sum; exit\n")
	x.expect("begin")
	const cuts = 20
	for range cuts {
		x.mu.Lock()
		before := x.cuts
		x.budget = 40000
		x.mu.Unlock()
		receive(t, "next connection", x.opened)
		eventually(t, "a cut", func() bool {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.cuts > before
		})
	}
	input := bytes.Repeat([]byte("0123456789abcdef\x00\xff\x03\n\r\x1a"), 300000/22+1)[:300000]
	for part := range slices.Chunk(input, 1000) {
		x.type_(string(part))
		if len(part) > 0 && part[0] == '4' { // now and then
			x.mu.Lock()
			x.ws.CloseNow()
			x.mu.Unlock()
		}
	}
	done, _ := c.completion(t, true)
	if done.FinalTaskStatus != message.StatusSuccess {
		t.Errorf("completion %+v", done)
	}
	sum := sha256.Sum256(input)
	var want strings.Builder
	for i := range 200000 {
		want.WriteString(strconv.Itoa(i+1) + "\n")
	}
	want.WriteString(hex.EncodeToString(sum[:]) + "  -\n")
	_, got, _ := strings.Cut(x.output(), "begin\n")
	got = strings.TrimSuffix(got, "logout\n") // some shells say so
	if got != want.String() {
		i := 0
		for i < min(len(got), want.Len()) && got[i] == want.String()[i] {
			i++
		}
		t.Errorf("output differs at byte %d of %d (want %d): %q", i, len(got), want.Len(), got[i:min(len(got), i+200)])
	}
}

func TestTerminateEndsEverythingOnTheTerminal(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("trap '' HUP TERM; sh -c 'trap \"\" HUP TERM; sleep 1000' & echo pid=$!=; sleep 1001; echo\r")
	x.expect("\npid=")
	var digits string
	eventually(t, "the process id", func() (ok bool) {
		_, after, _ := strings.Cut(x.output(), "\npid=")
		digits, _, ok = strings.Cut(after, "=")
		return ok
	})
	pid, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	c.terminate(t, x.id)
	done, _ := c.completion(t, true)
	if done.FinalTaskStatus != message.StatusSuccess {
		t.Errorf("completion %+v", done)
	}
	eventually(t, "the background job dies", func() bool { return !processAlive(pid) })
	if states := x.states(); slices.Contains(states, "Terminating") {
		t.Errorf("states %q: a session that is ended from outside says nothing", states)
	}
}

// A program that reads nothing holds up neither the window's size nor a signal.
func TestFullInputHoldsUpNothingElse(t *testing.T) {
	s := newTestServer(t)
	_, x := s.openSession()
	x.type_("sh -c 'trap \"stty size; echo caught; exit 0\" INT; echo wait''ing; sleep 1000'\r")
	x.expect("waiting")
	line := strings.Repeat("x", 99) + "\n"
	for range 100 {
		x.type_(strings.Repeat(line, 10)) // 100 kB of it
	}
	x.send(message.PayloadSize, message.Marshal(message.Size{Cols: 99, Rows: 33}))
	x.type_("\x03")
	x.expect("33 99\r\ncaught")
}

// An agent that was started in the background ignores signals; its shells do not.
func TestShellsOfABackgroundAgentHearSignals(t *testing.T) {
	s := newTestServer(t)
	s.register()
	s.agentProcess("ignore-signals")
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(t, x.task())
	x.ready()
	x.type_("sh -c 'kill -INT $$; kill -QUIT $$; kill -HUP $$; echo deaf'\r")
	x.type_("echo status:$?\r")
	x.expect("\nstatus:130\r\n")
	x.type_("exit\r")
	c.completion(t, true)
}

// agentProcess runs the test binary as an agent and ends it with the test.
func (s *testServer) agentProcess(settings ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{beAgent, s.dir}, settings...)...)
	cmd.Stderr = os.Stderr
	cmd.Stdout = os.Stdout
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// The agent is killed; the session goes on, and the next agent knows what it must not
// do to it, and how to end it.
func TestSessionSurvivesTheAgent(t *testing.T) {
	s := newTestServer(t)
	s.register()
	cmd := s.agentProcess()
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(t, x.task())
	x.ready()

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	x.type_("echo $((6*8))\r")
	x.expect("\n48\r\n")

	s.agentProcess()
	c = receive(t, "second control channel", s.controls)
	c.send(t, x.task()) // a gateway that was restarted may ask again
	x.type_("echo $((6*9))\r")
	x.expect("\n54\r\n")
	if n := workers(x.id); n != 1 {
		t.Errorf("%d workers, want 1", n)
	}
	c.terminate(t, x.id)
	eventually(t, "the worker ends", func() bool { return workers(x.id) == 0 })
}

// Also the worker's credentials run out while it has no agent: it gets its own.
func TestWorkerRenewsItsCredentials(t *testing.T) {
	s := newTestServer(t)
	s.register()
	cmd := s.agentProcess()
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(t, x.task())
	x.ready()
	receive(t, "first connection", x.opened)
	cmd.Process.Kill()
	cmd.Wait()

	s.with(func() { clear(s.secrets); s.secrets["ASIA9"] = "" }) // all that were given end
	s.cutAll()
	receive(t, "second connection", x.opened)
	x.type_("echo $((6*8))\r")
	x.expect("\n48\r\n")
	s.with(func() { x.over = true })
	x.type_("exit\r")
	eventually(t, "the worker ends", func() bool { return workers(x.id) == 0 })
}

func TestFullDiskDoesNotPreventASession(t *testing.T) {
	s := newTestServer(t)
	s.register()
	s.agentProcess("no-disk")
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(t, x.task())
	x.ready()
	x.type_("trap '' XFSZ; echo x > " + filepath.Join(t.TempDir(), "f") + " || echo no''room\r")
	x.expect("noroom") // and that is so for the whole of it
	x.type_("exit\r")
	c.completion(t, true)
}

// On a disk that is really full, where the test may mount one.
func TestFullFileSystemDoesNotPreventASession(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	s := newTestServer(t)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	defer syscall.Unmount(s.dir, syscall.MNT_DETACH)
	s.register()
	f, err := os.Create(filepath.Join(s.dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := f.Write(make([]byte, 1024)); err != nil {
			break
		}
	}
	f.Close()
	s.agentProcess()
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(t, x.task())
	x.ready()
	x.type_("exit\r")
	c.completion(t, true)
}

func TestRunningSessionIsNotStartedTwice(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	receive(t, "first connection", x.opened)
	for range 3 {
		c.send(t, x.task())
	}
	x.type_("echo $((6*8))\r")
	x.expect("\n48\r\n")
	if n := workers(x.id); n != 1 {
		t.Errorf("%d workers, want 1", n)
	}
	x.type_("exit\r")
	first, _ := c.completion(t, true)
	c.send(t, x.task()) // the session has ended: it is reported again and not started
	second, _ := c.completion(t, true)
	if first.TaskId != x.id || second.TaskId != x.id || second.FinalTaskStatus != first.FinalTaskStatus {
		t.Errorf("completions %+v and %+v", first, second)
	}
	if n := len(x.opened); n != 0 {
		t.Errorf("%d more data channels were opened", n)
	}
}

func TestSessionThatTheGatewayDoesNotKnowFails(t *testing.T) {
	s := newTestServer(t)
	s.runAgent()
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	s.with(func() { delete(s.sessions, x.id) })
	c.send(t, x.task())
	done, _ := c.completion(t, true)
	if done.FinalTaskStatus != message.StatusFailed || !strings.Contains(done.Output, "Setting up data channel with id "+x.id+" failed") {
		t.Errorf("completion %+v", done)
	}
}

func TestShellProfileIsTyped(t *testing.T) {
	s := newTestServer(t)
	s.runAgent()
	c := receive(t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(t, x.task(func(task *message.SessionTask) {
		task.DocumentContent.Inputs.ShellProfile.Linux = "echo {{ word }}$((6*7))"
		task.Parameters = map[string]any{"word": "profile"}
	}))
	x.expect("profile42\r\n")
	x.type_("exit\r")
	c.completion(t, true)
}

// What stays behind at an ordinary exit is what asked for it.
func TestExitEndsBackgroundJobsButNotDaemons(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	daemon := fmt.Sprintf("1003.%d", os.Getpid()) // seconds, and a name
	running := func() bool { return slices.Contains(platform.Siblings(), daemon) }
	x.type_("sleep 1002 & echo job=$!=; setsid sleep " + daemon + " &\r")
	eventually(t, "the daemon runs", running)
	x.expect("\njob=")
	x.type_("exit\r")
	c.completion(t, true)
	_, after, _ := strings.Cut(x.output(), "\njob=")
	digits, _, _ := strings.Cut(after, "=")
	job, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job ends", func() bool { return !processAlive(job) })
	if !running() {
		t.Error("the daemon is gone")
	}
	platform.SignalSiblings(daemon)
}

func TestHugeLineArrives(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("stty -echo; echo be''gin; head -c 20000000 /dev/zero | tr '\\0' x; echo; exit\r")
	c.completion(t, true)
	_, got, _ := strings.Cut(x.output(), "begin\r\n")
	if want := strings.Repeat("x", 20000000); !strings.HasPrefix(got, want+"\r\n") {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestStopLeavesSessionsUnlessToldOtherwise(t *testing.T) {
	for _, end := range []bool{false, true} {
		t.Run(fmt.Sprintf("end=%v", end), func(t *testing.T) {
			s := newTestServer(t)
			stop := s.runAgent(func(c *Config) { c.EndSessions = end })
			c := receive(t, "control channel", s.controls)
			x := s.newSession(false)
			c.send(t, x.task())
			x.ready()
			if !end {
				stop()
				x.type_("echo $((6*8)); exit\r")
				x.expect("\n48\r\n")
				eventually(t, "the worker ends by itself", func() bool { return workers(x.id) == 0 })
				return
			}
			finished := make(chan struct{})
			go func() { stop(); close(finished) }()
			done, _ := c.completion(t, true)
			if done.FinalTaskStatus != message.StatusSuccess {
				t.Errorf("completion %+v", done)
			}
			receive(t, "stop", finished)
			if n := workers(x.id); n != 0 {
				t.Errorf("%d workers left", n)
			}
		})
	}
}
