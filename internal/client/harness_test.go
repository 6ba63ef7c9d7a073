package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/internal/client/clienttest"
	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// patience bounds every wait of these tests; none is expected to come near it.
const patience = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	t.Cleanup(stop)
	return ctx
}

// screen is an output that can be waited on, and stopped.
type screen struct {
	mu      sync.Mutex // guards the following fields
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at every write

	gate chan struct{} // when not nil, every write takes one value first
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the text holds what is wanted.
func (s *screen) await(t testing.TB, ctx context.Context, want string) {
	t.Helper()
	for {
		s.mu.Lock()
		found := strings.Contains(s.text.String(), want)
		changed := s.changed
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("output has no %q: %.500q", want, s.String())
		}
	}
}

// keyboard is an input whose Close ends a Read as [Options.Stdin] asks.
type keyboard struct{ *io.PipeReader }

func (k keyboard) Read(b []byte) (int, error) {
	n, err := k.PipeReader.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = os.ErrClosed
	}
	return n, err
}

// fakeTerminal notes what is done to it.
type fakeTerminal struct {
	mu    sync.Mutex // guards the following field
	calls []string
}

func (f *fakeTerminal) MakeRaw() error { return f.note("raw") }
func (f *fakeTerminal) Restore() error { return f.note("restore") }

func (f *fakeTerminal) note(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return nil
}

// user is a person at a running session.
type user struct {
	t       testing.TB
	ctx     context.Context
	options Options
	session Session
	out     *screen
	err     *screen
	typed   *io.PipeWriter
	resized chan struct{}
	keys    chan byte
	cancel  context.CancelCauseFunc
	done    chan struct{}

	outcome Outcome // once done is closed
	ended   error
}

// newUser prepares a session at a gateway; start begins it.
func newUser(t testing.TB) *user {
	read, write := io.Pipe()
	u := &user{
		t: t, out: newScreen(), err: newScreen(), typed: write,
		resized: make(chan struct{}, 1), keys: make(chan byte, 1), done: make(chan struct{}),
	}
	u.ctx = testContext(t)
	u.options = Options{
		Stdin: keyboard{read}, Stdout: u.out, Stderr: u.err,
		Resized: u.resized, Keys: u.keys,
		Resume: func(context.Context, string) (*ssm.ResumeSessionOutput, error) {
			return nil, errors.New("no service in this test")
		},
	}
	return u
}

// atGateway points the user at a gateway over TLS.
func (u *user) atGateway(g *clienttest.Gateway) {
	h := g.Server.Client()
	u.session = Session{ID: clienttest.SessionID, Token: g.Token(), StreamURL: g.StreamURL()}
	u.options.Dial = Dialer{HTTP: h}.Dial
	u.t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	u.t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	u.t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	u.t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	u.options.Resume = NewService(g.Server.URL, "local-1", "", h).Resume
}

func (u *user) start() {
	ctx, cancel := context.WithCancelCause(u.ctx)
	u.cancel = cancel
	go func() {
		defer close(u.done)
		u.outcome, u.ended = Run(ctx, u.session, u.options)
	}()
	u.t.Cleanup(func() {
		cancel(errors.New("test is over"))
		<-u.done
	})
}

// wait waits for the end of the session.
func (u *user) wait() (Outcome, error) {
	u.t.Helper()
	select {
	case <-u.done:
	case <-u.ctx.Done():
		u.t.Fatalf("session does not end; output %.500q, notices %.500q", u.out, u.err)
	}
	return u.outcome, u.ended
}

func (u *user) kind(text string) {
	u.t.Helper()
	if _, err := io.WriteString(u.typed, text); err != nil {
		u.t.Fatalf("type %q: %v", text, err)
	}
}

// gatewayUser is a user in front of a running session at a gateway of its own, with
// the node's first output on the screen.
func gatewayUser(t testing.TB) (*clienttest.Gateway, *user) {
	g := clienttest.New(t)
	u := newUser(t)
	u.atGateway(g)
	return g, u
}

