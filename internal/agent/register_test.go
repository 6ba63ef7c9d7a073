//go:build linux

package agent

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/ssm"
)

func TestRegistrationIsKeptPrivate(t *testing.T) {
	s := newTestServer(t)
	reg, err := Register(t.Context(), s.activation())
	if err != nil {
		t.Fatal(err)
	}
	if reg.NodeID != s.nodeID || reg.Fingerprint != s.hash {
		t.Errorf("registration %+v, the server has %s %s", reg, s.nodeID, s.hash)
	}
	for name, want := range map[string]fs.FileMode{".": 0o700 | fs.ModeDir, registrationFile: 0o600, keyFile: 0o600} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	entries, _ := os.ReadDir(s.dir)
	if len(entries) != 2 {
		t.Errorf("the directory has %v", entries)
	}
	loaded, err := Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if *loaded != *reg {
		t.Errorf("loaded %+v, want %+v", loaded, reg)
	}
	key, err := loaded.key(s.dir)
	if err != nil || !key.PublicKey.Equal(s.key) {
		t.Errorf("key: %v, equal to the server's: %v", err, key != nil)
	}
}

// The CA is pinned by its text: the file may go, and no other authority counts.
func TestAuthorityIsPinned(t *testing.T) {
	s := newTestServer(t)
	act := s.activation()
	if _, err := Register(t.Context(), act); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(act.CAFile); err != nil {
		t.Fatal(err)
	}
	reg, err := Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{reg.CA, ""} {
		reg.CA = ca
		srv, err := newServer(reg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = srv.http.Get(srv.endpoint + "/nothing")
		var unknown x509.UnknownAuthorityError
		if trusted := !errors.As(err, &unknown); trusted != (ca != "") {
			t.Errorf("with pin %v: %v", ca != "", err)
		}
		srv.close()
	}
}

func TestExistingRegistrationIsKept(t *testing.T) {
	s := newTestServer(t)
	s.register()
	before := snapshot(t, s.dir)
	old := s.nodeID

	if _, err := Register(t.Context(), s.activation()); !errors.Is(err, ErrRegistered) || !strings.Contains(err.Error(), old) {
		t.Errorf("without -y: %v", err)
	}
	// One that the server refuses leaves the old one in force.
	act := s.activation()
	act.Replace = true
	act.Code = strings.Repeat("x", 20)
	if _, err := Register(t.Context(), act); !ssm.IsCode(err, ssm.CodeInvalidActivation) {
		t.Errorf("refused: %v", err)
	}
	if after := snapshot(t, s.dir); after != before {
		t.Errorf("the directory changed from %s to %s", before, after)
	}
	// One that is accepted replaces it and keeps the machine's fingerprint.
	act.Code = testCode
	hash := s.hash
	reg, err := Register(t.Context(), act)
	if err != nil {
		t.Fatal(err)
	}
	if reg.NodeID == old || reg.NodeID != s.nodeID || reg.Fingerprint != hash || s.hash != hash {
		t.Errorf("new registration %+v", reg)
	}
}

func snapshot(t *testing.T, dir string) string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	text, _ := json.Marshal(all)
	return string(text)
}

