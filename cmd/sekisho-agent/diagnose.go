package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sekisho/internal/agent"
)

const diagnoseHelp = `Usage: sekisho-agent diagnose [--dir DIR] [--session-user USER] [--json]

Checks everything that a session on this machine needs, from the registration to a shell,
and says what to do about what is missing. An agent that runs is not disturbed, and nothing
is changed. The exit status is 0 when nothing failed, else 1. The language is that of the
locale: English or Japanese.

Examples:
  sudo sekisho-agent diagnose
  sekisho-agent diagnose --dir ./node --session-user ""
  sekisho-agent diagnose --json | jq '.[] | select(.Verdict == "failed")'
`

func diagnose(ctx context.Context, w world, args []string) error {
	fs := flags(w, diagnoseHelp)
	ex := agent.Examination{Japanese: japanese(w.getenv)}
	fs.StringVar(&ex.Dir, "dir", agent.DefaultDir(), "`directory` of the registration")
	fs.StringVar(&ex.SessionUser, "session-user", agent.DefaultSessionUser, "local `user` of sessions, as `run` has it")
	asJSON := fs.Bool("json", false, "print JSON: a list of findings")
	if err := parse(w, fs, args); err != nil {
		return err
	}
	var all []agent.Finding
	show := func(f agent.Finding) { fmt.Fprint(w.stdout, findingText(f, ex.Japanese)) }
	if *asJSON {
		show = func(f agent.Finding) { all = append(all, f) }
	}
	good := agent.Diagnose(ctx, ex, show)
	if *asJSON {
		encoder := json.NewEncoder(w.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(all); err != nil {
			return err
		}
	}
	if !good {
		return errReported
	}
	return nil
}

// findingText is a finding for people: the advice stands below what it is about.
func findingText(f agent.Finding, japanese bool) string {
	mark := map[agent.Verdict]string{agent.OK: "ok     ", agent.Warning: "WARNING", agent.Failed: "FAILED ", agent.Skipped: "-      "}[f.Verdict]
	if japanese {
		mark = map[agent.Verdict]string{agent.OK: "正常", agent.Warning: "注意", agent.Failed: "失敗", agent.Skipped: "省略"}[f.Verdict]
	}
	text := fmt.Sprintf("%s  %-15s  %s\n", mark, f.Check, f.Text)
	if f.Advice != "" {
		text += strings.Repeat(" ", 9) + "→ " + f.Advice + "\n"
	}
	return text
}

// japanese says whether the locale asks for Japanese, by the variables in the order that
// POSIX gives them.
func japanese(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			language, _, _ := strings.Cut(locale, "_")
			language, _, _ = strings.Cut(language, ".")
			return language == "ja"
		}
	}
	return false
}
