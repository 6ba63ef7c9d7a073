package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/auth"
	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// house is a gateway on a real store, fabric and TLS listener, with one node registered.
type house struct {
	t      *testing.T
	store  *store.Store
	fabric *fabric.Fabric
	arns   ssm.ARNs
	limits Limits

	gateway *Gateway
	server  *httptest.Server
	nodeID  string
	node    sigv4.Credentials // the node's temporary credentials
}

const patience = 30 * time.Second

func newHouse(t *testing.T, limits Limits) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t, arns: ssm.ARNs{Region: "local-1", Account: "123456789012"}, limits: limits}
	var err error
	h.store, err = store.Open(ctx, store.Config{DSN: "sqlite:" + filepath.Join(t.TempDir(), "db"), MasterKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	if h.fabric, err = fabric.Open(fabric.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.fabric.Close)
	if err := h.store.CreateDeployment(ctx, store.Deployment{AccountID: h.arns.Account, Region: h.arns.Region, CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	role := store.Role{ID: "AROANODESNODESNODESNO", Name: "Nodes", Path: "/", TrustPolicy: "{}", MaxSession: time.Hour, CreatedAt: time.Now()}
	if err := h.store.CreateRole(ctx, role); err != nil {
		t.Fatal(err)
	}
	if err := h.store.AttachPolicy(ctx, store.Entity{Type: store.EntityRole, Name: role.Name}, "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", 10); err != nil {
		t.Fatal(err)
	}
	h.nodeID, h.node = h.addNode()
	h.open()
	t.Cleanup(func() { h.close() })
	return h
}

// addNode registers a node and gives it temporary credentials, as control would.
func (h *house) addNode() (string, sigv4.Credentials) {
	h.t.Helper()
	ctx, now := h.t.Context(), time.Now()
	activation := store.Activation{ID: ssm.NewActivationID(), CodeHash: hashToken("code"), IamRole: "Nodes",
		RegistrationLimit: 1, ExpirationDate: now.Add(time.Hour), CreatedAt: now}
	if err := h.store.CreateActivation(ctx, activation); err != nil {
		h.t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		h.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		h.t.Fatal(err)
	}
	n, err := h.store.RegisterNode(ctx, activation.ID, hashToken("code"), store.Node{ID: ssm.NewNodeID(), IamRole: "Nodes",
		PublicKey: der, PublicKeyType: "Rsa", Fingerprint: ssm.NewUUID(), RegisteredAt: now}, now)
	if err != nil {
		h.t.Fatal(err)
	}
	id, secret, token := auth.NewTemporaryCredentials()
	if err := h.store.CreateTemporaryCredential(ctx, store.TemporaryCredential{AccessKeyID: id, Secret: store.Secret(secret),
		TokenHash: auth.TokenHash(token), RoleName: "Nodes", SessionName: n.ID, NodeID: n.ID, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}); err != nil {
		h.t.Fatal(err)
	}
	return n.ID, sigv4.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}
}

// open starts a gateway, as a process does; close ends it, and open starts the next.
func (h *house) open() {
	h.t.Helper()
	a, err := auth.New(auth.Config{Store: h.store, ARNs: h.arns})
	if err != nil {
		h.t.Fatal(err)
	}
	h.gateway, err = New(Config{Store: h.store, Auth: a, Fabric: h.fabric, ARNs: h.arns, TokenKey: bytes.Repeat([]byte{7}, 32),
		Name: "g1", Limits: h.limits, Logger: slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.gateway.Recover(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.server = httptest.NewUnstartedServer(h.gateway)
	h.server.EnableHTTP2 = true
	h.server.StartTLS()
}

func (h *house) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.gateway.Close(ctx); err != nil {
		h.t.Errorf("close the gateway: %v", err)
	}
	h.server.Close()
}

func (h *house) ctx() context.Context {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	h.t.Cleanup(cancel)
	return ctx
}

// create makes one of the two create calls and returns status and body.
func (h *house) create(path string, cred *sigv4.Credentials, body string) (int, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.ctx(), http.MethodPost, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if cred != nil {
		sigv4.Sign(r, sigv4.Hash([]byte(body)), *cred, h.arns.Region, signingName, time.Now())
	}
	res, err := h.server.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// token makes a create call that must succeed.
func (h *house) token(path string) string {
	h.t.Helper()
	status, body := h.create(path, &h.node, `{"MessageSchemaVersion":"1.0","RequestId":"`+ssm.NewUUID()+`","ClientId":""}`)
	var answer struct{ TokenValue string }
	if err := xml.Unmarshal([]byte(body), &answer); status != http.StatusCreated || err != nil || answer.TokenValue == "" {
		h.t.Fatalf("POST %s: %d %q (%v)", path, status, body, err)
	}
	return answer.TokenValue
}

// peer is one raw websocket end, without any of our protocol code above frames.
type peer struct {
	h  *house
	ws *websocket.Conn
}

// dial opens a websocket, signed if cred is given, and sends the first text message.
func (h *house) dial(path string, cred *sigv4.Credentials, open any) *peer {
	h.t.Helper()
	p, res, err := h.tryDial(path, cred, open)
	if err != nil {
		h.t.Fatalf("open %s: %v", path, err)
	}
	if got := res.Header.Get("Connection"); got != "Upgrade" || res.Header.Get("Sec-WebSocket-Extensions")+res.Header.Get("Sec-WebSocket-Protocol") != "" {
		h.t.Fatalf("upgrade answered with %v", res.Header)
	}
	return p
}

func (h *house) tryDial(path string, cred *sigv4.Credentials, open any) (*peer, *http.Response, error) {
	r, err := http.NewRequest(http.MethodGet, h.server.URL+path, nil)
	if err != nil {
		return nil, nil, err
	}
	if cred != nil {
		sigv4.Sign(r, sigv4.Hash(nil), *cred, h.arns.Region, signingName, time.Now())
	}
	ws, res, err := websocket.Dial(h.ctx(), h.server.URL+path, &websocket.DialOptions{HTTPHeader: r.Header, CompressionMode: websocket.CompressionDisabled,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: h.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}}})
	if err != nil {
		return nil, res, err
	}
	ws.SetReadLimit(maxFrame + 1)
	h.t.Cleanup(func() { ws.CloseNow() })
	text, err := json.Marshal(open)
	if err != nil {
		return nil, res, err
	}
	return &peer{h, ws}, res, ws.Write(h.ctx(), websocket.MessageText, text)
}

// control opens the node's control channel.
func (h *house) control() *peer {
	h.t.Helper()
	path := "/v1/control-channel/" + h.nodeID
	p := h.dial(path+"?role=subscribe&stream=input", &h.node, message.OpenControlChannel{
		MessageSchemaVersion: "1.0", RequestId: ssm.NewUUID(), TokenValue: h.token(path), AgentVersion: "3.3.1142.0", PlatformType: "linux"})
	h.eventually("the node is connected", func() bool {
		// A request that reaches the older channel in its last moment has no answer.
		ctx, cancel := context.WithTimeout(h.ctx(), time.Second)
		defer cancel()
		err := h.fabric.RequestJSON(ctx, fabric.Node(h.nodeID), fabric.NodeRequest{Kind: fabric.NodePing}, nil)
		n, _ := h.store.Node(h.t.Context(), h.nodeID)
		return err == nil && n.Connected(time.Now())
	})
	return p
}

// agent opens the node's end of a session.
func (h *house) agent(sessionID string) *peer {
	h.t.Helper()
	path := "/v1/data-channel/" + sessionID
	return h.dial(path+"?role=publish_subscribe", &h.node, message.OpenDataChannel{
		MessageSchemaVersion: "1.0", RequestId: ssm.NewUUID(), TokenValue: h.token(path), ClientInstanceId: h.nodeID})
}

// client opens the client's end of a session.
func (h *house) client(sessionID, token string) *peer {
	h.t.Helper()
	return h.dial("/v1/data-channel/"+sessionID+"?role=publish_subscribe", nil, h.openClient(token))
}

func (h *house) openClient(token string) message.OpenDataChannel {
	return message.OpenDataChannel{MessageSchemaVersion: "1.0", RequestId: ssm.NewUUID(), TokenValue: token, ClientId: ssm.NewUUID(), ClientVersion: "1.2.677.0"}
}

// prepare writes a session to the store as StartSession does.
func (h *house) prepare(change func(*store.Session)) (id, token string) {
	h.t.Helper()
	id, token = ssm.NewSessionID("alice"), rand.Text()
	task, err := json.Marshal(message.SessionTask{DocumentName: ssm.DefaultSessionDocument, SessionId: id,
		DocumentContent: message.DocumentContent{SchemaVersion: "1.0", SessionType: "Standard_Stream"}})
	if err != nil {
		h.t.Fatal(err)
	}
	row := store.Session{ID: id, NodeID: h.nodeID, OwnerARN: "arn:aws:iam::123456789012:user/alice", OwnerUserID: "AIDAALICE", DocumentName: ssm.DefaultSessionDocument,
		Status: ssm.SessionConnecting, StartedAt: time.Now(), IdleTimeout: 20 * time.Minute, Task: task,
		ClientTokenHash: hashToken(token), ClientTokenExpires: time.Now().Add(time.Minute)}
	if change != nil {
		change(&row)
	}
	if err := h.store.CreateSession(h.t.Context(), row, store.AuditEvent{At: time.Now(), Action: "ssm:StartSession"}); err != nil {
		h.t.Fatal(err)
	}
	return id, token
}

// start prepares a session and has the start message sent.
func (h *house) start(change func(*store.Session)) (id, token string) {
	h.t.Helper()
	id, token = h.prepare(change)
	if err := h.fabric.RequestJSON(h.ctx(), fabric.Node(h.nodeID), fabric.NodeRequest{Kind: fabric.NodeStart, SessionID: id}, nil); err != nil {
		h.t.Fatal(err)
	}
	return id, token
}

// resume gives the session a new client token, as ResumeSession does.
func (h *house) resume(id string) string {
	h.t.Helper()
	token := rand.Text()
	if ok, err := h.store.SetClientToken(h.t.Context(), id, hashToken(token), time.Now().Add(time.Minute)); err != nil || !ok {
		h.t.Fatalf("new token: %v %v", ok, err)
	}
	return token
}

func (h *house) status(id string) ssm.SessionStatus {
	row, err := h.store.Session(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return row.Status
}

func (h *house) waitStatus(id string, want ssm.SessionStatus) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("status %s", want), func() bool { return h.status(id) == want })
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("still waiting: %s", what)
		}
	}
}

