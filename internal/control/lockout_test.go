package control

import (
	"context"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/fabric"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// startAll lets a user start sessions; from, if any, is the address it must come from.
func startAll(from string) string {
	if from == "" {
		return `{"Effect":"Allow","Action":"ssm:StartSession","Resource":"*"}`
	}
	return `{"Effect":"Allow","Action":"ssm:StartSession","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"` + from + `"}}}`
}

// unauthorized gives the ids that EndUnauthorizedSessions names to alice.
func (w *world) unauthorized(in EndUnauthorizedSessionsInput) (ids []string) {
	w.t.Helper()
	out, err := w.server.EndUnauthorizedSessions(w.as("alice"), &in)
	must(w.t, err)
	for _, s := range out.Sessions {
		if s.Reason == "" || s.Owner == "" || s.Target == "" {
			w.t.Errorf("it says %+v", s)
		}
		ids = append(ids, s.SessionID)
	}
	return ids
}

// TestSessionsOfWhoLostThePermissionEnd takes the permission away in each way there is.
func TestSessionsOfWhoLostThePermissionEnd(t *testing.T) {
	group := func(w *world) {
		must(t, w.store.CreateGroup(t.Context(), store.Group{ID: "AGPAAAAAAAAAAAAAAAAAA", Name: "Ops", Path: "/", CreatedAt: time.Now()}))
		must(t, w.store.PutInlinePolicy(t.Context(), store.Entity{Type: store.EntityGroup, Name: "Ops"}, "p",
			`{"Version":"2012-10-17","Statement":[`+startAll("")+`]}`, 100, 1<<20))
		must(t, w.store.AddUserToGroup(t.Context(), "Ops", "bob"))
	}
	for name, c := range map[string]struct{ give, take func(w *world) }{
		"policy removed": {
			func(w *world) { w.permit("bob", startAll("")) },
			func(w *world) {
				must(t, w.store.DeleteInlinePolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "bob"}, "own"))
			},
		},
		"denied": {
			func(w *world) { w.permit("bob", startAll("")) },
			func(w *world) {
				w.permit("bob", startAll(""), `{"Effect":"Deny","Action":"ssm:StartSession","Resource":"*"}`)
			},
		},
		"document no longer allowed": {
			func(w *world) { w.permit("bob", startAll("")) },
			func(w *world) {
				w.permit("bob", `{"Effect":"Allow","Action":"ssm:StartSession","Resource":"arn:aws:ssm:*:*:managed-instance/*"}`)
			},
		},
		"out of the group": {group, func(w *world) { must(t, w.store.RemoveUserFromGroup(t.Context(), "Ops", "bob")) }},
		"user deleted": {group, func(w *world) {
			must(t, w.store.RemoveUserFromGroup(t.Context(), "Ops", "bob"))
			must(t, w.store.DeleteAccessKey(t.Context(), accessKeyID("bob")))
			must(t, w.store.DeleteUser(t.Context(), "bob"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.give(w)
			node := w.node()
			w.connect(node)
			others, lost := w.session("alice", node).SessionID, w.session("bob", node).SessionID
			relay := w.relay(lost)
			if got := w.unauthorized(EndUnauthorizedSessionsInput{}); len(got) != 0 {
				t.Fatalf("before anything changed: %q", got)
			}
			c.take(w)
			if got := w.unauthorized(EndUnauthorizedSessionsInput{DryRun: true}); len(got) != 1 || got[0] != lost {
				t.Fatalf("a dry run names %q, want %q", got, lost)
			}
			none(t, relay)
			if got := w.unauthorized(EndUnauthorizedSessionsInput{Owner: "arn:aws:iam::123456789012:user/somebody"}); len(got) != 0 {
				t.Errorf("of another owner: %q", got)
			}
			if got := w.unauthorized(EndUnauthorizedSessionsInput{Owner: w.stored(lost).OwnerARN}); len(got) != 1 {
				t.Errorf("ended %q", got)
			}
			if asked := next(t, relay); asked.Kind != fabric.SessionTerminate {
				t.Errorf("the gateway was asked %+v", asked)
			}
			if status := w.stored(lost).Status; status != ssm.SessionTerminating {
				t.Errorf("status %s", status)
			}
			if status := w.stored(others).Status; status != ssm.SessionConnecting {
				t.Errorf("alice's session is %s", status)
			}
			if got := w.unauthorized(EndUnauthorizedSessionsInput{}); len(got) != 0 {
				t.Errorf("once more: %q", got)
			}
		})
	}
}

// A session is judged by the address that it was started from, not by that of whoever
// asks, and by what its credentials were then.
func TestRunningSessionsAreJudgedAsTheyWereStarted(t *testing.T) {
	w := newWorld(t)
	w.permit("bob", startAll("192.0.2.0/24"))
	node := w.node()
	w.connect(node)
	from := func(ctx context.Context, address string) context.Context {
		return awsapi.WithRequest(ctx, awsapi.RequestInfo{SourceIP: address})
	}
	start := func(ctx context.Context) string {
		t.Helper()
		out, err := w.server.StartSession(ctx, &ssm.StartSessionInput{Target: node})
		must(t, err)
		return out.SessionID
	}
	id := start(from(w.as("bob"), "192.0.2.7"))
	if got := w.unauthorized(EndUnauthorizedSessionsInput{DryRun: true}); len(got) != 0 {
		t.Errorf("asked from elsewhere: %q", got)
	}
	w.permit("bob", startAll("198.51.100.0/24"))
	if got := w.unauthorized(EndUnauthorizedSessionsInput{DryRun: true}); len(got) != 1 || got[0] != id {
		t.Errorf("the address is not allowed any more: %q", got)
	}
	w.permit("bob", startAll(""))

	// What came with temporary credentials stays with the session.
	p, _ := auth.From(w.as("bob"))
	p.Session = &auth.Session{Policies: []string{`{"Version":"2012-10-17","Statement":[` + startAll("192.0.2.0/24") + `]}`}}
	narrowed := start(from(auth.WithPrincipal(t.Context(), p), "192.0.2.8"))
	if got := w.unauthorized(EndUnauthorizedSessionsInput{DryRun: true}); len(got) != 0 {
		t.Errorf("nothing changed: %q", got)
	}
	w.permit("bob", `{"Effect":"Allow","Action":"ssm:StartSession","Resource":"*","Condition":{"StringEquals":{"aws:username":"carol"}}}`)
	if got := w.unauthorized(EndUnauthorizedSessionsInput{DryRun: true}); len(got) != 2 {
		t.Errorf("of %q and %q it names %q", id, narrowed, got)
	}
}
