package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// TestTunnelStalls stalls two of 64 streams, one each way: the others must not notice, and
// the stalled ones go on when they are read.
func TestTunnelStalls(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	const stalled, streams, size = 32 << 20, 62, 512 << 10
	awake := make(chan struct{})
	wake := sync.OnceFunc(func() { close(awake) })
	defer wake()
	var poured counter
	drained := make(chan error, 1)
	f := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+service(t, func(conn *net.TCPConn) {
		purpose := make([]byte, 1)
		if _, err := io.ReadFull(conn, purpose); err != nil {
			return
		}
		switch purpose[0] {
		case 'd':
			io.CopyN(io.MultiWriter(conn, &poured), rand.NewChaCha8([32]byte{'d'}), stalled)
		case 'u':
			<-awake
			drained <- same(conn, 'u', stalled)
		default:
			echo(conn)
		}
	}))
	down, up := connection(t, f), connection(t, f)
	var fed counter
	var writing sync.WaitGroup
	defer writing.Wait()
	defer up.Close()
	if _, err := down.Write([]byte{'d'}); err != nil {
		t.Fatal(err)
	}
	writing.Go(func() {
		up.Write([]byte{'u'})
		io.CopyN(io.MultiWriter(up, &fed), rand.NewChaCha8([32]byte{'u'}), stalled)
	})
	// Full is what takes no more for a second.
	for _, n := range []*counter{&poured, &fed} {
		last, since := int64(-1), time.Now()
		eventually(t, "the stream is full", func() bool {
			if now := n.count(); now != last {
				last, since = now, time.Now()
			}
			return last > 0 && time.Since(since) > time.Second
		})
		if last == stalled {
			t.Errorf("a stream that nobody reads took all %d bytes", stalled)
		}
	}
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			conn, err := net.Dial("tcp", f.local)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err := conn.Write([]byte{'e'}); err != nil {
				t.Error(err)
				return
			}
			answers(t, conn, size, byte(i), nil)
		})
	}
	all.Wait()
	wake()
	down.SetDeadline(time.Now().Add(patience))
	if err := same(down, 'd', stalled); err != nil {
		t.Errorf("the stalled stream to the client: %v", err)
	}
	select {
	case err := <-drained:
		if err != nil {
			t.Errorf("the stalled stream to the node: %v", err)
		}
	case <-time.After(patience):
		t.Error("the stalled stream to the node does not come")
	}
}

// same reads n bytes and reports whether they are the ones of a seed.
func same(r io.Reader, seed byte, n int64) error {
	got, want := sha256.New(), sha256.New()
	if k, err := io.CopyN(got, r, n); err != nil {
		return fmt.Errorf("%d of %d bytes: %w", k, n, err)
	}
	io.CopyN(want, rand.NewChaCha8([32]byte{seed}), n)
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fmt.Errorf("other bytes came")
	}
	return nil
}

// counter counts what is written.
type counter struct {
	mu sync.Mutex
	n  int64 // guarded by mu
}

func (c *counter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(len(b))
	return len(b), nil
}

func (c *counter) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
