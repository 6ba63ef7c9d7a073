package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	// keepInterval is how often recordings are looked after.
	keepInterval = time.Minute
	// leftAlone is how long after the end of its session a recording is taken as one that
	// no server writes any more.
	leftAlone = 30 * time.Minute
	// removeAtOnce bounds what one pass removes.
	removeAtOnce = 1000
	// transcribeAtOnce bounds the transcripts that one pass makes.
	transcribeAtOnce = 500
	// maxTranscript bounds the text of a session that can be searched, in bytes.
	maxTranscript = 1 << 20
)

// BeganRecording notes that a session is recorded.
func (s *Server) BeganRecording(ctx context.Context, session store.Session, sessionType, kmsKeyID string) error {
	return s.cfg.Store.BeginRecording(ctx, store.Recording{
		SessionID: session.ID, NodeID: session.NodeID, OwnerARN: session.OwnerARN, OwnerUserID: session.OwnerUserID,
		DocumentName: session.DocumentName, SessionType: sessionType, KMSKeyID: kmsKeyID, Directory: session.ID, StartedAt: session.StartedAt,
	})
}

// EndedRecording notes that nothing follows.
func (s *Server) EndedRecording(ctx context.Context, id string) error {
	facts, err := s.cfg.RecordingFiles.Facts(id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	if err := s.cfg.Store.EndRecording(ctx, id, facts.Bytes, s.cfg.Now()); err != nil {
		return err
	}
	select {
	case s.transcribe <- struct{}{}:
	default:
	}
	return nil
}

// RunRecordings looks after recordings until ctx ends: it notes those that no row tells of,
// closes what a killed server left, notes sizes, and removes what has had its time.
// retention of zero removes nothing.
func (s *Server) RunRecordings(ctx context.Context, retention time.Duration) {
	if s.cfg.RecordingFiles == nil {
		return
	}
	if err := s.adoptRecordings(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Logger.Warn("recordings not found out about", "error", err)
	}
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		if err := s.KeepRecordings(ctx, retention); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("recordings not looked after", "error", err)
		}
		select {
		case <-tick.C:
		case <-s.transcribe:
		case <-ctx.Done():
			return
		}
	}
}

// adoptRecordings makes the rows of recordings that have none: of an earlier release, or
// of a server that was killed before it made them.
func (s *Server) adoptRecordings(ctx context.Context) error {
	list, err := s.cfg.RecordingFiles.List()
	if err != nil {
		return err
	}
	for _, id := range list {
		known, err := s.cfg.Store.HasRecording(ctx, id)
		if err != nil && !errors.Is(err, store.ErrInvalid) {
			return err
		}
		facts, errFacts := s.cfg.RecordingFiles.Facts(id)
		if known || err != nil || errFacts != nil || facts.StartedAt == nil {
			continue // it has one, or says nothing of itself
		}
		x := store.Recording{SessionID: id, NodeID: facts.NodeID, OwnerARN: facts.Owner, DocumentName: facts.DocumentName,
			SessionType: facts.SessionType, KMSKeyID: facts.KMSKeyID, Directory: id, StartedAt: facts.StartedAt.Time, Bytes: facts.Bytes}
		session, err := s.cfg.Store.Session(ctx, id)
		if err == nil {
			x.OwnerUserID = session.OwnerUserID
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if facts.Closed {
			x.Closed, x.EndedAt = true, s.cfg.Now()
			if err == nil && !session.EndedAt.IsZero() {
				x.EndedAt = session.EndedAt
			}
		}
		if err := s.cfg.Store.BeginRecording(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// KeepRecordings is one pass of [Server.RunRecordings].
func (s *Server) KeepRecordings(ctx context.Context, retention time.Duration) error {
	open, err := s.cfg.Store.OpenRecordings(ctx)
	if err != nil {
		return err
	}
	for _, x := range open {
		if err := s.keepOpen(ctx, x); err != nil {
			return err
		}
	}
	if err := s.makeTranscripts(ctx); err != nil {
		return err
	}
	if retention <= 0 {
		return nil
	}
	old, err := s.cfg.Store.RecordingsToRemove(ctx, s.cfg.Now().Add(-retention), removeAtOnce)
	if err != nil {
		return err
	}
	for _, x := range old {
		// The row first: a hold that was put meanwhile keeps both. Files without a row are
		// found at the next start, and go then.
		removed, err := s.cfg.Store.RemoveRecording(ctx, x.SessionID)
		if err == nil && removed {
			err = s.cfg.RecordingFiles.Remove(x.SessionID)
		}
		if err != nil {
			return err
		}
		s.cfg.Logger.Info("recording removed", "session_id", x.SessionID, "ended_at", x.EndedAt)
	}
	return nil
}

// keepOpen notes the size of a recording that is not closed, and closes one whose session
// has long been over.
func (s *Server) keepOpen(ctx context.Context, x store.Recording) error {
	facts, err := s.cfg.RecordingFiles.Facts(x.SessionID)
	if err != nil { // another server has it, or nothing was written yet
		return nil
	}
	session, err := s.cfg.Store.Session(ctx, x.SessionID)
	gone := errors.Is(err, store.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	now := s.cfg.Now()
	if !gone && (session.EndedAt.IsZero() || now.Sub(session.EndedAt) < leftAlone) && !facts.Closed {
		if facts.Bytes == x.Bytes {
			return nil
		}
		if err := s.transcript(ctx, x, false); err != nil {
			return err
		}
		return s.cfg.Store.SetRecordingBytes(ctx, x.SessionID, facts.Bytes)
	}
	if !facts.Closed {
		if err := s.cfg.RecordingFiles.Finish(x.SessionID); err != nil {
			s.cfg.Logger.Warn("recording not closed", "session_id", x.SessionID, "error", err)
			return nil
		}
	}
	ended := now
	if !gone && !session.EndedAt.IsZero() {
		ended = session.EndedAt
	}
	return s.cfg.Store.EndRecording(ctx, x.SessionID, facts.Bytes, ended)
}

// makeTranscripts makes the transcripts of recordings that are closed, and what the search
// of them goes by.
func (s *Server) makeTranscripts(ctx context.Context) error {
	list, err := s.cfg.Store.RecordingsWithoutTranscript(ctx, message.SessionTypePort, transcribeAtOnce)
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := s.transcript(ctx, x, true); err != nil {
			return err
		}
	}
	for {
		if more, err := s.cfg.Store.GatherTranscripts(ctx); err != nil || !more {
			return err
		}
	}
}

// transcript makes the transcript of a recording, as far as it goes. One that is encrypted
// has none: the server has no key to it.
func (s *Server) transcript(ctx context.Context, x store.Recording, finished bool) error {
	if x.KMSKeyID != "" || x.SessionType == message.SessionTypePort {
		return nil
	}
	t, err := s.cfg.RecordingFiles.Transcript(x.SessionID, maxTranscript)
	if errors.Is(err, fs.ErrNotExist) { // another server has the files
		return nil
	}
	if err != nil {
		s.cfg.Logger.Warn("transcript not made", "session_id", x.SessionID, "error", err)
		t = ssm.Transcript{}
	}
	err = s.cfg.Store.PutTranscript(ctx, x.SessionID, t, finished)
	if errors.Is(err, store.ErrNotFound) { // removed meanwhile
		return nil
	}
	return err
}
