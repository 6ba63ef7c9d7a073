package gateway

import (
	"testing"
	"time"
)

// FuzzQueue plays any sequence of arrivals, sendings, acknowledgements and reconnections
// and compares the queue with what it must know: an acknowledged message is never sent
// again, an unacknowledged one never forgotten, and the byte count is right.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0x00, 0x01, 0x80, 0x40, 0xc0, 0x80}, false)
	f.Add([]byte{0x05, 0x80, 0x45, 0x02, 0x80, 0xc0, 0x05, 0x80}, true)
	f.Fuzz(func(t *testing.T, ops []byte, recovered bool) {
		q := newQueue(recovered)
		kept, acked := map[int64]bool{}, map[int64]bool{}
		for _, op := range ops {
			seq := int64(op & 0x3f)
			switch op >> 6 {
			case 0: // the sender sends seq
				v := q.add(seq, []byte{byte(seq)}, false)
				if (v == duplicate) != acked[seq] || (v == queued) != (!acked[seq] && !kept[seq]) {
					t.Fatalf("add %d: verdict %d with kept %v and acknowledged %v", seq, v, kept[seq], acked[seq])
				}
				kept[seq] = !acked[seq]
			case 1: // the receiver acknowledges seq
				if news := q.ack(seq); news != kept[seq] {
					t.Fatalf("ack %d is news: %v, kept: %v", seq, news, kept[seq])
				}
				if kept[seq] {
					kept[seq], acked[seq] = false, true
				}
			case 2: // the writer takes everything
				for {
					frame, _, ok := q.take()
					if !ok {
						break
					}
					if !kept[int64(frame[0])] {
						t.Fatalf("sent %d, which is not kept", frame[0])
					}
				}
			case 3:
				q.rewind()
			}
			bytes := 0
			for n, k := range kept {
				if k {
					bytes++
					if q.find(n) == nil {
						t.Fatalf("%d is forgotten", n)
					}
				}
			}
			if q.bytes != bytes {
				t.Fatalf("%d bytes counted, %d kept", q.bytes, bytes)
			}
		}
		q.rewind()
		last := int64(-1)
		for { // after a reconnection everything kept goes out once, in order
			frame, _, ok := q.take()
			if !ok {
				break
			}
			if int64(frame[0]) <= last {
				t.Fatalf("%d after %d", frame[0], last)
			}
			last = int64(frame[0])
			delete(kept, last)
		}
		for n, k := range kept {
			if k {
				t.Fatalf("%d was not sent after the reconnection", n)
			}
		}
	})
}

// FuzzToken presents any text as a channel token: none but the issued one opens the
// channel, and that once.
func FuzzToken(f *testing.F) {
	f.Add("", uint16(0), byte(0))
	f.Add("AAAA", uint16(3), byte(1))
	f.Fuzz(func(t *testing.T, text string, at uint16, flip byte) {
		tokens := &tokens{key: make([]byte, 32), now: time.Now, used: map[[16]byte]time.Time{}}
		good := tokens.issue("data/s", "mi-1")
		forged := []byte(good)
		forged[int(at)%len(forged)] ^= flip
		for _, bad := range []string{text, string(forged), good + text} {
			if bad != good && tokens.redeem(bad, "data/s", "mi-1") == nil {
				t.Fatalf("%q opens the channel of %q", bad, good)
			}
		}
		if tokens.redeem(good, "data/other", "mi-1") == nil || tokens.redeem(good, "data/s", "mi-2") == nil {
			t.Fatal("the token opens another channel")
		}
		if err := tokens.redeem(good, "data/s", "mi-1"); err != nil {
			t.Fatal(err)
		}
		if tokens.redeem(good, "data/s", "mi-1") == nil {
			t.Fatal("the token opens the channel twice")
		}
	})
}
