package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sekisho/internal/message"
)

// A machine and its clone take the control channel from each other: that is told once. A
// network that fails now and then is not.
func TestTwoMachinesWithOneIdentityAreNoticed(t *testing.T) {
	var log bytes.Buffer
	g := &Gateway{logger: slog.New(slog.NewTextHandler(&log, nil)), takeovers: map[string]*takeovers{}}
	now := time.Unix(1e9, 0)
	for i := range 20 { // once an hour, each from another port
		g.tookOver("mi-1", "192.0.2.1:1000", "192.0.2.1:1001", now.Add(time.Duration(i)*time.Hour))
	}
	if log.Len() != 0 {
		t.Errorf("a bad network is taken for a clone: %s", &log)
	}
	if len(g.takeovers) != 1 {
		t.Errorf("%d windows are kept", len(g.takeovers))
	}
	for i := range 20 {
		g.tookOver("mi-2", "192.0.2.1:1000", "[2001:db8::7]:99", now.Add(time.Duration(i)*time.Second))
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "mi-2") ||
		!strings.Contains(got, "192.0.2.1 2001:db8::7") || !strings.Contains(got, "register the clone again") {
		t.Errorf("the operator reads %q", got)
	}
}

// An agent and its clone, for real.
func TestCloneTakesOver(t *testing.T) {
	h := newHouse(t, Limits{})
	path := "/v1/control-channel/" + h.nodeID
	current := func() *control {
		h.gateway.mu.Lock()
		defer h.gateway.mu.Unlock()
		if c := h.gateway.nodes[h.nodeID]; c != nil && c.noted {
			return c
		}
		return nil
	}
	var older *peer
	for range maxTakeovers + 1 {
		before := current()
		newer := h.dial(path, &h.node, message.OpenControlChannel{TokenValue: h.token(path), AgentVersion: "3.3.1142.0", PlatformType: "linux"})
		if older != nil {
			older.wantClosed()
		}
		h.eventually("the newer channel is the node's", func() bool { c := current(); return c != nil && c != before })
		older = newer
	}
	h.gateway.mu.Lock()
	defer h.gateway.mu.Unlock()
	if n := h.gateway.takeovers[h.nodeID]; n == nil || n.n != maxTakeovers {
		t.Errorf("noted: %+v", n)
	}
}
