package document

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

// hostile are values that a shell would do something with. CANARY stands for a file
// that comes into being if it does.
var hostile = []string{
	"; touch CANARY", "&& touch CANARY", "| touch CANARY", "|| touch CANARY", "& touch CANARY",
	"$(touch CANARY)", "`touch CANARY`", "${x:=$(touch CANARY)}", "$((`touch CANARY`))",
	"\ntouch CANARY", "\rtouch CANARY", "\r\ntouch CANARY\n", "a\n", "\n", "a\ntouch CANARY #",
	"> CANARY", ">> CANARY", "< /dev/null > CANARY", "2>CANARY", "<(touch CANARY)",
	"' ; touch CANARY ; '", `" ; touch CANARY ; "`, `\" ; touch CANARY ; \"`, `\'; touch CANARY; \'`,
	"*", "?", "[a-z]*", "~", "~root", "{a,b}", "!!", "!touch", "#", "# x", "%PATH%", "$HOME", "$PATH", "$1", "$$", "$?", "$@",
	"\\", "\\\n", "a\\", "'", `"`, "`", "(", ")", "()", "{", "}", "{ touch CANARY; }", "(touch CANARY)", "if true; then touch CANARY; fi",
	"\x1b[A", "\x03", "\x04", "\x07", "\t", "\v", "\f", "\u0085", "\u2028", "\u2019;touch CANARY;\u2019", "\uff1btouch CANARY",
	"EOF\ntouch CANARY\nEOF", "x; exec touch CANARY", "^touch CANARY", "a=b; touch CANARY", "-x; touch CANARY", "{{ other }}", "{{ssm:x}};touch CANARY",
	"a\u0000; touch CANARY", "\xff; touch CANARY", strings.Repeat("a", 500) + "; touch CANARY",
}

// harmless are values that each pattern of harmlessPatterns may take, and that a
// command must get as they are.
var harmless = []string{"a", "abc", "a-b_c.d", "/var/log/x.log", "a=b", "1,2", "user@host", "a+b", "日本", "x:y"}

// guardedPatterns are allowedPatterns without a warning.
var guardedPatterns = []string{
	`^[A-Za-z0-9_./=,@+:-]+$`, `^(start|stop|abc)$`, `^start$|^abc$`, `^[\\p{L}0-9_./=,@+:-]{1,400}$`, `^(?!root)[a-z/._0-9-]+$`,
	`^[a-zA-Z0-9-_/]+(\\.log)$`, `^(?:[a-z]+)(?:[-.][a-z]+)*$`, `(?i)^[a-z]+$`,
}

// TestWithoutAWarningNoValueBecomesShellSyntax runs what a document without warnings
// resolves to, for each hostile value that gets so far.
func TestWithoutAWarningNoValueBecomesShellSyntax(t *testing.T) {
	sh := realShell(t)
	ran := 0
	for _, pattern := range guardedPatterns {
		// Unquoted, in each kind of quotes, and in a list of lines.
		d := mustDocument(t, interactive(`{"p":{"type":"String","allowedPattern":"`+pattern+`"}}`,
			`{"linux":{"commands":["printf '%s\\n' {{ p }}","printf '%s\\n' '{{p}}'","printf '%s\\n' \"{{p}}\""]}}`))
		if len(d.Content.Warnings) > 0 {
			t.Fatalf("%s: %v", pattern, d.Content.Warnings)
		}
		for _, value := range append(append([]string{}, hostile...), harmless...) {
			r, err := d.Resolve(map[string][]string{"p": {value}})
			if err != nil {
				if !ssm.IsCode(err, ssm.CodeInvalidParameters) {
					t.Errorf("%s: %q: %v", pattern, value, err)
				}
				continue
			}
			ran++
			out := runShell(t, sh, r.Properties.Linux.Commands)
			if want := strings.Repeat(value+"\n", 3); out != want {
				t.Errorf("%s: %q came out as %q", pattern, value, out)
			}
		}
	}
	if ran < 2*len(guardedPatterns) {
		t.Errorf("%d commands ran, so the test shows little", ran)
	}
}

