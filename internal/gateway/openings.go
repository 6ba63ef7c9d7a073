package gateway

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds of the data channels that nobody has shown a right to yet. Each may wait for
// its first message as long as openTimeout, and takes some 50 KiB until then.
const (
	maxOpenings         = 4096
	maxOpeningsOfSource = 256 // of one address, behind which may be a whole office
)

// openings counts the unsigned websockets that have not presented a token yet. A client's
// takes one round trip; only an attacker's are many at a time.
type openings struct {
	mu      sync.Mutex
	total   int            // guarded by mu
	sources map[string]int // guarded by mu
}

// begin admits one more from an address. Whoever is admitted calls end, once or more.
func (o *openings) begin(remote string) (end func(), ok bool) {
	source := openingSource(remote)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.total >= maxOpenings || o.sources[source] >= maxOpeningsOfSource {
		return nil, false
	}
	if o.sources == nil {
		o.sources = map[string]int{}
	}
	o.total++
	o.sources[source]++
	return sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.total--
		if o.sources[source]--; o.sources[source] == 0 {
			delete(o.sources, source)
		}
	}), true
}

// openingSource is what stands for a remote address: the IP address, or the /64 of an
// IPv6 address, of which one machine usually has all.
func openingSource(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}
