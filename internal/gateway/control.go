package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	// openTimeout bounds the wait for a peer's first message.
	openTimeout = 15 * time.Second
	// writeTimeout bounds one write on a control channel. An agent reads its control
	// channel at all times; one that does not is dropped and comes back.
	writeTimeout = 10 * time.Second
	// maxNodeSessions is the number of sessions that a stock agent runs at once; at
	// one more it blocks its control channel for good (agent-control-plane.md §6.1).
	maxNodeSessions = 1000
)

// control is one open control channel.
type control struct {
	g      *Gateway
	nodeID string
	wire   *wire
	cancel context.CancelCauseFunc
	// noted says that the store knows of this channel. Guarded by Gateway.mu.
	noted bool
	since time.Time // of noted; guarded likewise
	// gone is closed when nothing of this channel will be done any more. A newer one of
	// the same node waits for it, so that their words to the store and the fabric do not
	// cross.
	gone chan struct{}
	// complaints counts what was logged about frames; owned by the reader.
	complaints int
}

// maxComplaints bounds what one control channel puts into the log about its frames.
const maxComplaints = 5

var (
	errNewerChannel = errors.New("the node opened a newer control channel")
	errNoPong       = errors.New("the node does not answer pings")
	errExpelled     = errors.New("the node is registered no more")
)

// openControlChannel opens a node's control channel, which is then held until it ends.
// The newest wins: an older one of the same node is closed.
func (g *Gateway) openControlChannel(w http.ResponseWriter, r *http.Request, nodeID string) {
	if _, err := g.authorizeNode(r, nodeID, "ssmmessages:OpenControlChannel"); err != nil {
		g.refuse(w, err)
		return
	}
	wire, err := accept(smallBuffers{w}, r)
	if err != nil {
		g.logger.Debug("control channel not opened", "node_id", nodeID, "error", err)
		return // accept has answered
	}
	// Not in the handler: the request and the stack of its goroutine, which did the TLS
	// handshake, would be kept for as long as the node is there.
	g.running.Go(func() { g.holdControlChannel(wire, nodeID) })
}

