package datachannel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
)

func TestConformance19NumbersAreUniqueAndGapFreeUnderConcurrentSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		const senders, each = 8, 50
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for i := range each {
					kind := message.PayloadOutput
					if i%10 == 0 {
						kind = message.PayloadSize // all payload types share the counter
					}
					if err := c.Send(t.Context(), kind, []byte("x")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for want := range int64(senders * each) {
			m := p.expectData(want)
			if m.Type != message.TypeInputStreamData || m.Flags != 0 {
				t.Fatalf("client sent %s with flags %d", m.Type, m.Flags)
			}
			p.ack(m)
		}
		wg.Wait()
		drain(t, c)
		hangUp()
	})
}

func TestConformance20InOrderMessageIsAcknowledgedAfterProcessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		p.data(0, "a")
		in := receive(t, c, "a")
		p.silent(time.Hour)
		p.data(0, "a") // the peer asks again; there is still nothing to say
		p.silent(time.Hour)
		in.Done()
		p.expectAck(0)
		in.Done() // twice is once
		p.silent(time.Hour)
		hangUp()
	})
}

func TestConformance20EarlyMessageIsAcknowledgedAtOnceAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		p.data(2, "c")
		p.expectAck(2)
		p.data(1, "b")
		p.expectAck(1)
		p.data(2, "c") // again
		p.expectAck(2)
		p.data(0, "a")
		p.silent(time.Hour)
		for i, want := range []string{"a", "b", "c"} {
			in := receive(t, c, want)
			in.Done()
			if i == 0 {
				p.expectAck(0)
			}
		}
		p.silent(time.Hour) // the early ones are not acknowledged a second time unasked
		hangUp()
	})
}

func TestConformance20DuplicateIsAcknowledgedAgainAndNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		p.data(0, "a")
		receive(t, c, "a").Done()
		p.expectAck(0)
		for range 3 {
			p.data(0, "a")
			p.expectAck(0)
		}
		p.data(1, "b")
		receive(t, c, "b").Done()
		p.expectAck(1)
		hangUp()
	})
}

func TestConformance20UnknownPayloadTypeIsAcknowledgedAndLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		unknown := message.Message{Type: p.out, PayloadType: 99, Payload: []byte("?")}
		p.send(unknown)
		p.expectAck(0)
		unknown.Sequence = 2
		p.send(unknown)
		p.expectAck(2)
		p.data(1, "b")
		receive(t, c, "b").Done()
		p.expectAck(1)
		p.data(3, "d")
		receive(t, c, "d").Done()
		p.expectAck(3)
		hangUp()
	})
}

func TestFramesThatAreWrongAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		write := func(frame []byte) {
			if err := p.conn.WriteFrame(t.Context(), frame); err != nil {
				t.Fatal(err)
			}
		}
		good := message.Append(nil, message.Message{Type: p.out, PayloadType: message.PayloadOutput, Payload: []byte("a")})
		bad := append([]byte(nil), good...)
		bad[len(bad)-1]++
		write(bad)
		write(good[:119])
		write([]byte("{}"))
		p.send(message.Message{Type: message.TypeOutputStreamData, PayloadType: message.PayloadOutput, Payload: []byte("wrong way")})
		p.send(message.Message{Type: message.TypeAcknowledge, Payload: []byte("garbage")})
		p.send(message.Message{Type: message.TypeAcknowledge, Payload: []byte(`{"AcknowledgedMessageSequenceNumber":-9223372036854775808}`)})
		p.send(message.Message{Type: message.TypeAcknowledge, Payload: []byte(`{"AcknowledgedMessageSequenceNumber":9223372036854775807}`)})
		p.data(-1, "negative")
		p.data(1<<62, "far ahead")
		p.silent(time.Hour)
		write(good)
		receive(t, c, "a").Done()
		p.expectAck(0)
		hangUp()
	})
}

// The agent's part is played by hand, the session handshake of a port session.
func TestConformance21HandshakeIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		type result struct {
			hs    Handshake
			first *Inbound
			err   error
		}
		answered := make(chan result, 1)
		go func() {
			hs, first, err := c.AnswerHandshake(t.Context(), nil)
			answered <- result{hs, first, err}
		}()
		p.send(message.Message{Type: p.out, PayloadType: message.PayloadHandshakeRequest, Payload: []byte(
			`{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"portNumber":"22"}}}]}`)})
		p.expectAck(0)
		m := p.expectData(0)
		want := `{"ClientVersion":"1.3.0.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}`
		if m.PayloadType != message.PayloadHandshakeResponse || string(m.Payload) != want {
			t.Errorf("answered %s %s", m.PayloadType, m.Payload)
		}
		p.ack(m)
		p.silent(time.Hour) // conformance 22: nothing before HandshakeComplete
		p.send(message.Message{Type: p.out, Sequence: 1, PayloadType: message.PayloadHandshakeComplete,
			Payload: []byte(`{"HandshakeTimeToComplete":962291,"CustomerMessage":"hello"}`)})
		p.expectAck(1)
		got := <-answered
		if got.err != nil || got.first != nil || got.hs.Skipped || got.hs.CustomerMessage != "hello" {
			t.Errorf("handshake %+v", got)
		}
		if got.hs.SessionType.SessionType != "Port" || string(got.hs.SessionType.Properties) != `{"portNumber":"22"}` {
			t.Errorf("session type %+v", got.hs.SessionType)
		}
		hangUp()
	})
}

