package logstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cli finds the aws CLI of this machine; one of version 2, which has `aws logs tail`, if
// there is any.
func cli(t *testing.T) (path string, hasTail bool) {
	t.Helper()
	for _, dir := range append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		candidate := filepath.Join(dir, "aws")
		version, err := exec.Command(candidate, "--version").CombinedOutput()
		if err != nil {
			continue
		}
		if path = candidate; !strings.HasPrefix(string(version), "aws-cli/1") {
			return path, true
		}
	}
	if path == "" {
		t.Skip("the aws CLI is not installed (Debian package awscli)")
	}
	return path, false
}

// TestCLI does with the stock aws CLI what somebody does who looks for a session: the
// CLI's own pages, its tail and its text output.
func TestCLI(t *testing.T) {
	path, hasTail := cli(t)
	w := newWorld(t)
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", w.http.URL, "logs"}, args...)...)
		cred := credentials("alice")
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "AWS_PAGER=", "AWS_REGION=" + arns.Region, "AWS_DEFAULT_REGION=" + arns.Region,
			"AWS_EC2_METADATA_DISABLED=true", "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"), "LC_ALL=C.UTF-8",
			"AWS_ACCESS_KEY_ID=" + cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + cred.SecretAccessKey}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws logs %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("create-log-group", "--log-group-name", "LogGroup-SessionManager")
	run("create-log-stream", "--log-group-name", "LogGroup-SessionManager", "--log-stream-name", "bob-1")
	events := filepath.Join(dir, "events")
	must(t, os.WriteFile(events, []byte(`[{"timestamp":`+millisText()+`,"message":"{\"sessionData\":[\"日本\"]}"}]`), 0o600))
	run("put-log-events", "--log-group-name", "LogGroup-SessionManager", "--log-stream-name", "bob-1", "--log-events", "file://"+events)
	w.put("LogGroup-SessionManager", "bob-1", time.Now(), "uninteresting")
	if got := run("get-log-events", "--log-group-name", "LogGroup-SessionManager", "--log-stream-name", "bob-1", "--query", "events[].message", "--output", "text"); !strings.Contains(got, `{"sessionData":["日本"]}`) {
		t.Errorf("get-log-events: %s", got)
	}
	if got := run("filter-log-events", "--log-group-name", "LogGroup-SessionManager", "--filter-pattern", `{ $.sessionData[0] = "日*" }`, "--output", "text"); !strings.Contains(got, "日本") || strings.Contains(got, "uninteresting") {
		t.Errorf("filter-log-events: %s", got)
	}
	if !hasTail {
		return
	}
	if got := run("tail", "LogGroup-SessionManager", "--since", "1h", "--format", "short"); !strings.Contains(got, "日本") || !strings.Contains(got, "uninteresting") {
		t.Errorf("tail: %s", got)
	}
}

func millisText() string { return strconv.FormatInt(time.Now().UnixMilli(), 10) }