func (p *peer) send(m message.Message) []byte {
	p.h.t.Helper()
	frame := message.Append(nil, m)
	p.write(frame)
	return frame
}

func (p *peer) write(frame []byte) {
	p.h.t.Helper()
	if err := p.ws.Write(p.h.ctx(), websocket.MessageBinary, frame); err != nil {
		p.h.t.Fatal(err)
	}
}

// stream sends a stream message of this end's type.
func (p *peer) stream(t message.Type, seq int64, payload string) []byte {
	p.h.t.Helper()
	return p.send(message.Message{Type: t, Sequence: seq, PayloadType: message.PayloadOutput, Payload: []byte(payload)})
}

// acknowledge sends an acknowledgement.
func (p *peer) acknowledge(t message.Type, seq int64) {
	p.h.t.Helper()
	payload, _ := json.Marshal(message.Acknowledge{AcknowledgedMessageType: string(t), AcknowledgedMessageId: ssm.NewUUID(), AcknowledgedMessageSequenceNumber: seq, IsSequentialMessage: true})
	p.send(message.Message{Type: message.TypeAcknowledge, Flags: 3, Payload: payload})
}

// next reads the next frame, which must be binary.
func (p *peer) next() ([]byte, message.Message) {
	p.h.t.Helper()
	kind, frame, err := p.ws.Read(p.h.ctx())
	if err != nil {
		p.h.t.Fatalf("read: %v", err)
	}
	if kind != websocket.MessageBinary {
		p.h.t.Fatalf("the gateway sent text: %q", frame)
	}
	m, err := message.Parse(frame)
	if err != nil {
		p.h.t.Fatalf("the gateway sent a bad frame: %v", err)
	}
	return frame, m
}

// want reads the next frame, which must be of a type.
func (p *peer) want(t message.Type) message.Message {
	p.h.t.Helper()
	_, m := p.next()
	if m.Type != t {
		p.h.t.Fatalf("got %s %q, want %s", m.Type, m.Payload, t)
	}
	return m
}

// wantStream reads the next frame, which must carry payload.
func (p *peer) wantStream(seq int64, payload string) {
	p.h.t.Helper()
	_, m := p.next()
	if m.Sequence != seq || string(m.Payload) != payload {
		p.h.t.Fatalf("got %s %d %q, want %d %q", m.Type, m.Sequence, m.Payload, seq, payload)
	}
}

// wantClosed reads until the connection ends.
func (p *peer) wantClosed() {
	p.h.t.Helper()
	for {
		if _, _, err := p.ws.Read(p.h.ctx()); err != nil {
			return
		}
	}
}