func TestConformance22HandshakeMayBeSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		p.data(0, "$ ")
		hs, first, err := c.AnswerHandshake(t.Context(), nil)
		if err != nil || !hs.Skipped || first == nil || string(first.Payload) != "$ " {
			t.Fatalf("handshake %+v, %+v, %v", hs, first, err)
		}
		p.silent(time.Hour) // the first message is the caller's to process
		first.Done()
		p.expectAck(0)
		hangUp()
	})
}

func TestHandshakeThatAsksTooMuchIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		p.send(message.Message{Type: p.out, PayloadType: message.PayloadHandshakeRequest, Payload: []byte(
			`{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k"}}]}`)})
		go func() {
			m := p.expectData(0)
			if resp, err := message.ParseHandshakeResponse(m.Payload); err != nil || len(resp.Errors) != 1 {
				t.Errorf("refusal %s, %v", m.Payload, err)
			}
			p.ack(m)
		}()
		if _, _, err := c.AnswerHandshake(t.Context(), nil); !errors.Is(err, ErrHandshake) {
			t.Errorf("answer: %v, want %v", err, ErrHandshake)
		}
		hangUp()
	})
}

func TestConformance28UnacknowledgedIsSentAgainMoreAndMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Client})
		p, hangUp := serve(t, c)
		send(t, c, "a")
		p.ack(p.expectData(0))
		send(t, c, "b") // the peer's handler is not ready for this one
		m := p.expectData(1)
		last, wait := time.Now(), time.Duration(0)
		for range 12 {
			again := p.expectData(1)
			if again.ID != m.ID {
				t.Fatal("the message sent again has another id")
			}
			now := time.Now()
			if d := now.Sub(last); d < wait || d < minRTO || d > maxRTO {
				t.Errorf("sent again after %v, the time before after %v", d, wait)
			} else {
				wait = d
			}
			last = now
		}
		if wait != maxRTO {
			t.Errorf("the wait grew to %v, want %v", wait, maxRTO)
		}
		p.ack(m)
		drain(t, c)
		p.silent(time.Hour)
		hangUp()
	})
}

func TestConformance28ReconnectLosesAndDuplicatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		send(t, c, "before any connection")
		p, hangUp := serve(t, c)
		p.ack(p.expectData(0))
		send(t, c, "b")
		send(t, c, "c")
		send(t, c, "d")
		p.expectData(1)
		p.ack(p.expectData(2)) // arrived early, say
		p.data(0, "x")
		in := receive(t, c, "x")
		synctest.Wait()
		if err := hangUp(); !errors.Is(err, io.EOF) {
			t.Errorf("serve: %v, want it to say the connection ended", err)
		}

		in.Done() // while there is no connection
		send(t, c, "e")
		p, hangUp = serve(t, c)
		p.expectAck(0)
		for _, seq := range []int64{1, 3, 4} { // in order, numbering goes on
			p.ack(p.expectData(seq))
		}
		drain(t, c)
		p.data(1, "y")
		receive(t, c, "y").Done()
		p.expectAck(1)
		hangUp()
	})
}

func TestConformance34FlagsOfTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		synctest.Wait()
		if err := c.SendControl(t.Context(), message.Message{Type: message.TypeAgentSessionState, Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		if m := p.read(); m.Type != message.TypeAgentSessionState || m.Flags != 3 || m.Sequence != 0 {
			t.Errorf("state message %+v", m)
		}
		for seq, flags := range []uint64{1, 0, 0} {
			send(t, c, "x")
			m := p.expectData(int64(seq))
			if m.Type != message.TypeOutputStreamData || m.Flags != flags {
				t.Errorf("message %d: %s with flags %d, want %d", seq, m.Type, m.Flags, flags)
			}
			p.ack(m)
		}
		p.data(0, "y")
		receive(t, c, "y").Done()
		if m := p.read(); m.Type != message.TypeAcknowledge || m.Flags != 3 || m.Sequence != 0 || m.PayloadType != message.PayloadNone {
			t.Errorf("acknowledgement %+v", m)
		}
		hangUp()
	})
}

func TestConformance35NeverAcknowledgedMessageIsKeptAndDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		send(t, c, "lost acknowledgement")
		p.expectData(0)
		for i := range 200 {
			send(t, c, fmt.Sprint(i))
			for { // everything else is acknowledged, the first message never
				m := p.read()
				if m.Sequence != 0 {
					p.ack(m)
					break
				}
			}
		}
		p.expectData(0) // still asked for
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		go func() { // so that resends are not held up by a full pipe
			for {
				if _, err := p.conn.ReadFrame(t.Context()); err != nil {
					return
				}
			}
		}()
		if err := c.Drain(ctx); err != nil {
			t.Errorf("drain: %v, want later progress to be enough", err)
		}
		hangUp()
	})
}

func TestConformance35DrainOfASilentPeerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		send(t, c, "x")
		p.expectData(0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := c.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v", err)
		}
		hangUp()
	})
}

func TestConformance36FirstOutputIsRepeatedEvery50ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		send(t, c, "$ ")
		p.expectData(0)
		last := time.Now()
		for range 100 { // 5 s of a client that is not ready
			m := p.expectData(0)
			if d := time.Since(last); d > 50*time.Millisecond {
				t.Fatalf("repeated after %v", d)
			}
			last = time.Now()
			_ = m
		}
		p.ack(p.expectData(0))
		p.silent(time.Hour)
		hangUp()
	})
}
