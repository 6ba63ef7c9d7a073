package sessionlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTranscript(t *testing.T) {
	spool, f := t.TempDir(), newFake()
	w := open(t, spool, settings(), f)
	for _, text := range []string{"$ date\r\n", "\x1b[31mTue\x1b[0m\r\n", "\x83V\x83t\x83g JIS \x00\r\n"} {
		_, err := w.Write([]byte(text))
		must(t, err)
	}
	if err := deliverAll(t, spool, f); !errors.Is(err, ErrRunning) {
		t.Errorf("while it runs: %v", err)
	}
	w.Close()
	must(t, deliverAll(t, spool, f))
	events, object := f.got("bob-1", "/logs/Session%20Manager/bob-1.log")
	const begin, middle = "Script started on 2027-01-15 08:00:00+00:00\n", "$ date\r\n\x1b[31mTue\x1b[0m\r\n\x83V\x83t\x83g JIS \x00\r\n"
	if !strings.HasPrefix(object, begin+middle+"\nScript done on 20") {
		t.Errorf("object %q", object)
	}
	if len(events) != 1 || !strings.HasPrefix(events[0], begin+"$ date") || !strings.Contains(events[0], "Script done on") {
		t.Errorf("events %q", events)
	}
	if n := left(t, spool); n != 0 {
		t.Errorf("%d logs are left", n)
	}
}

// A sink that does not answer delays neither writing nor the end, and gets all of it when
// it is back: after any number of attempts, and once.
func TestSinksThatAreAway(t *testing.T) {
	for _, streaming := range []bool{false, true} {
		t.Run(fmt.Sprint("streaming ", streaming), func(t *testing.T) {
			t.Parallel()
			spool, f := t.TempDir(), newFake()
			f.set(true, nil)
			s := settings()
			s.Streaming = streaming
			w := open(t, spool, s, f)
			began := time.Now()
			var want strings.Builder
			for i := range 20000 {
				line := fmt.Sprintf("line %d of the output\r\n", i)
				want.WriteString(line)
				_, err := w.Write([]byte(line))
				must(t, err)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("writing took %v", d)
			}
			w.Close()
			if d := time.Since(began); d > 30*time.Second {
				t.Errorf("the end took %v", d)
			}
			for range 2 {
				if err := deliverAll(t, spool, f); err == nil || left(t, spool) != 1 {
					t.Fatalf("delivered to nowhere: %v", err)
				}
			}
			f.set(false, errors.New("ResourceNotFoundException"))
			if err := deliverAll(t, spool, f); err == nil || left(t, spool) != 1 {
				t.Fatalf("delivered to nowhere: %v", err)
			}
			f.set(false, nil)
			must(t, deliverAll(t, spool, f))
			events, object := f.got("bob-1", "/logs/Session%20Manager/bob-1.log")
			if !strings.Contains(object, want.String()) {
				t.Errorf("the object has %d bytes of %d", len(object), want.Len())
			}
			var got strings.Builder
			for _, e := range events {
				if !streaming {
					got.WriteString(e)
					continue
				}
				for _, line := range parse(t, e).SessionData {
					got.WriteString(line + "\r\n")
				}
			}
			if strings.Count(got.String(), "line 19999 of the output\r\n") != 1 || !strings.Contains(got.String(), want.String()) {
				t.Errorf("the log group has %d bytes of %d", got.Len(), want.Len())
			}
		})
	}
}

func parse(t *testing.T, message string) event {
	t.Helper()
	var e event
	if err := json.Unmarshal([]byte(message), &e); err != nil {
		t.Fatalf("%q: %v", message, err)
	}
	if len(message) > 2*maxEventText {
		t.Errorf("an event of %d bytes", len(message))
	}
	return e
}

