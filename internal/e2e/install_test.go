package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"sekisho/internal/release"
)

// publish has the server offer a program as the agent for this machine's system.
func (d *deployment) publish(t *testing.T, name string, program []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), release.FileName(runtime.GOOS, runtime.GOARCH))
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin(t, "sekishod"), "agents", "publish",
		"--config", filepath.Join(d.dir, "sekishod.yaml"), "--release", name, file).CombinedOutput()
	if err != nil {
		t.Fatalf("agents publish: %v\n%s", err, out)
	}
}

// TestInstallAndUpdate joins a machine by the one command that an operator pastes, and
// updates its agent under an open session: to a good release, and to two that do not come
// online and are undone.
func TestInstallAndUpdate(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the updating agent is found by /proc/locks")
	}
	c := clis(t)[0]
	d := deploy(t, 0)
	agent, err := os.ReadFile(bin(t, "sekisho-agent"))
	if err != nil {
		t.Fatal(err)
	}
	d.publish(t, "1", agent)
	prefix := t.TempDir() // below it the program; not the agent's working files
	program := filepath.Join(prefix, "bin", "sekisho-agent")
	d.advanced(c)
	r := &remote{deployment: d, toService: newProxy(t, d.listen), dir: t.TempDir()}
	var activation struct{ ActivationId, ActivationCode string }
	d.mustJSON(c, &activation, "ssm", "create-activation", "--iam-role", "SSMServiceRole", "--default-instance-name", "pasted")
	text, err := exec.Command(bin(t, "sekishod"), "agents", "command",
		"--config", filepath.Join(d.dir, "sekishod.yaml"), "--id", activation.ActivationId).Output()
	if err != nil {
		t.Fatal(err)
	}
	command := strings.Replace(regexp.MustCompile(`curl .*`).FindString(string(text)), "sudo ", "", 1) +
		fmt.Sprintf(" --prefix '%s' --dir '%s' --no-service", filepath.Dir(program), r.dir)
	install := exec.Command("sh", "-c", command)
	install.Dir = t.TempDir()
	install.Env = append(cleanEnv(), "SEKISHO_ACTIVATION_CODE="+activation.ActivationCode)
	text, err = install.CombinedOutput()
	if r.node = regexp.MustCompile(`mi-[0-9a-f]{17}`).FindString(string(text)); err != nil || r.node == "" {
		t.Fatalf("%s: %v\n%s", command, err, text)
	}
	if r.log, err = os.Create(filepath.Join(t.TempDir(), "agent.log")); err != nil {
		t.Fatal(err)
	}
	r.program = func(dir string) *exec.Cmd {
		return exec.Command(program, "run", "--dir", dir, "--end-sessions-on-stop", "--session-user", "", "--update-patience", "10s")
	}
	r.startAgent(t)
	t.Cleanup(func() {
		endBelow(t, prefix)
		r.agent.Wait()
		if text, err := os.ReadFile(r.log.Name()); err == nil && t.Failed() {
			t.Logf("agent:\n%s", tail(string(text), 6000))
		}
	})
	p := r.pipe(t, c)
	fmt.Fprint(p.stdin, "stty raw -echo; printf 'out''put begins'; cat; exit\n")
	p.until(t, "output begins", nil)
	works := func(word string) {
		t.Helper()
		io.WriteString(p.stdin, word+"\n")
		p.until(t, word+"\n", nil)
	}
	update := func() (string, error) {
		t.Helper()
		out, err := exec.Command(program, "update", "--dir", r.dir).CombinedOutput()
		return string(out), err
	}
	runs := func() string { // which program the agent is
		t.Helper()
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/exe", r.agent.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(text[max(0, len(text)-12):])
	}

	second := append(append([]byte{}, agent...), "release two\n"...)
	d.publish(t, "2", second)
	out, err := update()
	if err != nil || !strings.Contains(out, "runs release 2") || runs() != "release two\n" {
		t.Fatalf("update: %v, %q; the agent is …%q", err, out, runs())
	}
	works("after the update")

	for name, bad := range map[string]string{
		"ends":  "exit 7",
		"hangs": "trap '' TERM; while :; do sleep 1; done",
	} {
		d.publish(t, name, []byte("#!/bin/sh\n[ \"$1\" = version ] && { echo sekisho-agent 9; exit 0; }\n"+bad+"\n"))
		out, err := update()
		if err == nil || !strings.Contains(out, "put back") {
			t.Fatalf("%s: update: %v, %q", name, err, out)
		}
		now, err := os.ReadFile(program)
		if err != nil || !strings.HasSuffix(string(now), "release two\n") {
			t.Fatalf("%s: the old program is not back: %v", name, err)
		}
		works("while nobody runs " + name)
		// Nothing starts an agent here but the watcher of the update, after a while.
		eventually(t, "the node is connected again after "+name, func() bool {
			out, err := exec.Command(program, "diagnose", "--dir", r.dir, "--session-user", "").Output()
			return err == nil && strings.Contains(string(out), "An agent is running")
		})
		works("after " + name)
	}

	// What is not signed by the pinned key is not even tried.
	manifest := filepath.Join(d.dir, "agents", "manifest.json")
	if err := os.Remove(filepath.Join(d.dir, "agents.key")); err != nil {
		t.Fatal(err)
	}
	d.publish(t, "forged", agent)
	if out, err := update(); err == nil || !strings.Contains(out, "not signed") {
		t.Errorf("forged: %v, %q", err, out)
	}
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	if out, err := update(); err == nil || !strings.Contains(out, "offers no programs") {
		t.Errorf("nothing published: %v, %q", err, out)
	}
	works("at the end")
}
