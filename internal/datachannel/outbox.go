package datachannel

import (
	"time"

	"sekisho/internal/message"
)

const (
	// maxUnacked bounds the messages in flight. It stays below the 10 000 that
	// the stock client's reorder buffer holds.
	maxUnacked = 4096

	// A receiver that misses message n acknowledges later ones only as far as
	// its reorder buffer reaches: 10 000 messages in the stock client, 100 000 in
	// the stock agent. An acknowledgement beyond proves that n has arrived.
	clientReorder = 10_000
	agentReorder  = 100_000

	// eagerSends is how often the oldest message is sent every firstRTO before
	// the first acknowledgement, 30 s worth; afterwards the wait doubles.
	eagerSends = 600

	// probeSends is how often the oldest message goes unanswered on a connection
	// before one more may pass a full window. If all acknowledgements were lost,
	// that of the new one tells; a consumer that stalls is not hurt by one more.
	// It may be lost like the others: each connection has its own, up to twice
	// the window.
	probeSends = 3

	// drainAsked is how often in a row the peer is asked about an overtaken
	// message before a drain no longer waits for it.
	drainAsked = 3

	// maxPassed is how often a newer message must pass an overtaken one, each
	// time after that was sent once more, before the peer is taken to have it.
	maxPassed = 8

	// bulkRTO is the least silence after which a bulk channel sends its oldest message
	// again. Its peer acknowledges at once whatever its consumers do, and connections
	// lose nothing, so that only a fault between them can make it necessary.
	bulkRTO    = 5 * time.Second
	maxBulkRTO = time.Minute
)

// outgoing is a stream message from Send until its acknowledgement.
type outgoing struct {
	seq     int64
	frame   []byte
	size    int       // bytes of payload
	firstAt time.Time // first sent on this connection
	sentAt  time.Time // last sent
	sends   int       // on this connection
	total   int       // ever
	queued  bool      // waits in outbox.resend
	passed  int       // see maxPassed

	busy, released bool // the writer holds frame; it was acknowledged meanwhile
}

// outbox is the sending half: what is unacknowledged, and what to send next. It
// has no lock, goroutine or clock of its own. The channel guards it.
type outbox struct {
	window  int // bytes
	bulk    bool
	reorder int64

	ring   ring[outgoing]
	cursor int64 // next to send for the first time on this connection
	resend []int64

	// Unacknowledged messages are of two kinds. Those above the highest
	// acknowledged number are in flight and fill the window. Those below were
	// overtaken: the peer lacks them, or has them and its acknowledgement was
	// lost. They are kept and sent again but leave the window, because the stock
	// client acknowledges nothing twice and would close the window for good.
	highest                   int64
	inflight, inflightBytes   int
	overtaken, overtakenBytes int
	asked                     int   // see drainAsked
	probe                     int64 // last message that passed a full window

	round bool  // everything overtaken is being sent again, see startRound
	proof int64 // first message sent after the round, -1 before there is one

	recoverNext, recoverEnd int64 // see ack
	acked                   bool  // anything, ever
	lastAck                 time.Time
	rtt                     rtt
	paused                  bool
	free                    freeList

	resends, forgotten int64 // counted for the channel, which wakes senders by them
}

func newOutbox(role Role, window int) outbox {
	b := outbox{window: window, reorder: clientReorder, highest: -1, probe: -1}
	if role == Client {
		b.reorder = agentReorder
	}
	return b
}

// connected starts over on a new connection: everything unacknowledged goes
// again, in order. What was learned about the old path's delay stays.
func (b *outbox) connected() {
	b.cursor = b.ring.base
	b.resend = b.resend[:0]
	b.recoverNext, b.recoverEnd = 0, 0
	b.asked = 0
	b.probe = -1
	b.round = false
	b.paused = false
	for s := b.ring.base; s < b.ring.end; s++ {
		if o := b.ring.at(s); o != nil {
			o.sends, o.queued = 0, false
		}
	}
}

// full reports whether a payload of that size must wait.
func (b *outbox) full(size int) bool {
	switch {
	case b.crowded():
		return !b.round || !b.mayProbe()
	case b.overflows(size):
		return b.ring.at(b.ring.base).sends < probeSends || !b.mayProbe()
	}
	return false
}

