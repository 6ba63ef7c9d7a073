package s3

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clis finds the aws CLIs of this machine, one of each major version: their ways to send
// a body differ.
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

// TestCLI does with the stock aws CLI what somebody does with session logs.
func TestCLI(t *testing.T) {
	for version, path := range clis(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cliStory(t, path)
		})
	}
}

func cliStory(t *testing.T, path string) {
	w := newWorld(t)
	dir, ca := t.TempDir(), w.caFile()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", w.http.URL}, args...)...)
		cmd.Dir = dir
		cred := credentials("alice")
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "AWS_PAGER=", "AWS_REGION=" + arns.Region, "AWS_DEFAULT_REGION=" + arns.Region,
			"AWS_EC2_METADATA_DISABLED=true", "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"), "LC_ALL=C.UTF-8", "AWS_CA_BUNDLE=" + ca,
			"AWS_ACCESS_KEY_ID=" + cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + cred.SecretAccessKey}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("s3", "mb", "s3://ssm-session-manager-bucket")
	small, large := []byte("Script started\n日本\n"), random(9<<20) // above 8 MiB it comes in parts
	must(t, os.WriteFile(filepath.Join(dir, "small.log"), small, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "large.log"), large, 0o600))
	run("s3", "cp", "--recursive", ".", "s3://ssm-session-manager-bucket/Session Manager/", "--exclude", "*", "--include", "*.log")
	if got := run("s3", "ls", "s3://ssm-session-manager-bucket", "--recursive"); !strings.Contains(got, "9437184 Session Manager/large.log") {
		t.Errorf("ls: %s", got)
	}
	run("s3", "cp", "--recursive", "s3://ssm-session-manager-bucket/Session Manager", "back")
	for name, want := range map[string][]byte{"small.log": small, "large.log": large} {
		if got, err := os.ReadFile(filepath.Join(dir, "back", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s came back with %d bytes, %v", name, len(got), err)
		}
	}
	url := strings.TrimSpace(run("s3", "presign", "s3://ssm-session-manager-bucket/Session Manager/small.log"))
	answer, err := w.http.Client().Get(url)
	must(t, err)
	defer answer.Body.Close()
	var got bytes.Buffer
	_, err = got.ReadFrom(answer.Body)
	if must(t, err); got.String() != string(small) {
		t.Errorf("presigned: %d %s", answer.StatusCode, &got)
	}
	run("s3", "rb", "--force", "s3://ssm-session-manager-bucket")
}
