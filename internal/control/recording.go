package control

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// RecordingFiles are the files of recordings. The recorder has them; a recording that is
// not there is [fs.ErrNotExist].
type RecordingFiles interface {
	List() ([]string, error)
	Facts(id string) (ssm.RecordingFacts, error)
	// Read gives what follows an offset. key opens an encrypted recording.
	Read(id string, from int64, limit int, input bool, key []byte) (ssm.RecordingPart, error)
	Key(id string) (ssm.RecordingKey, error)
	Verify(id string) (*ssm.VerifyRecordingOutput, error)
	// Transcript gives the text of a recording in clear, of about limit bytes at most.
	Transcript(id string, limit int) (ssm.Transcript, error)
	Finish(id string) error
	Remove(id string) error
}

// Codes of the operations on recordings.
const codeRecordingNotFound = "RecordingNotFoundException"

const (
	// recordingPart is how much of a recording one answer has, in bytes.
	recordingPart = 1 << 20
	// watchFrom is how much of the past somebody gets who begins to watch a session.
	watchFrom = 512 << 10
	// watchHold is how long WatchSession waits for something to tell.
	watchHold = 10 * time.Second
	// watchPoll is how often it looks. The recorder brings output to its file each second.
	watchPoll = 250 * time.Millisecond
)

func (s *Server) noRecording(id string) error {
	return ssm.Errorf(codeRecordingNotFound, "There is no recording of the session %s.", id)
}

// ListRecordings lists recordings, newest first. Whoever may call it sees all of them; the
// condition key sekisho:Principal is the owner that the request asks for, so that a policy
// can keep somebody to the own ones.
func (s *Server) ListRecordings(ctx context.Context, in *ssm.ListRecordingsInput) (*ssm.ListRecordingsOutput, error) {
	const operation = "sekisho:ListRecordings"
	if err := s.authorizeOwner(ctx, operation, in.Principal); err != nil {
		return nil, err
	}
	parameters := []any{in.Principal, in.Target, in.StartedAfter, in.StartedBefore}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Store.Recordings(ctx, recordingFilter(in.Principal, in.Target, in.StartedAfter, in.StartedBefore),
		store.Page{After: cursor, Limit: pageLimit(in.MaxResults)})
	if errors.Is(err, store.ErrCursor) {
		return nil, errPageToken
	}
	if errors.Is(err, store.ErrInvalid) { // what is no text to the store is nobody's
		return &ssm.ListRecordingsOutput{Recordings: []ssm.Recording{}}, nil
	}
	if err != nil {
		return nil, err
	}
	out := &ssm.ListRecordingsOutput{Recordings: make([]ssm.Recording, 0, len(list))}
	for _, x := range list {
		out.Recordings = append(out.Recordings, describeRecording(x))
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}

// authorizeOwner asks for an action about the recordings of an owner, or of all.
func (s *Server) authorizeOwner(ctx context.Context, action, owner string) error {
	r := auth.Request{Action: action, Resource: everything}
	if owner != "" {
		r.Context = map[string][]string{"sekisho:Principal": {owner}}
	}
	return s.cfg.Auth.Authorize(ctx, r)
}

func recordingFilter(owner, node string, after, before *ssm.Time) store.RecordingFilter {
	f := store.RecordingFilter{OwnerARN: owner, NodeID: node}
	if after != nil {
		f.StartedAfter = after.Time
	}
	if before != nil {
		f.StartedBefore = before.Time
	}
	return f
}

func describeRecording(x store.Recording) ssm.Recording {
	return ssm.Recording{
		SessionID: x.SessionID, Target: x.NodeID, Owner: x.OwnerARN, DocumentName: x.DocumentName, SessionType: x.SessionType,
		KMSKeyID: x.KMSKeyID, StartedAt: ssm.At(x.StartedAt), EndedAt: ssm.At(x.EndedAt), Bytes: x.Bytes, Closed: x.Closed,
		LegalHold: x.LegalHold, LegalHoldReason: x.LegalHoldReason,
	}
}

// recording gives the recording of a session for which the caller may do action. The
// decision comes first, as with sessions; nil says that there is none.
func (s *Server) recording(ctx context.Context, action, id string) (*store.Recording, error) {
	x, err := s.cfg.Store.Recording(ctx, id)
	exists := !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid)
	if exists && err != nil {
		return nil, err
	}
	if err := s.cfg.Auth.Authorize(ctx, s.recordingRequest(ctx, action, id, x, exists)); err != nil {
		return nil, err
	}
	if !exists {
		return nil, s.noRecording(id)
	}
	return &x, nil
}

