package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/internal/store"
)

// recovered runs `sekishod recover` and gives the access key that it shows.
func recovered(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"recover", "--config", filepath.Join(dir, configName)}, args...), &stdout, &stderr)
	if code != 0 {
		t.Fatalf("recover: %d %s", code, stderr.String())
	}
	return regexp.MustCompile(`AKIA[A-Z2-7]{16}`).FindString(stdout.String())
}

func TestRecoverGivesAnAdministratorBack(t *testing.T) {
	dir := t.TempDir()
	cfg := defaultConfig()
	cfg, first, err := initialise(t.Context(), dir, cfg, nil, time.Now(), testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	second := recovered(t, dir)
	third := recovered(t, dir)
	rescue := recovered(t, dir, "--user", "rescue")
	db, err := openStore(t.Context(), cfg, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// A user has two keys at the most: the oldest goes.
	for id, owner := range map[string]string{first.AccessKeyID: "", second: adminName, third: adminName, rescue: "rescue"} {
		key, err := db.AccessKey(t.Context(), id)
		if owner == "" && err == nil || owner != "" && (err != nil || key.UserName != owner || !key.Active) {
			t.Errorf("key %s: %+v (%v), want one of %q", id, key, err, owner)
		}
	}
	for _, name := range []string{adminName, "rescue"} {
		policies, _, err := db.AttachedPolicies(t.Context(), store.Entity{Type: store.EntityUser, Name: name}, store.Page{})
		if err != nil || strings.Join(policies, " ") != administratorAccess {
			t.Errorf("policies of %s: %q (%v)", name, policies, err)
		}
	}
	role, err := db.Role(t.Context(), serviceRole)
	if err != nil || !strings.Contains(role.TrustPolicy, "ssm.amazonaws.com") {
		t.Errorf("role of nodes: %+v (%v)", role, err)
	}
	events, _, err := db.AuditEvents(t.Context(), store.AuditFilter{Actions: []string{"sekisho:RecoverAdministrator"}}, store.Page{})
	if err != nil || len(events) != 3 {
		t.Errorf("%d events (%v), want 3", len(events), err)
	}
	for _, bad := range [][]string{{"--user", "a b"}, {"--user", ""}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"recover", "--config", filepath.Join(dir, configName)}, bad...), &stdout, &stderr); code != 2 {
			t.Errorf("recover %q: %d", bad, code)
		}
	}
}

func TestAuditExportReadsItsTimes(t *testing.T) {
	dir := t.TempDir()
	cfg := defaultConfig()
	if _, _, err := initialise(t.Context(), dir, cfg, nil, time.Now(), testLogger(t)); err != nil {
		t.Fatal(err)
	}
	recovered(t, dir)
	export := func(args ...string) (lines int, code int) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), append([]string{"audit", "export", "--config", filepath.Join(dir, configName)}, args...), &stdout, &stderr)
		return strings.Count(stdout.String(), "\n"), code
	}
	tomorrow := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	for _, c := range []struct {
		args        []string
		lines, code int
	}{
		{nil, 1, 0},
		{[]string{"--since", "1h"}, 1, 0},
		{[]string{"--since", tomorrow}, 0, 0},
		{[]string{"--until", "1h"}, 0, 0},
		{[]string{"--since", "1h", "--until", tomorrow}, 1, 0},
		{[]string{"--since", "yesterday"}, 0, 2},
		{[]string{"--until", "-1h"}, 0, 2},
	} {
		if lines, code := export(c.args...); lines != c.lines || code != c.code {
			t.Errorf("audit export %q: %d lines, exit code %d", c.args, lines, code)
		}
	}
}
