package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"sekisho/internal/client/clienttest"
	"sekisho/internal/message"
)

func TestPromptEchoAndExit(t *testing.T) {
	g, u := gatewayUser(t)
	u.options.Size = func() (int, int) { return 80, 24 }
	u.start()
	say(t, u.ctx, g, "$ ")
	u.out.await(t, u.ctx, "$ ")
	expect(t, u.ctx, g, message.PayloadSize, `{"cols":80,"rows":24}`)
	u.kind("echo \xff\x00 日本\r\n")
	expect(t, u.ctx, g, message.PayloadOutput, "echo \xff\x00 日本\r\n")
	say(t, u.ctx, g, "\xff\x00 日本\r\n")
	if err := g.End(u.ctx, ""); err != nil {
		t.Fatal(err)
	}
	outcome, err := u.wait()
	if err != nil || outcome != (Outcome{}) {
		t.Errorf("ended %+v, %v; want a plain end", outcome, err)
	}
	want := "\nStarting session with SessionId: " + clienttest.SessionID + "\n$ \xff\x00 日本\r\n" +
		"\n\nExiting session with sessionId: " + clienttest.SessionID + ".\n\n"
	if got := u.out.String(); got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if got := u.err.String(); got != "" {
		t.Errorf("notices %q, want none", got)
	}
	open := <-g.Opened
	if open.ClientInstanceId != "" || open.ClientId == "" || open.ClientVersion != message.ClientVersion || open.MessageSchemaVersion != "1.0" {
		t.Errorf("opening message %+v is not that of a client", open)
	}
}