// recordingRequest asks whether the caller may do action to a session that has a recording.
func (s *Server) recordingRequest(ctx context.Context, action, id string, x store.Recording, exists bool) auth.Request {
	p, _ := auth.From(ctx)
	request := s.cfg.Auth.SessionRequest(p, action, id, x.OwnerUserID, exists)
	if exists {
		request.Context = tagContext([]ssm.Tag{
			{Key: "aws:ssmmessages:session-id", Value: x.OwnerUserID},
			{Key: "aws:ssmmessages:target-id", Value: x.NodeID},
		})
	}
	return request
}

// dataKey opens the data key of an encrypted recording in the name of the caller, who
// must be allowed to kms:Decrypt with the session's encryption context; nil for a
// recording in clear.
func (s *Server) dataKey(ctx context.Context, x *store.Recording) ([]byte, error) {
	if x.KMSKeyID == "" || x.SessionType == message.SessionTypePort {
		return nil, nil
	}
	if s.cfg.OpenKey == nil {
		return nil, validation("The session is encrypted, and this server has no key service.")
	}
	key, err := s.cfg.RecordingFiles.Key(x.SessionID)
	if err != nil {
		return nil, s.recordingError(x.SessionID, err)
	}
	return s.cfg.OpenKey(ctx, key.Sealed, key.Context)
}

// recordingError is what a caller is told of files that are not there.
func (s *Server) recordingError(id string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ssm.Errorf(codeRecordingNotFound, "The files of the recording of %s are not on this server.", id)
	}
	s.cfg.Logger.Error("recording not read", "session_id", id, "error", err)
	return validation("The recording of %s cannot be read: %v", id, err)
}

// GetRecording gives a recording, a piece at a time.
func (s *Server) GetRecording(ctx context.Context, in *ssm.GetRecordingInput) (*ssm.GetRecordingOutput, error) {
	x, err := s.recording(ctx, "sekisho:GetRecording", in.SessionID)
	if err != nil {
		return nil, err
	}
	if s.cfg.RecordingFiles == nil {
		return nil, s.noRecording(in.SessionID)
	}
	key, err := s.dataKey(ctx, x)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	var from int64
	if in.Offset != nil {
		from = *in.Offset
	}
	part, err := s.cfg.RecordingFiles.Read(in.SessionID, from, recordingPart, in.IncludeInput, key)
	if err != nil {
		return nil, s.recordingError(in.SessionID, err)
	}
	out := &ssm.GetRecordingOutput{Recording: describeRecording(*x), Cast: part.Cast, Flows: part.Flows}
	if !part.End {
		out.NextOffset = &part.Next
	}
	return out, nil
}

// VerifyRecording holds a recording against its signatures.
func (s *Server) VerifyRecording(ctx context.Context, in *ssm.RecordingIDInput) (*ssm.VerifyRecordingOutput, error) {
	if _, err := s.recording(ctx, "sekisho:GetRecording", in.SessionID); err != nil {
		return nil, err
	}
	if s.cfg.RecordingFiles == nil {
		return nil, s.noRecording(in.SessionID)
	}
	out, err := s.cfg.RecordingFiles.Verify(in.SessionID)
	if err != nil {
		return nil, s.recordingError(in.SessionID, err)
	}
	return out, nil
}

