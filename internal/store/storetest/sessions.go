package storetest

import (
	"errors"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func sessionsRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := node(t, s)
	full := newSession(n, t0)
	full.Reason, full.Details, full.IdleTimeout = "ticket 7", "", 1500*time.Millisecond
	full.Starter = []byte(`{"UserID":"AIDA"}`)
	must(t, s.CreateSession(ctx, full, startEvent(full)))
	bare := store.Session{ID: "bare", NodeID: n.ID, OwnerARN: "arn", Status: ssm.SessionConnecting, StartedAt: t0.Add(time.Second)}
	must(t, s.CreateSession(ctx, bare, startEvent(bare)))
	for _, want := range []store.Session{full, bare} {
		got, err := s.Session(ctx, want.ID)
		must(t, err)
		equal(t, "session", got, want)
	}
	list, next, err := s.Sessions(ctx, store.SessionFilter{}, store.Page{})
	must(t, err)
	equal(t, "sessions, newest first", list, []store.Session{bare, full})
	equal(t, "cursor", next, "")
	_, err = s.Session(ctx, "unknown")
	wantErr(t, err, store.ErrNotFound)
}

func sessionAndAuditAreOne(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := node(t, s)
	events := func() int {
		list, _, err := s.AuditEvents(ctx, store.AuditFilter{}, store.Page{})
		must(t, err)
		return len(list)
	}
	x := session(t, s, n, t0)
	equal(t, "events", events(), 1)
	// The same id again: neither is stored.
	wantErr(t, s.CreateSession(ctx, x, startEvent(x)), store.ErrExists)
	equal(t, "events", events(), 1)
	// An event that cannot be stored takes the session with it.
	y := newSession(n, t0)
	bad := startEvent(y)
	bad.Action = ""
	wantErr(t, s.CreateSession(ctx, y, bad), store.ErrInvalid)
	_, err := s.Session(ctx, y.ID)
	wantErr(t, err, store.ErrNotFound)
	equal(t, "events", events(), 1)
}

func sessionNeedsNode(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := newSession(store.Node{ID: "mi-0ffffffffffffffff"}, t0)
	wantErr(t, s.CreateSession(ctx, x, startEvent(x)), store.ErrNotFound)
	n := node(t, s)
	must(t, s.DeregisterNode(ctx, n.ID, t0))
	x.NodeID = n.ID
	wantErr(t, s.CreateSession(ctx, x, startEvent(x)), store.ErrNotFound)
	events, _, err := s.AuditEvents(ctx, store.AuditFilter{}, store.Page{})
	must(t, err)
	equal(t, "events", len(events), 0)
}

// A session that starts while its node is deregistered is refused, or is there for
// the deregistration to find.
func noSessionBeginsAfterDeregistration(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const rounds, callers = 15, 8
	for range rounds {
		n := node(t, s)
		var found []store.Session
		for _, err := range together(callers, func(i int) (err error) {
			if i == callers/2 {
				if err = s.DeregisterNode(ctx, n.ID, t0); err == nil {
					found, err = s.LiveSessionsOfNode(ctx, n.ID)
				}
				return err
			}
			x := newSession(n, t0)
			if err = s.CreateSession(ctx, x, startEvent(x)); errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		}) {
			must(t, err)
		}
		all, err := s.LiveSessionsOfNode(ctx, n.ID)
		must(t, err)
		equal(t, "sessions", all, found)
	}
}

func sessionStates(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := session(t, s, node(t, s), t0)
	for i, step := range []struct {
		to      ssm.SessionStatus
		from    []ssm.SessionStatus
		changed bool
		now     ssm.SessionStatus
	}{
		{ssm.SessionConnected, []ssm.SessionStatus{ssm.SessionDisconnected}, false, ssm.SessionConnecting},
		{ssm.SessionConnected, []ssm.SessionStatus{ssm.SessionConnecting, ssm.SessionDisconnected}, true, ssm.SessionConnected},
		{ssm.SessionConnected, nil, false, ssm.SessionConnected}, // it is in that state already
		{ssm.SessionDisconnected, nil, true, ssm.SessionDisconnected},
		{ssm.SessionTerminating, nil, true, ssm.SessionTerminating},
	} {
		changed, err := s.SetSessionStatus(ctx, x.ID, step.to, step.from...)
		must(t, err)
		got, err := s.Session(ctx, x.ID)
		must(t, err)
		if changed != step.changed || got.Status != step.now {
			t.Fatalf("step %d: changed %v and status %s, want %v and %s", i, changed, got.Status, step.changed, step.now)
		}
	}
	_, err := s.SetSessionStatus(ctx, x.ID, ssm.SessionTerminated)
	wantErr(t, err, store.ErrInvalid)
	_, err = s.SetSessionStatus(ctx, x.ID, "Napping")
	wantErr(t, err, store.ErrInvalid)
	_, err = s.SetSessionStatus(ctx, "unknown", ssm.SessionConnected)
	wantErr(t, err, store.ErrNotFound)
	y := newSession(store.Node{ID: x.NodeID}, t0)
	y.Status = ssm.SessionTerminated // without an end
	wantErr(t, s.CreateSession(ctx, y, startEvent(y)), store.ErrInvalid)
}

func sessionEndsOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := session(t, s, node(t, s), t0)
	_, err := s.EndSession(ctx, want.ID, ssm.SessionConnected, "", t0)
	wantErr(t, err, store.ErrInvalid)
	changed, err := s.EndSession(ctx, want.ID, ssm.SessionFailed, "node is offline", t0.Add(time.Minute))
	must(t, err)
	equal(t, "changed", changed, true)
	want.Status, want.Details, want.EndedAt = ssm.SessionFailed, "node is offline", t0.Add(time.Minute)
	want.ClientTokenHash, want.ClientTokenExpires = nil, time.Time{}
	check := func() {
		t.Helper()
		got, err := s.Session(ctx, want.ID)
		must(t, err)
		equal(t, "session", got, want)
	}
	check()
	// Whatever comes later changes nothing.
	changed, err = s.EndSession(ctx, want.ID, ssm.SessionTerminated, "later", t0.Add(time.Hour))
	must(t, err)
	equal(t, "changed", changed, false)
	changed, err = s.SetSessionStatus(ctx, want.ID, ssm.SessionConnected)
	must(t, err)
	equal(t, "changed", changed, false)
	changed, err = s.SetClientToken(ctx, want.ID, hash("late"), t0)
	must(t, err)
	equal(t, "changed", changed, false)
	check()
	_, err = s.EndSession(ctx, "unknown", ssm.SessionTerminated, "", t0)
	wantErr(t, err, store.ErrNotFound)
}

func clientTokens(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := session(t, s, node(t, s), t0)
	changed, err := s.SetClientToken(ctx, x.ID, hash("second"), t0.Add(time.Hour))
	must(t, err)
	equal(t, "changed", changed, true)
	got, err := s.Session(ctx, x.ID)
	must(t, err)
	equal(t, "hash", got.ClientTokenHash, hash("second"))
	equal(t, "expiry", got.ClientTokenExpires, t0.Add(time.Hour))
	_, err = s.SetClientToken(ctx, x.ID, []byte("not a hash"), t0)
	wantErr(t, err, store.ErrInvalid)
	_, err = s.SetClientToken(ctx, "unknown", hash("x"), t0)
	wantErr(t, err, store.ErrNotFound)
}

func clientTokenIsRedeemedOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := session(t, s, node(t, s), t0) // its token is "token", good for a minute
	redeem := func(id, token string, now time.Time) bool {
		t.Helper()
		ok, err := s.RedeemClientToken(ctx, id, hash(token), now)
		must(t, err)
		return ok
	}
	equal(t, "another token", redeem(x.ID, "guess", t0), false)
	equal(t, "another session", redeem("unknown", "token", t0), false)
	equal(t, "an expired token", redeem(x.ID, "token", x.ClientTokenExpires), false)
	won := make([]bool, 10)
	for _, err := range together(len(won), func(i int) (err error) {
		won[i], err = s.RedeemClientToken(ctx, x.ID, hash("token"), x.ClientTokenExpires.Add(-time.Millisecond))
		return err
	}) {
		must(t, err)
	}
	equal(t, "redeemers", countTrue(won), 1)
	got, err := s.Session(ctx, x.ID)
	must(t, err)
	equal(t, "hash", len(got.ClientTokenHash), 0)
	_, err = s.SetClientToken(ctx, x.ID, hash("next"), t0.Add(time.Hour))
	must(t, err)
	_, err = s.EndSession(ctx, x.ID, ssm.SessionTerminated, "", t0)
	must(t, err)
	equal(t, "an ended session's token", redeem(x.ID, "next", t0), false)
}

func concurrentStatusChangesHaveOneWinner(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := session(t, s, node(t, s), t0)
	won := make([]bool, 20)
	for _, err := range together(len(won), func(i int) (err error) {
		won[i], err = s.SetSessionStatus(ctx, x.ID, ssm.SessionConnected, ssm.SessionConnecting)
		return err
	}) {
		must(t, err)
	}
	equal(t, "winners", countTrue(won), 1)

	// A ring of changes, each from the state before: however they interleave, every
	// change that was reported happened, so their number tells the final state.
	ring := []ssm.SessionStatus{ssm.SessionConnected, ssm.SessionDisconnected, ssm.SessionTerminating}
	changes := make([]int, 12)
	for _, err := range together(len(changes), func(i int) error {
		for n := range 10 {
			from := (i + n) % len(ring)
			changed, err := s.SetSessionStatus(ctx, x.ID, ring[(from+1)%len(ring)], ring[from])
			if err != nil {
				return err
			}
			if changed {
				changes[i]++
			}
		}
		return nil
	}) {
		must(t, err)
	}
	total := 0
	for _, n := range changes {
		total += n
	}
	got, err := s.Session(ctx, x.ID)
	must(t, err)
	equal(t, "final state", got.Status, ring[total%len(ring)])
}

func concurrentEndsHaveOneWinner(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := session(t, s, node(t, s), t0)
	ended := make([]bool, 20)
	for _, err := range together(len(ended), func(i int) (err error) {
		if i%2 == 0 {
			_, err = s.SetSessionStatus(ctx, x.ID, ssm.SessionConnected, ssm.SessionConnecting)
		}
		if err == nil {
			ended[i], err = s.EndSession(ctx, x.ID, ssm.SessionTerminated, string(rune('a'+i)), t0.Add(time.Duration(i)*time.Second))
		}
		return err
	}) {
		must(t, err)
	}
	equal(t, "winners", countTrue(ended), 1)
	got, err := s.Session(ctx, x.ID)
	must(t, err)
	for i, won := range ended {
		if won {
			equal(t, "details of the winner", got.Details, string(rune('a'+i)))
			equal(t, "end of the winner", got.EndedAt, t0.Add(time.Duration(i)*time.Second))
		}
	}
}

func countTrue(values []bool) int {
	n := 0
	for _, v := range values {
		if v {
			n++
		}
	}
	return n
}
