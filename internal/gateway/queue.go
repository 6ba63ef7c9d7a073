package gateway

import (
	"cmp"
	"slices"

	"sekisho/internal/message"
)

// queue holds one direction of a session: the stream messages that one end sent and
// the other has not acknowledged yet, in sequence order. Keeping them until the
// acknowledgement passes makes a lost connection cheap: the gateway replays what was
// in flight at full speed, where a stock sender recovers ten messages a second
// (protocol.md §8.4).
//
// It is not safe for concurrent use; the session's mutex guards it.
type queue struct {
	entries []entry   // ascending by seq; none of them acknowledged
	next    int       // index of the first entry not yet sent on the current connection
	resend  []int64   // entries before next that the sender repeated, in order of asking
	acked   intervals // what the receiver has acknowledged, as far as this process knows
	bytes   int       // sum of the frame lengths

	// recovered says that the session outlived an earlier process, so that acked
	// does not reach back to the beginning.
	recovered bool
}

// entry is one stream message.
type entry struct {
	seq   int64
	frame []byte
	// sent counts how often the frame was handed to the current connection.
	sent int
	// resending says that seq waits in queue.resend.
	resending bool
	// writing counts the connections that are being written to with frame.
	writing int
}

// newQueue starts a direction. In a fresh session nothing below 0 exists, so the
// acknowledged range begins there; a recovered one begins with no knowledge.
func newQueue(recovered bool) queue {
	q := queue{recovered: recovered}
	if !recovered {
		q.acked = intervals{{-1, 0}}
	}
	return q
}

// verdict is what to do with a frame that arrived from the sender.
type verdict int

const (
	queued    verdict = iota // new and kept; the receiver's writer will see it
	repeated                 // sent before without an acknowledgement: it will be sent again
	duplicate                // the receiver has acknowledged it: answer the sender
	collapsed                // already waiting: nothing to do
)

// silentResends is how often a recovered direction forwards one message to a receiver
// that never repeats an acknowledgement before it takes the message for received. The
// stock plugin drops duplicates in silence (protocol.md §13.3), so after a restart of
// this process nobody else can tell the sender. Stock senders repeat every 100 ms or
// more; five times is beyond any "handler not ready" moment of a session under way.
const silentResends = 5

// add takes a frame from the sender. silent says that the receiver is one that never
// acknowledges duplicates.
func (q *queue) add(seq int64, frame []byte, silent bool) verdict {
	if q.acked.contains(seq) {
		return duplicate
	}
	i, found := q.search(seq)
	if !found {
		q.entries = slices.Insert(q.entries, i, entry{seq: seq, frame: frame})
		q.bytes += len(frame)
		if i < q.next { // arrived late: everything after it is on its way already
			q.next++
			q.entries[i].resending = true
			q.resend = append(q.resend, seq)
		}
		return queued
	}
	e := &q.entries[i]
	if e.sent == 0 || e.resending {
		return collapsed
	}
	if q.recovered && silent && e.sent >= silentResends {
		return duplicate // the entry stays, to be replayed if the receiver reconnects
	}
	e.resending = true
	q.resend = append(q.resend, seq)
	return repeated
}

// take returns the next frame to send, if there is one. The caller calls wrote with its
// number when it needs it no longer.
func (q *queue) take() (frame []byte, seq int64, ok bool) {
	for len(q.resend) > 0 {
		seq := q.resend[0]
		q.resend = q.resend[1:]
		if e := q.find(seq); e != nil { // it may have been acknowledged meanwhile
			e.resending = false
			e.sent++
			e.writing++
			return e.frame, e.seq, true
		}
	}
	if q.next >= len(q.entries) {
		return nil, 0, false
	}
	e := &q.entries[q.next]
	q.next++
	e.sent++
	e.writing++
	return e.frame, e.seq, true
}

// wrote says that a frame of take is not used any more.
func (q *queue) wrote(seq int64) {
	if e := q.find(seq); e != nil {
		e.writing--
	}
}

// free gives an acknowledged frame's buffer back. One that is just being written is left
// to the garbage collector: that is rare, as acknowledgements follow the writing.
func (e entry) free() {
	if e.writing == 0 {
		message.Recycle(e.frame)
	}
}

