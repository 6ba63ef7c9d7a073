package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/awsapi"
	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// rawPeer speaks to a deployment by hand, below any client, so that it can do what no
// client does.
type rawPeer struct {
	t    testing.TB
	d    *deployment
	tls  *tls.Config
	http *http.Client
	cred sigv4.Credentials // the administrator's, or a node's
}

func newRawPeer(t testing.TB, d *deployment) *rawPeer {
	t.Helper()
	ca, err := os.ReadFile(d.env["AWS_CA_BUNDLE"])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate in AWS_CA_BUNDLE")
	}
	config := &tls.Config{RootCAs: pool}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &rawPeer{t: t, d: d, tls: config, http: &http.Client{Transport: transport},
		cred: sigv4.Credentials{AccessKeyID: d.env["AWS_ACCESS_KEY_ID"], SecretAccessKey: d.env["AWS_SECRET_ACCESS_KEY"]}}
}

func (p *rawPeer) region() string { return p.d.env["AWS_DEFAULT_REGION"] }

func (p *rawPeer) endpoint() string { return "https://" + p.d.listen }

func (p *rawPeer) ctx() context.Context {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	p.t.Cleanup(cancel)
	return ctx
}

// request makes an unsigned request of the JSON API.
func (p *rawPeer) request(target, body string) *http.Request {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.ctx(), http.MethodPost, p.endpoint()+"/", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	return r
}

// sign signs a request of the peer.
func (p *rawPeer) sign(r *http.Request, body, region, service string, at time.Time) {
	sigv4.Sign(r, sigv4.Hash([]byte(body)), p.cred, region, service, at)
}

// do sends a request and returns status, error code and the whole body.
func (p *rawPeer) do(r *http.Request) (status int, code, text string) {
	p.t.Helper()
	res, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("x-amzn-ErrorType"), string(body)
}

// call calls an operation properly.
func (p *rawPeer) call(service, target string, in, out any) error {
	client := awsapi.Client{Endpoint: p.endpoint(), HTTP: p.http, Sign: func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), p.cred, p.region(), service, time.Now())
		return nil
	}}
	return client.Call(p.ctx(), target, in, out)
}

