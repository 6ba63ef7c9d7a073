package kms

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clis finds the aws CLIs of this machine, one of each major version.
func clis(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		path := filepath.Join(dir, "aws")
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err != nil {
			continue
		}
		major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "aws-cli/"), ".")
		if found["v"+major] == "" {
			found["v"+major] = path
		}
	}
	if len(found) == 0 {
		t.Skip("the aws CLI is not installed (Debian package awscli)")
	}
	return found
}

// TestCLI does with the stock aws CLI what an administrator and a client do.
func TestCLI(t *testing.T) {
	for version, path := range clis(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cliStory(t, newWorld(t), path)
		})
	}
}

func cliStory(t *testing.T, w *world, path string) {
	dir := t.TempDir()
	try := func(args ...string) (map[string]any, error) {
		// CLIs before 2.13 do not know AWS_ENDPOINT_URL.
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", w.http.URL, "--output", "json", "kms"}, args...)...)
		cmd.Dir = dir
		cred := credentials("alice")
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "AWS_PAGER=", "AWS_REGION=" + arns.Region, "AWS_DEFAULT_REGION=" + arns.Region,
			"AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true", "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"),
			"AWS_ACCESS_KEY_ID=" + cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + cred.SecretAccessKey}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("aws kms %s: %w: %s", strings.Join(args, " "), err, &stderr)
		}
		out := map[string]any{}
		if len(bytes.TrimSpace(text)) > 0 {
			err = json.Unmarshal(text, &out)
		}
		return out, err
	}
	run := func(args ...string) map[string]any {
		t.Helper()
		out, err := try(args...)
		must(t, err)
		return out
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, err := try(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, %v; want %s", args, out, err, want)
		}
	}
	blobFile := func(value any) string {
		t.Helper()
		blob, err := base64.StdEncoding.DecodeString(fmt.Sprint(value))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "blob"), blob, 0o600))
		return "fileb://blob"
	}

	metadata := run("create-key", "--description", "sessions", "--tags", "TagKey=team,TagValue=a")["KeyMetadata"].(map[string]any)
	id, arn := metadata["KeyId"].(string), metadata["Arn"].(string)
	if arn != keyPrefix+id || metadata["KeyState"] != "Enabled" {
		t.Fatalf("made %v", metadata)
	}
	run("create-alias", "--alias-name", "alias/sessions", "--target-key-id", id)
	if list := run("list-aliases")["Aliases"].([]any); len(list) != 1 || list[0].(map[string]any)["TargetKeyId"] != id {
		t.Errorf("aliases %v", list)
	}
	if list := run("list-keys")["Keys"].([]any); len(list) != 1 || list[0].(map[string]any)["KeyArn"] != arn {
		t.Errorf("keys %v", list)
	}
	if got := run("describe-key", "--key-id", "alias/sessions")["KeyMetadata"].(map[string]any); got["Arn"] != arn || got["Description"] != "sessions" {
		t.Errorf("described as %v", got)
	}
	if tags := run("list-resource-tags", "--key-id", id)["Tags"]; fmt.Sprint(tags) != "[map[TagKey:team TagValue:a]]" {
		t.Errorf("tags %v", tags)
	}

	const context = "aws:ssm:SessionId=alice-1,aws:ssm:TargetId=mi-1"
	made := run("generate-data-key", "--key-id", "alias/sessions", "--number-of-bytes", "64", "--encryption-context", context)
	if key, err := base64.StdEncoding.DecodeString(fmt.Sprint(made["Plaintext"])); err != nil || len(key) != 64 || made["KeyId"] != arn {
		t.Errorf("data key of %d bytes, %v, under %v", len(key), err, made["KeyId"])
	}
	file := blobFile(made["CiphertextBlob"])
	if got := run("decrypt", "--ciphertext-blob", file, "--encryption-context", context); got["Plaintext"] != made["Plaintext"] || got["KeyId"] != arn {
		t.Error("it decrypts to another key")
	}
	refused("InvalidCiphertextException", "decrypt", "--ciphertext-blob", file, "--encryption-context", "aws:ssm:SessionId=bob-1,aws:ssm:TargetId=mi-1")
	refused("InvalidCiphertextException", "decrypt", "--ciphertext-blob", file)

	must(t, os.WriteFile(filepath.Join(dir, "text"), []byte("small text"), 0o600))
	small := run("encrypt", "--key-id", id, "--plaintext", "fileb://text")
	file = blobFile(small["CiphertextBlob"])
	do[RotateKeyOnDemandOutput](w, "RotateKeyOnDemand", &KeyInput{KeyID: id}) // Debian's CLI does not know it
	if got := run("decrypt", "--ciphertext-blob", file, "--key-id", "alias/sessions")["Plaintext"]; got != base64.StdEncoding.EncodeToString([]byte("small text")) {
		t.Errorf("decrypts to %v", got)
	}
	moved := run("re-encrypt", "--ciphertext-blob", file, "--destination-key-id", id, "--destination-encryption-context", "a=b")
	run("decrypt", "--ciphertext-blob", blobFile(moved["CiphertextBlob"]), "--encryption-context", "a=b")

	run("enable-key-rotation", "--key-id", id)
	if got := run("get-key-rotation-status", "--key-id", id)["KeyRotationEnabled"]; got != true {
		t.Errorf("rotation enabled: %v", got)
	}
	text := fmt.Sprint(run("get-key-policy", "--key-id", id, "--policy-name", "default")["Policy"])
	run("put-key-policy", "--key-id", id, "--policy-name", "default", "--policy", text)
	refused("MalformedPolicyDocumentException", "put-key-policy", "--key-id", id, "--policy-name", "default", "--policy",
		keyPolicy(statement("Allow", bobARN, "kms:*")))

	run("disable-key", "--key-id", id)
	refused("(DisabledException) when calling the GenerateDataKey operation", // the text follows
		"generate-data-key", "--key-id", "alias/sessions", "--key-spec", "AES_256")
	refused(": "+arn+" is disabled.",
		"generate-data-key", "--key-id", "alias/sessions", "--key-spec", "AES_256")
	run("enable-key", "--key-id", id)
	if got := run("schedule-key-deletion", "--key-id", id, "--pending-window-in-days", "7")["KeyState"]; got != "PendingDeletion" {
		t.Errorf("state %v", got)
	}
	refused("KMSInvalidStateException", "encrypt", "--key-id", id, "--plaintext", "fileb://text")
	run("cancel-key-deletion", "--key-id", id)
	run("delete-alias", "--alias-name", "alias/sessions")
	refused("NotFoundException", "describe-key", "--key-id", "alias/sessions")
	refused("UnsupportedOperationException", "create-key", "--customer-master-key-spec", "RSA_2048", "--key-usage", "ENCRYPT_DECRYPT")
}
