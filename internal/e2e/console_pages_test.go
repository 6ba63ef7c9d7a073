package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// browserPrograms skips a test without what it takes to drive the console in a browser.
func browserPrograms(t *testing.T) (node, chromium string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed (Debian package nodejs)")
	}
	chromium, err = exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed (Debian package chromium)")
	}
	if _, err := os.Stat(filepath.Join("..", "..", "web", "node_modules", "playwright-core")); err != nil {
		t.Skip("the console was not built (make web)")
	}
	return node, chromium
}

// browse runs a test of web/test in a browser. SEKISHO_SHOTS names a folder that keeps the
// screenshots.
func (d *deployment) browse(t *testing.T, script string, env ...string) {
	t.Helper()
	node, chromium := browserPrograms(t)
	web, err := filepath.Abs("../../web")
	if err != nil {
		t.Fatal(err)
	}
	shots := os.Getenv("SEKISHO_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	var admin struct{ Password string }
	text, err := os.ReadFile(filepath.Join(d.dir, "admin.json"))
	if err == nil {
		err = json.Unmarshal(text, &admin)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, filepath.Join("test", script))
	cmd.Dir = web
	cmd.Env = append(append(cleanEnv(), "URL="+d.env["AWS_ENDPOINT_URL"], "PASSWORD="+admin.Password, "SHOTS="+shots, "CHROMIUM="+chromium), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, tail(out.String(), 20000))
	}
	t.Logf("%s", out.String())
}
