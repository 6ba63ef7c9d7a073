package logstream

import (
	"context"
	"errors"
	"slices"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	// forwardGrace is how long an event is here before it goes outside: it has its number
	// before it is written, and what is passed over does not come again.
	forwardGrace = 10 * time.Second
	// forwardStreams bounds the streams of one pass.
	forwardStreams = 10000
	// forwardRead bounds what is read at a time.
	forwardRead = 1000
)

// Forwarder brings the events of all groups to a log service outside. The database is its
// spool: what a stream took is sent until it was accepted, and what is done is noted. An
// event whose acceptance was not heard of is sent again.
type Forwarder struct {
	s    *Server
	call Call
	told map[int64]bool // streams whose refusal was told
}

// Call calls an operation of the service outside. Its refusals are [*ssm.Error]s.
type Call func(ctx context.Context, operation string, in, out any) error

// Forwarder makes one. One goroutine has it.
func (s *Server) Forwarder(call Call) *Forwarder {
	return &Forwarder{s: s, call: call, told: map[int64]bool{}}
}

// Pass sends what is there. more says that it may be called again at once. An error says
// that the service is away; streams that it refuses are told to the log and tried again
// with the next pass.
func (f *Forwarder) Pass(ctx context.Context) (more bool, err error) {
	until := f.s.cfg.Now().Add(-forwardGrace)
	streams, err := f.s.cfg.Store.LogStreamsToForward(ctx, until, forwardStreams)
	if err != nil {
		return false, err
	}
	done := 0
	for _, x := range streams {
		err := f.stream(ctx, x, until)
		switch {
		case err == nil:
			delete(f.told, x.ID)
			done++
		case refusedStream(err):
			if !f.told[x.ID] {
				f.told[x.ID] = true
				f.s.cfg.Logger.Warn("log events refused outside; they are tried again", "group", x.Group, "stream", x.Name, "error", err)
			}
		default:
			return false, err
		}
	}
	return len(streams) == forwardStreams && done > 0, nil
}

// refusedStream says whether an error is about one stream, and not about all.
func refusedStream(err error) bool {
	for _, code := range []string{codeInvalid, ssm.CodeAccessDenied, codeLimit, "InvalidOperationException"} {
		if ssm.IsCode(err, code) {
			return true
		}
	}
	return false
}

// stream sends the events of a stream that came before a time.
func (f *Forwarder) stream(ctx context.Context, x store.ForwardedStream, until time.Time) error {
	g, err := f.s.cfg.Store.LogGroup(ctx, x.Group)
	if errors.Is(err, store.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	filter := store.LogEventFilter{GroupID: g.ID, Streams: []int64{x.ID}, After: before(f.s.cutoff(g)), Before: store.LastLogPosition,
		AfterSequence: x.Sequence, IngestedBefore: until.UnixMilli(), Limit: forwardRead, MaxBytes: maxBatchBytes}
	last := x.Sequence
	for {
		events, err := f.s.read(ctx, g, filter)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			// Only now: they are in the order of their times, not of their coming.
			return f.s.cfg.Store.LogStreamForwarded(ctx, x.ID, last, until)
		}
		for rest := events; len(rest) > 0; {
			n := wholeBatch(rest)
			if err := f.put(ctx, x, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		for _, e := range events {
			last = max(last, e.Sequence)
		}
		filter.After = events[len(events)-1].LogPosition
	}
}

// wholeBatch is how many events one call takes.
func wholeBatch(events []store.LogEvent) int {
	size := 0
	for i, e := range events {
		size += len(e.Message) + eventOverhead
		if i > 0 && (size > maxBatchBytes || e.At-events[0].At > maxBatchSpan.Milliseconds()) {
			return i
		}
	}
	return len(events)
}

// put sends a batch, and makes group and stream if they are missing.
func (f *Forwarder) put(ctx context.Context, x store.ForwardedStream, events []store.LogEvent) error {
	in := &PutLogEventsInput{LogGroupName: x.Group, LogStreamName: x.Name}
	for _, e := range events {
		in.LogEvents = append(in.LogEvents, InputLogEvent{Timestamp: new(e.At), Message: new(Text(e.Message))})
	}
	var out PutLogEventsOutput
	err := f.call(ctx, "PutLogEvents", in, &out)
	if ssm.IsCode(err, codeNotFound) {
		stream := &StreamInput{LogGroupName: x.Group, LogStreamName: x.Name}
		err = f.call(ctx, "CreateLogStream", stream, nil)
		if ssm.IsCode(err, codeNotFound) {
			if err = f.call(ctx, "CreateLogGroup", &CreateLogGroupInput{LogGroupName: x.Group}, nil); err == nil || ssm.IsCode(err, codeExists) {
				err = f.call(ctx, "CreateLogStream", stream, nil)
			}
		}
		if err == nil || ssm.IsCode(err, codeExists) {
			err = f.call(ctx, "PutLogEvents", in, &out)
		}
	}
	if err == nil && out.RejectedLogEventsInfo != nil {
		info := out.RejectedLogEventsInfo
		first, end := 0, len(events)
		for _, n := range []*int{info.TooOldLogEventEndIndex, info.ExpiredLogEventEndIndex} {
			if n != nil {
				first = max(first, *n)
			}
		}
		if info.TooNewLogEventStartIndex != nil {
			end = *info.TooNewLogEventStartIndex
		}
		f.s.cfg.Logger.Warn("log events not taken outside: too old or too new", "group", x.Group, "stream", x.Name,
			"events", len(slices.Concat(events[:min(first, len(events))], events[min(end, len(events)):])))
	}
	return err
}
