package iam_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// awsCLI is Debian's, version 2 (package awscli).
const awsCLI = "/usr/bin/aws"

// aws runs one command of the stock CLI as a user. It gives what came on standard output,
// and on standard error if the command failed.
func (w *world) aws(user string, args ...string) (string, int) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), awsCLI, append([]string{"--endpoint-url", w.http.URL, "--output", "json", "iam"}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.t.TempDir(),
		"AWS_ACCESS_KEY_ID=" + w.secret[user].id, "AWS_SECRET_ACCESS_KEY=" + w.secret[user].secret,
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "LANG=C.UTF-8",
	}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strings.TrimSpace(string(exit.Stderr)), exit.ExitCode()
	}
	must(w.t, err)
	return string(out), 0
}

// The stock CLI speaks to each operation on people and understands each answer.
func TestStockCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the CLI some forty times")
	}
	if out, err := exec.CommandContext(t.Context(), awsCLI, "--version").Output(); err != nil || !strings.HasPrefix(string(out), "aws-cli/2.") {
		t.Skip("the aws CLI version 2 is not installed (Debian package awscli)")
	}
	t.Parallel() // it waits for the CLI most of the time
	w := newWorld(t)
	ids := regexp.MustCompile(`\b(A[A-Z]{3})[A-Z2-7]{16,17}\b`)
	// says runs a command and compares its answer, without white space and unique ids.
	says := func(want string, args ...string) {
		t.Helper()
		out, code := w.aws("admin", args...)
		got := ids.ReplaceAllString(out, "$1")
		if code == 0 && got != "" {
			var value any
			if err := json.Unmarshal([]byte(got), &value); err != nil {
				t.Errorf("aws iam %s: %v in %s", strings.Join(args, " "), err, out)
				return
			}
			text, err := json.Marshal(value) // sorts the members
			must(t, err)
			got = string(text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("aws iam %s (-want +got):\n%s", strings.Join(args, " "), diff)
		}
	}
	const (
		created = `"CreateDate":"2026-01-31T08:09:10+00:00"`
		arn     = `"arn:aws:iam::123456789012:`
		alice   = `{"Arn":` + arn + `user/eng/alice",` + created + `,"Path":"/eng/","UserId":"AIDA","UserName":"alice"}`
		group   = `{"Arn":` + arn + `group/eng/dev",` + created + `,"GroupId":"AGPA","GroupName":"dev","Path":"/eng/"}`
		phone   = `arn:aws:iam::123456789012:mfa/phone`
	)
	says(`{"User":`+strings.Replace(alice, `"UserId"`, `"Tags":[{"Key":"team","Value":"db"}],"UserId"`, 1)+`}`,
		"create-user", "--user-name", "alice", "--path", "/eng/", "--tags", "Key=team,Value=db")
	says("", "tag-user", "--user-name", "alice", "--tags", "Key=env,Value=")
	says(`{"Tags":[{"Key":"env","Value":""},{"Key":"team","Value":"db"}]}`, "list-user-tags", "--user-name", "alice")
	says("", "untag-user", "--user-name", "alice", "--tag-keys", "env", "team")
	says(`{"User":`+alice+`}`, "get-user", "--user-name", "alice")
	says(`{"Users":[`+alice+`]}`, "list-users", "--path-prefix", "/eng/")
	says("An error occurred (EntityAlreadyExists) when calling the CreateUser operation: User with name alice already exists.",
		"create-user", "--user-name", "alice")
	// The CLI follows markers by itself.
	out, code := w.aws("admin", "list-users", "--page-size", "1", "--query", "Users[].UserName", "--output", "text")
	if got := strings.Fields(out); code != 0 || strings.Join(got, " ") != "admin alice nobody" {
		t.Errorf("list-users in pages gives %s", out)
	}

	says(`{"Group":`+group+`}`, "create-group", "--group-name", "dev", "--path", "/eng/")
	says("", "add-user-to-group", "--group-name", "dev", "--user-name", "alice")
	says(`{"Group":`+group+`,"Users":[`+alice+`]}`, "get-group", "--group-name", "dev")
	says(`{"Groups":[`+group+`]}`, "list-groups")
	says(`{"Groups":[`+group+`]}`, "list-groups-for-user", "--user-name", "alice")
	says("", "update-group", "--group-name", "dev", "--new-group-name", "ops")
	says("", "remove-user-from-group", "--group-name", "ops", "--user-name", "alice")
	says("", "delete-group", "--group-name", "ops")

	out, code = w.aws("admin", "create-access-key", "--user-name", "alice")
	var made struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	if code != 0 || json.Unmarshal([]byte(out), &made) != nil {
		t.Fatalf("create-access-key: %s", out)
	}
	key := made.AccessKey.AccessKeyId
	w.secret["alice"] = credential{key, made.AccessKey.SecretAccessKey}
	if out, code := w.aws("alice", "get-user"); code != 254 || !strings.Contains(out, "(AccessDenied)") {
		t.Errorf("get-user with the new key: %d %s", code, out)
	}
	says(`{"AccessKeyMetadata":[{"AccessKeyId":"AKIA",`+created+`,"Status":"Active","UserName":"alice"}]}`, "list-access-keys", "--user-name", "alice")
	out, code = w.aws("admin", "get-access-key-last-used", "--access-key-id", key, "--query", "UserName", "--output", "text")
	if code != 0 || strings.TrimSpace(out) != "alice" {
		t.Errorf("get-access-key-last-used: %d %s", code, out)
	}
	says("", "update-access-key", "--user-name", "alice", "--access-key-id", key, "--status", "Inactive")
	says("", "delete-access-key", "--user-name", "alice", "--access-key-id", key)

	profile := `{"LoginProfile":{` + created + `,"PasswordResetRequired":true,"UserName":"alice"}}`
	says(profile, "create-login-profile", "--user-name", "alice", "--password", "first of all", "--password-reset-required")
	says(profile, "get-login-profile", "--user-name", "alice")
	says("", "update-login-profile", "--user-name", "alice", "--password", "second to none")
	says("", "delete-login-profile", "--user-name", "alice")
	says("An error occurred (NoSuchEntity) when calling the ChangePassword operation: Login Profile for User admin cannot be found.",
		"change-password", "--old-password", "first of all", "--new-password", "second to none")

	file := filepath.Join(t.TempDir(), "seed")
	says(`{"VirtualMFADevice":{"SerialNumber":"`+phone+`"}}`,
		"create-virtual-mfa-device", "--virtual-mfa-device-name", "phone", "--outfile", file, "--bootstrap-method", "Base32StringSeed")
	seed, err := os.ReadFile(file)
	must(t, err)
	if decoded, err := base64.StdEncoding.DecodeString(string(seed)); err == nil && len(decoded) == 32 {
		seed = decoded // the CLI leaves the file's encoding to the service
	}
	two := codes(t, string(seed), start.Add(-30e9), start)
	says("", "enable-mfa-device", "--user-name", "alice", "--serial-number", phone, "--authentication-code1", two[1], "--authentication-code2", two[3])
	says("An error occurred (InvalidAuthenticationCode) when calling the ResyncMFADevice operation: Authentication code for device is not valid.",
		"resync-mfa-device", "--user-name", "alice", "--serial-number", phone, "--authentication-code1", two[1], "--authentication-code2", two[3])
	says(`{"MFADevices":[{"EnableDate":"2026-01-31T08:09:10+00:00","SerialNumber":"`+phone+`","UserName":"alice"}]}`, "list-mfa-devices", "--user-name", "alice")
	says(`{"VirtualMFADevices":[{"EnableDate":"2026-01-31T08:09:10+00:00","SerialNumber":"`+phone+`","User":`+alice+`}]}`, "list-virtual-mfa-devices")
	says("", "deactivate-mfa-device", "--user-name", "alice", "--serial-number", phone)
	says("", "delete-virtual-mfa-device", "--serial-number", phone)

	says(`{"SSHPublicKeys":[]}`, "list-ssh-public-keys", "--user-name", "alice")
	says(`{"Certificates":[]}`, "list-signing-certificates", "--user-name", "alice")
	says(`{"ServiceSpecificCredentials":[]}`, "list-service-specific-credentials", "--user-name", "alice")
	says(`{"AccountAliases":[]}`, "list-account-aliases")
	says("An error occurred (NoSuchEntity) when calling the GetAccountPasswordPolicy operation: The Password Policy with domain name 123456789012 cannot be found.",
		"get-account-password-policy")
	says("", "update-user", "--user-name", "alice", "--new-user-name", "alicia")
	says("", "delete-user", "--user-name", "alicia")
}
