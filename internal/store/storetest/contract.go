package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Run runs the contract on one kind of database.
func Run(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"DeploymentIsMadeOnce", deploymentIsMadeOnce},
		{"UserNamesIgnoreCase", userNamesIgnoreCase},
		{"Passwords", passwords},
		{"AccessKeys", accessKeys},
		{"TemporaryCredentials", temporaryCredentials},
		{"CredentialsOfGoneNodeAreRefused", credentialsOfGoneNodeAreRefused},
		{"CredentialsDoNotSurviveTheirNode", credentialsDoNotSurviveTheirNode},
		{"ActivationsRoundTrip", activationsRoundTrip},
		{"ActivationConstraints", activationConstraints},
		{"ActivationFilters", activationFilters},
		{"DeletedActivationLeavesNodes", deletedActivationLeavesNodes},
		{"NodeTakesAfterItsActivation", nodeTakesAfterItsActivation},
		{"WrongCodeIsRefused", wrongCodeIsRefused},
		{"ExpiredActivationIsRefused", expiredActivationIsRefused},
		{"UsedUpActivationIsRefused", usedUpActivationIsRefused},
		{"FailedRegistrationIsNotCounted", failedRegistrationIsNotCounted},
		{"ConcurrentRegistrationsKeepTheLimit", concurrentRegistrationsKeepTheLimit},
		{"ShortHeartbeatKeepsFacts", shortHeartbeatKeepsFacts},
		{"NodeFilters", nodeFilters},
		{"NewestConnectionWins", newestConnectionWins},
		{"WhetherNodesAreThere", whetherNodesAreThere},
		{"TiersAndRegistrations", tiersAndRegistrations},
		{"ExtendNodeConnections", extendNodeConnections},
		{"DeregisteredNode", deregisteredNode},
		{"SessionsRoundTrip", sessionsRoundTrip},
		{"SessionAndAuditAreOne", sessionAndAuditAreOne},
		{"SessionNeedsNode", sessionNeedsNode},
		{"NoSessionBeginsAfterDeregistration", noSessionBeginsAfterDeregistration},
		{"SessionStates", sessionStates},
		{"SessionEndsOnce", sessionEndsOnce},
		{"ClientTokens", clientTokens},
		{"ClientTokenIsRedeemedOnce", clientTokenIsRedeemedOnce},
		{"ConcurrentStatusChangesHaveOneWinner", concurrentStatusChangesHaveOneWinner},
		{"ConcurrentEndsHaveOneWinner", concurrentEndsHaveOneWinner},
		{"SessionFilters", sessionFilters},
		{"LiveSessions", liveSessions},
		{"SessionHistoryIsDeleted", sessionHistoryIsDeleted},
		{"AuditTrail", auditTrail},
		{"NodePagesSurviveChanges", nodePagesSurviveChanges},
		{"SessionPagesSurviveChanges", sessionPagesSurviveChanges},
		{"ActivationPages", activationPages},
		{"PagesOfEqualTimes", pagesOfEqualTimes},
		{"BadCursorIsRefused", badCursorIsRefused},
		{"PageLimits", pageLimits},
		{"BadTextIsRefused", badTextIsRefused},
		{"HostileTextIsText", hostileTextIsText},
		{"CancelledContext", cancelledContext},
		{"Ping", ping},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

// t0 is the time at which these tests play. It has milliseconds, which are kept.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

func hash(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails the test unless err wraps want.
func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that wraps %q", err, want)
	}
}

// equal fails the test if got is not want.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s differs (-want +got):\n%s", what, diff)
	}
}

const code = "correct-horse-battery"

