package recorder

import (
	"testing"
	"time"

	"sekisho/internal/message"
)

func filtered(parts ...string) string {
	t := &textFilter{limit: 1 << 20}
	for i, p := range parts {
		t.write(time.Duration(i)*time.Second, p)
	}
	t.end()
	return t.text.String()
}

func TestTextOfATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain\r\nnext\r\n":                    "plain\nnext\n",
		"\x1b[1;31mred\x1b[0m 日本\r\n":          "red 日本\n",
		"\x1b]0;title\x07$ ls\r\n":             "$ ls\n",
		"\x1b]0;title\x1b\\$ ls\r\n":           "$ ls\n",
		"$ lls\b\b\bls\x1b[K\r\n":              "$ ls\n",
		"10%\r20%\r100%\r\n":                   "100%\n",
		"日本\r本\r\n":                            "本本\n",
		"日本\b\b語\r\n":                          "日語\n",
		"abc\x1b[2D\x1b[P\r\n":                 "ac\n",
		"ac\b\x1b[@b\r\n":                      "abc\n",
		"\x1b(Bx\x1b[?1049hy\x1b[5;10Hz\r\n":   "xy\nz\n",
		"a\tb\r\n":                             "a       b\n",
		"\x1bPq#0;2;0\x1b\\after\r\n":          "after\n",
		"no end of line":                       "no end of line\n",
		"\r\n\r\n\r\n":                         "",
		"\x1b[999999999999Cfar\x1b[1Gnear\r\n": "near",
	} {
		got := filtered(in)
		if want == "near" {
			if len(got) > 2*maxColumns || got[:4] != "near" {
				t.Errorf("%q: %d bytes", in, len(got))
			}
			continue
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := filtered("a\x1b", "[3", "1mb\x1b]0;x", "y\x07c\r\n"); got != "abc\n" {
		t.Errorf("in parts: %q", got)
	}
}

func FuzzTextOfATerminal(f *testing.F) {
	f.Add("\x1b[1;31mred\x1b[0m 日本\r\n\b\b\x1b[P\x1b[@\x1b[X\x1b[1K語\r語")
	f.Fuzz(func(t *testing.T, in string) {
		if got := filtered(in, in); len(got) > 1<<20+maxColumns*8 {
			t.Errorf("%d bytes", len(got))
		}
	})
}

func TestTranscript(t *testing.T) {
	r := newRecorder(t)
	rec := r.Begin(facts())
	rec.Stream(true, 0, message.PayloadOutput, []byte("\x1b[31mone\r\n"))
	rec.Stream(true, 1, message.PayloadOutput, []byte("障害対応\r\n"))
	rec.Close(true)
	got, err := r.Archive().Transcript("bob-1", 1<<20)
	must(t, err)
	if got.Text != "one\n障害対応\n" || len(got.Marks) != 2 || got.Marks[1].Byte != 4 {
		t.Errorf("%+v", got)
	}
	if got, err = r.Archive().Transcript("bob-1", 2); err != nil || got.Text != "one\n" {
		t.Errorf("cut: %+v, %v", got, err)
	}
}