// A crash between the steps of saving leaves one whole registration.
func TestCrashWhileSavingLeavesOneRegistration(t *testing.T) {
	s := newTestServer(t)
	s.register()
	key, err := os.ReadFile(filepath.Join(s.dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	// Before the new registration is written: an unused key waits.
	if err := os.WriteFile(filepath.Join(s.dir, nextKeyFile), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	reg, err := Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.key(s.dir); err != nil {
		t.Errorf("before: %v", err)
	}
	// After it: the key has not been moved yet, and key.pem is the old one.
	if err := os.WriteFile(filepath.Join(s.dir, nextKeyFile), key, 0o600); err != nil {
		t.Fatal(err)
	}
	other := newTestServer(t)
	other.register()
	if err := os.Rename(filepath.Join(other.dir, keyFile), filepath.Join(s.dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.key(s.dir); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestUnusableActivationsAreExplained(t *testing.T) {
	s := newTestServer(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Activation){
		"dir":      func(a *Activation) { a.Dir = "" },
		"region":   func(a *Activation) { a.Region = "" },
		"region ":  func(a *Activation) { a.Region = "local/1" },
		"code":     func(a *Activation) { a.Code = "" },
		"code ":    func(a *Activation) { a.Code = "short" },
		"id":       func(a *Activation) { a.ID = "" },
		"id ":      func(a *Activation) { a.ID = "short" },
		"endpoint": func(a *Activation) { a.Endpoint = "" },
		"endpoint ": func(a *Activation) {
			a.Endpoint = strings.Replace(a.Endpoint, "https", "http", 1)
		},
		"endpoint  ": func(a *Activation) { a.Endpoint = "localhost:8443" },
		"ca":         func(a *Activation) { a.CAFile = filepath.Join(t.TempDir(), "missing") },
		"ca ":        func(a *Activation) { a.CAFile = empty },
	} {
		act := s.activation()
		change(&act)
		_, err := Register(t.Context(), act)
		var input *InputError
		if !errors.As(err, &input) || input.Field != strings.TrimSpace(field) || Hint(err) == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if s.nodeID != "" {
		t.Error("the server was called")
	}
}

func TestErrorsOfRegistrationHaveHints(t *testing.T) {
	s := newTestServer(t)
	closed := newTestServer(t)
	closed.http.Close()
	for want, change := range map[string]func(*Activation){
		"--ca":           func(a *Activation) { a.CAFile = "" },
		"Nothing listen": func(a *Activation) { a.Endpoint = closed.http.URL },
		"Check code":     func(a *Activation) { a.Code = strings.Repeat("x", 20) },
		"another name":   func(a *Activation) { a.Endpoint = strings.Replace(a.Endpoint, "127.0.0.1", "localhost", 1) },
		"cannot be reso": func(a *Activation) { a.Endpoint = "https://no-such-host.invalid" },
	} {
		act := s.activation()
		change(&act)
		_, err := Register(t.Context(), act)
		if err == nil || !strings.Contains(Hint(err), want) {
			t.Errorf("%q: error %v, hint %q", want, err, Hint(err))
		}
		if _, err := os.Stat(filepath.Join(s.dir, nextKeyFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: a key is left behind (%v)", want, err)
		}
	}
}

// The disk is found full before the activation is used up.
func TestFullDiskDoesNotUseTheActivationUp(t *testing.T) {
	s := newTestServer(t)
	act := s.activation()
	act.Dir = "/dev/full/agent"
	_, err := Register(t.Context(), act)
	if err == nil || s.nodeID != "" {
		t.Errorf("err = %v, registered as %q", err, s.nodeID)
	}
	if hint := Hint(syscall.ENOSPC); !strings.Contains(hint, "disk is full") {
		t.Errorf("hint %q", hint)
	}
}

// The answer to a registration has room on the disk before the service is asked.
func TestRegistrationHasRoomBeforeItIsMade(t *testing.T) {
	dir := t.TempDir()
	reg := &Registration{Endpoint: "https://localhost", Region: "local-1", Fingerprint: "f", CA: strings.Repeat("a", 300<<10)}
	d, err := newDraft(dir, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.discard()
	before, err := os.Stat(d.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, nextKeyFile), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	reg.NodeID, reg.RegisteredAt = strings.Repeat("m", maxID), time.Now()
	if err := d.save(reg); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(dir, registrationFile))
	if err != nil || after.Size() > before.Size() || after.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes and mode %v after %d (%v)", after.Size(), after.Mode(), before.Size(), err)
	}
	if got, err := Load(dir); err != nil || got.NodeID != reg.NodeID {
		t.Errorf("loaded %+v, %v", got, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("the directory holds %v (%v)", files, err)
	}
}

func TestRunNeedsARegistration(t *testing.T) {
	err := Run(t.Context(), Config{Dir: t.TempDir()})
	if !errors.Is(err, ErrNotRegistered) || Hint(err) == "" {
		t.Errorf("err = %v", err)
	}
}

func TestTwoAgentsDoNotShareADirectory(t *testing.T) {
	s := newTestServer(t)
	stop := s.runAgent()
	receive(t, "control channel", s.controls)
	if err := Run(t.Context(), Config{Dir: s.dir, Logger: quiet()}); !errors.Is(err, ErrInUse) {
		t.Errorf("err = %v, want ErrInUse", err)
	}
	// One that is ending is waited for.
	time.AfterFunc(50*time.Millisecond, stop)
	s.agentProcess()
	receive(t, "second agent's control channel", s.controls)
}

func TestHeartbeatTellsAboutTheMachine(t *testing.T) {
	s := newTestServer(t)
	s.runAgent()
	eventually(t, "a heartbeat", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.heartbeats) > 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.heartbeats[0]
	if in.InstanceID != s.nodeID || in.AgentVersion != agentVersion || in.PlatformType != "Linux" ||
		in.AgentStatus != "Active" || in.ComputerName == "" || in.PlatformName == "" {
		t.Errorf("heartbeat %+v", in)
	}
}

// A clock that is an hour wrong locks nobody out.
func TestWrongClockIsCorrected(t *testing.T) {
	for _, shift := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(shift.String(), func(t *testing.T) {
			s := newTestServer(t)
			s.shift = shift
			s.runAgent()
			c := receive(t, "control channel", s.controls)
			x := s.newSession(false)
			c.send(t, x.task())
			x.ready() // the worker's clock is corrected too
			x.type_("exit\r")
			c.completion(t, true)
		})
	}
}

func TestCredentialsAreRenewedAtHalfLife(t *testing.T) {
	s := newTestServer(t)
	s.register()
	reg, err := Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := newServer(reg)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close()
	creds := newCredentials(srv, reg.Fingerprint, func() (signer, error) {
		key, err := reg.key(s.dir)
		return rsaSigner(srv, reg.NodeID, key), err
	})
	old := Credentials{AccessKeyID: "old", Obtained: time.Now().Add(-31 * time.Minute), Expires: time.Now().Add(29 * time.Minute)}
	creds.seed(old)
	if got, err := creds.get(t.Context()); err != nil || got.AccessKeyID != "old" {
		t.Errorf("in use: %s, %v; the old ones are still good", got.AccessKeyID, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); creds.keepFresh(ctx, quiet()) }()
	eventually(t, "new credentials", func() bool { return creds.current.Load().AccessKeyID != "old" })
	cancel()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.secrets) != 1 {
		t.Errorf("asked %d times, want once", len(s.secrets))
	}
}

// Credentials that the server does not take are replaced, also before their end.
func TestRefusedCredentialsAreReplaced(t *testing.T) {
	s := newTestServer(t)
	s.runAgent()
	first := receive(t, "control channel", s.controls)
	s.with(func() { clear(s.secrets); s.secrets["ASIA9"] = "" })
	first.ws.CloseNow()
	receive(t, "control channel", s.controls)
}

// Whatever the token call answers, the agent goes on asking and the error is told.
func TestTokenCallIsRetried(t *testing.T) {
	s := newTestServer(t)
	calls := make(chan int, 100)
	n := 0
	s.refuse = func(r *http.Request) *ssm.Error {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "RoleToken") {
			return nil
		}
		n++
		calls <- n
		switch n {
		case 1:
			return &ssm.Error{Code: ssm.CodeAccessDenied, Message: "not now"}
		case 2:
			return &ssm.Error{Code: ssm.CodeInternal, Status: 500}
		}
		return nil
	}
	s.runAgent()
	receive(t, "control channel", s.controls)
}
