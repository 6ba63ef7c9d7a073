package trail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/iam"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
	"sekisho/internal/sts"
	"sekisho/internal/trail"
	"sekisho/internal/trail/trailtest"
)

type httpRequest = http.Request

// Right after the answer, without waiting for anything, the event is there.
func TestEventOfAChangeIsStoredBeforeTheAnswer(t *testing.T) {
	w := newWorld(t)
	var out ssm.CreateActivationOutput
	must(t, w.call("alice", "AmazonSSM.CreateActivation", &ssm.CreateActivationInput{IamRole: "Nodes", Description: "rack <7> & 8"}, &out))
	e, got := w.recorded("CreateActivation")
	want := trail.Event{
		EventVersion: "1.11",
		UserIdentity: trail.UserIdentity{Type: "IAMUser", PrincipalID: "AIDAAAAAAAAAAAAAAAAAA", ARN: "arn:aws:iam::123456789012:user/alice",
			AccountID: "123456789012", AccessKeyID: keyOf("alice"), UserName: "alice"},
		EventTime: e.At.Format(time.RFC3339), EventSource: "ssm.amazonaws.com", EventName: "CreateActivation", AWSRegion: "local-1",
		SourceIPAddress: "127.0.0.1", UserAgent: "test/1",
		RequestParameters: map[string]any{"iamRole": "Nodes", "description": "rack <7> & 8"},
		ResponseElements:  map[string]any{"activationId": out.ActivationID, "activationCode": "HIDDEN_DUE_TO_SECURITY_REASONS"},
		RequestID:         e.RequestID, EventID: e.ID, EventType: "AwsApiCall", ManagementEvent: true,
		RecipientAccountID: "123456789012", EventCategory: "Management",
		TLSDetails: &trail.TLSDetails{TLSVersion: "TLSv1.3", CipherSuite: got.TLSDetails.CipherSuite, ClientProvidedHostHeader: strings.TrimPrefix(w.http.URL, "https://")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event differs (-want +got):\n%s", diff)
	}
	if strings.Contains(e.Record, out.ActivationCode) || out.ActivationCode == "" {
		t.Errorf("the code is in the event: %s", e.Record)
	}
	if e.Principal != want.UserIdentity.ARN || e.Username != "alice" || e.AccessKeyID != keyOf("alice") || e.ReadOnly || e.Action != "ssm:CreateActivation" {
		t.Errorf("columns %+v", e)
	}
	for _, member := range []string{`"responseElements":`, `"eventID":`, `"rack <7> & 8"`, `"sourceIPAddress":`, `"requestID":`, `"recipientAccountId":`} {
		if !strings.Contains(e.Record, member) {
			t.Errorf("no %s in %s", member, e.Record)
		}
	}
}

func TestRefusedCallsAreRecorded(t *testing.T) {
	w := newWorld(t)
	if err := w.call("bob", "AmazonSSM.CreateActivation", &ssm.CreateActivationInput{IamRole: "Nodes"}, nil); !ssm.IsCode(err, "AccessDeniedException") {
		t.Fatalf("got %v", err)
	}
	e, got := w.recorded("CreateActivation")
	if got.ErrorCode != "AccessDeniedException" || e.ErrorCode != got.ErrorCode || got.ResponseElements != nil || got.UserIdentity.UserName != "bob" ||
		!strings.HasPrefix(got.ErrorMessage, "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: ssm:CreateActivation") ||
		got.RequestParameters["iamRole"] != "Nodes" || !strings.Contains(e.Record, `"responseElements":null`) {
		t.Errorf("event %s", e.Record)
	}
}

// A violated constraint repeats the value; the event must not.
func TestErrorTextsDoNotTellSecrets(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("longer-secret-", 200)
	for _, code := range []string{"short-secret", "x7", long} {
		in := map[string]string{"ActivationId": "bad id", "ActivationCode": code, "Fingerprint": "f", "PublicKey": "k", "PublicKeyType": "Rsa"}
		if err := post(t, w, in); !strings.Contains(err, "ActivationCode") && !strings.Contains(err, "activationCode") {
			t.Fatalf("not refused for its code: %s", err)
		}
	}
	must(t, w.trail.Close(t.Context()))
	list, records := w.events(store.AuditFilter{Names: []string{"RegisterManagedInstance"}})
	if len(list) != 3 {
		t.Fatalf("%d events", len(list))
	}
	for i, e := range list {
		if strings.Contains(e.Record, "short-secret") || strings.Contains(e.Record, "'x7'") || strings.Contains(e.Record, "longer-secret") {
			t.Errorf("secret in %s", e.Record)
		}
		if records[i].ErrorCode != "ValidationException" || !strings.Contains(records[i].ErrorMessage, "HIDDEN") || records[i].UserIdentity.Type != "Unknown" {
			t.Errorf("event %s", e.Record)
		}
	}
}

func post(t *testing.T, w *world, in any) string {
	t.Helper()
	body, _ := json.Marshal(in)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", w.http.URL, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.RegisterManagedInstance")
	res, err := w.http.Client().Do(r)
	must(t, err)
	defer res.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	must(t, err)
	return b.String()
}

