package datachannel

import (
	"math/rand/v2"
	"testing"
	"time"

	"sekisho/internal/message"
)

// wire drives an outbox by hand: its own clock, and a peer that is a function.
type wire struct {
	t   *testing.T
	b   outbox
	now time.Time
	// deliver gets each frame that is sent and reports whether to acknowledge.
	deliver func(seq int64) bool
	acks    []int64     // on their way back
	late    func() bool // whether they stay on their way for now, nil for no
}

func newWire(t *testing.T, role Role, window int) *wire {
	return &wire{t: t, b: newOutbox(role, window), now: time.Unix(1e9, 0), deliver: func(int64) bool { return true }}
}

func (w *wire) add(n, size int) {
	w.t.Helper()
	for range n {
		if w.b.full(size) {
			w.t.Fatalf("no room after %d in flight and %d overtaken", w.b.inflight, w.b.overtaken)
		}
		w.b.add(make([]byte, message.HeaderSize+size), 0)
	}
}

// flush sends what may be sent now, then delivers acknowledgements 1 ms later,
// until there is nothing to do without waiting.
func (w *wire) flush() {
	for {
		sent := false
		for o := w.b.next(w.now); o != nil; o = w.b.next(w.now) {
			w.b.wrote(o, w.now)
			sent = true
			if w.deliver(o.seq) {
				w.acks = append(w.acks, o.seq)
			}
		}
		if !sent && len(w.acks) == 0 || w.late != nil && w.late() {
			return
		}
		w.now = w.now.Add(time.Millisecond)
		for _, seq := range w.acks {
			w.b.ack(seq, w.now)
		}
		w.acks = nil
	}
}

// expire flushes, waits for the next deadline if there is one, and flushes.
func (w *wire) expire() {
	w.t.Helper()
	w.flush()
	due, ok := w.b.deadline()
	if !ok {
		if w.b.inflight+w.b.overtaken > 0 {
			w.t.Fatal("what is not acknowledged will never be sent again")
		}
		return
	}
	if due.After(w.now) {
		w.now = due
	}
	w.flush()
}

func silence(int64) bool { return false }

func TestLostTailIsRecoveredFast(t *testing.T) {
	w := newWire(t, Agent, agentWindow)
	w.add(1, 1)
	w.flush()
	w.deliver = silence
	const lost = 1000
	w.add(lost, 100)
	w.flush()
	w.deliver = func(int64) bool { return true }
	start := w.now
	for !w.b.drained() {
		w.expire()
	}
	// One by one, a round trip and a wait for each, would take 20 s and more.
	if d := w.now.Sub(start); d > time.Second {
		t.Errorf("recovered %d messages in %v", lost, d)
	}
	if w.b.resends > 2*lost {
		t.Errorf("sent %d again for %d lost", w.b.resends, lost)
	}
}

func TestLossIsRepairedAsSoonAsALaterMessageIsAcknowledged(t *testing.T) {
	w := newWire(t, Agent, agentWindow)
	w.add(1, 1)
	w.flush()
	lose := map[int64]bool{5: true, 6: true, 17: true}
	w.deliver = func(seq int64) bool {
		lost := lose[seq]
		delete(lose, seq)
		return !lost
	}
	w.add(20, 100)
	start := w.now
	w.flush() // no timer runs out
	if !w.b.drained() || w.now.Sub(start) > 5*time.Millisecond {
		t.Errorf("repaired: %v, after %v", w.b.drained(), w.now.Sub(start))
	}
	if w.b.resends != 3 {
		t.Errorf("sent %d again, want 3", w.b.resends)
	}
}

// A slow consumer acknowledges late but steadily. Sending again would only make
// it slower.
func TestSteadyAcknowledgementsHoldBackResends(t *testing.T) {
	w := newWire(t, Agent, agentWindow)
	w.deliver = silence
	w.add(1000, 100)
	w.flush()
	for seq := range int64(1000) { // 10 s in all
		w.now = w.now.Add(10 * time.Millisecond)
		w.b.ack(seq, w.now)
		w.flush()
	}
	if w.b.resends > 1 {
		t.Errorf("sent %d again", w.b.resends)
	}
}

