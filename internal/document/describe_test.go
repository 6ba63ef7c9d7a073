package document

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
)

func TestHashIsOfTheTextAsSubmitted(t *testing.T) {
	// printf '{}' | sha256sum
	if got, want := Hash([]byte("{}")), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"; got != want {
		t.Errorf("hash = %s, want %s", got, want)
	}
	if Hash([]byte(guide)) == Hash([]byte(guide+" ")) {
		t.Error("a space makes no difference")
	}
}

func TestNames(t *testing.T) {
	const pattern = `^[a-zA-Z0-9_\-.]{3,128}$`
	for name, want := range map[string]string{
		"SSM-SessionManagerRunShell": "", "abc": "", "a.b_c-1": "", strings.Repeat("a", 128): "", "my-aws": "", "am": "-", "": "-",
		strings.Repeat("a", 129): "-", "a b": "-", "a/b": "-", "名前です": "-", "abc\n": "-",
		"AWS-StartSSHSession": "aws", "aws": "aws", "AwsThing": "aws", "AWSEC2-x": "aws", "AWSSupport-x": "aws", "amazon-x": "amazon", "AmznDoc": "amzn",
	} {
		err := CheckName(name)
		switch want {
		case "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case "-":
			wantError(t, err, ssm.CodeValidation, "1 validation error detected: Value '"+name+"' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: "+pattern)
		default:
			wantError(t, err, ssm.CodeValidation, "Document name cannot start with the reserved prefix '"+want+"'.")
		}
	}
}