// The other half of the rule: what does run other commands has a warning. That some do
// shows that the canary sings.
func TestWhatRunsOtherCommandsHasAWarning(t *testing.T) {
	sh := realShell(t)
	for _, pattern := range []string{"", `[a-z]+`, `^[a-z]+`, `[a-z]+$`, `^.*$`, `^(?s:.*)$`, `^[^x]*$`, `^[a-z$() ]+$`, "^[a-z`A-Z ]+$", `(?m)^[a-z]+$`, `^[a-z\\s]+$`, `^[ -~]+$`} {
		d := mustDocument(t, interactive(`{"p":{"type":"String","allowedPattern":"`+pattern+`"}}`, `{"linux":{"commands":"printf %s {{ p }}"}}`))
		sang := false
		for _, value := range hostile {
			value = strings.ReplaceAll(value, "CANARY", "canary")
			r, err := d.Resolve(map[string][]string{"p": {value}})
			if err != nil {
				continue
			}
			dir := t.TempDir()
			cmd := exec.Command(sh, "-c", r.Properties.Linux.Commands)
			cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin"}
			_ = cmd.Run() // hostile values are mostly syntax errors as well
			if _, err := os.Stat(filepath.Join(dir, "canary")); err == nil {
				sang = true
				break
			}
		}
		if len(d.Content.Warnings) != 1 {
			t.Errorf("%q: warnings %v", pattern, d.Content.Warnings)
		}
		if !sang && pattern != `^[a-z\\s]+$` && pattern != `^[^x]*$` && pattern != `^[a-z]+` {
			t.Errorf("%q: no value ran another command, so the test shows nothing", pattern)
		}
	}
}

func TestAllowedValuesNeedNoPattern(t *testing.T) {
	sh := realShell(t)
	d := mustDocument(t, interactive(`{"p":{"type":"String","allowedValues":["a b","c"]}}`, `{"linux":{"commands":"printf '%s\\n' {{ p }}"}}`))
	for _, value := range hostile {
		if _, err := d.Resolve(map[string][]string{"p": {value}}); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
	r, err := d.Resolve(map[string][]string{"p": {"a b"}})
	if err != nil {
		t.Fatal(err)
	}
	if out := runShell(t, sh, r.Properties.Linux.Commands); out != "a\nb\n" {
		t.Errorf("output %q", out)
	}
}

func TestNumbersAndBooleansAreNoSyntax(t *testing.T) {
	d := mustDocument(t, interactive(`{"n":{"type":"Integer"},"b":{"type":"Boolean"}}`, `{"linux":{"commands":"echo {{ n }} {{b}}"}}`))
	for _, value := range hostile {
		if _, err := d.Resolve(map[string][]string{"n": {"1"}, "b": {value}}); err == nil {
			t.Errorf("boolean %q is taken", value)
		}
		if _, err := d.Resolve(map[string][]string{"n": {value}, "b": {"true"}}); err == nil {
			t.Errorf("integer %q is taken", value)
		}
	}
}

// Whatever a value is, it comes out of JSON on the node as it went in.
func TestValuesSurviveTheWayToTheNode(t *testing.T) {
	d, _ := Builtin("AWS-StartInteractiveCommand")
	for _, value := range hostile {
		r, err := d.Resolve(map[string][]string{"command": {value}})
		if err != nil {
			if strings.TrimSpace(strings.ToValidUTF8(value, "")) != "" && !strings.Contains(value, "\x00") && utf8.ValidString(value) {
				t.Errorf("%q: %v", value, err)
			}
			continue
		}
		var node struct {
			Properties map[string]struct{ Commands string }
		}
		if err := json.Unmarshal(r.Content, &node); err != nil {
			t.Fatal(err)
		}
		for platform, p := range node.Properties {
			if p.Commands != value {
				t.Errorf("%s gets %q, want %q", platform, p.Commands, value)
			}
		}
	}
}

func realShell(t *testing.T) string {
	t.Helper()
	const sh = "/bin/sh"
	if _, err := os.Stat(sh); err != nil {
		t.Skip("no /bin/sh: ", err)
	}
	return sh
}

// runShell runs a command that must succeed, with an empty directory around it.
func runShell(t *testing.T, sh, command string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(sh, "-c", command)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%q: %v", command, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 {
		t.Errorf("%q left %v", command, files)
	}
	return string(out)
}
