package logstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

func TestGroups(t *testing.T) {
	w := newWorld(t)
	do[Empty](w, "CreateLogGroup", &CreateLogGroupInput{LogGroupName: "/sekisho/a", Tags: map[string]string{"team": "x"}})
	w.refused("ResourceAlreadyExistsException: The specified log group already exists", "CreateLogGroup", &CreateLogGroupInput{LogGroupName: "/sekisho/a"})
	w.refused("InvalidParameterException: 1 validation error detected: Value 'a b' at 'logGroupName'", "CreateLogGroup", &CreateLogGroupInput{LogGroupName: "a b"})
	do[Empty](w, "PutRetentionPolicy", &PutRetentionPolicyInput{LogGroupName: "/sekisho/a", RetentionInDays: new(7)})
	w.refused("InvalidParameterException: 1 validation error detected: Value '2' at 'retentionInDays'", "PutRetentionPolicy",
		&PutRetentionPolicyInput{LogGroupName: "/sekisho/a", RetentionInDays: new(2)})
	w.stream("/sekisho/b")
	w.stream("other")

	list := do[DescribeLogGroupsOutput](w, "DescribeLogGroups", &DescribeLogGroupsInput{LogGroupNamePrefix: "/sekisho/", Limit: new(1)})
	g := list.LogGroups[0]
	equal(t, "name", g.LogGroupName, "/sekisho/a")
	equal(t, "retention", g.RetentionInDays, 7)
	equal(t, "arn", g.ARN, "arn:aws:logs:local-1:123456789012:log-group:/sekisho/a:*")
	equal(t, "logGroupArn", g.LogGroupARN, "arn:aws:logs:local-1:123456789012:log-group:/sekisho/a")
	list = do[DescribeLogGroupsOutput](w, "DescribeLogGroups", &DescribeLogGroupsInput{LogGroupNamePrefix: "/sekisho/", NextToken: list.NextToken})
	equal(t, "second page", len(list.LogGroups), 1)
	equal(t, "token at the end", list.NextToken, "")
	list = do[DescribeLogGroupsOutput](w, "DescribeLogGroups", &DescribeLogGroupsInput{LogGroupNamePattern: "THER"})
	equal(t, "by pattern", len(list.LogGroups), 1)
	w.refused("InvalidParameterException: LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
		"DescribeLogGroups", &DescribeLogGroupsInput{LogGroupNamePrefix: "a", LogGroupNamePattern: "b"})
	w.refused("InvalidParameterException: The specified nextToken is invalid.", "DescribeLogGroups", &DescribeLogGroupsInput{NextToken: "x"})

	arn := g.LogGroupARN // the other form does not fit the model's pattern
	do[Empty](w, "TagResource", &TagResourceInput{ResourceARN: arn, Tags: map[string]string{"env": "1"}})
	do[Empty](w, "UntagLogGroup", &UntagLogGroupInput{LogGroupName: "/sekisho/a", Tags: []string{"team"}})
	if tags := do[TagsOutput](w, "ListTagsForResource", &ListTagsForResourceInput{ResourceARN: arn}).Tags; !maps.Equal(tags, map[string]string{"env": "1"}) {
		t.Errorf("tags %v", tags)
	}
	w.refused("ResourceNotFoundException", "TagResource", &TagResourceInput{ResourceARN: "arn:aws:logs:local-2:123456789012:log-group:other", Tags: map[string]string{"a": "b"}})
	w.refused("InvalidParameterException", "TagLogGroup", &TagLogGroupInput{LogGroupName: "other", Tags: map[string]string{"aws:a": "b"}})

	do[Empty](w, "DeleteRetentionPolicy", &GroupInput{LogGroupName: "/sekisho/a"})
	do[Empty](w, "DeleteLogGroup", &GroupInput{LogGroupName: "/sekisho/a"})
	w.refused("ResourceNotFoundException: The specified log group does not exist.", "DeleteLogGroup", &GroupInput{LogGroupName: "/sekisho/a"})
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.stream("g", "s", "other")
	w.refused("ResourceAlreadyExistsException: The specified log stream already exists", "CreateLogStream", &StreamInput{LogGroupName: "g", LogStreamName: "s"})
	at := time.Now().Add(-time.Hour)
	odd := "\x1b[31m\x00日本\u2028\t\r"
	w.put("g", "s", at, "a", "b", "c", odd)
	in := batch("g", "s", at, "x", "y")
	in.LogEvents[0].Timestamp = in.LogEvents[1].Timestamp
	in.LogEvents[1].Timestamp = new(*in.LogEvents[0].Timestamp - 1)
	w.refused("InvalidParameterException: Log events in a single PutLogEvents request must be in chronological order.", "PutLogEvents", in)
	w.refused("InvalidParameterException: 1 validation error detected: Value '' at 'logEvents.1.member.message'", "PutLogEvents", batch("g", "s", at, ""))
	w.refused("InvalidParameterException: Log event too large: 1048577 bytes", "PutLogEvents", batch("g", "s", at, strings.Repeat("x", 1048577-26)))
	w.refused("InvalidParameterException: Upload too large: 1048578 bytes exceeds limit of 1048576", "PutLogEvents",
		batch("g", "s", at, strings.Repeat("x", 524289-26), strings.Repeat("x", 524289-26)))
	w.refused("ResourceNotFoundException: The specified log stream does not exist.", "PutLogEvents", batch("g", "none", at, "x"))
	w.refused("ResourceNotFoundException: The specified log group does not exist.", "PutLogEvents", batch("none", "s", at, "x"))
	w.put("g", "other", at, strings.Repeat("\x01", 1<<20-26)) // six bytes each on the wire

	get := func(change func(*GetLogEventsInput)) GetLogEventsOutput {
		t.Helper()
		in := &GetLogEventsInput{LogGroupName: "g", LogStreamName: "s"}
		change(in)
		return do[GetLogEventsOutput](w, "GetLogEvents", in)
	}
	all := get(func(in *GetLogEventsInput) {})
	equal(t, "all", texts(all.Events), "a b c "+odd)
	head := get(func(in *GetLogEventsInput) { in.StartFromHead, in.Limit = true, new(2) })
	equal(t, "head", texts(head.Events), "a b")
	next := get(func(in *GetLogEventsInput) { in.NextToken = head.NextForwardToken })
	equal(t, "forward", texts(next.Events), "c "+odd)
	end := get(func(in *GetLogEventsInput) { in.NextToken = next.NextForwardToken })
	equal(t, "at the end", len(end.Events), 0)
	equal(t, "the same token", end.NextForwardToken, next.NextForwardToken)
	equal(t, "back from the end", texts(get(func(in *GetLogEventsInput) { in.NextToken = end.NextBackwardToken }).Events), "a b c "+odd)
	tail := get(func(in *GetLogEventsInput) { in.Limit = new(1) })
	equal(t, "tail", texts(tail.Events), odd)
	equal(t, "backward", texts(get(func(in *GetLogEventsInput) { in.NextToken, in.Limit = tail.NextBackwardToken, new(2) }).Events), "b c")
	start := get(func(in *GetLogEventsInput) { in.NextToken = head.NextBackwardToken })
	equal(t, "before the beginning", len(start.Events), 0)
	equal(t, "the same token", start.NextBackwardToken, head.NextBackwardToken)
	equal(t, "between", texts(get(func(in *GetLogEventsInput) {
		in.StartTime, in.EndTime = new(at.Add(time.Second).UnixMilli()), new(at.Add(2*time.Second).UnixMilli())
	}).Events), "b")
	w.refused("InvalidParameterException: The specified nextToken is invalid.", "GetLogEvents",
		&GetLogEventsInput{LogGroupName: "g", LogStreamName: "other", NextToken: head.NextForwardToken})
	w.put("g", "s", at.Add(time.Minute), "late")
	equal(t, "what came since", texts(get(func(in *GetLogEventsInput) { in.NextToken = end.NextForwardToken }).Events), "late")

	streams := do[DescribeLogStreamsOutput](w, "DescribeLogStreams", &DescribeLogStreamsInput{LogGroupIdentifier: "g", OrderBy: "LastEventTime", Descending: true}).LogStreams
	equal(t, "latest stream", streams[0].LogStreamName, "s")
	equal(t, "first event", *streams[0].FirstEventTimestamp, at.UnixMilli())
	equal(t, "arn", streams[0].ARN, "arn:aws:logs:local-1:123456789012:log-group:g:log-stream:s")
	w.refused("InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix.", "DescribeLogStreams",
		&DescribeLogStreamsInput{LogGroupName: "g", OrderBy: "LastEventTime", LogStreamNamePrefix: "s"})
	do[Empty](w, "DeleteLogStream", &StreamInput{LogGroupName: "g", LogStreamName: "s"})
	w.refused("ResourceNotFoundException: The specified log stream does not exist.", "GetLogEvents", &GetLogEventsInput{LogGroupName: "g", LogStreamName: "s"})
	must(t, w.server.Sweep(t.Context()))
}

