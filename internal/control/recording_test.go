package control

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/recorder"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// recorded makes a world with a recorder and a session of alice that is recorded.
func recorded(t *testing.T, change ...func(*Config)) (w *world, rec *recorder.Recording, session store.Session) {
	t.Helper()
	r, err := recorder.New(recorder.Config{Dir: filepath.Join(t.TempDir(), "recordings"), Seed: bytes.Repeat([]byte{7}, ed25519.SeedSize)})
	must(t, err)
	w = newWorld(t, append(change, func(c *Config) { c.RecordingFiles = r.Archive() })...)
	node := w.node()
	w.connect(node)
	session = w.stored(w.session("alice", node).SessionID)
	rec = r.Begin(recorder.Facts{SessionID: session.ID, NodeID: node, Owner: session.OwnerARN, SessionType: message.SessionTypeStandardStream, StartedAt: session.StartedAt})
	must(t, w.server.BeganRecording(t.Context(), session, message.SessionTypeStandardStream, ""))
	return w, rec, session
}

func (w *world) allow(user, statement string) {
	w.t.Helper()
	text := `{"Version":"2012-10-17","Statement":[` + statement + `]}`
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), store.Entity{Type: store.EntityUser, Name: user}, "it", text, len(text), 1<<20))
}

func TestRecordings(t *testing.T) {
	w, rec, session := recorded(t)
	rec.Stream(true, 0, message.PayloadOutput, []byte("hello 日本\r\n"))
	rec.Close(true)
	must(t, w.server.EndedRecording(t.Context(), session.ID))
	list, err := w.server.ListRecordings(w.as("alice"), &ssm.ListRecordingsInput{})
	must(t, err)
	if len(list.Recordings) != 1 || list.Recordings[0].SessionID != session.ID || !list.Recordings[0].Closed || list.Recordings[0].Bytes == 0 {
		t.Errorf("list %+v", list)
	}
	got, err := w.server.GetRecording(w.as("alice"), &ssm.GetRecordingInput{SessionID: session.ID})
	must(t, err)
	if !strings.Contains(got.Cast, `"hello 日本\r\n"`) || got.NextOffset != nil {
		t.Errorf("recording %+v", got)
	}
	verdict, err := w.server.VerifyRecording(w.as("alice"), &ssm.RecordingIDInput{SessionID: session.ID})
	if err != nil || !verdict.Verified {
		t.Errorf("%+v, %v", verdict, err)
	}
	_, err = w.server.GetRecording(w.as("alice"), &ssm.GetRecordingInput{SessionID: "alice-0123456789abcdef0"})
	wantCode(t, err, codeRecordingNotFound)
}

// A session names its recording, beside the addresses of its logs.
func TestSessionNamesItsRecording(t *testing.T) {
	w, rec, session := recorded(t)
	rec.Close(true)
	other := w.session("alice", session.NodeID).SessionID
	out, err := w.server.DescribeSessions(w.as("alice"), &ssm.DescribeSessionsInput{State: "Active"})
	must(t, err)
	for _, x := range out.Sessions {
		want := map[string]string{session.ID: "Recording: " + w.server.cfg.PublicURL + "/#/recordings/" + session.ID, other: ""}[x.SessionID]
		if x.Details != want {
			t.Errorf("%s: %q, want %q", x.SessionID, x.Details, want)
		}
	}
	if len(out.Sessions) != 2 {
		t.Errorf("%d sessions", len(out.Sessions))
	}
}

func TestSearchOwnTranscripts(t *testing.T) {
	w, rec, session := recorded(t)
	rec.Stream(true, 0, message.PayloadOutput, []byte("\x1b[1m障害対応\x1b[m を始めます\r\n"))
	rec.Close(true)
	must(t, w.server.EndedRecording(t.Context(), session.ID))
	must(t, w.server.KeepRecordings(t.Context(), 0))
	search := func(user, query string) *ssm.SearchTranscriptsOutput {
		t.Helper()
		out, err := w.server.SearchTranscripts(w.as(user), &ssm.SearchTranscriptsInput{Query: query})
		must(t, err)
		return out
	}
	if out := search("alice", "障害"); len(out.Hits) != 1 || out.Hits[0].SessionID != session.ID || out.Hits[0].Excerpt != "障害対応 を始めます" {
		t.Errorf("%+v", out)
	}
	if out := search("alice", "障応"); len(out.Hits) != 0 {
		t.Errorf("%+v", out)
	}
	// Who may search, and read the own recordings, finds the own ones.
	w.allow("bob", `{"Effect":"Allow","Action":"sekisho:SearchTranscripts","Resource":"*"},
		{"Effect":"Allow","Action":"sekisho:GetRecording","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}`)
	if out := search("bob", "障害"); len(out.Hits) != 0 {
		t.Errorf("of others: %+v", out)
	}
}

