package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// RunLogs runs the contract for log groups, streams and events on one kind of database.
func RunLogs(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"GroupsRoundTrip", logGroupsRoundTrip},
		{"GroupTags", logGroupTags},
		{"StreamsInOrder", logStreamsInOrder},
		{"EventsInOrder", logEventsInOrder},
		{"DeletedIsGoneAtOnce", logDeletedIsGoneAtOnce},
		{"Retention", logRetention},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

func logGroup(t *testing.T, s *store.Store, name string) store.LogGroup {
	t.Helper()
	must(t, s.CreateLogGroup(t.Context(), store.LogGroup{Name: name, Class: "STANDARD", CreatedAt: t0}))
	g, err := s.LogGroup(t.Context(), name)
	must(t, err)
	return g
}

func logStream(t *testing.T, s *store.Store, g store.LogGroup, name string) store.LogStream {
	t.Helper()
	must(t, s.CreateLogStream(t.Context(), store.LogStream{GroupID: g.ID, Name: name, CreatedAt: t0}))
	st, err := s.LogStream(t.Context(), g.ID, name)
	must(t, err)
	return st
}

// putLogs puts messages a second apart, beginning at t0 plus ahead.
func putLogs(t *testing.T, s *store.Store, st store.LogStream, ahead time.Duration, messages ...string) {
	t.Helper()
	var events []store.LogEvent
	for i, m := range messages {
		at := t0.Add(ahead + time.Duration(i)*time.Second).UnixMilli()
		events = append(events, store.LogEvent{LogPosition: store.LogPosition{At: at, Sequence: at + int64(i)}, IngestedAt: at, Message: []byte(m)})
	}
	must(t, s.PutLogEvents(t.Context(), st, events, t0.Add(ahead)))
}

func logMessages(t *testing.T, s *store.Store, f store.LogEventFilter) []string {
	t.Helper()
	if f.Before == (store.LogPosition{}) {
		f.Before = store.LastLogPosition
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	events, err := s.LogEvents(t.Context(), f)
	must(t, err)
	var got []string
	for _, e := range events {
		got = append(got, string(e.Message))
	}
	return got
}

func logGroupsRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := store.LogGroup{Name: "/a/b", KMSKeyID: "arn", SealedKey: []byte{1, 0}, Class: "STANDARD", RetentionDays: 7, CreatedAt: t0,
		Tags: []ssm.Tag{{Key: "team", Value: "x"}}}
	must(t, s.CreateLogGroup(ctx, want))
	got, err := s.LogGroup(ctx, "/a/b")
	must(t, err)
	if got.ID <= 0 {
		t.Errorf("id %d", got.ID)
	}
	want.ID = got.ID
	equal(t, "group", got, want)
	wantErr(t, s.CreateLogGroup(ctx, want), store.ErrExists)
	must(t, s.SetLogRetention(ctx, "/a/b", 0))
	got, err = s.LogGroup(ctx, "/a/b")
	must(t, err)
	equal(t, "retention", got.RetentionDays, 0)
	_, err = s.LogGroup(ctx, "/a")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.SetLogRetention(ctx, "/a", 1), store.ErrNotFound)

	// The order is that of the bytes, whatever the database's language.
	for _, name := range []string{"B", "a", "/a", "_"} {
		logGroup(t, s, name)
	}
	var names []string
	for page := (store.Page{Limit: 2}); ; {
		groups, next, err := s.LogGroups(ctx, store.LogGroupFilter{}, page)
		must(t, err)
		for _, g := range groups {
			names = append(names, g.Name)
		}
		if next == "" {
			break
		}
		page.After = next
	}
	equal(t, "names", names, []string{"/a", "/a/b", "B", "_", "a"})
	groups, _, err := s.LogGroups(ctx, store.LogGroupFilter{Prefix: "/a/"}, store.Page{})
	must(t, err)
	equal(t, "by prefix", len(groups), 1)
	groups, _, err = s.LogGroups(ctx, store.LogGroupFilter{Names: []string{"B", "a", "none"}}, store.Page{})
	must(t, err)
	equal(t, "by name", len(groups), 2)
}

