package control

import (
	"net/netip"
	"sync"
	"time"
)

// Limits on failed registrations. Activation codes have 100 random bits; the limit
// keeps somebody who tries from keeping the database busy.
const (
	failureWindow    = time.Minute
	maxFailures      = 20    // per address and window
	maxFailureSource = 10000 // addresses remembered; the others share one count
)

// failureLimiter counts failures per source address in windows of fixed length.
type failureLimiter struct {
	now func() time.Time

	mu     sync.Mutex // guards the following fields
	start  time.Time  // of the window
	counts map[string]int
}

func newFailureLimiter(now func() time.Time) *failureLimiter {
	return &failureLimiter{now: now, counts: make(map[string]int)}
}

// begin admits an attempt from address, counted as a failure until succeed says
// otherwise: attempts made at the same time cannot get past the limit together.
func (l *failureLimiter) begin(address string) (succeed func(), ok bool) {
	source := failureSource(address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.start) >= failureWindow || now.Before(l.start) {
		l.start = now
		clear(l.counts)
	}
	if _, known := l.counts[source]; !known && len(l.counts) >= maxFailureSource {
		source = ""
	}
	if l.counts[source] >= maxFailures {
		return nil, false
	}
	l.counts[source]++
	window := l.start
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.start.Equal(window) && l.counts[source] > 0 {
			l.counts[source]--
		}
	}, true
}

// failureSource is what stands for an address: itself, or the /64 of an IPv6 address,
// of which one machine usually has all.
func failureSource(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}