// Policies of the walkthrough: everybody sees the own recordings only.
func TestOwnRecordings(t *testing.T) {
	w, rec, session := recorded(t)
	rec.Stream(true, 0, message.PayloadOutput, []byte("hello\r\n"))
	rec.Close(true)
	must(t, w.server.EndedRecording(t.Context(), session.ID))
	must(t, w.store.DetachPolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "alice"}, "arn:aws:iam::aws:policy/AdministratorAccess"))
	const own = `{"Effect":"Allow","Action":["sekisho:GetRecording","sekisho:WatchSession"],"Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"},
		{"Effect":"Allow","Action":["sekisho:ListRecordings"],"Resource":"*",
		 "Condition":{"StringEquals":{"sekisho:Principal":"arn:aws:iam::123456789012:user/${aws:username}"}}}`
	w.allow("alice", own)
	w.allow("bob", own)
	for user, allowed := range map[string]bool{"alice": true, "bob": false} {
		_, errGet := w.server.GetRecording(w.as(user), &ssm.GetRecordingInput{SessionID: session.ID})
		_, errWatch := w.server.WatchSession(w.as(user), &ssm.WatchSessionInput{SessionID: session.ID})
		_, errList := w.server.ListRecordings(w.as(user), &ssm.ListRecordingsInput{Principal: session.OwnerARN})
		for _, err := range []error{errGet, errWatch, errList} {
			if allowed && err != nil || !allowed && !ssm.IsCode(err, ssm.CodeAccessDenied) {
				t.Errorf("%s: %v", user, err)
			}
		}
		_, err := w.server.ListRecordings(w.as(user), &ssm.ListRecordingsInput{})
		wantCode(t, err, ssm.CodeAccessDenied)
	}
}