func TestTerminalIsRawDuringTheSessionOnly(t *testing.T) {
	g, u := gatewayUser(t)
	terminal := &fakeTerminal{}
	u.options.Terminal = terminal
	u.start()
	say(t, u.ctx, g, "$ ")
	u.out.await(t, u.ctx, "$ ")
	if err := g.End(u.ctx, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := u.wait(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"raw", "restore"}; !slices.Equal(terminal.calls, want) {
		t.Errorf("terminal was told %q, want %q", terminal.calls, want)
	}
}

func TestConformance18EnvelopeOnTheWire(t *testing.T) {
	b := bareUser(t)
	b.start()
	b.write(output(0, "$ "))
	b.kind("ls\n")
	for {
		frame, m := b.read()
		if m.Type != message.TypeInputStreamData {
			continue
		}
		if err := m.VerifyDigest(); err != nil {
			t.Error(err)
		}
		if m.Sequence != 0 || m.PayloadType != message.PayloadOutput || string(m.Payload) != "ls\n" || m.Flags != 0 {
			t.Errorf("got %+v, want the input as message 0 with no flags", m)
		}
		if again := message.Append(nil, m); !bytes.Equal(again, frame) {
			t.Errorf("frame %x encodes again as %x", frame, again)
		}
		return
	}
}

func TestConformance19NumbersAreUniqueAndGapFree(t *testing.T) {
	b := bareUser(t)
	cols := make(chan int, 1000)
	for n := range cap(cols) {
		cols <- n + 1
	}
	b.options.Size = func() (int, int) { return <-cols, 24 }
	b.start()
	b.write(output(0, "$ "))
	const each = 100
	stop := make(chan struct{})
	defer close(stop)
	go func() { // typing
		for range each {
			if _, err := b.typed.Write([]byte("k")); err != nil {
				return
			}
		}
	}()
	go func() { // resizing
		for range each {
			select {
			case b.resized <- struct{}{}:
			case <-stop:
				return
			}
		}
	}()
	go func() { // signals
		for range each {
			select {
			case b.keys <- 0x03:
			case <-stop:
				return
			}
		}
	}()
	seen := map[int64]bool{}
	counts := map[string]int{}
	for len(seen) < 3*each+1 {
		m := b.readStream(seen)
		kind := m.PayloadType.String()
		if string(m.Payload) == "\x03" {
			kind = "key"
		}
		counts[kind]++
	}
	for n := range int64(len(seen)) {
		if !seen[n] {
			t.Fatalf("number %d is missing among %d", n, len(seen))
		}
	}
	if counts["key"] != each || counts[message.PayloadSize.String()] != each+1 || counts[message.PayloadOutput.String()] != each {
		t.Errorf("got %v, want %d of each and the first size", counts, each)
	}
}

func TestConformance20Acknowledgements(t *testing.T) {
	b := bareUser(t)
	b.out.gate = make(chan struct{}, 100)
	b.out.gate <- struct{}{} // the starting line
	b.start()

	b.write(output(0, "zero "))
	b.write(output(2, "two "))
	if got := b.readAck(); got != 2 {
		t.Fatalf("acknowledged %d first, want 2: it is stored, and 0 is not written yet", got)
	}
	b.out.gate <- struct{}{}
	if got := b.readAck(); got != 0 {
		t.Fatalf("acknowledged %d, want 0 now that it is written", got)
	}
	b.write(output(0, "zero "))
	if got := b.readAck(); got != 0 {
		t.Fatalf("acknowledged %d, want 0 again: it is a duplicate", got)
	}
	b.write(output(1, "one "))
	close(b.out.gate)
	if got := b.readAck(); got != 1 {
		t.Fatalf("acknowledged %d, want 1", got)
	}
	b.write(message.Message{Type: message.TypeOutputStreamData, Sequence: 3, PayloadType: 4711, Payload: []byte("what")})
	if got := b.readAck(); got != 3 {
		t.Fatalf("acknowledged %d, want 3: its type is unknown", got)
	}
	b.write(output(4, "four"))
	b.out.await(t, b.ctx, "\nzero one two four")
}

// handshakeRequest asks for a session type.
func handshakeRequest(actions string) message.Message {
	return message.Message{
		Type: message.TypeOutputStreamData, PayloadType: message.PayloadHandshakeRequest,
		Payload: []byte(`{"AgentVersion":"3.3.1142.0","RequestedClientActions":[` + actions + `]}`),
	}
}

const shellAction = `{"ActionType":"SessionType","ActionParameters":{"SessionType":"InteractiveCommands","Properties":null}}`

func TestConformance21HandshakeResponse(t *testing.T) {
	b := bareUser(t)
	b.start()
	b.write(handshakeRequest(shellAction))
	b.write(handshakeRequest(shellAction)) // sent again before it was acknowledged
	seen := map[int64]bool{}
	m := b.readStream(seen)
	var response map[string]any
	if err := json.Unmarshal(m.Payload, &response); err != nil || m.PayloadType != message.PayloadHandshakeResponse {
		t.Fatalf("got %s %q (%v), want a handshake response", m.PayloadType, m.Payload, err)
	}
	want := `{"ClientVersion":"` + message.ClientVersion + `","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}`
	if string(m.Payload) != want {
		t.Errorf("response %s, want %s", m.Payload, want)
	}
	if parts := strings.Split(message.ClientVersion, "."); len(parts) != 4 {
		t.Errorf("client version %s has %d parts, want 4", message.ClientVersion, len(parts))
	}
	b.write(message.Message{Type: message.TypeOutputStreamData, Sequence: 1, PayloadType: message.PayloadHandshakeComplete,
		Payload: []byte(`{"HandshakeTimeToComplete":962291,"CustomerMessage":"Mind the gap."}`)})
	b.out.await(t, b.ctx, "\nMind the gap.\n")
	b.kind("x")
	if m := b.readStream(seen); m.PayloadType != message.PayloadOutput {
		t.Errorf("after the handshake came %s, want the input and no second response", m.PayloadType)
	}
}

func TestConformance22NothingBeforeHandshakeComplete(t *testing.T) {
	b := bareUser(t)
	b.options.Size = func() (int, int) { return 80, 24 }
	b.start()
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		b.kind("early")
	}()
	b.write(handshakeRequest(shellAction))
	seen := map[int64]bool{}
	if m := b.readStream(seen); m.PayloadType != message.PayloadHandshakeResponse || m.Sequence != 0 {
		t.Fatalf("first came %s as %d, want the response as 0", m.PayloadType, m.Sequence)
	}
	select {
	case <-typed:
		t.Fatal("input was read before the handshake was complete")
	default:
	}
	b.write(message.Message{Type: message.TypeOutputStreamData, Sequence: 1, PayloadType: message.PayloadHandshakeComplete,
		Payload: []byte(`{"HandshakeTimeToComplete":1,"CustomerMessage":""}`)})
	if m := b.readStream(seen); m.PayloadType != message.PayloadSize {
		t.Errorf("second came %s, want the window size", m.PayloadType)
	}
	if m := b.readStream(seen); string(m.Payload) != "early" {
		t.Errorf("third came %s %q, want the input", m.PayloadType, m.Payload)
	}
}

