//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// The items of protocol.md §15 that belong to the agent and to shells.

func TestConformance30ControlChannelIsKept(t *testing.T) {
	s := newTestServer(t)
	s.runAgent(func(c *Config) {
		c.pace = pace{Interval: 30 * time.Millisecond, Pong: 30 * time.Millisecond, Stalled: time.Second}
		c.sessionPace = c.pace
	})
	first := receive(t, "control channel", s.controls)
	var open message.OpenControlChannel
	if err := json.Unmarshal(first.open, &open); err != nil {
		t.Fatal(err)
	}
	if open.MessageSchemaVersion != "1.0" || open.PlatformType != "linux" || open.RequestId == "" || open.Cookie != nil ||
		!bytes.Contains(first.open, []byte(`"Cookie":null`)) {
		t.Errorf("first message %s", first.open)
	}
	first.ws.CloseNow()
	second := receive(t, "channel after a drop", s.controls)

	// A server that is there but answers no ping is left.
	s.with(func() { s.deaf = true })
	for range second.frames { // until it is closed
	}
	s.with(func() { s.deaf = false })
	for live := 0; live == 0; { // those that opened meanwhile end the same way
		c := receive(t, "channel after silence", s.controls)
		c.send(t, channelClosed("unknown"))
		s.mu.Lock()
		live = len(s.open)
		s.mu.Unlock()
	}
}

func TestConformance30ConnectionIsRetried(t *testing.T) {
	s := newTestServer(t)
	refusals := 0
	s.refuse = func(r *http.Request) *ssm.Error {
		if strings.HasPrefix(r.URL.Path, "/v1/control-channel/") {
			if refusals++; refusals <= 2 {
				return &ssm.Error{Code: "InternalServerError", Status: 500}
			}
		}
		return nil
	}
	s.runAgent()
	receive(t, "control channel", s.controls)
	if refusals < 3 {
		t.Errorf("%d attempts", refusals)
	}
}