// overflows reports whether a payload does not fit into the window. One that is
// larger than the window fits when nothing else is in flight.
func (b *outbox) overflows(size int) bool {
	return b.inflight > 0 && (b.inflight >= maxUnacked || b.inflightBytes+size > b.window)
}

// crowded reports whether overtaken messages are as many as a window holds. They
// must then become fewer before new ones go.
func (b *outbox) crowded() bool { return b.overtaken >= maxUnacked || b.overtakenBytes > b.window }

// mayProbe reports whether one more message may go although there is no room:
// the one before has been answered, and there were not too many.
func (b *outbox) mayProbe() bool {
	return b.probe <= b.highest && b.inflight < 2*maxUnacked && b.inflightBytes < 2*b.window
}

// add takes a frame that full has let pass.
func (b *outbox) add(frame []byte, flags uint64) {
	seq := b.ring.end
	message.Number(frame, seq, flags)
	o := &outgoing{seq: seq, frame: frame, size: len(frame) - message.HeaderSize}
	if b.crowded() || b.overflows(o.size) {
		b.probe = seq
	}
	b.ring.put(seq, o)
	b.inflight++
	b.inflightBytes += o.size
}

// next picks the message to write now, nil for none. The caller writes
// o.frame, then calls wrote.
func (b *outbox) next(now time.Time) *outgoing {
	if b.paused {
		return nil
	}
	for len(b.resend) > 0 {
		o := b.ring.at(b.resend[0])
		b.resend = b.resend[1:]
		if o != nil {
			o.queued = false
			return b.sending(o, now)
		}
	}
	if head, due, ok := b.timer(); ok && !due.After(now) {
		if head.seq > b.highest {
			b.recoverNext, b.recoverEnd = head.seq+1, b.cursor
		} else {
			b.asked++
			b.startRound()
		}
		return b.sending(head, now)
	}
	for b.cursor = max(b.cursor, b.ring.base); b.cursor < b.ring.end; {
		o := b.ring.at(b.cursor)
		b.cursor++
		if o == nil {
			continue
		}
		if b.round && b.proof < 0 {
			b.proof = o.seq
		}
		return b.sending(o, now)
	}
	return nil
}

func (b *outbox) sending(o *outgoing, now time.Time) *outgoing {
	if o.total > 0 {
		b.resends++
	}
	if o.sends == 0 {
		o.firstAt = now
	}
	o.sends++
	o.total++
	o.sentAt = now
	o.busy = true
	return o
}

// wrote says that the writer is done with o.
func (b *outbox) wrote(o *outgoing, now time.Time) {
	o.busy = false
	if o.released {
		b.recycle(o.frame)
		return
	}
	o.sentAt = now // time spent blocked in a full socket is not the peer's
}

// deadline is when next may have something although nothing was added.
func (b *outbox) deadline() (time.Time, bool) {
	if b.paused {
		return time.Time{}, false
	}
	_, due, ok := b.timer()
	return due, ok
}

// timer returns the oldest unacknowledged message and when to send it again.
// While acknowledgements of later sendings keep coming the path works and is
// only slow, so each one restarts the wait, unless the message was overtaken.
func (b *outbox) timer() (*outgoing, time.Time, bool) {
	head := b.ring.at(b.ring.base)
	if head == nil || head.sends == 0 || head.busy {
		return nil, time.Time{}, false
	}
	if b.bulk {
		from := head.sentAt
		if b.lastAck.After(from) {
			from = b.lastAck
		}
		return head, from.Add(min(bulkRTO<<min(head.sends-1, 4), maxBulkRTO)), true
	}
	if !b.acked && head.total < eagerSends {
		return head, head.sentAt.Add(firstRTO), true
	}
	from := head.sentAt
	if head.seq > b.highest && b.lastAck.After(from) {
		from = b.lastAck
	}
	return head, from.Add(b.rtt.rto(head.sends - 1)), true
}