func (g *Gateway) holdControlChannel(wire *wire, nodeID string) {
	defer wire.close()
	defer func() {
		if p := recover(); p != nil {
			g.logger.Error("panic on a control channel", "node_id", nodeID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithCancelCause(g.life)
	defer cancel(nil)
	c := &control{g: g, nodeID: nodeID, wire: wire, cancel: cancel, gone: make(chan struct{})}
	if err := c.serve(ctx); err != nil && !errors.Is(err, errClosing) {
		g.logger.Info("control channel closed", "node_id", nodeID, "remote", wire.remote, "reason", err)
	}
}

func (c *control) serve(ctx context.Context) error {
	g := c.g
	var open message.OpenControlChannel
	err := aside(func() (err error) {
		open, err = c.handshake(ctx)
		return err
	})
	if err != nil {
		return err
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return errClosing
	}
	older := g.nodes[c.nodeID]
	g.nodes[c.nodeID] = c
	if older != nil {
		g.tookOver(c.nodeID, older.wire.remote, c.wire.remote, time.Now())
	}
	g.mu.Unlock()
	defer c.forget()
	if older != nil {
		older.cancel(errNewerChannel)
		<-older.gone
	}
	stop := func() {}
	defer func() { stop() }()
	err = aside(func() (err error) {
		stop, err = c.enter(ctx, open)
		return err
	})
	if err != nil {
		return err
	}
	stopPings := c.pings(ctx)
	defer func() { c.cancel(nil); stopPings() }()
	for {
		frame, err := c.wire.read(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		if err := c.handle(ctx, frame); err != nil {
			return err
		}
	}
}

// aside runs f on a stack of its own. What the database and TLS need of it would
// otherwise be kept for as long as the node is there.
func aside(f func() error) error {
	done := make(chan error)
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			done <- err
		}()
		err = f()
	}()
	return <-done
}

// enter makes the channel known, and the node learn what it missed. stop is never nil.
func (c *control) enter(ctx context.Context, open message.OpenControlChannel) (stop func(), err error) {
	g := c.g
	stop, err = g.cfg.Fabric.Handle(fabric.Node(c.nodeID), c.request)
	if err != nil {
		return func() {}, err
	}
	now := time.Now()
	if err := g.cfg.Store.ConnectNode(ctx, c.nodeID, g.cfg.Name, foreignText(open.AgentVersion, maxAgentVersion), platformType(open.PlatformType), now.Add(g.limits.Lease), now); err != nil {
		return stop, err
	}
	g.mu.Lock()
	c.noted, c.since = true, now
	g.mu.Unlock()
	g.logger.Info("control channel opened", "node_id", c.nodeID, "remote", c.wire.remote, "agent_version", open.AgentVersion)
	return stop, c.catchUp(ctx)
}

// pings drops the channel of a node that is gone without a word. TCP's own keepalive does
// not do: it is silent as long as anything that was written waits for its
// acknowledgement, which is then repeated for a quarter of an hour. Stock agents answer
// pings (agent-control-plane.md §3.4); one that does not read would get no task either.
// Between two pings there is a timer and no goroutine. stop waits for a ping on its way,
// which ends with ctx.
func (c *control) pings(ctx context.Context) (stop func()) {
	var (
		mu      sync.Mutex // guards timer and stopped
		timer   *time.Timer
		stopped bool
		pinging sync.WaitGroup
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(c.g.limits.Ping, func() {
		mu.Lock()
		if stopped {
			mu.Unlock()
			return
		}
		pinging.Add(1)
		mu.Unlock()
		defer pinging.Done()
		if err := c.wire.ping(ctx, c.g.limits.Pong); err != nil {
			c.cancel(errNoPong) // without effect if something else ended it
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			timer.Reset(c.g.limits.Ping)
		}
	})
	return func() {
		mu.Lock()
		stopped = true
		timer.Stop()
		mu.Unlock()
		pinging.Wait()
	}
}

// handshake reads the opening message and checks its token.
func (c *control) handshake(ctx context.Context) (message.OpenControlChannel, error) {
	var open message.OpenControlChannel
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	text, err := c.wire.opening(ctx)
	if err != nil {
		return open, err
	}
	if err := json.Unmarshal(text, &open); err != nil {
		return open, errors.New("the first message is not the JSON of OpenControlChannel")
	}
	if err := c.g.tokens.redeem(open.TokenValue, "control", c.nodeID); err != nil {
		return open, err
	}
	if open.RequireAcknowledgement {
		return open, c.send(ctx, message.Message{Type: message.TypeControlChannelReady, Payload: []byte("{}")})
	}
	return open, nil
}

// forget takes the channel off. A newer one that took its place meanwhile waits for it.
func (c *control) forget() {
	defer close(c.gone)
	g := c.g
	g.mu.Lock()
	current, closing := g.nodes[c.nodeID] == c, g.closed
	g.mu.Unlock()
	// At shutdown the lease is left to run out: the node is about to reconnect to the
	// next process, and a restart should not show as an outage.
	if current && !closing {
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		if _, err := g.cfg.Store.DisconnectNode(ctx, c.nodeID, g.cfg.Name, time.Now()); err != nil {
			g.logger.Warn("disconnection of a node not noted", "node_id", c.nodeID, "error", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nodes[c.nodeID] == c {
		delete(g.nodes, c.nodeID)
	}
}

// catchUp tells a node that (re)connected what it may have missed: sessions that wait
// for its data channel, and sessions that were ended meanwhile. Both are safe to repeat:
// an agent ignores a session it runs already and one it does not know.
func (c *control) catchUp(ctx context.Context) error {
	c.g.mu.Lock()
	var mine []*session
	for _, s := range c.g.sessions {
		if s.row.NodeID == c.nodeID {
			mine = append(mine, s)
		}
	}
	c.g.mu.Unlock()
	for _, s := range mine {
		s.poke() // a deadline may depend on this channel
		start, terminate := s.owedToNode()
		var err error
		switch {
		case terminate:
			err = c.terminate(ctx, s.id)
		case start:
			err = c.start(ctx, s.row.Task)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// request serves what the control plane asks of this node.
func (c *control) request(ctx context.Context, data []byte) ([]byte, error) {
	var in fabric.NodeRequest
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("request to a node: %w", err)
	}
	switch in.Kind {
	case fabric.NodePing:
		return nil, nil
	case fabric.NodeExpel:
		c.cancel(errExpelled)
		return nil, nil
	case fabric.NodeTerminate:
		return nil, c.terminate(ctx, in.SessionID)
	case fabric.NodeStart:
		return nil, c.begin(ctx, in)
	}
	return nil, fmt.Errorf("request to a node: unknown kind %q", in.Kind)
}

// begin starts a session that the control plane has written to the store.
func (c *control) begin(ctx context.Context, in fabric.NodeRequest) error {
	row, err := c.g.cfg.Store.Session(ctx, in.SessionID)
	if err != nil {
		return err
	}
	if row.NodeID != c.nodeID {
		return fmt.Errorf("session %s belongs to another node", in.SessionID)
	}
	if n := c.g.sessionsOn(c.nodeID); n >= maxNodeSessions {
		return ssm.Errorf(ssm.CodeServiceQuotaExceeded, "%s runs %d sessions already.", c.nodeID, n)
	}
	if _, err := c.g.adopt(row, false); err != nil {
		return err
	}
	return c.start(ctx, row.Task)
}

func (g *Gateway) sessionsOn(nodeID string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, s := range g.sessions {
		if s.row.NodeID == nodeID {
			n++
		}
	}
	return n
}

// start sends the start message of a session.
func (c *control) start(ctx context.Context, task []byte) error {
	var t message.SessionTask
	if err := json.Unmarshal(task, &t); err != nil {
		return fmt.Errorf("task of a session: %w", err)
	}
	payload, err := message.NewInteractiveShell(t)
	if err != nil {
		return err
	}
	return c.send(ctx, message.Message{Type: message.TypeInteractiveShell, Payload: payload})
}

// terminate tells the node to end a session.
func (c *control) terminate(ctx context.Context, sessionID string) error {
	return c.send(ctx, channelClosed(c.nodeID, sessionID, ""))
}

func (c *control) send(ctx context.Context, m message.Message) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return c.wire.write(ctx, message.Append(nil, m))
}

// handle takes one frame from the node. Only a bad frame that cannot be told from an
// attack on the reader ends the channel; unknown types are passed over as the protocol
// wants.
func (c *control) handle(ctx context.Context, frame []byte) error {
	m, err := message.Parse(frame)
	if err != nil {
		c.complain("bad frame on a control channel", err)
		return nil
	}
	switch m.Type {
	case message.TypeAgentTaskComplete:
		done, err := message.ParseTaskComplete(m.Payload)
		if err != nil {
			c.complain("bad task completion", err)
			return nil
		}
		ack, err := json.Marshal(message.TaskAcknowledge{
			SchemaVersion: 1, MessageId: m.ID.String(), TaskId: done.TaskId, Topic: done.Topic,
		})
		if err != nil {
			return err
		}
		if err := c.send(ctx, message.Message{Type: message.TypeAgentTaskAcknowledge, Payload: ack}); err != nil {
			return err
		}
		c.completed(ctx, done)
	default: // telemetry and what newer agents may add
		c.g.logger.Debug("frame on a control channel passed over", "node_id", c.nodeID, "type", string(m.Type))
	}
	return nil
}

// complain logs what is wrong with a frame, the first few times: a node must not be able
// to fill the log.
func (c *control) complain(what string, err error) {
	if c.complaints++; c.complaints <= maxComplaints {
		c.g.logger.Warn(what, "node_id", c.nodeID, "error", err)
	}
}

// completed hands a task's end to its session. A failure is reported twice by stock
// agents, so a session that is over or unknown is no surprise.
func (c *control) completed(ctx context.Context, done message.TaskComplete) {
	s, err := c.g.sessionOf(ctx, done.TaskId, c.nodeID)
	if err != nil {
		if !ssm.IsCode(err, ssm.CodeDoesNotExist) && !errors.Is(err, store.ErrNotFound) {
			c.complain("task completion not noted", err)
		}
		return
	}
	s.completed(done)
}

// platformType is the API's word for the platform of an opening message.
func platformType(p string) string {
	switch strings.ToLower(p) {
	case "linux":
		return "Linux"
	case "windows":
		return "Windows"
	case "macos", "darwin":
		return "MacOS"
	}
	return ""
}

// channelClosed is the message that ends a session at either peer.
func channelClosed(destination, sessionID, output string) message.Message {
	id := message.NewID()
	payload, err := json.Marshal(message.ChannelClosed{
		MessageType: string(message.TypeChannelClosed), MessageId: id.String(), DestinationId: destination,
		SessionId: sessionID, SchemaVersion: 1, CreatedDate: time.Now().UTC().Format(time.RFC3339), Output: output,
	})
	if err != nil {
		panic(err) // a struct of strings always encodes
	}
	return message.Message{Type: message.TypeChannelClosed, ID: id, Payload: payload}
}
