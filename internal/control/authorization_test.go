package control

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
)

// guardedOtherwise are the operations without auth.Authorize, and what guards them.
var guardedOtherwise = map[string]string{
	"ssm:RegisterManagedInstance":         "the code of its activation",
	"ssm:RequestManagedInstanceRoleToken": "the node's own key",
	"ssm:UpdateManagedInstancePublicKey":  "the node's own key",
}

// TestEveryOperationAsksForAuthorizationFirst calls each operation as somebody who may
// do nothing, with input that would succeed or at least change something. A new
// operation fails here until it has a row.
func TestEveryOperationAsksForAuthorizationFirst(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	gateway := w.connect(node)
	session := w.session("alice", node).SessionID
	next(t, gateway.asked)
	relay := w.relay(session)
	activation, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{IamRole: "NodeRole"})
	must(t, err)

	_, err = w.server.CreateDocument(w.as("alice"), &ssm.CreateDocumentInput{
		Name: "theirs", DocumentType: "Session", Content: `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{}}`})
	must(t, err)
	inputs := map[string]string{
		"ssm:CreateActivation":            `{"IamRole":"NodeRole"}`,
		"ssm:DescribeActivations":         `{}`,
		"ssm:DeleteActivation":            `{"ActivationId":"` + activation.ActivationID + `"}`,
		"ssm:UpdateInstanceInformation":   `{"InstanceId":"` + node + `","AgentVersion":"9.9.9.9"}`,
		"ssm:DescribeInstanceInformation": `{}`,
		"ssm:DescribeInstanceProperties":  `{}`,
		"ec2:DescribeInstances":           "Action=DescribeInstances&Version=2016-11-15",
		"ssm:StartSession":                `{"Target":"` + node + `"}`,
		"ssm:ResumeSession":               `{"SessionId":"` + session + `"}`,
		"ssm:TerminateSession":            `{"SessionId":"` + session + `"}`,
		"ssm:DescribeSessions":            `{"State":"Active"}`,
		"ssm:GetConnectionStatus":         `{"Target":"` + node + `"}`,
		"ssm:ListInstanceAssociations":    `{"InstanceId":"` + node + `"}`,
		"ssm:ListAssociations":            `{}`,
		"ec2messages:GetMessages":         `{"Destination":"` + node + `"}`,
		"ssm:ListNodes":                   `{}`,
		"ssm:ListNodesSummary":            `{"Aggregators":[{"AggregatorType":"Count","TypeName":"Instance","AttributeName":"PlatformType"}]}`,
		"sekisho:GetNodeHours":            `{}`,
		"sekisho:EndUnauthorizedSessions": `{}`,
		"sekisho:ListRecordings":          `{}`,
		"sekisho:SearchTranscripts":       `{"Query":"ls"}`,
		"sekisho:GetRecording":            `{"SessionId":"` + session + `"}`,
		"sekisho:PutLegalHold":            `{"SessionId":"` + session + `","Hold":true,"Reason":"x"}`,
		"sekisho:WatchSession":            `{"SessionId":"` + session + `"}`,
		"sekisho:VerifyRecording":         `{"SessionId":"` + session + `"}`,
		"ssm:DeregisterManagedInstance":   `{"InstanceId":"` + node + `"}`,
		"ssm:UpdateManagedInstanceRole":   `{"InstanceId":"` + node + `","IamRole":"NodeRole"}`,
		"ssm:GetServiceSetting":           `{"SettingId":"/ssm/managed-instance/activation-tier"}`,
		"ssm:UpdateServiceSetting":        `{"SettingId":"/ssm/managed-instance/activation-tier","SettingValue":"standard"}`,
		"ssm:ResetServiceSetting":         `{"SettingId":"/ssm/managed-instance/activation-tier"}`,

		"ssm:CreateDocument":               `{"Name":"new","DocumentType":"Session","Content":"{\"schemaVersion\":\"1.0\",\"sessionType\":\"Standard_Stream\",\"inputs\":{}}"}`,
		"ssm:GetDocument":                  `{"Name":"theirs"}`,
		"ssm:DescribeDocument":             `{"Name":"theirs"}`,
		"ssm:UpdateDocument":               `{"Name":"theirs","Content":"{\"schemaVersion\":\"1.0\",\"sessionType\":\"Standard_Stream\",\"inputs\":{},\"description\":\"x\"}"}`,
		"ssm:UpdateDocumentDefaultVersion": `{"Name":"theirs","DocumentVersion":"1"}`,
		"ssm:DeleteDocument":               `{"Name":"theirs"}`,
		"ssm:ListDocuments":                `{}`,
		"ssm:ListDocumentVersions":         `{"Name":"theirs"}`,
		"ssm:DescribeDocumentPermission":   `{"Name":"theirs","PermissionType":"Share"}`,
		"ssm:ModifyDocumentPermission":     `{"Name":"theirs","PermissionType":"Share","AccountIdsToAdd":["111122223333"]}`,
		"ssm:AddTagsToResource":            `{"ResourceType":"ManagedInstance","ResourceId":"` + node + `","Tags":[{"Key":"k","Value":"v"}]}`,
		"ssm:RemoveTagsFromResource":       `{"ResourceType":"Document","ResourceId":"theirs","TagKeys":["k"]}`,
		"ssm:ListTagsForResource":          `{"ResourceType":"Document","ResourceId":"theirs"}`,
	}
	targets := make(map[string]string)
	for _, s := range awsapi.Services() {
		targets[s.SigningName] = s.TargetPrefix
	}
	nobodies := []auth.Principal{
		{Kind: auth.User, UserName: "bob", ARN: "arn:aws:iam::123456789012:user/bob"},
		{Kind: auth.RoleSession, RoleName: "R", SessionName: "s", ARN: "arn:aws:sts::123456789012:assumed-role/R/s"},
		// The credentials of another node are good for that node only.
		{Kind: auth.RoleSession, NodeID: "mi-0ffffffffffffffff", ARN: "arn:aws:sts::123456789012:assumed-role/R/mi-0ffffffffffffffff"},
		{Kind: auth.Node, NodeID: node, ARN: arns.Node(node)},
	}
	// What even another node may do: ask for its own.
	allowed := map[string]bool{"ssm:ListAssociations": true}

	before := w.dump()
	seen := make(map[string]bool)
	for _, op := range w.server.Operations() {
		name := op.Service + ":" + op.Name
		seen[name] = true
		input, ok := inputs[name]
		if _, exception := guardedOtherwise[name]; exception {
			if ok {
				t.Errorf("%s has a row and is an exception", name)
			}
			continue
		}
		if !ok {
			t.Errorf("%s has no row in this test", name)
			continue
		}
		if op.Anonymous || op.NodeSigned {
			t.Errorf("%s is called without a user's signature and is no exception", name)
		}
		for _, p := range nobodies {
			if allowed[name] && p.Kind == auth.RoleSession && p.NodeID != "" {
				continue
			}
			status, answer := callAs(t, w.server, p, targets[op.Service]+"."+op.Name, input)
			action := name
			if name == "sekisho:VerifyRecording" { // as much as reading it
				action = "sekisho:GetRecording"
			}
			want := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: ", p.ARN, action)
			if op.Service == "ec2" { // has its own code
				if status != http.StatusForbidden || !strings.Contains(answer, `<Code>UnauthorizedOperation</Code>`) || !strings.Contains(answer, want) {
					t.Errorf("%s as %s: %d %s, want UnauthorizedOperation", name, p.ARN, status, answer)
				}
				continue
			}
			if status != http.StatusBadRequest || !strings.Contains(answer, `AccessDeniedException`) || !strings.Contains(answer, want) {
				t.Errorf("%s as %s: %d %s, want AccessDeniedException", name, p.ARN, status, answer)
			}
		}
	}
	for name := range inputs {
		if !seen[name] {
			t.Errorf("the row %s is of no operation", name)
		}
	}
	for name := range guardedOtherwise {
		if !seen[name] {
			t.Errorf("the exception %s is of no operation", name)
		}
	}
	if after := w.dump(); after != before {
		t.Errorf("denied calls changed the database.\nbefore:\n%s\nafter:\n%s", before, after)
	}
	none(t, gateway.asked)
	none(t, relay)
}

