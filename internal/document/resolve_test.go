package document

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
)

func mustDocument(t *testing.T, text string) *Document {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &Document{Name: "Doc", Content: *c}
}

// allTypes declares one parameter of each type, with constraints.
const allTypes = `{"schemaVersion":"1.0","sessionType":"InteractiveCommands","parameters":{
	"word":{"type":"String","allowedPattern":"^[a-z]+$"},
	"action":{"type":"String","allowedValues":["Install","Uninstall"],"default":"Install"},
	"short":{"type":"String","minChars":2,"maxChars":3,"default":"ab"},
	"list":{"type":"StringList","minItems":1,"maxItems":2,"allowedPattern":"^[a-z]*$","default":["x"]},
	"flag":{"type":"Boolean","default":false},
	"count":{"type":"Integer","default":3,"allowedValues":[3,7]},
	"map":{"type":"StringMap","default":{"k":"v"},"maxItems":1},
	"maps":{"type":"MapList","default":[],"maxItems":2}},
	"properties":{"linux":{"commands":["{{ word }} {{action}} {{short}} {{ list }} {{flag}} {{count}}","{{list}}"],"runAsElevated":"{{flag}}"},
		"windows":{"commands":"{{ map }}/{{ maps }}/"},"macos":{"commands":"{{ word }}"}}}`