// start starts a session on a node.
func (p *rawPeer) start(node string) ssm.StartSessionOutput {
	p.t.Helper()
	var out ssm.StartSessionOutput
	if err := p.call("ssm", "AmazonSSM.StartSession", &ssm.StartSessionInput{Target: node}, &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

// resume asks for a new token of a session.
func (p *rawPeer) resume(id string) ssm.ResumeSessionOutput {
	p.t.Helper()
	var out ssm.ResumeSessionOutput
	if err := p.call("ssm", "AmazonSSM.ResumeSession", &ssm.SessionIDInput{SessionID: id}, &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *rawPeer) terminate(id string) {
	p.t.Helper()
	if err := p.call("ssm", "AmazonSSM.TerminateSession", &ssm.SessionIDInput{SessionID: id}, nil); err != nil {
		p.t.Fatal(err)
	}
}

// session is what DescribeSessions shows of a session, or nil.
func (p *rawPeer) session(state, id string) *ssm.Session {
	p.t.Helper()
	var out ssm.DescribeSessionsOutput
	in := &ssm.DescribeSessionsInput{State: state, Filters: []ssm.SessionFilter{{Key: "SessionId", Value: id}}}
	if err := p.call("ssm", "AmazonSSM.DescribeSessions", in, &out); err != nil {
		p.t.Fatal(err)
	}
	if len(out.Sessions) == 0 {
		return nil
	}
	return &out.Sessions[0]
}

// asNode registers a node that is nothing but a key and gives the peer that acts with
// its temporary credentials.
func (p *rawPeer) asNode() (*rawPeer, string) {
	p.t.Helper()
	var activation ssm.CreateActivationOutput
	if err := p.call("ssm", "AmazonSSM.CreateActivation", &ssm.CreateActivationInput{IamRole: "SSMServiceRole"}, &activation); err != nil {
		p.t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		p.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		p.t.Fatal(err)
	}
	unsigned := awsapi.Client{Endpoint: p.endpoint(), HTTP: p.http}
	var registered ssm.RegisterManagedInstanceOutput
	err = unsigned.Call(p.ctx(), "AmazonSSM.RegisterManagedInstance", &ssm.RegisterManagedInstanceInput{
		ActivationCode: activation.ActivationCode, ActivationID: activation.ActivationID, Fingerprint: "raw",
		PublicKey: base64.StdEncoding.EncodeToString(public), PublicKeyType: "Rsa",
	}, &registered)
	if err != nil {
		p.t.Fatal(err)
	}
	withKey := awsapi.Client{Endpoint: p.endpoint(), HTTP: p.http, Sign: func(r *http.Request, body []byte) error {
		return sigv4.SignRSA(r, sigv4.Hash(body), registered.InstanceID, key, p.region(), "ssm", time.Now())
	}}
	var token ssm.RequestManagedInstanceRoleTokenOutput
	err = withKey.Call(p.ctx(), "AmazonSSM.RequestManagedInstanceRoleToken",
		&ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: "raw"}, &token)
	if err != nil {
		p.t.Fatal(err)
	}
	node := *p
	node.cred = sigv4.Credentials{AccessKeyID: token.AccessKeyID, SecretAccessKey: token.SecretAccessKey, SessionToken: token.SessionToken}
	return &node, registered.InstanceID
}

// create makes one of the create calls of the message gateway.
func (p *rawPeer) create(path string) (status int, token, text string) {
	p.t.Helper()
	const body = `{"MessageSchemaVersion":"1.0","RequestId":"1"}`
	r, err := http.NewRequestWithContext(p.ctx(), http.MethodPost, p.endpoint()+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	p.sign(r, body, p.region(), "ssmmessages", time.Now())
	status, _, text = p.do(r)
	var answer struct{ TokenValue string }
	_ = xml.Unmarshal([]byte(text), &answer) // the caller looks at status and token
	return status, answer.TokenValue, text
}

// dial opens a websocket and sends its first message; signed says whether it signs.
func (p *rawPeer) dial(url string, signed bool, open any) *websocket.Conn {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, strings.Replace(url, "wss://", "https://", 1), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if signed {
		p.sign(r, "", p.region(), "ssmmessages", time.Now())
	}
	ws, _, err := websocket.Dial(p.ctx(), url, &websocket.DialOptions{HTTPHeader: r.Header,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls.Clone()}}})
	if err != nil {
		p.t.Fatal(err)
	}
	ws.SetReadLimit(8 << 20)
	p.t.Cleanup(func() { ws.CloseNow() })
	text, err := json.Marshal(open)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := ws.Write(p.ctx(), websocket.MessageText, text); err != nil {
		p.t.Fatal(err)
	}
	return ws
}

// dialClient opens a client's data channel.
func (p *rawPeer) dialClient(streamURL, token string) *websocket.Conn {
	p.t.Helper()
	return p.dial(streamURL, false, message.OpenDataChannel{MessageSchemaVersion: message.OpenSchemaVersion,
		RequestId: ssm.NewUUID(), TokenValue: token, ClientId: ssm.NewUUID(), ClientVersion: message.ClientVersion})
}

// dialControl opens a node's control channel and waits until the node is connected.
func (p *rawPeer) dialControl(node string) *websocket.Conn {
	p.t.Helper()
	path := "/v1/control-channel/" + node
	_, token, text := p.create(path)
	if token == "" {
		p.t.Fatalf("CreateControlChannel answers %s", text)
	}
	return p.dial("wss://"+p.d.listen+path+"?role=subscribe&stream=input", true, message.OpenControlChannel{
		MessageSchemaVersion: message.OpenSchemaVersion, RequestId: ssm.NewUUID(), TokenValue: token,
		AgentVersion: message.AgentVersion, PlatformType: "linux"})
}

// connected waits until a node is connected.
func (p *rawPeer) connected(node string) {
	p.t.Helper()
	eventually(p.t, "the node is connected", func() bool {
		var out ssm.GetConnectionStatusOutput
		if err := p.call("ssm", "AmazonSSM.GetConnectionStatus", &ssm.GetConnectionStatusInput{Target: node}, &out); err != nil {
			p.t.Fatal(err)
		}
		return out.Status == "connected"
	})
}

// frames makes a websocket a connection of package datachannel.
type frames struct{ ws *websocket.Conn }

func (f frames) ReadFrame(ctx context.Context) ([]byte, error) {
	kind, frame, err := f.ws.Read(ctx)
	if err == nil && kind != websocket.MessageBinary {
		return nil, fmt.Errorf("the gateway sent text: %q", frame)
	}
	return frame, err
}

func (f frames) WriteFrame(ctx context.Context, frame []byte) error {
	return f.ws.Write(ctx, websocket.MessageBinary, frame)
}

func (f frames) Close() error { return f.ws.CloseNow() }

// talk holds a proper conversation over a client's websocket: it types text and waits
// for an answer. It ends the connection.
func (p *rawPeer) talk(ws *websocket.Conn, typed, answer string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	ch := datachannel.New(datachannel.Config{Role: datachannel.Client})
	served := make(chan error, 1)
	go func() { served <- ch.Serve(ctx, frames{ws}) }()
	if err := ch.Send(ctx, message.PayloadOutput, []byte(typed)); err != nil {
		p.t.Fatal(err)
	}
	var shown []byte
	for !bytes.Contains(shown, []byte(answer)) {
		in, err := ch.Receive(ctx)
		if err != nil {
			p.t.Fatalf("%v; waited for %q in %q", err, answer, tail(string(shown), 1000))
		}
		if in.PayloadType == message.PayloadOutput {
			shown = append(shown, in.Payload...)
		}
		in.Done()
	}
	cancel()
	<-served
}

// closedByServer reads until the server ends the connection.
func (p *rawPeer) closedByServer(ws *websocket.Conn, what string) {
	p.t.Helper()
	ctx := p.ctx()
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				p.t.Fatalf("%s: the connection is still open", what)
			}
			return
		}
	}
}
