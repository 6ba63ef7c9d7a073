package datachannel

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
)

// connect serves two channels over one in-memory connection until the returned
// function is called.
func connect(t testing.TB, a, b *Channel) (hangUp func()) {
	t.Helper()
	ca, cb := Pipe()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- a.Serve(ctx, ca) }()
	go func() { done <- b.Serve(ctx, cb) }()
	return func() { stop(); <-done; <-done }
}

// fill sends until Send has been waiting for a minute, and returns the bytes
// that went.
func fill(t testing.TB, c *Channel, payload int) int {
	t.Helper()
	for sent := 0; ; sent += payload {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := c.Send(ctx, message.PayloadOutput, make([]byte, payload))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent > 1<<30 {
			t.Fatal("a consumer that processes nothing did not stop the sender")
		}
	}
}

func held(c *Channel) (messages, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.ready + c.in.early, c.in.readyBytes + c.in.earlyBytes
}

// Conformance 17, seen from an end: a consumer that never calls Done bounds
// memory on both sides and does not hold up the other direction.
func TestConformance17StalledConsumerBoundsMemoryAndNothingElse(t *testing.T) {
	for name, payload := range map[string]int{"keystrokes": 1, "lines": 1000, "reads": 32 << 10, "huge": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent, client := New(Config{Role: Agent}), New(Config{Role: Client})
				hangUp := connect(t, agent, client)
				sent := fill(t, agent, payload)
				if limit := agentWindow + payload; sent > limit {
					t.Errorf("%d bytes sent and unacknowledged, want at most %d", sent, limit)
				}
				messages, size := held(client)
				if size > receiveBuffer+payload || messages > maxUnacked+1 {
					t.Errorf("receiver holds %d messages, %d bytes", messages, size)
				}

				// The other way, more than a window of it.
				go func() {
					for {
						in, err := agent.Receive(t.Context())
						if err != nil {
							return
						}
						in.Done()
					}
				}()
				for range 4 * clientWindow / (32 << 10) {
					if err := client.Send(t.Context(), message.PayloadOutput, make([]byte, 32<<10)); err != nil {
						t.Fatal(err)
					}
				}
				drain(t, client)

				// And the consumer may come to life.
				for got := 0; got < sent; {
					in, err := client.Receive(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					got += len(in.Payload)
					in.Done()
				}
				drain(t, agent)
				agent.Close()
				hangUp()
			})
		})
	}
}

// A peer without a window, as the stock ones are, is held back by not reading
// its socket. Its data is not dropped, and what was acknowledged is delivered.
func TestFloodIsHeldBackBySocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, payload, total = 64 << 10, 1 << 10, 1000
		c := New(Config{Role: Agent, ReceiveBuffer: limit})
		p, hangUp := serve(t, c)
		flooded := make(chan bool)
		go func() {
			for seq := range int64(total) {
				p.data(seq, string(bytes.Repeat([]byte{byte(seq)}, payload)))
			}
			close(flooded)
		}()
		synctest.Wait()
		if _, size := held(c); size > limit+payload {
			t.Errorf("%d bytes held, want at most %d", size, limit+payload)
		}
		select {
		case <-flooded:
			t.Fatal("the peer was not held back")
		default:
		}
		go func() {
			for {
				if _, err := p.conn.ReadFrame(t.Context()); err != nil {
					return
				}
			}
		}()
		for seq := range int64(total) {
			in, err := c.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if in.Sequence != seq || in.Payload[0] != byte(seq) {
				t.Fatalf("received %d, want %d", in.Sequence, seq)
			}
			in.Done()
		}
		if c.in.dropped != 0 {
			t.Errorf("%d messages dropped", c.in.dropped)
		}
		<-flooded
		hangUp()
	})
}

// Both directions full at once, towards a peer without a window: our
// acknowledgements are stuck behind its data. They must get through, or a
// program that echoes its input would hang for ever.
func TestFloodDoesNotLockOutAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 8 << 10
		c := New(Config{Role: Agent, Window: 4 << 10, ReceiveBuffer: limit})
		p, hangUp := serve(t, c)
		acks := make(chan message.Message, 100)
		go func() { // reads what we say, acknowledges it after all its data
			for {
				frame, err := p.conn.ReadFrame(t.Context())
				if err != nil {
					return
				}
				if m, err := message.Parse(frame); err == nil && m.Type.Stream() {
					select {
					case acks <- m:
					default:
					}
				}
			}
		}()
		for range 4 {
			send(t, c, string(make([]byte, 1<<10)))
		}
		synctest.Wait()
		wrote := make(chan bool)
		go func() {
			for seq := range int64(200) {
				p.data(seq, string(make([]byte, 1<<10)))
			}
			for range 4 {
				p.ack(<-acks)
			}
			close(wrote)
		}()
		synctest.Wait() // nobody needs an acknowledgement: the socket is not read
		select {
		case <-wrote:
			t.Fatal("the peer was not held back")
		default:
		}
		send(t, c, "needs the window to open")
		<-wrote
		synctest.Wait()
		if _, size := held(c); size > limit+1<<10 {
			t.Errorf("%d bytes held, want at most %d", size, limit+1<<10)
		}
		hangUp()
	})
}
