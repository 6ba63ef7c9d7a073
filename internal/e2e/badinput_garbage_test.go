package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// answers says whether the server still answers a proper request.
func (p *rawPeer) answers(after string) {
	p.t.Helper()
	if err := p.call("ssm", "AmazonSSM.DescribeSessions", &ssm.DescribeSessionsInput{State: "Active"}, nil); err != nil {
		p.t.Fatalf("after %s: %v", after, err)
	}
}

// TestBadPeers is a server and a node among peers that keep to no rule.
func TestBadPeers(t *testing.T) {
	d := deploy(t, 1)
	for _, group := range []struct {
		name string
		run  func(*testing.T, *deployment)
	}{
		{"signatures", badSignatures},
		{"HTTP", garbageHTTP},
		{"frames", garbageFrames},
		{"double connections", doubleConnections},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, d.in(t)) })
	}
	newRawPeer(t, d).answers("all of it")
	d.stop(syscall.SIGTERM) // does not wait for sessions
}

// garbageHTTP sends what is no request, or no request of the API, to the one port.
func garbageHTTP(t *testing.T, d *deployment) {
	p := newRawPeer(t, d)
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	streams := map[string]string{
		"noise":                 string(noise),
		"plain HTTP version 9":  "GET / HTTP/9.9\r\n\r\n",
		"no host":               "POST / HTTP/1.1\r\n\r\n",
		"two lengths":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"length and chunks":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"negative length":       "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"bad chunk":             "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
		"long header":           "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"many headers":          "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 100_000) + "\r\n",
		"NUL in the path":       "GET /v1/data-channel/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"endless path":          "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"preface of HTTP/2":     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(noise),
		"upgrade without a key": "GET /v1/data-channel/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	}
	for name, stream := range streams {
		conn, err := tls.Dial("tcp", d.listen, p.tls)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		go io.WriteString(conn, stream) // may be cut off before it is all sent
		head := make([]byte, 1024)
		n, _ := io.ReadAtLeast(conn, head, len("HTTP/1.1 400"))
		if answer := string(head[:n]); strings.HasPrefix(answer, "HTTP/1.1 2") || strings.HasPrefix(answer, "HTTP/1.1 500") {
			t.Errorf("%s: answered with %q", name, answer)
		}
		conn.Close()
		p.answers(name)
	}

	// Requests of the API whose input is none.
	deep := strings.Repeat(`{"Parameters":`, 50_000)
	bodies := map[string]string{
		"nothing":           "",
		"no JSON":           "State=Active",
		"half a JSON":       `{"State":"Act`,
		"two JSONs":         `{"State":"Active"}{}`,
		"a list":            `[]`,
		"null":              `null`,
		"a wrong type":      `{"State":{"a":1}}`,
		"a huge number":     `{"State":"Active","MaxResults":1e400}`,
		"a fraction":        `{"State":"Active","MaxResults":1.5}`,
		"no text":           "{\"State\":\"\xff\xfe\"}",
		"a lone surrogate":  `{"State":"\ud800"}`,
		"a deep JSON":       deep,
		"a long list":       `{"State":"Active","Filters":[` + strings.Repeat(`{},`, 200_000) + `{}]}`,
		"a very long value": `{"State":"` + strings.Repeat("a", 900<<10) + `"}`,
	}
	for name, body := range bodies {
		r := p.request("AmazonSSM.DescribeSessions", body)
		p.sign(r, body, p.region(), "ssm", time.Now())
		status, code, text := p.do(r)
		if status != 400 || code != "ValidationException" && code != "SerializationException" || len(text) > 200<<10 {
			t.Errorf("%s: %d %s %s", name, status, code, tail(text, 300))
		}
	}
	large := strings.Repeat("a", 2<<20)
	r := p.request("AmazonSSM.DescribeSessions", large)
	p.sign(r, large, p.region(), "ssm", time.Now())
	if status, _, _ := p.do(r); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 2 MiB: %d", status)
	}
}

