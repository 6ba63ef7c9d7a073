package datachannel

import "time"

const (
	// minRTO is the shortest wait before a message is sent again. The stock
	// peers scan every 100 ms; anything from about 20 ms is gentle enough.
	minRTO = 20 * time.Millisecond
	// maxRTO caps the wait, as the stock peers do.
	maxRTO = time.Second
	// firstRTO is the wait until the first acknowledgement ever. The stock
	// client leaves the first messages unacknowledged until its session handler
	// is registered, so what a user sees at once depends on asking again soon.
	firstRTO = 50 * time.Millisecond
)

// rtt estimates the round trip, from sending to "processed", as RFC 6298 does.
type rtt struct {
	sampled           bool
	smooth, variation time.Duration
	floor             time.Duration // of rto, until the next sample
}

// sample takes the delay of a message that was sent once.
func (r *rtt) sample(s time.Duration) {
	r.floor = 0
	if !r.sampled {
		r.sampled, r.smooth, r.variation = true, s, s/2
		return
	}
	r.variation += ((r.smooth - s).Abs() - r.variation) / 4
	r.smooth += (s - r.smooth) / 8
}

// ambiguous takes the time since the first sending of a message that was sent
// more than once. Which sending was answered is not known, so it is no sample;
// but the next message must wait long enough to become one.
func (r *rtt) ambiguous(sinceFirst time.Duration) { r.floor = min(2*sinceFirst, maxRTO) }

// rto is how long to wait for the acknowledgement of a message that was sent
// again as often as given: the wait doubles each time.
func (r *rtt) rto(resends int) time.Duration {
	d := firstRTO
	if r.sampled {
		d = r.smooth + max(10*time.Millisecond, 4*r.variation)
	}
	d = max(d, minRTO, r.floor)
	for ; resends > 0 && d < maxRTO; resends-- {
		d *= 2
	}
	return min(d, maxRTO)
}