func TestUnsupportedSessionsAreRefusedInWords(t *testing.T) {
	for _, c := range []struct{ name, action, want string }{
		{"unknown type", `{"ActionType":"SessionType","ActionParameters":{"SessionType":"Telepathy"}}`, "Telepathy"},
		{"unknown action", `{"ActionType":"Dance"}`, "Dance"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bareUser(t)
			b.start()
			b.write(handshakeRequest(c.action))
			m := b.readStream(map[int64]bool{})
			var response message.HandshakeResponse
			if err := json.Unmarshal(m.Payload, &response); err != nil || len(response.Errors) == 0 {
				t.Errorf("response %s (%v) has no error", m.Payload, err)
			}
			_, err := b.wait()
			var unsupported *UnsupportedError
			if !errors.As(err, &unsupported) || !strings.Contains(Explain(English, err), c.want) {
				t.Errorf("ended with %v, want an explanation with %q", err, c.want)
			}
		})
	}
}

func TestPortSessionThatCannotBeReadIsDeclined(t *testing.T) {
	b := bareUser(t)
	b.start()
	b.write(handshakeRequest(`{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":[]}}`))
	seen := map[int64]bool{}
	b.readStream(seen)
	b.write(message.Message{Type: message.TypeOutputStreamData, Sequence: 1, PayloadType: message.PayloadHandshakeComplete, Payload: []byte(`{}`)})
	m := b.readStream(seen)
	if flag, err := message.ParseFlag(m.Payload); m.PayloadType != message.PayloadFlag || err != nil || flag != message.FlagTerminateSession {
		t.Errorf("node was told %s %q, want the end of the session", m.PayloadType, m.Payload)
	}
	var unsupported *UnsupportedError
	if _, err := b.wait(); !errors.As(err, &unsupported) {
		t.Errorf("ended with %v, want that it is not supported", err)
	}
}

func TestConformance23SizeAndKeys(t *testing.T) {
	g, u := gatewayUser(t)
	sizes := make(chan [2]int, 5)
	for _, s := range [][2]int{{80, 24}, {80, 24}, {0, 0}, {132, 50}} {
		sizes <- s
	}
	u.options.Size = func() (int, int) { s := <-sizes; return s[0], s[1] }
	u.options.Terminal = &fakeTerminal{}
	u.start()
	say(t, u.ctx, g, "$ ")
	expect(t, u.ctx, g, message.PayloadSize, `{"cols":80,"rows":24}`)
	for range 3 { // the same, unknown, another
		u.resized <- struct{}{}
	}
	expect(t, u.ctx, g, message.PayloadSize, `{"cols":132,"rows":50}`)
	u.kind("\x03")
	expect(t, u.ctx, g, message.PayloadOutput, "\x03")
	u.kind("\x1a\x1c\n")
	expect(t, u.ctx, g, message.PayloadOutput, "\x1a\x1c\n")
	u.kind("\n") // the stock client makes this a carriage return
	expect(t, u.ctx, g, message.PayloadOutput, "\n")
	u.keys <- 0x03
	expect(t, u.ctx, g, message.PayloadOutput, "\x03")
}

