package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is far above what anything
// takes, so that a busy machine fails no test.
const patience = 60 * time.Second

// deployment is a running `sekishod dev`, used as an operator uses it: through env.sh.
type deployment struct {
	t      testing.TB
	dir    string
	listen string
	args   []string
	cmd    *exec.Cmd
	exited chan struct{}
	log    *syncBuffer
	env    map[string]string
}

// syncBuffer collects a program's output.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// freePort finds a port nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// deploy starts a server with n local nodes.
func deploy(t testing.TB, n int, args ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), listen: freePort(t)}
	d.args = append([]string{"dev", "--dir", d.dir, "--listen", d.listen, "--nodes", fmt.Sprint(n)}, args...)
	d.start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sekishod:\n%s", tail(d.log.String(), 8000))
			logs, _ := filepath.Glob(filepath.Join(d.dir, "logs", "*"))
			for _, l := range logs {
				if text, err := os.ReadFile(l); err == nil {
					t.Logf("%s:\n%s", filepath.Base(l), tail(string(text), 8000))
				}
			}
		}
		if strings.Contains(d.log.String(), "DATA RACE") {
			t.Errorf("sekishod reports a data race:\n%s", d.log.String())
		}
	})
	t.Cleanup(func() { d.stop(os.Interrupt) })
	return d
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// start runs the server and waits until it is ready.
func (d *deployment) start() {
	d.t.Helper()
	if d.log == nil {
		d.log = &syncBuffer{}
	}
	d.cmd = exec.Command(bin(d.t, "sekishod"), d.args...)
	d.cmd.Stderr = d.log
	d.cmd.Env = cleanEnv()
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.exited = make(chan struct{})
	ready := make(chan struct{})
	var once sync.Once
	go func(cmd *exec.Cmd, exited chan struct{}) {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(d.log, lines.Text())
			if lines.Text() == "ready" {
				once.Do(func() { close(ready) })
			}
		}
		cmd.Wait()
		close(exited)
	}(d.cmd, d.exited)
	select {
	case <-ready:
	case <-d.exited:
		d.t.Fatalf("sekishod ended before it was ready:\n%s", d.log.String())
	case <-time.After(patience):
		d.t.Fatalf("sekishod is not ready:\n%s", d.log.String())
	}
	d.readEnv()
}

// stop ends the server with a signal and waits for it.
func (d *deployment) stop(sig os.Signal) {
	d.t.Helper()
	select {
	case <-d.exited:
		return
	default:
	}
	d.cmd.Process.Signal(sig)
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Errorf("sekishod did not end after %v", sig)
		d.cmd.Process.Kill()
		<-d.exited
	}
}

// in is the same deployment, reporting to a subtest.
func (d *deployment) in(t testing.TB) *deployment {
	sub := *d
	sub.t = t
	return &sub
}

// readEnv sources env.sh with a real shell and takes over what it exports.
func (d *deployment) readEnv() {
	d.t.Helper()
	cmd := exec.Command("sh", "-c", `. "$1" && env -0`, "sh", filepath.Join(d.dir, "env.sh"))
	cmd.Env = cleanEnv()
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("source env.sh: %v", err)
	}
	d.env = map[string]string{}
	for kv := range strings.SplitSeq(string(out), "\x00") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			d.env[k] = v
		}
	}
}

// cleanEnv is this process's environment without what belongs to AWS clients.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "SSL_CERT_") && !strings.HasPrefix(kv, "SEKISHO_") {
			env = append(env, kv)
		}
	}
	return env
}

// environ is what a shell that sourced env.sh passes on.
func (d *deployment) environ(extra ...string) []string {
	var env []string
	for k, v := range d.env {
		env = append(env, k+"="+v)
	}
	return append(env, extra...)
}

// cli is one version of the aws CLI.
type cli struct{ name, path string }

// clis finds the aws CLIs of this machine: version 2 from Debian must be there, version 1
// is used when it is.
func clis(t testing.TB) []cli {
	t.Helper()
	var found []cli
	seen := map[string]bool{}
	for _, dir := range append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		path := filepath.Join(dir, "aws")
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err != nil {
			continue
		}
		major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "aws-cli/"), ".")
		if name := "cli-v" + major; !seen[name] {
			seen[name] = true
			found = append(found, cli{name, path})
		}
	}
	if !seen["cli-v2"] {
		t.Skip("the aws CLI version 2 is not installed (Debian package awscli)")
	}
	return found
}

// aws runs one aws command and returns its standard output.
func (d *deployment) aws(c cli, args ...string) (string, error) {
	cmd := exec.Command(c.path, d.awsArgs(args)...)
	cmd.Env = d.environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// awsArgs adds what an aws CLI older than 2.13 needs and newer ones take too: it does not
// know AWS_ENDPOINT_URL. The shell function of env.sh does the same for people.
func (d *deployment) awsArgs(args []string) []string {
	return append([]string{"--endpoint-url", d.env["AWS_ENDPOINT_URL"]}, args...)
}

// mustJSON runs an aws command and decodes its answer.
func (d *deployment) mustJSON(c cli, into any, args ...string) {
	d.t.Helper()
	out, err := d.aws(c, append(args, "--output", "json")...)
	if err != nil {
		d.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(out), into); err != nil {
			d.t.Fatalf("aws %s: %v in %q", strings.Join(args, " "), err, out)
		}
	}
}

// proxy forwards TCP connections, and cuts or freezes them on demand.
type proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	conns  map[net.Conn]bool // guarded by mu
	frozen chan struct{}     // guarded by mu; closed when the connections of now are frozen
	over   chan struct{}     // guarded by mu; closed when they are cut
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}, frozen: make(chan struct{}), over: make(chan struct{})}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(in)
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) serve(in net.Conn) {
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		in.Close()
		return
	}
	p.mu.Lock()
	p.conns[in], p.conns[out] = true, true
	frozen, over := p.frozen, p.over
	p.mu.Unlock()
	done := make(chan struct{}, 2)
	pipe := func(dst, src net.Conn) {
		io.Copy(dst, thawed{src, frozen, over})
		done <- struct{}{}
	}
	go pipe(in, out)
	go pipe(out, in)
	<-done
	in.Close()
	out.Close()
	<-done
	p.mu.Lock()
	delete(p.conns, in)
	delete(p.conns, out)
	p.mu.Unlock()
}

// cut resets every connection, so that what is on its way is lost.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	close(p.over)
	p.frozen, p.over = make(chan struct{}), make(chan struct{})
}

// freeze lets nothing more pass on any connection, not even its end, as a network that is
// gone. New connections find another way.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.frozen)
	p.frozen = make(chan struct{})
}

// thawed reads until it is frozen, and then nothing more until all is over.
type thawed struct {
	io.Reader
	frozen, over <-chan struct{}
}

func (r thawed) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	select {
	case <-r.frozen:
		<-r.over
		return 0, io.EOF
	default:
		return n, err
	}
}

// eventually waits for a condition that another process brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting after %s: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
