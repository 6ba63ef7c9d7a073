package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// link is one connection of one end of a session.
type link struct {
	wire    *wire
	ctx     context.Context // of the connection
	cancel  context.CancelCauseFunc
	writing sync.Mutex // held by whoever writes to wire
	// ready tells the writer, room the reader, that something changed. Capacity 1.
	ready chan struct{}
	room  chan struct{}
}

var (
	errReplaced = errors.New("the same end opened a newer connection")
	errOver     = errors.New("the session is over")
)

// lastWords is how long a connection stays open after the end of the session was
// written, so that the peer reads it and closes first.
const lastWords = 2 * time.Second

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *link) poke() { signal(l.ready) }

// finish closes the connection, leaving the peer a moment to do so itself.
func (l *link) finish() {
	time.AfterFunc(lastWords, func() { l.cancel(errOver) })
}

// openDataChannel serves one end of a session until its connection ends. Which end it
// is shows in the first message: only a node names its instance (protocol.md §2.5).
func (g *Gateway) openDataChannel(w http.ResponseWriter, r *http.Request, sessionID string) {
	var p auth.Principal
	if r.Header.Get("Authorization") != "" || r.URL.Query().Has("X-Amz-Signature") {
		// Nodes sign, clients may; a signature that is there must be right.
		var err error
		if p, err = g.cfg.Auth.Authenticate(r.Context(), r, nil, signingName); err != nil {
			g.refuse(w, err)
			return
		}
	}
	proved := func() {}
	if p.Kind == auth.Anonymous {
		end, ok := g.openings.begin(r.RemoteAddr)
		if !ok {
			http.Error(w, "too many connections that have not opened their channel", http.StatusServiceUnavailable)
			return
		}
		defer end()
		proved = end
	}
	wire, err := accept(w, r)
	if err != nil {
		g.logger.Debug("data channel not opened", "session_id", sessionID, "error", err)
		return
	}
	defer wire.close()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	err = g.serveDataChannel(ctx, cancel, wire, sessionID, p, proved)
	g.logger.Debug("data channel closed", "session_id", sessionID, "remote", wire.remote, "reason", err)
}

// serveDataChannel calls proved once the peer has shown its right to the session.
func (g *Gateway) serveDataChannel(ctx context.Context, cancel context.CancelCauseFunc, wire *wire, sessionID string, p auth.Principal, proved func()) error {
	var open message.OpenDataChannel
	openCtx, stop := context.WithTimeout(ctx, openTimeout)
	defer stop()
	text, err := wire.opening(openCtx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &open); err != nil {
		return errors.New("the first message is not the JSON of OpenDataChannel")
	}
	// A session that is not here is taken up only once the peer has shown its right to it.
	row, s, err := g.find(openCtx, sessionID)
	if err != nil {
		return err
	}
	isAgent := open.ClientInstanceId != ""
	if isAgent {
		if p.NodeID == "" || p.NodeID != row.NodeID {
			return ssm.Errorf(ssm.CodeAccessDenied, "the session belongs to another node")
		}
		if err := g.cfg.Auth.Authorize(auth.WithPrincipal(ctx, p), auth.Request{Action: "ssmmessages:OpenDataChannel", Resource: g.cfg.ARNs.Any()}); err != nil {
			return err
		}
		if err := g.tokens.redeem(open.TokenValue, "data/"+sessionID, p.NodeID); err != nil {
			return err
		}
		if open.RequireAcknowledgement {
			if err := wire.write(openCtx, message.Append(nil, message.Message{Type: message.TypeDataChannelReady, Payload: []byte("{}")})); err != nil {
				return err
			}
		}
	} else if err := g.redeemClient(openCtx, sessionID, open.TokenValue); err != nil {
		return err
	}
	proved()
	if s, err = g.take(row, s); err != nil {
		return err
	}
	end := &s.client
	if isAgent {
		end = &s.agent
	}
	l := &link{wire: wire, ctx: ctx, cancel: cancel, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	if !s.attach(end, l, open.ClientVersion) {
		return errOver
	}
	return s.serve(ctx, end, l)
}

// attach makes l the connection of an end. What it has not acknowledged is sent again.
func (s *session) attach(end *side, l *link, clientVersion string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if end.link != nil {
		end.link.cancel(errReplaced)
	}
	end.link, end.ever, end.told = l, true, false
	s.dropUrgent(end)
	end.in.rewind()
	if end == &s.client {
		end.silent = clientVersion != message.ClientVersion
		if s.final != nil {
			s.awaitClient(time.Now())
		}
	} else if s.stopping != nil || s.final != nil {
		end.push(message.Append(nil, channelClosed(s.row.NodeID, s.id, "")))
	}
	l.poke()
	s.poke()
	return true
}

// serve runs the writer and the reader of one connection until either ends.
func (s *session) serve(ctx context.Context, end *side, l *link) error {
	writer := make(chan error, 1)
	go func() {
		err := s.writeFrames(ctx, end, l)
		l.cancel(err)
		writer <- err
	}()
	err := s.readFrames(ctx, end, l)
	cause := context.Cause(ctx)
	l.cancel(err)
	<-writer
	s.mu.Lock()
	if end.link == l {
		end.link, end.lostAt = nil, time.Now()
		s.dropUrgent(end)
		if s.final != nil && end == &s.client && !end.told {
			s.awaitClient(end.lostAt)
		}
		s.poke()
	}
	s.mu.Unlock()
	if cause != nil {
		return cause
	}
	return err
}

// writeFrames sends what waits for an end, acknowledgements first, and at the very end
// the client's last line.
func (s *session) writeFrames(ctx context.Context, end *side, l *link) error {
	for {
		l.writing.Lock()
		err := s.flush(end, l)
		l.writing.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.ready:
		}
	}
}

