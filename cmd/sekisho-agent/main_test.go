package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekisho/internal/message"
)

// call runs a command line and returns what it printed.
func call(t *testing.T, stdin string, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = command(t.Context(), world{args, strings.NewReader(stdin), &out, &errOut, func(k string) string { return env[k] }})
	return code, out.String(), errOut.String()
}

// registrar is a server that registers every machine, and notes how.
func registrar(t *testing.T) (url, ca string, requests *[]map[string]string) {
	requests = new([]map[string]string)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/agents/key.pub" { // it has no programs
			http.NotFound(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		in := map[string]string{}
		if err := json.Unmarshal(body, &in); err != nil || r.Header.Get("X-Amz-Target") != "AmazonSSM.RegisterManagedInstance" {
			t.Errorf("unexpected request %s: %v", body, err)
		}
		*requests = append(*requests, in)
		io.WriteString(w, `{"InstanceId":"mi-0123456789abcdef0"}`)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return srv.URL, ca, requests
}

const (
	code = "abcdefghijkmnpqrstuv"
	id   = "01234567-89ab-cdef-0123-456789abcdef"
)

func TestRegisterTakesEveryForm(t *testing.T) {
	url, ca, requests := registrar(t)
	codeFile := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(codeFile, []byte(code+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SEKISHO_ENDPOINT": url, "SEKISHO_CA": ca, "AWS_DEFAULT_REGION": "local-1"}
	secret := map[string]string{"SEKISHO_ACTIVATION_CODE": code}
	for k, v := range env {
		secret[k] = v
	}
	for name, c := range map[string]struct {
		env   map[string]string
		stdin string
		args  []string
	}{
		"flags":       {nil, "", []string{"register", "--endpoint", url, "--ca", ca, "--region", "local-1", "--code", code, "--id", id}},
		"stock":       {env, "", []string{"-register", "-code", code, "-id", id, "-region", "local-1", "-y"}},
		"environment": {secret, "", []string{"register", "--id", id}},
		"code file":   {env, "", []string{"register", "--id", id, "--code-file", codeFile}},
		"code stdin":  {env, code + "\n", []string{"register", "--id", id, "--code-file", "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			*requests = nil
			dir := filepath.Join(t.TempDir(), "d")
			status, stdout, stderr := call(t, c.stdin, c.env, append(c.args, "-dir", dir)...)
			if status != exitOK || !strings.Contains(stdout, "Managed instance-id: mi-0123456789abcdef0\n") || stderr != "" {
				t.Fatalf("status %d, %q, %q", status, stdout, stderr)
			}
			if len(*requests) != 1 || (*requests)[0]["ActivationCode"] != code || (*requests)[0]["ActivationId"] != id {
				t.Errorf("requests %v", *requests)
			}
			// Once more is refused, and says what to do.
			status, _, stderr = call(t, c.stdin, c.env, append([]string{"register", "--endpoint", url, "--ca", ca, "--region", "local-1", "--code", code, "--id", id}, "-dir", dir)...)
			if status != exitError || !strings.Contains(stderr, "already as mi-0123456789abcdef0") || !strings.Contains(stderr, "-y") {
				t.Errorf("again: status %d, %q", status, stderr)
			}
		})
	}
}

func TestRegisterPrintsJSON(t *testing.T) {
	url, ca, _ := registrar(t)
	dir := filepath.Join(t.TempDir(), "d")
	status, stdout, _ := call(t, "", nil, "register", "--json", "--endpoint", url, "--ca", ca, "--region", "local-1", "--code", code, "--id", id, "--dir", dir)
	var got map[string]string
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != exitOK || got["InstanceId"] != "mi-0123456789abcdef0" || got["Directory"] != dir {
		t.Errorf("status %d, %q", status, stdout)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		args   []string
		status int
		text   string
	}{
		{nil, exitUsage, "Usage:"},
		{[]string{"regsiter"}, exitUsage, `no command "regsiter"`},
		{[]string{"-frobnicate"}, exitUsage, `no command "-frobnicate"`},
		{[]string{"register", "--frobnicate"}, exitUsage, "frobnicate"},
		{[]string{"register", "stray"}, exitUsage, `"stray"`},
		{[]string{"register", "--region", "local-1", "--id", id, "--code", code}, exitUsage, "endpoint is missing"},
		{[]string{"register", "--code-file", missing}, exitError, "read the activation code"},
		{[]string{"run", "--dir", missing}, exitError, "not registered"},
		{[]string{"run", "--dir", missing}, exitError, "Create an activation"},
		{[]string{"service"}, exitUsage, "Usage:"},
		{[]string{"service", "install", "--dir", missing}, exitError, "not registered"},
	} {
		status, _, stderr := call(t, "", nil, c.args...)
		if status != c.status || !strings.Contains(stderr, c.text) {
			t.Errorf("%q: status %d, %q; want %d and %q", c.args, status, stderr, c.status, c.text)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"register", "--help"}, {"run", "-h"}, {"service", "--help"}, {"version", "--help"}} {
		status, stdout, stderr := call(t, "", nil, args...)
		if status != exitOK || !strings.Contains(stdout, "sekisho-agent") || stderr != "" {
			t.Errorf("%q: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"version"}, {"-version"}, {"version", "--json"}} {
		if status, stdout, _ := call(t, "", nil, args...); status != exitOK || !strings.Contains(stdout, message.AgentVersion) {
			t.Errorf("%q: status %d, %q", args, status, stdout)
		}
	}
}

// With --parent-pipe the agent ends with its standard input.
func TestRunEndsWithItsParent(t *testing.T) {
	url, ca, _ := registrar(t)
	dir := filepath.Join(t.TempDir(), "d")
	if status, _, stderr := call(t, "", nil, "register", "--endpoint", url, "--ca", ca, "--region", "local-1", "--code", code, "--id", id, "--dir", dir); status != exitOK {
		t.Fatal(stderr)
	}
	// The rest of its life it talks to a server that is not there.
	text, err := os.ReadFile(filepath.Join(dir, "registration.json"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(url), []byte("https://127.0.0.1:1"), 1)
	if err := os.WriteFile(filepath.Join(dir, "registration.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- command(ctx, world{[]string{"run", "--parent-pipe", "--dir", dir}, r, io.Discard, &log, os.Getenv})
	}()
	if _, err := w.Write([]byte("still here\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case status := <-done:
		t.Fatalf("ended with %d before its parent", status)
	default:
	}
	w.Close()
	if status := <-done; status != exitOK || !strings.Contains(log.String(), "the parent process has ended") {
		t.Errorf("status %d, log %s", status, log.String())
	}
}