func logGroupTags(t *testing.T, s *store.Store) {
	ctx := t.Context()
	logGroup(t, s, "g")
	must(t, s.TagLogGroup(ctx, "g", []ssm.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, 2))
	must(t, s.TagLogGroup(ctx, "g", []ssm.Tag{{Key: "a", Value: "3"}}, 2))
	if err := s.TagLogGroup(ctx, "g", []ssm.Tag{{Key: "c"}}, 2); err == nil {
		t.Error("a third tag where two are allowed")
	}
	must(t, s.UntagLogGroup(ctx, "g", []string{"b", "x"}))
	g, err := s.LogGroup(ctx, "g")
	must(t, err)
	equal(t, "tags", g.Tags, []ssm.Tag{{Key: "a", Value: "3"}})
	wantErr(t, s.TagLogGroup(ctx, "other", nil, 2), store.ErrNotFound)
	must(t, s.DeleteLogGroup(ctx, "g", t0))
	equal(t, "tags of a new group", logGroup(t, s, "g").Tags, []ssm.Tag(nil))
}

func logStreamsInOrder(t *testing.T, s *store.Store) {
	ctx := t.Context()
	g := logGroup(t, s, "g")
	for i, name := range []string{"b", "A", "a/1", "a", "é"} {
		st := logStream(t, s, g, name)
		if i < 3 {
			putLogs(t, s, st, -time.Duration(i)*time.Minute, "x")
		}
	}
	wantErr(t, s.CreateLogStream(ctx, store.LogStream{GroupID: g.ID, Name: "a", CreatedAt: t0}), store.ErrExists)
	wantErr(t, s.CreateLogStream(ctx, store.LogStream{GroupID: g.ID + 1, Name: "a", CreatedAt: t0}), store.ErrNotFound)
	list := func(f store.LogStreamFilter) []string {
		t.Helper()
		f.GroupID = g.ID
		var names []string
		for page := (store.Page{Limit: 2}); ; {
			streams, next, err := s.LogStreams(ctx, f, page)
			must(t, err)
			for _, st := range streams {
				names = append(names, st.Name)
			}
			if next == "" {
				return names
			}
			page.After = next
		}
	}
	byName := []string{"A", "a", "a/1", "b", "é"}
	equal(t, "by name", list(store.LogStreamFilter{}), byName)
	equal(t, "prefix", list(store.LogStreamFilter{Prefix: "a"}), []string{"a", "a/1"})
	slices.Reverse(byName)
	equal(t, "descending", list(store.LogStreamFilter{Descending: true}), byName)
	byEvent := []string{"a", "é", "a/1", "A", "b"}
	equal(t, "by event", list(store.LogStreamFilter{ByLastEvent: true}), byEvent)
	slices.Reverse(byEvent)
	equal(t, "by event, descending", list(store.LogStreamFilter{ByLastEvent: true, Descending: true}), byEvent)
}

