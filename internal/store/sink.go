package store

import (
	"context"
	"fmt"
	"time"
)

// ForwardedObject is an object that is not outside yet.
type ForwardedObject struct {
	Object
	Bucket string
}

// ObjectsToForward returns objects that are not outside yet, the oldest first.
func (s *Store) ObjectsToForward(ctx context.Context, limit int) ([]ForwardedObject, error) {
	var list []ForwardedObject
	err := s.reader().rows(ctx, `select `+objectColumns+`, (select b.name from buckets b where b.id = objects.bucket_id) from objects
		where not forwarded order by modified_at limit $1`, []any{limit}, func(scan func(...any) error) error {
		var x ForwardedObject
		err := scanObject(&x.Object, func(into ...any) error { return scan(append(into, &x.Bucket)...) })
		list = append(list, x)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("objects to forward: %w", err)
	}
	return list, nil
}

// ObjectForwarded notes that an object is outside, unless another one is in its place.
func (s *Store) ObjectForwarded(ctx context.Context, o Object) error {
	_, err := s.writer().exec(ctx, `update objects set forwarded = $5 where bucket_id = $1 and key = $2 and sealed_key = $3 and modified_at = $4`,
		o.BucketID, []byte(o.Key), o.SealedKey, millis(o.ModifiedAt), true)
	if err != nil {
		return fmt.Errorf("note forwarded object: %w", err)
	}
	return nil
}

// RecordingsToStore returns closed recordings whose files are not in the store of
// recordings, the oldest first.
func (s *Store) RecordingsToStore(ctx context.Context, limit int) ([]Recording, error) {
	return s.recordings(ctx, `where closed and stored_at is null order by ended_at limit $1`, limit)
}

// RecordingStored notes that the files of a recording are in the store of recordings.
func (s *Store) RecordingStored(ctx context.Context, id string, at time.Time) error {
	if _, err := s.writer().exec(ctx, `update recordings set stored_at = $2 where session_id = $1`, id, millis(at)); err != nil {
		return fmt.Errorf("note stored recording %s: %w", id, err)
	}
	return nil
}

// RecordingIsStored says whether that was noted.
func (s *Store) RecordingIsStored(ctx context.Context, id string) (bool, error) {
	var n int
	err := s.reader().row(ctx, `select count(*) from recordings where session_id = $1 and stored_at is not null`, []any{id}, &n)
	if err != nil {
		return false, fmt.Errorf("recording %s: %w", id, err)
	}
	return n > 0, nil
}

// RecordedSessions says which of some sessions have a recording.
func (s *Store) RecordedSessions(ctx context.Context, ids []string) (map[string]bool, error) {
	found := map[string]bool{}
	if len(ids) == 0 {
		return found, nil
	}
	var w where
	w.in("session_id", ids)
	err := s.reader().rows(ctx, `select session_id from recordings`+w.String(), w.args, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		found[id] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recordings of sessions: %w", err)
	}
	return found, nil
}