func TestStreaming(t *testing.T) {
	spool, f := t.TempDir(), newFake()
	s := settings()
	s.Streaming, s.Bucket = true, ""
	w := open(t, spool, s, f)
	_, err := w.Write([]byte("\x1b]0;title\a\x1b[1;31m日本\x1b[m\ta\r\n\x1b(Bsecond\r\n$ no end"))
	must(t, err)
	for deadline := time.Now().Add(time.Minute); ; { // the interval is a second
		if events, _ := f.got("bob-1", ""); len(events) > 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Close()
	must(t, deliverAll(t, spool, f))
	events, _ := f.got("bob-1", "")
	var lines []string
	for _, text := range events {
		lines = append(lines, parse(t, text).SessionData...)
	}
	if got := strings.Join(lines, "|"); got != "日本 a|second|$ no end" {
		t.Errorf("lines %q", got)
	}
	e := parse(t, events[0])
	if _, err := time.Parse(time.RFC3339, e.EventTime); err != nil || !strings.HasPrefix(events[0], `{"eventVersion":"1.0","eventTime":"`+e.EventTime+
		`","awsRegion":"local-1","target":{"id":"mi-1"},"userIdentity":{"arn":"arn:aws:iam::123456789012:user/bob"},"runAsUser":"ssm-user","sessionId":"bob-1","sessionData":["`) {
		t.Errorf("the event is %s", events[0])
	}
}

func TestLongLines(t *testing.T) {
	spool, f := t.TempDir(), newFake()
	s := settings()
	s.Streaming, s.Bucket = true, ""
	w := open(t, spool, s, f)
	text := strings.Repeat("日", 100_000) // 300 kB without an end
	_, err := w.Write([]byte(text))
	must(t, err)
	w.Close()
	must(t, deliverAll(t, spool, f))
	events, _ := f.got("bob-1", "")
	var got strings.Builder
	for _, e := range events {
		for _, line := range parse(t, e).SessionData {
			if !utf8.ValidString(line) || len(line) > maxEventText {
				t.Errorf("a line of %d bytes", len(line))
			}
			got.WriteString(line)
		}
	}
	if got.String() != text {
		t.Errorf("%d bytes of %d", got.Len(), len(text))
	}
}

func TestCheck(t *testing.T) {
	const ask = "We couldn't start the session because encryption is not set up on the selected "
	for _, test := range []struct {
		rule, key    string
		bucket, logs bool
		want         string // of the error; empty if there is none
	}{
		{"none", "", false, false, ""},
		{"AES256", "arn", true, true, ""},
		{"aws:kms", "", true, false, ""},
		{"none", "", true, false, ask + "Amazon S3 bucket. Either encrypt the bucket or choose an option to enable logging without encryption."},
		{"AES256", "", true, true, ask + "CloudWatch Logs log group. Either encrypt the log group or choose an option to enable logging without encryption."},
		{"", "arn", true, true, "Couldn't start the session because we are unable to validate encryption on Amazon S3 bucket. Error: AccessDenied: Access Denied"},
	} {
		f := newFake()
		f.rule, f.groupKeys["group"] = test.rule, test.key
		f.groupKeys["group-2"] = "arn"
		s := settings()
		s.BucketEncryption, s.GroupEncryption = test.bucket, test.logs
		err := Check(t.Context(), f, s)
		if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != test.want {
			t.Errorf("%+v: %v", test, err)
		}
		if !test.bucket && !test.logs && f.calls > 0 {
			t.Error("a sink was asked although it need not be encrypted")
		}
	}
	f := newFake()
	delete(f.groupKeys, "group")
	s := settings()
	s.GroupEncryption = true
	if err := Check(t.Context(), f, s); err == nil || !strings.Contains(err.Error(), "unable to validate encryption on CloudWatch Logs log group") {
		t.Errorf("a group that is not there: %v", err)
	}
}

func TestOldLogsAreGivenUp(t *testing.T) {
	spool, f := t.TempDir(), newFake()
	w := open(t, spool, settings(), f)
	_, err := w.Write([]byte("x"))
	must(t, err)
	w.Close()
	f.set(false, errors.New("no"))
	if err := deliverAll(t, spool, f); err == nil {
		t.Error("it was delivered")
	}
	old := time.Now().Add(-Retention - time.Hour)
	must(t, os.Chtimes(filepath.Join(spool, "bob-1", outputFile), old, old))
	must(t, deliverAll(t, spool, f))
	if left(t, spool) != 0 {
		t.Error("it is still there")
	}
}

func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"a\tb\r", "\x1b[1;31mred\x1b[m", "\x1b]0;t\x07x", "\x1b]0;t\x1b\\x", "\x1b(Bx", "\x1b", "\x1b[", "\x1bP\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if got := plain(line); len(got) > len(line) || strings.ContainsAny(got, "\x1b\r\t\a") {
			t.Errorf("%q becomes %q", line, got)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("a\nb\n"), true)
	f.Add([]byte(strings.Repeat("日", 40_000)), false)
	f.Fuzz(func(t *testing.T, output []byte, final bool) {
		s := &streamer{settings: settings()}
		for at := 0; ; {
			chunk := output[at:min(len(output), at+maxRead)]
			messages, used := s.events(chunk, final && at+len(chunk) == len(output))
			if used == 0 {
				if final && at < len(output) {
					t.Fatalf("stuck at %d of %d", at, len(output))
				}
				return
			}
			if len(messages) > maxCallEvents || used > len(chunk) {
				t.Fatalf("%d messages of %d bytes", len(messages), used)
			}
			at += used
		}
	})
}
