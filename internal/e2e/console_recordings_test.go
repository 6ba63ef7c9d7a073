package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestConsoleRecordings watches a session in a browser, plays its recording and searches
// it, and follows a log as it grows (web/test/recordings.mjs). SEKISHO_SHOTS names a
// folder that keeps the screenshots.
func TestConsoleRecordings(t *testing.T) {
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
	d, managed := recordedDeployment(t, clis(t)[0])
	var admin struct{ Password string }
	text, err := os.ReadFile(filepath.Join(d.dir, "admin.json"))
	if err == nil {
		err = json.Unmarshal(text, &admin)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "test/recordings.mjs")
	cmd.Dir = web
	cmd.Env = append(cleanEnv(), "URL="+d.env["AWS_ENDPOINT_URL"], "PASSWORD="+admin.Password, "SHOTS="+shots, "CHROMIUM="+browser,
		"NODE="+managed)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, tail(out.String(), 20000))
	}
	t.Logf("%s", out.String())
}
