package main

import (
	"bytes"
	"context"
	"flag"
	"strings"
	"testing"
)

// Every verb explains itself, with an example, and no two flags of one have one name.
func TestEveryVerbHasHelp(t *testing.T) {
	for _, v := range verbs() {
		if v.what == "" || len(v.examples) == 0 {
			t.Errorf("%s has no help or no example", v.name)
		}
		for _, e := range v.examples {
			if !strings.Contains(e, "sekisho") {
				t.Errorf("%s: the example %q is of something else", v.name, e)
			}
		}
		var f flag.FlagSet
		new(options).flags(&f)
		if v.flags != nil {
			v.flags(&f)
		}
		var b bytes.Buffer
		v.help(&b, &f)
		if !strings.Contains(b.String(), "--output") || !strings.Contains(b.String(), v.what) {
			t.Errorf("help of %s:\n%s", v.name, &b)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	for _, args := range [][]string{
		{"no-such-verb"}, {"sessions", "no-such-verb"}, {"nodes"}, {"replay", "--speed", "x", "id"}, {"completion", "tcsh"},
		{"recordings", "verify"}, {"nodes", "--output", "xml"}, {"nodes", "--no-such-flag"},
	} {
		if code := run(args); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var b bytes.Buffer
		if err := complete(context.Background(), &caller{stdout: &b}, []string{shell}); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"connect", "replay", "recordings", "search", "terminate"} {
			if !strings.Contains(b.String(), word) {
				t.Errorf("%s: no %q in\n%s", shell, word, &b)
			}
		}
	}
}

// What others wrote does not command the operator's terminal.
func TestTablesHaveNoControls(t *testing.T) {
	var b bytes.Buffer
	c := &caller{stdout: &b, options: options{output: "text"}}
	if err := c.print(nil, "A B", [][]string{{"x\x1b[2J", "日本"}}); err != nil || strings.ContainsRune(b.String(), 0x1b) || !strings.Contains(b.String(), "日本") {
		t.Errorf("%q, %v", &b, err)
	}
}

func TestQuote(t *testing.T) {
	if got := quote("it's 100%"); got != `'it'\''s 100%%'` {
		t.Errorf("%s", got)
	}
}
