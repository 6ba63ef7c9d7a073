package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	fromAgent  = message.TypeOutputStreamData
	fromClient = message.TypeInputStreamData
)

// opened is a session with both ends open.
type opened struct {
	*house
	id                     string
	control, agent, client *peer
}

func open(t *testing.T, limits Limits, change func(*store.Session)) *opened {
	t.Helper()
	h := newHouse(t, limits)
	o := &opened{house: h, control: h.control()}
	var token string
	o.id, token = h.start(change)
	o.control.want(message.TypeInteractiveShell)
	o.agent = h.agent(o.id)
	o.client = h.client(o.id, token)
	h.waitStatus(o.id, ssm.SessionConnected)
	return o
}

func (o *opened) request(kind string) {
	o.t.Helper()
	if err := o.fabric.RequestJSON(o.ctx(), fabric.Session(o.id), fabric.SessionRequest{Kind: kind}, nil); err != nil {
		o.t.Fatal(err)
	}
}

// complete reports the end of the task on the control channel.
func (o *opened) complete(status, output string) {
	o.t.Helper()
	payload, _ := json.Marshal(message.TaskComplete{SchemaVersion: 1, TaskId: o.id, Topic: "agent_task_complete", FinalTaskStatus: status, InstanceId: o.nodeID, Output: output, RetryNumber: 1})
	id := message.NewID()
	o.control.send(message.Message{Type: message.TypeAgentTaskComplete, ID: id, Payload: payload})
	for {
		_, m := o.control.next()
		if m.Type == message.TypeChannelClosed {
			continue
		}
		ack, err := message.ParseTaskAcknowledge(m.Payload)
		if m.Type != message.TypeAgentTaskAcknowledge || err != nil || ack.MessageId != id.String() {
			o.t.Fatalf("completion answered with %s %s (%v)", m.Type, m.Payload, err)
		}
		return
	}
}

func TestConformance01CreateCalls(t *testing.T) {
	h := newHouse(t, Limits{})
	control := "/v1/control-channel/" + h.nodeID
	h.token(control)
	id, _ := h.prepare(nil)
	h.token("/v1/data-channel/" + id) // with an empty ClientId

	other, otherCred := h.addNode()
	for _, c := range []struct {
		name, path, code string
		run              func(path string) (int, string)
	}{
		{"unsigned", control, "MissingAuthenticationTokenException", func(p string) (int, string) { return h.create(p, nil, "{}") }},
		{"of another node", control, "AccessDeniedException", func(p string) (int, string) { return h.create(p, &otherCred, "{}") }},
		{"data channel of another node's session", "/v1/data-channel/" + id, "DoesNotExistException", func(p string) (int, string) { return h.create(p, &otherCred, "{}") }},
		{"unknown session", "/v1/data-channel/nobody-0", "Session is already terminated", func(p string) (int, string) { return h.create(p, &h.node, "{}") }},
		{"too large", control, "ValidationException", func(p string) (int, string) {
			return h.create(p, &h.node, strings.Repeat(" ", maxCreateBody+1))
		}},
	} {
		status, body := c.run(c.path)
		if status/100 != 4 || !strings.Contains(body, c.code) {
			t.Errorf("%s: %d %q, want 4xx with %s", c.name, status, body, c.code)
		}
	}
	_ = other
}

func TestConformance02UpgradeSignedAndUnsigned(t *testing.T) {
	o := open(t, Limits{}, nil) // the node signs, the client does not; dial checks the answer's headers
	// A client may sign too, but not with a wrong signature.
	bad := o.node
	bad.SecretAccessKey = "wrong"
	if _, res, err := o.tryDial("/v1/data-channel/"+o.id, &bad, o.openClient("x")); err == nil || res == nil || res.StatusCode != http.StatusBadRequest {
		t.Fatalf("wrongly signed upgrade: %v %v", res, err)
	}
	o.agent.stream(fromAgent, 0, "still here")
	o.client.wantStream(0, "still here")
}

