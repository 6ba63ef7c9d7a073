package main

import (
	"context"
	"path/filepath"
	"time"

	"sekisho/internal/gateway"
	"sekisho/internal/recorder"
	"sekisho/internal/store"
)

// noteTimeout bounds the noting of a recording in the database.
const noteTimeout = 10 * time.Second

// recorder makes the recorder, once. It is also there when nothing is recorded any more:
// for the recordings that there are.
func (s *server) recorder() (*recorder.Recorder, error) {
	if s.records == nil {
		r, err := recorder.New(recorder.Config{
			Dir: filepath.Join(s.cfg.DataDir, recordingsDir), Seed: s.store.DeriveKey("recordings"),
			Input: s.cfg.Recordings.Record == recordAll, Logger: s.logger,
		})
		if err != nil {
			return nil, err
		}
		s.records = r
	}
	return s.records, nil
}

// noted is a recording whose beginning and end are noted in the database.
type noted struct {
	gateway.Recording
	began chan struct{} // closed when the beginning is noted, or was tried
	end   func()
}

// noteRecording notes a recording. The gateway waits for none of it but the end.
func (s *server) noteRecording(r gateway.Recording, row store.Session, facts recorder.Facts) gateway.Recording {
	note := func(what string, f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
		defer cancel()
		if err := f(ctx); err != nil {
			s.logger.Warn(what, "session_id", row.ID, "error", err)
		}
	}
	n := &noted{Recording: r, began: make(chan struct{}), end: func() {
		note("end of a recording not noted", func(ctx context.Context) error { return s.control.EndedRecording(ctx, row.ID) })
	}}
	go func() {
		defer close(n.began)
		note("beginning of a recording not noted", func(ctx context.Context) error {
			return s.control.BeganRecording(ctx, row, facts.SessionType, facts.KMSKeyID)
		})
	}()
	return n
}

// Close ends the recording and notes it.
func (n *noted) Close(finished bool) {
	n.Recording.Close(finished)
	<-n.began
	if finished {
		n.end()
	}
}
