package iam_test

import (
	"strings"
	"testing"

	"sekisho/internal/auth"
	"sekisho/internal/store"
)

// Whoever is made under the name of somebody who was trusted is a stranger until the
// trust policy is saved again.
func TestARecreatedPrincipalIsNotTrusted(t *testing.T) {
	w := newWorld(t)
	trusting := func(kind string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:` + kind + `"},"Action":"sts:AssumeRole"}]}`
	}
	created := func(form string, id string) string {
		a := w.call("admin", form)
		if a.status != 200 {
			t.Fatal(a)
		}
		return a.get(id)
	}
	first := created(form("CreateUser", "UserName", "carol"), "UserId")
	created(form("CreateRole", "RoleName", "ops", "AssumeRolePolicyDocument", trusting("user/carol")), "RoleId")
	firstRole := created(form("CreateRole", "RoleName", "next", "AssumeRolePolicyDocument", trusting("user/carol")), "RoleId")
	created(form("CreateRole", "RoleName", "last", "AssumeRolePolicyDocument", trusting("role/next")), "RoleId")
	created(form("CreateRole", "RoleName", "session", "AssumeRolePolicyDocument",
		strings.ReplaceAll(trusting("assumed-role/next/work"), "aws:iam", "aws:sts")), "RoleId")

	user := func(id string) auth.Principal {
		return w.auth.UserPrincipal(store.User{ID: id, Name: "carol", Path: "/"})
	}
	session := func(id string) auth.Principal {
		return auth.Principal{Kind: auth.RoleSession, Account: arns.Account, ARN: "arn:aws:sts::123456789012:assumed-role/next/work",
			UserID: id + ":work", RoleName: "next", RoleID: id, SessionName: "work"}
	}
	may := func(p auth.Principal, name string, want bool) {
		t.Helper()
		role, err := w.store.Role(t.Context(), name)
		must(t, err)
		d, err := w.auth.MayAssume(auth.WithPrincipal(t.Context(), p), role, "sts:AssumeRole", nil)
		must(t, err)
		if d.Allowed != want {
			t.Errorf("%s may assume %s: %t", p.UserID, name, d.Allowed)
		}
	}
	may(user(first), "ops", true)
	may(session(firstRole), "last", true)
	may(session(firstRole), "session", true)

	w.call("admin", form("DeleteUser", "UserName", "carol"))
	second := created(form("CreateUser", "UserName", "carol"), "UserId")
	may(user(first), "ops", false)
	may(user(second), "ops", false)
	w.call("admin", form("DeleteRole", "RoleName", "next"))
	secondRole := created(form("CreateRole", "RoleName", "next", "AssumeRolePolicyDocument", trusting("user/carol")), "RoleId")
	may(session(secondRole), "last", false)
	may(session(secondRole), "session", false)
	may(user(second), "next", true)

	w.tell([]step{{"admin", form("UpdateAssumeRolePolicy", "RoleName", "ops", "PolicyDocument", trusting("user/carol")), "200"}})
	may(user(second), "ops", true)
}
