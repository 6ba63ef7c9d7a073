package agent

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/awsapi"
	"sekisho/internal/batch"
	"sekisho/internal/message"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

const (
	agentName = "sekisho-agent"
	// agentVersion is what the agent says of itself everywhere.
	agentVersion = message.AgentVersion
	userAgent    = agentName + "/" + agentVersion

	dialTimeout = 10 * time.Second // of TCP, and again of TLS
	callTimeout = 15 * time.Second // the stock agent's, for create calls (protocol.md §2.3)
	// maxCreateAnswer bounds the XML of a create call; real ones have about 300 bytes.
	maxCreateAnswer = 64 << 10
	// channelService is the service that channel requests are signed for.
	channelService = "ssmmessages"
)

// server is the service as this node sees it. It may be used by several goroutines.
type server struct {
	endpoint  string
	region    string
	clock     clock
	transport *http.Transport
	http      *http.Client
}

// newServer prepares to talk to the registration's endpoint. HTTP/1.1 only: websockets
// need it, and so a channel's create call and its upgrade share one connection.
func newServer(reg *Registration) (*server, error) {
	s := &server{endpoint: reg.Endpoint, region: reg.Region}
	s.clock.err = reg.ClockError
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if reg.CA != "" {
		var err error
		if trust, err = pinnedTrust(reg.CA, s.clock.machine); err != nil {
			return nil, err
		}
	}
	s.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return batch.New(c), nil
		},
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: callTimeout,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   2,
	}
	s.transport.Protocols = new(http.Protocols)
	s.transport.Protocols.SetHTTP1(true)
	s.http = &http.Client{
		Transport: watchDate{s.transport, &s.clock},
		// A signed request is for the host it was signed for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func (s *server) close() { s.transport.CloseIdleConnections() }

// signer signs a request; nil sends it unsigned.
type signer func(r *http.Request, body []byte) error

// sigv4Signer signs with temporary credentials.
func (s *server) sigv4Signer(c Credentials, service string) signer {
	return func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		}, s.region, service, s.clock.now())
		return nil
	}
}

// rsaSigner signs with the node's own key.
func rsaSigner(s *server, nodeID string, key *rsa.PrivateKey) signer {
	return func(r *http.Request, body []byte) error {
		return sigv4.SignRSA(r, sigv4.Hash(body), nodeID, key, s.region, "ssm", s.clock.now())
	}
}

// call calls an operation of the API. A signature that the server refuses for its time
// is made once more with the server's clock.
func (s *server) call(ctx context.Context, target string, in, out any, sign signer) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := awsapi.Client{Endpoint: s.endpoint, HTTP: s.http, Sign: sign, UserAgent: userAgent}
	return s.retrySkewed(func() error { return client.Call(ctx, target, in, out) })
}

func (s *server) retrySkewed(f func() error) error {
	err := f()
	if isSkew(err) && s.clock.correct() {
		err = f()
	}
	return err
}

// isSkew says whether a request was refused for the time of its signature (api.md §2.2).
func isSkew(err error) bool {
	var e *ssm.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "RequestTimeTooSkewed", "RequestExpired":
		return true
	}
	return strings.Contains(e.Message, "Signature expired") || strings.Contains(e.Message, "Signature not yet current")
}

// isStaleCredential says whether a request was refused because its credentials have
// ended or are not known (any more).
func isStaleCredential(err error) bool {
	var e *ssm.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId":
		return true
	}
	return false
}

// errSessionOver says that the gateway knows the session no more.
var errSessionOver = errors.New("the session is terminated")

// channel is what a channel is opened with.
type channel struct {
	path  string                 // "/v1/data-channel/" and the session's id
	query string                 // in alphabetical order, as it is signed
	body  map[string]string      // of the create call, beside schema version and request id
	open  func(token string) any // the first message
}

// controlChannel is the node's control channel (protocol.md §2.1).
func controlChannel(nodeID, platform string) channel {
	return channel{
		path:  "/v1/control-channel/" + url.PathEscape(nodeID),
		query: "role=subscribe&stream=input",
		open: func(token string) any {
			return message.OpenControlChannel{
				MessageSchemaVersion: message.OpenSchemaVersion, RequestId: ssm.NewUUID(), TokenValue: token,
				AgentVersion: agentVersion, PlatformType: platform,
			}
		},
	}
}

