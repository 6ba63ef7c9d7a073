package yamldoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
)

// sample is AWS's schema in YAML as an author would write it.
const sample = `---
# Session preferences
schemaVersion: 1.0
description: 'It''s a sample: ログ'
sessionType: InteractiveCommands
inputs:
  runAsEnabled: true
  idleSessionTimeout: 05
  kmsKeyId: ""
  s3KeyPrefix: ~
parameters:
  logpath:
    type: String
    default: "/var/log/x.log"
    allowedPattern: ^[a-zA-Z0-9-_/]+(\.log)$
    allowedValues: [ /var/log/x.log, "/b:c" ]
    maxChars: 0x20
properties:
  linux:
    commands: |
      cd /tmp
      # not a comment
      tail -f {{ logpath }}
    runAsElevated: yes
  windows:
    commands:
      - Get-Date
      - >-
        folded
        text
`

const sampleJSON = `{"schemaVersion":1.0,"description":"It's a sample: ログ","sessionType":"InteractiveCommands",` +
	`"inputs":{"runAsEnabled":true,"idleSessionTimeout":5,"kmsKeyId":"","s3KeyPrefix":null},` +
	`"parameters":{"logpath":{"type":"String","default":"/var/log/x.log","allowedPattern":"^[a-zA-Z0-9-_/]+(\\.log)$","allowedValues":["/var/log/x.log","/b:c"],"maxChars":32}},` +
	`"properties":{"linux":{"commands":"cd /tmp\n# not a comment\ntail -f {{ logpath }}\n","runAsElevated":"yes"},"windows":{"commands":["Get-Date","folded text"]}}}`

