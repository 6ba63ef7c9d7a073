package control

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

func TestStartSession(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	var rowBefore bool // the session is stored when the node hears of it
	gateway := w.connect(node, func(r fabric.NodeRequest) error {
		_, err := w.store.Session(context.Background(), r.SessionID)
		rowBefore = err == nil
		return nil
	})
	before := time.Now().Truncate(time.Millisecond)
	out, err := w.client("alice").StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node, Reason: aws.String("a look")})
	must(t, err)
	id, token := aws.ToString(out.SessionId), aws.ToString(out.TokenValue)
	if !strings.HasPrefix(id, "alice-0") || len(id) != len("alice-")+17 {
		t.Errorf("session id = %q", id)
	}
	if want := "wss://sekisho.test:8443/v1/data-channel/" + id + "?role=publish_subscribe"; aws.ToString(out.StreamUrl) != want {
		t.Errorf("stream URL = %q, want %q", aws.ToString(out.StreamUrl), want)
	}
	if len(token) < 43 || len(token) > 300 {
		t.Errorf("the token has %d characters", len(token))
	}

	asked := next(t, gateway.asked)
	if asked.Kind != fabric.NodeStart || asked.SessionID != id || !rowBefore {
		t.Errorf("asked %q of %q, stored before: %v", asked.Kind, asked.SessionID, rowBefore)
	}
	var task message.SessionTask
	must(t, json.Unmarshal(asked.Task, &task))
	want := message.SessionTask{
		DocumentName: "SSM-SessionManagerRunShell", SessionId: id, Parameters: map[string]any{},
		SessionOwner: "arn:aws:iam::123456789012:user/alice",
		DocumentContent: message.DocumentContent{
			SchemaVersion: "1.0", SessionType: "Standard_Stream", Description: task.DocumentContent.Description,
			Inputs: message.Inputs{S3EncryptionEnabled: true, CloudWatchEncryptionEnabled: true, CloudWatchStreamingEnabled: true},
		},
	}
	if diff := cmp.Diff(want, task); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}

	row := w.stored(id)
	if row.NodeID != node || row.Status != ssm.SessionConnecting || row.Reason != "a look" ||
		row.OwnerARN != "arn:aws:iam::123456789012:user/alice" || row.OwnerUserID != "AIDAAAAAAAAAAAAAAAAAA" ||
		row.DocumentName != "SSM-SessionManagerRunShell" || row.IdleTimeout != 20*time.Minute || row.MaxDuration != 0 ||
		row.AccessType != "Standard" || string(row.Task) != string(asked.Task) {
		t.Errorf("row = %+v", row)
	}
	if diff := cmp.Diff(hashOf(token), row.ClientTokenHash); diff != "" {
		t.Errorf("token hash (-want +got):\n%s", diff)
	}
	if row.StartedAt.Before(before) || row.ClientTokenExpires.Sub(row.StartedAt) != time.Minute {
		t.Errorf("started %v, token ends %v", row.StartedAt, row.ClientTokenExpires)
	}
	if strings.Contains(w.dump(), token) {
		t.Error("the token is in the database")
	}
	if got := w.audited(); !slices.Contains(got, "ssm:StartSession") {
		t.Errorf("audit trail = %q", got)
	}
}

func TestSessionStreamsAreAtTheHostThatTheClientCalled(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.StreamHost = func(called string) string {
			if strings.HasPrefix(called, "127.0.0.1:") {
				return called
			}
			return ""
		}
	})
	node := w.node()
	w.connect(node)
	out, err := w.client("alice").StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node})
	must(t, err)
	host := strings.TrimPrefix(w.http.URL, "http://")
	if want := "wss://" + host + "/v1/"; !strings.HasPrefix(aws.ToString(out.StreamUrl), want) {
		t.Errorf("stream URL = %q, want %s…", aws.ToString(out.StreamUrl), want)
	}
	if got := w.session("alice", node).StreamURL; !strings.HasPrefix(got, "wss://sekisho.test:8443/v1/") {
		t.Errorf("called by another name: %q", got)
	}
}

