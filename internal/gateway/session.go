package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// session is one session that this gateway relays, from the start message to the end.
type session struct {
	g   *Gateway
	id  string
	row store.Session // the facts of StartSession; State columns in it are stale

	// wake tells run that something changed. Capacity 1: a pending wake covers all.
	wake chan struct{}
	gone chan struct{} // closed when the session is over and forgotten

	recording Recording // nil if there is none

	mu         sync.Mutex // guards the following
	agent      side
	client     side
	began      time.Time         // when this process took the session up
	activity   time.Time         // when the session was last used, see active
	idleWarned time.Time         // the activity since which the user was warned of being idle
	endWarned  bool              // the user was warned of the maximum duration
	closing    bool              // the node said Terminating
	complete   *result           // the node's completion
	stopping   *result           // we told the node to end it
	final      *result           // the client is being told; nothing else happens after this
	finalAt    time.Time         // with final: since when
	flushBy    time.Time         // with final: when waiting for the client ends
	repeatAt   time.Time         // with final: when the oldest message is repeated
	repeat     time.Duration     // with final: how long after that again
	written    ssm.SessionStatus // what the store says
	ended      bool
}

// result is how a session ended.
type result struct {
	at      time.Time
	status  ssm.SessionStatus
	details string // for DescribeSessions: why
	output  string // the client's last line; empty means the ordinary one
}

// side is one end of a session.
type side struct {
	link   *link // the current connection; nil when there is none
	in     queue // stream messages for this end
	ever   bool  // it was connected once
	lostAt time.Time
	// urgent goes ahead of in: acknowledgements of what this end sent, and the
	// gateway's own words. It belongs to the connection.
	urgent      [][]byte
	urgentBytes int // sum of their lengths
	// silent says that this end never repeats an acknowledgement (the stock plugin).
	silent bool
	// paused says that the agent was asked to hold back.
	paused bool
	// leaving says that the client ended the session and does not wait to hear of it.
	leaving bool
	// told says that the end of the session was written to this end.
	told bool
}

// Bounds of what is kept for one end of a session. A sender with a window of its own
// (ours: up to 4 MiB) never meets them; a stock one is first asked to pause and then,
// if need be, no longer read from.
const (
	maxQueued   = 8 << 20 // bytes; beyond this the other end is not read from
	pauseAbove  = 5 << 20 // bytes; beyond this a stock agent is asked to pause
	resumeBelow = 1 << 20 // bytes
	maxUrgent   = 4 << 20 // bytes; beyond this whoever causes them is not read from
)

// repeatEvery is how often the gateway itself repeats the oldest unacknowledged message
// to a client after the node has gone. Each time that does not help it waits twice as
// long, up to maxRepeat: a client that is merely slow has no use for repeats.
const (
	repeatEvery = 200 * time.Millisecond
	maxRepeat   = 5 * time.Second
)

// maxFlush bounds the end of a session as long as the client takes what is left, if
// slowly.
const maxFlush = 15 * time.Minute

// Last lines shown to a client, and details kept with the session.
const (
	neverOpened      = "The node did not open the session in time."
	nodeLost         = "The connection to the node was lost."
	clientNeverCame  = "The client did not connect in time."
	endedByTerminate = "Terminated by TerminateSession."
)

// adopt makes the session of row live here, unless it is already. recovered says that
// an earlier process may have relayed frames of it.
func (g *Gateway) adopt(row store.Session, recovered bool) (*session, error) {
	now := time.Now()
	s := &session{
		g: g, id: row.ID, row: row, wake: make(chan struct{}, 1), gone: make(chan struct{}),
		began: now, activity: now, written: row.Status,
	}
	s.agent.in, s.client.in = newQueue(recovered), newQueue(recovered)
	if recovered && (row.Status == ssm.SessionConnected || row.Status == ssm.SessionDisconnected) {
		s.agent.ever, s.agent.lostAt = true, now
		s.client.ever, s.client.lostAt = true, now
	}
	if row.Status == ssm.SessionTerminating {
		s.stopping = &result{at: now, status: ssm.SessionTerminated, details: endedByTerminate}
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, errClosing
	}
	if known := g.sessions[row.ID]; known != nil {
		g.mu.Unlock()
		return known, nil
	}
	if g.cfg.Record != nil {
		s.recording = g.cfg.Record(row)
	}
	g.sessions[row.ID] = s
	g.running.Add(1)
	g.mu.Unlock()
	stop, err := g.cfg.Fabric.Handle(fabric.Session(row.ID), s.request)
	if err != nil {
		g.mu.Lock()
		delete(g.sessions, row.ID)
		g.mu.Unlock()
		if s.recording != nil {
			s.recording.Close(false)
		}
		g.running.Done()
		return nil, err
	}
	go func() {
		defer g.running.Done()
		defer close(s.gone)
		defer stop()
		s.run()
		if s.recording != nil {
			s.recording.Close(s.over())
		}
	}()
	return s, nil
}

