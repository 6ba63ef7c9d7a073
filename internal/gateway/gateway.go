// Package gateway is the message gateway: it keeps the control channel of every
// connected node, pairs the two data channels of a session and relays frames between
// them.
//
// It never changes a frame, and reliability belongs to the two ends. Beside relaying it
// says only the few words that stock peers need (protocol.md §12, §13): it answers
// duplicates that were acknowledged before, replays what was in flight when a peer
// reconnects, holds a direction back by not reading from its faster side, ends idle and
// overlong sessions, and tells both ends when a session is over.
//
// Facts are in the store: a gateway that starts again takes up the sessions of the one
// before ([Gateway.Recover]), and the two ends, which keep what is unacknowledged, go on
// where they were. Requests from the control plane come over the fabric.
//
// Who owns what: each connection has one reader (the HTTP handler's goroutine) and, on
// data channels, one writer; each session has one goroutine (session.run) that alone
// watches deadlines and writes the session's state to the store. Everything else about
// a session is under its mutex, which is never held while writing to a network or to
// the store.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Limits are the durations that a gateway keeps. The zero value means the defaults.
type Limits struct {
	// NodeOpens is how long a node may take from the start message to its data
	// channel. Default 30 s (protocol.md §12.3).
	NodeOpens time.Duration
	// ClientOpens is how long a client may take from StartSession to its first
	// connection. Default 60 s.
	ClientOpens time.Duration
	// NodeLost is how long a session waits for a node that lost its connection.
	// Default 15 min.
	NodeLost time.Duration
	// NodeGone is the same for a node whose control channel is open: its session's
	// worker, which tries again every few seconds, must have died with nobody to tell
	// of it. Default 60 s.
	NodeGone time.Duration
	// Flush is how long the last output may take to be acknowledged at the end of a
	// session. Default 2 s.
	Flush time.Duration
	// Linger is how long an ended session waits for a client that lost its connection
	// before it could take the last output. Default 60 s.
	Linger time.Duration
	// Stop is how long a node may take to end a session it was told to end.
	// Default 5 s.
	Stop time.Duration
	// Ping is how often a node is asked on its control channel whether it is there, and
	// Pong how long it may take to answer: together what it takes to notice a node that
	// lost its power. Defaults 8 s and 12 s.
	Ping, Pong time.Duration
	// Lease is how long a node counts as connected without news of the gateway that
	// holds its control channel. Default 15 s; renewed at a third of it.
	Lease time.Duration
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.NodeOpens, 30*time.Second)
	set(&l.ClientOpens, 60*time.Second)
	set(&l.NodeLost, 15*time.Minute)
	set(&l.NodeGone, 60*time.Second)
	set(&l.Flush, 2*time.Second)
	set(&l.Linger, 60*time.Second)
	set(&l.Stop, 5*time.Second)
	set(&l.Ping, 8*time.Second)
	set(&l.Pong, 12*time.Second)
	set(&l.Lease, 15*time.Second)
	return l
}

// Config is what a gateway needs.
type Config struct {
	Store  *store.Store
	Auth   *auth.Auth
	Fabric *fabric.Fabric
	ARNs   ssm.ARNs
	// TokenKey signs the tokens that nodes are given for their channels. All gateways
	// of a deployment share it.
	TokenKey []byte
	// Name tells this gateway from the others of the deployment.
	Name   string
	Limits Limits
	Logger *slog.Logger
	// Record begins the recording of a session that this gateway takes up. Nil, and a nil
	// Recording, mean none.
	Record func(store.Session) Recording
}

// Recording is fed with what passes between the ends of a session. It must not wait: the
// session's other frames wait for it.
type Recording interface {
	// Stream is told of each message once, perhaps out of order. It does not keep payload.
	Stream(fromNode bool, sequence int64, kind message.PayloadType, payload []byte)
	// Close says that nothing more comes; finished, that the session is over.
	Close(finished bool)
}

// Gateway serves /v1/control-channel/ and /v1/data-channel/.
type Gateway struct {
	cfg      Config
	limits   Limits
	logger   *slog.Logger
	tokens   *tokens
	openings openings

	// life ends when Close is called; all connections and sessions hang on it.
	life    context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup

	mu       sync.Mutex          // guards the following
	nodes    map[string]*control // newest control channel of each node here
	sessions map[string]*session // sessions that this gateway relays
	closed   bool
	// takeovers are by node, of nodes that had any lately.
	takeovers map[string]*takeovers
}

var errClosing = errors.New("the gateway is shutting down")

