package datachannel

// ring holds values by consecutive sequence number, in a circle that grows to
// the widest span ever held. Places may be empty. Both directions of a channel
// use one: the sender for what is unacknowledged, the receiver for what is
// unprocessed.
//
// The caller bounds the span before it puts: a peer chooses sequence numbers.
type ring[T any] struct {
	slots []*T  // length is a power of two; a number's slot is its low bits
	base  int64 // lowest number held
	end   int64 // one past the highest number ever put
}

// at returns the value with that number, nil when there is none.
func (r *ring[T]) at(seq int64) *T {
	if seq < r.base || seq >= r.end {
		return nil
	}
	return r.slots[seq&int64(len(r.slots)-1)]
}

// put stores v; seq is not below base.
func (r *ring[T]) put(seq int64, v *T) {
	if span := seq - r.base + 1; span > int64(len(r.slots)) {
		size := int64(16)
		for size < span {
			size *= 2
		}
		grown := make([]*T, size)
		for s := r.base; s < r.end; s++ {
			grown[s&(size-1)] = r.at(s)
		}
		r.slots = grown
	}
	r.slots[seq&int64(len(r.slots)-1)] = v
	r.end = max(r.end, seq+1)
}

// remove empties a place and moves base over empty places, at most to limit.
func (r *ring[T]) remove(seq, limit int64) {
	r.slots[seq&int64(len(r.slots)-1)] = nil
	for r.base < limit && r.at(r.base) == nil {
		r.base++
	}
}