// callAs calls an operation over HTTP as a principal that is taken as proved.
func callAs(t *testing.T, s *Server, p auth.Principal, target, input string) (status int, answer string) {
	t.Helper()
	api, err := awsapi.New(awsapi.Config{
		Operations: s.Operations(),
		Authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
			return auth.WithPrincipal(ctx, p), nil
		},
	})
	must(t, err)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(input))
	if strings.HasPrefix(input, "Action=") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	rec := httptest.NewRecorder()
	api.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

func TestADenialDoesNotTellWhatExists(t *testing.T) {
	w := newWorld(t)
	node := w.node(ssm.Tag{Key: "team", Value: "ops"})
	w.connect(node)
	session := w.session("alice", node).SessionID
	const noNode, noSession = "mi-0ffffffffffffffff", "alice-0ffffffffffffffff"
	bob := w.as("bob")
	for _, c := range []struct {
		name         string
		there, never string
		call         func(id string) error
	}{
		{"StartSession", node, noNode, func(id string) error {
			_, err := w.server.StartSession(bob, &ssm.StartSessionInput{Target: id})
			return err
		}},
		{"StartSession with a document", node, noNode, func(id string) error {
			_, err := w.server.StartSession(bob, &ssm.StartSessionInput{Target: id, DocumentName: "None", Parameters: map[string][]string{"a": {"b"}}})
			return err
		}},
		{"GetConnectionStatus", node, noNode, func(id string) error {
			_, err := w.server.GetConnectionStatus(bob, &ssm.GetConnectionStatusInput{Target: id})
			return err
		}},
		{"ResumeSession", session, noSession, func(id string) error {
			_, err := w.server.ResumeSession(bob, &ssm.SessionIDInput{SessionID: id})
			return err
		}},
		{"TerminateSession", session, noSession, func(id string) error {
			_, err := w.server.TerminateSession(bob, &ssm.SessionIDInput{SessionID: id})
			return err
		}},
	} {
		there, never := c.call(c.there), c.call(c.never)
		wantCode(t, there, ssm.CodeAccessDenied)
		if there == nil || never == nil || strings.ReplaceAll(there.Error(), c.there, "ID") != strings.ReplaceAll(never.Error(), c.never, "ID") {
			t.Errorf("%s: %v\nand of what does not exist: %v", c.name, there, never)
		}
	}
}