// ack notes that the receiver acknowledged seq, and says whether that was news.
func (q *queue) ack(seq int64) bool {
	i, found := q.search(seq)
	if !found { // unknown numbers are not remembered: the peer chooses them
		return false
	}
	q.bytes -= len(q.entries[i].frame)
	q.entries[i].free()
	if i == 0 { // the common case, without moving the rest
		q.entries[0] = entry{}
		q.entries = q.entries[1:]
	} else {
		q.entries = slices.Delete(q.entries, i, i+1)
	}
	if i < q.next {
		q.next--
	}
	q.acked.add(seq)
	return true
}

// ackThrough notes that the receiver acknowledged everything up to seq, and says whether
// that was news.
func (q *queue) ackThrough(seq int64) bool {
	n := 0
	for n < len(q.entries) && q.entries[n].seq <= seq {
		q.bytes -= len(q.entries[n].frame)
		q.entries[n].free()
		q.acked.addThrough(q.entries[n].seq)
		q.entries[n] = entry{}
		n++
	}
	q.entries = q.entries[n:]
	q.next = max(0, q.next-n)
	return n > 0
}

// rewind makes everything unacknowledged unsent: the receiver has a new connection.
func (q *queue) rewind() {
	q.next, q.resend = 0, nil
	for i := range q.entries {
		q.entries[i].sent, q.entries[i].resending = 0, false
	}
}

// repeat asks for the oldest unacknowledged frame to be sent again.
func (q *queue) repeat() bool {
	if len(q.entries) == 0 || q.next == 0 || q.entries[0].resending {
		return false
	}
	q.entries[0].resending = true
	q.resend = append(q.resend, q.entries[0].seq)
	return true
}

func (q *queue) empty() bool { return len(q.entries) == 0 }

// allSent says that everything was handed to the current connection at least once.
func (q *queue) allSent() bool { return q.next >= len(q.entries) }

// search finds where seq stands, or would stand, in entries.
func (q *queue) search(seq int64) (int, bool) {
	return slices.BinarySearchFunc(q.entries, seq, func(e entry, seq int64) int { return cmp.Compare(e.seq, seq) })
}

func (q *queue) find(seq int64) *entry {
	i, found := q.search(seq)
	if !found {
		return nil
	}
	return &q.entries[i]
}

// intervals is a set of sequence numbers as ascending half-open ranges. A session's
// set is one range nearly always: ranges part only where a receiver acknowledged out
// of order.
type intervals [][2]int64

// maxIntervals bounds the set against a pair of peers that leaves gaps on purpose; the
// lowest gaps are then taken for acknowledged.
const maxIntervals = 4096

func (s intervals) contains(n int64) bool {
	i, _ := slices.BinarySearchFunc(s, n, func(r [2]int64, n int64) int {
		if r[1] <= n {
			return -1
		}
		return 1
	})
	return i < len(s) && s[i][0] <= n
}

// addThrough adds all numbers up to n.
func (s *intervals) addThrough(n int64) {
	for len(*s) > 0 && (*s)[0][1] <= n+1 {
		*s = (*s)[1:]
	}
	if len(*s) > 0 && (*s)[0][0] <= n+1 {
		(*s)[0][0] = -1
		return
	}
	*s = slices.Insert(*s, 0, [2]int64{-1, n + 1})
}

func (s *intervals) add(n int64) {
	i, _ := slices.BinarySearchFunc(*s, n, func(r [2]int64, n int64) int {
		if r[1] < n {
			return -1
		}
		return 1
	})
	// i is the first range that ends at n or later.
	switch {
	case i < len(*s) && (*s)[i][0] <= n && n < (*s)[i][1]:
		return
	case i < len(*s) && (*s)[i][1] == n:
		(*s)[i][1] = n + 1
		if i+1 < len(*s) && (*s)[i+1][0] == n+1 {
			(*s)[i][1] = (*s)[i+1][1]
			*s = slices.Delete(*s, i+1, i+2)
		}
	case i < len(*s) && (*s)[i][0] == n+1:
		(*s)[i][0] = n
	default:
		*s = slices.Insert(*s, i, [2]int64{n, n + 1})
		if len(*s) > maxIntervals {
			(*s)[1][0] = (*s)[0][0]
			*s = slices.Delete(*s, 0, 1)
		}
	}
}