func TestConformance31TaskIsParsed(t *testing.T) {
	inner := `{"DOCUMENTNAME":"d","documentcontent":{"SchemaVersion":"1.0","sessiontype":"Standard_Stream",
		"inputs":{"runAsEnabled":"false","s3EncryptionEnabled":"true","cloudWatchEncryptionEnabled":true,"cloudWatchStreamingEnabled":false,
			"shellProfile":{"linux":"echo {{ word }} {{other}} {{unknown}}"},"s3KeyPrefix":"{{word}}"},
		"parameters":{"word":{"type":"String","default":"default"},"other":{"type":"String","default":"two"}},
		"properties":{"n":"{{ list }}","deep":[{"t":"a{{word}}b"}]}},
		"SessionId":"tester-0123","Parameters":{"word":"w$$","list":["22"]},"unknown":1}`
	payload := message.Marshal(map[string]any{"Content": inner, "TaskId": "x", "Topic": "y", "SchemaVersion": 1})
	id, task, err := parseTask(payload)
	if err != nil {
		t.Fatal(err)
	}
	in := task.DocumentContent.Inputs
	if id != "tester-0123" || bool(in.RunAsEnabled) || !bool(in.S3EncryptionEnabled) || !bool(in.CloudWatchEncryptionEnabled) {
		t.Errorf("task %+v", task)
	}
	if got, want := in.ShellProfile.Linux, "echo w$ two {{unknown}}"; got != want {
		t.Errorf("profile %q, want %q", got, want)
	}
	want := map[string]any{"n": []any{"22"}, "deep": []any{map[string]any{"t": "aw$b"}}}
	if diff := cmp.Diff(want, task.DocumentContent.Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if err := checkTask(task); err != nil {
		t.Error(err)
	}
}

func TestConformance31UnparseableTaskIsReported(t *testing.T) {
	s := newTestServer(t)
	s.runAgent()
	c := receive(t, "control channel", s.controls)
	shell := func(content string) []byte {
		return message.Marshal(message.InteractiveShell{Content: content, TaskId: "outer-0123", SchemaVersion: 1})
	}
	for _, bad := range []struct {
		name    string
		payload []byte
		id      string
		text    string
	}{
		{"wrong schema", shell(`{"SessionId":"a-1","DocumentContent":{"schemaVersion":"2.0","sessionType":"Standard_Stream"}}`), "a-1", "schema version"},
		{"wrong type", shell(`{"SessionId":"a-2","DocumentContent":{"schemaVersion":1}}`), "a-2", ""},
		{"not JSON", shell(`{`), "outer-0123", ""},
		{"content no text", []byte(`{"Content":{},"TaskId":"outer-7"}`), "outer-7", ""},
		{"session type", shell(`{"SessionId":"a-3","DocumentContent":{"schemaVersion":"1.0","sessionType":"Telepathy"}}`), "a-3", "Telepathy"},
		{"run as", shell(`{"SessionId":"a-5","DocumentContent":{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{"runAsEnabled":"true","runAsDefaultUser":"nobody-else"}}}`), "a-5", "nobody-else"},
	} {
		c.send(t, message.Message{Type: message.TypeInteractiveShell, Payload: bad.payload})
		done, _ := c.completion(t, true)
		if done.TaskId != bad.id || done.FinalTaskStatus != message.StatusFailed || done.Output == "" || !strings.Contains(done.Output, bad.text) {
			t.Errorf("%s: completion %+v", bad.name, done)
		}
	}
	// None of this, nor garbage, takes the node off.
	for _, frame := range [][]byte{nil, []byte("short"), make([]byte, 200), message.Append(nil, message.Message{Type: "future_type", Payload: []byte("?")}),
		message.Append(nil, message.Message{Type: message.TypeInteractiveShell, Payload: shell(`{"SessionId":"../../etc"}`)[:20]}),
		message.Append(nil, message.Message{Type: message.TypeChannelClosed, Payload: []byte("[]")}),
	} {
		if err := c.ws.Write(t.Context(), 2, frame); err != nil {
			t.Fatal(err)
		}
	}
	x := s.newSession(false)
	c.send(t, x.task())
	x.ready()
	if len(s.controls) != 0 {
		t.Error("the control channel was opened again")
	}
}

// rawSession opens a session whose client acknowledges nothing.
func (s *testServer) rawSession() (*testControl, *testSession) {
	s.t.Helper()
	s.runAgent()
	c := receive(s.t, "control channel", s.controls)
	x := s.newSession(true)
	c.send(s.t, x.task())
	return c, x
}

func TestConformance32ConnectedComesFirst(t *testing.T) {
	s := newTestServer(t)
	_, x := s.rawSession()
	open := receive(t, "data channel", x.opened)
	if open.ClientInstanceId != s.nodeID || open.ClientId != "" || open.MessageSchemaVersion != "1.0" {
		t.Errorf("first message %+v", open)
	}
	first := receive(t, "first frame", x.raw)
	state, err := message.ParseSessionState(first.Payload)
	if first.Type != message.TypeAgentSessionState || err != nil || state.SessionState != "Connected" || state.SessionId != x.id {
		t.Errorf("first frame %s %s", first.Type, first.Payload)
	}
	second := receive(t, "second frame", x.raw)
	if second.Type != message.TypeOutputStreamData || second.PayloadType != message.PayloadOutput || second.Sequence != 0 {
		t.Errorf("second frame %s %s %d: a plain shell has no handshake", second.Type, second.PayloadType, second.Sequence)
	}
}

func TestConformance33VersionHasFourParts(t *testing.T) {
	parts := strings.Split(agentVersion, ".")
	if len(parts) != 4 {
		t.Fatalf("version %s", agentVersion)
	}
	for i, gate := range []int{3, 1, 1511, 0} { // 3.1.1511.0
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			t.Fatalf("version %s: %v", agentVersion, err)
		}
		if n != gate {
			if n < gate {
				t.Errorf("version %s is below the gate of stock clients", agentVersion)
			}
			break
		}
	}
}

func TestConformance34Flags(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("echo more; exit\r")
	c.completion(t, true)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range x.seen {
		want := message.FlagsControl
		if m.Type == message.TypeOutputStreamData {
			if want = 0; m.Sequence == 0 {
				want = message.FlagSYN
			}
		}
		if m.Flags != want {
			t.Errorf("%s %d has flags %d, want %d", m.Type, m.Sequence, m.Flags, want)
		}
	}
}

