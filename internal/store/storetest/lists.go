package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func sessionFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := node(t, s), node(t, s)
	start := func(id string, n store.Node, owner, access string, minute int) {
		x := newSession(n, t0.Add(time.Duration(minute)*time.Minute))
		x.ID, x.OwnerARN, x.AccessType = id, owner, access
		must(t, s.CreateSession(ctx, x, startEvent(x)))
	}
	start("s1", a, "alice", "Standard", 1)
	start("s2", a, "bob", "JustInTime", 2)
	start("s3", b, "alice", "Standard", 3)
	start("s4", b, "alice", "Standard", 4)
	_, err := s.SetSessionStatus(ctx, "s2", ssm.SessionConnected)
	must(t, err)
	_, err = s.EndSession(ctx, "s3", ssm.SessionTerminated, "", t0)
	must(t, err)
	_, err = s.EndSession(ctx, "s4", ssm.SessionFailed, "", t0)
	must(t, err)

	for name, test := range map[string]struct {
		filter store.SessionFilter
		want   []string
	}{
		"all":            {store.SessionFilter{}, []string{"s4", "s3", "s2", "s1"}},
		"active":         {store.SessionFilter{State: store.StateActive}, []string{"s2", "s1"}},
		"history":        {store.SessionFilter{State: store.StateHistory}, []string{"s4", "s3"}},
		"id":             {store.SessionFilter{IDs: []string{"s1", "s3", "s9"}}, []string{"s3", "s1"}},
		"node":           {store.SessionFilter{NodeIDs: []string{a.ID}}, []string{"s2", "s1"}},
		"owner, history": {store.SessionFilter{State: store.StateHistory, OwnerARNs: []string{"alice"}}, []string{"s4", "s3"}},
		"status": {store.SessionFilter{Statuses: []ssm.SessionStatus{ssm.SessionConnected, ssm.SessionFailed}},
			[]string{"s4", "s2"}},
		"access":         {store.SessionFilter{AccessTypes: []string{"JustInTime"}}, []string{"s2"}},
		"after":          {store.SessionFilter{StartedAfter: t0.Add(3 * time.Minute)}, []string{"s4", "s3"}},
		"before":         {store.SessionFilter{StartedBefore: t0.Add(3 * time.Minute)}, []string{"s2", "s1"}},
		"between":        {store.SessionFilter{StartedAfter: t0.Add(2 * time.Minute), StartedBefore: t0.Add(4 * time.Minute)}, []string{"s3", "s2"}},
		"contradictory":  {store.SessionFilter{State: store.StateActive, Statuses: []ssm.SessionStatus{ssm.SessionFailed}}, nil},
		"unknown status": {store.SessionFilter{Statuses: []ssm.SessionStatus{"x"}}, nil},
	} {
		list, _, err := s.Sessions(ctx, test.filter, store.Page{})
		must(t, err)
		var got []string
		for _, x := range list {
			got = append(got, x.ID)
		}
		equal(t, name, got, test.want)
	}
	_, _, err = s.Sessions(ctx, store.SessionFilter{State: "active"}, store.Page{})
	wantErr(t, err, store.ErrInvalid)
}

func liveSessions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := node(t, s), node(t, s)
	first, second, ended := session(t, s, a, t0), session(t, s, b, t0.Add(time.Second)), session(t, s, a, t0.Add(2*time.Second))
	_, err := s.EndSession(ctx, ended.ID, ssm.SessionTerminated, "", t0)
	must(t, err)
	list, err := s.LiveSessions(ctx)
	must(t, err)
	equal(t, "live sessions", list, []store.Session{first, second})
	list, err = s.LiveSessionsOfNode(ctx, a.ID)
	must(t, err)
	equal(t, "live sessions of a node", list, []store.Session{first})
}

