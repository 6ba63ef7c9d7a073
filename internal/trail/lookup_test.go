package trail_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/trail"
)

var at0 = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// lookup calls LookupEvents as alice and gives the ids of the events.
func (w *world) lookup(in trail.LookupEventsInput) ([]string, trail.LookupEventsOutput, error) {
	var out trail.LookupEventsOutput
	err := w.call("alice", "CloudTrail_20131101.LookupEvents", &in, &out)
	var ids []string
	for _, e := range out.Events {
		ids = append(ids, e.EventID)
	}
	return ids, out, err
}

// fill stores five events, a second apart, of an older time than any call of the test.
func (w *world) fill() {
	must(w.t, w.store.AppendAudits(w.t.Context(), []store.AuditEvent{
		{ID: "e0", At: at0, Action: "ssm:StartSession", Principal: "arn:aws:iam::123456789012:user/carol", Username: "carol", AccessKeyID: "AKIAC",
			Resources: []string{"arn:aws:ssm:local-1:123456789012:managed-instance/mi-0123456789abcdef0"},
			Named:     []store.AuditResource{{Type: "AWS::SSM::ManagedInstance", Name: "mi-0123456789abcdef0"}}},
		{ID: "e1", At: at0.Add(time.Second), Action: "iam:GetUser", Username: "carol", ReadOnly: true},
		{ID: "e2", At: at0.Add(2 * time.Second), Action: "iam:CreateUser", Username: "dave"},
		{ID: "e3", At: at0.Add(3 * time.Second), Action: "iam:CreateUser", Username: "dave"},
		{ID: "e4", At: at0.Add(4 * time.Second), Action: "iam:CreateUser", Username: "dave"},
	}))
}

func by(key, value string) []trail.LookupAttribute {
	return []trail.LookupAttribute{{AttributeKey: key, AttributeValue: value}}
}

func TestLookupEvents(t *testing.T) {
	w := newWorld(t)
	w.fill()
	end := ssm.At(at0.Add(time.Hour)) // leaves out what the test itself does
	for name, test := range map[string]struct {
		in   trail.LookupEventsInput
		want []string
	}{
		"all":           {trail.LookupEventsInput{}, []string{"e4", "e3", "e2", "e1", "e0"}},
		"EventId":       {trail.LookupEventsInput{LookupAttributes: by("EventId", "e1")}, []string{"e1"}},
		"EventName":     {trail.LookupEventsInput{LookupAttributes: by("EventName", "CreateUser")}, []string{"e4", "e3", "e2"}},
		"EventSource":   {trail.LookupEventsInput{LookupAttributes: by("EventSource", "ssm.amazonaws.com")}, []string{"e0"}},
		"Username":      {trail.LookupEventsInput{LookupAttributes: by("Username", "carol")}, []string{"e1", "e0"}},
		"AccessKeyId":   {trail.LookupEventsInput{LookupAttributes: by("AccessKeyId", "AKIAC")}, []string{"e0"}},
		"ReadOnly":      {trail.LookupEventsInput{LookupAttributes: by("ReadOnly", "true")}, []string{"e1"}},
		"ResourceType":  {trail.LookupEventsInput{LookupAttributes: by("ResourceType", "AWS::SSM::ManagedInstance")}, []string{"e0"}},
		"ResourceName":  {trail.LookupEventsInput{LookupAttributes: by("ResourceName", "mi-0123456789abcdef0")}, []string{"e0"}},
		"resource ARN":  {trail.LookupEventsInput{LookupAttributes: by("ResourceName", "arn:aws:ssm:local-1:123456789012:managed-instance/mi-0123456789abcdef0")}, []string{"e0"}},
		"another ARN":   {trail.LookupEventsInput{LookupAttributes: by("ResourceName", "arn:aws:ssm:local-2:123456789012:managed-instance/mi-0123456789abcdef0")}, nil},
		"whole seconds": {trail.LookupEventsInput{StartTime: ssm.At(at0.Add(time.Second).Truncate(time.Second)), EndTime: ssm.At(at0.Add(2 * time.Second).Truncate(time.Second))}, []string{"e2", "e1"}},
		"exact times":   {trail.LookupEventsInput{StartTime: ssm.At(at0.Add(time.Second)), EndTime: ssm.At(at0.Add(2 * time.Second))}, []string{"e2", "e1"}},
		"insight":       {trail.LookupEventsInput{EventCategory: "insight"}, nil},
	} {
		if test.in.EndTime == nil {
			test.in.EndTime = end
		}
		got, _, err := w.lookup(test.in)
		must(t, err)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: events differ (-want +got):\n%s", name, diff)
		}
	}
}

