package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeTestEnvironment writes env.sh below a directory whose name needs quoting.
func writeTestEnvironment(t *testing.T, change func(*devEnvironment)) (devEnvironment, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `it's a "$dir" \`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := devEnvironment{
		URL: "https://127.0.0.1:8443", Region: "local-1", NodeID: "mi-0123456789abcdef0",
		Admin:    administrator{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "a/b+c'd $e `f`", Password: "p w'd"},
		CABundle: filepath.Join(dir, "ca-bundle.pem"), BinDir: "/opt/our bin", ShimDir: filepath.Join(dir, "shim"),
	}
	if change != nil {
		change(&e)
	}
	script := filepath.Join(dir, "env.sh")
	if err := e.write(script, []byte("OURS\n")); err != nil {
		t.Fatal(err)
	}
	return e, script
}

// source runs a shell that sources env.sh, twice, and gives its environment after.
func source(t *testing.T, shell, script string, environment ...string) map[string]string {
	t.Helper()
	cmd := exec.Command(shell, "-c", `set -eu; . "$1"; . "$1"; exec env -0`, shell, script)
	cmd.Env = environment
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s", shell, err, stderr.String())
	}
	got := make(map[string]string)
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		got[name] = value
	}
	for _, own := range []string{"PWD", "SHLVL", "_", "OLDPWD", "HOME", "LOGNAME"} { // the shell's
		delete(got, own)
	}
	return got
}

func TestEnvScript(t *testing.T) {
	e, script := writeTestEnvironment(t, nil)
	want := map[string]string{
		"AWS_ENDPOINT_URL":                  e.URL,
		"AWS_ACCESS_KEY_ID":                 e.Admin.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":             e.Admin.SecretAccessKey,
		"AWS_DEFAULT_REGION":                e.Region,
		"AWS_REGION":                        e.Region,
		"AWS_CA_BUNDLE":                     e.CABundle,
		"SSL_CERT_FILE":                     e.CABundle,
		"AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
		"SEKISHO_NODE_ID":                   e.NodeID,
		"SEKISHO_CONSOLE_URL":               e.URL + "/",
		"SEKISHO_ADMIN_PASSWORD":            e.Admin.Password,
		"PATH":                              e.BinDir + ":" + e.ShimDir + ":/usr/bin:/bin",
	}
	for _, shell := range []string{"sh", "bash", "dash", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("no %s here", shell)
			}
			got := source(t, shell, script, "PATH=/usr/bin:/bin", "AWS_SESSION_TOKEN=old", "AWS_PROFILE=old", "AWS_ENDPOINT_URL_SSM=old")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if info, err := os.Stat(script); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("env.sh: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestEnvScriptWithoutNodes(t *testing.T) {
	_, script := writeTestEnvironment(t, func(e *devEnvironment) { e.NodeID = "" })
	got := source(t, "sh", script, "PATH=/usr/bin:/bin", "SEKISHO_NODE_ID=mi-of-another-server")
	if id, set := got["SEKISHO_NODE_ID"]; set {
		t.Errorf("SEKISHO_NODE_ID is %q, want none", id)
	}
}

func TestEnvScriptKeepsLocalRequestsFromAProxy(t *testing.T) {
	_, script := writeTestEnvironment(t, nil)
	got := source(t, "sh", script, "PATH=/usr/bin:/bin", "HTTPS_PROXY=http://proxy:3128", "no_proxy=corp.example")
	want := "localhost,127.0.0.1,::1,corp.example"
	if got["no_proxy"] != want || got["NO_PROXY"] != want {
		t.Errorf("no_proxy is %q, NO_PROXY %q, want %q", got["no_proxy"], got["NO_PROXY"], want)
	}
}

// fakeAWS puts a program aws into a new directory that prints its arguments, one in
// brackets each.
func fakeAWS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\nfor a in \"$@\"; do printf '[%s]' \"$a\"; done\n"
	if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOldAWSCommandGetsTheEndpoint(t *testing.T) {
	_, first := writeTestEnvironment(t, nil)
	_, second := writeTestEnvironment(t, func(e *devEnvironment) { e.URL = "https://127.0.0.1:9999" })
	for _, test := range []struct{ name, script, want string }{
		{"as in a shell", `. "$1"; aws ssm 'a b' '*'`, "[--endpoint-url][https://127.0.0.1:8443][ssm][a b][*]"},
		{"from another program", `. "$1"; env aws x`, "[--endpoint-url][https://127.0.0.1:8443][x]"},
		{"two servers in one shell", `. "$1"; . "$2"; . "$1"; aws x`, "[--endpoint-url][https://127.0.0.1:8443][--endpoint-url][https://127.0.0.1:8443][x]"},
		{"no endpoint", `. "$1"; unset AWS_ENDPOINT_URL; aws x`, "[x]"},
	} {
		cmd := exec.Command("sh", "-c", test.script, "sh", first, second)
		cmd.Env = []string{"PATH=" + fakeAWS(t) + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, out, err, test.want)
		}
	}
}

func TestMissingAWSCommandIsExplained(t *testing.T) {
	_, script := writeTestEnvironment(t, nil)
	cmd := exec.Command("/bin/sh", "-c", `. "$1"; aws x`, "sh", script)
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "install the AWS CLI") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{
		"/tmp/dev/env.sh": "/tmp/dev/env.sh", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "~/x": "'~/x'", "日本": "'日本'",
	} {
		if got := shellWord(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
