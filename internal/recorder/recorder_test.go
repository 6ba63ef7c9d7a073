package recorder

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"sekisho/internal/message"
)

func newRecorder(t *testing.T, change ...func(*Config)) *Recorder {
	t.Helper()
	cfg := Config{Dir: filepath.Join(t.TempDir(), "recordings"), Seed: bytes.Repeat([]byte{7}, ed25519.SeedSize)}
	for _, f := range change {
		f(&cfg)
	}
	r, err := New(cfg)
	must(t, err)
	return r
}

func facts() Facts {
	return Facts{SessionID: "bob-1", NodeID: "mi-1", Owner: "arn:aws:iam::123456789012:user/bob", SessionType: message.SessionTypeStandardStream, StartedAt: time.Now()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *Recorder) dir() string { return filepath.Join(r.cfg.Dir, "bob-1") }

func output(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	must(t, Output(dir, &b))
	return b.String()
}

// What is no UTF-8, what is cut in the middle of a character and what only a terminal
// understands is recorded as it was.
func TestBytesAreKept(t *testing.T) {
	r := newRecorder(t)
	rec := r.Begin(facts())
	parts := []string{"plain\r\n", "\x1b[31m\x00\x07", "\xe6\x97", "\xa5\xe6\x9c", "\xac", "\x83V\x83t\x83g", "a\xff", "\u2028<&>", "\xe6"}
	for i, p := range parts {
		rec.Stream(true, int64(i), message.PayloadOutput, []byte(p))
	}
	rec.Stream(false, 0, message.PayloadSize, []byte(`{"cols":100,"rows":40}`))
	rec.Stream(false, 1, message.PayloadOutput, []byte("pass''word"))
	rec.Close(true)
	if got, want := output(t, r.dir()), strings.Join(parts, ""); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	var cast bytes.Buffer
	must(t, Cast(r.dir(), &cast))
	if text := cast.String(); !strings.HasPrefix(text, `{"height":80`) && !strings.Contains(text, `"version":2`) || !strings.Contains(text, `"r","100x40"]`) ||
		!strings.Contains(text, `"o","日"]`) || strings.Contains(text, "pass") {
		t.Errorf("cast:\n%s", text)
	}
	report, err := Verify(r.dir(), r.Public())
	if err != nil || !report.Closed || report.Segments != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestOrder(t *testing.T) {
	r := newRecorder(t, func(c *Config) { c.Input = true })
	rec := r.Begin(facts())
	for _, n := range []int64{2, 0, 1, 1, 3} {
		rec.Stream(true, n, message.PayloadOutput, fmt.Appendf(nil, "%d", n))
		rec.Stream(false, n, message.PayloadOutput, []byte("x"))
	}
	rec.Close(true)
	if got := output(t, r.dir()); got != "0123" {
		t.Errorf("output %q", got)
	}
	var cast bytes.Buffer
	must(t, Cast(r.dir(), &cast))
	if strings.Count(cast.String(), `"i","x"]`) != 4 {
		t.Errorf("cast:\n%s", &cast)
	}
}

// The directory is copied while a session runs: what a killed server leaves. It goes on
// there, and nothing that was on the disk is lost or there twice.
func TestGoesOnAfterAKill(t *testing.T) {
	r := newRecorder(t)
	rec := r.Begin(facts())
	word := func(n int64) []byte { return fmt.Appendf(nil, "<%d>", n) }
	for n := range int64(500) {
		rec.Stream(true, n, message.PayloadOutput, word(n))
	}
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(func() string { var b bytes.Buffer; _ = Output(r.dir(), &b); return b.String() }(), "<499>") {
		if time.Now().After(deadline) {
			t.Fatal("nothing is on the disk")
		}
		time.Sleep(10 * time.Millisecond)
	}
	left := filepath.Join(t.TempDir(), "bob-1")
	must(t, os.CopyFS(left, os.DirFS(r.dir())))
	names, err := filepath.Glob(filepath.Join(left, "*.cast"))
	must(t, err)
	f, err := os.OpenFile(names[len(names)-1], os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = f.WriteString(`[1.5,"o","half a li`) // as a kill leaves it
	must(t, errors.Join(err, f.Close()))
	rec.Close(false)

	again, err := New(Config{Dir: filepath.Dir(left), Seed: r.cfg.Seed})
	must(t, err)
	next := again.Begin(facts())
	for n := int64(490); n < 600; n++ {
		if n == 550 { // acknowledged by the client, and lost with the server's memory
			continue
		} // a node sends again what was not acknowledged
		next.Stream(true, n, message.PayloadOutput, word(n))
	}
	next.Close(true)
	var want strings.Builder
	for n := range int64(600) {
		if n != 550 {
			want.Write(word(n))
		}
	}
	if got := output(t, left); got != want.String() {
		t.Errorf("output of %d bytes, want %d:\n%s", len(got), want.Len(), got)
	}
	report, err := Verify(left, again.Public())
	if err != nil || !report.Closed || report.Segments < 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// made is a finished recording of several segments.
func made(t *testing.T) (*Recorder, string) {
	t.Helper()
	r := newRecorder(t)
	r.cfg.SegmentBytes = 1 // each flush ends one
	w := &writer{}
	rec := &Recording{r: r, dir: r.dir(), facts: facts(), start: time.Now()}
	w, err := rec.open()
	must(t, err)
	for n := range int64(6) {
		must(t, w.put([]frame{{fromNode: true, sequence: n, kind: message.PayloadOutput, payload: bytes.Repeat([]byte("line\r\n"), 50)}}, 0))
		must(t, w.flush(false))
	}
	must(t, r.finish(rec.dir))
	return r, rec.dir
}

// Ten thousand random changes, each of one kind, are all found.
func TestEveryChangeIsFound(t *testing.T) {
	r, dir := made(t)
	if report, err := Verify(dir, r.Public()); err != nil || report.Segments != 6 || !report.Closed {
		t.Fatalf("%+v, %v", report, err)
	}
	files := map[string][]byte{}
	names := []string{headFile}
	for n := range 6 {
		names = append(names, segmentFile(n))
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		files[name] = text
	}
	random := rand.New(rand.NewPCG(1, 2))
	const mutations = 10000
	found := 0
	for i := range mutations {
		name := names[random.IntN(len(names))]
		text := bytes.Clone(files[name])
		changed := map[string][]byte{} // nil removes
		what := ""
		switch kind := i % 6; kind {
		case 0, 1:
			at := random.IntN(len(text))
			text[at] ^= 1 << random.IntN(8)
			changed[name], what = text, fmt.Sprintf("bit of byte %d of %s", at, name)
		case 2:
			n := random.IntN(len(text))
			changed[name], what = text[:n], fmt.Sprintf("%s cut to %d bytes", name, n)
		case 3:
			changed[name], what = nil, "no "+name
		case 4:
			other := names[1+random.IntN(6)]
			if name == headFile || other == name {
				name, other = names[1], names[2+random.IntN(5)]
			}
			changed[name], changed[other], what = files[other], files[name], name+" and "+other+" swapped"
		case 5:
			at := random.IntN(len(text) + 1)
			changed[name] = append(append(bytes.Clone(text[:at]), byte(random.IntN(256))), text[at:]...)
			what = fmt.Sprintf("a byte more at %d of %s", at, name)
		}
		mutated := fstest.MapFS{}
		for name, text := range files {
			mutated[name] = &fstest.MapFile{Data: text}
		}
		for name, text := range changed {
			if text == nil {
				delete(mutated, name)
			} else {
				mutated[name] = &fstest.MapFile{Data: text}
			}
		}
		_, err := verify(mutated, "bob-1", r.Public())
		var damage *Damage
		switch {
		case !errors.As(err, &damage):
			t.Errorf("not found: %s (%v)", what, err)
		case changed[damage.File] == nil && len(changed) > 0 && !hasKey(changed, damage.File):
			t.Errorf("%s: found in %s", what, damage.File)
		default:
			found++
		}
	}
	t.Logf("%d of %d changes found", found, mutations)

	must(t, os.WriteFile(filepath.Join(dir, segmentFile(6)), files[segmentFile(5)], 0o600))
	if _, err := Verify(dir, r.Public()); err == nil {
		t.Error("a segment more is not found")
	}
	must(t, os.Remove(filepath.Join(dir, segmentFile(6))))
	other := newRecorder(t, func(c *Config) { c.Seed = bytes.Repeat([]byte{8}, ed25519.SeedSize) })
	if _, err := Verify(dir, other.Public()); err == nil {
		t.Error("another key's recording is accepted")
	}
	moved := filepath.Join(filepath.Dir(dir), "eve-1")
	must(t, os.Rename(dir, moved))
	if _, err := Verify(moved, r.Public()); err == nil {
		t.Error("a recording passes for another session's")
	}
}

func hasKey(m map[string][]byte, key string) bool { _, ok := m[key]; return ok }

func TestTunnelsLeaveSizesOnly(t *testing.T) {
	r := newRecorder(t)
	f := facts()
	f.SessionType = message.SessionTypePort
	rec := r.Begin(f)
	rec.Stream(false, 0, message.PayloadOutput, []byte("a password"))
	rec.Stream(true, 0, message.PayloadOutput, make([]byte, 1000))
	rec.Close(true)
	text, err := os.ReadFile(filepath.Join(r.dir(), segmentFile(0)))
	must(t, err)
	if !bytes.Contains(text, []byte(`"f","10 bytes to the node, 1000 from it"]`)) || bytes.Contains(text, []byte("password")) {
		t.Errorf("%s", text)
	}
	_, err = Verify(r.dir(), r.Public())
	must(t, err)
}

func FuzzAppendText(f *testing.F) {
	f.Add("a\"b\\c\x00\x1b[m\r\n\t\x7f日本\u2028<&>")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var got string
		if err := json.Unmarshal(appendText(nil, []byte(text)), &got); err != nil || got != text {
			t.Errorf("%q becomes %q: %v", text, got, err)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`[1.5,"o","text"]`))
	f.Add([]byte(`[0,"x","o AAAA"]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseEvent(line)
		if err == nil && e.Code == "o" && string(e.Bytes) != e.Data {
			t.Error("output differs from its data")
		}
	})
}
