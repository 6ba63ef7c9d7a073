package recorder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// readAll reads a recording piece by piece.
func readAll(t *testing.T, a Archive, limit int, key []byte) (cast string) {
	t.Helper()
	for from := int64(0); ; {
		part, err := a.Read("bob-1", from, limit, false, key)
		must(t, err)
		cast += part.Cast
		if part.End {
			return cast
		}
		if part.Next <= from {
			t.Fatalf("the offset stays at %d", from)
		}
		from = part.Next
	}
}

// texts joins the output of a cast.
func texts(t *testing.T, cast string) string {
	t.Helper()
	var all strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(cast, "\n"), "\n") {
		if i == 0 {
			var header struct{ Version, Width, Height int }
			if err := json.Unmarshal([]byte(line), &header); err != nil || header.Version != 2 || header.Width != 100 || header.Height != 40 {
				t.Errorf("header %s: %v", line, err)
			}
			continue
		}
		e, err := parseEvent([]byte(line))
		must(t, err)
		if e.Code == "o" {
			all.WriteString(e.Data)
		}
	}
	return all.String()
}

func TestReadInPieces(t *testing.T) {
	r := newRecorder(t, func(c *Config) { c.SegmentBytes = 2000 })
	rec := r.Begin(facts())
	rec.Stream(false, 0, message.PayloadSize, []byte(`{"cols":100,"rows":40}`))
	var want strings.Builder
	for n := range int64(300) {
		line := fmt.Sprintf("%d 日本語\r\n", n)
		want.WriteString(line)
		rec.Stream(true, n, message.PayloadOutput, []byte(line))
	}
	rec.Close(true)
	whole := readAll(t, r.Archive(), 1<<20, nil)
	for _, limit := range []int{1, 100, 1000} {
		if diff := cmp.Diff(whole, readAll(t, r.Archive(), limit, nil)); diff != "" {
			t.Fatalf("in pieces of %d bytes (-whole +pieces):\n%s", limit, diff)
		}
	}
	if got := texts(t, whole); got != want.String() {
		t.Errorf("%q\nwant %q", got, want.String())
	}
	// From within a line, the next one.
	part, err := r.Archive().Read("bob-1", 700, 1<<20, false, nil)
	must(t, err)
	if !strings.HasSuffix(whole, part.Cast) || !strings.HasPrefix(part.Cast, "[") || len(part.Cast) >= len(whole) {
		t.Errorf("from 700: %q", part.Cast[:min(80, len(part.Cast))])
	}
	for _, id := range []string{"", ".", "..", "../bob-1", "bob-2"} {
		if _, err := r.Archive().Read(id, 0, 100, false, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// An encrypted session is recorded as ciphertext and opens with its data key, characters
// that two frames share whole.
func TestReadEncrypted(t *testing.T) {
	r := newRecorder(t)
	f := facts()
	f.KMSKeyID = "alias/sessions"
	key := bytes.Repeat([]byte{3}, datachannel.DataKeySize)
	agent, err := datachannel.NewCipher(datachannel.Agent, bytes.Clone(key))
	must(t, err)
	rec := r.Begin(f)
	var request message.HandshakeRequest
	request.Add(message.ActionKMSEncryption, message.KMSEncryptionParameters{KMSKeyId: "alias/sessions", Challenge: "Y2hhbGxlbmdl"})
	rec.Stream(true, 0, message.PayloadHandshakeRequest, message.Marshal(request))
	response := message.NewHandshakeResponse(request, func(message.KMSEncryptionParameters) (message.KMSEncryptionResult, error) {
		return message.KMSEncryptionResult{KMSCipherTextKey: []byte("sealed"), ChallengeAcknowledgement: true}, nil
	})
	rec.Stream(false, 0, message.PayloadHandshakeResponse, message.Marshal(response))
	rec.Stream(false, 1, message.PayloadSize, []byte(`{"cols":100,"rows":40}`))
	parts := []string{"secret\r\n", "\xe6\x97", "\xa5\xe6\x9c", "\xac"}
	for i, p := range parts {
		rec.Stream(true, int64(i+1), message.PayloadOutput, agent.Seal(nil, []byte(p)))
	}
	rec.Close(true)
	got, err := r.Archive().Key("bob-1")
	must(t, err)
	if string(got.Sealed) != "sealed" || got.Context[message.ContextRandomChallenge] != "Y2hhbGxlbmdl" ||
		got.Context[message.ContextTargetID] != "mi-1" || got.Context[message.ContextSessionID] != "bob-1" {
		t.Errorf("key %+v", got)
	}
	for _, limit := range []int{1, 1 << 20} {
		if text := texts(t, readAll(t, r.Archive(), limit, key)); text != "secret\r\n日本" {
			t.Errorf("opened: %q", text)
		}
	}
	if cast := readAll(t, r.Archive(), 1<<20, nil); strings.Contains(cast, "secret") {
		t.Error("it can be read without the key")
	}
	if _, err := r.Archive().Read("bob-1", 0, 1<<20, false, bytes.Repeat([]byte{4}, datachannel.DataKeySize)); err == nil {
		t.Error("another key opens it")
	}
}

func TestFinishAndRemove(t *testing.T) {
	r := newRecorder(t)
	rec := r.Begin(facts())
	rec.Stream(true, 0, message.PayloadOutput, []byte("x"))
	rec.Close(false) // as a server that stops
	got, err := r.Archive().Facts("bob-1")
	must(t, err)
	if got.Closed || got.Owner != facts().Owner || got.NodeID != "mi-1" || got.Bytes == 0 {
		t.Errorf("facts %+v", got)
	}
	must(t, r.Archive().Finish("bob-1"))
	report, err := r.Archive().Verify("bob-1")
	if err != nil || !report.Verified || !report.Closed {
		t.Errorf("%+v, %v", report, err)
	}
	must(t, os.WriteFile(filepath.Join(r.dir(), segmentFile(0)), []byte("{}\n"), 0o600))
	report, err = r.Archive().Verify("bob-1")
	if err != nil || report.Verified || report.File != segmentFile(0) {
		t.Errorf("of a changed one: %+v, %v", report, err)
	}
	must(t, r.Archive().Remove("bob-1"))
	if list, err := r.Archive().List(); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}
