package control

import (
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Names that no node, document or session has reach no policy's meaning and no database's
// complaint: they are what does not exist.
func TestOddNamesAreNobodys(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	w.connect(node)
	mine := w.session("alice", node).SessionID
	must(t, w.store.PutInlinePolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "bob"}, "p", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ssm:TerminateSession","ssm:ResumeSession"],"Resource":["arn:aws:ssm:*:*:session/${aws:username}-*","arn:aws:ssm:*:*:session/${aws:userid}-*"]},
		{"Effect":"Allow","Action":"ssm:StartSession","Resource":["arn:aws:ssm:*:*:managed-instance/mi-0*","arn:aws:ssm:*:*:document/Own-*"]}]}`, 0, 2048))
	for _, id := range []string{
		mine, mine + " ", "*", "?" + mine[1:], "alice-*", "bob-*", "bob-?", "bob-../" + mine, "bob-0/../" + mine, "bob/../" + mine,
		"${aws:username}-0123456789abcdef0", "BOB-0123456789abcdef0", "bob-0123456789ABCDEF0", "bob-\x00", "bob-\xff\xfe", "bob-0123456789abcdef0\x00",
		"bob:" + mine, "AIDABBBBBBBBBBBBBBBBB-0123456789abcdef0", "session/" + mine, "bob-admin-0123456789abcdef0", "bob-1123456789abcdef0",
	} {
		for _, user := range []string{"bob", "alice"} {
			_, err := w.server.TerminateSession(w.as(user), &ssm.SessionIDInput{SessionID: id})
			if user == "bob" || id == mine {
				continue
			}
			if err != nil {
				t.Errorf("%s ends %q: %v", user, id, err)
			}
			_, err = w.server.ResumeSession(w.as(user), &ssm.SessionIDInput{SessionID: id})
			wantCode(t, err, ssm.CodeDoesNotExist)
		}
		if id != mine {
			_, err := w.server.TerminateSession(w.as("bob"), &ssm.SessionIDInput{SessionID: id})
			wantCode(t, err, ssm.CodeAccessDenied)
			_, err = w.server.ResumeSession(w.as("bob"), &ssm.SessionIDInput{SessionID: id})
			wantCode(t, err, ssm.CodeAccessDenied)
		}
	}
	for _, target := range []string{"*", "mi-*", "mi-0*", node + "/../x", node + "*", "mi-0\x00", "mi-0\xff", node + "\x00", "arn:aws:ssm:local-1:123456789012:managed-instance/" + node} {
		for _, user := range []string{"bob", "alice"} {
			_, err := w.server.StartSession(w.as(user), &ssm.StartSessionInput{Target: target})
			want := ssm.CodeTargetNotConnected
			if user == "bob" {
				want = ssm.CodeAccessDenied
			}
			wantCode(t, err, want)
		}
	}
	for _, document := range []string{
		"arn:aws:ssm:local-1:123456789012:document/Own-/../SSM-SessionManagerRunShell",
		"arn:aws:ssm:other-1:123456789012:document/SSM-SessionManagerRunShell",
		"arn:aws:ssm:local-1:210987654321:document/SSM-SessionManagerRunShell",
		"arn:aws:ssm:local-1::document/SSM-SessionManagerRunShell",
		"arn:aws:s3:::SSM-SessionManagerRunShell",
		"ssm-sessionmanagerrunshell", "Own-x", "SSM-SessionManagerRunShell:1",
	} {
		for _, user := range []string{"bob", "alice"} {
			if _, err := w.server.StartSession(w.as(user), &ssm.StartSessionInput{Target: node, DocumentName: document}); err == nil {
				t.Errorf("%s starts %s", user, document)
			} else if user == "alice" && !ssm.IsCode(err, ssm.CodeInvalidDocument) {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

// Whoever may not pass a role learns neither its path nor that it is there.
func TestADenialDoesNotTellARolesPath(t *testing.T) {
	w := newWorld(t)
	w.role("Known", "/hidden/")
	must(t, w.store.PutInlinePolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "bob"}, "p",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:CreateActivation","Resource":"*"}}`, 0, 2048))
	for _, role := range []string{"Known", "Never", "hidden/Known", "hidden/Never", "x/../Known"} {
		_, err := w.server.CreateActivation(w.as("bob"), &ssm.CreateActivationInput{IamRole: role})
		wantError(t, err, ssm.CodeAccessDenied, "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:PassRole on resource: "+
			"arn:aws:iam::123456789012:role/"+role+" because no identity-based policy allows the iam:PassRole action")
	}
}

// A policy that allows one value of a tag must not be satisfied by a twin of it whose key
// differs in case.
func TestTagsDifferInMoreThanCase(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{
		IamRole: "service-role/NodeRole", Tags: []ssm.Tag{{Key: "team", Value: "mine"}, {Key: "Team", Value: "yours"}},
	})
	wantError(t, err, ssm.CodeValidation, "Duplicate tag key found: Team")
}

// A role that does not trust the service any more is no node's, also of those that
// registered before.
func TestARoleWithoutTrustGivesNoCredentials(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	as := auth.WithPrincipal(t.Context(), auth.Principal{Kind: auth.Node, NodeID: node})
	ask := func() error {
		_, err := w.server.RequestManagedInstanceRoleToken(as, &ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: fingerprint})
		return err
	}
	must(t, ask())
	const refused = "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::123456789012:role/service-role/NodeRole"
	must(t, w.store.SetTrustPolicy(t.Context(), "NodeRole",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}`, nil))
	wantError(t, ask(), ssm.CodeValidation, refused)
	must(t, w.store.DetachPolicy(t.Context(), store.Entity{Type: store.EntityRole, Name: "NodeRole"}, "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"))
	must(t, w.store.DeleteRole(t.Context(), "NodeRole"))
	w.role("NodeRole", "/") // of somebody who may make roles, but not pass that one
	wantError(t, ask(), ssm.CodeValidation, refused)
	must(t, w.store.DetachPolicy(t.Context(), store.Entity{Type: store.EntityRole, Name: "NodeRole"}, "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"))
	must(t, w.store.DeleteRole(t.Context(), "NodeRole"))
	w.role("NodeRole", "/service-role/")
	must(t, ask())
}

// One session that cannot be judged does not keep the others from being locked out.
func TestLockOutGoesOn(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	w.connect(node)
	bob := store.Entity{Type: store.EntityUser, Name: "bob"}
	must(t, w.store.PutInlinePolicy(t.Context(), bob, "p", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:StartSession","Resource":"*"}}`, 0, 2048))
	now := w.server.cfg.Now()
	for _, id := range []string{"aaa-0123456789abcdef0", "zzz-0123456789abcdef0"} {
		must(t, w.store.CreateSession(t.Context(), store.Session{
			ID: id, NodeID: node, OwnerARN: "arn:aws:iam::123456789012:user/x", OwnerUserID: "AIDAX", Status: ssm.SessionConnecting, StartedAt: now,
			AccessType: accessStandard, Task: []byte("{}"), Starter: []byte("not JSON"), ClientTokenHash: hashOf(id), ClientTokenExpires: now.Add(time.Minute),
			DocumentName: ssm.DefaultSessionDocument,
		}, store.AuditEvent{At: now, Action: "ssm:StartSession"}))
	}
	id := w.session("bob", node).SessionID
	must(t, w.store.DeleteInlinePolicy(t.Context(), bob, "p"))
	if err := w.server.LockOut(t.Context()); err == nil {
		t.Error("sessions without a readable starter are no error")
	}
	if s := w.stored(id).Status; s.Active() {
		t.Errorf("bob's session is %s", s)
	}
}
