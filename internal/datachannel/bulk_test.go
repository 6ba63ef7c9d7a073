package datachannel

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"sekisho/internal/message"
)

// bulkSink is a consumer of a channel for bulk: the hash of what was delivered.
type bulkSink struct {
	hash hash.Hash
	left int
	done chan struct{}
}

func startBulk(c *Channel, window, size int) *bulkSink {
	s := &bulkSink{sha256.New(), size, make(chan struct{})}
	c.allowBulk()
	c.StartBulk(window, func(d Delivered) {
		s.hash.Write(d.Payload)
		if s.left -= len(d.Payload); s.left == 0 {
			close(s.done)
		}
		message.Recycle(d.Frame)
	})
	return s
}

// pumpBulk sends size random bytes in frames of random length and returns their hash.
func pumpBulk(t testing.TB, c *Channel, seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	h, b := sha256.New(), c.Bulk()
	for size > 0 {
		n := min(size, 1+r.IntN(message.BulkPayload))
		if r.IntN(4) == 0 {
			n = min(size, 1+r.IntN(100))
		}
		frame := b.Buffer(n > 4<<10)[:message.HeaderSize+n]
		payload := frame[message.HeaderSize:]
		for i := 0; i < n; i += 16 { // enough to tell order
			payload[i] = byte(r.Uint32())
		}
		h.Write(payload)
		size -= n
		if err := b.Send(t.Context(), frame); err != nil {
			t.Errorf("send: %v", err)
			break
		}
	}
	return h.Sum(nil)
}

// TestBulkLosesNothing cuts the two legs of a relayed session while bulk goes both ways:
// what was on its way is lost with its connection, and comes again, once and in order,
// though its buffers are used again.
func TestBulkLosesNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rly := newRelay()
				channels := [2]*Channel{New(Config{Role: Agent}), New(Config{Role: Client})}
				ctx, stop := context.WithCancel(t.Context())
				var serving, sending sync.WaitGroup
				var sinks [2]*bulkSink
				var sent [2][]byte
				for i, c := range channels {
					sinks[i] = startBulk(c, 1<<20, lossySize)
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					serving.Go(func() {
						var relaying sync.WaitGroup
						defer relaying.Wait()
						reconnecting(ctx, c, func() FrameConn {
							relaying.Wait()
							ours, theirs := newLeg(1 + r.IntN(100))
							relaying.Go(func() { rly.attach(ctx, i, theirs) })
							return ours
						})
					})
					sending.Go(func() { sent[i] = pumpBulk(t, c, seed+uint64(i), lossySize) })
				}
				sending.Wait()
				for i := range channels {
					<-sinks[1-i].done
					if got := sinks[1-i].hash.Sum(nil); string(got) != string(sent[i]) {
						t.Errorf("what end %d sent arrived changed", i)
					}
					drain(t, channels[i])
				}
				stop()
				serving.Wait()
			})
		})
	}
}

// TestBulkWindow holds that no more is under way than the window and one frame, and that
// an acknowledgement of what was never sent is one of what was.
func TestBulkWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		const window, size = 1 << 20, 100 << 10
		startBulk(c, window, 1)
		p, hangUp := serve(t, c)
		var sending sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		sent := 0
		sending.Go(func() {
			for c.Bulk().Send(ctx, c.Bulk().Buffer(true)[:message.HeaderSize+size]) == nil {
				sent++
			}
		})
		frames := 0
		read := func(more int) {
			for range more {
				frame, err := p.conn.ReadFrame(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if h, err := message.ParseHeader(frame); err != nil || h.Sequence != int64(frames) {
					t.Fatalf("stream message %d (%v), want %d", h.Sequence, err, frames)
				}
				frames++
			}
			synctest.Wait()
		}
		read(window / size)
		if sent < window/size || sent > window/size+1 {
			t.Errorf("%d frames were sent into a window of %d", sent, window/size)
		}
		read(sent - frames)
		for _, seq := range []int64{2, 1000} {
			before := sent
			ack := message.AppendBulkAcknowledge(nil, c.outType, seq)
			if err := p.conn.WriteFrame(t.Context(), ack); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if sent == before {
				t.Error("an acknowledgement opened no window")
			}
			read(sent - frames)
		}
		stop()
		sending.Wait()
		hangUp()
	})
}
