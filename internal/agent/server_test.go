//go:build linux

package agent

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

const (
	testRegion = "local-1"
	testCode   = "abcdefghijkmnpqrstuv"
	testID     = "01234567-89ab-cdef-0123-456789abcdef"
)

// testServer is the service as far as an agent talks to it: the three API calls, the
// create calls and the websockets, every signature verified. Its end of a data channel
// is the client's.
type testServer struct {
	t    *testing.T
	http *httptest.Server
	dir  string // of the agent's registration

	controls chan *testControl // every control channel that opens

	mu         sync.Mutex // guards the following
	nodeID     string
	key        *rsa.PublicKey
	hash       string // fingerprint
	shift      time.Duration
	life       time.Duration // of credentials
	secrets    map[string]string
	heartbeats []ssm.UpdateInstanceInformationInput
	sessions   map[string]*testSession
	refuse     func(r *http.Request) *ssm.Error // before anything else
	deaf       bool                             // answers no ping
	wantKey    bool                             // asks for a new key pair
	rotation   func(body []byte) error          // answers the new key pair
	twoKeys    bool                             // a signature by another key is no mistake of the test
	open       map[*websocket.Conn]bool
}

func newTestServer(t *testing.T) *testServer {
	s := &testServer{
		t: t, dir: filepath.Join(t.TempDir(), "agent"), life: time.Hour,
		controls: make(chan *testControl, 100),
		secrets:  map[string]string{}, sessions: map[string]*testSession{}, open: map[*websocket.Conn]bool{},
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.http.StartTLS()
	t.Cleanup(func() {
		s.cutAll()
		s.http.Close()
	})
	return s
}

func (s *testServer) caFile() string {
	path := filepath.Join(s.t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *testServer) activation() Activation {
	return Activation{
		Dir: s.dir, Endpoint: s.http.URL, CAFile: s.caFile(), Region: testRegion, Code: testCode, ID: testID,
	}
}

func (s *testServer) register() {
	s.t.Helper()
	if _, err := Register(s.t.Context(), s.activation()); err != nil {
		s.t.Fatal(err)
	}
}

// runAgent registers and runs an agent inside the test, until the test ends.
func (s *testServer) runAgent(change ...func(*Config)) (stop func()) {
	s.t.Helper()
	s.register()
	cfg := Config{Dir: s.dir, EndSessions: true, Logger: slog.New(slog.NewTextHandler(logWriter{s.t}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := receive(s.t, "end of the agent", done); err != nil {
			s.t.Errorf("run: %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

func (s *testServer) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.shift)
}

// with changes the server while it runs.
func (s *testServer) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *testServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	if refuse != nil {
		if e := refuse(r); e != nil {
			answerFault(w, r, e)
			return
		}
	}
	switch path := r.URL.Path; {
	case path == "/":
		err = s.api(w, r, body)
	case strings.HasPrefix(path, "/v1/control-channel/"), strings.HasPrefix(path, "/v1/data-channel/"):
		err = s.channel(w, r, body)
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		e, ok := err.(*ssm.Error)
		if wrong, isSignature := err.(*sigv4.Error); isSignature && s.twoKeys {
			e, ok = ssm.Errorf(wrong.Code, "%s", wrong.Message), true
		}
		if !ok {
			s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
			e = ssm.Errorf("InternalServerError", "%v", err)
		}
		answerFault(w, r, e)
	}
}

func answerFault(w http.ResponseWriter, r *http.Request, e *ssm.Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	if r.URL.Path == "/" {
		json.NewEncoder(w).Encode(map[string]string{"__type": e.Code, "message": e.Message})
	} else {
		fmt.Fprintf(w, "<%s><Message>%s</Message></%s>", e.Code, e.Message, e.Code)
	}
}

// authenticate verifies a request's signature and that it is the node's.
func (s *testServer) authenticate(r *http.Request, body []byte, service string, ownKey bool) error {
	auth, err := sigv4.Parse(r)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	err = auth.Check(sigv4.Policy{Now: s.now(), Service: service, Regions: func(_, region string) bool { return region == testRegion }})
	if err != nil {
		if e, ok := err.(*sigv4.Error); ok {
			return &ssm.Error{Code: e.Code, Message: e.Message}
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ownKey {
		if auth.AccessKeyID != s.nodeID {
			return fmt.Errorf("signed by %s, want %s", auth.AccessKeyID, s.nodeID)
		}
		return auth.VerifyRSA(r, sigv4.Hash(body), s.key)
	}
	secret, ok := s.secrets[auth.AccessKeyID]
	if !ok || auth.SecurityToken != "token-"+auth.AccessKeyID {
		return ssm.Errorf("ExpiredTokenException", "The security token included in the request is expired")
	}
	return auth.Verify(r, sigv4.Hash(body), secret)
}

func (s *testServer) api(w http.ResponseWriter, r *http.Request, body []byte) error {
	switch target := r.Header.Get("X-Amz-Target"); target {
	case "AmazonSSM.RegisterManagedInstance":
		var in ssm.RegisterManagedInstanceInput
		if err := json.Unmarshal(body, &in); err != nil {
			return err
		}
		if in.ActivationCode != testCode || in.ActivationID != testID {
			return ssm.Errorf(ssm.CodeInvalidActivation, "the activation is not valid")
		}
		der, err := base64.StdEncoding.DecodeString(in.PublicKey)
		if err != nil {
			return err
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.key, s.hash, s.nodeID = key.(*rsa.PublicKey), in.Fingerprint, ssm.NewNodeID()
		id := s.nodeID
		s.mu.Unlock()
		return json.NewEncoder(w).Encode(ssm.RegisterManagedInstanceOutput{InstanceID: id})
	case "AmazonSSM.RequestManagedInstanceRoleToken":
		if err := s.authenticate(r, body, "ssm", true); err != nil {
			return err
		}
		var in ssm.RequestManagedInstanceRoleTokenInput
		if err := json.Unmarshal(body, &in); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if in.Fingerprint != s.hash {
			return ssm.Errorf(ssm.CodeFingerprintDoesNotMatch, "another machine")
		}
		id := fmt.Sprintf("ASIA%016d", len(s.secrets))
		s.secrets[id] = "secret-" + id
		return json.NewEncoder(w).Encode(ssm.RequestManagedInstanceRoleTokenOutput{
			AccessKeyID: id, SecretAccessKey: s.secrets[id], SessionToken: "token-" + id,
			TokenExpirationDate: ssm.Time{Time: time.Now().Add(s.shift + s.life)},
			UpdateKeyPair:       s.wantKey,
		})
	case "AmazonSSM.UpdateManagedInstancePublicKey":
		if err := s.authenticate(r, body, "ssm", true); err != nil {
			return err
		}
		if err := s.rotation(body); err != nil {
			return err
		}
		_, err := io.WriteString(w, "{}")
		return err
	case "AmazonSSM.UpdateInstanceInformation":
		if err := s.authenticate(r, body, "ssm", false); err != nil {
			return err
		}
		var in ssm.UpdateInstanceInformationInput
		if err := json.Unmarshal(body, &in); err != nil {
			return err
		}
		s.mu.Lock()
		s.heartbeats = append(s.heartbeats, in)
		s.mu.Unlock()
		_, err := io.WriteString(w, "{}")
		return err
	default:
		return fmt.Errorf("unexpected target %q", target)
	}
}

// channel serves the create calls and the upgrades.
func (s *testServer) channel(w http.ResponseWriter, r *http.Request, body []byte) error {
	if err := s.authenticate(r, body, "ssmmessages", false); err != nil {
		return err
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	data := strings.HasPrefix(r.URL.Path, "/v1/data-channel/")
	var session *testSession
	if data {
		s.mu.Lock()
		session = s.sessions[rest]
		s.mu.Unlock()
		if session == nil || session.isOver() {
			return ssm.Errorf("DoesNotExistException", "Session is already terminated")
		}
	}
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
		_, err := fmt.Fprintf(w, "<R xmlns='urn:x'><MessageSchemaVersion>1.0</MessageSchemaVersion><TokenValue>token-of-%s</TokenValue></R>", rest)
		return err
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived: func(context.Context, []byte) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.deaf
		},
	})
	if err != nil {
		return nil // answered
	}
	ws.SetReadLimit(maxFrame)
	s.mu.Lock()
	s.open[ws] = true
	s.mu.Unlock()
	defer func() {
		ws.CloseNow()
		s.mu.Lock()
		delete(s.open, ws)
		s.mu.Unlock()
	}()
	kind, first, err := ws.Read(r.Context())
	if err != nil || kind != websocket.MessageText || !bytes.Contains(first, []byte("token-of-"+rest)) {
		s.t.Logf("channel %s: first message %q, %v", rest, first, err)
		return nil
	}
	if data {
		session.serve(r.Context(), ws, first)
		return nil
	}
	if r.URL.RawQuery != "role=subscribe&stream=input" {
		s.t.Errorf("control channel opened with %s", r.URL.RawQuery)
	}
	c := &testControl{ws: ws, open: first, frames: make(chan message.Message, 1000)}
	s.controls <- c
	for {
		_, frame, err := ws.Read(r.Context())
		if err != nil {
			close(c.frames)
			return nil
		}
		m, err := message.Parse(frame)
		if err != nil {
			s.t.Errorf("bad frame from the agent: %v", err)
			continue
		}
		c.frames <- m
	}
}

// cutAll drops every websocket, as a server that is killed does.
func (s *testServer) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ws := range s.open {
		go ws.CloseNow()
	}
}

// testControl is a control channel that an agent opened.
type testControl struct {
	ws     *websocket.Conn
	open   []byte // the first message
	frames chan message.Message
}

func (c *testControl) send(t *testing.T, m message.Message) {
	t.Helper()
	if err := c.ws.Write(t.Context(), websocket.MessageBinary, message.Append(nil, m)); err != nil {
		t.Fatalf("send %s: %v", m.Type, err)
	}
}

// completion waits for the next agent_task_complete and acknowledges it if told to.
func (c *testControl) completion(t *testing.T, acknowledge bool) (message.TaskComplete, message.ID) {
	t.Helper()
	for {
		m := receive(t, "completion", c.frames)
		if m.Type == "" {
			t.Fatal("the control channel closed before the completion")
		}
		if m.Type != message.TypeAgentTaskComplete {
			continue
		}
		done, err := message.ParseTaskComplete(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if acknowledge {
			c.acknowledge(t, m.ID, done.TaskId)
		}
		return done, m.ID
	}
}

func (c *testControl) acknowledge(t *testing.T, id message.ID, task string) {
	t.Helper()
	c.send(t, message.Message{Type: message.TypeAgentTaskAcknowledge, Payload: message.Marshal(
		message.TaskAcknowledge{SchemaVersion: 1, MessageId: id.String(), TaskId: task, Topic: "x"})})
}

func (c *testControl) terminate(t *testing.T, session string) {
	t.Helper()
	c.send(t, channelClosed(session))
}

func channelClosed(session string) message.Message {
	return message.Message{Type: message.TypeChannelClosed, Payload: message.Marshal(message.ChannelClosed{
		MessageType: "channel_closed", SessionId: session, SchemaVersion: 1})}
}

// testSession is a session as its client sees it.
type testSession struct {
	t  *testing.T
	id string
	// ch is nil for a client that only looks: frames go to raw and nothing is answered.
	ch     *datachannel.Channel
	raw    chan message.Message
	opened chan message.OpenDataChannel // every time the agent's end opens

	mu     sync.Mutex // guards the following
	over   bool
	out    []byte
	seen   []message.Message // what the agent sent; of output the length alone, as CreatedDate
	ws     *websocket.Conn
	budget int // close the connection after so many more bytes from the agent; 0 never
	cuts   int
}

func (s *testServer) newSession(raw bool) *testSession {
	x := &testSession{t: s.t, id: ssm.NewSessionID("tester"), opened: make(chan message.OpenDataChannel, 1000)}
	if raw {
		x.raw = make(chan message.Message, 10000)
	} else {
		x.ch = datachannel.New(datachannel.Config{Role: datachannel.Client})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				in, err := x.ch.Receive(context.Background())
				if err != nil {
					return
				}
				x.mu.Lock()
				x.out = append(x.out, in.Payload...)
				x.mu.Unlock()
				in.Done()
			}
		}()
		s.t.Cleanup(func() { x.ch.Close(); <-done })
	}
	s.mu.Lock()
	s.sessions[x.id] = x
	s.mu.Unlock()
	return x
}

func (x *testSession) isOver() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over
}

// task is the start message of a plain shell.
func (x *testSession) task(change ...func(*message.SessionTask)) message.Message {
	task := message.SessionTask{
		DocumentName:    ssm.DefaultSessionDocument,
		DocumentContent: message.DocumentContent{SchemaVersion: "1.0", SessionType: message.SessionTypeStandardStream},
		SessionId:       x.id, SessionOwner: "arn:aws:iam::123456789012:user/tester",
	}
	for _, f := range change {
		f(&task)
	}
	payload, err := message.NewInteractiveShell(task)
	if err != nil {
		x.t.Fatal(err)
	}
	return message.Message{Type: message.TypeInteractiveShell, Payload: payload}
}

// serve is the relay and the client in one, over one connection of the agent.
func (x *testSession) serve(ctx context.Context, ws *websocket.Conn, first []byte) {
	var open message.OpenDataChannel
	if err := json.Unmarshal(first, &open); err != nil {
		x.t.Errorf("first message %q: %v", first, err)
	}
	x.mu.Lock()
	if x.ws != nil {
		x.ws.CloseNow() // the newest wins
	}
	x.ws = ws
	x.mu.Unlock()
	c := &tap{x: x, ws: ws}
	x.opened <- open
	if x.ch != nil {
		// The one before may still be ending.
		for x.ch.Serve(ctx, c) != nil && ctx.Err() == nil && !c.dead() {
			time.Sleep(time.Millisecond)
		}
		return
	}
	for {
		frame, err := c.ReadFrame(ctx)
		if err != nil {
			return
		}
		m, _ := message.Parse(frame)
		x.raw <- m
	}
}

// tap is a server's end of a data channel that notes what passes.
type tap struct {
	x   *testSession
	ws  *websocket.Conn
	mu  sync.Mutex // guards the following
	end bool
}

func (c *tap) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

func (c *tap) ReadFrame(ctx context.Context) ([]byte, error) {
	_, frame, err := c.ws.Read(ctx)
	if err != nil {
		c.mu.Lock()
		c.end = true
		c.mu.Unlock()
		return nil, err
	}
	m, err := message.Parse(frame)
	if err != nil {
		c.x.t.Errorf("bad frame from the agent: %v", err)
		return frame, nil
	}
	c.x.mu.Lock()
	defer c.x.mu.Unlock()
	if m.Type != message.TypeAcknowledge {
		note := m
		note.CreatedDate = int64(len(m.Payload)) // what a test wants to know of the payload
		if note.Type == message.TypeOutputStreamData {
			note.Payload = nil
		}
		c.x.seen = append(c.x.seen, note)
	}
	if c.x.budget > 0 && m.Type == message.TypeOutputStreamData {
		if c.x.budget -= len(frame); c.x.budget <= 0 {
			c.x.budget = 0
			c.x.cuts++
			c.ws.CloseNow() // this very frame is lost
			c.mu.Lock()
			c.end = true
			c.mu.Unlock()
			return nil, io.ErrUnexpectedEOF
		}
	}
	return frame, nil
}

func (c *tap) WriteFrame(ctx context.Context, frame []byte) error {
	return c.ws.Write(ctx, websocket.MessageBinary, frame)
}

func (c *tap) Close() error {
	c.mu.Lock()
	c.end = true
	c.mu.Unlock()
	return c.ws.CloseNow()
}

func (x *testSession) output() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.out)
}

// type_ sends what a person types.
func (x *testSession) type_(text string) {
	x.t.Helper()
	x.send(message.PayloadOutput, []byte(text))
}

func (x *testSession) send(kind message.PayloadType, payload []byte) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := x.ch.Send(ctx, kind, payload); err != nil {
		x.t.Fatalf("send: %v", err)
	}
}

