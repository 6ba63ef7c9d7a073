package iam_test

import (
	"strings"
	"testing"
	"time"

	"sekisho/internal/auth"
)

func profileXML(user, created, reset string) string {
	return "200 <LoginProfile><UserName>" + user + "</UserName><CreateDate>" + created + "</CreateDate><PasswordResetRequired>" + reset +
		"</PasswordResetRequired></LoginProfile>"
}

func (w *world) signsIn(user, password string) bool {
	w.t.Helper()
	hash, err := w.store.PasswordHash(w.t.Context(), user)
	must(w.t, err)
	return auth.CheckPassword(hash, password)
}

func TestLoginProfileLivesAndDies(t *testing.T) {
	w := newWorld(t)
	none := "404 NoSuchEntity: Login Profile for User nobody cannot be found."
	w.tell([]step{
		{"admin", form("GetLoginProfile", "UserName", "nobody"), none},
		{"admin", form("UpdateLoginProfile", "UserName", "nobody", "Password", "long enough"), none},
		{"admin", form("DeleteLoginProfile", "UserName", "nobody"), none},
		{"admin", form("GetLoginProfile", "UserName", "ghost"), "404 NoSuchEntity: The user with name ghost cannot be found."},
		{"admin", form("CreateLoginProfile", "UserName", "ghost", "Password", "long enough"), "404 NoSuchEntity: The user with name ghost cannot be found."},
		{"admin", form("CreateLoginProfile", "UserName", "nobody", "Password", "short"), "400 PasswordPolicyViolation: Password should have a minimum length of 8"},
		{"admin", form("CreateLoginProfile", "UserName", "nobody", "Password", strings.Repeat("x", 129)),
			"400 PasswordPolicyViolation: Password should have a maximum length of 128"},
		{"admin", form("GetLoginProfile", "UserName", "nobody"), none},
		{"admin", form("CreateLoginProfile", "UserName", "nobody", "Password", "first of all", "PasswordResetRequired", "true"),
			profileXML("nobody", "2026-01-31T08:09:10Z", "true")},
		{"admin", form("CreateLoginProfile", "UserName", "nobody", "Password", "first of all"),
			"409 EntityAlreadyExists: Login Profile for user nobody already exists."},
	})
	if !w.signsIn("nobody", "first of all") {
		t.Error("the first password is not good")
	}
	w.ahead.Store(int64(time.Hour))
	w.tell([]step{
		{"admin", form("UpdateLoginProfile", "UserName", "nobody", "PasswordResetRequired", "false"), "200"},
		{"admin", form("GetLoginProfile", "UserName", "nobody"), profileXML("nobody", "2026-01-31T08:09:10Z", "false")},
	})
	if !w.signsIn("nobody", "first of all") {
		t.Error("the first password is not good any more, though nobody changed it")
	}
	w.tell([]step{
		{"admin", form("UpdateLoginProfile", "UserName", "nobody", "Password", "second to none"), "200"},
		{"admin", form("UpdateLoginProfile", "UserName", "nobody", "Password", ""), "400 PasswordPolicyViolation: Password should have a minimum length of 8"},
		{"admin", form("DeleteAccessKey", "UserName", "nobody", "AccessKeyId", w.secret["nobody"].id), "200"},
		{"admin", form("DeleteUser", "UserName", "nobody"), "409 DeleteConflict: Cannot delete entity, must delete login profile first."},
	})
	if w.signsIn("nobody", "first of all") || !w.signsIn("nobody", "second to none") {
		t.Error("the password did not change")
	}
	w.tell([]step{
		{"admin", form("DeleteLoginProfile", "UserName", "nobody"), "200"},
		{"admin", form("DeleteLoginProfile", "UserName", "nobody"), none},
		{"admin", form("DeleteUser", "UserName", "nobody"), "200"},
	})
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	change := func(old, next string) string { return form("ChangePassword", "OldPassword", old, "NewPassword", next) }
	w.tell([]step{
		{"nobody", change("first of all", "second to none"), denied("nobody", "iam:ChangePassword", "arn:aws:iam::123456789012:user/nobody")},
	})
	w.allow("nobody", "own", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ChangePassword","Resource":"arn:aws:iam::*:user/${aws:username}"}}`)
	wrong := "403 AccessDenied: The old password was incorrect."
	w.tell([]step{
		{"nobody", change("first of all", "second to none"), "404 NoSuchEntity: Login Profile for User nobody cannot be found."},
		{"admin", form("CreateLoginProfile", "UserName", "nobody", "Password", "first of all", "PasswordResetRequired", "true"),
			profileXML("nobody", "2026-01-31T08:09:10Z", "true")},
		{"nobody", change("not this one", "second to none"), wrong},
		{"nobody", change("first of all", "first of all"), "400 PasswordPolicyViolation: New password should differ from the old one"},
		{"nobody", change("first of all", "second"), "400 PasswordPolicyViolation: Password should have a minimum length of 8"},
		{"nobody", change("first of all", "second to none"), "200"},
		{"admin", form("GetLoginProfile", "UserName", "nobody"), profileXML("nobody", "2026-01-31T08:09:10Z", "false")},
		{"nobody", change("first of all", "third time"), wrong},
		{"nobody", change("1", "third time"), wrong},
		{"nobody", change("2", "third time"), wrong},
		{"nobody", change("3", "third time"), wrong},
		{"nobody", change("4", "third time"), wrong},
		{"nobody", change("second to none", "third time"), "400 Throttling: Rate exceeded"},
	})
	w.ahead.Store(int64(time.Minute))
	w.tell([]step{{"nobody", change("second to none", "third time"), "200"}})
	if !w.signsIn("nobody", "third time") {
		t.Error("the password did not change")
	}
}

// What is wrong with a secret is told without it, and none is ever logged.
func TestSecretsAreNotRepeated(t *testing.T) {
	w := newWorld(t)
	must(t, okay(w.call("admin", form("CreateLoginProfile", "UserName", "nobody", "Password", "Hunter2-Hunter2"))))
	made := w.call("admin", form("CreateVirtualMFADevice", "VirtualMFADeviceName", "phone"))
	must(t, okay(made))
	for _, f := range []string{
		form("UpdateLoginProfile", "UserName", "nobody", "Password", "Hunter2"),
		form("UpdateLoginProfile", "UserName", "nobody", "Password", "Hunter2\x00Hunter2"),
		form("UpdateLoginProfile", "UserName", "nobody", "Password", "Hunter2"+strings.Repeat("x", 200)),
		form("ChangePassword", "OldPassword", "Hunter2-old", "NewPassword", "Hunter2\xff"),
		form("EnableMFADevice", "UserName", "nobody", "SerialNumber", made.get("SerialNumber"),
			"AuthenticationCode1", "Hunter", "AuthenticationCode2", "Hunter2"),
	} {
		a := w.call("admin", f)
		if a.status == 200 || strings.Contains(a.body, "Hunter") {
			t.Errorf("%s is answered with %s", f, a)
		}
	}
	w.tell([]step{{"admin", form("UpdateLoginProfile", "UserName", "nobody", "Password", "a\x00b"),
		"400 ValidationError: 1 validation error detected: Value at 'password' failed to satisfy constraint: Member must be text without the character U+0000"}})
	for _, secret := range []string{"Hunter", made.get("Base32StringSeed")} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, w.log.String())
		}
	}
}
