package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// remote is a node whose connections, and those of a client, can be cut: both reach the
// server through proxies of their own.
type remote struct {
	*deployment
	node      string
	toServer  *proxy                     // the agent's way
	toService *proxy                     // the client's way
	program   func(dir string) *exec.Cmd // the agent that runs with the registration in dir
	agent     *exec.Cmd
	dir       string
	log       *os.File // a file, because workers outlive the agent and share it
}

// join registers an agent of ours as an operator does and runs it.
func join(t *testing.T, d *deployment, c cli) *remote {
	t.Helper()
	return joinAs(t, d, c, ourAgent(t))
}

// ourAgent runs the agent so that its sessions are the test's own account's.
func ourAgent(t *testing.T) func(dir string) *exec.Cmd {
	return func(dir string) *exec.Cmd {
		return exec.Command(bin(t, "sekisho-agent"), "run", "--dir", dir, "--end-sessions-on-stop", "--session-user", "")
	}
}

// joinAs is join with another way to run the agent.
func joinAs(t *testing.T, d *deployment, c cli, program func(dir string) *exec.Cmd) *remote {
	t.Helper()
	d.advanced(c)
	r := &remote{deployment: d, program: program, toServer: newProxy(t, d.listen), toService: newProxy(t, d.listen), dir: t.TempDir()}
	var err error
	if r.log, err = os.Create(filepath.Join(t.TempDir(), "agent.log")); err != nil {
		t.Fatal(err)
	}
	var activation struct{ ActivationId, ActivationCode string }
	d.mustJSON(c, &activation, "ssm", "create-activation", "--iam-role", "SSMServiceRole", "--default-instance-name", "cut")
	register := exec.Command(bin(t, "sekisho-agent"), "register", "--dir", r.dir, "--endpoint", "https://"+r.toServer.addr(),
		"--ca", d.env["AWS_CA_BUNDLE"], "--region", d.env["AWS_DEFAULT_REGION"], "--id", activation.ActivationId, "--json")
	register.Env = append(cleanEnv(), "SEKISHO_ACTIVATION_CODE="+activation.ActivationCode)
	out, err := register.Output()
	if err != nil {
		t.Fatalf("register: %v %s", err, out)
	}
	var registered map[string]any
	if err := json.Unmarshal(out, &registered); err != nil {
		t.Fatalf("register --json: %v in %q", err, out)
	}
	for _, key := range []string{"InstanceId", "instance_id", "node_id", "id"} {
		if id, ok := registered[key].(string); ok {
			r.node = id
		}
	}
	if r.node == "" {
		t.Fatalf("register --json names no node: %s", out)
	}
	r.startAgent(t)
	t.Cleanup(func() {
		r.agent.Process.Signal(os.Interrupt)
		r.agent.Wait()
		text, err := os.ReadFile(r.log.Name())
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(text, []byte("DATA RACE")) {
			t.Errorf("the agent reports a data race:\n%s", text)
		} else if t.Failed() {
			t.Logf("agent:\n%s", tail(string(text), 6000))
		}
	})
	return r
}

func (r *remote) startAgent(t *testing.T) {
	t.Helper()
	r.agent = r.program(r.dir)
	r.agent.Env = cleanEnv()
	r.agent.Stderr = r.log
	if err := r.agent.Start(); err != nil {
		t.Fatal(err)
	}
	c := clis(t)[0]
	eventually(t, "the node is connected", func() bool {
		var status struct{ Status string }
		r.mustJSON(c, &status, "ssm", "get-connection-status", "--target", r.node)
		return status.Status == "connected"
	})
}

// piped is a session whose output is read from a pipe, byte by byte as it came.
type piped struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr *syncBuffer
	rest   []byte // read, but after the last marker
}

// pipe opens a session with our plugin, through the client's proxy.
func (r *remote) pipe(t *testing.T, c cli) *piped {
	t.Helper()
	return r.pipeThrough(t, c, "")
}

// pipeThrough is pipe with the plugin in a folder; empty means ours.
func (r *remote) pipeThrough(t *testing.T, c cli, plugin string) *piped {
	t.Helper()
	endpoint := "https://" + r.toService.addr()
	cmd := exec.Command(c.path, "--endpoint-url", endpoint, "ssm", "start-session", "--target", r.node)
	cmd.Env = r.environ("AWS_ENDPOINT_URL=" + endpoint)
	if plugin != "" {
		cmd.Env = append(cmd.Env, "PATH="+plugin+":"+r.env["PATH"])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that the plugin ends with the CLI
	cmd.WaitDelay = patience
	p := &piped{cmd: cmd, stderr: &syncBuffer{}}
	cmd.Stderr = p.stderr
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.stdout, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	watchdog := time.AfterFunc(2*patience, kill)
	t.Cleanup(func() {
		watchdog.Stop()
		kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("client:\n%s", tail(p.stderr.String(), 4000))
		}
	})
	return p
}

