package store

import (
	"context"
	"fmt"
	"time"
)

// LogStreamsIngestedSince returns streams of a group that took events at a time or later,
// the latest first.
func (s *Store) LogStreamsIngestedSince(ctx context.Context, groupID int64, since time.Time, limit int) ([]LogStream, error) {
	var list []LogStream
	err := s.reader().rows(ctx, `select `+logStreamColumns+` from log_streams
		where group_id = $1 and last_ingested_at >= $2 and deleted_at is null order by last_ingested_at desc limit $3`,
		[]any{groupID, millis(since), limit}, func(scan func(...any) error) error {
			var st LogStream
			err := scanLogStream(&st, scan)
			list = append(list, st)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("log streams with new events: %w", err)
	}
	return list, nil
}

// ForwardedStream is a stream with events that may not be outside yet.
type ForwardedStream struct {
	LogStream
	Group    string
	Sequence int64 // up to which its events are outside
}

// LogStreamsToForward returns streams that took events which nobody looked at before a
// time, those with the oldest first.
func (s *Store) LogStreamsToForward(ctx context.Context, before time.Time, limit int) ([]ForwardedStream, error) {
	var list []ForwardedStream
	err := s.reader().rows(ctx, `select `+logStreamColumns+`, forwarded_sequence,
			(select g.name from log_groups g where g.id = log_streams.group_id) from log_streams
		where forwarded_at < last_ingested_at and forwarded_at < $1 and deleted_at is null order by last_ingested_at limit $2`,
		[]any{millis(before), limit}, func(scan func(...any) error) error {
			var x ForwardedStream
			err := scanLogStream(&x.LogStream, func(into ...any) error { return scan(append(into, &x.Sequence, asText(&x.Group))...) })
			list = append(list, x)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("log streams to forward: %w", err)
	}
	return list, nil
}

// LogStreamForwarded notes that the events of a stream up to sequence are outside, and
// that there were no others that came before a time.
func (s *Store) LogStreamForwarded(ctx context.Context, streamID, sequence int64, before time.Time) error {
	_, err := s.writer().exec(ctx, `update log_streams set forwarded_at = $3,
			forwarded_sequence = case when forwarded_sequence < $2 then $2 else forwarded_sequence end
		where id = $1`, streamID, sequence, millis(before))
	if err != nil {
		return fmt.Errorf("note forwarded log events: %w", err)
	}
	return nil
}
