package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestConsoleAccess works with the pages below Access in a browser (web/test/access.mjs):
// policies and users are made, keys shown once, and the simulator says who can start a
// session. SEKISHO_SHOTS names a folder that keeps the screenshots.
func TestConsoleAccess(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed (Debian package nodejs)")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed (Debian package chromium)")
	}
	web, err := filepath.Abs("../../web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(web, "node_modules", "playwright-core")); err != nil {
		t.Skip("the console was not built (make web)")
	}
	shots := os.Getenv("SEKISHO_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	d := deploy(t, 1)
	var nodes struct {
		InstanceInformationList []struct{ InstanceId string }
	}
	d.mustJSON(clis(t)[0], &nodes, "ssm", "describe-instance-information")
	if len(nodes.InstanceInformationList) != 1 {
		t.Fatalf("%d nodes, want 1", len(nodes.InstanceInformationList))
	}
	var admin struct{ Password string }
	text, err := os.ReadFile(filepath.Join(d.dir, "admin.json"))
	if err == nil {
		err = json.Unmarshal(text, &admin)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "test/access.mjs")
	cmd.Dir = web
	cmd.Env = append(cleanEnv(), "URL="+d.env["AWS_ENDPOINT_URL"], "PASSWORD="+admin.Password, "SHOTS="+shots, "CHROMIUM="+browser,
		"NODE="+nodes.InstanceInformationList[0].InstanceId)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, tail(out.String(), 20000))
	}
	t.Logf("%s", out.String())
}
