package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogPosition is the place of an event in its stream and in its group.
type LogPosition struct {
	At       int64 // Unix milliseconds
	Sequence int64 // tells events of one time apart; larger is later
}

// Before says whether p comes before q.
func (p LogPosition) Before(q LogPosition) bool {
	return p.At < q.At || p.At == q.At && p.Sequence < q.Sequence
}

// LogEvent is one event.
type LogEvent struct {
	LogPosition
	StreamID   int64
	IngestedAt int64 // Unix milliseconds
	Message    []byte
}

// eventBatch bounds the parameters of one statement.
const eventBatch = 1000

// PutLogEvents adds events to a stream, all or none. A stream that is not there any more
// is [ErrNotFound]; a position that is taken is [ErrExists].
func (s *Store) PutLogEvents(ctx context.Context, st LogStream, events []LogEvent, now time.Time) error {
	if len(events) == 0 {
		return nil
	}
	first, last, size := events[0].At, events[0].At, 0
	for _, e := range events {
		first, last, size = min(first, e.At), max(last, e.At), size+len(e.Message)
	}
	err := s.inTx(ctx, func(tx runner) error {
		n, err := tx.exec(ctx, `
			update log_streams set
				first_event_at = case when first_event_at is null or first_event_at > $2 then $2 else first_event_at end,
				last_event_at = case when last_event_at is null or last_event_at < $3 then $3 else last_event_at end,
				last_ingested_at = $4, stored_bytes = stored_bytes + $5
			where id = $1 and deleted_at is null`, st.ID, first, last, millis(now), size)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(events, eventBatch) {
			args := make([]any, 0, 2+4*len(batch))
			args = append(args, st.ID, st.GroupID)
			var rows strings.Builder
			for i, e := range batch {
				if i > 0 {
					rows.WriteString(", ")
				}
				n := len(args)
				fmt.Fprintf(&rows, "($1, $2, $%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4)
				args = append(args, e.At, e.Sequence, e.IngestedAt, e.Message)
			}
			_, err := tx.exec(ctx, `insert into log_events (stream_id, group_id, at, sequence, ingested_at, message) values `+rows.String(), args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put log events: %w", err)
	}
	return nil
}

// LogEventFilter chooses events of a group.
type LogEventFilter struct {
	GroupID int64
	Streams []int64 // ids; none means all streams of the group, also deleted ones
	// After and Before are exclusive bounds.
	After, Before LogPosition
	// AfterSequence chooses what came after the event of that sequence, and IngestedBefore
	// what came before a time, in Unix milliseconds. Zero chooses all.
	AfterSequence, IngestedBefore int64
	Descending                    bool
	Limit                         int
	MaxBytes                      int // of messages; the event that reaches it is the last
}

// LastLogPosition is above every position.
var LastLogPosition = LogPosition{At: math.MaxInt64, Sequence: math.MaxInt64}

// LogEvents returns events in their order.
func (s *Store) LogEvents(ctx context.Context, f LogEventFilter) ([]LogEvent, error) {
	var w where
	switch len(f.Streams) {
	case 0:
		w.add("group_id = ?", f.GroupID)
	case 1:
		w.add("stream_id = ?", f.Streams[0])
	default:
		marks := make([]string, len(f.Streams))
		for i, id := range f.Streams {
			marks[i] = w.param(id)
		}
		w.add("stream_id in (" + strings.Join(marks, ", ") + ")")
	}
	w.add("(at, sequence) > (?, ?)", f.After.At, f.After.Sequence)
	w.add("(at, sequence) < (?, ?)", f.Before.At, f.Before.Sequence)
	if f.AfterSequence > 0 {
		w.add("sequence > ?", f.AfterSequence)
	}
	if f.IngestedBefore > 0 {
		w.add("ingested_at < ?", f.IngestedBefore)
	}
	order := " order by at, sequence"
	if f.Descending {
		order = " order by at desc, sequence desc"
	}
	var events []LogEvent
	bytes := 0
	enough := errors.New("enough")
	err := s.reader().rows(ctx, `select stream_id, at, sequence, ingested_at, message from log_events`+w.String()+order+
		` limit `+strconv.Itoa(f.Limit), w.args, func(scan func(...any) error) error {
		var e LogEvent
		if err := scan(&e.StreamID, &e.At, &e.Sequence, &e.IngestedAt, &e.Message); err != nil {
			return err
		}
		events = append(events, e)
		if bytes += len(e.Message); f.MaxBytes > 0 && bytes >= f.MaxBytes {
			return enough
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		return nil, fmt.Errorf("read log events: %w", err)
	}
	return events, nil
}

// LogStreamNames returns the names of streams.
func (s *Store) LogStreamNames(ctx context.Context, ids []int64) (map[int64]string, error) {
	names := make(map[int64]string, len(ids))
	for batch := range slices.Chunk(ids, eventBatch) {
		var w where
		marks := make([]string, len(batch))
		for i, id := range batch {
			marks[i] = w.param(id)
		}
		w.add("id in (" + strings.Join(marks, ", ") + ")")
		w.add("deleted_at is null")
		err := s.reader().rows(ctx, `select id, name from log_streams`+w.String(), w.args, func(scan func(...any) error) error {
			var id int64
			var name string
			err := scan(&id, asText(&name))
			names[id] = name
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read names of log streams: %w", err)
		}
	}
	return names, nil
}

// removeBatch is how many events one transaction removes: few enough that other writers
// of a SQLite file hardly wait.
const removeBatch = 2000

// RemoveExpiredLogs removes the events that are older than their group's retention, and
// says how many.
func (s *Store) RemoveExpiredLogs(ctx context.Context, now time.Time) (int64, error) {
	cutoffs := map[int64]int64{}
	err := s.reader().rows(ctx, `select id, retention_days from log_groups where retention_days is not null and deleted_at is null`, nil,
		func(scan func(...any) error) error {
			var id int64
			var days int
			err := scan(&id, &days)
			cutoffs[id] = now.AddDate(0, 0, -days).UnixMilli()
			return err
		})
	var total int64
	for id, cutoff := range cutoffs {
		for more := true; more && err == nil; {
			var n int64
			n, err = s.removeLogEvents(ctx, `select stream_id, at, sequence from log_events where group_id = $1 and at < $2`, id, cutoff)
			total += n
			more = n == removeBatch
		}
	}
	if err != nil {
		return total, fmt.Errorf("remove expired log events: %w", err)
	}
	return total, nil
}

// RemoveDeletedLogs removes the events of groups and streams that were deleted, and then
// those groups and streams. It says how many events.
func (s *Store) RemoveDeletedLogs(ctx context.Context) (int64, error) {
	var streams []int64
	err := s.reader().rows(ctx, `select id from log_streams where deleted_at is not null`, nil, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		streams = append(streams, id)
		return err
	})
	var total int64
	for _, id := range streams {
		for more := true; more && err == nil; {
			var n int64
			n, err = s.removeLogEvents(ctx, `select stream_id, at, sequence from log_events where stream_id = $1`, id)
			total += n
			more = n == removeBatch
		}
		if err == nil {
			_, err = s.writer().exec(ctx, `delete from log_streams where id = $1 and not exists (select 1 from log_events where stream_id = $1)`, id)
		}
	}
	if err == nil {
		_, err = s.writer().exec(ctx, `delete from log_groups where deleted_at is not null and
			not exists (select 1 from log_streams where group_id = log_groups.id)`)
	}
	if err != nil {
		return total, fmt.Errorf("remove deleted log streams: %w", err)
	}
	return total, nil
}

// removeLogEvents removes a batch of the events that a query names.
func (s *Store) removeLogEvents(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := s.inTx(ctx, func(tx runner) error {
		n = 0
		sizes := map[int64]int64{}
		err := tx.rows(ctx, `delete from log_events where (stream_id, at, sequence) in (`+query+` limit `+strconv.Itoa(removeBatch)+`)
			returning stream_id, length(message)`, args, func(scan func(...any) error) error {
			var stream, size int64
			err := scan(&stream, &size)
			sizes[stream] += size
			n++
			return err
		})
		for stream, size := range sizes {
			if err == nil {
				_, err = tx.exec(ctx, `update log_streams set stored_bytes = case when stored_bytes < $2 then 0 else stored_bytes - $2 end where id = $1`,
					stream, size)
			}
		}
		return err
	})
	return n, err
}
