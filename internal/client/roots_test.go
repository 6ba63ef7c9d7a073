package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekisho/internal/client/clienttest"
)

func TestBundleIsTrusted(t *testing.T) {
	g := clienttest.New(t)
	for _, c := range []struct {
		name, bundle string
		ok           bool
	}{{"without", "", false}, {"with", g.Bundle(t), true}} {
		h, err := HTTPClient(c.bundle)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := h.Get(g.Server.URL)
		if err == nil {
			answer.Body.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("%s the bundle: %v", c.name, err)
		}
		h.CloseIdleConnections()
	}
}

func TestBadBundleIsNamed(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{junk, filepath.Join(t.TempDir(), "absent.pem")} {
		if _, err := HTTPClient(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBundleOfAProfile(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	text := "[default]\nregion = local-1\n[profile ops]\nca_bundle = /etc/ops.pem\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AWS_CONFIG_FILE": config}
	for profile, want := range map[string]string{"": "", "ops": "/etc/ops.pem", "absent": ""} {
		if got := ProfileBundle(testContext(t), profile, func(name string) string { return env[name] }); got != want {
			t.Errorf("profile %q has %q, want %q", profile, got, want)
		}
	}
}