// activation makes an activation with the code above.
func activation(t *testing.T, s *store.Store, limit int) store.Activation {
	t.Helper()
	a := store.Activation{
		ID: ssm.NewActivationID(), CodeHash: hash(code), Description: "rack 7", DefaultInstanceName: "web",
		IamRole: "service-role/Nodes", RegistrationLimit: limit, ExpirationDate: t0.Add(24 * time.Hour), CreatedAt: t0,
		CreatedBy: "arn:aws:iam::123456789012:user/admin",
		Tags:      []ssm.Tag{{Key: "Environment", Value: "test"}, {Key: "owner", Value: ""}},
	}
	must(t, s.CreateActivation(t.Context(), a))
	return a
}

// newNode is what a node says when it registers.
func newNode() store.Node {
	return store.Node{PublicKey: []byte{0x30, 0x00, 0xff}, PublicKeyType: "Rsa", Fingerprint: "b9c0b3a4-0000-4000-8000-000000000001"}
}

// node registers a node.
func node(t *testing.T, s *store.Store) store.Node {
	t.Helper()
	a := activation(t, s, 1)
	n, err := s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), t0)
	must(t, err)
	return n
}

// newSession is a session of a node, not stored yet.
func newSession(n store.Node, at time.Time) store.Session {
	return store.Session{
		ID: ssm.NewSessionID("alice"), NodeID: n.ID, OwnerARN: "arn:aws:iam::123456789012:user/alice", OwnerUserID: "AIDAALICE",
		DocumentName: ssm.DefaultSessionDocument, Status: ssm.SessionConnecting, AccessType: "Standard", StartedAt: at,
		IdleTimeout: 20 * time.Minute, MaxDuration: 90 * time.Minute, Task: []byte(`{"DocumentName":"x"}`),
		ClientTokenHash: hash("token"), ClientTokenExpires: at.Add(time.Minute),
	}
}

func startEvent(x store.Session) store.AuditEvent {
	return store.AuditEvent{At: x.StartedAt, Principal: x.OwnerARN, Action: "ssm:StartSession", Resources: []string{x.NodeID}}
}

// session starts a session.
func session(t *testing.T, s *store.Store, n store.Node, at time.Time) store.Session {
	t.Helper()
	x := newSession(n, at)
	must(t, s.CreateSession(t.Context(), x, startEvent(x)))
	return x
}

func ping(t *testing.T, s *store.Store) {
	must(t, s.Ping(t.Context()))
}

func cancelledContext(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Deployment(ctx)
	wantErr(t, err, context.Canceled)
	wantErr(t, s.CreateDeployment(ctx, store.Deployment{AccountID: "123456789012", Region: "local-1", CreatedAt: t0}), context.Canceled)
	_, err = s.Deployment(t.Context())
	wantErr(t, err, store.ErrNotFound)
}

func badTextIsRefused(t *testing.T, s *store.Store) {
	n := node(t, s)
	for _, text := range []string{"a\x00b", "a\xffb"} {
		x := newSession(n, t0)
		x.Reason = text
		wantErr(t, s.CreateSession(t.Context(), x, startEvent(x)), store.ErrInvalid)
		_, err := s.UserByName(t.Context(), text)
		wantErr(t, err, store.ErrInvalid)
	}
}

func hostileTextIsText(t *testing.T, s *store.Store) {
	n := node(t, s)
	for _, text := range []string{`'; drop table sessions; --`, `$1 ? %s \' "`, "関所\t\r\n\u202e", "🙂"} {
		x := newSession(n, t0)
		x.Reason = text
		e := startEvent(x)
		e.Resources = []string{text, `["`}
		e.RequestID = x.ID
		must(t, s.CreateSession(t.Context(), x, e))
		got, err := s.Session(t.Context(), x.ID)
		must(t, err)
		equal(t, "session", got, x)
		events, _, err := s.AuditEvents(t.Context(), store.AuditFilter{RequestIDs: []string{x.ID}}, store.Page{})
		must(t, err)
		equal(t, "resources", events[0].Resources, e.Resources)
		_, _, err = s.Sessions(t.Context(), store.SessionFilter{OwnerARNs: []string{text}}, store.Page{})
		must(t, err)
	}
}