func TestLookupEventsRefusals(t *testing.T) {
	w := newWorld(t)
	w.fill()
	zero, many := 0, 51
	for code, ins := range map[string][]trail.LookupEventsInput{
		"InvalidLookupAttributesException": {
			{LookupAttributes: append(by("EventId", "a"), by("Username", "b")...)}, {LookupAttributes: by("Colour", "a")},
			{LookupAttributes: by("ReadOnly", "1")}, {LookupAttributes: by("ReadOnly", "maybe")}, {LookupAttributes: by("EventId", strings.Repeat("a", 2001))},
		},
		"InvalidMaxResultsException":    {{MaxResults: &zero}, {MaxResults: &many}},
		"InvalidTimeRangeException":     {{StartTime: ssm.At(at0.Add(time.Second)), EndTime: ssm.At(at0)}},
		"InvalidNextTokenException":     {{NextToken: "AAAA"}, {NextToken: strings.Repeat("A", 2000)}, {NextToken: "%"}},
		"InvalidEventCategoryException": {{EventCategory: "management"}},
	} {
		for _, in := range ins {
			if _, _, err := w.lookup(in); !ssm.IsCode(err, code) {
				t.Errorf("%+v: got %v, want %s", in, err, code)
			}
		}
	}
	err := w.call("bob", "CloudTrail_20131101.LookupEvents", &trail.LookupEventsInput{MaxResults: &zero}, nil)
	if want := "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: cloudtrail:LookupEvents"; !ssm.IsCode(err, "AccessDeniedException") || !strings.Contains(err.Error(), want) {
		t.Errorf("bob: got %v", err)
	}
}

func TestLookupEventsPages(t *testing.T) {
	w := newWorld(t)
	w.fill()
	two := 2
	in := trail.LookupEventsInput{LookupAttributes: by("EventSource", "iam.amazonaws.com"), MaxResults: &two, EndTime: ssm.At(at0.Add(time.Hour))}
	ids, out, err := w.lookup(in)
	must(t, err)
	if diff := cmp.Diff([]string{"e4", "e3"}, ids); diff != "" || out.NextToken == "" {
		t.Fatalf("first page, token %q: %s", out.NextToken, diff)
	}
	in.NextToken = out.NextToken
	ids, last, err := w.lookup(in)
	must(t, err)
	if diff := cmp.Diff([]string{"e2", "e1"}, ids); diff != "" || last.NextToken != "" {
		t.Fatalf("second page, token %q: %s", last.NextToken, diff)
	}
	// A token is good for its own parameters only.
	for _, change := range []func(*trail.LookupEventsInput){
		func(in *trail.LookupEventsInput) { in.LookupAttributes = by("EventSource", "ssm.amazonaws.com") },
		func(in *trail.LookupEventsInput) { in.LookupAttributes = nil },
		func(in *trail.LookupEventsInput) { in.EndTime = nil },
		func(in *trail.LookupEventsInput) { in.StartTime = ssm.At(at0) },
		func(in *trail.LookupEventsInput) { in.NextToken = in.NextToken[:len(in.NextToken)-1] + "A" },
	} {
		other := in
		change(&other)
		if _, _, err := w.lookup(other); !ssm.IsCode(err, "InvalidNextTokenException") {
			t.Errorf("%+v: got %v", other, err)
		}
	}
}