// expect waits until the output contains text.
func (x *testSession) expect(text string) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(x.output(), text); {
		if time.Now().After(deadline) {
			out := x.output()
			x.t.Fatalf("no %q in the last of %d bytes of output: %q", text, len(out), out[max(0, len(out)-2000):])
		}
		time.Sleep(time.Millisecond)
	}
}

// states are the agent's state messages so far, in order.
func (x *testSession) states() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var states []string
	for _, m := range x.seen {
		if m.Type == message.TypeAgentSessionState {
			if s, err := message.ParseSessionState(m.Payload); err == nil {
				states = append(states, s.SessionState)
			}
		}
	}
	return states
}

// openSession runs the agent and opens a session whose shell is ready for commands.
func (s *testServer) openSession() (*testControl, *testSession) {
	s.t.Helper()
	s.runAgent()
	c := receive(s.t, "control channel", s.controls)
	x := s.newSession(false)
	c.send(s.t, x.task())
	x.ready()
	return c, x
}

// ready waits until the shell answers commands. The marker is computed, so that the
// echo of the command is not taken for it.
func (x *testSession) ready() {
	x.t.Helper()
	x.type_("PS1='$ '; unset HISTFILE; bind 'set enable-bracketed-paste off' 2>/dev/null; echo rea''dy\r")
	x.expect("ready\r\n")
}