// fillUnanswered fills the window, loses every acknowledgement, reconnects and
// waits until one more may pass.
func (w *wire) fillUnanswered(size int) (n int) {
	w.t.Helper()
	deliver := w.deliver
	w.deliver = silence
	for ; !w.b.full(size); n++ {
		w.add(1, size)
	}
	w.flush()
	w.b.connected()
	for tries := 0; w.b.full(size); tries++ {
		if tries > 10 {
			w.t.Fatalf("a full window stays shut: %d in flight, %d overtaken", w.b.inflight, w.b.overtaken)
		}
		w.expire()
	}
	w.deliver = deliver
	return n
}

// The stock client says nothing about what it has said already. A window full of
// messages whose acknowledgements are lost must open again.
func TestConformance35WindowOfLostAcknowledgementsOpens(t *testing.T) {
	w := newWire(t, Agent, 1000)
	received := int64(-1) // the client processed everything up to here
	w.deliver = func(seq int64) bool {
		fresh := seq == received+1
		if fresh {
			received = seq
		}
		return fresh
	}
	for round := range 5 {
		n := w.fillUnanswered(100)
		if n == 0 {
			t.Fatalf("round %d: nothing could be sent", round)
		}
		received = w.b.ring.end - 1 // delivered, every acknowledgement lost
		for tries := 0; w.b.crowded() || w.b.inflight > 0; tries++ {
			if tries > 100 {
				t.Fatalf("round %d: %d in flight, %d overtaken, %d forgotten", round, w.b.inflight, w.b.overtaken, w.b.forgotten)
			}
			if !w.b.full(100) {
				w.add(1, 100)
			}
			w.expire()
		}
	}
	if w.b.forgotten == 0 {
		t.Error("nothing was given up: the test lost its teeth")
	}
}

// Whatever is lost on the way, in either direction, only what has arrived may be
// given up. No message is lost more often than maxPassed tolerates.
func TestMissingMessagesAreNotGivenUp(t *testing.T) {
	var forgotten, crowded int64
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		w := newWire(t, Agent, 1000)
		held := map[int64]bool{}
		lost := map[int64]int{}
		w.late = func() bool { return r.IntN(3) == 0 }
		void := 0 // deliveries that fall into it before the path works again
		w.deliver = func(seq int64) bool {
			if void > 0 || r.IntN(3) == 0 {
				void--
				if lost[seq]++; lost[seq] < maxPassed {
					return false
				}
			}
			if held[seq] {
				return false // a stock client
			}
			held[seq] = true
			return r.IntN(4) > 0 // else the acknowledgement is lost
		}
		for range 300 {
			switch r.IntN(20) {
			case 0:
				void = r.IntN(30)
			case 1:
				w.b.connected()
			}
			for range r.IntN(5) {
				if !w.b.full(100) {
					w.add(1, 100)
				}
			}
			if w.b.crowded() {
				crowded++
			}
			w.expire()
			for s := range w.b.ring.end {
				if !held[s] && w.b.ring.at(s) == nil {
					t.Fatalf("seed %d: message %d was given up and never arrived", seed, s)
				}
			}
		}
		void = 0
		forgotten += w.b.forgotten
		for n := 0; w.b.full(100) || w.b.inflight > 0; n++ {
			if n > 1000 {
				t.Fatalf("seed %d: stuck with %d in flight, %d overtaken", seed, w.b.inflight, w.b.overtaken)
			}
			if !w.b.full(100) {
				w.add(1, 100) // whose acknowledgement is lost too, now and then
			}
			if n%100 == 99 {
				w.b.connected()
			}
			w.expire()
		}
	}
	if forgotten == 0 || crowded == 0 {
		t.Errorf("%d given up, %d times crowded: the test lost its teeth", forgotten, crowded)
	}
}