func sessionHistoryIsDeleted(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := node(t, s)
	live, old, recent := session(t, s, n, t0), session(t, s, n, t0), session(t, s, n, t0)
	for id, end := range map[string]time.Time{old.ID: t0.Add(time.Minute), recent.ID: t0.Add(time.Hour)} {
		_, err := s.EndSession(ctx, id, ssm.SessionTerminated, "", end)
		must(t, err)
	}
	deleted, err := s.DeleteSessionsEndedBefore(ctx, t0.Add(time.Hour))
	must(t, err)
	equal(t, "deleted", deleted, int64(1))
	_, err = s.Session(ctx, old.ID)
	wantErr(t, err, store.ErrNotFound)
	for _, id := range []string{live.ID, recent.ID} {
		_, err = s.Session(ctx, id)
		must(t, err)
	}
}

func auditTrail(t *testing.T, s *store.Store) {
	ctx := t.Context()
	events := []store.AuditEvent{
		{At: t0, Principal: "alice", Action: "ssm:StartSession", Resources: []string{"a", "b"}, SourceIP: "192.0.2.1",
			UserAgent: "aws-cli/2", RequestID: "r1"},
		{At: t0.Add(time.Minute), Principal: "bob", Action: "ssm:StartSession", RequestID: "r2", ErrorCode: ssm.CodeAccessDenied},
		{At: t0.Add(2 * time.Minute), Principal: "alice", Action: "ssm:TerminateSession", RequestID: "r3"},
	}
	for _, e := range events {
		must(t, s.AppendAudit(ctx, e))
	}
	list, next, err := s.AuditEvents(ctx, store.AuditFilter{}, store.Page{})
	must(t, err)
	equal(t, "cursor", next, "")
	ids := map[string]bool{}
	for i := range list {
		ids[list[i].ID] = true
		list[i].ID = ""
	}
	slices.Reverse(events)
	equal(t, "events, newest first", list, events)
	if len(ids) != 3 || ids[""] {
		t.Errorf("ids are %v", ids)
	}
	for name, test := range map[string]struct {
		filter store.AuditFilter
		want   []string
	}{
		"principal": {store.AuditFilter{Principals: []string{"alice"}}, []string{"r3", "r1"}},
		"action":    {store.AuditFilter{Actions: []string{"ssm:StartSession"}, Principals: []string{"bob"}}, []string{"r2"}},
		"time":      {store.AuditFilter{After: t0.Add(time.Minute), Before: t0.Add(2 * time.Minute)}, []string{"r2"}},
	} {
		list, _, err := s.AuditEvents(ctx, test.filter, store.Page{})
		must(t, err)
		var got []string
		for _, e := range list {
			got = append(got, e.RequestID)
		}
		equal(t, name, got, test.want)
	}
	fixed := store.AuditEvent{ID: "fixed", At: t0, Action: "x"}
	must(t, s.AppendAudit(ctx, fixed))
	wantErr(t, s.AppendAudit(ctx, fixed), store.ErrExists)
}

// walk reads a list to its end in pages of limit, and calls between after each page
// but the last.
func walk[T any](t *testing.T, limit int, list func(store.Page) ([]T, string, error), id func(T) string, between func(page int)) []string {
	t.Helper()
	var ids []string
	p := store.Page{Limit: limit}
	for n := 1; ; n++ {
		items, next, err := list(p)
		must(t, err)
		for _, item := range items {
			ids = append(ids, id(item))
		}
		if next == "" {
			return ids
		}
		if len(items) != limit {
			t.Fatalf("page %d has %d rows and is not the last, want %d", n, len(items), limit)
		}
		p.After = next
		if between != nil {
			between(n)
		}
	}
}