func TestTargetTypes(t *testing.T) {
	for _, target := range []string{"/", "/AWS::EC2::Instance", "/a-b.c/d"} {
		if err := CheckTargetType(target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	wantError(t, CheckTargetType("AWS::EC2::Instance"), ssm.CodeValidation,
		`1 validation error detected: Value 'AWS::EC2::Instance' at 'targetType' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\/[\w\.\-\:\/]*$`)
	long := "/" + strings.Repeat("a", 200)
	wantError(t, CheckTargetType(long), ssm.CodeValidation,
		"1 validation error detected: Value '"+long+"' at 'targetType' failed to satisfy constraint: Member must have length less than or equal to 200")
}

func TestPatternsOfTheModelCompile(t *testing.T) {
	for _, p := range []string{NamePattern, VersionNamePattern, VersionPattern, VersionNumberPattern, DisplayNamePattern, TargetTypePattern} {
		if _, err := regexp.Compile(p); err != nil {
			t.Error(err)
		}
	}
}

func TestPlatformTypes(t *testing.T) {
	for text, want := range map[string][]string{
		guide:                             {"Windows", "Linux", "MacOS"},
		port(`{}`, `{"portNumber":"22"}`): {"Windows", "Linux", "MacOS"},
		nonInteractive(`{"linux":{"commands":"a"}}`):                                                        {"Linux"},
		interactive(`{}`, `{"macOS":{"commands":"a"},"windows":{"commands":"a"}}`):                          {"Windows", "MacOS"},
		interactive(`{}`, `{"macos":{"commands":"a"},"linux":{"commands":"a"},"windows":{"commands":"a"}}`): {"Windows", "Linux", "MacOS"},
	} {
		if diff := cmp.Diff(want, mustDocument(t, text).Content.PlatformTypes()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParametersAreDescribedInOrder(t *testing.T) {
	d := mustDocument(t, allTypes)
	want := []ParameterDescription{
		{Name: "word", Type: "String"},
		{Name: "action", Type: "String", DefaultValue: "Install"},
		{Name: "short", Type: "String", DefaultValue: "ab"},
		{Name: "list", Type: "StringList", DefaultValue: `["x"]`},
		{Name: "flag", Type: "String", DefaultValue: "false"},
		{Name: "count", Type: "String", DefaultValue: "3"},
		{Name: "map", Type: "String", DefaultValue: `{"k":"v"}`},
		{Name: "maps", Type: "String", DefaultValue: `[]`},
	}
	if diff := cmp.Diff(want, d.Content.Describe()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"3", "7"}, d.Content.parameter("count").AllowedValues()); diff != "" {
		t.Errorf("allowed values (-want +got):\n%s", diff)
	}
}

func TestOutlinesOfOtherDocuments(t *testing.T) {
	o, err := ParseOutline("Command", []byte(`{"schemaVersion":"2.2","description":"d","parameters":{"a":{"type":"StringList","description":"x","default":["y"]},"b":{"type":"String","default":"z"},"c":1},"mainSteps":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Outline{"2.2", "d", []ParameterDescription{{"a", "StringList", "x", `["y"]`}, {"b", "String", "", "z"}}}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := ParseOutline("ApplicationConfiguration", []byte(`{"anything":[1]}`)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ documentType, text, want string }{
		{"Command", guide, `Missing "runtimeConfig" in the document.`},
		{"Command", `{"schemaVersion":"2.2"}`, `Missing "mainSteps" in the document.`},
		{"Command", `{"schemaVersion":"3.0","mainSteps":[]}`, "Document schema version is invalid. Value: 3.0"},
		{"Command", `{"mainSteps":[]}`, "Document schema version is missing."},
		{"Automation", `{"schemaVersion":"2.2","mainSteps":[]}`, "Document schema version is invalid. Value: 2.2"},
		{"Automation", `{"schemaVersion":"0.3"}`, `Missing "mainSteps" in the document.`},
		{"Policy", `x`, "JSON not well-formed. at Line: 1, Column: 1"},
		{"Command", `{"schemaVersion":"2.2","description":1,"mainSteps":[]}`, "description must be a string."},
	} {
		_, err := ParseOutline(c.documentType, []byte(c.text))
		wantError(t, err, CodeInvalidContent, c.want)
	}
}

// The facts of AWS's own documents (api.md §8).
func TestBuiltins(t *testing.T) {
	type fact struct {
		Type       string
		Parameters []string // "name default", in order
		Properties string   // as the node gets them, with these parameters given
		Given      map[string][]string
		Warned     bool
	}
	same := func(commands string) string {
		return `{"linux":` + commands + `,"windows":` + commands + `,"macos":` + commands + `}`
	}
	want := map[string]fact{
		"AWS-PasswordReset": {InteractiveCommands, []string{"username "},
			`{"linux":{"commands":"passwd taro","runAsElevated":true},
			"macos":{"commands":"passwd taro","runAsElevated":true},
			"windows":{"commands":"net user 'taro' *","runAsElevated":true}}`,
			map[string][]string{"username": {"taro"}}, false},
		"AWS-StartInteractiveCommand": {InteractiveCommands, []string{"command "},
			same(`{"commands":"ls -l | wc","runAsElevated":false}`),
			map[string][]string{"command": {"ls -l | wc"}}, true},
		"AWS-StartNonInteractiveCommand": {NonInteractiveCommands, []string{"command ", "separateOutputStream false", "stdOutSeparatorPrefix STD_OUT:", "stdErrSeparatorPrefix STD_ERR:"},
			same(`{"commands":"ls","runAsElevated":false,"separateOutputStream":true,"stdOutSeparatorPrefix":"STD_OUT:","stdErrSeparatorPrefix":"e\r\n"}`),
			map[string][]string{"command": {"ls"}, "separateOutputStream": {"true"}, "stdErrSeparatorPrefix": {"e\r\n"}}, true},
		"AWS-StartPortForwardingSession": {Port, []string{"portNumber 80", "localPortNumber 0"},
			`{"portNumber":"80","type":"LocalPortForwarding","localPortNumber":"0"}`, nil, false},
		"AWS-StartPortForwardingSessionToRemoteHost": {Port, []string{"host localhost", "portNumber 80", "localPortNumber 0"},
			`{"portNumber":"5432","type":"LocalPortForwarding","localPortNumber":"0","host":"db.example"}`,
			map[string][]string{"host": {"db.example"}, "portNumber": {"5432"}}, false},
		"AWS-StartSSHSession": {Port, []string{"portNumber 22"}, `{"portNumber":"22"}`, nil, false},
	}
	got := make(map[string]fact)
	for _, d := range Builtins() {
		w := want[d.Name]
		f := fact{Type: d.Content.SessionType, Given: w.Given, Warned: len(d.Content.Warnings) > 0}
		for _, p := range d.Content.Describe() {
			f.Parameters = append(f.Parameters, p.Name+" "+p.DefaultValue)
		}
		r, err := d.Resolve(w.Given)
		if err != nil {
			t.Errorf("%s: %v", d.Name, err)
			continue
		}
		var node struct{ Properties json.RawMessage }
		if err := json.Unmarshal(r.Content, &node); err != nil {
			t.Fatal(err)
		}
		f.Properties = canonical(t, string(node.Properties))
		w.Properties = canonical(t, w.Properties)
		want[d.Name] = w
		got[d.Name] = f
		if diff := cmp.Diff([]string{"Windows", "Linux", "MacOS"}, d.Content.PlatformTypes()); diff != "" {
			t.Errorf("%s platforms (-want +got):\n%s", d.Name, diff)
		}
		one, ok := Builtin(d.Name)
		if diff := cmp.Diff(d, one, sameContent); !ok || diff != "" {
			t.Errorf("%s is another by name: %s", d.Name, diff)
		}
		if text, ok := BuiltinText(d.Name); !ok || Hash([]byte(text)) == "" || len(text) > MaxContent {
			t.Errorf("%s has no text", d.Name)
		}
		if CheckName(d.Name) == nil {
			t.Errorf("an account could make %s", d.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"AWS-StartPortForwardingSessionToSocket", ssm.DefaultSessionDocument, "aws-startsshsession", ""} {
		if _, ok := Builtin(name); ok {
			t.Errorf("%q is built in", name)
		}
		if _, ok := BuiltinText(name); ok {
			t.Errorf("%q has a text", name)
		}
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestForwardedPortsAndHosts(t *testing.T) {
	d, _ := Builtin("AWS-StartPortForwardingSessionToRemoteHost")
	resolve := func(name, value string) error {
		_, err := d.Resolve(map[string][]string{name: {value}})
		return err
	}
	for _, ok := range []string{"1", "9", "10", "9999", "10000", "59999", "64999", "65499", "65529", "65535"} {
		if err := resolve("portNumber", ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"0", "65536", "65540", "66000", "70000", "100000", "022", " 22", "22 ", "22\n", "", "-1", "+1", "1e3", "ssh", "２２"} {
		wantError(t, resolve("portNumber", bad), ssm.CodeInvalidParameters, `Parameter "portNumber" has value "`+bad+
			`" not matching "^([1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$".`)
	}
	if err := resolve("localPortNumber", "0"); err != nil {
		t.Error(err)
	}
	for _, ok := range []string{"::1", "abc", "db.example.com", "10.0.0.1", "fe80::1%eth0"} {
		if err := resolve("host", ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"db", "", "a;b", "a|b", "$(a)", "a`b", "a'b", `a"b`, "a<b", "a>b", "a{b", "a}b", "a[b", "a]b", "a#b", "a=b", "a,b", "a^b", "a&b", "a!b"} {
		wantError(t, resolve("host", bad), ssm.CodeInvalidParameters, `Parameter "host" has value "`+bad+
			"\" not matching \"^[^,$^&\\(\\)!;'\"<>\\`{}\\[\\]\\|#=]{3,}$\".")
	}
}

// A policy cannot see parameters, so a document says where a user may go (api.md §21, S17).
func TestADocumentCanFixTheHost(t *testing.T) {
	d := mustDocument(t, port(`{"host":{"type":"String","allowedPattern":"^db[12]\\.example$"}}`,
		`{"portNumber":"5432","type":"LocalPortForwarding","host":"{{ host }}"}`))
	if _, err := d.Resolve(map[string][]string{"host": {"db1.example"}}); err != nil {
		t.Error(err)
	}
	_, err := d.Resolve(map[string][]string{"host": {"db3.example"}})
	wantError(t, err, ssm.CodeInvalidParameters, `Parameter "host" has value "db3.example" not matching "^db[12]\.example$".`)
	_, err = d.Resolve(map[string][]string{"host": {"db1.example"}, "portNumber": {"22"}})
	wantError(t, err, ssm.CodeInvalidParameters, `Parameter "portNumber" is not defined in document.`)
}

func TestRunAsUsers(t *testing.T) {
	for name, want := range map[string]bool{
		"ops": true, "ops-1": true, "_x": true, "a.b@c": true, `D\u`: true, "a+b": true,
		"": false, "-a": false, "+a": false, "a b": false, "a;b": false, "$(a)": false, "a\n": false, "`a`": false, "a/b": false, strings.Repeat("a", 257): false, "名": false,
	} {
		if got := ValidRunAsUser(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestADotIsNoLineTerminator(t *testing.T) {
	for _, pattern := range []string{`^.+$`, `^(.|x)+$`, `^[a-z].*$`} {
		p, err := compilePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range "\n\r\u0085\u2028\u2029" {
			if p.match("a" + string(r) + "b") {
				t.Errorf("%s takes %U", pattern, r)
			}
		}
		for _, r := range "\x00\t\v\f\x0e;é日\U0010ffff\u0084\u0086\u2027\u202a" {
			if !p.match("a" + string(r) + "b") {
				t.Errorf("%s refuses %U", pattern, r)
			}
		}
	}
	p, err := compilePattern(`(?s)^.+$`)
	if err != nil {
		t.Fatal(err)
	}
	if !p.match("a\nb") {
		t.Error("the author's (?s) has no effect")
	}
}
