package logstream

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// TestFilterAmongMany measures FilterLogEvents for one session among many events, on each
// database. It is skipped unless SEKISHO_LOG_EVENTS says how many.
func TestFilterAmongMany(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { filterAmongMany(t, db) })
	}
}

func filterAmongMany(t *testing.T, db storetest.Database) {
	total, err := strconv.Atoi(os.Getenv("SEKISHO_LOG_EVENTS"))
	if err != nil {
		t.Skip("SEKISHO_LOG_EVENTS does not say how many events to search, such as 1000000")
	}
	const perSession = 100
	w := newWorldOn(t, storetest.OpenDSN(t, db.New(t)))
	w.stream("sessions")
	g, err := w.store.LogGroup(t.Context(), "sessions")
	must(t, err)
	start := time.Now().Add(-time.Hour)
	name := func(i int) string { return fmt.Sprintf("user%d-%017x", i%50, i) }
	for i := range total / perSession {
		must(t, w.store.CreateLogStream(t.Context(), store.LogStream{GroupID: g.ID, Name: name(i), CreatedAt: start}))
		st, err := w.store.LogStream(t.Context(), g.ID, name(i))
		must(t, err)
		events := make([]store.LogEvent, perSession)
		for j := range events {
			at := start.UnixMilli() + int64(i+j*1000)
			events[j] = store.LogEvent{LogPosition: store.LogPosition{At: at, Sequence: int64(i*perSession + j)}, IngestedAt: at,
				Message: fmt.Appendf(nil, `{"eventVersion":"1.0","sessionId":%q,"sessionData":["line %d","%060d"]}`, name(i), j, j)}
		}
		must(t, w.store.PutLogEvents(t.Context(), st, events, start))
	}
	for _, what := range []struct {
		name string
		in   func(i int) *FilterLogEventsInput
	}{
		{"stream", func(i int) *FilterLogEventsInput {
			return &FilterLogEventsInput{LogGroupName: "sessions", LogStreamNames: []string{name(i)}}
		}},
		{"stream and pattern", func(i int) *FilterLogEventsInput {
			return &FilterLogEventsInput{LogGroupName: "sessions", LogStreamNames: []string{name(i)}, FilterPattern: `{ $.sessionData[0] = "line 7*" }`}
		}},
		{"prefix", func(i int) *FilterLogEventsInput {
			return &FilterLogEventsInput{LogGroupName: "sessions", LogStreamNamePrefix: name(i)}
		}},
	} {
		var took []time.Duration
		for n := range 200 {
			began := time.Now()
			out := do[FilterLogEventsOutput](w, "FilterLogEvents", what.in(n*7919%(total/perSession)))
			took = append(took, time.Since(began))
			if len(out.Events) == 0 {
				t.Fatal("nothing found")
			}
		}
		slices.Sort(took)
		t.Logf("%d events, one session by %s: p50 %v, p95 %v", total, what.name, took[len(took)/2], took[len(took)*95/100])
	}
}
