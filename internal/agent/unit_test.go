package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/platform"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestBackoffGrowsToItsBound(t *testing.T) {
	b := backoff{min: 500 * time.Millisecond, max: 30 * time.Second}
	bound := b.min
	for range 100 {
		if d := b.next(); d < bound/2 || d > bound {
			t.Fatalf("wait %s, want %s to %s", d, bound/2, bound)
		}
		bound = min(2*bound, b.max)
	}
	b.reset()
	if d := b.next(); d > b.min {
		t.Errorf("after reset: %s", d)
	}
}

func TestQuickRetry(t *testing.T) {
	var q quickRetry
	var got []time.Duration
	for range 9 {
		got = append(got, q.next())
	}
	ms := time.Millisecond
	want := []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}
	if !slices.Equal(got, want) {
		t.Errorf("waits %v, want %v", got, want)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := Credentials{AccessKeyID: "id", SecretAccessKey: "hidden", SessionToken: "hidden"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %s", c, c, c), log.String()} {
		if strings.Contains(text, "hidden") {
			t.Errorf("printed %q", text)
		}
	}
}

func TestWorkerInheritsNoSecrets(t *testing.T) {
	got := childEnv([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "SEKISHO_ACTIVATION_CODE=x", "LANG=C", "HTTPS_PROXY=p"})
	if want := []string{"PATH=/bin", "LANG=C", "HTTPS_PROXY=p"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoginShellFallsBack(t *testing.T) {
	for _, c := range []struct{ shell, path, argv0 string }{
		{"/bin/sh", "/bin/sh", "-sh"},
		{"", "/bin/sh", "-sh"},
		{"/nonexistent/zsh", "/bin/sh", "-sh"},
		{"/etc/passwd", "/bin/sh", "-sh"}, // not executable
		{"/usr/sbin/nologin", "/bin/sh", "-sh"},
		{"/bin/false", "/bin/sh", "-sh"},
	} {
		cmd := loginShell(platform.Account{Name: "u", Home: "/nonexistent", Shell: c.shell}, []string{"SECRET=1", "LANG="}, "s")
		if cmd.Path != c.path || cmd.Argv[0] != c.argv0 || cmd.Dir != "/" {
			t.Errorf("%q: %+v", c.shell, cmd)
		}
		if slices.Contains(cmd.Env, "SECRET=1") || !slices.Contains(cmd.Env, "LANG=C.UTF-8") || !slices.Contains(cmd.Env, "HOME=/nonexistent") {
			t.Errorf("environment %q", cmd.Env)
		}
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"tester-0123456789abcdef0": true, "a@b.example+x=1,y_z-0": true, "mi-0123": true,
		"": false, "../x": false, "a/b": false, "a b": false, ".x": false, "a\n": false, "ü": false, strings.Repeat("a", 129): false,
	} {
		if got := validID(id); got != want {
			t.Errorf("validID(%q) = %v", id, got)
		}
	}
}

func TestUplinkWaitsForAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u uplink
		u.init()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := u.send(ctx, message.Message{Type: "x", Payload: []byte("x")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestEndedSessionsAreRememberedWithinBounds(t *testing.T) {
	var s sessions
	s.init()
	for i := range 2 * maxEnded {
		id := fmt.Sprint("s", i)
		if _, err := s.claim(id); err != nil {
			t.Fatal(err)
		}
		s.release(id, outcome{Status: message.StatusSuccess})
	}
	if len(s.ended) != maxEnded || len(s.order) != maxEnded {
		t.Errorf("%d and %d remembered", len(s.ended), len(s.order))
	}
	if _, err := s.claim(fmt.Sprint("s", 2*maxEnded-1)); !errors.Is(err, errEnded) {
		t.Errorf("the last one: %v", err)
	}
	for i := range maxSessions {
		if _, err := s.claim(fmt.Sprint("r", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.claim("one-more"); !errors.Is(err, errFull) {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestClockIsCorrectedOnlyIfItIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		header := func(at time.Time) map[string][]string {
			return map[string][]string{"Date": {at.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}}
		}
		c.observe(header(time.Now()))
		if c.correct() {
			t.Error("a right clock was corrected")
		}
		c.observe(header(time.Now().Add(-time.Hour)))
		if !c.correct() || c.correct() {
			t.Error("a wrong clock is corrected once")
		}
		if d := time.Until(c.now()); (d + time.Hour).Abs() > time.Second {
			t.Errorf("the corrected clock is %s off", d)
		}
		c.observe(map[string][]string{"Date": {"yesterday"}})
		if c.correct() {
			t.Error("corrected by nonsense")
		}
	})
}

func FuzzParseTask(f *testing.F) {
	f.Add([]byte(`{"Content":"{\"SessionId\":\"a-1\",\"DocumentContent\":{\"schemaVersion\":\"1.0\",\"sessionType\":\"Standard_Stream\",\"inputs\":{\"shellProfile\":{\"linux\":\"{{ x }}\"}}},\"Parameters\":{\"x\":{\"y\":[1]}}}"}`))
	f.Add([]byte(`{"Content":"{\"SessionId\":1}","TaskId":"t"}`))
	f.Add([]byte(`{"Content":"{\"SessionId\":\"..\"}","TaskId":"/"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		id, task, err := parseTask(payload)
		if id != "" && !validID(id) {
			t.Errorf("id %q", id)
		}
		if err == nil {
			if id != task.SessionId {
				t.Errorf("id %q of task %q", id, task.SessionId)
			}
			// What goes to the worker arrives there.
			text, err := json.Marshal(workerSpec{Task: task})
			var spec workerSpec
			if err != nil || json.Unmarshal(text, &spec) != nil {
				t.Errorf("task cannot be handed on: %v", err)
			}
			checkTask(task)
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(400, []byte("<InvalidSignatureException><Message>Signature expired: x</Message></InvalidSignatureException>"))
	f.Add(502, []byte("<html><body>Bad gateway"))
	f.Add(400, []byte("<X><Message>Session is already terminated</Message></X>"))
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		if err := refusal(status, text); err == nil {
			t.Error("no error")
		}
	})
}
