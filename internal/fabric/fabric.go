// Package fabric carries short messages between the processes of one deployment:
// the control plane asks whichever gateway holds a node's control channel to start a
// session there, without knowing which gateway that is.
//
// It is NATS, embedded in the process without a port by default, or an external
// server for several gateway nodes. Delivery is at most once: a request that nobody
// serves fails at once with [ErrNoResponder], and whoever needs more keeps the fact in
// the store and asks again. This package owns the subject names; control and gateway
// are its callers.
package fabric

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// ErrNoResponder says that nobody serves the subject of a request.
var ErrNoResponder = errors.New("no responder")

// maxPayload bounds one message on the fabric, in bytes. A session task is the
// largest thing carried: a document (64 KiB at the most) and its parameters.
const maxPayload = 1 << 20

// startTimeout is how long Open waits for the embedded server or for the external one.
const startTimeout = 10 * time.Second

// Config says where the fabric is.
type Config struct {
	// URL of an external NATS server ("nats://host:4222"); empty embeds one in the
	// process that listens on no port.
	URL    string
	Logger *slog.Logger
}

// Fabric is a connection to the fabric. Its methods may be called concurrently.
type Fabric struct {
	conn     *nats.Conn
	embedded *server.Server // nil with an external server
	logger   *slog.Logger
	handlers sync.WaitGroup

	// One channel and one goroutine take the requests of all subjects: there are as many
	// subjects as nodes.
	arrived chan *nats.Msg
	closed  chan struct{} // closed by leave
	leave   sync.Once

	mu     sync.Mutex // guards served
	served map[*nats.Subscription]func(*nats.Msg)
}

// maxArrived bounds the requests that wait for a goroutine. What comes to a full queue is
// lost, as on any at-most-once fabric, and logged.
const maxArrived = 8192

// Open joins the fabric, starting the embedded server if cfg.URL is empty.
func Open(cfg Config) (*Fabric, error) {
	f := &Fabric{
		logger: cfg.Logger, served: map[*nats.Subscription]func(*nats.Msg){},
		arrived: make(chan *nats.Msg, maxArrived), closed: make(chan struct{}),
	}
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	options := []nats.Option{
		nats.Name("sekishod"),
		nats.MaxReconnects(-1),
		nats.Timeout(startTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			f.logger.Warn("fabric", "error", err)
		}),
	}
	url := cfg.URL
	if url == "" {
		embedded, err := server.NewServer(&server.Options{
			ServerName: "sekishod", DontListen: true, NoSigs: true, NoLog: true, MaxPayload: maxPayload,
		})
		if err != nil {
			return nil, fmt.Errorf("start the embedded fabric: %w", err)
		}
		embedded.Start()
		if !embedded.ReadyForConnections(startTimeout) {
			embedded.Shutdown()
			return nil, fmt.Errorf("start the embedded fabric: not ready after %s", startTimeout)
		}
		f.embedded = embedded
		options = append(options, nats.InProcessServer(embedded))
	}
	conn, err := nats.Connect(url, options...)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("connect to the fabric: %w", err)
	}
	f.conn = conn
	f.handlers.Go(f.dispatch)
	return f, nil
}

// Close leaves the fabric and waits for handlers that are running.
func (f *Fabric) Close() {
	f.leave.Do(func() { close(f.closed) })
	if f.conn != nil {
		f.conn.Close()
	}
	if f.embedded != nil {
		f.embedded.Shutdown()
		f.embedded.WaitForShutdown()
	}
	f.handlers.Wait()
}

// dispatch hands requests to those who serve their subjects.
func (f *Fabric) dispatch() {
	for {
		select {
		case <-f.closed:
			return
		case m := <-f.arrived:
			f.mu.Lock()
			serve := f.served[m.Sub]
			f.mu.Unlock()
			if serve != nil { // or it was taken off meanwhile
				f.handlers.Go(func() { serve(m) })
			}
		}
	}
}

// Subject names what a message is about.
type Subject struct{ name string }

// Node is the subject of what concerns one managed node's control channel.
func Node(id string) Subject { return Subject{"sekisho.node." + token(id)} }

// Session is the subject of what concerns one running session.
func Session(id string) Subject { return Subject{"sekisho.session." + token(id)} }

// token makes any text one element of a subject: dots, spaces and wildcards have a
// meaning there, and session ids contain what user names contain.
func token(id string) string { return hex.EncodeToString([]byte(id)) }

// reply is what travels back. The error text of a handler is for the asking process,
// which belongs to the same deployment.
type reply struct {
	Data  []byte `json:"data,omitempty"`
	Error string `json:"error,omitempty"`
}

// Handle serves requests on s until stop is called. Each request has its own
// goroutine; ctx ends when stop is called. Several processes may serve one subject
// only for a moment (a node that moves): each answers, and the first answer counts.
func (f *Fabric) Handle(s Subject, handle func(ctx context.Context, data []byte) ([]byte, error)) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	serve := func(m *nats.Msg) {
		data, err := handle(ctx, m.Data)
		answer := reply{Data: data}
		if err != nil {
			answer = reply{Error: err.Error()}
		}
		text, err := json.Marshal(answer)
		if err == nil && m.Reply != "" {
			err = m.Respond(text)
		}
		if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			f.logger.Warn("fabric reply not sent", "subject", s.name, "error", err)
		}
	}
	f.mu.Lock() // so that no request arrives before its handler is known
	sub, err := f.conn.ChanSubscribe(s.name, f.arrived)
	if err == nil {
		f.served[sub] = serve
	}
	f.mu.Unlock()
	if err != nil {
		cancel()
		return nil, fmt.Errorf("serve %s: %w", s.name, err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		_ = sub.Unsubscribe() // fails only when the connection is closed, which unsubscribes too
		f.mu.Lock()
		delete(f.served, sub)
		f.mu.Unlock()
	})
	// The subscription must be known to the server before anybody is told about the
	// node, or the first request meets no responder.
	if err := f.conn.FlushTimeout(startTimeout); err != nil {
		stop()
		return nil, fmt.Errorf("serve %s: %w", s.name, err)
	}
	return stop, nil
}

// Request asks whoever serves s and waits for the answer, until ctx ends (which must
// have a deadline). It fails with [ErrNoResponder] when nobody does, and with the
// handler's error text when the handler failed.
func (f *Fabric) Request(ctx context.Context, s Subject, data []byte) ([]byte, error) {
	m, err := f.conn.RequestWithContext(ctx, s.name, data)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, ErrNoResponder
	}
	if err != nil {
		return nil, fmt.Errorf("request on the fabric: %w", err)
	}
	var answer reply
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, fmt.Errorf("request on the fabric: %w", err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Data, nil
}

// RequestJSON is Request with JSON both ways; answer may be nil.
func (f *Fabric) RequestJSON(ctx context.Context, s Subject, request, answer any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("request on the fabric: %w", err)
	}
	text, err := f.Request(ctx, s, data)
	if err != nil {
		return err
	}
	if answer == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("answer from the fabric: %w", err)
	}
	return nil
}
