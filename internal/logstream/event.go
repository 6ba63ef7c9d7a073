package logstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Text is the message of an event. It may hold any character, U+0000 too, which other
// text of requests may not: what a terminal showed is kept as it was. Logs and the audit
// trail do not show it.
type Text string

// UnmarshalJSON reads a JSON string.
func (t *Text) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, (*string)(t)) }

// LogValue keeps it out of logs.
func (Text) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Limits of PutLogEvents (API reference).
const (
	maxBatchBytes = 1 << 20 // of messages and eventOverhead for each
	maxEventBytes = 1 << 20
	eventOverhead = 26
	maxBatchSpan  = 24 * time.Hour
	maxAge        = 14 * 24 * time.Hour
	maxAhead      = 2 * time.Hour
)

// InputLogEvent is an event in a request.
type InputLogEvent struct {
	Timestamp *int64 `json:"timestamp" constraint:"required range=0.."`
	Message   *Text  `json:"message" constraint:"required"`
}

// PutLogEventsInput is the request of logs:PutLogEvents. The sequence token is not
// looked at, as at AWS.
type PutLogEventsInput struct {
	LogGroupName  string          `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
	LogStreamName string          `json:"logStreamName" constraint:"required len=1..512 pattern=LogsStreamName"`
	LogEvents     []InputLogEvent `json:"logEvents" constraint:"required len=1..10000"`
	SequenceToken string          `json:"sequenceToken"`
}

// PutLogEventsOutput is the answer of logs:PutLogEvents.
type PutLogEventsOutput struct {
	NextSequenceToken     string                 `json:"nextSequenceToken"`
	RejectedLogEventsInfo *RejectedLogEventsInfo `json:"rejectedLogEventsInfo,omitempty"`
}

// RejectedLogEventsInfo tells which events were not taken. Ends are behind the last one
// that was not.
type RejectedLogEventsInfo struct {
	TooNewLogEventStartIndex *int `json:"tooNewLogEventStartIndex,omitempty"`
	TooOldLogEventEndIndex   *int `json:"tooOldLogEventEndIndex,omitempty"`
	ExpiredLogEventEndIndex  *int `json:"expiredLogEventEndIndex,omitempty"`
}

// check says what is wrong with a batch.
func (in *PutLogEventsInput) check() error {
	size := 0
	for i, e := range in.LogEvents {
		if *e.Message == "" {
			return invalid("1 validation error detected: Value '' at 'logEvents.%d.member.message' failed to satisfy constraint: "+
				"Member must have length greater than or equal to 1", i+1)
		}
		if n := len(*e.Message) + eventOverhead; n > maxEventBytes {
			return invalid("Log event too large: %d bytes exceeds limit of %d", n, maxEventBytes)
		}
		size += len(*e.Message) + eventOverhead
		if i > 0 && *e.Timestamp < *in.LogEvents[i-1].Timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > maxBatchBytes {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	if last := len(in.LogEvents) - 1; *in.LogEvents[last].Timestamp-*in.LogEvents[0].Timestamp > maxBatchSpan.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// accepted gives the part of a batch, which is in order, whose times are taken.
func (in *PutLogEventsInput) accepted(now time.Time, cutoff int64) ([]InputLogEvent, int, *RejectedLogEventsInfo) {
	info := &RejectedLogEventsInfo{}
	first, end := 0, len(in.LogEvents)
	oldest, newest := now.Add(-maxAge).UnixMilli(), now.Add(maxAhead).UnixMilli()
	for i, e := range in.LogEvents {
		switch at := *e.Timestamp; {
		case at < cutoff:
			first, info.ExpiredLogEventEndIndex = i+1, new(i+1)
		case at < oldest:
			first, info.TooOldLogEventEndIndex = i+1, new(i+1)
		case at > newest && end == len(in.LogEvents):
			end, info.TooNewLogEventStartIndex = i, new(i)
		}
	}
	if first == 0 && end == len(in.LogEvents) {
		info = nil
	}
	if first >= end {
		return nil, 0, info
	}
	return in.LogEvents[first:end], first, info
}

// PutLogEvents adds events to a stream.
func (s *Server) PutLogEvents(ctx context.Context, in *PutLogEventsInput) (*PutLogEventsOutput, error) {
	g, err := s.group(ctx, "PutLogEvents", in.LogGroupName, in.LogStreamName, nil)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Auth.OwnSession(ctx, in.LogStreamName); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	st, err := s.cfg.Store.LogStream(ctx, g.ID, in.LogStreamName)
	if err != nil {
		return nil, failed(err, errNoStream, nil)
	}
	key, err := s.groupKey(ctx, g)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	taken, _, rejected := in.accepted(now, s.cutoff(g))
	events := make([]store.LogEvent, len(taken))
	for again := true; again; {
		sequence := s.nextSequence(now, len(taken))
		for i, e := range taken {
			events[i] = store.LogEvent{LogPosition: store.LogPosition{At: *e.Timestamp, Sequence: sequence + int64(i)},
				StreamID: st.ID, IngestedAt: now.UnixMilli()}
			events[i].Message = key.seal(events[i], []byte(*e.Message))
		}
		err = s.cfg.Store.PutLogEvents(ctx, st, events, now)
		again = errors.Is(err, store.ErrExists) // another server used the same numbers
	}
	if err != nil {
		return nil, failed(err, errNoStream, nil)
	}
	return &PutLogEventsOutput{NextSequenceToken: sequenceToken, RejectedLogEventsInfo: rejected}, nil
}

// nextSequence gives the first of n numbers, larger than any before, as far as the
// clock and this process know.
func (s *Server) nextSequence(now time.Time, n int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := max(now.UnixMilli()<<20, s.sequence+1)
	s.sequence = first + int64(n)
	return first
}

// OutputLogEvent is an event in the answer of GetLogEvents.
type OutputLogEvent struct {
	Timestamp     int64 `json:"timestamp"`
	Message       Text  `json:"message"`
	IngestionTime int64 `json:"ingestionTime"`
}

// GetLogEventsInput is the request of logs:GetLogEvents.
type GetLogEventsInput struct {
	LogGroupName       string `json:"logGroupName" constraint:"len=1..512 pattern=LogsGroupName"`
	LogGroupIdentifier string `json:"logGroupIdentifier" constraint:"len=1..2048 pattern=LogsGroupIdentifier"`
	LogStreamName      string `json:"logStreamName" constraint:"required len=1..512 pattern=LogsStreamName"`
	StartTime          *int64 `json:"startTime" constraint:"range=0.."`
	EndTime            *int64 `json:"endTime" constraint:"range=0.."`
	NextToken          string `json:"nextToken" constraint:"len=1.."`
	Limit              *int   `json:"limit" constraint:"range=1..10000"`
	StartFromHead      bool   `json:"startFromHead"`
	Unmask             bool   `json:"unmask"`
}

// GetLogEventsOutput is the answer of logs:GetLogEvents.
type GetLogEventsOutput struct {
	Events            []OutputLogEvent `json:"events"`
	NextForwardToken  string           `json:"nextForwardToken"`
	NextBackwardToken string           `json:"nextBackwardToken"`
}

// Limits of an answer.
const (
	maxEvents      = 10000
	maxAnswerBytes = 1 << 20
)

// GetLogEvents gives events of a stream, the latest ones unless it is asked otherwise.
func (s *Server) GetLogEvents(ctx context.Context, in *GetLogEventsInput) (*GetLogEventsOutput, error) {
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	g, err := s.group(ctx, "GetLogEvents", name, in.LogStreamName, nil)
	if err != nil {
		return nil, err
	}
	st, err := s.cfg.Store.LogStream(ctx, g.ID, in.LogStreamName)
	if err != nil {
		return nil, failed(err, errNoStream, nil)
	}
	f := store.LogEventFilter{Streams: []int64{st.ID}, Limit: maxEvents, MaxBytes: maxAnswerBytes, Descending: !in.StartFromHead}
	if in.Limit != nil {
		f.Limit = *in.Limit
	}
	f.After = before(max(s.cutoff(g), orZero(in.StartTime)))
	f.Before = store.LastLogPosition
	if in.EndTime != nil {
		f.Before = store.LogPosition{At: *in.EndTime, Sequence: -1}
	}
	direction, from := "f", f.After
	if in.NextToken != "" {
		if direction, from, err = s.openEventToken(in.NextToken, st.ID); err != nil {
			return nil, err
		}
		f.Descending = direction == "b"
		if f.Descending && from.Before(f.Before) {
			f.Before = from
		}
		if !f.Descending && f.After.Before(from) {
			f.After = from
		}
	}
	events, err := s.read(ctx, g, f)
	if err != nil {
		return nil, err
	}
	out := &GetLogEventsOutput{Events: make([]OutputLogEvent, len(events))}
	for i, e := range events {
		if f.Descending {
			i = len(events) - 1 - i
		}
		out.Events[i] = OutputLogEvent{Timestamp: e.At, Message: Text(e.Message), IngestionTime: e.IngestedAt}
	}
	first, last := edges(events, direction, from)
	out.NextForwardToken = s.eventToken("f", st.ID, last)
	out.NextBackwardToken = s.eventToken("b", st.ID, first)
	return out, nil
}

// edges gives the positions that the two tokens of an answer begin at. Where nothing was
// found they are where the caller was: the same token comes back, which says that there
// is no more for now.
func edges(events []store.LogEvent, direction string, from store.LogPosition) (first, last store.LogPosition) {
	if len(events) == 0 {
		after := store.LogPosition{At: from.At, Sequence: from.Sequence + 1}
		if direction == "b" {
			return from, store.LogPosition{At: from.At, Sequence: from.Sequence - 1}
		}
		return after, from
	}
	first, last = events[0].LogPosition, events[len(events)-1].LogPosition
	if last.Before(first) {
		first, last = last, first
	}
	return first, last
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// before is the position right before all events of a time.
func before(at int64) store.LogPosition {
	if at <= 0 {
		return store.LogPosition{}
	}
	return store.LogPosition{At: at - 1, Sequence: math.MaxInt64 - 1}
}

// read reads events and decrypts them.
func (s *Server) read(ctx context.Context, g store.LogGroup, f store.LogEventFilter) ([]store.LogEvent, error) {
	key, err := s.groupKey(ctx, g)
	if err != nil {
		return nil, err
	}
	events, err := s.cfg.Store.LogEvents(ctx, f)
	if err != nil {
		return nil, err
	}
	for i, e := range events {
		if events[i].Message, err = key.open(e); err != nil {
			return nil, errors.New("log event " + strconv.FormatInt(e.At, 10) + " of group " + g.Name + " cannot be decrypted")
		}
	}
	return events, nil
}

// errKey is the answer where a group's key cannot be used.
func errKey(err error) error {
	if e, ok := errors.AsType[*ssm.Error](err); ok {
		return invalid("The KMS key of the log group cannot be used: %s", e.Error())
	}
	return err
}