func TestFilter(t *testing.T) {
	w := newWorld(t)
	w.stream("g", "bob-1", "bob-2", "eve-1")
	at := time.Now().Add(-time.Hour)
	w.put("g", "bob-1", at, "login", "ERROR disk")
	w.put("g", "bob-2", at.Add(500*time.Millisecond), `{"user":"bob"}`)
	w.put("g", "eve-1", at, "ERROR net")
	filter := func(change func(*FilterLogEventsInput)) FilterLogEventsOutput {
		t.Helper()
		in := &FilterLogEventsInput{LogGroupName: "g"}
		change(in)
		return do[FilterLogEventsOutput](w, "FilterLogEvents", in)
	}
	equal(t, "all", filtered(filter(func(in *FilterLogEventsInput) {}).Events), `bob-1:login eve-1:ERROR net bob-2:{"user":"bob"} bob-1:ERROR disk`)
	equal(t, "term", filtered(filter(func(in *FilterLogEventsInput) { in.FilterPattern = "ERROR -net" }).Events), "bob-1:ERROR disk")
	equal(t, "json", filtered(filter(func(in *FilterLogEventsInput) { in.FilterPattern = `{ $.user = "b*" }` }).Events), `bob-2:{"user":"bob"}`)
	equal(t, "names", filtered(filter(func(in *FilterLogEventsInput) { in.LogStreamNames = []string{"eve-1", "bob-2"} }).Events), `eve-1:ERROR net bob-2:{"user":"bob"}`)
	equal(t, "prefix", filtered(filter(func(in *FilterLogEventsInput) { in.LogStreamNamePrefix, in.FilterPattern = "bob", "ERROR" }).Events), "bob-1:ERROR disk")
	equal(t, "prefix of none", len(filter(func(in *FilterLogEventsInput) { in.LogStreamNamePrefix = "zoe" }).Events), 0)
	// The end is included, unlike in GetLogEvents.
	equal(t, "between", filtered(filter(func(in *FilterLogEventsInput) {
		in.StartTime, in.EndTime = new(at.UnixMilli()+1), new(at.Add(500*time.Millisecond).UnixMilli())
	}).Events), `bob-2:{"user":"bob"}`)
	var pages []string
	for token := ""; ; {
		out := filter(func(in *FilterLogEventsInput) {
			in.FilterPattern, in.Limit, in.NextToken = "?ERROR ?login", new(1), token
		})
		pages = append(pages, filtered(out.Events))
		if token = out.NextToken; token == "" {
			break
		}
		w.refused("InvalidParameterException: The specified nextToken is invalid.", "FilterLogEvents", &FilterLogEventsInput{LogGroupName: "g", NextToken: token})
	}
	equal(t, "pages", strings.Join(pages, " | "), "bob-1:login | eve-1:ERROR net | bob-1:ERROR disk")
	w.refused("InvalidParameterException: Invalid filter pattern: ", "FilterLogEvents", &FilterLogEventsInput{LogGroupName: "g", FilterPattern: `{ $.a }`})
	w.refused("ResourceNotFoundException: The specified log stream", "FilterLogEvents", &FilterLogEventsInput{LogGroupName: "g", LogStreamNames: []string{"zoe"}})
	do[Empty](w, "DeleteLogStream", &StreamInput{LogGroupName: "g", LogStreamName: "eve-1"})
	equal(t, "without what was deleted", filtered(filter(func(in *FilterLogEventsInput) { in.FilterPattern = "ERROR" }).Events), "bob-1:ERROR disk")
	ids := map[string]bool{}
	for _, e := range filter(func(in *FilterLogEventsInput) {}).Events {
		if ids[e.EventID] = true; len(e.EventID) != 56 {
			t.Errorf("event id %q", e.EventID)
		}
	}
	equal(t, "ids", len(ids), 3)
}

