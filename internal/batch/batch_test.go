package batch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// counted counts the writes that reach it.
type counted struct {
	net.Conn
	writes int
	sizes  []int
	fails  error
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	c.sizes = append(c.sizes, len(p))
	if c.fails != nil {
		return 0, c.fails
	}
	return c.Conn.Write(p)
}

// sink gives a connection whose peer reads all into a buffer.
func sink(t *testing.T) (*counted, func() []byte) {
	near, far := net.Pipe()
	var got bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(&got, far) })
	end := func() []byte {
		near.Close()
		reading.Wait()
		return got.Bytes()
	}
	t.Cleanup(func() { end() })
	return &counted{Conn: near}, end
}

func nothing() error { return nil }

// TestJoin writes pieces of random sizes: everything arrives in order, and what is joined
// in one piece unless it is too much for one.
func TestJoin(t *testing.T) {
	below, end := sink(t)
	c := New(below)
	r := rand.New(rand.NewPCG(1, 2))
	var want []byte
	piece := func(n int) {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		want = append(want, p...)
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, total := range []int{1, 4096, size, 3*size + 7} {
		piece(100) // as it is
		before := below.writes
		err := c.Join(t.Context(), func() error {
			for left := total; left > 0; {
				n := min(left, 1+r.IntN(20_000))
				piece(n)
				left -= n
			}
			return nil
		}, nothing)
		if err != nil {
			t.Fatal(err)
		}
		if got, most := below.writes-before, 2*(total/size)+1; got > most {
			t.Errorf("%d bytes are %d writes, want %d", total, got, most)
		}
	}
	if c.buf != nil {
		t.Error("an idle connection has a buffer")
	}
	if err := c.Join(t.Context(), func() error { piece(2 * size); return nil }, nothing); err != nil {
		t.Fatal(err)
	}
	if got := end(); !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived of %d, or others", len(got), len(want))
	}
}

// TestJoinFails holds that an error is that of Join, and of every write from then on.
func TestJoinFails(t *testing.T) {
	broken := errors.New("broken")
	c := New(&counted{fails: broken})
	write := func() error { _, err := c.Write([]byte("a")); return err }
	if err := c.Join(t.Context(), write, nothing); !errors.Is(err, broken) {
		t.Errorf("join: %v", err)
	}
	if err := c.Join(t.Context(), write, nothing); !errors.Is(err, broken) {
		t.Errorf("join again: %v", err)
	}
	if err := write(); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
	var none *Conn
	if err := none.Join(t.Context(), func() error { return broken }, nothing); !errors.Is(err, broken) {
		t.Errorf("without a connection: %v", err)
	}
}

// TestJoinEnds holds that a peer that takes nothing holds nobody beyond the context.
func TestJoinEnds(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := New(near)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Join(ctx, func() error {
		_, err := c.Write([]byte("a"))
		cancel()
		return err
	}, near.Close)
	if err == nil {
		t.Error("a write that nobody took went well")
	}
}

// TestRead reads with buffers of random sizes what comes in pieces of random sizes.
func TestRead(t *testing.T) {
	near, far := net.Pipe()
	r := rand.New(rand.NewPCG(3, 4))
	want := make([]byte, 4<<20)
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		defer far.Close()
		w := rand.New(rand.NewPCG(5, 6))
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+w.IntN(1<<(1+w.IntN(18))))
			if _, err := far.Write(rest[:n]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
	})
	c := New(near)
	var got []byte
	p, ahead := make([]byte, 32<<10), 0
	for {
		n, err := c.Read(p[:1+r.IntN(len(p))])
		got = append(got, p[:n]...)
		if len(c.rest) > 0 {
			ahead++
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("read: %v", err)
			}
			break
		}
	}
	writing.Wait()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes were read of %d, or others", len(got), len(want))
	}
	if ahead == 0 {
		t.Error("nothing was read ahead")
	}
	if c.read != nil {
		t.Error("an idle connection has a buffer")
	}
}

// TestOf finds the connection below TLS.
func TestOf(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	c := New(near)
	for _, on := range []net.Conn{c, tls.Client(c, &tls.Config{}), tls.Client(tls.Client(c, &tls.Config{}), &tls.Config{})} {
		if Of(on) != c {
			t.Errorf("nothing found below %T", on)
		}
	}
	if Of(near) != nil {
		t.Error("found where there is none")
	}
}