// noiseFrames are binary messages that are no message of the protocol, or none that a
// peer may send.
func noiseFrames(own message.Type) [][]byte {
	random := make([]byte, 4096)
	rand.Read(random)
	longHeader := message.Append(nil, message.Message{Type: own, Sequence: 1 << 40, Payload: []byte("x")})
	binary.BigEndian.PutUint32(longHeader, 1<<31-1)
	wrongDigest := message.Append(nil, message.Message{Type: own, Sequence: 1 << 40, PayloadType: message.PayloadOutput, Payload: []byte("x")})
	wrongDigest[len(wrongDigest)-1]++
	frames := [][]byte{
		{}, {0}, make([]byte, 116), make([]byte, 119), make([]byte, 120), make([]byte, 4<<20),
		bytes.Repeat([]byte{0xff}, 200), random, longHeader, wrongDigest,
		message.Append(nil, message.Message{Type: "no_such_type", Payload: []byte("{}")}),
		message.Append(nil, message.Message{Type: message.TypeAcknowledge, Payload: []byte("no JSON")}),
		message.Append(nil, message.Message{Type: message.TypeAcknowledge, Payload: bytes.Repeat([]byte("["), 1<<20)}),
		message.Append(nil, message.Message{Type: message.TypeAgentSessionState, Payload: []byte(`{"SessionState":"Terminating"}`)}),
		message.Append(nil, message.Message{Type: message.TypeChannelClosed, Payload: []byte(`{}`)}),
		message.Append(nil, message.Message{Type: message.TypeInteractiveShell, Payload: []byte(`{}`)}),
		message.Append(nil, message.Message{Type: message.TypeAgentTaskComplete, Payload: []byte(`{"TaskId":7}`)}),
		message.Append(nil, message.Message{Type: message.TypePausePublication, Payload: []byte(`{}`)}),
	}
	return frames
}