func TestStartSessionRefusals(t *testing.T) {
	w := newWorld(t)
	node, gone := w.node(), w.node()
	gateway := w.connect(node)
	must(t, w.store.DeregisterNode(t.Context(), gone, time.Now()))
	const unknown = "mi-0ffffffffffffffff"
	some := map[string][]string{"portNumber": {"22"}}
	for _, c := range []struct {
		name          string
		in            ssm.StartSessionInput
		code, message string
	}{
		{"unknown node", ssm.StartSessionInput{Target: unknown}, ssm.CodeTargetNotConnected, unknown + " is not connected."},
		{"no node's id", ssm.StartSessionInput{Target: "web server\x00"}, ssm.CodeTargetNotConnected, "web server\x00 is not connected."},
		{"EC2 instance", ssm.StartSessionInput{Target: "i-0123456789abcdef0"}, ssm.CodeTargetNotConnected, "i-0123456789abcdef0 is not connected."},
		{"deregistered node", ssm.StartSessionInput{Target: gone}, ssm.CodeTargetNotConnected, gone + " is not connected."},
		{"unknown document", ssm.StartSessionInput{Target: node, DocumentName: "Ours"}, ssm.CodeInvalidDocument, "Document with name Ours does not exist."},
		{"unknown document by ARN", ssm.StartSessionInput{Target: node, DocumentName: arns.Document("Ours")}, ssm.CodeInvalidDocument,
			"Document with name arn:aws:ssm:local-1:123456789012:document/Ours does not exist."},
		{"another account's", ssm.StartSessionInput{Target: node, DocumentName: "arn:aws:ssm:local-1:210987654321:document/SSM-SessionManagerRunShell"},
			ssm.CodeInvalidDocument, "Document with name arn:aws:ssm:local-1:210987654321:document/SSM-SessionManagerRunShell does not exist."},
		{"Amazon's document", ssm.StartSessionInput{Target: node, DocumentName: "AWS-PasswordReset", Parameters: some}, ssm.CodeInvalidParameters,
			`Parameter "portNumber" is not defined in document.`},
		{"Amazon's document by ARN", ssm.StartSessionInput{Target: node, DocumentName: "arn:aws:ssm:local-1::document/AWS-PasswordReset"}, ssm.CodeInvalidParameters,
			"Parameters [username] must be provided"},
		{"parameters", ssm.StartSessionInput{Target: node, Parameters: some}, ssm.CodeInvalidParameters,
			"document SSM-SessionManagerRunShell does not support parameters."},
		// The order of api.md §6.2: document, parameters, then the node.
		{"document before node", ssm.StartSessionInput{Target: unknown, DocumentName: "Ours"}, ssm.CodeInvalidDocument, "Document with name Ours does not exist."},
		{"document before parameters", ssm.StartSessionInput{Target: node, DocumentName: "Ours", Parameters: some}, ssm.CodeInvalidDocument, "Document with name Ours does not exist."},
		{"parameters before node", ssm.StartSessionInput{Target: unknown, Parameters: some}, ssm.CodeInvalidParameters,
			"document SSM-SessionManagerRunShell does not support parameters."},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.server.StartSession(w.as("alice"), &c.in)
			wantError(t, err, c.code, c.message)
		})
	}
	none(t, gateway.asked)
	if list, err := w.store.LiveSessions(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("sessions = %v, %v; want none", list, err)
	}
}

func TestTheDefaultDocumentMayBeNamed(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	w.connect(node)
	for _, name := range []string{"SSM-SessionManagerRunShell", arns.Document("SSM-SessionManagerRunShell")} {
		out, err := w.server.StartSession(w.as("alice"), &ssm.StartSessionInput{Target: node, DocumentName: name})
		must(t, err)
		if got := w.stored(out.SessionID).DocumentName; got != "SSM-SessionManagerRunShell" {
			t.Errorf("%s: document of the session = %q", name, got)
		}
	}
}

func TestASessionOnANodeThatIsNotReachedHasFailed(t *testing.T) {
	silent := make(chan struct{})
	defer close(silent)
	for _, c := range []struct {
		name, details string
		timeout       time.Duration // zero means the ordinary one
		connect       func(*world, string)
	}{
		{"nobody holds its channel", "The node is not connected.", 0, func(*world, string) {}},
		{"the gateway cannot write", "The node could not be reached.", 0, func(w *world, node string) {
			w.connect(node, func(fabric.NodeRequest) error { return errors.New("broken pipe") })
		}},
		{"the gateway is silent", "The node could not be reached.", 50 * time.Millisecond, func(w *world, node string) {
			w.connect(node, func(fabric.NodeRequest) error { <-silent; return nil })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.FabricTimeout = c.timeout })
			node := w.node()
			c.connect(w, node)
			_, err := w.client("alice").StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node})
			wantAPIError(t, err, ssm.CodeTargetNotConnected, node+" is not connected.")
			list, err := w.server.DescribeSessions(w.as("alice"), &ssm.DescribeSessionsInput{State: "History"})
			must(t, err)
			if len(list.Sessions) != 1 || list.Sessions[0].Status != ssm.SessionFailed || list.Sessions[0].Details != c.details {
				t.Errorf("history = %+v, want a failed session", list.Sessions)
			}
			if row := w.stored(list.Sessions[0].SessionID); row.ClientTokenHash != nil {
				t.Error("the failed session has a token")
			}
			if c.name == "the gateway is silent" {
				silent <- struct{}{} // or the fabric waits for its handler
			}
		})
	}
}

