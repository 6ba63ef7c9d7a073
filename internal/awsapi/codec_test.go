package awsapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
)

// everything has a member of each kind.
type everything struct {
	Text   string              `constraint:"len=1..5"`
	Named  string              `json:"named,omitempty"`
	Count  *int                `constraint:"range=1..50"`
	Size   int32               `constraint:""`
	Long   int64               `constraint:""`
	Ratio  float64             `constraint:""`
	Flag   *bool               `constraint:""`
	At     *ssm.Time           `constraint:""`
	Plain  time.Time           `constraint:""`
	Blob   []byte              `constraint:"len=0..4"`
	List   []string            `constraint:"len=1..3"`
	Map    map[string][]string `constraint:"len=0..2"`
	Tags   []ssm.Tag           `constraint:""`
	Self   *everything         `constraint:""`
	Kind   string              `constraint:"enum=SessionState"`
	Kinds  []string            `constraint:"enum=SessionState"`
	Reason string              `constraint:"pattern=SessionReason"`
	Any    any                 `json:",omitempty"`
	Hidden string              `json:"-"`
}

func TestDecodeJSON(t *testing.T) {
	count, flag := 5, true
	at := ssm.Time{Time: time.UnixMilli(1550676938352).UTC()}
	tests := []struct {
		name, body string
		want       everything
	}{
		{"empty", "{}", everything{}},
		{"nothing", "", everything{}},
		{"spaces", " \n{ \"Text\" : \"a\" } ", everything{Text: "a"}},
		{"text", `{"Text":"a\u00e9<\"","named":"n"}`, everything{Text: `aé<"`, Named: "n"}},
		{"null is absent", `{"Text":null,"Count":null,"Tags":null,"Self":null}`, everything{}},
		{"unknown members", `{"Nothing":{"deep":[1,{}]},"Text":"a"}`, everything{Text: "a"}},
		{"case of names", `{"text":"a","NAMED":"b","Hidden":"c"}`, everything{}},
		{"the last of two", `{"Text":"a","Text":"b"}`, everything{Text: "b"}},
		{"numbers", `{"Count":5,"Size":-7,"Long":9007199254740993,"Ratio":1.5}`, everything{Count: &count, Size: -7, Long: 9007199254740993, Ratio: 1.5}},
		{"whole numbers in other forms", `{"Count":5.0,"Size":1e3}`, everything{Count: &count, Size: 1000}},
		{"bool", `{"Flag":true}`, everything{Flag: &flag}},
		{"time as number", `{"At":1550676938.352,"Plain":1550676938.352}`, everything{At: &at, Plain: at.Time}},
		{"time as number in a string", `{"At":"1550676938.352"}`, everything{At: &at}},
		{"time as ISO 8601", `{"At":"2019-02-20T15:35:38.352Z"}`, everything{At: &at}},
		{"blob", `{"Blob":"AQID"}`, everything{Blob: []byte{1, 2, 3}}},
		{"list", `{"List":["a","b"]}`, everything{List: []string{"a", "b"}}},
		{"map", `{"Map":{"k":["v","w"]}}`, everything{Map: map[string][]string{"k": {"v", "w"}}}},
		{"structures", `{"Tags":[{"Key":"k","Value":""}],"Self":{"Text":"s"}}`, everything{Tags: []ssm.Tag{{Key: "k"}}, Self: &everything{Text: "s"}}},
		{"any JSON", `{"Any":{"a":[1]}}`, everything{Any: map[string]any{"a": []any{1.0}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got everything
			if err := decodeJSON([]byte(test.body), mustShape(t), reflect.ValueOf(&got).Elem(), "V"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func mustShape(t testing.TB) *shape {
	t.Helper()
	s, err := newShape(reflect.TypeFor[everything](), true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWrongJSONTypes(t *testing.T) {
	const structure, list = "Start of structure or map found where not expected.", "Start of list found where not expected."
	tests := []struct{ body, want string }{
		{`{"Text":1}`, "NUMBER_VALUE can not be converted to a String"},
		{`{"Text":true}`, "TRUE_VALUE can not be converted to a String"},
		{`{"Text":false}`, "FALSE_VALUE can not be converted to a String"},
		{`{"Text":{}}`, structure},
		{`{"Text":[]}`, list},
		{`{"Count":"5"}`, "STRING_VALUE can not be converted to an Integer"},
		{`{"Count":5.5}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"Size":2147483648}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"Long":1e300}`, "NUMBER_VALUE can not be converted to a Long"},
		{`{"Long":9223372036854775808}`, "NUMBER_VALUE can not be converted to a Long"},
		{`{"Ratio":"1"}`, "STRING_VALUE can not be converted to a Double"},
		{`{"Ratio":1e400}`, "NUMBER_VALUE can not be converted to a Double"},
		{`{"Flag":"true"}`, "STRING_VALUE can not be converted to a Boolean"},
		{`{"Flag":1}`, "NUMBER_VALUE can not be converted to a Boolean"},
		{`{"At":"soon"}`, "STRING_VALUE can not be converted to milliseconds since epoch"},
		{`{"At":true}`, "TRUE_VALUE can not be converted to milliseconds since epoch"},
		{`{"At":1e30}`, "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		{`{"Blob":1}`, "NUMBER_VALUE can not be converted to a Blob"},
		{`{"Blob":"%"}`, "Invalid base64 text."},
		{`{"List":"a"}`, "Expected list or null"},
		{`{"List":{}}`, structure},
		{`{"List":[1]}`, "NUMBER_VALUE can not be converted to a String"},
		{`{"Map":[]}`, list},
		{`{"Map":{"k":"v"}}`, "Expected list or null"},
		{`{"Self":"s"}`, "Expected map or null"},
		{`{"Tags":[[]]}`, list},
		{`[]`, list},
		{`"x"`, "Expected map or null"},
		{`null`, "Expected map or null"},
		{`{`, ""},
		{`{} {}`, ""},
		{`{"Text":"a",}`, ""},
		{strings.Repeat(`{"Self":`, 40) + "{}" + strings.Repeat("}", 40), "Input is nested too deeply."},
		{strings.Repeat("[", 20000), ""},
	}
	for _, test := range tests {
		var got everything
		err := decodeJSON([]byte(test.body), mustShape(t), reflect.ValueOf(&got).Elem(), "V")
		e, ok := err.(*ssm.Error)
		if !ok || e.Code != "SerializationException" || e.Message != test.want {
			t.Errorf("%.60s: got %v, want %q", test.body, err, test.want)
		}
	}
}

func TestValidationTexts(t *testing.T) {
	const one = "1 validation error detected: "
	tests := []struct{ body, want string }{
		{`{"Text":""}`, one + "Value '' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{`{"Text":"abcdef"}`, one + "Value 'abcdef' at 'text' failed to satisfy constraint: Member must have length less than or equal to 5"},
		{`{"Text":"ééééé"}`, ""}, // characters, not bytes
		{`{"Count":0}`, one + "Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{`{"Count":51}`, one + "Value '51' at 'count' failed to satisfy constraint: Member must have value less than or equal to 50"},
		{`{"Blob":"AQIDBAU="}`, one + "Value '[1, 2, 3, 4, 5]' at 'blob' failed to satisfy constraint: Member must have length less than or equal to 4"},
		{`{"List":[]}`, one + "Value '[]' at 'list' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{`{"List":["a","b","c","d"]}`, one + "Value '[a, b, c, d]' at 'list' failed to satisfy constraint: Member must have length less than or equal to 3"},
		{`{"List":["a",null]}`, one + "Value null at 'list.2.member' failed to satisfy constraint: Member must not be null"},
		{`{"Map":{"k":["v"],"l":[],"m":["x","y"]}}`, one + "Value '{k=[v], l=[], m=[x, y]}' at 'map' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{`{"Map":{"k":null}}`, one + "Value null at 'map.k.member' failed to satisfy constraint: Member must not be null"},
		{`{"Tags":[{"Key":"k","Value":""},{"Value":"v"}]}`, one + "Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null"},
		{`{"Kind":"Old"}`, one + "Value 'Old' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [Active, History]"},
		{`{"Kinds":["Active","Old"]}`, one + "Value '[Active, Old]' at 'kinds' failed to satisfy constraint: " +
			"Member must satisfy constraint: [Member must satisfy enum value set: [Active, History]]"},
		{`{"Kinds":["Active"]}`, ""},
		{`{"Reason":""}`, one + "Value '' at 'reason' failed to satisfy constraint: Member must satisfy regular expression pattern: ^.{1,256}$"},
		{`{"Reason":"a\n"}`, one + "Value 'a\n' at 'reason' failed to satisfy constraint: Member must satisfy regular expression pattern: ^.{1,256}$"},
		{`{"Self":{"Self":{"Count":0}}}`, one + "Value '0' at 'self.self.count' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{`{"Text":"","Count":99,"Kind":"x"}`, "3 validation errors detected: " +
			"Value '' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
			"Value '99' at 'count' failed to satisfy constraint: Member must have value less than or equal to 50; " +
			"Value 'x' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [Active, History]"},
	}
	for _, test := range tests {
		var got everything
		err := decodeJSON([]byte(test.body), mustShape(t), reflect.ValueOf(&got).Elem(), "TheCode")
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.body, err)
			}
			continue
		}
		if e, ok := err.(*ssm.Error); !ok || e.Code != "TheCode" || e.Message != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.body, err, test.want)
		}
	}
}

// TestValidationTextIsBounded has requests whose violations would print to far more
// than the request.
func TestValidationTextIsBounded(t *testing.T) {
	for name, body := range map[string]string{
		"many violations":  `{"Tags":[` + strings.TrimSuffix(strings.Repeat("{},", 100000), ",") + `]}`,
		"a long value":     `{"Text":"` + strings.Repeat("é", 200000) + `"}`,
		"a long list":      `{"List":[` + strings.TrimSuffix(strings.Repeat(`"",`, 200000), ",") + `]}`,
		"a long key":       `{"Map":{"` + strings.Repeat("k", 200000) + `":null}}`,
		"long keys in one": `{"Map":{"` + strings.Repeat("k", 200000) + `":[],"b":[],"c":[]}}`,
	} {
		var got everything
		err := decodeJSON([]byte(body), mustShape(t), reflect.ValueOf(&got).Elem(), "V")
		if e, ok := err.(*ssm.Error); !ok || e.Code != "V" || len(e.Message) > 200*maxViolations {
			t.Errorf("%s: text of %d bytes", name, len(err.Error()))
		}
	}
	var got everything
	err := decodeJSON([]byte(`{"Tags":[`+strings.TrimSuffix(strings.Repeat("{},", 100), ",")+`]}`), mustShape(t), reflect.ValueOf(&got).Elem(), "V")
	if !strings.HasPrefix(err.Error(), "V: 200 validation errors detected: ") {
		t.Errorf("got %.60s", err)
	}
}

func TestEncodeJSON(t *testing.T) {
	at := ssm.Time{Time: time.UnixMilli(1550676938352)}
	zero := 0
	value := everything{
		Text: "a<b>&\"\u2028é\x01", Count: &zero, At: &at, Plain: at.Time, Blob: []byte{1}, Map: map[string][]string{"b": {}, "a": {"x"}},
		Self: &everything{Plain: at.Time}, Any: map[string]int{"n": 1},
	}
	got, err := encodeJSON(mustShape(t), reflect.ValueOf(value))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Text":"a<b>&\"\u2028é\u0001","Count":0,"Size":0,"Long":0,"Ratio":0,"At":1550676938.352,"Plain":1550676938.352,"Blob":"AQ==",` +
		`"List":[],"Map":{"a":["x"],"b":[]},"Tags":[],"Self":{"Text":"","Size":0,"Long":0,"Ratio":0,"Plain":1550676938.352,"Blob":"","List":[],"Map":{},` +
		`"Tags":[],"Kind":"","Kinds":[],"Reason":""},"Kind":"","Kinds":[],"Reason":"","Any":{"n":1}}`
	if string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if !json.Valid(got) {
		t.Error("not JSON")
	}
}

// hidden hides itself from whoever marshals it.
type hidden string

func (hidden) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// A secret that an answer is for is in it, in every protocol.
func TestAnswersShowTheirSecrets(t *testing.T) {
	type answer struct{ Secret hidden }
	s, err := newShape(reflect.TypeFor[answer](), true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := encodeJSON(s, reflect.ValueOf(answer{"x<y"}))
	if err != nil || string(got) != `{"Secret":"x<y"}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestEncodeRequest(t *testing.T) {
	type request struct {
		Target string    `constraint:"required len=1..400"`
		Reason string    `constraint:"len=1..256"`
		Max    *int      `constraint:"range=5..50"`
		Tags   []ssm.Tag `constraint:""`
		At     ssm.Time  `constraint:""`
	}
	s, err := newShape(reflect.TypeFor[request](), false)
	if err != nil {
		t.Fatal(err)
	}
	zero := 0
	for want, value := range map[string]request{
		`{"Target":""}`:                                 {},
		`{"Target":"t","Max":0}`:                        {Target: "t", Max: &zero},
		`{"Target":"t","Tags":[]}`:                      {Target: "t", Tags: []ssm.Tag{}},
		`{"Target":"","Tags":[{"Key":"k","Value":""}]}`: {Tags: []ssm.Tag{{Key: "k"}}},
	} {
		got, err := encodeRequest(s, reflect.ValueOf(value))
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestEncodeRefusesNil(t *testing.T) {
	type loop struct {
		Next *loop   `json:",omitempty"`
		List []*loop `json:",omitempty"`
	}
	s, err := newShape(reflect.TypeFor[loop](), false)
	if err != nil {
		t.Fatal(err)
	}
	round := &loop{}
	round.Next = round
	for name, value := range map[string]loop{"nil in a list": {List: []*loop{nil}}, "a round": *round} {
		if _, err := encodeJSON(s, reflect.ValueOf(value)); err == nil {
			t.Errorf("%s: no error from JSON", name)
		}
		if _, err := encodeXML(&Service{}, "X", "id", s, reflect.ValueOf(value)); err == nil {
			t.Errorf("%s: no error from XML", name)
		}
	}
}

func TestDecodeQuery(t *testing.T) {
	count, flag := 5, false
	at := ssm.Time{Time: time.Date(2026, 1, 31, 8, 9, 10, 0, time.UTC)}
	tests := []struct {
		name, form string
		want       everything
	}{
		{"nothing of ours", "Action=X&text=a&Unknown.member.1=b", everything{}},
		{"scalars", "Text=a+b&Count=5&Size=-7&Ratio=1.5&Flag=false&At=2026-01-31T08:09:10Z&Blob=AQID",
			everything{Text: "a b", Count: &count, Size: -7, Ratio: 1.5, Flag: &flag, At: &at, Blob: []byte{1, 2, 3}}},
		{"the first of two", "Text=a&Text=b", everything{Text: "a"}},
		{"list", "List.member.1=a&List.member.2=b", everything{List: []string{"a", "b"}}},
		{"list by number, not by text", "List.member.10=c&List.member.2=b&List.member.1=a", everything{List: []string{"a", "b", "c"}}},
		{"list with other words below", "List.member.x=b&List.member.0=c&List.member.01=d&List.member.1=a", everything{List: []string{"a"}}},
		{"empty list", "Tags=", everything{Tags: []ssm.Tag{}}},
		{"structures", "Tags.member.1.Key=k&Tags.member.1.Value=&Self.Text=s", everything{Tags: []ssm.Tag{{Key: "k"}}, Self: &everything{Text: "s"}}},
		{"map", "Map.entry.1.key=k&Map.entry.1.value.member.1=v", everything{Map: map[string][]string{"k": {"v"}}}},
		{"a name that begins alike", "TextX=a&Text.X=b", everything{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := parseParams(test.form)
			if err != nil {
				t.Fatal(err)
			}
			var got everything
			err = decodeQuery(p, mustShape(t), reflect.ValueOf(&got).Elem(), &Service{Protocol: Query, ValidationCode: "V"})
			if test.name == "a name that begins alike" {
				if e, ok := err.(*ssm.Error); !ok || e.Code != "MalformedInput" {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrongQueryTypes(t *testing.T) {
	tests := []struct{ form, want string }{
		{"Count=x", "STRING_VALUE can not be converted to an Integer"},
		{"Size=2147483648", "STRING_VALUE can not be converted to an Integer"},
		{"Ratio=x", "STRING_VALUE can not be converted to a Double"},
		{"Flag=yes", "STRING_VALUE can not be converted to a Boolean"},
		{"At=soon", "STRING_VALUE can not be converted to a Timestamp"},
		{"At=%22", "STRING_VALUE can not be converted to a Timestamp"},
		{"Blob=%25", "STRING_VALUE can not be converted to a Blob"},
		{"Any=x", "STRING_VALUE can not be converted to a structure"},
		{"Text.member.1=x", "Start of structure or map found where not expected."},
		{strings.Repeat("Self.", 40) + "Text=x", "Input is nested too deeply."},
	}
	for _, test := range tests {
		p, err := parseParams(test.form)
		if err != nil {
			t.Fatal(err)
		}
		var got everything
		err = decodeQuery(p, mustShape(t), reflect.ValueOf(&got).Elem(), &Service{Protocol: Query, ValidationCode: "V"})
		if e, ok := err.(*ssm.Error); !ok || e.Code != "MalformedInput" || e.Message != test.want {
			t.Errorf("%s: got %v, want %q", test.form, err, test.want)
		}
	}
}

func TestEncodeXML(t *testing.T) {
	type output struct {
		Name  string
		At    *ssm.Time
		Empty []string
		None  *int
		Flag  bool
		Count int
		Blob  []byte
		List  []ssm.Tag
		Map   map[string]string
		Left  string `json:",omitempty"`
	}
	s, err := newShape(reflect.TypeFor[output](), false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := encodeXML(&Service{Namespace: "urn:n", Protocol: Query}, "Do", "id-1", s, reflect.ValueOf(output{
		Name: "a<&>\x00", At: &ssm.Time{Time: time.Date(2026, 1, 31, 9, 9, 10, 5e8, time.FixedZone("", 3600))},
		Count: 7, Blob: []byte{1}, List: []ssm.Tag{{Key: "k", Value: "v"}, {}}, Map: map[string]string{"b": "2", "a": "1"},
	}))
	want := `<DoResponse xmlns="urn:n"><DoResult><Name>a&lt;&amp;&gt;` + "\uFFFD" + `</Name><At>2026-01-31T08:09:10Z</At><Empty/><Flag>false</Flag>` +
		`<Count>7</Count><Blob>AQ==</Blob><List><member><Key>k</Key><Value>v</Value></member><member><Key></Key><Value></Value></member></List>` +
		`<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value></entry></Map></DoResult>` +
		`<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DoResponse>`
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}
