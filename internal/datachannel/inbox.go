package datachannel

import "sekisho/internal/message"

// maxEarly bounds how far ahead of the next expected message one is stored, and
// how many may wait unprocessed. It must stay below clientReorder, which our own
// outbox relies on.
const maxEarly = 8192

// Inbound is a received stream message, handed out in order.
type Inbound struct {
	PayloadType message.PayloadType
	Payload     []byte // valid until Done
	Sequence    int64

	id       message.ID
	c        *Channel
	acked    bool // on arrival, because it came early
	done     bool
	overhead int // bytes by which Payload was longer when it arrived sealed
}

// Done says that the message has been processed: its bytes are in the terminal
// or the socket. Only then is it acknowledged, and room made for another. A
// consumer that is not ready for a message holds it and calls Done later; the
// peer meanwhile sends it again and is not answered. Done may be called from any
// goroutine, in any order, and more than once.
func (in *Inbound) Done() { in.c.processed(in) }

// inbox is the receiving half: what arrived and was not processed. It has no
// lock or goroutine of its own. The channel guards it.
type inbox struct {
	limit int // bytes

	ring     ring[Inbound]
	expected int64 // lowest number not received
	next     int64 // next to hand out, not above expected

	ready, readyBytes int // in order, not processed
	early, earlyBytes int // behind a gap

	dropped int64 // messages without room, neither kept nor acknowledged
}

// blocked reports whether a message that is in order finds no room. One that is
// larger than the limit finds room when nothing else waits.
func (b *inbox) blocked() bool { return b.readyBytes > b.limit || b.ready >= maxEarly }

// admit takes a message from the connection and reports whether to acknowledge
// it now. Messages from the old expected number to the new one became ready.
func (b *inbox) admit(in *Inbound) (ack bool) {
	seq := in.Sequence
	switch held := b.ring.at(seq); {
	case seq < 0:
		return false
	case held != nil:
		// Again, and still waiting for the consumer or for the gap to fill.
		return held.acked
	case seq < b.expected:
		return true
	case seq == b.expected:
		if b.blocked() {
			b.dropped++
			return false
		}
		b.ring.put(seq, in)
		b.ready++
		b.readyBytes += len(in.Payload)
		b.expected++
		for {
			follower := b.ring.at(b.expected)
			if follower == nil {
				return false
			}
			b.early--
			b.earlyBytes -= len(follower.Payload)
			b.ready++
			b.readyBytes += len(follower.Payload)
			b.expected++
		}
	default:
		if seq-b.expected > maxEarly || b.readyBytes+b.earlyBytes+len(in.Payload) > b.limit {
			b.dropped++
			return false
		}
		in.acked = true
		b.ring.put(seq, in)
		b.early++
		b.earlyBytes += len(in.Payload)
		return true
	}
}

// take hands out the next message in order, nil when there is none.
func (b *inbox) take() *Inbound {
	b.next = max(b.next, b.ring.base)
	for b.next < b.expected {
		in := b.ring.at(b.next)
		b.next++
		if in != nil {
			return in
		}
	}
	return nil
}

// finish takes a message out and reports whether it is to be acknowledged now.
func (b *inbox) finish(in *Inbound) (ack bool) {
	if in.done {
		return false
	}
	in.done = true
	b.ready--
	b.readyBytes -= len(in.Payload) + in.overhead
	b.ring.remove(in.Sequence, b.expected)
	return !in.acked
}
