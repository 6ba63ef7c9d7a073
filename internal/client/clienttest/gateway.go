// Package clienttest is a gateway with one session and its node, for the tests of
// package client and of the programs over it: the service's and the gateway's words
// on a loopback TLS port, and the node's end of the data channel in the test's hands.
package clienttest

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// SessionID is the id of the session.
const SessionID = "operator-0123456789abcdef0"

// maxFrame is the largest frame that the gateway reads.
const maxFrame = 16 << 20

// Answer is an HTTP answer of the service.
type Answer struct {
	Status int
	Body   string
}

// Gateway is a service and gateway with one session.
type Gateway struct {
	// Agent is the node's end of the session's data channel.
	Agent *datachannel.Channel
	// Server takes the service's calls and the client's websockets.
	Server *httptest.Server

	// Opened gets the opening message of every connection whose token was good.
	Opened chan message.OpenDataChannel
	// Terminated gets an id for every TerminateSession.
	Terminated chan string

	mu      sync.Mutex                       // guards the following fields
	tokens  int                              // tokens given; the last alone is good
	conn    *conn                            // the client's connection; nil when there is none
	serving chan struct{}                    // closed when conn is no longer served
	resume  func(token string) Answer        // answers ResumeSession; nil gives the token
	calls   []*http.Request                  // calls of the service
	refuse  func(w http.ResponseWriter) bool // may refuse a websocket
}

// New starts a gateway. It stops at the test's end.
func New(t testing.TB) *Gateway {
	g := &Gateway{
		Agent:      datachannel.New(datachannel.Config{Role: datachannel.Agent}),
		Opened:     make(chan message.OpenDataChannel, 1000),
		Terminated: make(chan string, 10),
		tokens:     1,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", g.api)
	mux.HandleFunc("GET /v1/data-channel/{session}", g.dataChannel)
	g.Server = httptest.NewTLSServer(mux)
	t.Cleanup(func() {
		g.Agent.Close()
		g.Cut()
		g.Server.Close()
	})
	return g
}

// StreamURL is the address of the session's data channel.
func (g *Gateway) StreamURL() string {
	return "wss" + strings.TrimPrefix(g.Server.URL, "https") + "/v1/data-channel/" + SessionID + "?role=publish_subscribe"
}

// Token is the token that is good now.
func (g *Gateway) Token() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return token(g.tokens)
}

func token(n int) string { return fmt.Sprintf("token-%d", n) }

// Response is the answer of StartSession, as the AWS CLI passes it on.
func (g *Gateway) Response() string {
	text, _ := json.Marshal(map[string]any{
		"SessionId": SessionID, "TokenValue": g.Token(), "StreamUrl": g.StreamURL(),
		"ResponseMetadata": map[string]any{"HTTPStatusCode": 200},
	})
	return string(text)
}

// Bundle writes the certificate to trust into a PEM file and gives its name.
func (g *Gateway) Bundle(t testing.TB) string {
	name := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: g.Server.Certificate().Raw}
	if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Refuse lets f refuse websockets, by answering them and saying true.
func (g *Gateway) Refuse(f func(w http.ResponseWriter) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = f
}

// OnResume lets f answer ResumeSession; token is what would be given.
func (g *Gateway) OnResume(f func(token string) Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resume = f
}

// Calls are the calls of the service so far.
func (g *Gateway) Calls() []*http.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*http.Request(nil), g.calls...)
}

// Cut drops the client's connection as a broken network does and says whether there
// was one.
func (g *Gateway) Cut() bool {
	g.mu.Lock()
	c := g.conn
	g.mu.Unlock()
	if c == nil {
		return false
	}
	c.Close()
	return true
}

// Write sends a frame to the client as it is, whatever the node sends meanwhile.
func (g *Gateway) Write(frame []byte) error {
	g.mu.Lock()
	c := g.conn
	g.mu.Unlock()
	if c == nil {
		return datachannel.ErrNotConnected
	}
	return c.WriteFrame(context.Background(), frame)
}

// End waits until the client has taken all output, then tells it that the session is
// over, as the gateway's order is (protocol.md §12.3).
func (g *Gateway) End(ctx context.Context, output string) error {
	if err := g.Agent.Drain(ctx); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return g.Write(Closed(output))
}

// Closed is the frame that ends the session at the client.
func Closed(output string) []byte {
	payload, _ := json.Marshal(message.ChannelClosed{
		MessageType: string(message.TypeChannelClosed), MessageId: message.NewID().String(),
		DestinationId: "mi-0123456789abcdef0", SessionId: SessionID, SchemaVersion: 1, Output: output,
	})
	return message.Append(nil, message.Message{Type: message.TypeChannelClosed, Payload: payload})
}

// api answers the service's calls.
func (g *Gateway) api(w http.ResponseWriter, r *http.Request) {
	var in struct{ SessionId string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in); err != nil || in.SessionId != SessionID {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.calls = append(g.calls, r)
	resume := g.resume
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch r.Header.Get("X-Amz-Target") {
	case "AmazonSSM.TerminateSession":
		g.Terminated <- in.SessionId
		fmt.Fprintf(w, `{"SessionId":%q}`, in.SessionId)
	case "AmazonSSM.ResumeSession":
		g.mu.Lock()
		g.tokens++
		next := token(g.tokens)
		g.mu.Unlock()
		answer := Answer{Status: http.StatusOK, Body: fmt.Sprintf(`{"SessionId":%q,"TokenValue":%q}`, SessionID, next)}
		if resume != nil {
			answer = resume(next)
		}
		w.WriteHeader(answer.Status)
		io.WriteString(w, answer.Body)
	default:
		http.Error(w, `{"__type":"UnknownOperationException"}`, http.StatusBadRequest)
	}
}

// dataChannel joins the client's websocket to the node's channel. The newest
// connection wins.
func (g *Gateway) dataChannel(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	refuse := g.refuse
	g.mu.Unlock()
	if refuse != nil && refuse(w) {
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxFrame)
	kind, text, err := ws.Read(r.Context())
	if err != nil || kind != websocket.MessageText {
		return
	}
	open, err := message.ParseOpenDataChannel(text)
	if err != nil || open.TokenValue != g.Token() {
		ws.Close(websocket.StatusPolicyViolation, "token is not valid")
		return
	}
	c := &conn{ws: ws}
	g.mu.Lock()
	before, served := g.conn, g.serving
	done := make(chan struct{})
	g.conn, g.serving = c, done
	g.mu.Unlock()
	defer close(done)
	if served != nil {
		if before != nil {
			before.Close()
		}
		<-served
	}
	g.Opened <- open
	g.Agent.Serve(r.Context(), c)
	g.mu.Lock()
	if g.conn == c {
		g.conn = nil
	}
	g.mu.Unlock()
}

// conn is a websocket of the gateway's side.
type conn struct{ ws *websocket.Conn }

func (c *conn) ReadFrame(ctx context.Context) ([]byte, error) {
	_, frame, err := c.ws.Read(ctx)
	return frame, err
}

func (c *conn) WriteFrame(ctx context.Context, frame []byte) error {
	return c.ws.Write(ctx, websocket.MessageBinary, frame)
}

func (c *conn) Close() error { return c.ws.CloseNow() }
