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
	want := Inputs{
		S3BucketName: "b", S3KeyPrefix: "p", CloudWatchLogGroupName: "g", KmsKeyID: "alias/k",
		RunAsEnabled: true, RunAsDefaultUser: "ops", IdleSessionTimeout: "5", MaxSessionDuration: "1440",
		ShellProfile: ShellProfile{Windows: "date", Linux: "date; id"},
	}
	if diff := cmp.Diff(want, c.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if c.Description != "日本語" || c.SchemaVersion != "1.0" || c.SessionType != StandardStream || !c.HasInputs {
		t.Errorf("content = %+v", c)
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

func TestSizeIsLimited(t *testing.T) {
	fits := defaultContent + strings.Repeat(" ", MaxContent-len(defaultContent))
	if _, err := Parse([]byte(fits)); err != nil {
		t.Errorf("64 KB: %v", err)
	}
	_, err := Parse([]byte(fits + " "))
	wantError(t, err, "MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
	if _, err := ParseConverted([]byte(fits + " ")); err != nil {
		t.Errorf("converted text of more than 64 KB: %v", err)
	}
	_, err = ParseConverted([]byte(defaultContent + strings.Repeat(" ", maxConverted)))
	wantError(t, err, "MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
}

func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) || e.Code != code || e.Message != message {
		t.Errorf("error = %v, want %s: %s", err, code, message)
	}
}
