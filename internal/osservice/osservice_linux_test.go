package osservice

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var agent = Service{
	Name: "sekisho-agent", Description: "Sekisho node agent (100% of it)",
	Command: []string{"/opt/my tools/sekisho-agent", "run", "--dir", "/var/lib/sekisho-agent", "--label", `a "b" $HOME %n \`},
}

func TestUnit(t *testing.T) {
	text, err := Unit(agent)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`ExecStart="/opt/my tools/sekisho-agent" run --dir /var/lib/sekisho-agent --label "a \"b\" $$HOME %%n \\"`,
		"Description=Sekisho node agent (100%% of it)",
		"KillMode=process", // workers survive
		"WantedBy=multi-user.target",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	for _, bad := range []Service{
		{Command: nil}, {Command: []string{"relative"}}, {Command: []string{"/x", "a\nExecStartPre=/y"}},
	} {
		if _, err := Unit(bad); err == nil {
			t.Errorf("%q: no error", bad.Command)
		}
	}
}

// The real checker of units, where it is installed.
func TestUnitPassesSystemdAnalyze(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	s := agent
	s.Command = []string{"/bin/sh", "-c", "a b"}
	text, err := Unit(s)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sekisho-agent.service")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", "--man=no", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fake is a machine whose systemctl writes down what it is asked.
func fake(t *testing.T) (systemd, *[]string) {
	dir := t.TempDir()
	var calls []string
	return systemd{units: dir, running: dir, control: func(_ context.Context, args ...string) (string, error) {
		calls = append(calls, strings.Join(args, " "))
		if args[0] == "is-active" {
			return "failed", errors.New("exit status 3")
		}
		return "enabled", nil
	}}, &calls
}

func TestInstallAndUninstall(t *testing.T) {
	m, calls := fake(t)
	ctx := t.Context()
	if err := m.install(ctx, agent); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(m.path(agent.Name)); err != nil || !strings.Contains(string(got), "ExecStart=") {
		t.Errorf("unit: %v, %q", err, got)
	}
	got, err := m.query(ctx, agent.Name)
	if want := (Status{Installed: true, Enabled: true, State: "failed"}); err != nil || got != want {
		t.Errorf("status %+v, %v; want %+v", got, err, want)
	}
	for range 2 { // the second finds nothing to do
		if err := m.uninstall(ctx, agent.Name); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(m.units); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if diff := cmp.Diff([]string{
		"daemon-reload", "enable sekisho-agent.service", "restart sekisho-agent.service",
		"is-enabled sekisho-agent.service", "is-active sekisho-agent.service",
		"disable --now sekisho-agent.service", "daemon-reload",
	}, *calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestMachineWithoutSystemdIsTold(t *testing.T) {
	m, calls := fake(t)
	m.running = filepath.Join(m.units, "absent")
	_, queryErr := m.query(t.Context(), agent.Name)
	for _, err := range []error{m.install(t.Context(), agent), m.uninstall(t.Context(), agent.Name), queryErr} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "does not run systemd") {
			t.Errorf("err = %v", err)
		}
	}
	if len(*calls) != 0 {
		t.Errorf("systemctl was called: %q", *calls)
	}
}