func writeAll(t *testing.T, p *rawPeer, ws *websocket.Conn, frames [][]byte) {
	t.Helper()
	for i, frame := range frames {
		if err := ws.Write(p.ctx(), websocket.MessageBinary, frame); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
}

// garbageFrames sends noise on both channels with valid credentials. The server and
// the peer on the other side pass it over, and what follows works.
func garbageFrames(t *testing.T, d *deployment) {
	node := d.env["SEKISHO_NODE_ID"]

	t.Run("client", func(t *testing.T) {
		p := newRawPeer(t, d.in(t))
		started := p.start(node)
		ws := p.dialClient(started.StreamURL, started.TokenValue)
		writeAll(t, p, ws, noiseFrames(message.TypeInputStreamData))
		for range 100 {
			if err := ws.Write(p.ctx(), websocket.MessageText, []byte(`{"TokenValue":"again"}`)); err != nil {
				t.Fatal(err)
			}
		}
		p.talk(ws, "echo st''ill\n", "still")

		// More than a frame may have ends that connection and nothing else.
		resumed := p.resume(started.SessionID)
		ws = p.dialClient(resumed.StreamURL, resumed.TokenValue)
		_ = ws.Write(p.ctx(), websocket.MessageBinary, make([]byte, 5<<20)) // may be cut off
		p.closedByServer(ws, "a frame of 5 MiB")
		if s := p.session("Active", started.SessionID); s == nil {
			t.Error("the session ended")
		}
		p.terminate(started.SessionID)
	})

	t.Run("first message", func(t *testing.T) {
		p := newRawPeer(t, d.in(t))
		started := p.start(node)
		for _, first := range []any{"", 7, []int{}, map[string]any{}, map[string]any{"TokenValue": 7},
			map[string]any{"TokenValue": strings.Repeat("x", 10<<10)},
			map[string]any{"TokenValue": started.TokenValue, "ClientInstanceId": node}, // a client that says it is the node
			strings.Repeat("x", 20<<10),
		} {
			p.closedByServer(p.dial(started.StreamURL, false, first), fmt.Sprintf("%.40v", first))
		}
		// None of that used the token up.
		p.talk(p.dialClient(started.StreamURL, started.TokenValue), "echo fi''rst\n", "first")
		p.terminate(started.SessionID)
	})

	t.Run("node", func(t *testing.T) {
		p := newRawPeer(t, d.in(t))
		raw, id := p.asNode()
		victim := p.start(node)
		client := p.dialClient(victim.StreamURL, victim.TokenValue)

		control := raw.dialControl(id)
		p.connected(id)
		frames := noiseFrames(message.TypeOutputStreamData)
		writeAll(t, raw, control, frames)
		// The end of another node's session is not this node's to tell.
		lie, err := json.Marshal(message.TaskComplete{SchemaVersion: 1, TaskId: victim.SessionID, Topic: "agent_task_complete",
			FinalTaskStatus: "Failed", InstanceId: node, Output: "ha"})
		if err != nil {
			t.Fatal(err)
		}
		writeAll(t, raw, control, [][]byte{message.Append(nil, message.Message{Type: message.TypeAgentTaskComplete, Payload: lie})})
		if status, token, text := raw.create("/v1/data-channel/" + victim.SessionID); status != 400 || token != "" || !strings.Contains(text, "Session is already terminated") {
			t.Errorf("another node's session: %d %s", status, text)
		}
		if status, _, text := raw.create("/v1/control-channel/" + node); status != 400 || !strings.Contains(text, "AccessDeniedException") {
			t.Errorf("another node's control channel: %d %s", status, text)
		}
		p.talk(client, "echo un''harmed\n", "unharmed")
		if s := p.session("Active", victim.SessionID); s == nil {
			t.Error("a node ended another node's session")
		}
		p.terminate(victim.SessionID)

		// The noisy node's own control channel still works, and so does its data channel.
		started := p.start(id)
		expect(t, raw, control, message.TypeInteractiveShell)
		path := "/v1/data-channel/" + started.SessionID
		_, token, text := raw.create(path)
		if token == "" {
			t.Fatalf("CreateDataChannel answers %s", text)
		}
		agent := raw.dial("wss://"+d.listen+path+"?role=publish_subscribe", true, message.OpenDataChannel{
			MessageSchemaVersion: message.OpenSchemaVersion, RequestId: ssm.NewUUID(), TokenValue: token, ClientInstanceId: id})
		client = p.dialClient(started.StreamURL, started.TokenValue)
		writeAll(t, raw, agent, frames)
		output := message.Append(nil, message.Message{Type: message.TypeOutputStreamData, Flags: 1, PayloadType: message.PayloadOutput, Payload: []byte("after the noise")})
		writeAll(t, raw, agent, [][]byte{output})
		if m := expect(t, p, client, message.TypeOutputStreamData); string(m.Payload) != "after the noise" {
			t.Errorf("the client gets %q first", m.Payload)
		}
		p.terminate(started.SessionID)
	})
}

// expect reads to the next message of a type. Each message must be a proper one. The
// state of the noise's sequence numbers is passed over.
func expect(t *testing.T, p *rawPeer, ws *websocket.Conn, want message.Type) message.Message {
	t.Helper()
	for {
		frame, err := (frames{ws}).ReadFrame(p.ctx())
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		m, err := message.Parse(frame)
		if err != nil {
			t.Fatalf("waiting for %s: the gateway passed on %q", want, tail(string(frame), 200))
		}
		if m.Type == want && m.Sequence < 1<<40 {
			return m
		}
	}
}

// doubleConnections opens everything twice.
func doubleConnections(t *testing.T, d *deployment) {
	p := newRawPeer(t, d)
	node := d.env["SEKISHO_NODE_ID"]

	started := p.start(node)
	first := p.dialClient(started.StreamURL, started.TokenValue)
	eventually(t, "the session is connected", func() bool {
		s := p.session("Active", started.SessionID)
		return s != nil && s.Status == ssm.SessionConnected
	})
	// The token is used up: whoever has seen it gets nothing for it, and disturbs nobody.
	p.closedByServer(p.dialClient(started.StreamURL, started.TokenValue), "the same token again")
	// A new one makes the older one, which was not used, void.
	older, newer := p.resume(started.SessionID), p.resume(started.SessionID)
	p.closedByServer(p.dialClient(older.StreamURL, older.TokenValue), "an older token")
	p.talk(first, "echo sti''ll\n", "still")
	first = p.dialClient(newer.StreamURL, newer.TokenValue)
	last := p.resume(started.SessionID)
	second := p.dialClient(last.StreamURL, last.TokenValue)
	p.closedByServer(first, "an older connection")
	p.terminate(started.SessionID)
	p.closedByServer(second, "TerminateSession")

	raw, id := p.asNode()
	one := raw.dialControl(id)
	p.connected(id)
	two := raw.dialControl(id)
	raw.closedByServer(one, "an older control channel")
	p.connected(id)
	session := p.start(id)
	if m := expect(t, raw, two, message.TypeInteractiveShell); !bytes.Contains(m.Payload, []byte(session.SessionID)) {
		t.Errorf("the start message is %q", m.Payload)
	}
	p.terminate(session.SessionID)
	expect(t, raw, two, message.TypeChannelClosed)
}
