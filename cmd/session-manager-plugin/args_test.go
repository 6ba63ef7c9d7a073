package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/client"
	"sekisho/internal/ssm"
)

const response = `{"SessionId":"alice-0abc","TokenValue":"token","StreamUrl":"wss://gateway.test/v1/data-channel/alice-0abc?role=publish_subscribe","ResponseMetadata":{"HTTPStatusCode":200}}`

// fakeEnv is a program's environment made of variables.
func fakeEnv(t testing.TB, variables map[string]string) *environment {
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	return &environment{
		stdin: file("in"), stdout: file("out"), stderr: file("err"),
		lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		unset:  func(name string) { delete(variables, name) },
	}
}

func contents(t testing.TB, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestArguments(t *testing.T) {
	session := client.Session{ID: "alice-0abc", Token: "token", StreamURL: "wss://gateway.test/v1/data-channel/alice-0abc?role=publish_subscribe"}
	full := arguments{session: session, region: "local-1", profile: "ops", endpoint: "https://sekisho.test:8443",
		request: ssm.StartSessionInput{Target: "mi-0123456789abcdef0", DocumentName: "D", Parameters: map[string][]string{"portNumber": {"22"}}}}
	request := `{"Target":"mi-0123456789abcdef0","DocumentName":"D","Parameters":{"portNumber":["22"]}}`
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want arguments
	}{
		{"JSON", nil, []string{response, "local-1", "StartSession", "ops", request, "https://sekisho.test:8443"}, full},
		{"variable", map[string]string{"AWS_SSM_START_SESSION_RESPONSE": response},
			[]string{"AWS_SSM_START_SESSION_RESPONSE", "local-1", "StartSession", "ops", request, "https://sekisho.test:8443"}, full},
		{"longer variable", map[string]string{"AWS_SSM_START_SESSION_RESPONSE_7": response},
			[]string{"AWS_SSM_START_SESSION_RESPONSE_7", "local-1", "StartSession", "ops", request, "https://sekisho.test:8443"}, full},
		{"old CLI", nil, []string{response, "us-east-1", "StartSession"},
			arguments{session: session, region: "us-east-1", endpoint: "https://ssm.us-east-1.amazonaws.com"}},
		{"empty profile and endpoint", map[string]string{"AWS_ENDPOINT_URL": "https://all.test"},
			[]string{response, "us-east-1", "StartSession", "", `{"Target":"i-1"}`, ""},
			arguments{session: session, region: "us-east-1", endpoint: "https://all.test", request: ssm.StartSessionInput{Target: "i-1"}}},
		{"endpoint of the service", map[string]string{"AWS_ENDPOINT_URL": "https://all.test", "AWS_ENDPOINT_URL_SSM": "http://ssm.test"},
			[]string{response, "us-east-1", "StartSession", ""},
			arguments{session: session, region: "us-east-1", endpoint: "http://ssm.test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseArguments(fakeEnv(t, c.env), c.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(arguments{})); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			for name := range c.env {
				if strings.HasPrefix(name, responseVariable) {
					t.Errorf("%s is still in the environment", name)
				}
			}
		})
	}
}

func TestWrongArgumentsAreExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"x"}, "Unknown operation x"},
		{[]string{response, "local-1"}, "Unknown operation"},
		{[]string{response, "local-1", "StopSession"}, "Invalid Operation StopSession"},
		{[]string{"{", "local-1", "StartSession"}, "not the JSON answer"},
		{[]string{"token-that-leaks", "local-1", "StartSession"}, "not the JSON answer"},
		{[]string{`{"SessionId":"s","StreamUrl":"u"}`, "local-1", "StartSession"}, "has no TokenValue"},
		{[]string{`{"SessionId":"s","TokenValue":null,"StreamUrl":"u"}`, "local-1", "StartSession"}, "has no TokenValue"},
		{[]string{`null`, "local-1", "StartSession"}, "has no SessionId"},
		{[]string{"AWS_SSM_START_SESSION_RESPONSE", "local-1", "StartSession"}, "is not set"},
		{[]string{response, "", "StartSession"}, "region"},
		{[]string{response, "local-1", "StartSession", "", "{"}, "request parameters"},
		{[]string{response, "local-1", "StartSession", "", `{"Target":7}`}, "request parameters"},
		{[]string{response, "local-1", "StartSession", "", "", "gateway.test:8443"}, "endpoint"},
	} {
		env := fakeEnv(t, nil)
		if code := run(env, c.args); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", c.args, code, exitUsage)
		}
		got := contents(t, env.stderr)
		if !strings.Contains(got, c.want) || strings.Contains(got, "leaks") {
			t.Errorf("%q: %q, want %q and no secret", c.args, got, c.want)
		}
		if got := contents(t, env.stdout); got != "" {
			t.Errorf("%q: printed %q on standard output", c.args, got)
		}
	}
}

func TestFormsWithoutASession(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "is installed"},
		{[]string{"--version"}, "1.3.0.0\n"},
	} {
		env := fakeEnv(t, nil)
		if code := run(env, c.args); code != exitOK {
			t.Errorf("%q: exit code %d", c.args, code)
		}
		if got := contents(t, env.stdout); !strings.Contains(got, c.want) {
			t.Errorf("%q: printed %q, want %q", c.args, got, c.want)
		}
	}
}

func TestBadBundleIsTold(t *testing.T) {
	env := fakeEnv(t, map[string]string{"AWS_CA_BUNDLE": "/does/not/exist.pem"})
	if code := run(env, []string{response, "local-1", "StartSession", "", "", "https://127.0.0.1:1"}); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if got := contents(t, env.stderr); !strings.Contains(got, "/does/not/exist.pem") {
		t.Errorf("printed %q, want the bundle's name", got)
	}
}

func FuzzStartSessionResponse(f *testing.F) {
	for _, seed := range []string{
		response, `{}`, `null`, `[]`, `"x"`, `{`, `{"SessionId":1}`, `{"SessionId":"s","TokenValue":"t","StreamUrl":"u"}`,
		`{"SessionId":"s","TokenValue":"t","StreamUrl":null}`, "AWS_SSM_START_SESSION_RESPONSE",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseResponse(text)
		var usage *usageError
		if err != nil {
			if !errors.As(err, &usage) || usage.text == "" {
				t.Errorf("error %v says nothing to the user", err)
			}
			return
		}
		if s.ID == "" || s.Token == "" || s.StreamURL == "" {
			t.Errorf("%q gave an incomplete session", text)
		}
		again, _ := json.Marshal(ssm.StartSessionOutput{SessionID: s.ID, TokenValue: s.Token, StreamURL: s.StreamURL})
		if s2, err := parseResponse(string(again)); err != nil || s2 != s {
			t.Errorf("%q reads back as %v, %v", again, s2, err)
		}
	})
}