func TestTimesOfEvents(t *testing.T) {
	w := newWorld(t)
	w.stream("g", "s")
	now := time.Now()
	out := w.put("g", "s", now.Add(3*time.Hour), "future")
	equal(t, "too new", *out.RejectedLogEventsInfo.TooNewLogEventStartIndex, 0)
	out = w.put("g", "s", now.Add(-15*24*time.Hour), "past")
	equal(t, "too old", *out.RejectedLogEventsInfo.TooOldLogEventEndIndex, 1)
	w.put("g", "s", now.Add(-48*time.Hour), "two days old")
	w.put("g", "s", now, "new")
	do[Empty](w, "PutRetentionPolicy", &PutRetentionPolicyInput{LogGroupName: "g", RetentionInDays: new(1)})
	out = w.put("g", "s", now.Add(-48*time.Hour), "expired")
	equal(t, "expired", *out.RejectedLogEventsInfo.ExpiredLogEventEndIndex, 1)
	// Before the sweep it is kept but not shown.
	equal(t, "shown", filtered(do[FilterLogEventsOutput](w, "FilterLogEvents", &FilterLogEventsInput{LogGroupName: "g"}).Events), "s:new")
	equal(t, "shown", texts(do[GetLogEventsOutput](w, "GetLogEvents", &GetLogEventsInput{LogGroupName: "g", LogStreamName: "s"}).Events), "new")
	must(t, w.server.Sweep(t.Context()))
	do[Empty](w, "DeleteRetentionPolicy", &GroupInput{LogGroupName: "g"})
	equal(t, "left", texts(do[GetLogEventsOutput](w, "GetLogEvents", &GetLogEventsInput{LogGroupName: "g", LogStreamName: "s"}).Events), "new")
}