func TestConformance26ExitCodeAndStderr(t *testing.T) {
	g, u := gatewayUser(t)
	u.start()
	say(t, u.ctx, g, "out")
	for _, m := range []struct {
		kind message.PayloadType
		text string
	}{{message.PayloadStdErr, "oops"}, {message.PayloadExitCode, "EXIT_CODE: 7"}} {
		if err := g.Agent.Send(u.ctx, m.kind, []byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.End(u.ctx, ""); err != nil {
		t.Fatal(err)
	}
	outcome, err := u.wait()
	if err != nil || outcome.ExitCode == nil || *outcome.ExitCode != 7 {
		t.Errorf("ended %+v, %v; want exit code 7", outcome, err)
	}
	if got := u.err.String(); got != "oops" {
		t.Errorf("standard error %q, want %q", got, "oops")
	}
	if got := u.out.String(); strings.Contains(got, "oops") || strings.Contains(got, "EXIT_CODE") {
		t.Errorf("standard output %q has what does not belong there", got)
	}
}

func TestConformance27EndFlushesOutput(t *testing.T) {
	b := bareUser(t)
	b.out.gate = make(chan struct{}, 100)
	b.out.gate <- struct{}{} // the starting line
	b.start()
	var want strings.Builder
	for n := range int64(50) {
		text := strings.Repeat("x", 1000) + "\n"
		want.WriteString(text)
		b.write(output(n, text))
	}
	b.writeFrame(clienttest.Closed("Your session timed out due to inactivity."))
	b.far.Close() // the gateway is rid of us
	close(b.out.gate)
	outcome, err := b.wait()
	if err != nil || outcome.Output != "Your session timed out due to inactivity." {
		t.Errorf("ended %+v, %v", outcome, err)
	}
	want.WriteString("\n\nSessionId: " + clienttest.SessionID + " : Your session timed out due to inactivity.\n\n")
	if got := b.out.String(); !strings.HasSuffix(got, want.String()) {
		t.Errorf("output of %d bytes ends %q, want all %d bytes and the last line", len(got), got[max(0, len(got)-100):], want.Len())
	}
}

func TestEndOfInputIsTypedAsATerminalWould(t *testing.T) {
	for _, c := range []struct{ input, want string }{
		{"", "\x04"}, {"exit\n", "exit\n\x04"}, {"exit", "exit\x04\x04"},
	} {
		g, u := gatewayUser(t)
		u.start()
		say(t, u.ctx, g, "$ ")
		if c.input != "" {
			u.kind(c.input)
		}
		u.typed.Close()
		var got string
		for len(got) < len(c.want) {
			_, text := next(t, u.ctx, g)
			got += text
		}
		if got != c.want {
			t.Errorf("input %q reached the node as %q, want %q", c.input, got, c.want)
		}
		say(t, u.ctx, g, "still here") // output goes on
		u.out.await(t, u.ctx, "still here")
		if err := g.End(u.ctx, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := u.wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestHangUpEndsTheRun(t *testing.T) {
	g, u := gatewayUser(t)
	u.options.Terminal = &fakeTerminal{}
	u.start()
	say(t, u.ctx, g, "$ ")
	u.typed.Close()
	if _, err := u.wait(); !errors.Is(err, ErrHangUp) {
		t.Errorf("ended with %v, want %v", err, ErrHangUp)
	}
}

func TestOutputThatFailsEndsTheRun(t *testing.T) {
	g, u := gatewayUser(t)
	broken := errors.New("broken pipe")
	u.options.Stdout = writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("Starting")) {
			return len(b), nil
		}
		return 0, broken
	})
	u.start()
	if err := g.Agent.Send(u.ctx, message.PayloadOutput, []byte("$ ")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.wait(); !errors.Is(err, broken) {
		t.Errorf("ended with %v, want %v", err, broken)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestCancelEndsTheRunWithItsCause(t *testing.T) {
	g, u := gatewayUser(t)
	u.start()
	say(t, u.ctx, g, "$ ")
	u.out.await(t, u.ctx, "$ ")
	why := errors.New("enough")
	u.cancel(why)
	if _, err := u.wait(); !errors.Is(err, why) {
		t.Errorf("ended with %v, want %v", err, why)
	}
}

func TestGarbageFromTheGatewayDoesNoHarm(t *testing.T) {
	g, u := gatewayUser(t)
	u.start()
	say(t, u.ctx, g, "$ ")
	u.out.await(t, u.ctx, "$ ")
	good := message.Append(nil, output(1, "x"))
	long := bytes.Clone(good)
	long[3] = 0xff // header length beyond the frame
	badDigest := bytes.Clone(good)
	badDigest[len(badDigest)-1] ^= 1
	for _, frame := range [][]byte{
		nil, {0}, []byte("hello"), bytes.Repeat([]byte{0xff}, 119), bytes.Repeat([]byte{0}, 120),
		bytes.Repeat([]byte("{}"), 5000), good[:116], good[:119], long, badDigest,
		message.Append(nil, message.Message{Type: message.TypeAcknowledge, Payload: []byte("{")}),
		message.Append(nil, message.Message{Type: message.TypeAcknowledge, Payload: []byte(`{"AcknowledgedMessageSequenceNumber":-1}`)}),
		message.Append(nil, message.Message{Type: message.TypeOutputStreamData, Sequence: 1 << 62, PayloadType: 1, Payload: []byte("x")}),
		message.Append(nil, message.Message{Type: message.TypeOutputStreamData, Sequence: -1, PayloadType: 1, Payload: []byte("x")}),
		message.Append(nil, message.Message{Type: message.TypeStartPublication, Payload: []byte("{}")}),
		message.Append(nil, message.Message{Type: message.TypeInteractiveShell, Payload: []byte("{}")}),
		message.Append(nil, output(1<<20, "far ahead")),
	} {
		if err := g.Write(frame); err != nil {
			t.Fatalf("write %.20x: %v", frame, err)
		}
	}
	say(t, u.ctx, g, "alive")
	u.out.await(t, u.ctx, "alive")
	if got := u.out.String(); !strings.HasSuffix(got, "$ alive") || u.err.String() != "" {
		t.Errorf("output %q, notices %q; want the good messages alone", got, u.err)
	}
}

func TestHandshakeGarbageEndsTheRunInWords(t *testing.T) {
	b := bareUser(t)
	b.start()
	b.write(message.Message{Type: message.TypeOutputStreamData, PayloadType: message.PayloadHandshakeRequest, Payload: []byte("{")})
	if _, err := b.wait(); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want what was wrong", err)
	}
}
