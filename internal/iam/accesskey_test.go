package iam_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestAccessKeyLivesAndDies(t *testing.T) {
	w := newWorld(t)
	must(t, okay(w.call("admin", form("CreateUser", "UserName", "alice"))))
	w.allow("nobody", "none", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}}`)

	made := w.call("admin", form("CreateAccessKey", "UserName", "alice"))
	key, secret := made.get("AccessKeyId"), made.get("SecretAccessKey")
	secret = strings.ReplaceAll(secret, "&#43;", "+")
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(key) || !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(secret) {
		t.Fatalf("made the key %s with %d characters of secret: %s", key, len(secret), made)
	}
	if want := "<AccessKey><UserName>alice</UserName><AccessKeyId>" + key + "</AccessKeyId><Status>Active</Status>"; !strings.Contains(made.body, want) {
		t.Errorf("answer %s\nwant %s", made.body, want)
	}
	w.secret["alice"] = credential{key, secret}

	metadata := "<member><UserName>alice</UserName><AccessKeyId>AKIA</AccessKeyId><Status>Active</Status>" + started + "</member>"
	list := func(members string) string {
		return "200 <AccessKeyMetadata>" + members + "</AccessKeyMetadata><IsTruncated>false</IsTruncated>"
	}
	// Without permission the key proves who calls and nothing more.
	w.tell([]step{
		{"alice", form("GetUser"), denied("alice", "iam:GetUser", "arn:aws:iam::123456789012:user/alice")},
		{"alice", form("CreateAccessKey"), denied("alice", "iam:CreateAccessKey", "arn:aws:iam::123456789012:user/alice")},
		{"admin", form("ListAccessKeys", "UserName", "alice"), list(metadata)},
	})
	w.allow("alice", "own", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"arn:aws:iam::*:user/${aws:username}"}}`)
	second := w.call("alice", form("CreateAccessKey"))
	must(t, okay(second))
	w.tell([]step{
		{"alice", form("ListAccessKeys"), list(metadata + metadata)},
		{"alice", form("CreateAccessKey"), "409 LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2"},
		{"alice", form("CreateAccessKey", "UserName", "bob"), denied("alice", "iam:CreateAccessKey", "arn:aws:iam::123456789012:user/bob")},
		{"alice", form("ListAccessKeys", "UserName", "bob"), denied("alice", "iam:ListAccessKeys", "arn:aws:iam::123456789012:user/bob")},
		{"admin", form("ListAccessKeys", "UserName", "bob"), "404 NoSuchEntity: The user with name bob cannot be found."},
		// Another's key is not reached through one's own name.
		{"alice", form("DeleteAccessKey", "AccessKeyId", w.secret["admin"].id), "404 NoSuchEntity: The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found."},
		{"alice", form("UpdateAccessKey", "AccessKeyId", w.secret["admin"].id, "Status", "Inactive"),
			"404 NoSuchEntity: The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found."},
		{"admin", form("GetUser"), "200 <User>" + userXML("/", "admin", "") + "</User>"},
		// A key that is switched off proves nobody, at once.
		{"admin", form("UpdateAccessKey", "UserName", "alice", "AccessKeyId", key, "Status", "Expired"),
			"400 InvalidInput: The status of an access key can be set to Active or Inactive only."},
		{"admin", form("UpdateAccessKey", "UserName", "alice", "AccessKeyId", key, "Status", "Off"),
			"400 ValidationError: 1 validation error detected: Value 'Off' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive, Expired]"},
		{"admin", form("UpdateAccessKey", "UserName", "alice", "AccessKeyId", key, "Status", "Inactive"), "200"},
		{"alice", form("ListAccessKeys"), "403 InvalidClientTokenId: The security token included in the request is invalid."},
		{"admin", form("UpdateAccessKey", "UserName", "alice", "AccessKeyId", key, "Status", "Active"), "200"},
		{"alice", form("ListAccessKeys"), list(metadata + metadata)},
		{"admin", form("DeleteUser", "UserName", "alice"), "409 DeleteConflict: Cannot delete entity, must delete policies first."},
		{"alice", form("DeleteAccessKey", "AccessKeyId", key), "200"},
		{"alice", form("ListAccessKeys"), "403 InvalidClientTokenId: The security token included in the request is invalid."},
		{"admin", form("DeleteAccessKey", "UserName", "alice", "AccessKeyId", key), "404 NoSuchEntity: The Access Key with id " + key + " cannot be found."},
	})
	if strings.Contains(w.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

func TestAccessKeyLastUsed(t *testing.T) {
	w := newWorld(t)
	id := w.secret["nobody"].id
	never := "200 <UserName>nobody</UserName><AccessKeyLastUsed><ServiceName>N/A</ServiceName><Region>N/A</Region></AccessKeyLastUsed>"
	w.tell([]step{
		{"admin", form("GetAccessKeyLastUsed", "AccessKeyId", id), never},
		{"admin", form("GetAccessKeyLastUsed", "AccessKeyId", "AKIAZZZZZZZZZZZZZZZZ"), "404 NoSuchEntity: The Access Key with id AKIAZZZZZZZZZZZZZZZZ cannot be found."},
	})
	must(t, w.store.TouchAccessKey(t.Context(), id, start.Add(time.Hour), "ssm", "local-1"))
	// Whether a key exists and whose it is, only who may ask learns.
	w.tell([]step{
		{"admin", form("GetAccessKeyLastUsed", "AccessKeyId", id), "200 <UserName>nobody</UserName><AccessKeyLastUsed>" +
			"<LastUsedDate>2026-01-31T09:09:10Z</LastUsedDate><ServiceName>ssm</ServiceName><Region>local-1</Region></AccessKeyLastUsed>"},
		{"nobody", form("GetAccessKeyLastUsed", "AccessKeyId", w.secret["admin"].id), denied("nobody", "iam:GetAccessKeyLastUsed", "*")},
		{"nobody", form("GetAccessKeyLastUsed", "AccessKeyId", "AKIAZZZZZZZZZZZZZZZZ"), denied("nobody", "iam:GetAccessKeyLastUsed", "*")},
	})
}
