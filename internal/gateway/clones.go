package gateway

import (
	"net"
	"slices"
	"time"
)

// A node's control channel that takes the place of one still open is what a lost
// connection looks like. When it goes on, two machines have one identity: a clone brings
// key and id along, and both open the channel again each time the other does.
const (
	takeoverWindow = 10 * time.Minute
	maxTakeovers   = 5 // in a window; more is told to the operator, once
	maxTakers      = 4 // addresses that are told
)

// takeovers are those of one node within a window.
type takeovers struct {
	since     time.Time
	n         int
	addresses []string
}

// tookOver notes that a node's control channel from one address took the place of one
// that was open from another. g.mu is held.
func (g *Gateway) tookOver(nodeID, older, newer string, now time.Time) {
	t := g.takeovers[nodeID]
	if t == nil || now.Sub(t.since) > takeoverWindow {
		g.forgetTakeovers(now)
		t = &takeovers{since: now}
		g.takeovers[nodeID] = t
	}
	t.n++
	for _, remote := range []string{older, newer} {
		host, _, err := net.SplitHostPort(remote)
		if err == nil && len(t.addresses) < maxTakers && !slices.Contains(t.addresses, host) {
			t.addresses = append(t.addresses, host)
		}
	}
	if t.n == maxTakeovers {
		g.logger.Warn("a node's control channel is taken over again and again: two machines may be using its identity",
			"node_id", nodeID, "remotes", t.addresses, "times", t.n, "within", takeoverWindow,
			"hint", "if one is a clone of the other, register the clone again with -y; if not, the node's network keeps failing")
	}
}

// forgetTakeovers drops windows that are over. g.mu is held.
func (g *Gateway) forgetTakeovers(now time.Time) {
	for id, t := range g.takeovers {
		if now.Sub(t.since) > takeoverWindow {
			delete(g.takeovers, id)
		}
	}
}
