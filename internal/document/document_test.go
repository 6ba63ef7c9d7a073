package document

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
)

func TestDefaultIsAShellWithoutLogsAndTwentyIdleMinutes(t *testing.T) {
	d := Default()
	if d.Name != ssm.DefaultSessionDocument {
		t.Errorf("name = %q, want %q", d.Name, ssm.DefaultSessionDocument)
	}
	r, err := d.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.IdleTimeout != 20*time.Minute || r.MaxDuration != 0 {
		t.Errorf("idle %v, maximum %v; want 20m and none", r.IdleTimeout, r.MaxDuration)
	}
	var content map[string]any
	if err := json.Unmarshal(r.Content, &content); err != nil {
		t.Fatal(err)
	}
	inputs, _ := content["inputs"].(map[string]any)
	want := map[string]any{
		"s3BucketName": "", "s3KeyPrefix": "", "s3EncryptionEnabled": true,
		"cloudWatchLogGroupName": "", "cloudWatchEncryptionEnabled": true, "cloudWatchStreamingEnabled": true,
		"kmsKeyId": "", "runAsEnabled": false, "runAsDefaultUser": "",
		"idleSessionTimeout": "", "maxSessionDuration": "",
		"shellProfile": map[string]any{"windows": "", "linux": ""},
	}
	if diff := cmp.Diff(want, inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if content["schemaVersion"] != "1.0" || content["sessionType"] != "Standard_Stream" {
		t.Errorf("content = %v", content)
	}
}

func TestParametersOfADocumentWithoutAnyAreRefused(t *testing.T) {
	_, err := Default().Resolve(map[string][]string{"portNumber": {"22"}})
	wantError(t, err, ssm.CodeInvalidParameters, "document SSM-SessionManagerRunShell does not support parameters.")
}

func TestInputsAreRead(t *testing.T) {
	c, err := Parse([]byte(`{"schemaVersion":1.0,"description":"日本語","sessionType":"Standard_Stream","inputs":{
		"s3BucketName":"b","s3KeyPrefix":"p","s3EncryptionEnabled":"false","cloudWatchLogGroupName":"g",
		"cloudWatchEncryptionEnabled":false,"cloudWatchStreamingEnabled":"false","kmsKeyId":"alias/k",
		"runAsEnabled":"true","runAsDefaultUser":"ops","idleSessionTimeout":5,"maxSessionDuration":"1440",
		"shellProfile":{"windows":"date","linux":"date; id"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Content{SchemaVersion: "1.0", Description: "日本語", SessionType: StandardStream, Inputs: Inputs{
		S3BucketName: "b", S3KeyPrefix: "p", CloudWatchLogGroupName: "g", KmsKeyID: "alias/k",
		RunAsEnabled: true, RunAsDefaultUser: "ops", IdleSessionTimeout: "5", MaxSessionDuration: "1440",
		ShellProfile: ShellProfile{Windows: "date", Linux: "date; id"},
	}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	r, err := (&Document{Name: "d", Content: *c}).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.IdleTimeout != 5*time.Minute || r.MaxDuration != 24*time.Hour {
		t.Errorf("idle %v, maximum %v; want 5m and 24h", r.IdleTimeout, r.MaxDuration)
	}
}

func TestEmptyTextsAsTheConsoleWritesThemMeanTheDefaults(t *testing.T) {
	c, err := Parse([]byte(`{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{"s3EncryptionEnabled":"",
		"runAsEnabled":"","idleSessionTimeout":"","maxSessionDuration":"","shellProfile":"","kmsKeyId":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default().Content.Inputs, c.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestFaultsHaveTheServicesTexts(t *testing.T) {
	shell := func(inputs string) string {
		return `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":` + inputs + `}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"not JSON", `{`, "JSON not well-formed."},
		{"null", `null`, "JSON not well-formed."},
		{"more after it", `{} {}`, "JSON not well-formed."},
		{"no version", `{"sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is missing."},
		{"other version", `{"schemaVersion":"3.0","sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is invalid. Value: 3.0"},
		{"no type", `{"schemaVersion":"1.0","inputs":{}}`, "Missing SessionType in the document."},
		{"wrong type", `{"schemaVersion":"1.0","sessionType":"standard_stream","inputs":{}}`, "Invalid sessionType"},
		{"later type", `{"schemaVersion":"1.0","sessionType":"Port","properties":{}}`, "Documents of session type Port are not available in this version."},
		{"no inputs", `{"schemaVersion":"1.0","sessionType":"Standard_Stream"}`, "Missing inputs in session type Standard_Stream document"},
		{"unknown key", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{},"runtimeConfig":{}}`, `Unknown property "runtimeConfig".`},
		{"unknown input", shell(`{"idle":"1"}`), `Unknown property "idle".`},
		{"unknown profile", shell(`{"shellProfile":{"macos":"date"}}`), `Unknown property "macos".`},
		{"inputs not a map", shell(`[]`), "inputs must be a map."},
		{"profile not a map", shell(`{"shellProfile":"date"}`), "shellProfile must be a map."},
		{"bool", shell(`{"runAsEnabled":1}`), "runAsEnabled must be true or false."},
		{"text", shell(`{"kmsKeyId":{}}`), "kmsKeyId must be a string."},
		{"idle zero", shell(`{"idleSessionTimeout":"0"}`), "idleSessionTimeout must be between 1 and 60"},
		{"idle long", shell(`{"idleSessionTimeout":"61"}`), "idleSessionTimeout must be between 1 and 60"},
		{"idle text", shell(`{"idleSessionTimeout":"soon"}`), "idleSessionTimeout must be between 1 and 60"},
		{"idle fraction", shell(`{"idleSessionTimeout":1.5}`), "idleSessionTimeout must be between 1 and 60"},
		{"maximum long", shell(`{"maxSessionDuration":"1441"}`), "maxSessionDuration must be between 1 and 1440"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			wantError(t, err, CodeInvalidContent, c.want)
		})
	}
	_, err := Parse([]byte(strings.Repeat(" ", MaxContent+1)))
	wantError(t, err, "MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
}

// FuzzParse: whatever parses goes out in a form that parses again to the same
// document, and resolves.
func FuzzParse(f *testing.F) {
	f.Add([]byte(defaultContent))
	f.Add([]byte(`{"schemaVersion":1.0,"sessionType":"Standard_Stream","inputs":{"idleSessionTimeout":60,"shellProfile":{"linux":"date"},"runAsEnabled":"true"}}`))
	f.Add([]byte(`{"schemaVersion":"1.0","sessionType":"Port","properties":{"portNumber":"22"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			var e *ssm.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is not an API error", err)
			}
			return
		}
		r, err := (&Document{Name: "d", Content: *c}).Resolve(nil)
		if err != nil {
			t.Fatalf("a document that parses does not resolve: %v", err)
		}
		again, err := Parse(r.Content)
		if err != nil && len(r.Content) <= MaxContent {
			t.Fatalf("what goes to the node does not parse: %v", err)
		}
		if err == nil && *again != *c {
			t.Fatalf("parsed again: %+v, want %+v", again, c)
		}
	})
}

func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) || e.Code != code || e.Message != message {
		t.Errorf("error = %v, want %s: %s", err, code, message)
	}
}