func TestACallerThatGoesLeavesNoSession(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	ctx, cancel := context.WithCancel(w.as("alice"))
	gone := make(chan struct{})
	w.connect(node, func(fabric.NodeRequest) error {
		cancel()
		<-gone
		return nil
	})
	_, err := w.server.StartSession(ctx, &ssm.StartSessionInput{Target: node})
	close(gone)
	wantCode(t, err, ssm.CodeTargetNotConnected)
	list, err := w.store.LiveSessions(t.Context())
	must(t, err)
	if len(list) != 0 {
		t.Errorf("live sessions = %+v", list)
	}
}

func TestANodeHasSoManySessionsAndNoMore(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxSessionsPerNode = 2 })
	node := w.node()
	w.connect(node)
	w.session("alice", node)
	second := w.session("alice", node)
	_, err := w.server.StartSession(w.as("alice"), &ssm.StartSessionInput{Target: node})
	wantError(t, err, ssm.CodeServiceQuotaExceeded, node+" has 2 sessions, as many as it may have.")

	// A node that is not connected says that instead.
	w.ahead.Store(int64(time.Hour))
	_, err = w.server.StartSession(w.as("alice"), &ssm.StartSessionInput{Target: node})
	wantError(t, err, ssm.CodeTargetNotConnected, node+" is not connected.")
	w.ahead.Store(0)

	_, err = w.server.TerminateSession(w.as("alice"), &ssm.SessionIDInput{SessionID: second.SessionID})
	must(t, err)
	w.session("alice", node)
}

func TestResumeSessionReplacesTheToken(t *testing.T) {
	for _, status := range []ssm.SessionStatus{ssm.SessionConnecting, ssm.SessionConnected, ssm.SessionDisconnected} {
		t.Run(string(status), func(t *testing.T) {
			w := newWorld(t)
			node := w.node()
			w.connect(node)
			first := w.session("alice", node)
			if status != ssm.SessionConnecting {
				_, err := w.store.SetSessionStatus(t.Context(), first.SessionID, status)
				must(t, err)
			}
			relay := w.relay(first.SessionID)
			w.ahead.Store(int64(10 * time.Minute))
			out, err := w.client("alice").ResumeSession(t.Context(), &awsssm.ResumeSessionInput{SessionId: &first.SessionID})
			must(t, err)
			if aws.ToString(out.SessionId) != first.SessionID || aws.ToString(out.StreamUrl) != first.StreamURL {
				t.Errorf("answer = %q at %q", aws.ToString(out.SessionId), aws.ToString(out.StreamUrl))
			}
			row := w.stored(first.SessionID)
			if token := aws.ToString(out.TokenValue); token == first.TokenValue || !cmp.Equal(hashOf(token), row.ClientTokenHash) {
				t.Error("the stored token is not the new one")
			}
			if left := row.ClientTokenExpires.Sub(w.server.cfg.Now()); left <= 0 || left > time.Minute {
				t.Errorf("the token ends in %v", left)
			}
			if row.Status != status {
				t.Errorf("status = %s, want %s", row.Status, status)
			}
			if asked := next(t, relay); asked.Kind != fabric.SessionResume {
				t.Errorf("asked for %q, want resume", asked.Kind)
			}
		})
	}
}

func TestResumeSessionWhenNoGatewayRelaysIt(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	w.connect(node)
	id := w.session("alice", node).SessionID
	out, err := w.server.ResumeSession(w.as("alice"), &ssm.SessionIDInput{SessionID: id})
	must(t, err)
	if out.TokenValue == "" {
		t.Error("there is no token")
	}
}

