package gateway

import "testing"

// TestAcknowledgedThrough holds what an acknowledgement of many messages does to a queue.
func TestAcknowledgedThrough(t *testing.T) {
	for _, recovered := range []bool{false, true} {
		q := newQueue(recovered)
		for seq := range int64(10) {
			q.add(seq, make([]byte, 200), false)
		}
		for range 7 {
			q.take()
		}
		q.wrote(2)
		if !q.ackThrough(4) || q.ackThrough(4) {
			t.Error("an acknowledgement is news once")
		}
		if q.bytes != 5*200 {
			t.Errorf("%d bytes are kept, want 1000", q.bytes)
		}
		if _, seq, ok := q.take(); !ok || seq != 7 {
			t.Errorf("then comes %d, want 7", seq)
		}
		for seq := range int64(5) {
			if v := q.add(seq, make([]byte, 200), false); v != duplicate {
				t.Errorf("%d again is %v, want a duplicate", seq, v)
			}
		}
		q.ack(6)
		q.rewind()
		if _, seq, ok := q.take(); !ok || seq != 5 {
			t.Errorf("on a new connection comes %d first, want 5", seq)
		}
		q.ackThrough(100)
		if !q.empty() || q.bytes != 0 || q.next != 0 {
			t.Errorf("%d entries, %d bytes, next %d are left", len(q.entries), q.bytes, q.next)
		}
		if v := q.add(10, make([]byte, 200), false); v != queued {
			t.Errorf("the next message is %v, want queued", v)
		}
	}
}