// Events are deleted when their days are over, by the clock of the service: not a moment
// before, and no others.
func TestRetentionDeletesEvents(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) {
			w := newWorldOn(t, storetest.OpenDSN(t, db.New(t)))
			now := time.Now()
			for _, group := range []string{"week", "month", "ever"} {
				w.stream(group, "s")
				w.put(group, "s", now.Add(-48*time.Hour), "old")
				w.put(group, "s", now, "new")
			}
			do[Empty](w, "PutRetentionPolicy", &PutRetentionPolicyInput{LogGroupName: "week", RetentionInDays: new(7)})
			do[Empty](w, "PutRetentionPolicy", &PutRetentionPolicyInput{LogGroupName: "month", RetentionInDays: new(30)})
			const day = 24 * time.Hour
			for _, step := range []struct {
				after             time.Duration
				week, month, ever int // events left in the database
			}{
				{5*day - time.Hour, 2, 2, 2}, {5*day + time.Hour, 1, 2, 2}, {7*day + time.Hour, 0, 2, 2}, {29 * day, 0, 1, 2}, {31 * day, 0, 0, 2},
			} {
				w.ahead.Store(int64(step.after))
				must(t, w.server.Sweep(t.Context()))
				for group, want := range map[string]int{"week": step.week, "month": step.month, "ever": step.ever} {
					g, err := w.store.LogGroup(t.Context(), group)
					must(t, err)
					events, err := w.store.LogEvents(t.Context(), store.LogEventFilter{GroupID: g.ID, Before: store.LastLogPosition, Limit: 10})
					must(t, err)
					equal(t, fmt.Sprintf("%s after %s", group, step.after), len(events), want)
					equal(t, "stored bytes of "+group, g.StoredBytes, int64(3*want))
				}
			}
		})
	}
}

