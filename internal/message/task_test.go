package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// portTask is the inner document of protocol.md §4.1.1.
const portTask = `{"DocumentName":"AWS-StartPortForwardingSession",
 "DocumentContent":{"schemaVersion":"1.0","description":"","sessionType":"Port","inputs":{},
   "parameters":{"portNumber":{"type":"String","default":"80"},"localPortNumber":{"type":"String","default":"0"}},
   "properties":{"portNumber":"{{ portNumber }}","type":"LocalPortForwarding","localPortNumber":"{{ localPortNumber }}"}},
 "SessionId":"alice-0123456789abcdef0","Parameters":{"portNumber":"5432"},
 "RunAsUser":"","SessionOwner":"arn:aws:sts::111122223333:assumed-role/dev/alice"}`

func interactiveShell(content string) []byte {
	return Marshal(InteractiveShell{Content: content, TaskId: "t", Topic: "t", SchemaVersion: 1})
}

func TestConformance31ParametersAreSubstituted(t *testing.T) {
	task, err := ParseInteractiveShell(interactiveShell(portTask))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"portNumber": "5432", "type": "LocalPortForwarding", "localPortNumber": "0"}
	if diff := cmp.Diff(any(want), task.DocumentContent.Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if task.SessionId != "alice-0123456789abcdef0" || task.DocumentContent.SessionType != SessionTypePort {
		t.Errorf("task %+v", task)
	}
}

func TestSubstitution(t *testing.T) {
	values := map[string]any{"a": "x", "n": float64(7), "list": []any{"22"}, "money": "$$5", "nested": "{{ a }}"}
	for _, tt := range []struct {
		in   string
		want any
	}{
		{"plain", "plain"},
		{"{{ a }}", "x"},
		{"{{a}}", "x"},
		{"<{{ a }}{{ a }}>", "<xx>"},
		{"{{ n }}", float64(7)},
		{"port {{ n }}", "port 7"},
		{"{{ list }}", []any{"22"}},
		{"in {{ list }}", `in ["22"]`},
		{"{{ money }}", "$5"},
		{"{{ nested }}", "{{ a }}"},
		{"{{ unknown }}", "{{ unknown }}"},
		{"{{ssm:name}}", "{{ssm:name}}"},
		{"{{ a", "{{ a"},
	} {
		if diff := cmp.Diff(tt.want, substitute(tt.in, values)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestConformance31KeysInAnyCaseAndBothBooleans(t *testing.T) {
	task, err := ParseInteractiveShell([]byte(`{"content":` + string(Marshal(`{"sessionid":"s","documentcontent":{
		"SCHEMAVERSION":"1.0","sessiontype":"Standard_Stream",
		"parameters":{"as":{"default":"true"}},
		"inputs":{"runasenabled":"{{ as }}","s3EncryptionEnabled":true,"cloudWatchEncryptionEnabled":"false",
			"cloudWatchStreamingEnabled":"","shellProfile":{"linux":"exec bash"}}}}`)) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Inputs{RunAsEnabled: true, S3EncryptionEnabled: true, ShellProfile: ShellProfile{Linux: "exec bash"}}
	if diff := cmp.Diff(want, task.DocumentContent.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestConformance31TasksThatCannotRunAreErrors(t *testing.T) {
	for name, payload := range map[string][]byte{
		"not JSON":           []byte("hello"),
		"content an object":  []byte(`{"Content":{}}`),
		"content not JSON":   interactiveShell("hello"),
		"no document":        interactiveShell(`{"SessionId":"s"}`),
		"schema version 2.2": interactiveShell(`{"DocumentContent":{"schemaVersion":"2.2"}}`),
		"boolean a word":     interactiveShell(`{"DocumentContent":{"schemaVersion":"1.0","inputs":{"runAsEnabled":"yes"}}}`),
		"inputs a list":      interactiveShell(`{"DocumentContent":{"schemaVersion":"1.0","inputs":[]}}`),
	} {
		if task, err := ParseInteractiveShell(payload); err == nil {
			t.Errorf("%s was accepted as %+v", name, task)
		}
	}
}

// Content is a JSON string, not an object, and booleans are booleans: the stock
// agent drops the task otherwise, without a word.
func TestConformance08ContentIsAString(t *testing.T) {
	payload, err := NewInteractiveShell(SessionTask{SessionId: "s", DocumentContent: DocumentContent{SchemaVersion: "1.0"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"Content":"{\"`, `\"schemaVersion\":\"1.0\"`, `\"cloudWatchStreamingEnabled\":false`} {
		if !strings.Contains(string(payload), want) {
			t.Errorf("payload lacks %s:\n%s", want, payload)
		}
	}
}

// FuzzInteractiveShell holds that nothing panics, and that a task once parsed
// survives being written and parsed again.
func FuzzInteractiveShell(f *testing.F) {
	f.Add(interactiveShell(portTask))
	f.Add(interactiveShell(`{"DocumentContent":{"schemaVersion":"1.0","inputs":{"runAsEnabled":"true"}}}`))
	f.Add(interactiveShell(`{"documentcontent":{"schemaversion":"1.0","parameters":{"a":{"default":["{{ a }}"]}},"properties":"{{ a }}"}}`))
	f.Add([]byte(`{"Content":{}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		task, err := ParseInteractiveShell(payload)
		if err != nil {
			return
		}
		// Values may look like placeholders; without parameters they stay.
		task.Parameters, task.DocumentContent.Parameters = nil, nil
		again, err := NewInteractiveShell(task)
		if err != nil {
			t.Fatalf("encode what was parsed: %v", err)
		}
		second, err := ParseInteractiveShell(again)
		if err != nil {
			t.Fatalf("parse what was encoded: %v", err)
		}
		if diff := cmp.Diff(task, second); diff != "" {
			t.Errorf("not the same task (-first +second):\n%s", diff)
		}
	})
}
