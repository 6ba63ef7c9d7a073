package awsapi_test

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Text that PostgreSQL cannot keep, the character NUL or what is no UTF-8, is the
// caller's fault and not an internal error.
func TestTextThatNoDatabaseKeepsIsRefused(t *testing.T) {
	f := newFixture(t)
	for name, body := range map[string]string{
		"member":         `{"Target":"mi-\u0000"}`,
		"value of a map": `{"Target":"mi-0","Parameters":{"a":["\u0000"]}}`,
		"key of a map":   `{"Target":"mi-0","Parameters":{"\u0000":["a"]}}`,
	} {
		w := f.call("AmazonSSM.StartSession", body)
		if w.Code != 400 || w.Header().Get("x-amzn-ErrorType") != "ValidationException" || !strings.Contains(w.Body.String(), "without the character U+0000") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for name, form := range map[string]string{
		"NUL":      "&UserName=%00",
		"no UTF-8": "&UserName=%ff",
		"in a tag": "&UserName=u&Tags.member.1.Key=%00&Tags.member.1.Value=",
	} {
		w := f.query("Action=TagUser&Version=2010-05-08" + form)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>ValidationError</Code>") || !utf8.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestUserAgentIsBoundedText(t *testing.T) {
	f := newFixture(t)
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`, "User-Agent", "test\xff/1"+strings.Repeat("é", 5000))
	if got := f.results[0].UserAgent; !utf8.ValidString(got) || !strings.HasPrefix(got, "test/1é") || len(got) > 1024 {
		t.Errorf("user agent of %d bytes %.20q", len(got), got)
	}
}