// request serves what the control plane asks of this session.
func (s *session) request(_ context.Context, data []byte) ([]byte, error) {
	var in fabric.SessionRequest
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("request to a session: %w", err)
	}
	switch in.Kind {
	case fabric.SessionTerminate:
		reason := in.Reason
		if reason == "" {
			reason = endedByTerminate
		}
		s.terminate(&result{status: ssm.SessionTerminated, details: reason, output: in.Output})
	case fabric.SessionResume: // the token is in the store; the older connection goes when the new one comes
	default:
		return nil, fmt.Errorf("request to a session: unknown kind %q", in.Kind)
	}
	return nil, nil
}

// terminate tells the node to end the session; run does the rest.
func (s *session) terminate(why *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminateLocked(why, time.Now())
}

func (s *session) terminateLocked(why *result, now time.Time) {
	if s.stopping != nil || s.final != nil {
		return
	}
	why.at = now
	s.stopping = why
	if s.agent.link != nil {
		s.agent.push(message.Append(nil, channelClosed(s.row.NodeID, s.id, "")))
	}
	s.poke()
}

// completed notes the node's completion.
func (s *session) completed(done message.TaskComplete) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complete != nil {
		return
	}
	r := &result{at: time.Now(), status: ssm.SessionTerminated,
		output: foreignText(done.Output, maxOutput), details: foreignText(done.Output, maxDetails)}
	if done.FinalTaskStatus == "Failed" {
		r.status = ssm.SessionFailed
	}
	s.complete = r
	s.poke()
}

// over says whether nothing more can be opened on the session.
func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// owedToNode says what the node should hear when its control channel (re)opens.
func (s *session) owedToNode() (start, terminate bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.agent.ever && s.stopping == nil && s.final == nil, s.stopping != nil && s.complete == nil
}

// poke wakes run.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run watches the session's deadlines and keeps the store's word about it true, until
// the session is over or the gateway stops.
func (s *session) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	toldNode := false
	for {
		select {
		case <-s.g.life.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		nodeSince := s.g.connectedSince(s.row.NodeID)
		s.mu.Lock()
		next := s.step(time.Now(), nodeSince)
		status, final := s.status(), s.final
		over := s.done(time.Now())
		if over {
			s.ended = true
		}
		// Also a node that never opened the session, or lost it: a stock agent's worker
		// otherwise runs on for good (protocol.md §13.4).
		tellNode := !toldNode && s.complete == nil && (s.stopping != nil || s.final != nil)
		s.mu.Unlock()

		if tellNode {
			toldNode = true
			s.tellNode()
		}
		if over {
			s.finish(final)
			return
		}
		if status != s.written && s.write(status) {
			s.written = status
		}
		timer.Reset(next)
	}
}