// PutLegalHold keeps a recording from being removed, or lets it go.
func (s *Server) PutLegalHold(ctx context.Context, in *ssm.PutLegalHoldInput) (*ssm.PutLegalHoldOutput, error) {
	const operation = "sekisho:PutLegalHold"
	if _, err := s.recording(ctx, operation, in.SessionID); err != nil {
		return nil, err
	}
	if in.Hold && in.Reason == "" {
		return nil, validation("A legal hold needs a reason.")
	}
	out := &ssm.PutLegalHoldOutput{}
	x, err := s.cfg.Store.PutLegalHold(ctx, in.SessionID, in.Hold, in.Reason,
		s.cfg.Event(ctx, operation, in, out, s.cfg.ARNs.Session(in.SessionID)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, s.noRecording(in.SessionID)
	}
	if err != nil {
		return nil, err
	}
	s.cfg.Recorded(ctx)
	out.Recording = describeRecording(x)
	return out, nil
}

// WatchSession gives what a session that runs has shown since the cursor, and waits for it
// if there is nothing yet. It reads the recording: what is not recorded cannot be watched.
// The first call of a watcher is on the audit trail.
func (s *Server) WatchSession(ctx context.Context, in *ssm.WatchSessionInput) (*ssm.WatchSessionOutput, error) {
	const operation = "sekisho:WatchSession"
	x, err := s.recording(ctx, operation, in.SessionID)
	if err != nil {
		return nil, err
	}
	if s.cfg.RecordingFiles == nil {
		return nil, s.noRecording(in.SessionID)
	}
	if x.SessionType == message.SessionTypePort {
		return nil, validation("The session is a tunnel: there is nothing to watch.")
	}
	key, err := s.dataKey(ctx, x)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	out := &ssm.WatchSessionOutput{}
	var from int64
	if in.Cursor != "" {
		if from, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil || from < 0 {
			return nil, validation("The cursor is not one of WatchSession.")
		}
	} else {
		head, err := s.cfg.RecordingFiles.Read(in.SessionID, 0, 1, false, key)
		if err != nil {
			return nil, s.recordingError(in.SessionID, err)
		}
		out.Cast, from = head.Cast, head.Next
		if facts, err := s.cfg.RecordingFiles.Facts(in.SessionID); err == nil {
			from = max(from, facts.Bytes-watchFrom)
		}
		event := s.cfg.Event(ctx, operation, in, nil, s.cfg.ARNs.Session(in.SessionID))
		if err := s.cfg.Store.AppendAudit(ctx, event); err != nil {
			return nil, err
		}
	}
	deadline := time.NewTimer(watchHold)
	defer deadline.Stop()
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	for {
		row, err := s.cfg.Store.Recording(ctx, in.SessionID) // before the files: what is closed is whole
		if errors.Is(err, store.ErrNotFound) {
			return nil, s.noRecording(in.SessionID)
		}
		if err != nil {
			return nil, err
		}
		part, err := s.cfg.RecordingFiles.Read(in.SessionID, from, recordingPart, false, key)
		if err != nil {
			return nil, s.recordingError(in.SessionID, err)
		}
		out.Cast += part.Cast
		from = part.Next
		out.Cursor, out.Ended = strconv.FormatInt(from, 10), row.Closed && part.End
		if out.Cast != "" || out.Ended || in.Cursor == "" {
			return out, nil
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return out, nil
		case <-s.stopping:
			return out, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// SearchTranscripts finds sessions by what they showed. It needs the permission to search,
// and gives only what is of sessions that the caller may sekisho:GetRecording. Encrypted
// sessions have no transcripts.
func (s *Server) SearchTranscripts(ctx context.Context, in *ssm.SearchTranscriptsInput) (*ssm.SearchTranscriptsOutput, error) {
	const operation = "sekisho:SearchTranscripts"
	if err := s.authorizeOwner(ctx, operation, in.Principal); err != nil {
		return nil, err
	}
	parameters := []any{in.Query, in.Principal, in.Target, in.StartedAfter, in.StartedBefore}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	hits, next, err := s.cfg.Store.SearchTranscripts(ctx, in.Query, recordingFilter(in.Principal, in.Target, in.StartedAfter, in.StartedBefore),
		store.Page{After: cursor, Limit: pageLimit(in.MaxResults)}, func(x store.Recording) (bool, error) {
			err := s.cfg.Auth.Authorize(ctx, s.recordingRequest(ctx, "sekisho:GetRecording", x.SessionID, x, true))
			if ssm.IsCode(err, ssm.CodeAccessDenied) {
				return false, nil
			}
			return err == nil, err
		})
	switch {
	case errors.Is(err, store.ErrShortQuery):
		return nil, validation("The query needs two characters at least.")
	case errors.Is(err, store.ErrCursor):
		return nil, errPageToken
	case errors.Is(err, store.ErrInvalid): // what is no text to the store is nobody's
	case err != nil:
		return nil, err
	}
	out := &ssm.SearchTranscriptsOutput{Hits: make([]ssm.TranscriptHit, 0, len(hits))}
	for _, h := range hits {
		out.Hits = append(out.Hits, ssm.TranscriptHit{SessionID: h.Recording.SessionID, Target: h.Recording.NodeID, Owner: h.Recording.OwnerARN,
			StartedAt: ssm.At(h.Recording.StartedAt), Excerpt: h.Excerpt, OffsetSeconds: h.Offset.Seconds()})
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}
