package e2e

import (
	"bytes"
	"crypto/sha256"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// apart is the deployment as the client finds it through its own proxy.
func (r *remote) apart() place {
	d := *r.deployment
	d.env = maps.Clone(d.env)
	d.env["AWS_ENDPOINT_URL"] = "https://" + r.toService.addr()
	return place{deployment: &d, node: r.node}
}

// connection is a TCP connection through a tunnel to an echo.
func connection(t *testing.T, f *forwarding) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answers has bytes back from an echo, in pieces of at most 64 KiB, and calls progress with
// how many came.
func answers(t *testing.T, conn net.Conn, n int, seed byte, progress func(n int)) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(2 * patience))
	sent, got := sha256.New(), sha256.New()
	var writing sync.WaitGroup
	writing.Go(func() {
		io.CopyN(io.MultiWriter(conn, sent), rand.NewChaCha8([32]byte{seed}), int64(n))
	})
	b := make([]byte, 64<<10)
	for total := 0; total < n; {
		k, err := conn.Read(b[:min(len(b), n-total)])
		got.Write(b[:k])
		if total += k; err != nil {
			t.Errorf("%d of %d bytes came back: %v", total, n, err)
			conn.Close()
			break
		}
		if progress != nil {
			progress(total)
		}
	}
	writing.Wait()
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("other bytes came back than the %d that were sent", n)
	}
}

// TestTunnelResumes loses the client's network, the node's and the server while bytes are
// under way: connections through the tunnel live on, and nothing is lost or comes twice.
func TestTunnelResumes(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	f := r.apart().forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+service(t, echo))
	idle := connection(t, f)
	answers(t, idle, 1, 0, nil)

	const size, streams = 4 << 20, 8
	var others sync.WaitGroup
	for i := range streams - 1 {
		conn := connection(t, f)
		others.Go(func() { answers(t, conn, size, byte(i), nil) })
	}
	losses := []func(){
		r.toService.cut,
		r.toServer.cut,
		func() {
			d.cmd.Process.Signal(syscall.SIGKILL)
			<-d.exited
			d.start()
		},
		func() { r.toService.cut(); r.toServer.cut() },
	}
	next := 0
	answers(t, connection(t, f), size, streams, func(n int) {
		if next < len(losses) && n > size*(next+1)/(len(losses)+1) {
			losses[next]()
			next++
		}
	})
	if next != len(losses) {
		t.Errorf("%d of %d losses happened", next, len(losses))
	}
	others.Wait()
	answers(t, idle, 100_000, 1, nil)
	exchange(t, f.local, 100_000, false)
}

// TestTunnelNoticesDeadPeers lets the network die without a word, and the server stand
// still: both ends of a tunnel must look for another way, long before the system's own
// patience ends, and connections live on.
func TestTunnelNoticesDeadPeers(t *testing.T) {
	c := clis(t)[0]
	for _, x := range []struct {
		name string
		die  func(t *testing.T, r *remote) (revive func())
	}{
		{"network", func(t *testing.T, r *remote) func() {
			r.toService.freeze()
			r.toServer.freeze()
			return func() {} // there is another way
		}},
		{"server", func(t *testing.T, r *remote) func() {
			server := r.cmd.Process
			if err := server.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			revive := func() { server.Signal(syscall.SIGCONT) }
			t.Cleanup(revive)
			return revive
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			d := deploy(t, 0)
			r := join(t, d, c)
			f := r.apart().forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+service(t, echo))
			conn := connection(t, f)
			answers(t, conn, 1, 0, nil)
			losses := func() (client, node int) {
				text, err := os.ReadFile(r.log.Name())
				if err != nil {
					t.Fatal(err)
				}
				return strings.Count(f.out.String(), "The connection was lost."), strings.Count(string(text), "data channel lost")
			}
			client, node := losses()
			died := time.Now()
			revive := x.die(t, r)
			eventually(t, "both ends notice", func() bool {
				c, n := losses()
				return c > client && n > node
			})
			t.Logf("both noticed after %s", time.Since(died).Round(time.Second/10))
			revive()
			answers(t, conn, 100_000, 1, nil)
		})
	}
}
