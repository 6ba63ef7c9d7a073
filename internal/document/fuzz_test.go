package document

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
)

// sameContent compares what is known of documents, also what is not exported.
var sameContent = cmp.AllowUnexported(Content{}, Parameter{}, member{})

// FuzzParse: what parses prints and parses to the same document, and resolves or is
// refused for its parameters; what does not has an API error.
func FuzzParse(f *testing.F) {
	for _, cases := range [][]documentCase{topCases(), inputCases(), parameterCases(), propertyCases()} {
		for _, c := range cases {
			f.Add([]byte(c.text))
		}
	}
	for _, b := range builtins() {
		f.Add([]byte(b.text))
	}
	f.Add([]byte(allTypes))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			wantAPIError(t, err)
			return
		}
		printed, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseConverted(printed)
		if err != nil {
			t.Fatalf("what is printed does not parse: %v\n%s", err, printed)
		}
		if diff := cmp.Diff(c, again, sameContent); diff != "" {
			t.Fatalf("parsed again (-want +got):\n%s", diff)
		}
		d := &Document{Name: "d", Content: *c}
		given := make(map[string][]string)
		for _, p := range c.Parameters {
			if p.Required {
				given[p.Name] = []string{"1"}
			}
		}
		r, err := d.Resolve(given)
		if err != nil {
			if !ssm.IsCode(err, ssm.CodeInvalidParameters) || len(c.Parameters) == 0 {
				t.Fatalf("a document that parses does not resolve: %v", err)
			}
			return
		}
		if len(r.Content) > MaxResolved || !json.Valid(r.Content) {
			t.Fatalf("what goes to the node: %d bytes", len(r.Content))
		}
		if c.SessionType != StandardStream || c.tree.get("properties") == nil {
			if _, err := ParseConverted(r.Content); err != nil {
				// What a value brought in may look like a placeholder; nothing else may fail.
				if !strings.Contains(string(printed), "{") || len(c.Parameters) == 0 {
					t.Fatalf("what goes to the node does not parse: %v\n%s", err, r.Content)
				}
			}
		}
	})
}

// FuzzInterpolate: every declared placeholder of the author's is replaced, once, by
// exactly the value, on each platform; the output is bounded.
func FuzzInterpolate(f *testing.F) {
	f.Add("ls {{ a }} {{b}}", "x", "y")
	f.Add("{{a}}", "$1 $$ {{ b }}", "{{a}}")
	f.Add("{{{a}}}{{ b}}}", "{", "}")
	f.Add("{{a}}{{b}}", "{{ssm:", "x}}")
	f.Add("{{ssm:x}}{{\n a\t}}", "{{ssm:y}}", "")
	f.Add("{{.Names}} {{a", "x", "\x00")
	f.Add(strings.Repeat("{{a}}", 300), strings.Repeat("z", 2000), "\x01")
	f.Fuzz(func(t *testing.T, template, a, b string) {
		commands, err := json.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		platform := `{"commands":` + string(commands) + `}`
		c, err := Parse([]byte(interactive(`{"a":{"type":"String"},"b":{"type":"String"}}`,
			`{"linux":`+platform+`,"windows":`+platform+`,"macOS":`+platform+`}`)))
		if err != nil {
			wantAPIError(t, err)
			return
		}
		r, err := (&Document{Name: "d", Content: *c}).Resolve(map[string][]string{"a": {a}, "b": {b}})
		if err != nil {
			if !ssm.IsCode(err, ssm.CodeInvalidParameters) {
				t.Fatal(err)
			}
			return
		}
		if len(r.Content) > MaxResolved {
			t.Fatalf("%d bytes", len(r.Content))
		}
		want := replaceOnce(strings.ToValidUTF8(template, "\ufffd"), map[string]string{"a": a, "b": b})
		for name, got := range map[string]*Commands{"linux": r.Properties.Linux, "windows": r.Properties.Windows, "macos": r.Properties.MacOS} {
			if got.Commands != want && utf8.ValidString(template) {
				t.Errorf("%s: %q, want %q", name, got.Commands, want)
			}
			if !strings.ContainsAny(a+b, "{}") && regexp.MustCompile(`\{\{\s*[ab]\s*\}\}`).MatchString(got.Commands) && !nested.MatchString(template) {
				t.Errorf("%s: a placeholder is left in %q", name, got.Commands)
			}
		}
	})
}

// nested finds placeholders inside braces, which may come together around a value:
// {{{{a}}}} with the value b is the author's text {{b}}.
var nested = regexp.MustCompile(`\{\{\{|\}\}\}|\{\s*\{\{|\}\}\s*\}`)

// replaceOnce is interpolation written a second time, by hand.
func replaceOnce(s string, values map[string]string) string {
	const space = " \t\n\f\r"
	var out strings.Builder
	for s != "" {
		if rest, ok := strings.CutPrefix(s, "{{"); ok {
			rest = strings.TrimLeft(rest, space)
			if rest != "" && values != nil {
				if _, known := values[rest[:1]]; known {
					if end := strings.TrimLeft(rest[1:], space); strings.HasPrefix(end, "}}") {
						out.WriteString(values[rest[:1]])
						s = end[2:]
						continue
					}
				}
			}
		}
		out.WriteByte(s[0])
		s = s[1:]
	}
	return out.String()
}

// FuzzPattern: what has no warning lets nothing through that a shell reads as syntax,
// and a dot is never a line terminator.
func FuzzPattern(f *testing.F) {
	for _, p := range guardedPatterns {
		f.Add(strings.ReplaceAll(p, `\\`, `\`), "abc")
	}
	for _, p := range []string{`^.*$`, `^[^a]+$`, `^\S+$`, `^a|b$`, `(^a$)|(;)`, `^(?i)k$`, `^\Qa;\E$`, `^(a?)*$`, `(?s)^.$`, `^[[:alpha:]]$`, `^(?!a)(?=[^)(]])x$`, `\A[a-z]+\z`, `(?m)^a$`, `^$`, `^()$`, `^a??$|^;?$`} {
		f.Add(p, ";")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		p, err := compilePattern(text)
		if err != nil {
			return
		}
		if !p.match(value) {
			return
		}
		if p.lets() == "" {
			for _, r := range value {
				if !inert(r) {
					t.Fatalf("%q lets %q of %q through without a warning", text, r, value)
				}
			}
		}
	})
}

func wantAPIError(t *testing.T, err error) {
	t.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) || e.Code != CodeInvalidContent && e.Code != CodeMaxSizeExceeded {
		t.Fatalf("%v is not an API error of a document", err)
	}
	if len(e.Message) > 16<<10 {
		t.Fatalf("the message has %d bytes", len(e.Message))
	}
}