func TestRefusedCallsAreOnTheAuditTrailWithTheirCode(t *testing.T) {
	w := newWorld(t)
	_, err := w.client("bob").DescribeSessions(t.Context(), describe("Active"))
	wantAPIError(t, err, ssm.CodeAccessDenied, "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: "+
		"ssm:DescribeSessions on resource: arn:aws:ssm:local-1:123456789012:* because no identity-based policy allows the ssm:DescribeSessions action")
	// The event is stored after the answer is sent.
	w.http.Close()
	if got := w.audited(); len(got) != 1 || got[0] != "ssm:DescribeSessions AccessDeniedException" {
		t.Errorf("audit trail = %q", got)
	}
}

func TestAServerNeedsAHostForItsStreams(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"", "sekisho.test", "https://", "://"} {
		cfg := w.server.cfg
		cfg.PublicURL = text
		if _, err := New(cfg); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	if _, err := New(Config{PublicURL: "https://a"}); err == nil {
		t.Error("a server without a store is accepted")
	}
}

func TestSweepRemovesWhatHasHadItsTime(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	w.connect(node)
	id := w.session("alice", node).SessionID
	_, err := w.server.TerminateSession(w.as("alice"), &ssm.SessionIDInput{SessionID: id})
	must(t, err)
	must(t, w.server.Sweep(t.Context()))
	if got := w.stored(id).Status; got != ssm.SessionTerminated {
		t.Fatalf("status = %s", got)
	}
	w.ahead.Store(int64(31 * 24 * time.Hour))
	must(t, w.server.Sweep(t.Context()))
	if _, err := w.store.Session(t.Context(), id); err == nil {
		t.Error("the session is still there after 31 days")
	}
}
