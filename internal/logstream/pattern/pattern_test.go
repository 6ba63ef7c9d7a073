package pattern

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	const event = `{"eventType":"UpdateTrail","sourceIPAddress":"123.123.1.7","arrayKey":["value",{"x":2}],"objectList":[{"id":1},{"id":2}],
		"n":-1.5e2,"yes":true,"none":null,"a b":{"c":"d"},"sessionData":["日本 whoami"]}`
	const access = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
	for _, test := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{" ", "", true},
		{`""`, "anything", true},
		{"ERROR", "[ERROR 400] BAD REQUEST", true},
		{"error", "[ERROR 400] BAD REQUEST", false},
		{"ERROR ARGUMENTS", "ERROR 1: no ARGUMENTS", true},
		{"ERROR ARGUMENTS", "ERROR 1", false},
		{"ERROR ARGUMENTS", "ARGUMENTS before the ERROR", true},
		{"?ERROR ?WARN", "a WARN", true},
		{"?ERROR ?WARN", "an INFO", false},
		{"?ERROR REPORT", "a REPORT", true}, // question marks count only alone
		{"?ERROR -WARN", "ERROR and WARN", false},
		{"?ERROR -WARN", "ERROR", true},
		{"ERROR -ARGUMENTS", "ERROR", true},
		{"ERROR -ARGUMENTS", "ERROR ARGUMENTS", false},
		{`"INTERNAL SERVER ERROR"`, "an INTERNAL SERVER ERROR", true},
		{`"INTERNAL SERVER ERROR"`, "INTERNAL ERROR SERVER", false},
		{`-"a b"`, "a b", false},
		{`"say \"hi\""`, `they say "hi"`, true},
		{`%AUTHORIZED.*[0-9]+%`, "AUTHORIZED 7", true},
		{`%AUTHORIZED.*[0-9]+%`, "AUTHORIZED", false},
		{`%5\%%`, "5%", true},
		{"日本", "ここは日本です", true},

		{`{ $.eventType = "UpdateTrail" }`, event, true},
		{`{$.eventType=UpdateTrail}`, event, true},
		{`{ $.eventType != "UpdateTrail" }`, event, false},
		{`{ $.missing != "UpdateTrail" }`, event, false},
		{`{ $.sourceIPAddress = 123.123.* }`, event, true},
		{`{ $.sourceIPAddress != 123.123.* }`, event, false},
		{`{ $.sourceIPAddress = %123\.[0-9]+% }`, event, true},
		{`{ $.arrayKey[0] = "value" }`, event, true},
		{`{ $.arrayKey[1].x = 2 }`, event, true},
		{`{ $.arrayKey[7] = "value" }`, event, false},
		{`{ $.objectList[1].id = 2 }`, event, true},
		{`{ $.n < 0 && $.n >= -150 }`, event, true},
		{`{ $.n > -1.5e2 }`, event, false},
		{`{ $.eventType = "x" || ($.n = -150 && $.yes IS TRUE) }`, event, true},
		{`{ $.yes IS FALSE }`, event, false},
		{`{ $.none IS NULL }`, event, true},
		{`{ $.missing IS NULL }`, event, false},
		{`{ $.missing NOT EXISTS }`, event, true},
		{`{ $.none NOT EXISTS }`, event, false},
		{`{ $.none exists }`, event, true},
		{`{ $["a b"].c = d }`, event, true},
		{`{ $.sessionData[0] = "*whoami*" }`, event, true},
		{`{ $.a = 1 }`, "not json", false},
		{`{ $.a = 1 }`, `{"a":1`, false},
		{`{ $.a = 1 }`, `{"a":"1"}`, true},

		{`[ip, user, username, timestamp, request, status_code, bytes]`, access, true},
		{`[ip, user, username, timestamp, request = *.html*, status_code = 4*, bytes]`, access, true},
		{`[ip, user, username, timestamp, request, status_code = 404, bytes > 1000]`, access, true},
		{`[ip, user, username, timestamp, request, status_code = 404, bytes > 2000]`, access, false},
		{`[..., status_code = 404 || status_code = 500, bytes]`, access, true},
		{`[ip = 10.*, ...]`, access, false},
		{`[ip != 10.* && ip != 11.*, ..., bytes = 1534]`, access, true},
		{`[ip, user]`, access, false},
		{`[(a = 127.0.0.1), ...]`, access, true},
		{`[a, ..., b]`, "one", false},
		{`[a, ..., b]`, "one two", true},
	} {
		p, err := Parse(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		if got := p.Match([]byte(test.message)); got != test.want {
			t.Errorf("%s matches %q: %v, want %v", test.pattern, test.message, got, test.want)
		}
	}
}

func TestWhatIsNoPattern(t *testing.T) {
	for _, text := range []string{
		`"open`, `%open`, `%%`, `%(%`, `-`, `a ?`,
		`{}`, `{ $ }`, `{ $.a }`, `{ $.a = }`, `{ $.a == 1 } x }`, `{ a = 1 }`, `{ $. = 1 }`, `{ ($.a = 1 }`, `{ $.a = 1 && }`,
		`{ $.a IS SOMETHING }`, `{ $.a NOT }`, `{ $.a > x }`, `{ $.a > %x% }`, `{ $[x] = 1 }`, `{ $[0 = 1 }`, `{ $.a = 1 $.b = 2 }`,
		`{ ` + strings.Repeat("(", 100) + ` $.a = 1 }`,
		`[]`, `[a b]`, `[a, ]`, `[..., ...]`, `[a = 1 || b = 2]`, `[=1]`, `[a=]`,
		strings.Repeat("あ", 1025),
	} {
		if p, err := Parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{`ERROR -x ?"a b" %r%`, `{ ($.a["b"][0] = "x*" || $.c >= 1e3) && $.d IS NULL && $.e NOT EXISTS }`, `[a, b = 4* && b != %x%, ..., c < 2]`} {
		f.Add(seed, `{"a":{"b":["xy"]},"c":2}`)
		f.Add(seed, `1 "GET /" [x] 404`)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if first, second := p.Match([]byte(message)), p.Match([]byte(message)); first != second {
			t.Error("it depends on chance")
		}
		if p.All() && !p.Match([]byte(message)) {
			t.Error("a pattern of nothing does not match")
		}
	})
}
