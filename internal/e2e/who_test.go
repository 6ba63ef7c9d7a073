package e2e

import (
	"regexp"
	"testing"
)

// TestWhoCanStartASession asks the operators' program who can start a session on a node,
// and which statement of whose policy decides it.
func TestWhoCanStartASession(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	const node = "mi-0123456789abcdef0"
	d.must(c, "iam", "create-user", "--user-name", "alice")
	d.must(c, "iam", "create-user", "--user-name", "bob")
	d.must(c, "iam", "put-user-policy", "--user-name", "alice", "--policy-name", "Guide", "--policy-document",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:StartSession","Resource":["`+
			d.arnPrefix()+`managed-instance/`+node+`","`+d.arnPrefix()+`document/SSM-SessionManagerRunShell"]}}`)
	out := d.said(t, "policy", "who", "--node", node)
	for _, line := range []string{
		`user/alice +allowed +managed-instance/` + node + ` +user_alice_Guide:1:\d+`,
		`user/alice +allowed +document/SSM-SessionManagerRunShell +user_alice_Guide:1:\d+`,
		`user/bob +implicitDeny +managed-instance/` + node + ` +no statement matches`,
		`user/admin +allowed +managed-instance/` + node + ` +AdministratorAccess:\d+:\d+`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(out) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
	out = d.said(t, "policy", "who", "--node", "mi-11111111111111111")
	if !regexp.MustCompile(`(?m)^user/alice +implicitDeny +managed-instance/mi-1+`).MatchString(out) {
		t.Errorf("of another node:\n%s", out)
	}
}