func TestNoSecretOfAnyOperationIsRecorded(t *testing.T) {
	w := newWorld(t)
	people, err := iam.New(iam.Config{Store: w.store, Auth: w.auth, ARNs: arns})
	must(t, err)
	tokens, err := sts.New(sts.Config{Store: w.store, Auth: w.auth, ARNs: arns})
	must(t, err)
	trailtest.Check(t, w.trail, slices.Concat(w.control.Operations(), people.Operations(), tokens.Operations(), w.trail.Operations()))
}

// Reads are recorded, without their answers; polls are not.
func TestReadsAndPolls(t *testing.T) {
	w := newWorld(t)
	must(t, w.call("alice", "AmazonSSM.DescribeActivations", &ssm.DescribeActivationsInput{}, nil))
	ctx := auth.WithPrincipal(awsapi.WithRequest(t.Context(), awsapi.RequestInfo{}), auth.Principal{Kind: auth.RoleSession, ARN: "arn:aws:sts::123456789012:assumed-role/Nodes/mi-0123456789abcdef0",
		SourceIdentity: "alice", MFAKnown: true, MFAAt: time.Unix(1_767_323_045, 0), ViaConsole: true,
		UserID: "AROA1:mi-0123456789abcdef0", Account: "123456789012", RoleName: "Nodes", SessionName: "mi-0123456789abcdef0", TokenIssuedAt: time.Unix(1_767_323_045, 0)})
	w.trail.Observe(ctx, awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ec2messages", Operation: "GetMessages"}})
	w.trail.Observe(ctx, awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ec2messages", Operation: "GetMessages"}, Code: "AccessDeniedException"})
	w.trail.Observe(ctx, awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ssm", Operation: "UpdateInstanceInformation"},
		Input: &ssm.UpdateInstanceInformationInput{InstanceID: "mi-0123456789abcdef0"}})
	w.trail.Observe(ctx, awsapi.Result{Code: "UnknownOperationException"})
	must(t, w.trail.Close(t.Context()))
	list, _ := w.events(store.AuditFilter{})
	if len(list) != 3 {
		t.Fatalf("%d events: %+v", len(list), list)
	}
	_, read := w.recorded("DescribeActivations")
	if !read.ReadOnly || read.ResponseElements != nil || read.RequestParameters != nil {
		t.Errorf("a read: %+v", read)
	}
	if poll, _ := w.recorded("GetMessages"); poll.ErrorCode == "" {
		t.Errorf("a poll that succeeded is recorded: %+v", poll)
	}
	stored, beat := w.recorded("UpdateInstanceInformation")
	want := trail.UserIdentity{Type: "AssumedRole", PrincipalID: "AROA1:mi-0123456789abcdef0", AccountID: "123456789012",
		ARN: "arn:aws:sts::123456789012:assumed-role/Nodes/mi-0123456789abcdef0",
		SessionContext: &trail.SessionContext{
			SessionIssuer: &trail.SessionIssuer{Type: "Role", PrincipalID: "AROA1", ARN: "arn:aws:iam::123456789012:role/Nodes", AccountID: "123456789012", UserName: "Nodes"},
			Attributes:    trail.SessionAttributes{CreationDate: "2026-01-02T03:04:05Z", MFAAuthenticated: "true"}, SourceIdentity: "alice"}}
	if diff := cmp.Diff(want, beat.UserIdentity); diff != "" || beat.FromConsole != "true" || stored.Username != "mi-0123456789abcdef0" {
		t.Errorf("%q: identity differs (-want +got):\n%s", stored.Username, diff)
	}
	resources := []trail.Resource{{ARN: "arn:aws:ssm:local-1:123456789012:managed-instance/mi-0123456789abcdef0", AccountID: "123456789012", Type: "AWS::SSM::ManagedInstance"}}
	if diff := cmp.Diff(resources, beat.Resources); diff != "" {
		t.Errorf("resources differ (-want +got):\n%s", diff)
	}
}

// What an operation stored itself is not stored again, but a failure after it is.
func TestRecordedEvents(t *testing.T) {
	w := newWorld(t)
	in := &ssm.StartSessionInput{Target: "mi-0123456789abcdef0", Parameters: map[string][]string{"portNumber": {"22"}}}
	out := &ssm.StartSessionOutput{SessionID: "alice-0a", TokenValue: "the token", StreamURL: "wss://h/v1/data-channel/alice-0a?role=publish_subscribe&token=the+token"}
	ctx := auth.WithPrincipal(awsapi.WithRequest(t.Context(), awsapi.RequestInfo{SourceIP: "192.0.2.7"}), auth.Principal{Kind: auth.User, UserName: "alice", ARN: "arn:aws:iam::123456789012:user/alice"})
	e := w.trail.Event(ctx, "ssm:StartSession", in, out, arns.Session("alice-0a"), arns.Document("SSM-SessionManagerRunShell"))
	must(t, w.store.AppendAudit(ctx, e))
	trail.Recorded(ctx)
	result := awsapi.Result{RequestInfo: awsapi.Info(ctx), Input: in, Output: out}
	result.Service, result.Operation = "ssm", "StartSession"
	w.trail.Observe(ctx, result)
	_, got := w.recorded("StartSession")
	want := map[string]any{"sessionId": "alice-0a", "tokenValue": "HIDDEN_DUE_TO_SECURITY_REASONS", "streamUrl": "wss://h/v1/data-channel/alice-0a?role=publish_subscribe&token=HIDDEN_DUE_TO_SECURITY_REASONS"}
	if diff := cmp.Diff(want, got.ResponseElements); diff != "" {
		t.Errorf("answer differs (-want +got):\n%s", diff)
	}
	if len(got.Resources) != 3 || got.SourceIPAddress != "192.0.2.7" {
		t.Errorf("event %+v", got)
	}
	result.Code, result.Output = "TargetNotConnected", nil
	w.trail.Observe(ctx, result)
	list, _ := w.events(store.AuditFilter{Names: []string{"StartSession"}})
	if len(list) != 2 || list[0].ErrorCode != "TargetNotConnected" || list[0].RequestID != list[1].RequestID {
		t.Errorf("events %+v", list)
	}
}

func TestLargeEventsAreBounded(t *testing.T) {
	w := newWorld(t)
	parameters := map[string][]string{}
	for i := range 100 {
		parameters[fmt.Sprint("p", i)] = []string{strings.Repeat("\x01", 5000)}
	}
	in := &ssm.StartSessionInput{Target: strings.Repeat("é", 5000), Reason: "a\x00b\xffc", Parameters: parameters}
	e := w.trail.Event(t.Context(), "ssm:StartSession", in, &ssm.StartSessionOutput{SessionID: "s"})
	if len(e.Record) > 64<<10 || !strings.Contains(e.Record, `"omitted":true`) || !strings.Contains(e.Record, `"sessionId":"s"`) {
		t.Errorf("event of %d bytes: %.500s", len(e.Record), e.Record)
	}
	in.Parameters = nil
	e = w.trail.Event(t.Context(), "ssm:StartSession", in, nil)
	var event trail.Event
	must(t, json.Unmarshal([]byte(e.Record), &event))
	if got := event.RequestParameters["target"].(string); len(got) > 4<<10 || !strings.HasSuffix(got, "TRUNCATED, 10000 bytes") {
		t.Errorf("target of %d bytes: %s", len(got), got[len(got)-50:])
	}
	must(t, w.store.AppendAudit(t.Context(), e)) // any database can keep it
}

// Many calls at once are all stored, and Close waits for those that nobody waited for.
func TestEverythingIsStored(t *testing.T) {
	s := storetest.Open(t)
	r, err := trail.New(trail.Config{Store: s, ARNs: arns, Queue: 4})
	must(t, err)
	var wg sync.WaitGroup
	const callers, each = 16, 50
	for i := range callers {
		wg.Go(func() {
			ctx := auth.WithPrincipal(t.Context(), auth.Principal{Kind: auth.User, UserName: fmt.Sprint("u", i)})
			for j := range each {
				name := "DescribeSessions"
				if j%5 == 0 {
					name = "TerminateSession"
				}
				r.Observe(ctx, awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ssm", Operation: name}})
			}
		})
	}
	wg.Wait()
	must(t, r.Close(t.Context()))
	count := 0
	must(t, s.WalkAudit(t.Context(), store.AuditFilter{}, func(store.AuditEvent) error { count++; return nil }))
	if count != callers*each {
		t.Errorf("%d events of %d", count, callers*each)
	}
	r.Observe(t.Context(), awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ssm", Operation: "TerminateSession"}}) // lost, and no panic
	must(t, r.Close(t.Context()))
}

// An event that the database refuses takes no other with it, and the log does not tell
// what is in it.
func TestFailureIsLogged(t *testing.T) {
	w := newWorld(t)
	ctx := auth.WithPrincipal(t.Context(), auth.Principal{Kind: auth.User, UserName: "u", ARN: "bad\x00arn", AccessKeyID: "AKIA"})
	w.trail.Record(ctx, "ssm:TerminateSession", &ssm.SessionIDInput{SessionID: "in-the-parameters"}, nil, nil)
	if log := w.log.String(); strings.Count(log, "audit event not stored") != 1 || strings.Contains(log, "in-the-parameters") {
		t.Errorf("log: %s", log)
	}
	must(t, w.store.Close())
	w.trail.Record(auth.WithPrincipal(t.Context(), auth.Principal{Kind: auth.User}), "ssm:TerminateSession", nil, nil, nil)
	if log := w.log.String(); strings.Count(log, "audit event not stored") != 2 {
		t.Errorf("log: %s", log)
	}
}

// Nobody can fill the database with calls that are refused.
func TestUnprovedCallersAreLimited(t *testing.T) {
	w := newWorld(t)
	now := time.Unix(1_767_323_045, 0)
	r, err := trail.New(trail.Config{Store: w.store, ARNs: arns, Now: func() time.Time { return now }})
	must(t, err)
	refused := func(address string) {
		r.Observe(t.Context(), awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ssm", Operation: "StartSession", SourceIP: address},
			Code: "UnrecognizedClientException"})
	}
	for range 1000 {
		refused("192.0.2.1")
	}
	for i := range 1000 { // all of one network
		refused(fmt.Sprintf("2001:db8::%x", i))
	}
	// What is proved by something else than a signature is always recorded.
	for range 50 {
		r.Observe(t.Context(), awsapi.Result{RequestInfo: awsapi.RequestInfo{Service: "ssm", Operation: "RegisterManagedInstance", SourceIP: "192.0.2.1"}})
	}
	now = now.Add(10 * time.Second)
	refused("192.0.2.1")
	for i := range 100_000 {
		refused(fmt.Sprintf("10.%d.%d.1", i/256%256, i%256))
	}
	must(t, r.Close(context.Background()))
	list, records := w.events(store.AuditFilter{Names: []string{"StartSession"}})
	if len(list) < 41 || len(list) > 250 {
		t.Errorf("%d events", len(list))
	}
	told := false
	for _, e := range records {
		told = told || e.AdditionalEventData["unsignedCallsNotRecorded"] == 980.0
	}
	if !told {
		t.Error("no event tells of the 980 that were not recorded")
	}
	if list, _ := w.events(store.AuditFilter{Names: []string{"RegisterManagedInstance"}}); len(list) != 50 {
		t.Errorf("%d registrations", len(list))
	}
}