// step moves the session on and returns how long until it must be looked at again.
// nodeSince is since when the node's control channel has been open here. s.mu is held.
func (s *session) step(now, nodeSince time.Time) time.Duration {
	next := time.Minute
	due := func(at time.Time) bool {
		left := at.Sub(now)
		if left <= 0 {
			return true
		}
		next = min(next, left)
		return false
	}
	l := s.g.limits
	if s.final == nil {
		switch {
		case s.complete != nil:
			// The last output may still be on its way on the data channel, which the
			// node closes when all is sent.
			if s.agent.link == nil || due(s.complete.at.Add(l.Flush)) {
				s.finalize(s.complete, now)
			}
		case s.stopping != nil:
			// A node that closed its data channel, or is away, has nothing more to say;
			// one that comes back is told that the session is over.
			if s.agent.ever && s.agent.link == nil || due(s.stopping.at.Add(l.Stop)) {
				s.finalize(s.stopping, now)
			}
		case s.closing && s.agent.link == nil:
			// The node said that it ends and closed; its completion is on its way,
			// unless the agent process that would send it is gone.
			if due(s.agent.lostAt.Add(l.Flush)) {
				s.finalize(&result{status: ssm.SessionTerminated}, now)
			}
		case !s.agent.ever:
			if due(s.began.Add(l.NodeOpens)) {
				s.finalize(&result{status: ssm.SessionFailed, details: neverOpened, output: neverOpened}, now)
			}
		case s.agent.link == nil && (due(s.agent.lostAt.Add(l.NodeLost)) ||
			!nodeSince.IsZero() && due(later(s.agent.lostAt, nodeSince).Add(l.NodeGone))):
			s.finalize(&result{status: ssm.SessionFailed, details: nodeLost, output: nodeLost}, now)
		}
	}
	if s.final == nil && s.stopping == nil && s.complete == nil {
		if !s.client.ever && due(s.began.Add(l.ClientOpens)) {
			s.terminateLocked(&result{status: ssm.SessionTerminated, details: clientNeverCame}, now)
		} else {
			s.limit(now, due)
		}
		if s.stopping != nil {
			next = 0
		}
	}
	if s.final != nil && due(s.flushBy) {
		due(s.flushBy.Add(lastWords))
	}
	if s.final != nil && s.client.link != nil {
		if !s.client.in.empty() && due(s.repeatAt) { // the node is gone: repeating falls to the gateway
			s.client.in.repeat()
			s.repeatAt = now.Add(s.repeat)
			next = min(next, s.repeat)
			s.repeat = min(2*s.repeat, maxRepeat)
		}
		s.client.link.poke()
	}
	return next
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// done says whether the client has had its last line or will not get it any more.
// s.mu is held.
func (s *session) done(now time.Time) bool {
	if s.final == nil {
		return false
	}
	by := s.flushBy
	if s.client.link != nil {
		by = by.Add(lastWords) // the last line itself takes a moment to write
	}
	return s.client.told || !now.Before(by)
}

// finalize begins the end: the client gets what is left of the output and then the last
// line. s.mu is held.
func (s *session) finalize(why *result, now time.Time) {
	if s.stopping != nil && why != s.stopping { // we asked for it: our words, not the node's
		why = s.stopping
	}
	s.final, s.finalAt = why, now
	s.awaitClient(now)
	if s.client.link != nil {
		s.client.link.poke()
	}
	if s.agent.link != nil {
		s.agent.push(message.Append(nil, channelClosed(s.row.NodeID, s.id, "")))
	}
}

// awaitClient sets how long the end of the session waits for the client to take what is
// left. It is called again whenever the client gets on with it. s.mu is held.
func (s *session) awaitClient(now time.Time) {
	l := s.g.limits
	s.repeat = repeatEvery
	s.repeatAt = now.Add(s.repeat)
	switch c := &s.client; {
	case s.stopping != nil: // nobody waits for the rest of a session that was ended
		s.flushBy = s.finalAt
		if c.link != nil {
			s.flushBy = s.finalAt.Add(l.Flush)
		}
	case c.link != nil && c.silent && c.in.allSent():
		// It may have all of it: its acknowledgements may have been lost with an earlier
		// process, and it does not repeat them.
		s.flushBy = now.Add(l.Flush)
	case c.link == nil && c.ever && s.final == s.complete && s.final.status == ssm.SessionFailed && c.in.empty():
		// A session that never came about, and a client that had its part in it: those that
		// decline what the handshake asks for leave at once.
		s.flushBy = now.Add(l.Flush)
	case c.link == nil && c.leaving:
		s.flushBy = now.Add(l.Flush)
	case c.link != nil, c.ever: // it is slow, or about to reconnect
		s.flushBy = now.Add(l.Linger)
	default: // it is about to come, and should hear why there is no session
		s.flushBy = s.began.Add(l.ClientOpens)
	}
	if latest := s.finalAt.Add(max(maxFlush, l.Linger)); s.flushBy.After(latest) {
		s.flushBy = latest
	}
}

// status is what the store should say. A session that ended by itself is shown as
// Terminating at no time: until its last output is with the client it can be resumed.
// s.mu is held.
func (s *session) status() ssm.SessionStatus {
	switch {
	case s.stopping != nil:
		return ssm.SessionTerminating
	case s.agent.link != nil && s.client.link != nil:
		return ssm.SessionConnected
	case s.agent.ever && s.client.ever:
		return ssm.SessionDisconnected
	}
	return ssm.SessionConnecting
}

// write tells the store the session's state. A failure is tried again at the next step.
func (s *session) write(status ssm.SessionStatus) bool {
	ctx, cancel := context.WithTimeout(s.g.life, writeTimeout)
	defer cancel()
	if _, err := s.g.cfg.Store.SetSessionStatus(ctx, s.id, status); err != nil {
		if s.g.life.Err() == nil {
			s.g.logger.Warn("state of a session not written", "session_id", s.id, "status", string(status), "error", err)
		}
		return false
	}
	if status == ssm.SessionConnected {
		s.g.logger.Info("session connected", "session_id", s.id, "node_id", s.row.NodeID)
	}
	return true
}

// tellNode asks the node, over whichever gateway holds its control channel, to end the
// session. The data channel has been told too; both work with every agent.
func (s *session) tellNode() {
	ctx, cancel := context.WithTimeout(s.g.life, writeTimeout)
	defer cancel()
	err := s.g.cfg.Fabric.RequestJSON(ctx, fabric.Node(s.row.NodeID),
		fabric.NodeRequest{Kind: fabric.NodeTerminate, SessionID: s.id}, nil)
	if err != nil && !errors.Is(err, fabric.ErrNoResponder) && s.g.life.Err() == nil {
		s.g.logger.Warn("node not told to end a session", "session_id", s.id, "node_id", s.row.NodeID, "error", err)
	}
}

// finish writes the end to the store, trying until it is there or the gateway stops, and
// forgets the session.
func (s *session) finish(final *result) {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 10*time.Second) {
		ctx, cancel := context.WithTimeout(s.g.life, writeTimeout)
		_, err := s.g.cfg.Store.EndSession(ctx, s.id, final.status, final.details, time.Now())
		cancel()
		if err == nil || errors.Is(err, store.ErrNotFound) {
			break
		}
		if s.g.life.Err() != nil {
			break // the next process takes it up and ends it
		}
		s.g.logger.Warn("end of a session not written", "session_id", s.id, "error", err)
		select {
		case <-s.g.life.Done():
		case <-time.After(delay):
		}
	}
	s.g.mu.Lock()
	delete(s.g.sessions, s.id)
	s.g.mu.Unlock()
	s.mu.Lock()
	for _, sd := range []*side{&s.agent, &s.client} {
		if sd.link != nil {
			sd.link.finish()
		}
	}
	s.mu.Unlock()
	s.g.logger.Info("session ended", "session_id", s.id, "node_id", s.row.NodeID, "status", string(final.status), "reason", final.details)
}

// push queues a message ahead of the stream. Nothing is kept for an end that is away:
// what an acknowledgement is about comes again and is answered then, and of the end of
// the session attach tells. The session's mutex is held.
func (sd *side) push(frame []byte) {
	if sd.link == nil {
		return
	}
	sd.urgent = append(sd.urgent, frame)
	sd.urgentBytes += len(frame)
	sd.link.poke()
}

// dropUrgent forgets what waits ahead of the stream: the connection that it was for is
// gone. s.mu is held.
func (s *session) dropUrgent(end *side) {
	end.urgent, end.urgentBytes = nil, 0
	if other := s.otherEnd(end); other.link != nil {
		signal(other.link.room)
	}
}

// redeemClient checks a client's token against the store and voids it.
func (g *Gateway) redeemClient(ctx context.Context, sessionID, token string) error {
	ok, err := g.cfg.Store.RedeemClientToken(ctx, sessionID, hashToken(token), time.Now())
	if err == nil && !ok {
		err = errToken
	}
	return err
}
