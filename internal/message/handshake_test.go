package message

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestConformance21SessionTypeIsAnsweredWithSuccessAndNoResult(t *testing.T) {
	for _, sessionType := range []string{SessionTypePort, SessionTypeStandardStream, SessionTypeInteractive, SessionTypeNonInteractive} {
		req, err := ParseHandshakeRequest([]byte(`{"AgentVersion":"3.3.1142.0","RequestedClientActions":[
			{"ActionType":"SessionType","ActionParameters":{"SessionType":"` + sessionType + `","Properties":null}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		got := string(Marshal(NewHandshakeResponse(req, nil)))
		want := `{"ClientVersion":"1.3.0.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}`
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", sessionType, got, want)
		}
		if p, err := req.SessionType(); err != nil || p.SessionType != sessionType {
			t.Errorf("session type %+v, %v", p, err)
		}
	}
}

func TestActionsWeCannotDoAreRefusedInWords(t *testing.T) {
	for _, tt := range []struct {
		action string
		status ActionStatus
		text   string
	}{
		{`{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k"}}`, ActionUnsupported, "KMSEncryption"},
		{`{"ActionType":"Dance","ActionParameters":null}`, ActionUnsupported, "Dance"},
		{`{"ActionType":"SessionType","ActionParameters":{"SessionType":"port"}}`, ActionFailed, "unknown session type port"},
		{`{"ActionType":"SessionType"}`, ActionFailed, "session type"},
		{`{"ActionType":"SessionType","ActionParameters":{"SessionType":7}}`, ActionFailed, "session type"},
	} {
		req, err := ParseHandshakeRequest([]byte(`{"RequestedClientActions":[` + tt.action + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		resp := NewHandshakeResponse(req, nil)
		done := resp.ProcessedClientActions[0]
		if done.ActionStatus != tt.status || !strings.Contains(done.Error, tt.text) {
			t.Errorf("%s: answered %+v", tt.action, done)
		}
		if len(resp.Errors) != 1 || resp.Errors[0] != done.Error {
			t.Errorf("%s: errors %q, want the action's", tt.action, resp.Errors)
		}
	}
}

// FuzzHandshake holds that no request panics, that every action gets exactly one
// answer, and that the answer can be read by an agent.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte(`{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"localPortNumber":"15432","portNumber":"5432","type":"LocalPortForwarding"}}},{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"arn","Challenge":"WJgCWr70pyAqp56sQh10ug=="}}]}`))
	f.Add([]byte(`{"ClientVersion":"1.2.677.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}`))
	f.Add([]byte(`{"HandshakeTimeToComplete":962291,"CustomerMessage":""}`))
	f.Add([]byte(`{"requestedclientactions":[{"actiontype":"SessionType"}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, _ = ParseHandshakeComplete(payload)
		if resp, err := ParseHandshakeResponse(payload); err == nil && !json.Valid(Marshal(resp)) {
			t.Error("response does not encode")
		}
		req, err := ParseHandshakeRequest(payload)
		if err != nil {
			return
		}
		_, _ = req.SessionType()
		resp := NewHandshakeResponse(req, nil)
		if len(resp.ProcessedClientActions) != len(req.RequestedClientActions) {
			t.Fatalf("%d answers to %d actions", len(resp.ProcessedClientActions), len(req.RequestedClientActions))
		}
		if _, err := ParseHandshakeResponse(Marshal(resp)); err != nil {
			t.Errorf("agent cannot read the answer: %v", err)
		}
	})
}