func TestYAMLBecomesJSONInOrder(t *testing.T) {
	got, err := ToJSON([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleJSON, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestYAMLDocumentsAreParsed(t *testing.T) {
	c, err := Parse([]byte(strings.Replace(sample, "yes", `"true"`, 1)), YAML)
	if err != nil {
		t.Fatal(err)
	}
	if c.SessionType != document.InteractiveCommands || c.Properties.Linux == nil || !c.Properties.Linux.RunAsElevated || len(c.Warnings) != 0 {
		t.Errorf("content = %+v", c)
	}
	_, err = Parse([]byte(sample), YAML)
	wantError(t, err, "properties.linux.runAsElevated must be true or false.")
	if _, err := Parse([]byte(`{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{}}`), JSON); err != nil {
		t.Error(err)
	}
	// Quotes and line breaks take twice the room in JSON; the text's own size counts.
	long := "schemaVersion: '1.0'\nsessionType: InteractiveCommands\nproperties:\n  linux:\n    commands: |\n"
	long += strings.Repeat("      \"\n", (document.MaxContent-len(long))/8)
	if _, err := Parse([]byte(long), YAML); err != nil {
		t.Error(err)
	}
}

func TestYAMLTextsHaveTheExactAnswer(t *testing.T) {
	const head = "schemaVersion: '1.0'\nsessionType: Standard_Stream\n"
	for _, c := range []struct{ name, text, want string }{
		{"good", head + "inputs: {}\n", ""},
		{"JSON is YAML", `{"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {"kmsKeyId": ""}}`, ""},
		{"anchor", "schemaVersion: &v '1.0'\nsessionType: Standard_Stream\ndescription: *v\ninputs: {}\n", ""},
		{"tag", head + "inputs: {idleSessionTimeout: !!str 5}\n", ""},
		{"end mark", head + "inputs: {}\n...\n", ""},
		{"CRLF", strings.ReplaceAll(head+"inputs: {}\n", "\n", "\r\n"), ""},
		{"empty", "", "YAML not well-formed. The text is empty."},
		{"comment only", "# x\n", "YAML not well-formed. The text is empty."},
		{"text", "hello", "JSON not well-formed. at Line: 1, Column: 1"},
		{"two documents", head + "inputs: {}\n---\na: b\n", "YAML not well-formed. at Line: 5, Column: 2 There is more than one document."},
		{"not UTF-8", "a: \xff\n", "YAML not well-formed. The text is not UTF-8."},
		{"duplicate", head + "sessionType: Port\ninputs: {}\n", `Duplicate property "sessionType".`},
		{"duplicate inside", head + "inputs:\n  kmsKeyId: a\n  kmsKeyId: b\n", `Duplicate property "kmsKeyId". At inputs.kmsKeyId.`},
		{"merge key", "x: &x {a: b}\ny:\n  <<: *x\n", "YAML not well-formed. at Line: 3, Column: 3 A key must be plain text."},
		{"unknown alias", head + "inputs: *nothing\n", "YAML not well-formed. at Line: 3, Column: 9 There is no anchor \"nothing\" before its alias."},
		{"alias of itself", head + "inputs: &a {x: *a}\n", "YAML not well-formed. at Line: 3, Column: 16 The document is nested more than 32 levels deep."},
		{"binary", head + "description: !!binary aGk=\ninputs: {}\n", "YAML not well-formed. at Line: 3, Column: 14 The tag !!binary is not supported here."},
		{"own tag", head + "inputs: !thing {}\n", "YAML not well-formed. at Line: 3, Column: 9 The tag !thing is not supported here."},
		{"infinity", head + "inputs: {idleSessionTimeout: .inf}\n", "idleSessionTimeout must be between 1 and 60"},
		{"too large", strings.Repeat("#", document.MaxContent+1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), YAML)
			switch {
			case c.name == "too large":
				if !ssm.IsCode(err, document.CodeMaxSizeExceeded) {
					t.Errorf("error = %v", err)
				}
			case c.want != "":
				wantError(t, err, c.want)
			case err != nil:
				t.Error(err)
			}
		})
	}
	for name, text := range map[string]string{
		"open bracket": "a: [", "open quote": "a: 'x", "tab": "a:\n\t- b", "colons": "a: b: c", "undented": "a:\n    b: c\n   d: e\n",
	} {
		_, err := ToJSON([]byte(text))
		var e *ssm.Error
		if !errors.As(err, &e) || e.Code != document.CodeInvalidContent || !strings.HasPrefix(e.Message, "YAML not well-formed. at Line: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Ten aliases of ten aliases, and so on: 600 bytes that stand for ten thousand million.
func TestAliasesDoNotMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := '1'; i <= '9'; i++ {
		ref := "*a" + string(i-1)
		b.WriteString("a" + string(i) + ": &a" + string(i) + " [" + strings.TrimSuffix(strings.Repeat(ref+",", 10), ",") + "]\n")
	}
	_, err := ToJSON([]byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "too large when its aliases are replaced") {
		t.Errorf("error = %v", err)
	}
	// The same with one long text, which nodes alone do not bound.
	text := "a: &a " + strings.Repeat("x", 30_000) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 5_000), ",") + "]\n"
	_, err = ToJSON([]byte(text))
	if err == nil || !strings.Contains(err.Error(), "too large when its aliases are replaced") {
		t.Errorf("error = %v", err)
	}
}

func TestDepthIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 30_000), "braces": strings.Repeat("{a: ", 15_000), "dashes": strings.Repeat("- ", 30_000),
		"closed": strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "tags": strings.Repeat("!!str ", 10_000), "questions": strings.Repeat("? ", 30_000),
		"forty": strings.Repeat("[", 40) + strings.Repeat("]", 40), "indented": indented(200),
	} {
		if _, err := ToJSON([]byte(text)); !ssm.IsCode(err, document.CodeInvalidContent) {
			t.Errorf("%s: %v", name, err)
		}
		if json.Valid([]byte(text)) {
			if _, err := FromJSON([]byte(text)); !ssm.IsCode(err, document.CodeInvalidContent) {
				t.Errorf("%s from JSON: %v", name, err)
			}
		}
	}
}

