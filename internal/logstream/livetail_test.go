package logstream

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/internal/sigv4"
)

// tailing is a live tail as a client sees it.
type tailing struct {
	t    *testing.T
	body io.ReadCloser
}

// message is one of its messages.
type message struct {
	Type, Name string // "event" and "sessionUpdate"
	Payload    struct {
		SessionID       string       `json:"sessionId"`
		SessionMetadata tailMetadata `json:"sessionMetadata"`
		SessionResults  []tailEvent  `json:"sessionResults"`
		Message         string       `json:"message"`
	}
}

// tail starts a live tail as a user, or gives the answer's text.
func (w *world) tail(user string, in *StartLiveTailInput) (*tailing, string) {
	w.t.Helper()
	body, err := json.Marshal(in)
	must(w.t, err)
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.http.URL+"/", bytes.NewReader(body))
	must(w.t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Logs_20140328.StartLiveTail")
	sigv4.Sign(r, sigv4.Hash(body), credentials(user), arns.Region, "logs", time.Now())
	answer, err := http.DefaultClient.Do(r)
	must(w.t, err)
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		must(w.t, err)
		return nil, string(text)
	}
	w.t.Cleanup(func() { answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); got != "application/vnd.amazon.eventstream" {
		w.t.Errorf("Content-Type %q", got)
	}
	tail := &tailing{w.t, answer.Body}
	if m := tail.next(); m.Name != "initial-response" {
		w.t.Fatalf("the first message is %+v", m)
	}
	if m := tail.next(); m.Name != "sessionStart" || m.Payload.SessionID == "" {
		w.t.Fatalf("the second message is %+v", m)
	}
	return tail, ""
}

// next reads a message and checks both of its sums.
func (l *tailing) next() message {
	l.t.Helper()
	m, err := readMessage(l.body)
	must(l.t, err)
	return m
}

func readMessage(from io.Reader) (m message, err error) {
	all := make([]byte, 12)
	if _, err := io.ReadFull(from, all); err != nil {
		return m, err
	}
	total, head := binary.BigEndian.Uint32(all), binary.BigEndian.Uint32(all[4:])
	if crc32.ChecksumIEEE(all[:8]) != binary.BigEndian.Uint32(all[8:]) || total < 16+head || total > 16<<20 {
		return m, errors.New("bad prelude")
	}
	all = append(all, make([]byte, total-12)...)
	if _, err := io.ReadFull(from, all[12:]); err != nil {
		return m, err
	}
	if crc32.ChecksumIEEE(all[:total-4]) != binary.BigEndian.Uint32(all[total-4:]) {
		return m, errors.New("bad sum")
	}
	for h := all[12 : 12+head]; len(h) > 0; {
		name := string(h[1 : 1+h[0]])
		h = h[1+h[0]:]
		n := binary.BigEndian.Uint16(h[1:])
		value := string(h[3 : 3+n])
		h = h[3+n:]
		switch name {
		case ":message-type":
			m.Type = value
		case ":event-type", ":exception-type":
			m.Name = value
		}
	}
	return m, json.Unmarshal(all[12+head:total-4], &m.Payload)
}

// shown collects the messages of events until there are n.
func (l *tailing) shown(n int) string {
	l.t.Helper()
	var all []string
	for len(all) < n {
		m := l.next()
		if m.Name != "sessionUpdate" {
			l.t.Fatalf("%+v", m)
		}
		for _, e := range m.Payload.SessionResults {
			all = append(all, e.LogStreamName+":"+e.Message)
		}
	}
	return strings.Join(all, " ")
}

// impatient serves as the server does, with limits that a live tail must outlast.
func (w *world) impatient() {
	handler := w.http.Config.Handler
	w.http.Close()
	w.http = httptest.NewUnstartedServer(handler)
	w.http.Config.ReadTimeout, w.http.Config.WriteTimeout = 2*time.Second, 2*time.Second
	w.http.Start()
	w.t.Cleanup(w.http.Close)
}

