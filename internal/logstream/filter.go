package logstream

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"sekisho/internal/logstream/pattern"
	"sekisho/internal/store"
)

// FilterLogEventsInput is the request of logs:FilterLogEvents.
type FilterLogEventsInput struct {
	LogGroupName        string   `json:"logGroupName" constraint:"len=1..512 pattern=LogsGroupName"`
	LogGroupIdentifier  string   `json:"logGroupIdentifier" constraint:"len=1..2048 pattern=LogsGroupIdentifier"`
	LogStreamNames      []string `json:"logStreamNames" constraint:"len=1..100 pattern=LogsStreamName"`
	LogStreamNamePrefix string   `json:"logStreamNamePrefix" constraint:"len=1..512 pattern=LogsStreamName"`
	StartTime           *int64   `json:"startTime" constraint:"range=0.."`
	EndTime             *int64   `json:"endTime" constraint:"range=0.."`
	FilterPattern       string   `json:"filterPattern" constraint:"len=0..1024"`
	NextToken           string   `json:"nextToken" constraint:"len=1.."`
	Limit               *int     `json:"limit" constraint:"range=1..10000"`
	Interleaved         bool     `json:"interleaved"`
	Unmask              bool     `json:"unmask"`
}

// FilterLogEventsOutput is the answer of logs:FilterLogEvents.
type FilterLogEventsOutput struct {
	Events             []FilteredLogEvent  `json:"events"`
	SearchedLogStreams []SearchedLogStream `json:"searchedLogStreams"`
	NextToken          string              `json:"nextToken,omitempty"`
}

// FilteredLogEvent is an event in the answer of FilterLogEvents.
type FilteredLogEvent struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"`
	Message       Text   `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
	EventID       string `json:"eventId"`
}

// SearchedLogStream is what AWS once told about streams; it is empty there too.
type SearchedLogStream struct {
	LogStreamName      string `json:"logStreamName"`
	SearchedCompletely bool   `json:"searchedCompletely"`
}

const (
	// scanBatch is how many events are read at a time, and maxScanned how many one call
	// looks at. One that found too little by then gives what it has and a token.
	scanBatch  = 2000
	maxScanned = 50000
	// maxPrefixed is how many streams a prefix may name before the whole group is read.
	maxPrefixed = 1000
)

// FilterLogEvents gives the events of a group, or of some of its streams, that fit a
// pattern, in the order of their times.
func (s *Server) FilterLogEvents(ctx context.Context, in *FilterLogEventsInput) (*FilterLogEventsOutput, error) {
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	g, err := s.group(ctx, "FilterLogEvents", name, "", nil)
	if err != nil {
		return nil, err
	}
	p, err := pattern.Parse(in.FilterPattern)
	if err != nil {
		return nil, invalid("Invalid filter pattern: %v.", err)
	}
	f := store.LogEventFilter{GroupID: g.ID, After: before(max(s.cutoff(g), orZero(in.StartTime))), Before: store.LastLogPosition}
	if in.EndTime != nil { // here, not in GetLogEvents, events of that time are included
		f.Before = store.LogPosition{At: *in.EndTime + 1, Sequence: -1}
	}
	list := in.list(g.ID)
	cursor, err := s.openToken(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	if cursor != "" {
		from, err := readPosition(cursor)
		if err != nil {
			return nil, err
		}
		if f.After.Before(from) {
			f.After = from
		}
	}
	out := &FilterLogEventsOutput{Events: []FilteredLogEvent{}, SearchedLogStreams: []SearchedLogStream{}}
	none, err := s.chooseStreams(ctx, in, &f)
	if err != nil || none {
		return out, err
	}
	limit := maxEvents
	if in.Limit != nil {
		limit = *in.Limit
	}
	search := search{server: s, group: g, pattern: p, prefix: in.LogStreamNamePrefix, names: map[int64]string{}}
	next, err := search.run(ctx, f, limit, out)
	out.NextToken = s.token(list, next)
	return out, err
}

// list names the list that a token continues: everything but the limit.
func (in *FilterLogEventsInput) list(group int64) string {
	text, _ := json.Marshal([]any{group, in.LogStreamNames, in.LogStreamNamePrefix, in.StartTime, in.EndTime, in.FilterPattern})
	sum := sha256.Sum256(text)
	return "events\x00" + string(sum[:])
}

// chooseStreams finds the streams that are to be searched; none says that there are none.
func (s *Server) chooseStreams(ctx context.Context, in *FilterLogEventsInput, f *store.LogEventFilter) (none bool, err error) {
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != "" {
		return false, invalid("LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters.")
	}
	for _, name := range in.LogStreamNames {
		st, err := s.cfg.Store.LogStream(ctx, f.GroupID, name)
		if err != nil {
			return false, failed(err, errNoStream, nil)
		}
		f.Streams = append(f.Streams, st.ID)
	}
	if in.LogStreamNamePrefix == "" {
		return false, nil
	}
	streams, next, err := s.cfg.Store.LogStreams(ctx, store.LogStreamFilter{GroupID: f.GroupID, Prefix: in.LogStreamNamePrefix},
		store.Page{Limit: maxPrefixed})
	if err != nil || next != "" {
		return false, err
	}
	for _, st := range streams {
		f.Streams = append(f.Streams, st.ID)
	}
	return len(streams) == 0, nil
}

// search is one call of FilterLogEvents.
type search struct {
	server  *Server
	group   store.LogGroup
	pattern *pattern.Pattern
	prefix  string // of the streams' names
	names   map[int64]string
}

// run fills out and gives the cursor of what follows; empty at the end.
func (q *search) run(ctx context.Context, f store.LogEventFilter, limit int, out *FilterLogEventsOutput) (next string, err error) {
	size := 0
	for scanned := 0; ; {
		f.Limit = scanBatch
		if q.pattern.All() {
			f.Limit = min(scanBatch, limit-len(out.Events)+1)
		}
		f.MaxBytes = 4 * maxAnswerBytes
		events, err := q.server.read(ctx, q.group, f)
		if err != nil {
			return "", err
		}
		if len(events) == 0 {
			return "", nil
		}
		if err := q.name(ctx, events); err != nil {
			return "", err
		}
		for _, e := range events {
			name, ok := q.names[e.StreamID]
			if ok && strings.HasPrefix(name, q.prefix) && q.pattern.Match(e.Message) {
				size += len(e.Message)
				if len(out.Events) == limit || size > maxAnswerBytes && len(out.Events) > 0 {
					return positionText(f.After), nil
				}
				out.Events = append(out.Events, FilteredLogEvent{
					LogStreamName: name, Timestamp: e.At, Message: Text(e.Message), IngestionTime: e.IngestedAt,
					EventID: q.server.digits(e.StreamID, e.LogPosition),
				})
			}
			f.After = e.LogPosition
		}
		if scanned += len(events); scanned >= maxScanned {
			return positionText(f.After), nil
		}
	}
}

// name finds the names of streams that are not known yet. Those of deleted streams are
// not found, and their events not shown.
func (q *search) name(ctx context.Context, events []store.LogEvent) error {
	var unknown []int64
	for _, e := range events {
		if _, ok := q.names[e.StreamID]; !ok {
			q.names[e.StreamID] = ""
			unknown = append(unknown, e.StreamID)
		}
	}
	found, err := q.server.cfg.Store.LogStreamNames(ctx, unknown)
	if err != nil {
		return err
	}
	for _, id := range unknown {
		delete(q.names, id)
		if name, ok := found[id]; ok {
			q.names[id] = name
		}
	}
	return nil
}