// ack takes the acknowledgement of one message; unknown ones are ignored.
func (b *outbox) ack(seq int64, now time.Time) {
	o := b.ring.at(seq)
	if o == nil || o.total == 0 {
		return
	}
	b.acked = true
	if o.total == 1 {
		b.rtt.sample(now.Sub(o.sentAt))
	} else {
		b.rtt.ambiguous(now.Sub(o.firstAt))
	}
	b.lastAck = now
	if seq < b.highest {
		b.asked = 0
	}
	if b.round && b.proof >= 0 && seq >= b.proof && o.total == 1 {
		b.endRound()
	}
	b.settle(o)
	if seq > b.highest {
		b.overtake(seq)
	}
	// A message that had to be sent again after silence was most likely lost
	// with all that followed it. Each acknowledgement of such a one releases two
	// more, so that recovery doubles every round trip and costs little when the
	// peer was only slow.
	if seq < b.recoverNext {
		for n := 0; n < 2 && b.recoverNext < b.recoverEnd; b.recoverNext++ {
			if b.again(b.recoverNext) {
				n++
			}
		}
	}
}

// ackThrough takes the acknowledgement of all messages up to a number.
func (b *outbox) ackThrough(seq int64, now time.Time) {
	for s := b.ring.base; s <= seq && s < b.ring.end; s++ {
		o := b.ring.at(s)
		if o == nil {
			continue
		}
		if o.total == 0 {
			return // not sent yet: this is no honest acknowledgement
		}
		b.acked, b.lastAck = true, now
		b.settle(o)
		b.highest = max(b.highest, s)
	}
}

// overtake records that seq is now the highest acknowledged. What is missing
// below it on an ordered path was lost: send it again at once, one time.
func (b *outbox) overtake(seq int64) {
	for s := b.highest + 1; s < seq; s++ {
		o := b.ring.at(s) // held: nothing above highest is acknowledged yet
		b.inflight--
		b.inflightBytes -= o.size
		b.overtaken++
		b.overtakenBytes += o.size
		b.again(s)
	}
	b.highest = seq
	for b.ring.base < b.highest-b.reorder {
		b.forget(b.ring.at(b.ring.base)) // base is never an empty place below end
	}
}

// again queues a message for sending once more, unless its turn is yet to come.
func (b *outbox) again(seq int64) bool {
	o := b.ring.at(seq)
	if o == nil || o.queued || seq >= b.cursor {
		return false
	}
	o.queued = true
	b.resend = append(b.resend, seq)
	return true
}

// startRound sends everything overtaken again when it keeps new messages from
// going. Meanwhile full lets new ones follow, one at a time.
func (b *outbox) startRound() {
	if !b.crowded() {
		return
	}
	for s := b.ring.base + 1; s < b.highest; s++ {
		b.again(s)
	}
	b.round, b.proof = true, -1
}

// endRound takes the acknowledgement of a message that followed a round. On an
// ordered path the round arrived before it. What is still not acknowledged was
// lost once more, or the peer has it and does not say so twice. Losing the same
// message maxPassed times but never what follows it is not believable.
func (b *outbox) endRound() {
	b.round = false
	for s := b.ring.base; s < b.highest; s++ {
		if o := b.ring.at(s); o != nil {
			if o.passed++; o.passed >= maxPassed {
				b.forget(o)
			}
		}
	}
}

func (b *outbox) forget(o *outgoing) {
	b.forgotten++
	b.settle(o)
}

// settle takes a message out.
func (b *outbox) settle(o *outgoing) {
	if o.seq < b.highest {
		b.overtaken--
		b.overtakenBytes -= o.size
	} else {
		b.inflight--
		b.inflightBytes -= o.size
	}
	b.ring.remove(o.seq, b.ring.end)
	if o.busy {
		o.released = true
		return
	}
	b.recycle(o.frame)
}

func (b *outbox) recycle(frame []byte) {
	if !message.Recycle(frame) {
		b.free.put(frame)
	}
}

// drained reports whether the peer has everything, as far as can be known.
func (b *outbox) drained() bool {
	return b.inflight == 0 && (b.overtaken == 0 || b.asked >= drainAsked)
}