func TestConformance03PingsAreAnsweredBeforeTheFirstMessage(t *testing.T) {
	h := newHouse(t, Limits{})
	h.control()
	id, token := h.start(nil)
	ws, _, err := websocket.Dial(h.ctx(), h.server.URL+"/v1/data-channel/"+id, &websocket.DialOptions{HTTPClient: h.server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ctx := ws.CloseRead(h.ctx())
	if err := ws.Ping(ctx); err != nil { // returns when the pong with its payload is here
		t.Fatalf("ping before the first message: %v", err)
	}
	text, _ := json.Marshal(h.openClient(token))
	if err := ws.Write(h.ctx(), websocket.MessageText, text); err != nil {
		t.Fatal(err)
	}
	if err := ws.Ping(ctx); err != nil {
		t.Fatalf("ping after it: %v", err)
	}
}

func TestConformance04LargeAndFragmentedMessages(t *testing.T) {
	o := open(t, Limits{}, nil)
	for seq, size := range []int{256 << 10, 1 << 20, 3 << 20} {
		payload := make([]byte, size)
		rand.Read(payload)
		frame := message.Append(nil, message.Message{Type: fromAgent, Sequence: int64(seq), PayloadType: message.PayloadOutput, Payload: payload})
		w, err := o.agent.ws.Writer(o.ctx(), websocket.MessageBinary)
		if err != nil {
			t.Fatal(err)
		}
		for rest := frame; len(rest) > 0; { // continuation frames of at most 4096 bytes, as stock peers write
			n := min(4096, len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, _ := o.client.next(); !bytes.Equal(got, frame) {
			t.Fatalf("message of %d bytes differs", size)
		}
		o.client.acknowledge(fromAgent, int64(seq))
		o.agent.want(message.TypeAcknowledge)
	}
}

func TestConformance05ReadyMessages(t *testing.T) {
	h := newHouse(t, Limits{})
	path := "/v1/control-channel/" + h.nodeID
	control := h.dial(path, &h.node, message.OpenControlChannel{TokenValue: h.token(path), AgentVersion: "3.2.2086.0", PlatformType: "windows", RequireAcknowledgement: true})
	control.want(message.TypeControlChannelReady)
	h.eventually("the platform is known", func() bool {
		n, err := h.store.Node(t.Context(), h.nodeID)
		return err == nil && n.PlatformType == "Windows" && n.AgentVersion == "3.2.2086.0"
	})
	id, _ := h.start(nil)
	control.want(message.TypeInteractiveShell)
	path = "/v1/data-channel/" + id
	agent := h.dial(path, &h.node, message.OpenDataChannel{TokenValue: h.token(path), ClientInstanceId: h.nodeID, RequireAcknowledgement: true})
	agent.want(message.TypeDataChannelReady)
}

func TestConformance06BadFramesAreNeverForwarded(t *testing.T) {
	o := open(t, Limits{}, nil)
	good := message.Append(nil, message.Message{Type: fromAgent, Sequence: 0, PayloadType: message.PayloadOutput, Payload: []byte("x")})
	change := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] = v; return b }
	for _, frame := range [][]byte{
		{}, good[:10], good[:116], good[:117], good[:119],
		change(3, 117), change(0, 0xff), change(4, 0), bytes.Repeat([]byte{0xff}, 200),
	} {
		o.agent.write(frame)
		o.client.write(frame)
	}
	// A type that this end may not send is dropped as well.
	o.client.stream(fromAgent, 0, "wrong direction")
	o.agent.stream(fromClient, 0, "wrong direction")
	if err := o.agent.ws.Write(o.ctx(), websocket.MessageText, bytes.Repeat([]byte("text "), 40)); err != nil {
		t.Fatal(err)
	}
	o.agent.write(good)
	o.client.wantStream(0, "x")
	o.client.stream(fromClient, 0, "y")
	o.agent.wantStream(0, "y")
}

func TestConformance07RelayIsVerbatimAndInOrder(t *testing.T) {
	o := open(t, Limits{}, nil)
	var down, up [][]byte
	for seq := range int64(200) {
		down = append(down, o.agent.stream(fromAgent, seq, rand.Text()))
		up = append(up, o.client.stream(fromClient, seq, rand.Text()))
	}
	for i := range down {
		if got, _ := o.client.next(); !bytes.Equal(got, down[i]) {
			t.Fatalf("agent → client message %d differs", i)
		}
		if got, _ := o.agent.next(); !bytes.Equal(got, up[i]) {
			t.Fatalf("client → agent message %d differs", i)
		}
	}
	// An acknowledgement goes to its sender unchanged.
	payload, _ := json.Marshal(message.Acknowledge{AcknowledgedMessageType: string(fromAgent), AcknowledgedMessageId: "m", AcknowledgedMessageSequenceNumber: 5, IsSequentialMessage: true})
	sent := o.client.send(message.Message{Type: message.TypeAcknowledge, Flags: 3, Payload: payload})
	if got, _ := o.agent.next(); !bytes.Equal(got, sent) {
		t.Fatal("the acknowledgement differs")
	}
}

func TestConformance08StartMessage(t *testing.T) {
	h := newHouse(t, Limits{})
	control := h.control()
	id, _ := h.start(nil)
	m := control.want(message.TypeInteractiveShell)
	var outer struct{ Content *string }
	if err := json.Unmarshal(m.Payload, &outer); err != nil || outer.Content == nil {
		t.Fatalf("Content is not a JSON string: %s (%v)", m.Payload, err)
	}
	var inner struct {
		SessionId       string
		DocumentContent struct {
			SchemaVersion string `json:"schemaVersion"`
			SessionType   string `json:"sessionType"`
			Inputs        struct {
				Streaming *bool `json:"cloudWatchStreamingEnabled"`
			} `json:"inputs"`
		}
	}
	if err := json.Unmarshal([]byte(*outer.Content), &inner); err != nil {
		t.Fatal(err)
	}
	if inner.SessionId != id || inner.DocumentContent.SchemaVersion != "1.0" || inner.DocumentContent.SessionType != "Standard_Stream" {
		t.Fatalf("start message: %s", *outer.Content)
	}
	// A node that reconnects before it opened the session is told again.
	control.ws.CloseNow()
	h.control().want(message.TypeInteractiveShell)
}

func TestConformance09SessionStateIsConsumed(t *testing.T) {
	o := open(t, Limits{}, nil)
	state, _ := json.Marshal(message.SessionState{SchemaVersion: 1, SessionState: message.StateConnected, SessionId: o.id})
	o.agent.send(message.Message{Type: message.TypeAgentSessionState, Flags: 3, Payload: state})
	o.agent.stream(fromAgent, 0, "first")
	o.client.wantStream(0, "first")
}

func TestConformance10CompletionEndsTheSessionAfterAllOutput(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.agent.stream(fromAgent, 0, "early")
	o.complete("Failed", "it broke") // overtakes output that the node has not written yet
	o.agent.stream(fromAgent, 1, "late")
	o.agent.ws.CloseNow()
	o.complete("Failed", "it broke again") // stock agents report a failure twice
	o.client.wantStream(0, "early")
	o.client.acknowledge(fromAgent, 0)
	o.client.wantStream(1, "late")
	o.client.acknowledge(fromAgent, 1)
	closed, err := message.ParseChannelClosed(o.client.want(message.TypeChannelClosed).Payload)
	if err != nil || closed.Output != "it broke" || closed.SessionId != o.id || closed.DestinationId != o.nodeID {
		t.Fatalf("channel_closed %+v (%v)", closed, err)
	}
	o.waitStatus(o.id, ssm.SessionFailed)
	for { // nothing but the end may follow, and only once
		_, _, err := o.client.ws.Read(o.ctx())
		if err != nil {
			break
		}
		t.Fatal("a message after channel_closed")
	}
	if status, body := o.create("/v1/data-channel/"+o.id, &o.node, "{}"); status != http.StatusBadRequest || !strings.Contains(body, sessionEndedText) {
		t.Fatalf("create after the end: %d %q", status, body)
	}
}

func TestConformance10OutputIsRepeatedToASlowHandlerAfterTheNodeHasGone(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.agent.stream(fromAgent, 0, "last words")
	o.client.wantStream(0, "last words") // not acknowledged: the handler was not ready
	o.complete("Success", "")
	o.agent.ws.CloseNow()
	o.client.wantStream(0, "last words")
	o.client.acknowledge(fromAgent, 0)
	for {
		_, m := o.client.next()
		if m.Type == message.TypeChannelClosed {
			break
		}
	}
}

// A client that declines the handshake does not wait for the node to say so as well.
func TestConformance10AClientThatLeftAfterDecliningIsNotWaitedFor(t *testing.T) {
	o := open(t, Limits{Linger: time.Hour, Flush: 20 * time.Millisecond}, nil)
	o.client.ws.CloseNow()
	o.waitStatus(o.id, ssm.SessionDisconnected)
	o.complete("Failed", "the client declined")
	o.agent.ws.CloseNow()
	o.waitStatus(o.id, ssm.SessionFailed)
}

func TestConformance11TerminateSession(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.request(fabric.SessionTerminate)
	got, err := message.ParseChannelClosed(o.control.want(message.TypeChannelClosed).Payload)
	if err != nil || got.SessionId != o.id {
		t.Fatalf("channel_closed on the control channel: %+v (%v)", got, err)
	}
	o.agent.want(message.TypeChannelClosed)
	o.waitStatus(o.id, ssm.SessionTerminating)
	o.agent.ws.CloseNow()
	o.complete("Success", "")
	o.client.want(message.TypeChannelClosed)
	o.waitStatus(o.id, ssm.SessionTerminated)
}

func TestConformance11TerminateSessionOfANodeThatDoesNotAnswer(t *testing.T) {
	o := open(t, Limits{Stop: 20 * time.Millisecond}, nil)
	o.request(fabric.SessionTerminate)
	o.client.want(message.TypeChannelClosed)
	o.waitStatus(o.id, ssm.SessionTerminated)
}

func TestConformance12ClientResumes(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.agent.stream(fromAgent, 0, "a")
	o.client.wantStream(0, "a")
	o.client.acknowledge(fromAgent, 0)
	o.agent.want(message.TypeAcknowledge)
	o.agent.stream(fromAgent, 1, "b")
	o.client.wantStream(1, "b") // received, not acknowledged
	o.client.ws.CloseNow()
	o.waitStatus(o.id, ssm.SessionDisconnected)
	o.agent.stream(fromAgent, 2, "c")
	o.agent.stream(fromAgent, 2, "c") // a repeat meanwhile

	client := o.house.client(o.id, o.resume(o.id))
	client.wantStream(1, "b")
	client.wantStream(2, "c")
	client.acknowledge(fromAgent, 1)
	client.acknowledge(fromAgent, 2)
	o.waitStatus(o.id, ssm.SessionConnected)
	o.agent.stream(fromAgent, 3, "d")
	client.wantStream(3, "d")
	client.stream(fromClient, 0, "in")
	for {
		_, m := o.agent.next()
		if m.Type == fromClient {
			break
		}
	}
	// The newest connection of an end wins.
	newer := o.house.client(o.id, o.resume(o.id))
	newer.wantStream(3, "d")
	client.wantClosed()
}

func TestConformance13NodeReconnects(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.client.stream(fromClient, 0, "x")
	o.agent.wantStream(0, "x")
	o.agent.ws.CloseNow()
	o.waitStatus(o.id, ssm.SessionDisconnected)
	o.client.stream(fromClient, 1, "y")
	agent := o.house.agent(o.id)
	agent.wantStream(0, "x")
	agent.wantStream(1, "y")
	agent.stream(fromAgent, 0, "back")
	o.client.wantStream(0, "back")
	o.waitStatus(o.id, ssm.SessionConnected)
}

func TestConformance13GatewayRestarts(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.agent.stream(fromAgent, 0, "a")
	o.client.wantStream(0, "a")
	o.client.acknowledge(fromAgent, 0)
	o.agent.want(message.TypeAcknowledge)
	o.agent.stream(fromAgent, 1, "lost on the way")
	o.close()
	o.open()
	agent := o.house.agent(o.id)
	client := o.house.client(o.id, o.resume(o.id))
	o.waitStatus(o.id, ssm.SessionConnected)
	agent.stream(fromAgent, 1, "lost on the way")
	client.wantStream(1, "lost on the way")
	client.acknowledge(fromAgent, 1)
	agent.want(message.TypeAcknowledge)
	client.stream(fromClient, 0, "in")
	agent.wantStream(0, "in")
}

func TestConformance14GatewayAnswersAcknowledgedRepeats(t *testing.T) {
	o := open(t, Limits{}, nil)
	frame := o.agent.stream(fromAgent, 0, "once")
	o.client.wantStream(0, "once")
	o.client.acknowledge(fromAgent, 0)
	o.agent.want(message.TypeAcknowledge)
	o.agent.write(frame) // the lost-acknowledgement race of the stock agent
	ack, err := message.ParseAcknowledge(o.agent.want(message.TypeAcknowledge).Payload)
	if err != nil || ack.AcknowledgedMessageSequenceNumber != 0 {
		t.Fatalf("answer to the repeat: %+v (%v)", ack, err)
	}
	o.agent.stream(fromAgent, 1, "next")
	o.client.wantStream(1, "next") // and not "once" again
}

func TestConformance16IdleSession(t *testing.T) {
	o := open(t, Limits{}, func(s *store.Session) { s.IdleTimeout = 300 * time.Millisecond })
	o.control.want(message.TypeChannelClosed)
	o.agent.ws.CloseNow()
	o.complete("Success", "")
	closed, err := message.ParseChannelClosed(o.client.want(message.TypeChannelClosed).Payload)
	if err != nil || closed.Output != idleOutput {
		t.Fatalf("%+v (%v), want the idle text", closed, err)
	}
	o.waitStatus(o.id, ssm.SessionTerminated)
}

func TestConformance16MaximumDuration(t *testing.T) {
	o := open(t, Limits{}, func(s *store.Session) { s.MaxDuration = 300 * time.Millisecond })
	o.agent.want(message.TypeSessionNotice) // which a stock agent passes over
	o.agent.want(message.TypeChannelClosed)
	o.agent.ws.CloseNow()
	closed, err := message.ParseChannelClosed(o.client.want(message.TypeChannelClosed).Payload)
	if err != nil || closed.Output != overlongOutput {
		t.Fatalf("%+v (%v), want the text about the maximum duration", closed, err)
	}
}

func TestConformance17StalledClientBoundsMemoryAndNotTheOtherDirection(t *testing.T) {
	o := open(t, Limits{}, nil)
	// The client reads nothing. The node writes until it is held back.
	payload := string(bytes.Repeat([]byte("x"), 64<<10))
	ctx, cancel := context.WithCancel(o.ctx())
	defer cancel()
	blocked := make(chan int64)
	sent := make(chan int64, 1<<16)
	go func() {
		var seq int64
		for ; ; seq++ {
			frame := message.Append(nil, message.Message{Type: fromAgent, Sequence: seq, PayloadType: message.PayloadOutput, Payload: []byte(payload)})
			if err := o.agent.ws.Write(ctx, websocket.MessageBinary, frame); err != nil {
				blocked <- seq
				return
			}
			sent <- seq
		}
	}()
	// Meanwhile what the client types arrives.
	paused := false
	for seq := range int64(50) {
		o.client.stream(fromClient, seq, "^C")
		for {
			_, m := o.agent.next()
			if m.Type == message.TypePausePublication {
				paused = true
				continue
			}
			break
		}
	}
	o.eventually("the node is held back", func() bool {
		_, s, err := o.gateway.find(o.ctx(), o.id)
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.client.in.bytes > maxQueued
	})
	_, s, _ := o.gateway.find(o.ctx(), o.id)
	s.mu.Lock()
	kept := s.client.in.bytes
	s.mu.Unlock()
	if kept > maxQueued+128<<10 {
		t.Fatalf("%d bytes kept for a client that does not read", kept)
	}
	o.client.stream(fromClient, 50, "still")
	for {
		_, m := o.agent.next()
		if m.Type == message.TypePausePublication {
			paused = true
		} else if string(m.Payload) == "still" {
			break
		}
	}
	if !paused {
		t.Error("the node was never asked to pause")
	}
	// When the client reads again, everything arrives in order.
	for seq := range int64(300) {
		_, m := o.client.next()
		if m.Type != fromAgent || m.Sequence != seq {
			t.Fatalf("got %s %d, want %d", m.Type, m.Sequence, seq)
		}
		o.client.acknowledge(fromAgent, seq)
	}
	cancel()
	<-blocked
}

func TestTokensOpenOneChannelOnce(t *testing.T) {
	h := newHouse(t, Limits{})
	h.control()
	id, token := h.start(nil)
	path := "/v1/data-channel/" + id
	h.client(id, token)
	h.client(id, token).wantClosed()
	h.client(id, "").wantClosed()
	agentToken := h.token(path)
	open := message.OpenDataChannel{TokenValue: agentToken, ClientInstanceId: h.nodeID}
	h.dial(path, &h.node, open)
	h.waitStatus(id, ssm.SessionConnected)
	h.dial(path, &h.node, open).wantClosed() // used
	open.TokenValue = h.token("/v1/control-channel/" + h.nodeID)
	h.dial(path, &h.node, open).wantClosed() // of another channel
	_, other := h.addNode()
	open.TokenValue = h.token(path)
	h.dial(path, &other, open).wantClosed() // presented by another node
	h.dial(path, nil, open).wantClosed()    // presented by nobody
	if h.status(id) != ssm.SessionConnected {
		t.Errorf("after refused openings the session is %s", h.status(id))
	}
}

func TestNewestControlChannelWins(t *testing.T) {
	h := newHouse(t, Limits{})
	older := h.control()
	newer := h.control()
	older.wantClosed()
	// The older one may have been what answered until now.
	h.eventually("the newer channel answers", func() bool {
		return h.fabric.RequestJSON(h.ctx(), fabric.Node(h.nodeID), fabric.NodeRequest{Kind: fabric.NodePing}, nil) == nil
	})
	h.start(nil)
	newer.want(message.TypeInteractiveShell)
	newer.ws.CloseNow()
	h.eventually("the node shows as disconnected", func() bool {
		n, err := h.store.Node(t.Context(), h.nodeID)
		return err == nil && !n.Connected(time.Now())
	})
	if err := h.fabric.RequestJSON(h.ctx(), fabric.Node(h.nodeID), fabric.NodeRequest{Kind: fabric.NodePing}, nil); !errors.Is(err, fabric.ErrNoResponder) {
		t.Errorf("ping of a disconnected node: %v", err)
	}
}

func TestNodeThatNeverOpensTheSession(t *testing.T) {
	h := newHouse(t, Limits{NodeOpens: 50 * time.Millisecond})
	h.control()
	id, token := h.start(nil)
	closed, err := message.ParseChannelClosed(h.client(id, token).want(message.TypeChannelClosed).Payload)
	if err != nil || closed.Output != neverOpened {
		t.Fatalf("%+v (%v)", closed, err)
	}
	h.waitStatus(id, ssm.SessionFailed)
}

func TestClientThatNeverComes(t *testing.T) {
	h := newHouse(t, Limits{ClientOpens: 50 * time.Millisecond})
	control := h.control()
	id, _ := h.start(nil)
	control.want(message.TypeInteractiveShell)
	control.want(message.TypeChannelClosed)
	h.waitStatus(id, ssm.SessionTerminating)
}
