package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the folder that programs builds into; TestMain removes it.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// programs is the folder with the programs under test. They are built with the race
// detector, so that whole conversations are watched by it too; SEKISHO_BIN names a folder
// with programs built before instead.
var programs = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("SEKISHO_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "sekisho-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	build := exec.Command("go", "build", "-race", "-o", dir+"/",
		"sekisho/cmd/sekishod", "sekisho/cmd/sekisho-agent", "sekisho/cmd/session-manager-plugin", "sekisho/cmd/sekisho")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs under test: %w\n%s", err, out)
	}
	return dir, nil
})

// bin is the path of one of our programs.
func bin(t testing.TB, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
