package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// service is a TCP server on this machine, to be reached through tunnels.
func service(t testing.TB, serve func(*net.TCPConn)) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// echo sends everything back, and its end when the end has come.
func echo(c *net.TCPConn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// forwarding is a session of a document that forwards a port, opened by the aws CLI.
type forwarding struct {
	*program
	id, local string
}

// program is a program without a terminal, and what it has said.
type program struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *syncBuffer
	done chan struct{}
}

func launch(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, out: &syncBuffer{}, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	cmd.Stderr = p.out
	// A group of its own, so that a signal reaches it like a key at a terminal: the CLI
	// and the plugin.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-p.done
		}
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(cmd.Path), tail(p.out.String(), 4000))
		}
		if strings.Contains(p.out.String(), "DATA RACE") {
			t.Error("the program reports a data race")
		}
	})
	return p
}

// says waits for a pattern in what the program says.
func (p *program) says(text string) string {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%q is said", text), func() bool {
		select {
		case <-p.done:
			if !strings.Contains(p.out.String(), text) {
				p.t.Fatalf("the program ended; it says %q", p.out.String())
			}
		default:
		}
		return strings.Contains(p.out.String(), text)
	})
	return p.out.String()
}

// interrupt is Ctrl-C.
func (p *program) interrupt() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT) }

func (p *program) ends() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the program has not ended; it says %q", p.out.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// forward opens a tunnel.
func (p place) forward(t testing.TB, c cli, document string, parameters ...string) *forwarding {
	t.Helper()
	args := []string{"ssm", "start-session", "--target", p.node, "--document-name", document,
		"--parameters", strings.Join(parameters, ",")}
	cmd := exec.Command(c.path, p.awsArgs(args)...)
	cmd.Env = p.environ()
	f := &forwarding{program: launch(t, cmd)}
	said := f.says("Waiting for connections...")
	var port int
	for line := range strings.Lines(said) {
		fmt.Sscanf(line, "Starting session with SessionId: %s", &f.id)
		fmt.Sscanf(line, "Port %d opened for sessionId", &port)
	}
	f.local = fmt.Sprintf("127.0.0.1:%d", port)
	return f
}

// exchange sends n random bytes and wants them back, and the end after the end when the
// tunnel carries that.
func exchange(t testing.TB, address string, n int, halfClose bool) {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	var sent [32]byte
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		hash := sha256.New()
		io.CopyN(io.MultiWriter(conn, hash), rand.NewChaCha8([32]byte{byte(n)}), int64(n))
		if halfClose {
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent = [32]byte(hash.Sum(nil))
	}()
	hash := sha256.New()
	var got int64
	if halfClose {
		got, err = io.Copy(hash, conn)
	} else {
		got, err = io.CopyN(hash, conn, int64(n))
	}
	<-copied
	if err != nil || got != int64(n) || !bytes.Equal(hash.Sum(nil), sent[:]) {
		t.Errorf("%d of %d bytes came back (%v), or others", got, n, err)
	}
}

// forwards holds what every mix of peers must do. halfClose says that the mix carries the
// end of one direction: the stock peers' protocol does not (protocol.md §10.3).
func (p place) forwards(t *testing.T, c cli, halfClose bool) {
	port := service(t, echo)
	t.Run("port", func(t *testing.T) {
		f := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+port)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { exchange(t, f.local, 1+rand.IntN(20_000)*(i%3), halfClose) })
		}
		all.Wait()
		exchange(t, f.local, 500_000, halfClose)
		if s := p.describe(t, c, "Active", f.id); s == nil || s["DocumentName"] != "AWS-StartPortForwardingSession" {
			t.Errorf("DescribeSessions shows %v", s)
		}
		f.interrupt()
		f.says("Terminate signal received, exiting.")
		f.says("Exiting session with sessionId: " + f.id)
		if code := f.ends(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		eventually(t, "the session is in the history", func() bool {
			s := p.describe(t, c, "History", f.id)
			return s != nil && s["Status"] == "Terminated"
		})
	})
	t.Run("remote host, and nobody there", func(t *testing.T) {
		f := p.forward(t, c, "AWS-StartPortForwardingSessionToRemoteHost", "host=127.0.0.1", "portNumber="+port)
		exchange(t, f.local, 100_000, halfClose)
		_, closed, _ := net.SplitHostPort(freePort(t))
		g := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+closed)
		conn, err := net.Dial("tcp", g.local)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("a connection to a closed port reads %d bytes, %v", n, err)
		}
		g.says("Connection to destination port failed, check SSM Agent logs.")
	})
	t.Run("ssh", func(t *testing.T) {
		s := newSSHServer(t)
		for _, command := range []string{"echo $((6*7))", "exit 0"} {
			out, err := s.ssh(p, c, command)
			if want := map[string]string{"echo $((6*7))": "42\n"}[command]; err != nil || out != want {
				t.Errorf("ssh %s: %q, %v", command, out, err)
			}
		}
	})
}

func TestTunnels(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	p.forwards(t, c, true)
	t.Run("denied target", func(t *testing.T) {
		out, _ := d.in(t).aws(c, "ssm", "start-session", "--target", p.node, "--document-name",
			"AWS-StartPortForwardingSessionToRemoteHost", "--parameters", "host=169.254.169.254,portNumber=80")
		if !strings.Contains(out, "Forwarding to IP address 169.254.169.254 is forbidden.") {
			t.Errorf("the user reads %q", out)
		}
	})
}

func TestStockPluginTunnels(t *testing.T) {
	plugin := stockPlugin(t)
	d := deploy(t, 1)
	place{deployment: d, node: d.env["SEKISHO_NODE_ID"], plugin: plugin}.forwards(t, clis(t)[0], false)
}

func TestStockAgentTunnels(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	node := stockAgent(t, d, c)
	t.Run("our plugin", func(t *testing.T) {
		place{deployment: d.in(t), node: node}.forwards(t, c, false)
	})
	t.Run("stock plugin", func(t *testing.T) {
		place{deployment: d.in(t), node: node, plugin: stockPlugin(t)}.forwards(t, c, false)
	})
}