// The CLI of AWS reads the trail, page by page.
func TestLookupEventsWithTheCLI(t *testing.T) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("no aws CLI here")
	}
	w := newWorld(t)
	w.fill()
	var made ssm.CreateActivationOutput
	must(t, w.call("alice", "AmazonSSM.CreateActivation", &ssm.CreateActivationInput{IamRole: "Nodes"}, &made))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.http.Certificate().Raw}), 0o600))
	run := func(user string, args ...string) (string, string, error) {
		cmd := exec.CommandContext(t.Context(), aws, append([]string{"cloudtrail", "lookup-events", "--endpoint-url", w.http.URL, "--output", "json"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "AWS_REGION="+arns.Region, "AWS_DEFAULT_REGION="+arns.Region, "AWS_ACCESS_KEY_ID="+keyOf(user),
			"AWS_SECRET_ACCESS_KEY=secret of "+user, "AWS_SESSION_TOKEN=", "AWS_CA_BUNDLE="+ca, "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		return string(out), stderr.String(), err
	}
	type answer struct {
		Events []struct {
			EventId, EventName, ReadOnly, AccessKeyId, EventSource, Username, CloudTrailEvent string
			EventTime                                                                         any
			Resources                                                                         []trail.FoundResource
		}
	}
	text, stderr, err := run("alice", "--lookup-attributes", "AttributeKey=Username,AttributeValue=dave", "--page-size", "2",
		"--start-time", "2026-01-02T03:04:05Z", "--end-time", "2026-01-03")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	var got answer
	must(t, json.Unmarshal([]byte(text), &got))
	if len(got.Events) != 3 || got.Events[0].EventId != "e4" || got.Events[2].EventId != "e2" || got.Events[0].ReadOnly != "false" {
		t.Errorf("answer: %s", text)
	}
	text, stderr, err = run("alice", "--lookup-attributes", "AttributeKey=ResourceName,AttributeValue="+made.ActivationID, "--max-items", "1")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	got = answer{}
	must(t, json.Unmarshal([]byte(text), &got))
	if len(got.Events) != 1 || got.Events[0].EventName != "CreateActivation" || got.Events[0].AccessKeyId != keyOf("alice") || got.Events[0].Username != "alice" {
		t.Fatalf("answer: %s", text)
	}
	var record trail.Event
	must(t, json.Unmarshal([]byte(got.Events[0].CloudTrailEvent), &record))
	if record.ResponseElements["activationId"] != made.ActivationID || strings.Contains(text, made.ActivationCode) {
		t.Errorf("record: %+v", record)
	}
	resources := []trail.FoundResource{{ResourceType: "AWS::IAM::Role", ResourceName: "Nodes"}, {ResourceType: "AWS::SSM::Activation", ResourceName: made.ActivationID}}
	if diff := cmp.Diff(resources, got.Events[0].Resources); diff != "" {
		t.Errorf("resources differ (-want +got):\n%s", diff)
	}
	if _, stderr, err = run("bob"); err == nil || !strings.Contains(stderr, "An error occurred (AccessDeniedException) when calling the LookupEvents operation") {
		t.Errorf("bob: %v: %s", err, stderr)
	}
	if _, stderr, err = run("alice", "--lookup-attributes", "AttributeKey=ReadOnly,AttributeValue=maybe"); err == nil || !strings.Contains(stderr, "InvalidLookupAttributesException") {
		t.Errorf("a wrong attribute: %v: %s", err, stderr)
	}
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	w.fill()
	must(t, w.call("alice", "AmazonSSM.CreateActivation", &ssm.CreateActivationInput{IamRole: "Nodes"}, nil))
	var b bytes.Buffer
	must(t, trail.Export(t.Context(), w.store, &b, at0.Add(time.Second), time.Time{}))
	var names []string
	for line := range strings.Lines(b.String()) {
		var e trail.Event
		must(t, json.Unmarshal([]byte(line), &e))
		if e.EventVersion == "" || e.EventID == "" || e.AWSRegion != "local-1" || e.RecipientAccountID != "123456789012" || strings.Count(line, "\n") != 1 {
			t.Errorf("line %s", line)
		}
		if e.EventName != "CreateActivation" {
			names = append(names, fmt.Sprint(e.EventID, " ", e.EventSource))
		}
	}
	want := []string{"e1 iam.amazonaws.com", "e2 iam.amazonaws.com", "e3 iam.amazonaws.com", "e4 iam.amazonaws.com"}
	if diff := cmp.Diff(want, names); diff != "" || !strings.Contains(b.String(), `"eventName":"CreateActivation"`) {
		t.Errorf("export differs (-want +got):\n%s", diff)
	}
	b.Reset()
	must(t, trail.Export(t.Context(), w.store, &b, time.Time{}, at0.Add(time.Second)))
	if strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), `"eventID":"e0"`) || !strings.Contains(b.String(), `"userName":"carol"`) {
		t.Errorf("until: %s", b.String())
	}
	full := errors.New("full")
	if err := trail.Export(t.Context(), w.store, failing{full}, time.Time{}, time.Time{}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