// A client that acknowledges nothing gets the same again, and keeps nothing open.
func TestConformance35GivesUpADeafClient(t *testing.T) {
	s := newTestServer(t)
	c, x := s.rawSession()
	receive(t, "data channel", x.opened)
	x.mu.Lock()
	ws := x.ws
	x.mu.Unlock()
	input := message.Append(nil, message.Message{
		Type: message.TypeInputStreamData, PayloadType: message.PayloadOutput, Payload: []byte("exit\r"),
	})
	if err := ws.Write(t.Context(), 2, input); err != nil {
		t.Fatal(err)
	}
	done, _ := c.completion(t, true)
	if done.FinalTaskStatus != message.StatusSuccess {
		t.Errorf("completion %+v", done)
	}
	terminating := false
	for len(x.raw) > 0 {
		m := <-x.raw
		if m.Type == message.TypeAgentSessionState && bytes.Contains(m.Payload, []byte("Terminating")) {
			terminating = true
		}
	}
	if !terminating {
		t.Error("the end was not announced")
	}
}

// The stock client drops what comes before its handler is ready; it must come again.
func TestConformance36FirstOutputIsRepeated(t *testing.T) {
	s := newTestServer(t)
	_, x := s.rawSession()
	for seen := 0; seen < 5; {
		m := receive(t, "the first output again", x.raw)
		if m.Type == message.TypeOutputStreamData && m.Sequence == 0 {
			seen++
		}
	}
}

func TestConformance38CompletionIsRepeatedUntilAcknowledged(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("exit\r")
	first, firstID := c.completion(t, false)
	second, secondID := c.completion(t, true)
	if firstID != secondID || first.RetryNumber != 1 || second.RetryNumber != 2 {
		t.Errorf("%s %+v, then %s %+v", firstID, first, secondID, second)
	}
	want := message.TaskComplete{
		SchemaVersion: 1, TaskId: x.id, Topic: "agent_task_complete", FinalTaskStatus: "Success", InstanceId: s.nodeID, RetryNumber: 1,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("completion (-want +got):\n%s", diff)
	}
	if got := x.states(); !cmp.Equal(got, []string{"Connected", "Terminating"}) {
		t.Errorf("states %q", got)
	}
}

func TestConformance38CompletionOutlivesTheControlChannel(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	s.with(func() {
		s.refuse = func(r *http.Request) *ssm.Error {
			if strings.HasPrefix(r.URL.Path, "/v1/control-channel/") {
				return &ssm.Error{Code: "InternalServerError", Status: 500}
			}
			return nil
		}
	})
	c.ws.CloseNow()
	x.type_("exit\r")
	eventually(t, "the worker ends", func() bool { return workers(x.id) == 0 })
	s.with(func() { s.refuse = nil })
	c = receive(t, "control channel", s.controls)
	if done, _ := c.completion(t, true); done.TaskId != x.id {
		t.Errorf("completion %+v", done)
	}
}

func TestConformance39ChannelClosedEndsTheSession(t *testing.T) {
	for _, where := range []string{"control channel", "data channel", "flag"} {
		t.Run(where, func(t *testing.T) {
			s := newTestServer(t)
			c, x := s.openSession()
			switch where {
			case "control channel":
				c.terminate(t, x.id)
			case "data channel":
				// On the agent's own connection, which has a writer of its own.
				x.mu.Lock()
				ws := x.ws
				x.mu.Unlock()
				if err := ws.Write(context.Background(), 2, message.Append(nil, channelClosed(x.id))); err != nil {
					t.Fatal(err)
				}
			case "flag":
				x.send(message.PayloadFlag, message.FlagTerminateSession.Payload())
			}
			if done, _ := c.completion(t, true); done.TaskId != x.id || done.FinalTaskStatus != message.StatusSuccess {
				t.Errorf("completion %+v", done)
			}
			eventually(t, "the worker ends", func() bool { return workers(x.id) == 0 })
		})
	}
}

func TestConformance40LargePayloads(t *testing.T) {
	s := newTestServer(t)
	c, x := s.openSession()
	x.type_("stty raw -echo; echo be''gin; head -c 1000000 | wc -c; head -c 4000000 /dev/zero | tr '\\0' y; exit\n")
	x.expect("begin")
	x.type_(strings.Repeat("z", 1000000)) // one message
	c.completion(t, true)
	if !strings.Contains(x.output(), "1000000\n"+strings.Repeat("y", 4000000)) {
		t.Errorf("%d bytes of output", len(x.output()))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	largest := int64(0)
	for _, m := range x.seen {
		if m.Type == message.TypeOutputStreamData {
			largest = max(largest, m.CreatedDate)
		}
	}
	if largest <= 1024 || largest > readSize {
		t.Errorf("the largest payload has %d bytes", largest)
	}
}