func TestRetentionAndLegalHold(t *testing.T) {
	w, rec, session := recorded(t)
	rec.Stream(true, 0, message.PayloadOutput, []byte("hello\r\n"))
	rec.Close(true)
	must(t, w.server.EndedRecording(t.Context(), session.ID))
	const retention = 90 * 24 * time.Hour
	there := func() bool {
		t.Helper()
		must(t, w.server.KeepRecordings(t.Context(), retention))
		_, errRow := w.store.Recording(t.Context(), session.ID)
		_, errFiles := w.server.cfg.RecordingFiles.Facts(session.ID)
		if (errRow == nil) != (errFiles == nil) {
			t.Fatalf("row: %v; files: %v", errRow, errFiles)
		}
		return errRow == nil
	}
	w.ahead.Store(int64(retention - time.Hour))
	if !there() {
		t.Fatal("removed before its time")
	}
	_, err := w.server.PutLegalHold(w.as("bob"), &ssm.PutLegalHoldInput{SessionID: session.ID, Hold: true, Reason: "case 1"})
	wantCode(t, err, ssm.CodeAccessDenied)
	held, err := w.server.PutLegalHold(w.as("alice"), &ssm.PutLegalHoldInput{SessionID: session.ID, Hold: true, Reason: "case 1"})
	must(t, err)
	if !held.Recording.LegalHold || held.Recording.LegalHoldReason != "case 1" {
		t.Errorf("held: %+v", held)
	}
	w.ahead.Store(int64(retention + time.Hour))
	if !there() {
		t.Fatal("removed under legal hold")
	}
	_, err = w.server.PutLegalHold(w.as("alice"), &ssm.PutLegalHoldInput{SessionID: session.ID})
	must(t, err)
	if there() {
		t.Fatal("still there after its time")
	}
	found := 0
	for _, action := range w.audited() {
		if action == "sekisho:PutLegalHold" {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d events of legal hold, want 2", found)
	}
}

// What a killed server left is found, closed and listed.
func TestLeftRecordings(t *testing.T) {
	w, rec, session := recorded(t)
	rec.Stream(true, 0, message.PayloadOutput, []byte("hello\r\n"))
	rec.Close(false)
	_, err := w.store.EndSession(t.Context(), session.ID, ssm.SessionTerminated, "", w.server.cfg.Now())
	must(t, err)
	_, err = w.store.RemoveRecording(t.Context(), session.ID) // as if it was killed before it noted it
	must(t, err)
	must(t, w.server.adoptRecordings(t.Context()))
	row, err := w.store.Recording(t.Context(), session.ID)
	must(t, err)
	if row.Closed || row.OwnerUserID != session.OwnerUserID || row.NodeID != session.NodeID {
		t.Errorf("found %+v", row)
	}
	must(t, w.server.KeepRecordings(t.Context(), 0))
	if row, _ = w.store.Recording(t.Context(), session.ID); row.Closed {
		t.Error("closed while a server may still write it")
	}
	w.ahead.Store(int64(time.Hour))
	must(t, w.server.KeepRecordings(t.Context(), 0))
	if row, _ = w.store.Recording(t.Context(), session.ID); !row.Closed || row.EndedAt.IsZero() {
		t.Errorf("left: %+v", row)
	}
}

func TestWatchSession(t *testing.T) {
	w, rec, session := recorded(t)
	ctx, cancel := context.WithTimeout(w.as("alice"), time.Minute)
	defer cancel()
	rec.Stream(true, 0, message.PayloadOutput, []byte("one\r\n"))
	seen, cursor, calls := "", "", 0
	watch := func() bool {
		t.Helper()
		out, err := w.server.WatchSession(ctx, &ssm.WatchSessionInput{SessionID: session.ID, Cursor: cursor})
		// The recording's first bytes reach the disk within a second.
		if errors.Is(err, os.ErrNotExist) || ssm.IsCode(err, codeRecordingNotFound) {
			return false
		}
		must(t, err)
		seen, cursor = seen+out.Cast, out.Cursor
		calls++
		return out.Ended
	}
	for !strings.Contains(seen, "one") {
		watch()
	}
	rec.Stream(true, 1, message.PayloadOutput, []byte("two\r\n"))
	for !strings.Contains(seen, "two") {
		watch()
	}
	rec.Close(true)
	must(t, w.server.EndedRecording(t.Context(), session.ID))
	for !watch() {
	}
	if strings.Count(seen, "one") != 1 || strings.Count(seen, `"version":2`) != 1 {
		t.Errorf("seen:\n%s", seen)
	}
	watched := 0
	for _, action := range w.audited() {
		if action == "sekisho:WatchSession" {
			watched++
		}
	}
	if watched != 1 || calls < 3 {
		t.Errorf("%d events for one watcher with %d calls", watched, calls)
	}
}

// An encrypted recording opens for who may decrypt its key only.
func TestEncryptedRecordingAsksForTheKey(t *testing.T) {
	asked := errors.New("asked")
	w, rec, session := recorded(t, func(c *Config) {
		c.OpenKey = func(_ context.Context, sealed []byte, bound map[string]string) ([]byte, error) {
			if string(sealed) != "sealed" || bound[message.ContextSessionID] == "" {
				t.Errorf("asked for %q with %v", sealed, bound)
			}
			return nil, asked
		}
	})
	var request message.HandshakeRequest
	request.Add(message.ActionKMSEncryption, message.KMSEncryptionParameters{KMSKeyId: "k"})
	rec.Stream(true, 0, message.PayloadHandshakeRequest, message.Marshal(request))
	rec.Stream(false, 0, message.PayloadHandshakeResponse, message.Marshal(message.NewHandshakeResponse(request,
		func(message.KMSEncryptionParameters) (message.KMSEncryptionResult, error) {
			return message.KMSEncryptionResult{KMSCipherTextKey: []byte("sealed")}, nil
		})))
	rec.Close(true)
	_, err := w.store.RemoveRecording(t.Context(), session.ID)
	must(t, err)
	must(t, w.server.BeganRecording(t.Context(), session, message.SessionTypeStandardStream, "k"))
	_, errGet := w.server.GetRecording(w.as("alice"), &ssm.GetRecordingInput{SessionID: session.ID})
	_, errWatch := w.server.WatchSession(w.as("alice"), &ssm.WatchSessionInput{SessionID: session.ID})
	if !errors.Is(errGet, asked) || !errors.Is(errWatch, asked) {
		t.Errorf("%v, %v; want that of the key service", errGet, errWatch)
	}
}