func TestConformance12AnEndedSessionIsResumedWithoutAToken(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	w.connect(node)
	for _, end := range []func(id string) error{
		func(id string) error {
			_, err := w.store.EndSession(t.Context(), id, ssm.SessionTerminated, "", time.Now())
			return err
		},
		func(id string) error {
			_, err := w.store.EndSession(t.Context(), id, ssm.SessionFailed, "", time.Now())
			return err
		},
		func(id string) error {
			_, err := w.store.SetSessionStatus(t.Context(), id, ssm.SessionTerminating)
			return err
		},
	} {
		id := w.session("alice", node).SessionID
		must(t, end(id))
		relay := w.relay(id)
		out, err := w.client("alice").ResumeSession(t.Context(), &awsssm.ResumeSessionInput{SessionId: &id})
		must(t, err)
		if out.TokenValue != nil || out.StreamUrl != nil || aws.ToString(out.SessionId) != id {
			t.Errorf("%s: token %v, stream %v", w.stored(id).Status, out.TokenValue != nil, out.StreamUrl)
		}
		none(t, relay)
	}
	_, err := w.client("alice").ResumeSession(t.Context(), &awsssm.ResumeSessionInput{SessionId: aws.String("alice-0ffffffffffffffff")})
	wantAPIError(t, err, ssm.CodeDoesNotExist, "Session alice-0ffffffffffffffff does not exist")
}

func TestTerminateSessionIsTheGatewaysToFinish(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	gateway := w.connect(node)
	id := w.session("alice", node).SessionID
	next(t, gateway.asked)
	var status ssm.SessionStatus // as the gateway finds it
	relay := w.relay(id, func(fabric.SessionRequest) error {
		s, err := w.store.Session(context.Background(), id)
		status = s.Status
		return err
	})
	out, err := w.client("alice").TerminateSession(t.Context(), &awsssm.TerminateSessionInput{SessionId: &id})
	must(t, err)
	if aws.ToString(out.SessionId) != id {
		t.Errorf("answer = %q", aws.ToString(out.SessionId))
	}
	if asked := next(t, relay); asked.Kind != fabric.SessionTerminate || status != ssm.SessionTerminating {
		t.Errorf("asked for %q with the session %s", asked.Kind, status)
	}
	if got := w.stored(id).Status; got != ssm.SessionTerminating {
		t.Errorf("status = %s, want Terminating until the gateway ends it", got)
	}
	none(t, gateway.asked)

	// Again, while it is ending: the gateway may have missed the first.
	_, err = w.server.TerminateSession(w.as("alice"), &ssm.SessionIDInput{SessionID: id})
	must(t, err)
	next(t, relay)
}

func TestTerminateSessionWithoutAGatewayEndsItHere(t *testing.T) {
	for name, broken := range map[string]bool{"none": false, "broken": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			node := w.node()
			gateway := w.connect(node)
			id := w.session("alice", node).SessionID
			next(t, gateway.asked)
			if broken {
				w.relay(id, func(fabric.SessionRequest) error { return errors.New("cannot") })
			}
			_, err := w.client("alice").TerminateSession(t.Context(), &awsssm.TerminateSessionInput{SessionId: &id})
			must(t, err)
			row := w.stored(id)
			if row.Status != ssm.SessionTerminated || row.EndedAt.IsZero() || row.ClientTokenHash != nil {
				t.Errorf("row = %+v", row)
			}
			if asked := next(t, gateway.asked); asked.Kind != fabric.NodeTerminate || asked.SessionID != id {
				t.Errorf("the node was asked %+v", asked)
			}
			if got := w.audited(); !slices.Contains(got, "ssm:TerminateSession") {
				t.Errorf("audit trail = %q", got)
			}
		})
	}
}

func TestTerminateSessionMayBeRepeated(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	gateway := w.connect(node)
	id := w.session("alice", node).SessionID
	_, err := w.store.EndSession(t.Context(), id, ssm.SessionFailed, "why", time.Now())
	must(t, err)
	next(t, gateway.asked)
	relay := w.relay(id)
	before := w.dump()
	for _, id := range []string{id, "alice-0ffffffffffffffff"} {
		out, err := w.client("alice").TerminateSession(t.Context(), &awsssm.TerminateSessionInput{SessionId: &id})
		must(t, err)
		if aws.ToString(out.SessionId) != id {
			t.Errorf("answer = %q", aws.ToString(out.SessionId))
		}
	}
	if diff := cmp.Diff(before, w.dump()); diff != "" {
		t.Error("the database has changed", diff)
	}
	none(t, relay)
	none(t, gateway.asked)
}

func TestTerminateOnANodeThatIsAway(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	now := time.Now()
	stop, err := w.fabric.Handle(fabric.Node(node), func(context.Context, []byte) ([]byte, error) { return nil, nil })
	must(t, err)
	must(t, w.store.ConnectNode(t.Context(), node, "g", "", "", now.Add(time.Minute), now))
	id := w.session("alice", node).SessionID
	stop()
	_, err = w.server.TerminateSession(w.as("alice"), &ssm.SessionIDInput{SessionID: id})
	must(t, err)
	if got := w.stored(id).Status; got != ssm.SessionTerminated {
		t.Errorf("status = %s", got)
	}
}
