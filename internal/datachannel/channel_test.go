package datachannel

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
)

func TestPauseHoldsDataAndNotAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		for _, resume := range []func(){
			func() { p.control(message.TypeStartPublication) },
			func() { p.send(message.Message{Type: message.TypeAcknowledge, Payload: []byte("{}")}) },
			func() { p.data(1<<40, "any stream message, even without room") },
		} {
			seq := c.out.ring.end
			p.control(message.TypePausePublication)
			synctest.Wait()
			send(t, c, "held")
			p.silent(time.Hour)
			resume()
			p.ack(p.expectData(seq))
			drain(t, c)
		}
		// A pause ends with the connection too.
		p.control(message.TypePausePublication)
		synctest.Wait()
		send(t, c, "held")
		p.silent(time.Minute)
		hangUp()
		p, hangUp = serve(t, c)
		p.ack(p.expectData(3))
		hangUp()
	})
}

func TestPauseIsNothingToAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		p.control(message.TypePausePublication)
		synctest.Wait()
		send(t, c, "typed")
		p.ack(p.expectData(0))
		hangUp()
	})
}

func TestControlKeepsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		for range 3 * maxControls {
			p.control("noise")
		}
		p.data(0, "last words")
		p.control(message.TypeChannelClosed)
		p.data(1, "after") // proves that nothing waits for Control to be read
		receive(t, c, "last words").Done()
		receive(t, c, "after").Done()
		var last message.Message
		for range maxControls {
			last = <-c.Control()
		}
		if last.Type != message.TypeChannelClosed || string(last.Payload) != "{}" {
			t.Errorf("last control message %+v", last)
		}
		hangUp()
	})
}

func TestCloseLeavesWhatIsInOrderToReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client, Window: 1})
		ours, theirs := Pipe()
		served := make(chan error, 1)
		go func() { served <- c.Serve(t.Context(), ours) }()
		p := &peer{t, theirs, c.inType}
		p.data(0, "a")
		p.data(1, "b")
		p.data(3, "behind a gap")
		send(t, c, "fills the window")
		blocked := make(chan error, 1)
		go func() { blocked <- c.Send(t.Context(), message.PayloadOutput, []byte("x")) }()
		synctest.Wait()

		c.Close()
		c.Close()
		if err := <-served; !errors.Is(err, ErrClosed) {
			t.Errorf("serve: %v, want %v", err, ErrClosed)
		}
		if err := <-blocked; !errors.Is(err, ErrClosed) {
			t.Errorf("blocked send: %v, want %v", err, ErrClosed)
		}
		if err := c.Drain(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("drain: %v, want %v", err, ErrClosed)
		}
		receive(t, c, "a").Done()
		receive(t, c, "b").Done()
		if _, err := c.Receive(t.Context()); err != io.EOF {
			t.Errorf("receive: %v, want %v", err, io.EOF)
		}
		for {
			if _, err := theirs.ReadFrame(t.Context()); err != nil {
				if err != io.EOF {
					t.Errorf("the peer reads %v, want %v", err, io.EOF)
				}
				break
			}
		}
		if err := c.Serve(t.Context(), ours); !errors.Is(err, ErrClosed) {
			t.Errorf("serve again: %v, want %v", err, ErrClosed)
		}
	})
}

func TestServeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		ours, _ := Pipe()
		second, _ := Pipe()
		reason := errors.New("shutting down")
		ctx, stop := context.WithCancelCause(t.Context())
		served := make(chan error, 1)
		go func() { served <- c.Serve(ctx, ours) }()
		synctest.Wait()
		if err := c.Serve(ctx, second); err == nil {
			t.Error("two connections at a time")
		}
		stop(reason)
		if err := <-served; !errors.Is(err, reason) {
			t.Errorf("serve: %v, want %v", err, reason)
		}
		if err := c.SendControl(t.Context(), message.Message{Type: message.TypeAgentSessionState}); !errors.Is(err, ErrNotConnected) {
			t.Errorf("send control: %v, want %v", err, ErrNotConnected)
		}
		// The channel waits for its next connection.
		p, hangUp := serve(t, c)
		p.data(0, "a")
		receive(t, c, "a").Done()
		hangUp()
	})
}

// A connection whose peer reads nothing: everything that waits for it ends with
// it, and an acknowledgement it did not take goes with the next.
func TestBlockedConnection(t *testing.T) {
	for name, messages := range map[string]int64{
		"writer stuck with an acknowledgement": pipeFrames,
		"writer stuck with data":               2 * pipeFrames,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Config{Role: Agent})
				p, hangUp := serve(t, c)
				for range messages {
					send(t, c, "x")
				}
				synctest.Wait()
				p.data(0, "a")
				receive(t, c, "a").Done()
				synctest.Wait()
				state := make(chan error, 1)
				go func() {
					state <- c.SendControl(t.Context(), message.Message{Type: message.TypeAgentSessionState, Payload: []byte("{}")})
				}()
				synctest.Wait()
				hangUp()
				if err := <-state; !errors.Is(err, ErrNotConnected) {
					t.Errorf("send control: %v, want %v", err, ErrNotConnected)
				}
				p, hangUp = serve(t, c)
				p.expectAck(0)
				for seq := range messages {
					p.ack(p.expectData(seq))
				}
				drain(t, c)
				hangUp()
			})
		})
	}
}

// slowConn holds its writer inside a call until told to go on.
type slowConn struct {
	FrameConn
	enter, leave chan struct{}
}

func (s *slowConn) WriteFrame(ctx context.Context, frame []byte) error {
	s.enter <- struct{}{}
	<-s.leave
	return s.FrameConn.WriteFrame(ctx, frame)
}

// An acknowledgement may come while its message is being sent once more. The
// frame's memory is not for others before the connection is done with it.
func TestFrameBeingWrittenIsNotReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		ours, theirs := Pipe()
		conn := &slowConn{ours, make(chan struct{}), make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- c.Serve(t.Context(), conn) }()
		p := &peer{t, theirs, c.inType}
		step := func() { <-conn.enter; conn.leave <- struct{}{} }

		send(t, c, "first")
		step()
		m := p.expectData(0)
		<-conn.enter // again, 50 ms later
		p.ack(m)
		synctest.Wait()
		send(t, c, "other") // of the same length, and a buffer is free if one may be
		conn.leave <- struct{}{}
		if again := p.expectData(0); string(again.Payload) != "first" {
			t.Errorf("sent again as %q", again.Payload)
		}
		step()
		m = p.expectData(1)
		if string(m.Payload) != "other" {
			t.Errorf("sent %q", m.Payload)
		}
		p.ack(m)
		synctest.Wait()
		theirs.Close()
		<-served
	})
}

func TestSendGivesUpWithItsContextAndTakesNoNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent, Window: 4})
		send(t, c, "four")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Send(ctx, message.PayloadOutput, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("send: %v", err)
		}
		if err := c.Send(t.Context(), message.PayloadOutput, nil); err != nil {
			t.Errorf("send nothing: %v", err)
		}
		p, hangUp := serve(t, c)
		p.ack(p.expectData(0))
		send(t, c, "larger than the window") // passes, because nothing else is in flight
		p.ack(p.expectData(1))
		drain(t, c)
		hangUp()
	})
}

func TestSendCopiesItsPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		b := []byte("before")
		if err := c.Send(t.Context(), message.PayloadOutput, b); err != nil {
			t.Fatal(err)
		}
		copy(b, "after!")
		p, hangUp := serve(t, c)
		if m := p.expectData(0); string(m.Payload) != "before" {
			t.Errorf("sent %q", m.Payload)
		}
		hangUp()
	})
}
