package logstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Events go to another service over its wire, in the order of their times, with group and
// stream made where they are missing; each once, as long as every answer is heard.
func TestForward(t *testing.T) {
	here, outside := newWorld(t), newWorld(t)
	var refuse error
	f := here.server.Forwarder(func(_ context.Context, operation string, in, out any) error {
		if refuse != nil {
			return refuse
		}
		return outside.try("alice", operation, in, out)
	})
	pass := func() {
		t.Helper()
		_, err := f.Pass(t.Context())
		must(t, err)
	}
	got := func(stream string) string {
		t.Helper()
		return texts(do[GetLogEventsOutput](outside, "GetLogEvents", &GetLogEventsInput{LogGroupName: "g", LogStreamName: stream, StartFromHead: true}).Events)
	}
	here.stream("g", "bob-1", "bob-2", "nothing")
	at := time.Now().Add(-30 * time.Hour)
	here.put("g", "bob-1", at, "b", "c")
	here.put("g", "bob-1", at.Add(26*time.Hour), "d") // more than a batch may span
	here.put("g", "bob-2", at, "\x00\x1b日本")
	pass() // they are too new to be sure that nothing comes before them
	outside.refused("ResourceNotFoundException: The specified log group", "GetLogEvents", &GetLogEventsInput{LogGroupName: "g", LogStreamName: "bob-1"})
	here.ahead.Add(int64(2 * forwardGrace))
	refuse = errors.New("away")
	if _, err := f.Pass(t.Context()); err == nil {
		t.Error("the service is away, and nobody says so")
	}
	refuse = nil
	pass()
	equal(t, "forwarded", got("bob-1"), "b c d")
	equal(t, "forwarded", got("bob-2"), "\x00\x1b日本")
	// What comes later is sent once, also with a time before the others; and a batch of
	// large events in more than one call.
	here.put("g", "bob-1", at.Add(-time.Hour), "a")
	large := strings.Repeat("x", 600_000)
	here.put("g", "bob-2", at.Add(time.Second), large)
	here.put("g", "bob-2", at.Add(2*time.Second), large)
	here.ahead.Add(int64(2 * forwardGrace))
	pass()
	here.ahead.Add(int64(2 * forwardGrace))
	pass()
	equal(t, "forwarded", got("bob-1"), "a b c d")
	equal(t, "events", len(do[FilterLogEventsOutput](outside, "FilterLogEvents", &FilterLogEventsInput{LogGroupName: "g", LogStreamNames: []string{"bob-2"}}).Events), 2) // of the first page
	more := do[FilterLogEventsOutput](outside, "FilterLogEvents", &FilterLogEventsInput{LogGroupName: "g", LogStreamNames: []string{"bob-2"}, FilterPattern: "-日本"})
	equal(t, "large events", len(more.Events)+boolInt(more.NextToken != ""), 2)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
