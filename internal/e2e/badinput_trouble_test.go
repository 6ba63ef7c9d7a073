package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/control"
)

// TestFullDiskOnTheNode opens a session on a node that cannot write a byte.
func TestFullDiskOnTheNode(t *testing.T) {
	usePlainPrograms(t) // quicker; other tests watch this for races
	c := clis(t)[0]
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	d := deploy(t, 0)
	id, code := d.activation(c)
	agentDir := filepath.Join(dir, "agent")
	out, err := d.register(agentDir, id, code)
	if err != nil {
		t.Fatalf("register: %v %s", err, out)
	}
	d.advanced(c)
	r := &remote{deployment: d, program: ourAgent(t), node: nodeID(out), dir: agentDir}
	if r.log, err = os.Create(filepath.Join(t.TempDir(), "agent.log")); err != nil {
		t.Fatal(err)
	}
	filler := fill(t, dir)
	r.startAgent(t)
	t.Cleanup(func() {
		r.agent.Process.Signal(os.Interrupt)
		r.agent.Wait()
		if text, err := os.ReadFile(r.log.Name()); t.Failed() && err == nil {
			t.Logf("agent:\n%s", tail(string(text), 6000))
		}
	})
	p := newRawPeer(t, d)
	started := p.start(r.node)
	p.talk(p.dialClient(started.StreamURL, started.TokenValue), "echo disk is fu''ll\n", "disk is full")
	p.terminate(started.SessionID)

	// A registration that cannot be kept uses no activation up, and says why: with no
	// room at all, and with room for the node's key only.
	id, code = d.activation(c)
	for _, room := range []int64{0, 8 << 10} {
		if info, err := os.Stat(filler); err != nil {
			t.Fatal(err)
		} else if err := os.Truncate(filler, info.Size()-room); err != nil {
			t.Fatal(err)
		}
		text, err := d.register(filepath.Join(dir, "other"), id, code)
		if exitCode(err) != 1 || !strings.Contains(text, "no space left on device") {
			t.Errorf("register on a full disk: %v %q", err, text)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if text, err := d.register(filepath.Join(dir, "other"), id, code); err != nil {
		t.Errorf("register once there is room: %v %q", err, text)
	}
	d.stop(syscall.SIGTERM)
}

// fill writes into a folder's file system until nothing more goes in.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{4096, 1} { // whole pages first
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	return file
}

// TestStopUnderLoad ends a server with SIGTERM while sessions are open, a node's poll is
// held and peers do nothing. It must not wait for any of them.
func TestStopUnderLoad(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	session := r.pipe(t, c)
	fmt.Fprint(session.stdin, "stty raw -echo; printf 'BEG''IN'; cat\n")
	session.until(t, "BEGIN", nil)

	p := newRawPeer(t, d)
	raw, id := p.asNode()
	raw.dialControl(id)
	p.connected(id)
	waiting := p.start(id) // its node never opens it
	client := p.dialClient(waiting.StreamURL, waiting.TokenValue)
	polled := make(chan error, 1)
	go func() {
		var out control.GetMessagesOutput
		polled <- raw.call("ec2messages", "EC2WindowsMessageDeliveryService.GetMessages", &control.GetMessagesInput{Destination: id, MessagesRequestID: "1"}, &out)
	}()
	select {
	case err := <-polled:
		t.Fatalf("GetMessages is not held: %v", err)
	case <-time.After(time.Second):
	}

	began := time.Now()
	d.cmd.Process.Signal(syscall.SIGTERM)
	p.closedByServer(client, "SIGTERM")
	if err := <-polled; err != nil {
		t.Errorf("the poll that was held: %v", err)
	}
	<-d.exited
	took := time.Since(began)
	t.Logf("stopped within %s", took.Round(time.Millisecond))
	if took > 5*time.Second { // a stop that waits for anything takes ten
		t.Errorf("the server took %s to stop", took)
	}
	if !d.cmd.ProcessState.Success() {
		t.Errorf("sekishod: %v", d.cmd.ProcessState)
	}
	d.start()
	if _, err := io.WriteString(session.stdin, "after the stop\n"); err != nil {
		t.Fatal(err)
	}
	session.until(t, "after the stop\n", nil)
}

// TestClientAwayAtTheEnd ends a session while its client has no way to the server. What
// the shell said last waits for it.
func TestClientAwayAtTheEnd(t *testing.T) {
	usePlainPrograms(t) // quicker; other tests watch this for races
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	session := r.pipe(t, c)
	const size = 512 << 10 // below what may be under way, or the shell waits for the client
	fmt.Fprintf(session.stdin, "stty raw -echo; printf 'BEG''IN'; head -c 1; sleep 1; head -c %d /dev/zero | tr '\\0' y; exit\n", size)
	session.until(t, "BEGIN", nil)
	if _, err := session.stdin.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	session.until(t, "!", nil)
	r.toService.listener.Close()
	r.toService.cut()
	eventually(t, "the shell has ended", func() bool {
		text, err := os.ReadFile(r.log.Name())
		return err == nil && strings.Contains(string(text), `msg="session ended"`)
	})
	back, err := net.Listen("tcp", r.toService.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { back.Close() })
	go func() {
		for {
			in, err := back.Accept()
			if err != nil {
				return
			}
			go r.toService.serve(in)
		}
	}()
	rest, err := io.ReadAll(session.stdout)
	if err != nil {
		t.Error(err)
	}
	rest = append(session.rest, rest...)
	if n := bytes.Count(rest, []byte("y")); n != size {
		t.Errorf("%d of %d bytes came, then %q", n, size, tail(strings.TrimLeft(string(rest), "y"), 300))
	}
	if err := session.cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	d.stop(syscall.SIGTERM)
}