func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestJSONBecomesYAMLThatPeopleRead(t *testing.T) {
	got, err := FromJSON([]byte(`{"schemaVersion":"1.0","description":"Öl: a","sessionType":"Standard_Stream","empty":{},"none":[],"nothing":null,"on":true,"n":1.50,
		"list":["a",["b c",{"d":"yes"}]],"properties":{"linux":{"commands":"cd /tmp\nls -l | wc","open":"a\nb\n","odd":"a\n\nb","tab":"a\n\tb","x y":"- a"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `schemaVersion: "1.0"
description: "Öl: a"
sessionType: Standard_Stream
empty: {}
none: []
nothing: null
"on": true
"n": 1.50
list:
  - a
  -
    - b c
    -
      d: "yes"
properties:
  linux:
    commands: |-
      cd /tmp
      ls -l | wc
    open: |
      a
      b
    odd: "a\n\nb"
    tab: "a\n\tb"
    x y: "- a"
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConvert(t *testing.T) {
	same, err := Convert([]byte("  {} \n"), JSON, JSON)
	if err != nil || string(same) != "  {} \n" {
		t.Errorf("same format: %q, %v", same, err)
	}
	got, err := Convert([]byte("b: 1.0\na: [x]\n"), YAML, JSON)
	if want := "{\n  \"b\": 1.0,\n  \"a\": [\n    \"x\"\n  ]\n}"; err != nil || string(got) != want {
		t.Errorf("to JSON: %s, %v", got, err)
	}
	got, err = Convert([]byte(`{"b":1.0}`), JSON, YAML)
	if err != nil || string(got) != "b: 1.0\n" {
		t.Errorf("to YAML: %s, %v", got, err)
	}
	if _, err := Convert(nil, JSON, "TEXT"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("to text: %v", err)
	}
	_, err = Convert([]byte("{"), JSON, YAML)
	wantError(t, err, "JSON not well-formed.")
}

// Every document that is built in means the same in YAML.
func TestBuiltinsSurviveYAML(t *testing.T) {
	for _, d := range document.Builtins() {
		text, _ := document.BuiltinText(d.Name)
		converted, err := FromJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(converted, YAML)
		if err != nil {
			t.Errorf("%s: %v\n%s", d.Name, err, converted)
			continue
		}
		want, _ := json.Marshal(d.Content)
		got, _ := json.Marshal(c)
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.Name, diff)
		}
	}
}

// FuzzToJSON: what converts is JSON of bounded size, and means the same after another
// round; nothing panics.
func FuzzToJSON(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("a: &x [1, 0x1f, 0o17, 1_000, -.inf, .nan, 1e3, +1, 2001-01-01]\nb: *x\n"))
	f.Add([]byte("? a\n: b\n? [c]\n: d\n"))
	f.Add([]byte("- |+\n  a\n\n- >\n  b\n  c\n- 'd\n  e'\n- !!str 1\n- \"\\u3042\\x41\\\n  x\"\n"))
	f.Add([]byte("%YAML 1.2\n---\na: !!map {}\n...\n"))
	f.Add([]byte("a: b\n  c: d"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ToJSON(text)
		if err != nil {
			wantAPIError(t, err)
			return
		}
		if !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("not JSON: %s", got)
		}
		if len(got) > maxOutput+8*document.MaxContent {
			t.Fatalf("%d bytes", len(got))
		}
	})
}

// FuzzFromJSON: a JSON text means the same after YAML.
func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(sampleJSON))
	f.Add([]byte(`{"a":"\u0085\u2028\ufeff\u007f\ud83d\ude00\u0000\t\r\n","b":" x ","c":"a: b #c","d":["","-","? x","!t","&a","*b","%","@","~","0x1","1.0","1e5","null","True","...","---"]}`))
	f.Add([]byte(`[1,-1.5,1e5,1E-30,2.5e+3,-0,0.0,18446744073709551615,[],{},{"":""},{"a b":{"c":[[]]}}]`))
	f.Add([]byte(`"a\nb\n"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 || !utf8.Valid(text) {
			return
		}
		converted, err := FromJSON(text)
		if err != nil {
			wantAPIError(t, err)
			return
		}
		back, err := ToJSON(converted)
		if err != nil {
			t.Fatalf("%v\n%s", err, converted)
		}
		if diff := cmp.Diff(decoded(t, text), decoded(t, back)); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s", diff, converted)
		}
	})
}

// decoded is the text with numbers by value: YAML may write them otherwise.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func wantError(t *testing.T, err error, message string) {
	t.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) || e.Code != document.CodeInvalidContent || e.Message != message {
		t.Errorf("error = %v, want %s", err, message)
	}
}

func wantAPIError(t *testing.T, err error) {
	t.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is not an API error", err)
	}
}