func TestLiveTail(t *testing.T) {
	w := newWorld(t)
	w.impatient()
	w.stream("g", "bob-1", "bob-2", "eve-1")
	w.put("g", "bob-1", time.Now().Add(-time.Minute), "before it began")
	w.ahead.Add(int64(time.Second)) // the tail begins after that
	arn := "arn:aws:logs:local-1:123456789012:log-group:g"
	all, _ := w.tail("alice", &StartLiveTailInput{LogGroupIdentifiers: []string{arn}})
	bobs, _ := w.tail("alice", &StartLiveTailInput{LogGroupIdentifiers: []string{arn}, LogStreamNamePrefixes: []string{"bob"}, LogEventFilterPattern: "ERROR"})
	w.put("g", "eve-1", time.Now(), "ERROR net")
	w.put("g", "bob-2", time.Now().Add(time.Second), "ERROR 日本", "login")
	equal(t, "all", all.shown(3), "eve-1:ERROR net bob-2:ERROR 日本 bob-2:login")
	equal(t, "bob's", bobs.shown(1), "bob-2:ERROR 日本")
	for range 4 { // beyond the server's limits
		equal(t, "nothing twice", len(all.next().Payload.SessionResults), 0)
	}
	w.put("g", "bob-1", time.Now(), "late ERROR")
	equal(t, "later", all.shown(1), "bob-1:late ERROR")
	equal(t, "later", bobs.shown(1), "bob-1:late ERROR")
	// More than an update holds.
	many := make([]string, tailEvents+1)
	for i := range many {
		many[i] = "x"
	}
	in := batch("g", "eve-1", time.Now(), many...)
	for i := range in.LogEvents {
		in.LogEvents[i].Timestamp = in.LogEvents[0].Timestamp
	}
	do[PutLogEventsOutput](w, "PutLogEvents", in)
	for sampled := false; !sampled; {
		m := all.next()
		if sampled = m.Payload.SessionMetadata.Sampled; sampled {
			equal(t, "sample", len(m.Payload.SessionResults), tailEvents)
		}
	}
	w.ahead.Add(int64(tailLife))
	ends := func(what string, l *tailing, name string) {
		t.Helper()
		for {
			if m := l.next(); m.Type == "exception" {
				equal(t, what, m.Name, name)
				return
			}
		}
	}
	ends("after three hours", all, "SessionTimeoutException")
	w.allow("logs:StartLiveTail", arn+":*")
	own, refused := w.tail("bob", &StartLiveTailInput{LogGroupIdentifiers: []string{arn}})
	if own == nil {
		t.Fatal(refused)
	}
	w.allow("logs:StartLiveTail", arn+"2:*")
	w.ahead.Add(int64(tailJudged))
	ends("after the permission was taken", own, "SessionStreamingException")
	own, refused = w.tail("bob", &StartLiveTailInput{LogGroupIdentifiers: []string{arn}})
	if own != nil || !strings.Contains(refused, "not authorized to perform: logs:StartLiveTail on resource: "+arn) {
		t.Errorf("without permission: %s", refused)
	}
	last, _ := w.tail("alice", &StartLiveTailInput{LogGroupIdentifiers: []string{arn}})
	w.server.Close()
	ends("when the server stops", last, "SessionStreamingException")
}

func TestLiveTailsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.stream("g", "s")
	in := &StartLiveTailInput{LogGroupIdentifiers: []string{"g"}}
	var tails []*tailing
	for range tailsEach {
		l, _ := w.tail("alice", in)
		tails = append(tails, l)
	}
	_, refused := w.tail("alice", in)
	if !strings.Contains(refused, "LimitExceededException") {
		t.Errorf("one too many: %s", refused)
	}
	for _, l := range tails {
		l.body.Close()
	}
	for { // those that left do not count
		if l, _ := w.tail("alice", in); l != nil {
			break
		}
	}
	w.refused("InvalidParameterException: Log streams can be chosen", "StartLiveTail",
		&StartLiveTailInput{LogGroupIdentifiers: []string{"g", "g"}, LogStreamNames: []string{"s"}})
	w.refused("ResourceNotFoundException: The specified log group does not exist.", "StartLiveTail", &StartLiveTailInput{LogGroupIdentifiers: []string{"none"}})
	w.server.Close()
}

// TestLiveTailCLI follows a group with `aws logs start-live-tail`, where the CLI has it.
func TestLiveTailCLI(t *testing.T) {
	var path string
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin") {
		candidate := filepath.Join(dir, "aws")
		usage, _ := exec.Command(candidate, "logs", "start-live-tail").CombinedOutput() // fails: it wants groups
		if strings.Contains(string(usage), "--log-group-identifiers") {
			path = candidate
			break
		}
	}
	if path == "" {
		t.Skip("no aws CLI of this machine has `logs start-live-tail` (Debian's has not)")
	}
	w := newWorld(t)
	w.stream("g", "bob-1")
	cred := credentials("alice")
	cmd := exec.CommandContext(t.Context(), path, "--endpoint-url", w.http.URL, "logs", "start-live-tail",
		"--log-group-identifiers", "arn:aws:logs:local-1:123456789012:log-group:g")
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "AWS_REGION=" + arns.Region, "AWS_DEFAULT_REGION=" + arns.Region,
		"AWS_EC2_METADATA_DISABLED=true", "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"), "LC_ALL=C.UTF-8", "PYTHONUNBUFFERED=1",
		"AWS_DISABLE_HOST_PREFIX_INJECTION=true", // else it asks streaming-127.0.0.1
		"AWS_ACCESS_KEY_ID=" + cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + cred.SecretAccessKey}
	out, err := cmd.StdoutPipe()
	must(t, err)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	must(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	defer w.server.Close()
	go func() { // until it has come
		for w.try("alice", "PutLogEvents", batch("g", "bob-1", time.Now(), "障害 in the tail"), nil) == nil && t.Context().Err() == nil {
			select {
			case <-time.After(time.Second):
			case <-t.Context().Done():
			}
		}
	}()
	var seen []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(seen, []byte("障害 in the tail")) {
		n, err := out.Read(buf)
		seen = append(seen, buf[:n]...)
		if err != nil {
			t.Fatalf("%v: %s%s", err, seen, problem.Bytes())
		}
	}
}