func TestParametersHaveTheExactAnswer(t *testing.T) {
	const word = "word"
	for _, c := range []struct {
		name  string
		given map[string][]string
		want  string // message; empty: taken
		linux string // the commands, if taken
	}{
		{"defaults", map[string][]string{word: {"a"}}, "", "a Install ab x false 3\nx"},
		{"missing", nil, `Parameters [word] must be provided`, ""},
		{"unknown", map[string][]string{word: {"a"}, "zz": {"1"}, "x": {"1"}}, `Parameter "x" is not defined in document.`, ""},
		{"name of other case", map[string][]string{"Word": {"a"}}, `Parameter "Word" is not defined in document.`, ""},
		{"no value", map[string][]string{word: {}}, `Parameter "word" must have one value, not 0.`, ""},
		{"two values", map[string][]string{word: {"a", "b"}}, `Parameter "word" must have one value, not 2.`, ""},
		{"not matching", map[string][]string{word: {"a b"}}, `Parameter "word" has value "a b" not matching "^[a-z]+$".`, ""},
		{"line break at the end", map[string][]string{word: {"a\n"}}, "Parameter \"word\" has value \"a\n\" not matching \"^[a-z]+$\".", ""},
		{"empty", map[string][]string{word: {""}}, `Parameter "word" has value "" not matching "^[a-z]+$".`, ""},
		{"NUL", map[string][]string{word: {"a\x00"}}, `Parameter "word" has a value that is not text.`, ""},
		{"not UTF-8", map[string][]string{word: {"a\xff"}}, `Parameter "word" has a value that is not text.`, ""},
		{"not among the values", map[string][]string{word: {"a"}, "action": {"install"}}, `Parameter "action" has value "install" not found in [Install, Uninstall].`, ""},
		{"among the values", map[string][]string{word: {"a"}, "action": {"Uninstall"}}, "", "a Uninstall ab x false 3\nx"},
		{"reference among values", map[string][]string{word: {"a"}, "action": {"{{ssm:x}}"}}, `Parameter "action" has value "{{ssm:x}}" not found in [Install, Uninstall].`, ""},
		{"too short", map[string][]string{word: {"a"}, "short": {"日"}}, `Parameter "short" has value "日" shorter than 2 characters.`, ""},
		{"too long", map[string][]string{word: {"a"}, "short": {"日本語圏"}}, `Parameter "short" has value "日本語圏" longer than 3 characters.`, ""},
		{"as long as may be", map[string][]string{word: {"a"}, "short": {"日本語"}}, "", "a Install 日本語 x false 3\nx"},
		{"reference with lengths", map[string][]string{word: {"a"}, "short": {"{{ssm:x}}"}}, `Parameter "short" has value "{{ssm:x}}" that cannot be checked against minChars and maxChars.`, ""},
		{"list", map[string][]string{word: {"a"}, "list": {"x", "y"}}, "", "a Install ab x, y false 3\nx\ny"},
		{"list too short", map[string][]string{word: {"a"}, "list": {}}, `Parameter "list" has 0 items, fewer than 1.`, ""},
		{"list too long", map[string][]string{word: {"a"}, "list": {"x", "y", "z"}}, `Parameter "list" has 3 items, more than 2.`, ""},
		{"item not matching", map[string][]string{word: {"a"}, "list": {"x", "y;z"}}, `Parameter "list" has value "y;z" not matching "^[a-z]*$".`, ""},
		{"reference in a list", map[string][]string{word: {"a"}, "list": {"{{ssm:x}}"}}, `Parameter "list" has value "{{ssm:x}}" not matching "^[a-z]*$".`, ""},
		{"boolean", map[string][]string{word: {"a"}, "flag": {"TRUE"}}, "", "a Install ab x true 3\nx"},
		{"not a boolean", map[string][]string{word: {"a"}, "flag": {"1"}}, `Parameter "flag" has value "1" that is not true or false.`, ""},
		{"integer", map[string][]string{word: {"a"}, "count": {"007"}}, "", "a Install ab x false 7\nx"},
		{"integer not among the values", map[string][]string{word: {"a"}, "count": {"8"}}, `Parameter "count" has value "8" not found in [3, 7].`, ""},
		{"not an integer", map[string][]string{word: {"a"}, "count": {"7;id"}}, `Parameter "count" has value "7;id" that is not a whole number.`, ""},
		{"map", map[string][]string{word: {"a"}, "map": {`{"b": [1, "x"]}`}}, "", "a Install ab x false 3\nx"},
		{"not a map", map[string][]string{word: {"a"}, "map": {`[1]`}}, `Parameter "map" has value "[1]" that is not a map in JSON.`, ""},
		{"broken map", map[string][]string{word: {"a"}, "map": {`{"b":1},"c":{`}}, `Parameter "map" has value "{"b":1},"c":{" that is not a map in JSON.`, ""},
		{"map too large", map[string][]string{word: {"a"}, "map": {`{"b":1,"c":2}`}}, `Parameter "map" has 2 items, more than 1.`, ""},
		{"list of maps", map[string][]string{word: {"a"}, "maps": {`[{"b":1},{}]`}}, "", "a Install ab x false 3\nx"},
		{"maps one by one", map[string][]string{word: {"a"}, "maps": {`{"b":1}`, `{}`}}, "", "a Install ab x false 3\nx"},
		{"one map", map[string][]string{word: {"a"}, "maps": {`{"b":1}`}}, "", "a Install ab x false 3\nx"},
		{"not maps", map[string][]string{word: {"a"}, "maps": {`{"b":1}`, `2`}}, `Parameter "maps" has value "2" that is not a list of maps in JSON.`, ""},
		{"not a list of maps", map[string][]string{word: {"a"}, "maps": {`[1]`}}, `Parameter "maps" has value "[1]" that is not a list of maps in JSON.`, ""},
		{"too many maps", map[string][]string{word: {"a"}, "maps": {`{}`, `{}`, `{}`}}, `Parameter "maps" has 3 items, more than 2.`, ""},
		{"long value is cut in the answer", map[string][]string{word: {strings.Repeat("A", 60000)}}, `Parameter "word" has value "` + strings.Repeat("A", 1024) + `…" not matching "^[a-z]+$".`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := mustDocument(t, allTypes).Resolve(c.given)
			if c.want != "" {
				wantError(t, err, ssm.CodeInvalidParameters, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.linux, r.Properties.Linux.Commands); diff != "" {
				t.Errorf("linux (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMapsAreJSONInCommands(t *testing.T) {
	r, err := mustDocument(t, allTypes).Resolve(map[string][]string{"word": {"a"}, "map": {`{ "z": [1.50, true, null] }`}, "maps": {`{"x":"<&>"}`}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"z":[1.50,true,null]}/[{"x":"<&>"}]/`
	if got := r.Properties.Windows.Commands; got != want {
		t.Errorf("windows = %s, want %s", got, want)
	}
}

func TestANodeGetsWhatItUnderstandsAndNothingToReplace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"commands", allTypes, `{"linux":{"commands":"w Install ab x true 3\nx","runAsElevated":true},
			"windows":{"commands":"{\"k\":\"v\"}/[]/","runAsElevated":false},
			"macos":{"commands":"w","runAsElevated":false}}`},
		{"streams", `{"schemaVersion":"1.0","sessionType":"NonInteractiveCommands","parameters":{"word":{"type":"String"},"flag":{"type":"String"}},
			"properties":{"macOS":{"commands":"{{word}}","separateOutputStream":"{{flag}}","stdOutSeparatorPrefix":"{{word}}:"}}}`,
			`{"macos":{"commands":"w","runAsElevated":false,"separateOutputStream":true,"stdOutSeparatorPrefix":"w:"}}`},
		{"port", `{"schemaVersion":"1.0","sessionType":"Port","parameters":{"word":{"type":"String"},"flag":{"type":"Boolean"}},
			"properties":{"portNumber":22,"host":"{{word}}.example","type":"LocalPortForwarding"}}`,
			`{"portNumber":"22","type":"LocalPortForwarding","host":"w.example"}`},
		{"shell", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","parameters":{"word":{"type":"String"},"flag":{"type":"Boolean"}},
			"inputs":{},"properties":{"x":"{{word}}"}}`, `null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := mustDocument(t, c.text).Resolve(map[string][]string{"word": {"w"}, "flag": {"true"}})
			if err != nil {
				t.Fatal(err)
			}
			var node map[string]any
			if err := json.Unmarshal(r.Content, &node); err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, node["properties"]); diff != "" {
				t.Errorf("properties (-want +got):\n%s", diff)
			}
			if _, ok := node["parameters"]; ok || len(r.Parameters) > 0 {
				t.Errorf("the node is left something to replace: %s, %v", r.Content, r.Parameters)
			}
		})
	}
}

func TestInputsAreInterpolatedWithTheirTypes(t *testing.T) {
	d := mustDocument(t, `{"schemaVersion":"1.0","sessionType":"Standard_Stream",
		"parameters":{"team":{"type":"String"},"on":{"type":"Boolean"},"minutes":{"type":"Integer"},"user":{"type":"String","default":"ops"}},
		"inputs":{"s3BucketName":"logs-{{team}}","s3EncryptionEnabled":"{{ on }}","cloudWatchStreamingEnabled":"{{on}}","runAsEnabled":"true",
		"runAsDefaultUser":"{{user}}","idleSessionTimeout":"{{minutes}}","maxSessionDuration":"1{{minutes}}","shellProfile":{"linux":"cd /{{team}}"}}}`)
	if d.Content.Inputs.S3EncryptionEnabled != true || d.Content.Inputs.S3BucketName != "logs-{{team}}" {
		t.Errorf("as written: %+v", d.Content.Inputs)
	}
	given := func(more ...string) map[string][]string {
		m := map[string][]string{"team": {"red"}, "on": {"false"}, "minutes": {"30"}}
		for i := 0; i+1 < len(more); i += 2 {
			m[more[i]] = []string{more[i+1]}
		}
		return m
	}
	r, err := d.Resolve(given())
	if err != nil {
		t.Fatal(err)
	}
	want := defaultInputs()
	want.S3BucketName, want.S3EncryptionEnabled, want.CloudWatchStreamingEnabled = "logs-red", false, false
	want.RunAsEnabled, want.RunAsDefaultUser = true, "ops"
	want.IdleSessionTimeout, want.MaxSessionDuration, want.ShellProfile.Linux = "30", "130", "cd /red"
	if diff := cmp.Diff(want, r.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if r.IdleTimeout != 30*time.Minute || r.MaxDuration != 130*time.Minute {
		t.Errorf("idle %v, maximum %v", r.IdleTimeout, r.MaxDuration)
	}
	for name, c := range map[string]struct{ parameter, value, want string }{
		"idle":   {"minutes", "61", "idleSessionTimeout must be between 1 and 60"},
		"bucket": {"team", "a b", "inputs.s3BucketName must be the name of a bucket: letters, digits, hyphens, underscores and dots."},
		"user":   {"user", "ops$(id)", `inputs.runAsDefaultUser must be the name of a user: letters, digits and _ - . @ + \, not beginning with - or +.`},
	} {
		_, err := d.Resolve(given(c.parameter, c.value))
		if t.Run(name, func(t *testing.T) { wantError(t, err, ssm.CodeInvalidParameters, c.want) }); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestDocumentsWithoutInputsTakeThePreferences(t *testing.T) {
	preferences := Inputs{KmsKeyID: "alias/k", IdleSessionTimeout: "7", MaxSessionDuration: "90", RunAsEnabled: true}
	with := mustDocument(t, `{"schemaVersion":"1.0","sessionType":"Port","inputs":{"kmsKeyId":"own"},"properties":{"portNumber":"22"}}`)
	without := mustDocument(t, `{"schemaVersion":"1.0","sessionType":"Port","properties":{"portNumber":"22"}}`)
	if without.Content.HasInputs || !with.Content.HasInputs {
		t.Fatal("HasInputs is wrong")
	}
	r, err := without.ResolveWith(nil, preferences)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(preferences, r.Inputs); diff != "" || r.IdleTimeout != 7*time.Minute || r.MaxDuration != 90*time.Minute {
		t.Errorf("idle %v, maximum %v, inputs (-want +got):\n%s", r.IdleTimeout, r.MaxDuration, diff)
	}
	r, err = with.ResolveWith(nil, preferences)
	if err != nil {
		t.Fatal(err)
	}
	if r.Inputs.KmsKeyID != "own" || r.IdleTimeout != DefaultIdleTimeout || r.MaxDuration != 0 {
		t.Errorf("own inputs: %+v", r)
	}
	r, err = without.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaultInputs(), r.Inputs); diff != "" {
		t.Errorf("no preferences (-want +got):\n%s", diff)
	}
}

func TestPortsAreCheckedAfterInterpolation(t *testing.T) {
	d := mustDocument(t, port(`{"n":{"type":"String"}}`, `{"portNumber":"{{n}}"}`))
	_, err := d.Resolve(map[string][]string{"n": {"99999"}})
	wantError(t, err, ssm.CodeInvalidParameters, "properties.portNumber must be a number between 1 and 65535.")
	d = mustDocument(t, interactive(`{"c":{"type":"String"}}`, `{"linux":{"commands":" {{c}}"}}`))
	_, err = d.Resolve(map[string][]string{"c": {" "}})
	wantError(t, err, ssm.CodeInvalidParameters, "properties.linux.commands must not be empty.")
}

func TestValuesAreNotLookedAtAgain(t *testing.T) {
	d := mustDocument(t, interactive(`{"a":{"type":"String"},"b":{"type":"String"}}`,
		`{"linux":{"commands":"{{a}}|{{ b }}|{{b}}"},"windows":{"commands":"{{a}}"},"macos":{"commands":"{{{a}}}"}}`))
	r, err := d.Resolve(map[string][]string{"a": {"{{ b }}$1$$"}, "b": {"{{a}} {{ssm:x}} $0"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "{{ b }}$1$$|{{a}} {{ssm:x}} $0|{{a}} {{ssm:x}} $0"
	if got := r.Properties.Linux.Commands; got != want {
		t.Errorf("linux = %s, want %s", got, want)
	}
	if got := r.Properties.Windows.Commands; got != "{{ b }}$1$$" {
		t.Errorf("windows = %s", got)
	}
	if got := r.Properties.MacOS.Commands; got != "{{{ b }}$1$$}" {
		t.Errorf("macos = %s", got)
	}
	if diff := cmp.Diff([]string{"x"}, r.SSMParameters); diff != "" {
		t.Errorf("SSM parameters (-want +got):\n%s", diff)
	}
}

func TestReferencesUnderAPatternAreLeftToTheNode(t *testing.T) {
	d := mustDocument(t, interactive(`{"p":{"type":"String","allowedPattern":"^[a-z]+$"},"q":{"type":"String"}}`,
		`{"linux":{"commands":"ls {{p}} {{q}} {{ssm:fixed}}"},"windows":{"commands":"{{p}}"}}`))
	r, err := d.Resolve(map[string][]string{"p": {"{{ ssm:/dir:2 }}"}, "q": {"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Properties.Linux.Commands; got != "ls {{ p }} x {{ssm:fixed}}" {
		t.Errorf("linux = %s", got)
	}
	if got := r.Properties.Windows.Commands; got != "{{ p }}" {
		t.Errorf("windows = %s", got)
	}
	if diff := cmp.Diff(map[string]string{"p": "{{ ssm:/dir:2 }}"}, r.Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/dir:2", "fixed"}, r.SSMParameters); diff != "" {
		t.Errorf("SSM parameters (-want +got):\n%s", diff)
	}
	var node struct {
		Parameters map[string]map[string]string `json:"parameters"`
	}
	if err := json.Unmarshal(r.Content, &node); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]map[string]string{"p": {"type": "String", "allowedPattern": "^[a-z]+$"}}, node.Parameters); diff != "" {
		t.Errorf("declared to the node (-want +got):\n%s", diff)
	}
	for name, given := range map[string]map[string][]string{
		"more than a reference":    {"p": {"{{ssm:x}};id"}, "q": {"x"}},
		"two references":           {"p": {"{{ssm:x}}{{ssm:y}}"}, "q": {"x"}},
		"another value names it":   {"p": {"{{ssm:x}}"}, "q": {"{{ p }}"}},
		"another value, no spaces": {"p": {"{{ssm:x}}"}, "q": {"{{p}}"}},
	} {
		if r, err := d.Resolve(given); !ssm.IsCode(err, ssm.CodeInvalidParameters) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// A stock agent cannot check a pattern that its engine does not read.
func TestReferencesUnderAPatternOnlyWeUnderstandAreRefused(t *testing.T) {
	d := mustDocument(t, withPattern(`^(?!root$)[a-z]+$`))
	if _, err := d.Resolve(map[string][]string{"p": {"ops"}}); err != nil {
		t.Fatal(err)
	}
	_, err := d.Resolve(map[string][]string{"p": {"root"}})
	wantError(t, err, ssm.CodeInvalidParameters, `Parameter "p" has value "root" not matching "^(?!root$)[a-z]+$".`)
	_, err = d.Resolve(map[string][]string{"p": {"{{ssm:x}}"}})
	wantError(t, err, ssm.CodeInvalidParameters, `Parameter "p" has value "{{ssm:x}}" not matching "^(?!root$)[a-z]+$".`)
}

func TestTwoValuesCannotSpellAReference(t *testing.T) {
	d := mustDocument(t, interactive(`{"a":{"type":"String","allowedPattern":"^[{a-z:]+$"},"b":{"type":"String","allowedPattern":"^[a-z}]+$"}}`,
		`{"linux":{"commands":"echo {{a}}{{b}}"}}`))
	_, err := d.Resolve(map[string][]string{"a": {"{{ssm:"}, "b": {"secret}}"}})
	wantError(t, err, ssm.CodeInvalidParameters, "The values of parameters make a reference of their own. At properties.linux.commands.")
	if _, err := d.Resolve(map[string][]string{"a": {"{{"}, "b": {"secret}}"}}); err != nil {
		t.Errorf("braces that spell nothing: %v", err)
	}
}

func TestInterpolationIsBounded(t *testing.T) {
	d := mustDocument(t, interactive(`{"a":{"type":"String"}}`,
		`{"linux":{"commands":"`+strings.Repeat("{{a}}", 10_000)+`x"}}`))
	_, err := d.Resolve(map[string][]string{"a": {strings.Repeat("y", 65535)}})
	wantError(t, err, ssm.CodeInvalidParameters, "The parameters make the document larger than 256 KB.")
	// Characters that JSON writes with six.
	d = mustDocument(t, interactive(`{"a":{"type":"String"}}`, `{"linux":{"commands":"{{a}}"}}`))
	_, err = d.Resolve(map[string][]string{"a": {strings.Repeat("\x01", 65535)}})
	wantError(t, err, ssm.CodeInvalidParameters, "The parameters make the document larger than 256 KB.")
	if _, err := d.Resolve(map[string][]string{"a": {strings.Repeat("y", 65535)}}); err != nil {
		t.Errorf("the longest value that StartSession takes: %v", err)
	}
}