// until reads up to and including a marker and returns what came before it.
func (p *piped) until(t *testing.T, marker string, progress func(n int)) []byte {
	t.Helper()
	var got []byte
	buf := make([]byte, 32<<10)
	for {
		var n int
		var err error
		if len(p.rest) > 0 {
			n = copy(buf, p.rest)
			p.rest = p.rest[n:]
		} else {
			n, err = p.stdout.Read(buf)
		}
		scanned := max(0, len(got)-len(marker))
		got = append(got, buf[:n]...)
		if at := bytes.Index(got[scanned:], []byte(marker)); at >= 0 {
			p.rest = append([]byte(nil), got[scanned+at+len(marker):]...)
			return got[:scanned+at]
		}
		if err != nil {
			t.Fatalf("output ended (%v) after %d bytes, before %q: %q", err, len(got), marker, tail(string(got), 500))
		}
		if progress != nil {
			progress(len(got))
		}
	}
}

// TestCuts cuts the client's connection, the agent's and kills the server, 20 times at
// random places of 10 MB of output. Every byte must arrive, once and in order; so must
// what is typed meanwhile.
func TestCuts(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	const size, cuts = 10 << 20, 20
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(rng.Uint32())
	}
	file, typed := filepath.Join(t.TempDir(), "output"), filepath.Join(t.TempDir(), "typed")
	if err := os.WriteFile(file, want, 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.pipe(t, c)
	// In raw mode the terminal changes nothing on the way; the markers are split so that
	// the echo of the command is not taken for them.
	var input []byte
	for i := range 2000 {
		input = fmt.Appendf(input, "line %d of what is typed while connections are cut\n", i)
	}
	fmt.Fprintf(p.stdin, "stty raw -echo; printf 'out''put begins'; cat '%s'; printf 'out''put ends'; head -c %d > '%s'; printf 'in''put taken'; exit\n", file, len(input), typed)
	p.until(t, "output begins", nil)

	places := make([]int, cuts)
	for i := range places {
		places[i] = size * i / cuts
		places[i] += rng.IntN(size/cuts - 64<<10)
	}
	next := 0
	names := []string{"client", "agent", "server"}
	counts := map[string]int{}
	got := p.until(t, "output ends", func(n int) {
		if next >= len(places) || n < places[next] {
			return
		}
		victim := names[rng.IntN(len(names))]
		if next < len(names) { // each at least once
			victim = names[next]
		}
		counts[victim]++
		next++
		switch victim {
		case "client":
			r.toService.cut()
		case "agent":
			r.toServer.cut()
		case "server":
			d.cmd.Process.Signal(syscall.SIGKILL)
			<-d.exited
			d.start()
		}
		if next == 2 {
			if _, err := p.stdin.Write(input); err != nil {
				t.Errorf("type during a cut: %v", err)
			}
		}
	})
	if next != cuts {
		t.Fatalf("%d of %d cuts were made", next, cuts)
	}
	if !bytes.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("byte %d differs (%d bytes of %d arrived; cuts %v)", i, len(got), len(want), counts)
			}
		}
		t.Fatalf("%d bytes of %d arrived (cuts %v)", len(got), len(want), counts)
	}
	p.until(t, "input taken", nil)
	if text, err := os.ReadFile(typed); err != nil || !bytes.Equal(text, input) {
		t.Fatalf("of %d typed bytes %d arrived intact (%v)", len(input), len(text), err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	t.Logf("10 MB intact after %v", counts)
}

// TestAgentUpdate replaces the agent process while a session runs.
func TestAgentUpdate(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	p := r.pipe(t, c)
	fmt.Fprint(p.stdin, "stty raw -echo; printf 'out''put begins'; cat; exit\n")
	p.until(t, "output begins", nil)
	r.agent.Process.Kill()
	r.agent.Wait()
	io.WriteString(p.stdin, "while the agent is away\n")
	p.until(t, "while the agent is away\n", nil)
	r.startAgent(t)
	io.WriteString(p.stdin, "after it came back\n")
	p.until(t, "after it came back\n", nil)
	var out struct {
		Sessions []struct{ SessionId, Status string }
	}
	d.mustJSON(c, &out, "ssm", "describe-sessions", "--state", "Active")
	if len(out.Sessions) != 1 || out.Sessions[0].Status != "Connected" {
		t.Fatalf("sessions: %+v", out.Sessions)
	}
	d.mustJSON(c, nil, "ssm", "terminate-session", "--session-id", out.Sessions[0].SessionId)
	if _, err := io.Copy(io.Discard, p.stdout); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
}

// advanced switches the account to the tier that has sessions on hybrid nodes.
func (d *deployment) advanced(c cli) {
	d.t.Helper()
	d.must(c, "ssm", "update-service-setting", "--setting-id", "/ssm/managed-instance/activation-tier", "--setting-value", "advanced")
}