// dataChannel is the agent's end of a session's data channel.
func dataChannel(nodeID, sessionID string) channel {
	return channel{
		path:  "/v1/data-channel/" + url.PathEscape(sessionID),
		query: "role=publish_subscribe",
		body:  map[string]string{"ClientId": ""}, // as the stock agent has it
		open: func(token string) any {
			return message.OpenDataChannel{
				MessageSchemaVersion: message.OpenSchemaVersion, RequestId: ssm.NewUUID(), TokenValue: token,
				ClientInstanceId: nodeID,
			}
		},
	}
}

// connect opens a channel: it asks for a token, makes the websocket and sends the first
// message.
func (s *server) connect(ctx context.Context, c Credentials, ch channel, p pace) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+2*dialTimeout)
	defer cancel()
	var token string
	err := s.retrySkewed(func() (err error) {
		token, err = s.create(ctx, c, ch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create channel: %w", err)
	}
	ws, err := s.dial(ctx, c, ch, p)
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	first, err := json.Marshal(ch.open(token))
	if err == nil {
		err = ws.writeText(ctx, first)
	}
	if err != nil {
		ws.Close()
		return nil, fmt.Errorf("open channel: %w", err)
	}
	return ws, nil
}

// create asks for a channel's token. Only status 201 is a yes (protocol.md §2.3).
func (s *server) create(ctx context.Context, c Credentials, ch channel) (token string, err error) {
	fields := map[string]string{"MessageSchemaVersion": message.OpenSchemaVersion, "RequestId": ssm.NewUUID()}
	for k, v := range ch.body {
		fields[k] = v
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint+ch.path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	if err := s.sigv4Signer(c, channelService)(r, body); err != nil {
		return "", err
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxCreateAnswer))
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return "", refusal(resp.StatusCode, text)
	}
	var answer struct{ TokenValue string }
	if err := xml.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	if answer.TokenValue == "" {
		return "", errors.New("the answer holds no token")
	}
	return answer.TokenValue, nil
}

// refusal makes an error of a gateway's answer: XML whose root is the code.
func refusal(status int, text []byte) error {
	if bytes.Contains(text, []byte("Session is already terminated")) {
		return errSessionOver
	}
	var answer struct {
		XMLName xml.Name
		Message string
	}
	if xml.Unmarshal(text, &answer) != nil || answer.XMLName.Local == "" {
		const shown = 200 // of an answer that may be a proxy's page
		return &ssm.Error{Code: http.StatusText(status), Message: strings.TrimSpace(string(text[:min(len(text), shown)])), Status: status}
	}
	return &ssm.Error{Code: answer.XMLName.Local, Message: answer.Message, Status: status}
}

// dial makes the websocket: HTTP/1.1, no subprotocol, no extension (protocol.md §2.4).
func (s *server) dial(ctx context.Context, c Credentials, ch channel, p pace) (*conn, error) {
	address := s.endpoint + ch.path + "?" + ch.query
	cn := newConn(p)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { cn.batch = batch.Of(i.Conn) },
	})
	err := s.retrySkewed(func() error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		r.Header.Set("User-Agent", userAgent)
		if err := s.sigv4Signer(c, channelService)(r, nil); err != nil {
			return err
		}
		ws, resp, err := websocket.Dial(ctx, address, &websocket.DialOptions{
			HTTPClient:      s.http,
			HTTPHeader:      r.Header,
			CompressionMode: websocket.CompressionDisabled,
			OnPingReceived:  func(context.Context, []byte) bool { cn.heard(); return true },
			OnPongReceived:  func(context.Context, []byte) { cn.heard() },
		})
		if err != nil {
			if resp != nil && resp.StatusCode >= http.StatusBadRequest {
				text, _ := io.ReadAll(io.LimitReader(resp.Body, maxCreateAnswer))
				return refusal(resp.StatusCode, text)
			}
			return err
		}
		cn.attach(ws)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cn, nil
}
