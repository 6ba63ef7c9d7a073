package message

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Documents as the stock peers write them (protocol.md §2.5, §4, §6).
func TestPayloadsReadLikeTheStockPeersWriteThem(t *testing.T) {
	for _, tt := range []struct {
		value any
		text  string
	}{
		{Acknowledge{"output_stream_data", "d582b5b6-7ee3-4394-9e3a-9c053ed32bc8", 0, true},
			`{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"d582b5b6-7ee3-4394-9e3a-9c053ed32bc8","AcknowledgedMessageSequenceNumber":0,"IsSequentialMessage":true}`},
		{SessionState{1, StateConnected, "s"}, `{"SchemaVersion":1,"SessionState":"Connected","SessionId":"s"}`},
		{ChannelClosed{"channel_closed", "m", "mi-1", "s", 1, "now", ""},
			`{"MessageType":"channel_closed","MessageId":"m","DestinationId":"mi-1","SessionId":"s","SchemaVersion":1,"CreatedDate":"now","Output":""}`},
		{Size{300, 100}, `{"cols":300,"rows":100}`},
		{OpenControlChannel{MessageSchemaVersion: "1.0", RequestId: "r", TokenValue: "t", AgentVersion: "3.3.1142.0", PlatformType: "linux"},
			`{"Cookie":null,"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"t","AgentVersion":"3.3.1142.0","PlatformType":"linux"}`},
		{OpenDataChannel{MessageSchemaVersion: "1.0", RequestId: "r", TokenValue: "t", ClientInstanceId: "mi-1"},
			`{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"t","ClientInstanceId":"mi-1","ClientId":""}`},
		{OpenDataChannel{MessageSchemaVersion: "1.0", RequestId: "r", TokenValue: "t", ClientId: "c", ClientVersion: "1.2.677.0"},
			`{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"t","ClientId":"c","ClientVersion":"1.2.677.0"}`},
		{TaskAcknowledge{1, "m", "s", "t"}, `{"SchemaVersion":1,"MessageId":"m","TaskId":"s","Topic":"t"}`},
		{TaskComplete{SchemaVersion: 1, TaskId: "s", Topic: "agent_task_complete", FinalTaskStatus: StatusSuccess, InstanceId: "mi-0123456789abcdef0", RetryNumber: 1},
			`{"SchemaVersion":1,"TaskId":"s","Topic":"agent_task_complete","FinalTaskStatus":"Success","IsRoutingFailure":false,"AwsAccountId":"","InstanceId":"mi-0123456789abcdef0","Output":"","S3Bucket":"","S3UrlSuffix":"","CwlGroup":"","CwlStream":"","RetryNumber":1}`},
		{HandshakeRequest{AgentVersion: "3.3.1142.0", RequestedClientActions: []RequestedClientAction{
			{ActionSessionType, json.RawMessage(`{"SessionType":"Port","Properties":{"portNumber":"5432"}}`)},
			{ActionKMSEncryption, json.RawMessage(`{"KMSKeyId":"k","Challenge":"WJgCWr70pyAqp56sQh10ug=="}`)}}},
			`{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"portNumber":"5432"}}},{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k","Challenge":"WJgCWr70pyAqp56sQh10ug=="}}]}`},
		{HandshakeComplete{962291 * time.Nanosecond, ""}, `{"HandshakeTimeToComplete":962291,"CustomerMessage":""}`},
	} {
		if got := string(Marshal(tt.value)); got != tt.text {
			t.Errorf("%T\n got %s\nwant %s", tt.value, got, tt.text)
		}
		back := reflect.New(reflect.TypeOf(tt.value))
		if err := json.Unmarshal([]byte(tt.text), back.Interface()); err != nil {
			t.Errorf("%T: %v", tt.value, err)
		} else if diff := cmp.Diff(tt.value, back.Elem().Interface()); diff != "" {
			t.Errorf("%T (-want +got):\n%s", tt.value, diff)
		}
	}
}

func TestConformance34AcknowledgementFrame(t *testing.T) {
	id := NewID()
	m, err := Parse(AppendAcknowledge(nil, TypeOutputStreamData, id, 1234567))
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != TypeAcknowledge || m.Flags != 3 || m.Sequence != 0 || m.PayloadType != PayloadNone || m.VerifyDigest() != nil {
		t.Errorf("acknowledgement %+v", m)
	}
	want := Marshal(Acknowledge{"output_stream_data", id.String(), 1234567, true})
	if diff := cmp.Diff(string(want), string(m.Payload)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestAcknowledgementIsReadWithoutGarbage(t *testing.T) {
	payload := AppendAcknowledge(nil, TypeOutputStreamData, NewID(), 1<<40)[HeaderSize:]
	if n := testing.AllocsPerRun(100, func() {
		if a, err := ParseAcknowledge(payload); err != nil || a.AcknowledgedMessageSequenceNumber != 1<<40 {
			t.Fatalf("%+v %v", a, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzParseAcknowledge holds that the quick way to read an acknowledgement
// agrees with the thorough one.
func FuzzParseAcknowledge(f *testing.F) {
	f.Add(AppendAcknowledge(nil, TypeInputStreamData, NewID(), 0)[HeaderSize:])
	f.Add(AppendAcknowledge(nil, TypeOutputStreamData, NewID(), 1<<62)[HeaderSize:])
	f.Add([]byte(`{"acknowledgedmessagesequencenumber":5}`))
	f.Add([]byte(strings.Replace(string(Marshal(Acknowledge{"input_stream_data", NewID().String(), 0, true})), ":0,", ":007,", 1)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := ParseAcknowledge(payload)
		var want Acknowledge
		wantErr := json.Unmarshal(payload, &want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, thorough %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if got.AcknowledgedMessageSequenceNumber != want.AcknowledgedMessageSequenceNumber || got.AcknowledgedMessageType != want.AcknowledgedMessageType {
			t.Errorf("got %+v, thorough %+v", got, want)
		}
	})
}

func TestFlagAndExitCode(t *testing.T) {
	if got := FlagConnectToPortError.Payload(); string(got) != "\x00\x00\x00\x03" {
		t.Errorf("flag payload % x", got)
	}
	if f, err := ParseFlag([]byte{0, 0, 0, 2}); err != nil || f != FlagTerminateSession {
		t.Errorf("parse flag: %v, %v", f, err)
	}
	if _, err := ParseFlag([]byte{2}); err == nil {
		t.Error("a flag of one byte was accepted")
	}
	for _, tt := range []struct {
		text string
		code ExitCode
		ok   bool
	}{
		{"EXIT_CODE: 7", 7, true},
		{"EXIT_CODE: -1\n", -1, true},
		{"EXIT_CODE: 4294967296", 0, false},
		{"EXIT_CODE: ", 0, false},
		{"7", 0, false},
	} {
		if code, err := ParseExitCode([]byte(tt.text)); code != tt.code || (err == nil) != tt.ok {
			t.Errorf("parse %q = %d, %v", tt.text, code, err)
		}
	}
	if got := string(ExitCode(7).Payload()); got != "EXIT_CODE: 7" {
		t.Errorf("exit code payload %q", got)
	}
}
