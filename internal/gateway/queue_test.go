package gateway

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func frames(n int) []byte { return []byte(fmt.Sprintf("frame %d", n)) }

func takeAll(q *queue) (got []string) {
	for {
		f, _, ok := q.take()
		if !ok {
			return got
		}
		got = append(got, string(f))
	}
}

func expect(t *testing.T, got []string, want ...int) {
	t.Helper()
	text := []string{}
	for _, n := range want {
		text = append(text, string(frames(n)))
	}
	if fmt.Sprint(got) != fmt.Sprint(text) {
		t.Fatalf("sent %q, want %q", got, text)
	}
}

func TestQueueReplaysWhatIsUnacknowledged(t *testing.T) {
	q := newQueue(false)
	for n := range 5 {
		if v := q.add(int64(n), frames(n), false); v != queued {
			t.Fatalf("add %d: %v", n, v)
		}
	}
	expect(t, takeAll(&q), 0, 1, 2, 3, 4)
	q.ack(0)
	q.ack(2)
	q.rewind()
	expect(t, takeAll(&q), 1, 3, 4)
	if v := q.add(0, frames(0), false); v != duplicate {
		t.Fatalf("acknowledged message again: %v, want duplicate", v)
	}
	if v := q.add(2, frames(2), false); v != duplicate {
		t.Fatalf("message acknowledged out of order again: %v, want duplicate", v)
	}
	q.ack(1)
	q.ack(3)
	q.ack(4)
	if !q.empty() || q.bytes != 0 || len(q.acked) != 1 {
		t.Fatalf("after all acknowledgements: %+v", q)
	}
}

func TestQueueCollapsesWhatIsNotSentYet(t *testing.T) {
	q := newQueue(false)
	q.add(0, frames(0), false)
	if v := q.add(0, frames(0), false); v != collapsed {
		t.Fatalf("duplicate of an unsent message: %v", v)
	}
	expect(t, takeAll(&q), 0)
	if v := q.add(0, frames(0), false); v != repeated { // the receiver's handler was not ready
		t.Fatalf("repeat of a sent message: %v", v)
	}
	if v := q.add(0, frames(0), false); v != collapsed {
		t.Fatalf("second repeat while the first waits: %v", v)
	}
	expect(t, takeAll(&q), 0)
}

func TestQueueTakesLateMessages(t *testing.T) {
	q := newQueue(true)
	q.add(151, frames(151), false)
	expect(t, takeAll(&q), 151)
	q.ack(151)
	if v := q.add(100, frames(100), false); v != queued {
		t.Fatalf("older message after a restart: %v, want queued (its acknowledgement is unknown)", v)
	}
	expect(t, takeAll(&q), 100)
	q.ack(100)
	for n := 101; n < 151; n++ {
		q.add(int64(n), frames(n), false)
		expect(t, takeAll(&q), n)
		q.ack(int64(n))
	}
	if len(q.acked) != 1 || q.acked[0] != [2]int64{100, 152} {
		t.Fatalf("acknowledged %v, want [100,152)", q.acked)
	}
}

func TestQueueAnswersForASilentReceiverAfterARestart(t *testing.T) {
	q := newQueue(true)
	q.add(7, frames(7), true)
	takeAll(&q)
	for i := 1; i < silentResends; i++ {
		if v := q.add(7, frames(7), true); v != repeated {
			t.Fatalf("repeat %d: %v", i, v)
		}
		takeAll(&q)
	}
	if v := q.add(7, frames(7), true); v != duplicate {
		t.Fatalf("after %d sendings: %v, want duplicate", silentResends, v)
	}
	q.rewind() // the receiver reconnects: nothing was thrown away
	expect(t, takeAll(&q), 7)

	fresh := newQueue(false)
	fresh.add(0, frames(0), true)
	for range 50 {
		takeAll(&fresh)
		if v := fresh.add(0, frames(0), true); v != repeated {
			t.Fatalf("a fresh session must go on repeating: %v", v)
		}
	}
}

func TestQueueForgedAcknowledgementsAreNotRemembered(t *testing.T) {
	q := newQueue(false)
	for n := range int64(100000) {
		q.ack(n * 2)
	}
	if len(q.acked) != 1 {
		t.Fatalf("%d ranges after forged acknowledgements", len(q.acked))
	}
}

// TestIntervalsAgainstAMap compares the set with the obvious implementation.
func TestIntervalsAgainstAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var s intervals
		want := map[int64]bool{}
		for range 60 {
			n := rng.Int64N(40)
			s.add(n)
			want[n] = true
			for n := int64(-1); n < 42; n++ {
				if s.contains(n) != want[n] {
					t.Fatalf("contains(%d) = %v in %v", n, s.contains(n), s)
				}
			}
			for i := 1; i < len(s); i++ {
				if s[i-1][1] >= s[i][0] {
					t.Fatalf("ranges not apart: %v", s)
				}
			}
		}
	}
}

func TestIntervalsAreBounded(t *testing.T) {
	var s intervals
	for n := range int64(3 * maxIntervals) {
		s.add(2 * n)
	}
	if len(s) > maxIntervals || !s.contains(6*maxIntervals-2) {
		t.Fatalf("%d ranges", len(s))
	}
}
