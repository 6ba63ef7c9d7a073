//go:build linux

package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
)

// diagnose runs the checks and returns the findings by name.
func diagnose(t *testing.T, ex Examination) (map[string]Finding, bool) {
	t.Helper()
	all := map[string]Finding{}
	good := Diagnose(t.Context(), ex, func(f Finding) {
		if _, twice := all[f.Check]; twice {
			t.Errorf("%s is reported twice", f.Check)
		}
		all[f.Check] = f
	})
	if len(all) != 14 {
		t.Errorf("%d checks are reported: %v", len(all), all)
	}
	return all, good
}

// change edits the registration's file.
func (s *testServer) change(f func(*Registration)) {
	s.t.Helper()
	reg, err := Load(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	f(reg)
	text, err := json.Marshal(reg)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, registrationFile), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// A machine in order has nothing that failed, also while its agent runs, whose control
// channel stays.
func TestDiagnoseOfAMachineInOrder(t *testing.T) {
	s := newTestServer(t)
	s.runAgent()
	receive(t, "control channel", s.controls)
	all, good := diagnose(t, Examination{Dir: s.dir, SessionUser: DefaultSessionUser})
	if !good || all[checkAgent].Verdict != OK || all[checkControl].Verdict != OK || all[checkShell].Verdict != OK {
		t.Errorf("good %v: %+v", good, all)
	}
	select {
	case <-s.controls:
		t.Error("diagnose opened a control channel, which replaces the agent's")
	default:
	}
}

// Each fault is found by the check that is about it, later checks are skipped, and every
// failure comes with advice in both languages.
func TestDiagnoseFindsFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		check string // that fails
		text  string
		fault func(s *testServer)
		skips string // a check that is then skipped
	}{
		{"not registered", checkConfiguration, "not registered", func(s *testServer) { os.Remove(filepath.Join(s.dir, registrationFile)) }, checkDNS},
		{"no https", checkConfiguration, "https", func(s *testServer) {
			s.change(func(r *Registration) { r.Endpoint = "http://127.0.0.1" })
		}, checkTCP},
		{"key lost", checkIdentity, "private key", func(s *testServer) { os.Remove(filepath.Join(s.dir, keyFile)) }, checkCredentials},
		{"key open to all", checkIdentity, "can read", func(s *testServer) { os.Chmod(filepath.Join(s.dir, keyFile), 0o644) }, checkCredentials},
		{"no such name", checkDNS, "cannot be resolved", func(s *testServer) {
			s.change(func(r *Registration) { r.Endpoint = "https://ssm.invalid:8443" })
		}, checkTCP},
		{"nothing listens", checkTCP, "refused", func(s *testServer) {
			s.change(func(r *Registration) { r.Endpoint = "https://127.0.0.1:1" })
		}, checkTLS},
		{"other authority", checkTLS, "authority", func(s *testServer) {
			other, _ := certificate(s.t, nil, nil, time.Now(), time.Now().AddDate(1, 0, 0))
			s.change(func(r *Registration) { r.CA = string(pemOf(other)) })
		}, checkCredentials},
		{"removed on the server", checkCredentials, "not authorized", func(s *testServer) {
			s.refuse = func(r *http.Request) *ssm.Error {
				if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "RoleToken") {
					return ssm.Errorf(ssm.CodeAccessDenied, "not authorized")
				}
				return nil
			}
		}, checkHeartbeat},
		{"no websockets", checkControl, "control channel", func(s *testServer) {
			s.refuse = func(r *http.Request) *ssm.Error {
				if r.Header.Get("Upgrade") != "" {
					return &ssm.Error{Code: "BadGateway", Message: "no", Status: http.StatusBadGateway}
				}
				return nil
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestServer(t)
			s.register()
			s.mu.Lock()
			c.fault(s)
			s.mu.Unlock()
			for _, ja := range []bool{false, true} {
				all, good := diagnose(t, Examination{Dir: s.dir, Japanese: ja})
				f := all[c.check]
				if good || f.Verdict != Failed || f.Advice == "" || !ja && !strings.Contains(f.Text, c.text) {
					t.Errorf("japanese %v: good %v, %+v", ja, good, f)
				}
				if c.skips != "" && all[c.skips].Verdict != Skipped {
					t.Errorf("%s is not skipped: %+v", c.skips, all[c.skips])
				}
				for _, other := range all {
					if other.Verdict == Failed && other.Check != c.check {
						t.Errorf("%s failed as well: %+v", other.Check, other)
					}
				}
			}
		})
	}
}

// A clock that is wrong is told, and is no failure.
func TestDiagnoseTellsOfAWrongClock(t *testing.T) {
	s := newTestServer(t)
	s.register()
	s.mu.Lock()
	s.shift = -26 * 60 * 60 * 1e9
	s.mu.Unlock()
	all, good := diagnose(t, Examination{Dir: s.dir})
	if f := all[checkClock]; !good || f.Verdict != Warning || !strings.Contains(f.Text, "26h0m") {
		t.Errorf("good %v, %+v; %+v", good, f, all)
	}
}

func TestDiagnoseEndsWithItsContext(t *testing.T) {
	s := newTestServer(t)
	s.register()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Diagnose(ctx, Examination{Dir: s.dir}, func(Finding) {}) {
		t.Error("all is well, says a diagnosis that was stopped")
	}
}