func TestPermissionComesFirst(t *testing.T) {
	w := newWorld(t)
	w.stream("g", "s")
	const arn = "arn:aws:logs:local-1:123456789012:log-group:"
	put := batch("g", "s", time.Now(), "x")
	for _, test := range []struct {
		action, resource, operation string
		in                          any
		want                        string // of the error; empty if it may
	}{
		{"logs:PutLogEvents", arn + "other:*", "PutLogEvents", put, "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: logs:PutLogEvents on resource: " +
			arn + "g:log-stream:s because no identity-based policy allows the logs:PutLogEvents action"},
		{"logs:PutLogEvents", arn + "g:*", "PutLogEvents", put, ""},
		{"logs:PutLogEvents", arn + "g:log-stream:s", "PutLogEvents", put, ""},
		{"logs:PutLogEvents", arn + "g", "PutLogEvents", put, "not authorized"},
		{"logs:DescribeLogStreams", arn + "g", "DescribeLogStreams", &DescribeLogStreamsInput{LogGroupName: "g"}, ""},
		{"logs:DescribeLogStreams", arn + "g:*", "DescribeLogStreams", &DescribeLogStreamsInput{LogGroupName: "g"}, ""},
		{"logs:DescribeLogStreams", arn + "g:log-stream:*", "DescribeLogStreams", &DescribeLogStreamsInput{LogGroupName: "g"}, ""},
		{"logs:DescribeLogStreams", arn + "gg*", "DescribeLogStreams", &DescribeLogStreamsInput{LogGroupName: "g"}, "not authorized"},
		{"logs:DescribeLogGroups", arn + "*", "DescribeLogGroups", &DescribeLogGroupsInput{}, ""},
		{"logs:*", arn + "g:*", "DeleteLogGroup", &GroupInput{LogGroupName: "none"}, "not authorized"},
	} {
		w.allow(test.action, test.resource)
		err := w.try("bob", test.operation, test.in, nil)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s on %s: %s: %v\nwant %q", test.action, test.resource, test.operation, err, test.want)
		}
	}
}

// fakeKeys wraps data keys by turning their bits around.
type fakeKeys struct{ disabled bool }

func (k *fakeKeys) NewDataKey(_ context.Context, keyID string, context map[string]string) (string, []byte, []byte, error) {
	plain := bytes.Repeat([]byte{7}, 32)
	return "arn:aws:kms:" + keyID, plain, append(flip(plain), context["aws:logs:arn"]...), nil
}

func (k *fakeKeys) OpenDataKey(_ context.Context, sealed []byte, context map[string]string) ([]byte, error) {
	if k.disabled {
		return nil, ssm.Errorf("DisabledException", "it is disabled.")
	}
	if string(sealed[32:]) != context["aws:logs:arn"] {
		return nil, errors.New("another context")
	}
	return flip(sealed[:32]), nil
}

func flip(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}

func TestEncryptedGroup(t *testing.T) {
	w := newWorld(t)
	do[Empty](w, "CreateLogGroup", &CreateLogGroupInput{LogGroupName: "g", KMSKeyID: "k"})
	do[Empty](w, "CreateLogStream", &StreamInput{LogGroupName: "g", LogStreamName: "s"})
	w.put("g", "s", time.Now().Add(-time.Second), "what nobody reads in the file")
	equal(t, "key", do[DescribeLogGroupsOutput](w, "DescribeLogGroups", &DescribeLogGroupsInput{}).LogGroups[0].KMSKeyID, "arn:aws:kms:k")
	g, err := w.store.LogGroup(t.Context(), "g")
	must(t, err)
	events, err := w.store.LogEvents(t.Context(), store.LogEventFilter{GroupID: g.ID, Before: store.LastLogPosition, Limit: 10})
	must(t, err)
	if len(events) != 1 || bytes.Contains(events[0].Message, []byte("nobody")) {
		t.Errorf("stored: %+v", events)
	}
	in := &FilterLogEventsInput{LogGroupName: "g", FilterPattern: "nobody"}
	equal(t, "found", filtered(do[FilterLogEventsOutput](w, "FilterLogEvents", in).Events), "s:what nobody reads in the file")
	w.keys.disabled = true
	w.ahead.Add(int64(2 * keyLife))
	w.refused("InvalidParameterException: The KMS key of the log group cannot be used: DisabledException", "FilterLogEvents", in)
}