func logEventsInOrder(t *testing.T, s *store.Store) {
	ctx := t.Context()
	g := logGroup(t, s, "g")
	one, two := logStream(t, s, g, "one"), logStream(t, s, g, "two")
	putLogs(t, s, one, 0, "a", "c", "half of \xe3\x81 and \x00")
	putLogs(t, s, two, 500*time.Millisecond, "b", "d")
	wantErr(t, s.PutLogEvents(ctx, one, []store.LogEvent{
		{LogPosition: store.LogPosition{At: 1, Sequence: 1}, Message: []byte("new")},
		{LogPosition: store.LogPosition{At: t0.UnixMilli(), Sequence: t0.UnixMilli()}, Message: []byte("old")},
	}, t0), store.ErrExists)
	all := []string{"a", "b", "c", "d", "half of \xe3\x81 and \x00"}
	equal(t, "group", logMessages(t, s, store.LogEventFilter{GroupID: g.ID}), all)
	equal(t, "streams", logMessages(t, s, store.LogEventFilter{Streams: []int64{one.ID, two.ID}}), all)
	equal(t, "stream", logMessages(t, s, store.LogEventFilter{Streams: []int64{two.ID}}), []string{"b", "d"})
	equal(t, "backwards", logMessages(t, s, store.LogEventFilter{GroupID: g.ID, Descending: true, Limit: 2}), []string{all[4], "d"})
	equal(t, "bytes", logMessages(t, s, store.LogEventFilter{GroupID: g.ID, MaxBytes: 2}), all[:2])
	from := store.LogPosition{At: t0.UnixMilli(), Sequence: t0.UnixMilli()}
	equal(t, "after", logMessages(t, s, store.LogEventFilter{GroupID: g.ID, After: from}), all[1:])
	equal(t, "before", logMessages(t, s, store.LogEventFilter{GroupID: g.ID, Before: from}), []string(nil))
	st, err := s.LogStream(ctx, g.ID, "one")
	must(t, err)
	equal(t, "first", st.FirstEventAt, t0)
	equal(t, "last", st.LastEventAt, t0.Add(2*time.Second))
	equal(t, "bytes kept", st.StoredBytes, int64(2+len(all[4])))
	g, err = s.LogGroup(ctx, "g")
	must(t, err)
	equal(t, "bytes of the group", g.StoredBytes, st.StoredBytes+2)
	names, err := s.LogStreamNames(ctx, []int64{one.ID, two.ID, 5})
	must(t, err)
	equal(t, "names", names, map[int64]string{one.ID: "one", two.ID: "two"})
}

func logDeletedIsGoneAtOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	g := logGroup(t, s, "g")
	one, two := logStream(t, s, g, "one"), logStream(t, s, g, "two")
	putLogs(t, s, one, 0, "a")
	putLogs(t, s, two, 0, "b")
	must(t, s.DeleteLogStream(ctx, g.ID, "one", t0))
	wantErr(t, s.DeleteLogStream(ctx, g.ID, "one", t0), store.ErrNotFound)
	wantErr(t, s.PutLogEvents(ctx, one, []store.LogEvent{{Message: []byte("c")}}, t0), store.ErrNotFound)
	again := logStream(t, s, g, "one")
	equal(t, "a new stream of the name", logMessages(t, s, store.LogEventFilter{Streams: []int64{again.ID}}), []string(nil))
	must(t, s.DeleteLogGroup(ctx, "g", t0))
	_, err := s.LogGroup(ctx, "g")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.CreateLogStream(ctx, store.LogStream{GroupID: g.ID, Name: "x", CreatedAt: t0}), store.ErrNotFound)
	wantErr(t, s.PutLogEvents(ctx, two, []store.LogEvent{{Message: []byte("c")}}, t0), store.ErrNotFound)
	logGroup(t, s, "g")
	n, err := s.RemoveDeletedLogs(ctx)
	must(t, err)
	equal(t, "removed", n, int64(2))
	equal(t, "left", logMessages(t, s, store.LogEventFilter{GroupID: g.ID}), []string(nil))
	groups, _, err := s.LogGroups(ctx, store.LogGroupFilter{}, store.Page{})
	must(t, err)
	equal(t, "groups", len(groups), 1)
}

func logRetention(t *testing.T, s *store.Store) {
	ctx := t.Context()
	g, forever := logGroup(t, s, "g"), logGroup(t, s, "forever")
	st, kept := logStream(t, s, g, "s"), logStream(t, s, forever, "s")
	var old []string
	for i := range 2500 { // more than one batch
		old = append(old, fmt.Sprint(i%10))
	}
	putLogs(t, s, st, -48*time.Hour, old...)
	putLogs(t, s, kept, -48*time.Hour, old...)
	putLogs(t, s, st, 0, "new")
	must(t, s.SetLogRetention(ctx, "g", 1))
	n, err := s.RemoveExpiredLogs(ctx, t0)
	must(t, err)
	equal(t, "removed", n, int64(len(old)))
	equal(t, "left", logMessages(t, s, store.LogEventFilter{GroupID: g.ID}), []string{"new"})
	equal(t, "left where nothing expires", len(logMessages(t, s, store.LogEventFilter{GroupID: forever.ID, Limit: 5000})), len(old))
	st, err = s.LogStream(ctx, g.ID, "s")
	must(t, err)
	equal(t, "bytes", st.StoredBytes, int64(3))
}
