package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

const envCrash = "SEKISHO_STORE_CRASH_DSN"

// TestCrashChild is no test of its own: TestKilledWriterLosesNothing runs it in
// another process and kills it.
func TestCrashChild(t *testing.T) {
	dsn := os.Getenv(envCrash)
	if dsn == "" {
		t.Skip("runs only as the child of TestKilledWriterLosesNothing")
	}
	s := storetest.OpenDSN(t, dsn)
	for i := 0; ; i++ {
		x := store.Session{ID: fmt.Sprintf("s%06d", i), NodeID: "mi-crash", OwnerARN: "a", Status: ssm.SessionConnecting, StartedAt: time.Now()}
		if err := s.CreateSession(t.Context(), x, store.AuditEvent{At: time.Now(), Action: "ssm:StartSession", RequestID: x.ID}); err != nil {
			t.Fatal(err)
		}
		fmt.Println(x.ID)
	}
}

// A process that is killed while it writes leaves a database that opens, that has
// everything that was reported written, and no session without its audit event.
func TestKilledWriterLosesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		now := time.Now()
		a := store.Activation{ID: "a", CodeHash: make([]byte, 32), RegistrationLimit: 1, ExpirationDate: now.Add(time.Hour), CreatedAt: now}
		if err := s.CreateActivation(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RegisterNode(t.Context(), a.ID, a.CodeHash, store.Node{ID: "mi-crash", PublicKey: []byte{1}}, now); err != nil {
			t.Fatal(err)
		}
		for _, kill := range []int{1, 20, 50} {
			writeAndKill(t, dsn, kill, s)
		}
	})
}

func writeAndKill(t *testing.T, dsn string, after int, s *store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), envCrash+"="+dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if id := lines.Text(); len(id) == len("s000000") {
			written[id] = true
		}
		if len(written) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(written) < after {
		t.Fatalf("the child ended by itself after %d sessions", len(written))
	}

	sessions, err := s.LiveSessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := s.AuditEvents(t.Context(), store.AuditFilter{After: sessions[0].StartedAt}, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	audited := map[string]bool{}
	for _, e := range events {
		audited[e.RequestID] = true
	}
	stored := map[string]bool{}
	for _, x := range sessions {
		stored[x.ID] = true
		if !audited[x.ID] {
			t.Errorf("session %s has no audit event", x.ID)
		}
	}
	for id := range written {
		if !stored[id] {
			t.Errorf("session %s was reported written and is not there", id)
		}
	}
	// Room for the next child, which counts from zero again.
	for _, x := range sessions {
		if _, err := s.EndSession(t.Context(), x.ID, ssm.SessionTerminated, "", time.UnixMilli(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.DeleteSessionsEndedBefore(t.Context(), time.UnixMilli(2)); err != nil {
		t.Fatal(err)
	}
}