// directly bounds what may wait for an acknowledgement while the reader of one end writes
// to the other: it is well below what a socket takes, so that the reader is not held up.
const directly = 32 << 10

// writeDirectly writes what waits for an end, if that is little and nobody else is at it.
// It saves a change of goroutines, which a round trip would wait for.
func (s *session) writeDirectly(end *side) {
	s.mu.Lock()
	l := end.link
	little := end.in.bytes+end.urgentBytes <= directly
	s.mu.Unlock()
	if l == nil {
		return
	}
	if !little || !l.writing.TryLock() {
		l.poke() // whoever writes may have looked for more already
		return
	}
	defer l.writing.Unlock()
	if err := s.flush(end, l); err != nil {
		l.cancel(err)
	}
}

// flush writes what waits for an end. l.writing is held.
func (s *session) flush(end *side, l *link) error {
	for {
		s.mu.Lock()
		frame, seq, last := s.nextFrame(end)
		s.mu.Unlock()
		if frame == nil {
			return nil
		}
		err := l.wire.write(l.ctx, frame)
		s.mu.Lock()
		if seq >= 0 {
			end.in.wrote(seq)
		}
		if err == nil && last && end.link == l {
			end.told = true
			s.poke()
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// nextFrame picks what to write next to an end, with its number in the queue or -1; last
// marks the end of the session. s.mu is held.
func (s *session) nextFrame(end *side) (frame []byte, seq int64, last bool) {
	other := s.otherEnd(end)
	if len(end.urgent) > 0 {
		frame = end.urgent[0]
		end.urgent[0] = nil
		end.urgent = end.urgent[1:]
		end.urgentBytes -= len(frame)
		if other.link != nil && end.urgentBytes < maxUrgent {
			signal(other.link.room)
		}
		return frame, -1, false
	}
	if frame, seq, ok := end.in.take(); ok {
		return frame, seq, false
	}
	if end == &s.client && s.final != nil && !end.told &&
		(end.in.empty() || !time.Now().Before(s.flushBy)) {
		return message.Append(nil, channelClosed(s.row.NodeID, s.id, s.final.output)), -1, true
	}
	return nil, -1, false
}

func (s *session) otherEnd(end *side) *side {
	if end == &s.agent {
		return &s.client
	}
	return &s.agent
}

// maxAcknowledge bounds the JSON of an acknowledgement; real ones have 180 bytes.
const maxAcknowledge = 4096

// readFrames takes what an end sends, and stops reading while the other end's queue is
// full.
func (s *session) readFrames(ctx context.Context, end *side, l *link) error {
	stream := message.TypeInputStreamData
	if end == &s.agent {
		stream = message.TypeOutputStreamData
	}
	other := s.otherEnd(end)
	bad := 0
	for {
		frame, err := l.wire.read(ctx)
		if err != nil {
			return err
		}
		h, err := message.ParseHeader(frame)
		if err != nil { // never forwarded: a bad frame kills a stock peer's reader (protocol.md §13.1)
			if bad++; bad == 1 {
				s.g.logger.Warn("bad frame on a data channel", "session_id", s.id, "remote", l.wire.remote, "error", err)
			}
			continue
		}
		full := false
		switch {
		case h.Type == stream:
			full = s.takeStream(end, other, h, frame)
			s.writeDirectly(other)
		case h.Type == message.TypeAcknowledge && h.PayloadLen <= maxAcknowledge:
			full = s.takeAcknowledge(end, other, h, frame)
		case h.Type == message.TypeAgentSessionState && end == &s.agent:
			s.takeState(frame)
		}
		if full {
			if err := s.waitForRoom(ctx, other, l); err != nil {
				return err
			}
		}
	}
}

// takeStream queues a stream message for the other end, or answers it when the other
// end has acknowledged it before. It says whether the queue is full.
func (s *session) takeStream(end, other *side, h message.Header, frame []byte) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := other.in.add(h.Sequence, frame, other.silent)
	switch v {
	case duplicate:
		if end.urgentBytes < maxUrgent { // else it does not read: it will ask again
			end.push(acknowledgement(h))
		}
	case queued, repeated, collapsed: // the caller sees to it that it is written
	}
	if end == &s.client && h.PayloadType == message.PayloadFlag {
		if flag, err := message.ParseFlag(frame[message.HeaderSize:]); err == nil && flag == message.FlagTerminateSession {
			end.leaving = true
		}
	}
	if v == queued && s.recording != nil {
		s.recording.Stream(end == &s.agent, h.Sequence, h.PayloadType, frame[message.HeaderSize:])
	}
	if v == queued && active(end == &s.agent, h) { // repeats are the protocol's, not the user's
		s.activity = time.Now()
	}
	if end == &s.agent && other.in.bytes > pauseAbove && len(end.urgent) < 16 {
		// The agent forgets a pause at the next input or acknowledgement
		// (protocol.md §4.2.3), so it is asked whenever it sends all the same.
		end.paused = true
		end.push(message.Append(nil, message.Message{Type: message.TypePausePublication, Payload: []byte("{}")}))
	}
	return other.in.bytes > maxQueued
}

// takeAcknowledge passes an acknowledgement on and forgets what it acknowledges.
func (s *session) takeAcknowledge(end, other *side, h message.Header, frame []byte) (full bool) {
	ack, err := message.ParseAcknowledge(frame[message.HeaderSize:])
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	acknowledge := end.in.ack
	if h.Flags&message.FlagBulk != 0 {
		acknowledge = end.in.ackThrough
	}
	if acknowledge(ack.AcknowledgedMessageSequenceNumber) && s.final != nil && end == &s.client {
		s.awaitClient(time.Now())
	}
	other.push(frame)
	if other.link != nil && end.in.bytes <= maxQueued {
		signal(other.link.room)
	}
	if other.paused && end.in.bytes < resumeBelow {
		other.paused = false
		other.push(message.Append(nil, message.Message{Type: message.TypeStartPublication, Payload: []byte("{}")}))
	}
	if s.final != nil && end == &s.client && end.in.empty() && end.link != nil {
		end.link.poke()
	}
	return other.urgentBytes >= maxUrgent
}

// takeState consumes agent_session_state: it is for the gateway, not for the client.
func (s *session) takeState(frame []byte) {
	state, err := message.ParseSessionState(frame[message.HeaderSize:])
	if err == nil && state.SessionState == message.StateTerminating {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		s.poke()
	}
}

// waitForRoom waits until the other end's queues have room again.
func (s *session) waitForRoom(ctx context.Context, other *side, l *link) error {
	for {
		s.mu.Lock()
		room := other.in.bytes <= maxQueued && other.urgentBytes < maxUrgent
		s.mu.Unlock()
		if room {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.room:
		}
	}
}

// acknowledgement is the answer that the other end gave before and that was lost.
func acknowledgement(h message.Header) []byte {
	payload, err := json.Marshal(message.Acknowledge{
		AcknowledgedMessageType: string(h.Type), AcknowledgedMessageId: h.ID.String(),
		AcknowledgedMessageSequenceNumber: h.Sequence, IsSequentialMessage: true,
	})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return message.Append(nil, message.Message{Type: message.TypeAcknowledge, Flags: 3, Payload: payload})
}
