package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Recording is the row of a session's recording. Its files are elsewhere.
type Recording struct {
	SessionID       string
	NodeID          string
	OwnerARN        string
	OwnerUserID     string // empty if it was found without its session
	DocumentName    string
	SessionType     string
	KMSKeyID        string // what the payload is encrypted under; empty for none
	Directory       string
	StartedAt       time.Time
	EndedAt         time.Time // zero while it runs
	Bytes           int64
	Closed          bool
	LegalHold       bool
	LegalHoldReason string
}

// RecordingFilter narrows a list of recordings. All fields that are set must match.
type RecordingFilter struct {
	OwnerARN      string
	NodeID        string
	StartedAfter  time.Time // started at this time or later
	StartedBefore time.Time // started before this time
}

const recordingColumns = `recordings.session_id, node_id, owner_arn, owner_user_id, document_name, session_type, kms_key_id, directory,
	started_at, ended_at, bytes, closed, legal_hold, legal_hold_reason`

func scanRecording(x *Recording, scan func(...any) error) error {
	return scan(&x.SessionID, &x.NodeID, &x.OwnerARN, &x.OwnerUserID, &x.DocumentName, &x.SessionType, &x.KMSKeyID, &x.Directory,
		asTime(&x.StartedAt), asTime(&x.EndedAt), &x.Bytes, &x.Closed, &x.LegalHold, &x.LegalHoldReason)
}

// BeginRecording adds the row of a recording. If there is one it stays, for recordings go
// on after the server was started again.
func (s *Store) BeginRecording(ctx context.Context, x Recording) error {
	_, err := s.writer().exec(ctx, `
		insert into recordings (session_id, node_id, owner_arn, owner_user_id, document_name, session_type, kms_key_id, directory,
			started_at, ended_at, bytes, closed, legal_hold, legal_hold_reason)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		on conflict (session_id) do nothing`,
		x.SessionID, x.NodeID, x.OwnerARN, x.OwnerUserID, x.DocumentName, x.SessionType, x.KMSKeyID, x.Directory,
		millis(x.StartedAt), millis(x.EndedAt), x.Bytes, x.Closed, x.LegalHold, x.LegalHoldReason)
	if err != nil {
		return fmt.Errorf("begin recording %s: %w", x.SessionID, err)
	}
	return nil
}

// SetRecordingBytes notes how large a recording is by now.
func (s *Store) SetRecordingBytes(ctx context.Context, id string, bytes int64) error {
	_, err := s.writer().exec(ctx, `update recordings set bytes = $2 where session_id = $1 and bytes <> $2`, id, bytes)
	if err != nil {
		return fmt.Errorf("size of recording %s: %w", id, err)
	}
	return nil
}

// EndRecording notes that nothing follows. A recording that was ended stays as it is.
func (s *Store) EndRecording(ctx context.Context, id string, bytes int64, at time.Time) error {
	_, err := s.writer().exec(ctx, `update recordings set bytes = $2, ended_at = $3, closed = $4 where session_id = $1 and not closed`,
		id, bytes, millis(at), true)
	if err != nil {
		return fmt.Errorf("end recording %s: %w", id, err)
	}
	return nil
}

// Recording returns the row of a session's recording, or [ErrNotFound].
func (s *Store) Recording(ctx context.Context, sessionID string) (Recording, error) {
	var x Recording
	err := s.reader().rowOf(ctx, `select `+recordingColumns+` from recordings where session_id = $1`, []any{sessionID},
		func(scan func(...any) error) error { return scanRecording(&x, scan) })
	if err != nil {
		return Recording{}, fmt.Errorf("recording %s: %w", sessionID, err)
	}
	return x, nil
}

func (f RecordingFilter) add(w *where) {
	if f.OwnerARN != "" {
		w.add("owner_arn = ?", f.OwnerARN)
	}
	if f.NodeID != "" {
		w.add("node_id = ?", f.NodeID)
	}
	w.notBefore("started_at", f.StartedAfter)
	w.before("started_at", f.StartedBefore)
}