// say sends output of the node.
func say(t testing.TB, ctx context.Context, g *clienttest.Gateway, text string) {
	t.Helper()
	if err := g.Agent.Send(ctx, message.PayloadOutput, []byte(text)); err != nil {
		t.Fatalf("send output: %v", err)
	}
}

// next is the node's next message.
func next(t testing.TB, ctx context.Context, g *clienttest.Gateway) (message.PayloadType, string) {
	t.Helper()
	in, err := g.Agent.Receive(ctx)
	if err != nil {
		t.Fatalf("node receives: %v", err)
	}
	defer in.Done()
	return in.PayloadType, string(in.Payload)
}

// expect wants the node's next message to be this one.
func expect(t testing.TB, ctx context.Context, g *clienttest.Gateway, wantType message.PayloadType, want string) {
	t.Helper()
	if gotType, got := next(t, ctx, g); gotType != wantType || got != want {
		t.Fatalf("node got %s %q, want %s %q", gotType, got, wantType, want)
	}
}

// bare is a user whose data channel is an in-memory connection, which the test holds
// the gateway's end of and speaks frame by frame.
type bare struct {
	*user
	far datachannel.FrameConn
}

// aliveConn is a connection that has been heard.
type aliveConn struct{ datachannel.FrameConn }

func (aliveConn) Alive() <-chan struct{} {
	alive := make(chan struct{})
	close(alive)
	return alive
}

func bareUser(t testing.TB) *bare {
	near, far := datachannel.Pipe()
	b := &bare{user: newUser(t), far: far}
	b.session = Session{ID: clienttest.SessionID, Token: "token", StreamURL: "wss://gateway.test/"}
	b.options.Dial = func(context.Context, string, []byte) (Conn, error) { return aliveConn{near}, nil }
	return b
}

// write sends a frame of the node or of the gateway.
func (b *bare) write(m message.Message) {
	b.t.Helper()
	b.writeFrame(message.Append(nil, m))
}

func (b *bare) writeFrame(frame []byte) {
	b.t.Helper()
	if err := b.far.WriteFrame(b.ctx, frame); err != nil {
		b.t.Fatalf("write frame: %v", err)
	}
}

func output(seq int64, text string) message.Message {
	return message.Message{Type: message.TypeOutputStreamData, Sequence: seq, PayloadType: message.PayloadOutput, Payload: []byte(text)}
}

// read gives the client's next frame, as bytes and parsed.
func (b *bare) read() ([]byte, message.Message) {
	b.t.Helper()
	frame, err := b.far.ReadFrame(b.ctx)
	if err != nil {
		b.t.Fatalf("read frame: %v", err)
	}
	m, err := message.Parse(frame)
	if err != nil {
		b.t.Fatalf("client wrote a bad frame: %v", err)
	}
	return frame, m
}

// readAck gives the number in the next acknowledgement, past stream messages.
func (b *bare) readAck() int64 {
	b.t.Helper()
	for {
		_, m := b.read()
		if m.Type != message.TypeAcknowledge {
			continue
		}
		a, err := message.ParseAcknowledge(m.Payload)
		if err != nil {
			b.t.Fatal(err)
		}
		return a.AcknowledgedMessageSequenceNumber
	}
}

// readStream gives the next stream message that was not sent before, and
// acknowledges everything.
func (b *bare) readStream(seen map[int64]bool) message.Message {
	b.t.Helper()
	for {
		_, m := b.read()
		if m.Type != message.TypeInputStreamData {
			continue
		}
		b.writeFrame(message.AppendAcknowledge(nil, m.Type, m.ID, m.Sequence))
		if !seen[m.Sequence] {
			seen[m.Sequence] = true
			return m
		}
	}
}

func service(status int, code, text string) clienttest.Answer {
	return clienttest.Answer{Status: status, Body: `{"__type":"` + code + `","message":"` + text + `"}`}
}
