package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// processTree is a process and all below it.
func processTree(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		text, _ := os.ReadFile(l)
		for child := range strings.FieldsSeq(string(text)) {
			var n int
			fmt.Sscan(child, &n)
			all = append(all, processTree(n)...)
		}
	}
	return all
}

// holds is what a tunnel's programs hold: of the server with its node, and of the client.
func (f *forwarding) holds(d *deployment) (descriptors int, memory int64) {
	for _, pid := range append(processTree(d.cmd.Process.Pid), processTree(f.cmd.Process.Pid)...) {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		descriptors += len(fds)
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		var size, resident int64
		fmt.Sscan(string(text), &size, &resident)
		memory += resident * int64(os.Getpagesize())
	}
	return descriptors, memory
}

// TestTunnelUnderLoad opens and closes connections as fast as the machine can, with
// ends of all kinds, and stalls readers. SEKISHO_TUNNEL_LOAD says for how long the
// connections come, such as 1m; without it they come for three seconds.
func TestTunnelUnderLoad(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("what programs hold is counted in /proc")
	}
	long, err := time.ParseDuration(os.Getenv("SEKISHO_TUNNEL_LOAD"))
	if err != nil {
		long = 3 * time.Second
	}
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	f := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+service(t, echo))
	exchange(t, f.local, 100_000, false)
	before, _ := f.holds(d)

	var done atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for i := range 8 {
		all.Go(func() {
			for time.Since(began) < long && !t.Failed() {
				abrupt(t, f.local, i%2 == 0)
				done.Add(1)
			}
		})
	}
	all.Wait()
	t.Logf("%.0f connections a second", float64(done.Load())/time.Since(began).Seconds())
	for i := range 8 {
		all.Go(func() { exchange(t, f.local, 1+rand.IntN(1<<(10+i)), false) })
	}
	all.Wait()
	eventually(t, fmt.Sprintf("no more than the %d descriptors from before are open", before), func() bool {
		now, _ := f.holds(d)
		return now <= before+4 // a connection to the API that is kept for the next call
	})
}

// abrupt opens a connection, has one byte back and closes, or resets.
func abrupt(t *testing.T, address string, reset bool) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	b := []byte{'x'}
	if _, err := conn.Write(b); err != nil {
		t.Error(err)
		return
	}
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Error(err)
	}
	if reset {
		conn.(*net.TCPConn).SetLinger(0)
	}
}

// TestTunnelResets wants the end of a connection that was reset to be seen at the other
// end of the tunnel, from both sides.
func TestTunnelResets(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	ended := make(chan struct{}, 1)
	f := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+service(t, func(conn *net.TCPConn) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(conn, b); err == nil && b[0] == 'r' {
			conn.SetLinger(0)
			return
		}
		conn.Write(b)
		conn.Read(b)
		ended <- struct{}{}
	}))
	conn, err := net.Dial("tcp", f.local)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("r")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("after the service's reset: %d bytes, %v", n, err)
	}
	conn.Close()
	abrupt(t, f.local, true)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the service does not see the client's reset")
	}
}

// TestTunnelMemoryIsBounded feeds streams that nobody reads at the other end until they
// are full, and wants the programs between to hold a bounded part of it.
func TestTunnelMemoryIsBounded(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("memory is counted in /proc")
	}
	c := clis(t)[0]
	d := deploy(t, 1)
	asleep := make(chan struct{})
	defer close(asleep)
	const streams = 64
	// fill writes until nothing more is taken; without end, if anything in between has none.
	fill := func(conn net.Conn) (total int64) {
		b := make([]byte, 64<<10)
		for total < 32<<20 {
			conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
			n, err := conn.Write(b)
			if total += int64(n); err != nil {
				break
			}
		}
		return total
	}
	for _, x := range []struct {
		name   string
		toNode bool
	}{{"to the node", true}, {"to the client", false}} {
		t.Run(x.name, func(t *testing.T) {
			p := place{deployment: d.in(t), node: d.env["SEKISHO_NODE_ID"]}
			fed := make(chan int64, streams)
			f := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+service(t, func(conn *net.TCPConn) {
				conn.SetReadBuffer(64 << 10)
				if !x.toNode {
					fed <- fill(conn)
				}
				<-asleep
			}))
			_, before := f.holds(d)
			for range streams {
				conn, err := net.Dial("tcp", f.local)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conn.(*net.TCPConn).SetReadBuffer(64 << 10)
				if x.toNode {
					go func() { fed <- fill(conn) }()
				}
			}
			total := int64(0)
			for n := range streams {
				select {
				case one := <-fed:
					total += one
				case <-time.After(2 * patience):
					t.Fatalf("%d of %d streams are full", n, streams)
				}
			}
			_, after := f.holds(d)
			t.Logf("%d MB were taken, most by the system's own buffers; the programs hold %d MB, before %d MB", total>>20, after>>20, before>>20)
			if before < 10<<20 {
				t.Errorf("the programs hold only %d bytes: not all are counted", before)
			}
			if total == streams*32<<20 {
				t.Error("streams that nobody reads were never full")
			}
			// Two ends may keep 64 MiB of windows each, the gateway what is under way, and
			// the race detector takes as much again and more. Without a bound it would be 2 GiB.
			if grown := after - before; grown > 768<<20 {
				t.Errorf("the programs hold %d MB more than before", grown>>20)
			}
		})
	}
}
