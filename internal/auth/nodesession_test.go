package auth

import (
	"testing"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func TestNodesWriteTheLogsOfTheirOwnSessions(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.CreateSession(t.Context(), store.Session{ID: "bob-1", NodeID: nodeID, OwnerARN: "arn", OwnerUserID: "bob",
		DocumentName: "d", Status: ssm.SessionConnected, StartedAt: now, Task: []byte("{}"), AccessType: "Standard"},
		store.AuditEvent{ID: "e", At: now, Action: "ssm:StartSession"}))
	for _, test := range []struct {
		caller  Principal
		session string
		refused bool
	}{
		{Principal{Kind: RoleSession, NodeID: nodeID}, "bob-1", false},
		{Principal{Kind: RoleSession, NodeID: "mi-0fedcba9876543210"}, "bob-1", true},
		{Principal{Kind: RoleSession, NodeID: "mi-0fedcba9876543210"}, "syslog", false},
		{Principal{Kind: RoleSession, NodeID: "mi-0fedcba9876543210"}, "", false},
		{Principal{Kind: User, UserName: "alice"}, "bob-1", false},
	} {
		err := w.auth.OwnSession(WithPrincipal(t.Context(), test.caller), test.session)
		if (err != nil) != test.refused || err != nil && !ssm.IsCode(err, ssm.CodeAccessDenied) {
			t.Errorf("%+v writes the log of %q: %v", test.caller, test.session, err)
		}
	}
}