// New makes a gateway. Close stops it.
func New(cfg Config) (*Gateway, error) {
	if len(cfg.TokenKey) < 32 {
		return nil, errors.New("the gateway's token key has fewer than 32 bytes")
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		cfg: cfg, limits: cfg.Limits.withDefaults(), logger: logger,
		tokens:   &tokens{key: cfg.TokenKey, now: time.Now, used: map[[16]byte]time.Time{}},
		nodes:    map[string]*control{},
		sessions: map[string]*session{}, takeovers: map[string]*takeovers{},
	}
	g.life, g.stop = context.WithCancelCause(context.Background())
	g.running.Go(g.renewLeases)
	return g, nil
}

// Recover takes up the sessions that were running when the deployment's last process
// ended. Call it once, before serving.
func (g *Gateway) Recover(ctx context.Context) error {
	live, err := g.cfg.Store.LiveSessions(ctx)
	if err != nil {
		return err
	}
	for _, row := range live {
		if _, err := g.adopt(row, true); err != nil {
			return err
		}
	}
	if len(live) > 0 {
		g.logger.Info("sessions taken up", "count", len(live))
	}
	return nil
}

// Close closes every connection and waits. Sessions are not ended: both ends reconnect
// to the next process.
func (g *Gateway) Close(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.stop(errClosing)
	done := make(chan struct{})
	go func() { g.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ServeHTTP serves the create calls and the websockets of both kinds of channel.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Websocket handlers outlive http.Server.Shutdown, so Close waits for them here.
	g.mu.Lock()
	closed := g.closed
	if !closed {
		g.running.Add(1)
	}
	g.mu.Unlock()
	if closed {
		http.Error(w, errClosing.Error(), http.StatusServiceUnavailable)
		return
	}
	defer g.running.Done()
	// Once a connection is upgraded the request's own context no longer ends with the
	// server, so the gateway's life is added to it.
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(g.life, func() { cancel(context.Cause(g.life)) })()
	r = r.WithContext(ctx)

	rest, isControl := strings.CutPrefix(r.URL.Path, "/v1/control-channel/")
	if !isControl {
		var isData bool
		if rest, isData = strings.CutPrefix(r.URL.Path, "/v1/data-channel/"); !isData {
			http.NotFound(w, r)
			return
		}
	}
	if rest == "" || len(rest) > maxID || strings.Contains(rest, "/") {
		http.NotFound(w, r)
		return
	}
	switch {
	case r.Method == http.MethodPost && isControl:
		g.createControlChannel(w, r, rest)
	case r.Method == http.MethodPost:
		g.createDataChannel(w, r, rest)
	case r.Method == http.MethodGet && isControl:
		g.openControlChannel(w, r, rest)
	case r.Method == http.MethodGet:
		g.openDataChannel(w, r, rest)
	default:
		http.Error(w, "use POST to create a channel and GET with an upgrade to open it", http.StatusMethodNotAllowed)
	}
}

// maxID bounds the id in a channel's path; session ids have up to 96 characters.
const maxID = 128

// connectedNodes are the nodes whose control channel is here, and the store knows it.
func (g *Gateway) connectedNodes() map[string]*control {
	g.mu.Lock()
	defer g.mu.Unlock()
	noted := make(map[string]*control, len(g.nodes))
	for id, c := range g.nodes {
		if c.noted {
			noted[id] = c
		}
	}
	return noted
}

// connectedSince says since when a node's control channel has been open here; zero if
// it is not.
func (g *Gateway) connectedSince(nodeID string) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.nodes[nodeID]; c != nil && c.noted {
		return c.since
	}
	return time.Time{}
}

// renewLeases keeps saying, in one statement for all nodes, that their control channels
// are open here. When this process dies nobody says so, and the nodes show as lost. A
// node that another gateway has taken over is let go.
func (g *Gateway) renewLeases() {
	tick := time.NewTicker(g.limits.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-g.life.Done():
			return
		case <-tick.C:
		}
		nodes := g.connectedNodes()
		if len(nodes) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(g.life, g.limits.Lease/3)
		held, err := g.cfg.Store.ExtendNodeConnections(ctx, g.cfg.Name, slices.Collect(maps.Keys(nodes)), time.Now().Add(g.limits.Lease))
		cancel()
		if err != nil {
			if g.life.Err() == nil {
				g.logger.Warn("leases of connected nodes not renewed", "nodes", len(nodes), "error", err)
			}
			continue
		}
		for _, id := range held {
			delete(nodes, id)
		}
		for _, c := range nodes {
			c.cancel(errNewerChannel)
		}
	}
}