func nodePagesSurviveChanges(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a := activation(t, s, 100)
	register := func(id string) {
		n := newNode()
		n.ID = id
		_, err := s.RegisterNode(ctx, a.ID, hash(code), n, t0)
		must(t, err)
	}
	for i := 10; i < 20; i++ {
		register(fmt.Sprintf("mi-%d0", i))
	}
	ids := walk(t, 3, func(p store.Page) ([]store.Node, string, error) { return s.Nodes(ctx, store.NodeFilter{}, p) },
		func(n store.Node) string { return n.ID },
		func(page int) {
			if page != 1 {
				return // mi-100, mi-110, mi-120 are seen
			}
			register("mi-105")                             // before the cursor: not seen
			register("mi-125")                             // after it: seen
			must(t, s.DeregisterNode(ctx, "mi-100", t0))   // seen already
			must(t, s.DeregisterNode(ctx, "mi-120", t0))   // the row of the cursor itself
			must(t, s.DeregisterNode(ctx, "mi-160", t0))   // not seen yet
			must(t, s.DeleteActivation(ctx, a.ID))         // does not concern the list
			_, err := s.DeleteSessionsEndedBefore(ctx, t0) // nor does this
			must(t, err)
		})
	equal(t, "ids", ids, []string{"mi-100", "mi-110", "mi-120", "mi-125", "mi-130", "mi-140", "mi-150", "mi-170", "mi-180", "mi-190"})
}

func sessionPagesSurviveChanges(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := node(t, s)
	var want []string
	for i := range 9 {
		want = append(want, session(t, s, n, t0.Add(time.Duration(i/2)*time.Second)).ID)
	}
	seen := walk(t, 2, func(p store.Page) ([]store.Session, string, error) { return s.Sessions(ctx, store.SessionFilter{}, p) },
		func(x store.Session) string { return x.ID },
		func(page int) {
			session(t, s, n, t0.Add(time.Hour)) // newer ones come in before what is seen
			if page == 2 {
				// The newest of the first nine is seen; it goes.
				_, err := s.EndSession(ctx, want[8], ssm.SessionTerminated, "", t0)
				must(t, err)
				_, err = s.DeleteSessionsEndedBefore(ctx, t0.Add(time.Second))
				must(t, err)
			}
		})
	equal(t, "number", len(seen), 9)
	slices.Sort(seen)
	slices.Sort(want)
	equal(t, "sessions", seen, want) // each once
}

func activationPages(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var want []string
	for range 6 {
		want = append(want, activation(t, s, 1).ID)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 3, 5, 6, 7} {
		got := walk(t, limit, func(p store.Page) ([]store.Activation, string, error) {
			return s.Activations(ctx, store.ActivationFilter{IamRoles: []string{"service-role/Nodes"}}, p)
		}, func(a store.Activation) string { return a.ID }, nil)
		equal(t, fmt.Sprintf("pages of %d", limit), got, want)
	}
}

func pagesOfEqualTimes(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 7 {
		must(t, s.AppendAudit(ctx, store.AuditEvent{At: t0, Action: "x", RequestID: fmt.Sprint(i)}))
	}
	// Events of one millisecond come in the order in which they were stored.
	got := walk(t, 2, func(p store.Page) ([]store.AuditEvent, string, error) {
		return s.AuditEvents(ctx, store.AuditFilter{}, p)
	},
		func(e store.AuditEvent) string { return e.RequestID }, nil)
	equal(t, "events", got, []string{"6", "5", "4", "3", "2", "1", "0"})
}

func badCursorIsRefused(t *testing.T, s *store.Store) {
	for _, cursor := range []string{"x", ".", "12", "x.y", "99999999999999999999.y", "1 or 1=1.y"} {
		_, _, err := s.Sessions(t.Context(), store.SessionFilter{}, store.Page{After: cursor})
		wantErr(t, err, store.ErrCursor)
		_, _, err = s.AuditEvents(t.Context(), store.AuditFilter{}, store.Page{After: cursor})
		wantErr(t, err, store.ErrCursor)
	}
}

func pageLimits(t *testing.T, s *store.Store) {
	for range 51 {
		must(t, s.AppendAudit(t.Context(), store.AuditEvent{At: t0, Action: "x"}))
	}
	for limit, want := range map[int]int{0: 50, -1: 50, 1: 1, 51: 51, 1 << 30: 51} {
		list, next, err := s.AuditEvents(t.Context(), store.AuditFilter{}, store.Page{Limit: limit})
		must(t, err)
		equal(t, fmt.Sprintf("rows for limit %d", limit), len(list), want)
		equal(t, fmt.Sprintf("more after limit %d", limit), next != "", want < 51)
	}
}
