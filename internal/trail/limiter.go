package trail

import (
	"net/netip"
	"sync"
	"time"
)

// How many refused calls of callers that prove nothing are recorded: a burst, and then
// so many a second; per address, and for all addresses together. All together they make
// at most some 100 MB of events in a day.
const (
	addressBurst = 20
	addressRate  = 0.1
	totalBurst   = 200
	totalRate    = 1.0

	// maxAddresses bounds the addresses that are kept apart.
	maxAddresses = 4096
)

// bucket is a token bucket.
type bucket struct {
	tokens  float64
	at      time.Time
	dropped int64 // calls that were refused since the last one that was not
}

// refill adds what has come since the last time.
func (b *bucket) refill(now time.Time, rate, burst float64) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(burst, b.tokens+d.Seconds()*rate)
		b.at = now
	}
}

// limiter decides which calls of callers that prove nothing are recorded.
type limiter struct {
	mu        sync.Mutex
	total     bucket
	addresses map[netip.Prefix]*bucket
	forgotten int64 // dropped calls of addresses that are no longer kept apart
}

func newLimiter() *limiter {
	return &limiter{total: bucket{tokens: totalBurst}, addresses: make(map[netip.Prefix]*bucket)}
}

// network is what counts as one address: of IPv6, everybody has a /64 at least.
func network(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{} // all of these are one
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // bits fit
	return p
}

// allow says whether a call may be recorded and, if so, how many of that address, and of
// addresses since forgotten, were not.
func (l *limiter) allow(address string, now time.Time) (ok bool, dropped int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.refill(now, totalRate, totalBurst)
	key := network(address)
	b := l.addresses[key]
	if b == nil {
		if len(l.addresses) >= maxAddresses {
			l.forget(now)
		}
		b = &bucket{tokens: addressBurst, at: now}
		l.addresses[key] = b
	}
	b.refill(now, addressRate, addressBurst)
	if b.tokens < 1 || l.total.tokens < 1 {
		b.dropped++
		return false, 0
	}
	b.tokens--
	l.total.tokens--
	dropped = b.dropped + l.forgotten
	b.dropped, l.forgotten = 0, 0
	return true, dropped
}

// forget makes room: addresses whose bucket is full again are as good as new, and if
// there are none, all start anew, for which the bucket of all together makes up.
func (l *limiter) forget(now time.Time) {
	for key, b := range l.addresses {
		b.refill(now, addressRate, addressBurst)
		if b.tokens >= addressBurst {
			l.forgotten += b.dropped
			delete(l.addresses, key)
		}
	}
	if len(l.addresses) < maxAddresses {
		return
	}
	for _, b := range l.addresses {
		l.forgotten += b.dropped
	}
	clear(l.addresses)
}

// takeAll gives the number of calls that no event tells of yet.
func (l *limiter) takeAll() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.forgotten
	l.forgotten = 0
	for _, b := range l.addresses {
		n += b.dropped
		b.dropped = 0
	}
	return n
}
