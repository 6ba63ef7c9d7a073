package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// devRun is dev running in this process, without nodes.
type devRun struct {
	lines []string // of standard output, up to "ready"
	stop  func() error
}

func runDevTest(t *testing.T, options devOptions) devRun {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := dev(ctx, options, t.TempDir(), in, t.Output())
		in.CloseWithError(io.EOF)
		done <- err
	}()
	r := devRun{stop: func() error {
		cancel(stopSignal{syscall.SIGTERM})
		go io.Copy(io.Discard, out)
		return <-done
	}}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		r.lines = append(r.lines, lines.Text())
		if lines.Text() == "ready" {
			return r
		}
	}
	t.Fatalf("dev ended before it was ready: %v", r.stop())
	return r
}

func text(s string) *string { return &s }

func TestSecondDevKeepsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	options := devOptions{dir: dir, listen: text("127.0.0.1:0"), region: text("tokyo-1")}
	read := func() map[string]string {
		kept := make(map[string]string)
		for _, name := range []string{adminFile, masterKeyFile, caCertFile, caKeyFile, serverCertFile, configName} {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			kept[name] = string(content)
		}
		return kept
	}
	first := runDevTest(t, options)
	kept := read()
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := runDevTest(t, devOptions{dir: dir}) // the flags of the first start are remembered
	if diff := cmp.Diff(kept, read()); diff != "" {
		t.Errorf("changed (-first +second):\n%s", diff)
	}
	var admin administrator
	if err := json.Unmarshal([]byte(kept[adminFile]), &admin); err != nil {
		t.Fatal(err)
	}
	environment := source(t, "sh", filepath.Join(dir, "env.sh"), "PATH=/usr/bin:/bin")
	if environment["AWS_ACCESS_KEY_ID"] != admin.AccessKeyID || environment["AWS_DEFAULT_REGION"] != "tokyo-1" {
		t.Errorf("env.sh gives %v", environment)
	}
	for _, run := range []devRun{first, second} {
		if !slices.ContainsFunc(run.lines, func(line string) bool { return strings.Contains(line, admin.Password) }) {
			t.Errorf("the password is not shown in:\n%s", strings.Join(run.lines, "\n"))
		}
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
}

func TestDevRefusals(t *testing.T) {
	made := t.TempDir()
	if code, _, errs := runCommand(t, "init", "--dir", made); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	running := t.TempDir()
	r := runDevTest(t, devOptions{dir: running, listen: text("127.0.0.1:0")})
	defer r.stop()
	for _, test := range []struct {
		name    string
		options devOptions
		want    string
	}{
		{"made by init", devOptions{dir: made}, "not a dev one"},
		{"already running", devOptions{dir: running}, "another sekishod dev runs on"},
		{"no agent", devOptions{dir: t.TempDir(), nodes: 1}, "sekisho-agent is not beside sekishod"},
		{"bad region", devOptions{dir: t.TempDir(), region: text("X")}, "region"},
	} {
		err := dev(t.Context(), test.options, t.TempDir(), io.Discard, t.Output())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestDevOfAnotherRegionIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := runDevTest(t, devOptions{dir: dir, listen: text("127.0.0.1:0")}).stop(); err != nil {
		t.Fatal(err)
	}
	err := dev(t.Context(), devOptions{dir: dir, region: text("tokyo-1")}, t.TempDir(), io.Discard, t.Output())
	if err == nil || !strings.Contains(err.Error(), `the database was made for "local-1"`) {
		t.Errorf("got %v", err)
	}
}

func TestServiceDomainOfALaterStartIsCovered(t *testing.T) {
	dir := t.TempDir()
	if err := runDevTest(t, devOptions{dir: dir, listen: text("127.0.0.1:0")}).stop(); err != nil {
		t.Fatal(err)
	}
	r := runDevTest(t, devOptions{dir: dir, serviceDomain: text("ssm.example.net")})
	defer r.stop()
	certs, err := readCertificates(filepath.Join(dir, serverCertFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := certs[0].VerifyHostname("ssm.local-1.ssm.example.net"); err != nil {
		t.Error(err)
	}
}

// writeAgent writes a program that stands for the agent and tells what happens to it
// through a fifo, a line each time.
func writeAgent(t *testing.T, script string) (n *localNode, lines *bufio.Scanner) {
	t.Helper()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skipf("no fifo: %v", err)
	}
	program := filepath.Join(dir, agentProgram)
	head := fmt.Sprintf("#!/bin/sh\nexec 3>%s\n", shellQuote(fifo))
	if err := os.WriteFile(program, []byte(head+script), 0o755); err != nil {
		t.Fatal(err)
	}
	// Read and write: opening does not wait, and the end of one agent is no end here.
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &localNode{program: program, dir: dir, log: filepath.Join(dir, "log"), logger: testLogger(t)}, bufio.NewScanner(f)
}

func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("the agent tells nothing: %v", lines.Err())
	}
	return lines.Text()
}

func TestAgentThatDiesIsStartedAgain(t *testing.T) {
	n, lines := writeAgent(t, "echo \"$*\" >&3\necho to the log\nexit 3\n")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.run(ctx); close(done) }()
	want := "run --dir " + n.dir + " --parent-pipe --session-user "
	for range 2 {
		if got := next(t, lines); got != want {
			t.Errorf("called as %q, want %q", got, want)
		}
	}
	cancel()
	<-done
	log, err := os.ReadFile(n.log)
	if err != nil || !strings.Contains(string(log), "to the log\n") {
		t.Errorf("log is %q, %v", log, err)
	}
}

func TestAgentIsTerminatedAtTheEnd(t *testing.T) {
	n, lines := writeAgent(t, "trap 'echo terminated >&3; exit 0' TERM\necho started >&3\nwhile :; do read -r line || exit 1; done\n")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.run(ctx); close(done) }()
	if got := next(t, lines); got != "started" {
		t.Fatalf("got %q", got)
	}
	cancel()
	if got := next(t, lines); got != "terminated" {
		t.Errorf("got %q", got)
	}
	<-done
}

func TestAgentSeesNoSecretsOfOurs(t *testing.T) {
	got := agentEnvironment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=s", "SEKISHO_ADMIN_PASSWORD=p", "HOME=/root"})
	if diff := cmp.Diff([]string{"PATH=/bin", "HOME=/root"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyAnInterruptEndsSessions(t *testing.T) {
	for cause, want := range map[error]bool{
		stopSignal{os.Interrupt}:    true,
		stopSignal{syscall.SIGTERM}: false,
		errors.New("another"):       false,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if got := interrupted(ctx); got != want {
			t.Errorf("%v: got %v", cause, got)
		}
	}
	if interrupted(t.Context()) {
		t.Error("a running context is interrupted")
	}
}

func TestRegistrationFollowsTheServer(t *testing.T) {
	dir := t.TempDir()
	s := &server{url: "https://127.0.0.1:2", cfg: config{DataDir: dir}}
	if err := os.WriteFile(filepath.Join(dir, caCertFile), []byte("NEW"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "registration.json")
	old := `{"Endpoint":"https://127.0.0.1:1","NodeID":"mi-1","CA":"OLD","Other":{"a":[1]},"At":"2026-01-01T00:00:00Z"}`
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.redirect(dir); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Endpoint": "https://127.0.0.1:2", "NodeID": "mi-1", "CA": "NEW", "Other": map[string]any{"a": []any{1.0}}, "At": "2026-01-01T00:00:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