// Recordings returns a page of recordings, newest first, and the cursor of the next page.
func (s *Store) Recordings(ctx context.Context, f RecordingFilter, p Page) ([]Recording, string, error) {
	var w where
	f.add(&w)
	if err := w.afterTime("started_at", "session_id", p); err != nil {
		return nil, "", fmt.Errorf("list recordings: %w", err)
	}
	list, next, err := page(ctx, s.reader(),
		`select `+recordingColumns+` from recordings`+w.String()+` order by started_at desc, session_id desc`,
		&w, p, scanRecording, func(x Recording) string { return timeCursor(x.StartedAt, x.SessionID) })
	if err != nil {
		return nil, "", fmt.Errorf("list recordings: %w", err)
	}
	return list, next, nil
}

// OpenRecordings returns the recordings that are not closed.
func (s *Store) OpenRecordings(ctx context.Context) ([]Recording, error) {
	return s.recordings(ctx, `where not closed order by recordings.session_id`)
}

// RecordingsToRemove returns some of the recordings that ended before t and that no legal
// hold keeps, oldest first.
func (s *Store) RecordingsToRemove(ctx context.Context, t time.Time, limit int) ([]Recording, error) {
	return s.recordings(ctx, `where closed and not legal_hold and ended_at < $1 order by ended_at limit $2`, t.UnixMilli(), limit)
}

// RecordingsWithoutTranscript returns some of the closed recordings that have no finished
// transcript and could have one: those of terminals whose text is not encrypted.
func (s *Store) RecordingsWithoutTranscript(ctx context.Context, tunnel string, limit int) ([]Recording, error) {
	return s.recordings(ctx, `where closed and kms_key_id = '' and session_type <> $1
		and not exists (select 1 from transcripts t where t.session_id = recordings.session_id and t.finished)
		order by ended_at limit $2`, tunnel, limit)
}

func (s *Store) recordings(ctx context.Context, rest string, args ...any) ([]Recording, error) {
	var list []Recording
	err := s.reader().rows(ctx, `select `+recordingColumns+` from recordings `+rest, args, func(scan func(...any) error) error {
		var x Recording
		if err := scanRecording(&x, scan); err != nil {
			return err
		}
		list = append(list, x)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	return list, nil
}

// RemoveRecording takes a recording's row and transcript away, unless a legal hold keeps
// it, and says whether it did.
func (s *Store) RemoveRecording(ctx context.Context, id string) (bool, error) {
	n, err := s.writer().exec(ctx, `delete from recordings where session_id = $1 and not legal_hold`, id)
	if err != nil {
		return false, fmt.Errorf("remove recording %s: %w", id, err)
	}
	return n > 0, nil
}

// PutLegalHold sets or lifts the legal hold of a recording, and stores the audit event of
// that with it.
func (s *Store) PutLegalHold(ctx context.Context, id string, hold bool, reason string, event AuditEvent) (Recording, error) {
	var x Recording
	err := s.inTx(ctx, func(tx runner) error {
		n, err := tx.exec(ctx, `update recordings set legal_hold = $2, legal_hold_reason = $3 where session_id = $1`, id, hold, reason)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err == nil {
			err = tx.rowOf(ctx, `select `+recordingColumns+` from recordings where session_id = $1`, []any{id},
				func(scan func(...any) error) error { return scanRecording(&x, scan) })
		}
		if err != nil {
			return err
		}
		return insertAudit(ctx, tx, event)
	})
	if err != nil {
		return Recording{}, fmt.Errorf("legal hold of recording %s: %w", id, err)
	}
	return x, nil
}

// HasRecording says whether there is a row of a session's recording.
func (s *Store) HasRecording(ctx context.Context, sessionID string) (bool, error) {
	_, err := s.Recording(ctx, sessionID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