// Only a message that was first sent after a round proves that the round arrived.
func TestRoundIsProvedByWhatFollowsIt(t *testing.T) {
	crowd := func(t *testing.T) (w *wire, probe int64) {
		w = newWire(t, Agent, 1000)
		w.deliver = silence
		for !w.b.crowded() {
			w.fillUnanswered(100)
			w.add(1, 100)
			w.flush()
			w.b.ack(w.b.ring.end-1, w.now)
		}
		for w.b.full(100) {
			w.expire()
		}
		w.add(1, 100)
		w.flush()
		return w, w.b.ring.end - 1
	}
	passed := func(w *wire) int { return w.b.ring.at(w.b.ring.base).passed }

	w, probe := crowd(t)
	w.b.ack(probe, w.now)
	if passed(w) != 1 {
		t.Errorf("passed %d times by a message that followed, want 1", passed(w))
	}

	w, probe = crowd(t)
	w.expire() // another round
	w.b.ack(probe, w.now)
	if passed(w) != 0 {
		t.Error("passed by a message that was sent before the round")
	}

	w, probe = crowd(t)
	w.b.connected()
	w.b.wrote(w.b.next(w.now), w.now)
	w.now = w.now.Add(time.Minute) // the connection is slow: a round starts in the middle
	w.flush()
	w.b.ack(probe, w.now) // of the sending before, for all that is known
	if passed(w) != 0 {
		t.Error("passed by a message that was sent before the round, and again after it")
	}
}

// No reorder buffer reaches further than that of the peer: what is acknowledged
// beyond proves that the oldest has arrived.
func TestConformance35AcknowledgementBeyondTheReorderBufferIsProof(t *testing.T) {
	for role, reach := range map[Role]int{Agent: clientReorder, Client: agentReorder} {
		w := newWire(t, role, 1<<30)
		w.deliver = func(seq int64) bool { return seq != 0 }
		w.add(1, 1)
		w.flush()
		for range reach / 1000 {
			w.add(1000, 1)
			w.flush()
		}
		if w.b.overtaken != 1 {
			t.Errorf("given up before the end of the reorder buffer: %d overtaken", w.b.overtaken)
		}
		w.add(1, 1)
		w.flush()
		if w.b.overtaken != 0 || w.b.forgotten != 1 {
			t.Errorf("%d overtaken, %d given up, want 0 and 1", w.b.overtaken, w.b.forgotten)
		}
	}
}

func TestRoundTripDecidesTheWait(t *testing.T) {
	var r rtt
	if got := r.rto(0); got != firstRTO {
		t.Errorf("without a sample %v, want %v", got, firstRTO)
	}
	for range 100 {
		r.sample(200 * time.Millisecond)
	}
	if got := r.rto(0); got < 200*time.Millisecond || got > 250*time.Millisecond {
		t.Errorf("with a round trip of 200ms %v", got)
	}
	if got := r.rto(1); got < 400*time.Millisecond {
		t.Errorf("the second wait is %v, want twice the first", got)
	}
	if got := r.rto(50); got != maxRTO {
		t.Errorf("the wait grew to %v, want %v", got, maxRTO)
	}
	for range 100 {
		r.sample(time.Microsecond)
	}
	if got := r.rto(0); got != minRTO {
		t.Errorf("with no round trip %v, want %v", got, minRTO)
	}
	// Every message takes longer than the wait, so that none is a sample: the
	// wait must still come to fit.
	r.ambiguous(300 * time.Millisecond)
	if got := r.rto(0); got < 300*time.Millisecond {
		t.Errorf("after an answer that took up to 300ms %v", got)
	}
}

func TestRingHoldsAcrossGrowth(t *testing.T) {
	var r ring[int64]
	want := map[int64]bool{}
	const n = 1000
	for s := range int64(n) {
		if s%3 != 0 {
			r.put(s, &s)
			want[s] = true
		}
		if gone := s / 2; want[gone] {
			r.remove(gone, r.end)
			delete(want, gone)
		}
	}
	for s := int64(-5); s < n+5; s++ {
		got := r.at(s)
		if (got != nil) != want[s] || got != nil && *got != s {
			t.Fatalf("place %d holds %v, want it held: %v", s, got, want[s])
		}
	}
	if r.base != 500 {
		t.Errorf("base %d, want the lowest held, 500", r.base)
	}
}
