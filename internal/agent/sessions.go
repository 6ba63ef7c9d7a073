package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/platform"
)

const (
	// maxSessions is the stock agent's limit, Mgs.SessionWorkersLimit.
	maxSessions = 1000
	// maxEnded is how many ended sessions are remembered, so that a start message that
	// comes again does not open them again.
	maxEnded = 1024
	// A completion is said up to completions times, completionWait apart, until it is
	// acknowledged (protocol.md §4.1.3).
	completions    = 3
	completionWait = time.Second
)

// sessions are those that this agent started and has not reported.
type sessions struct {
	mu      sync.Mutex               // guards the following
	running map[string]*os.Process   // by session id; the process is nil until it is there
	doomed  map[string]bool          // told to end before the process was there
	ended   map[string]outcome       // how the last ones ended
	order   []string                 // of ended, oldest first
	adopted map[string]bool          // run by workers of an agent before this one, at its start
	acks    map[string]chan struct{} // by message id, closed by the acknowledgement
	empty   chan struct{}            // closed while nothing runs

	logs chan struct{} // a worker ended: its session's log may be delivered
}

// outcome is how a session ended.
type outcome struct {
	Status string // message.StatusSuccess, ...
	Output string // shown to the user when not empty
}

func failed(err error) outcome { return outcome{Status: message.StatusFailed, Output: err.Error()} }

func (s *sessions) init() {
	s.running = map[string]*os.Process{}
	s.doomed = map[string]bool{}
	s.ended = map[string]outcome{}
	s.acks = map[string]chan struct{}{}
	s.adopted = map[string]bool{}
	for _, id := range platform.Siblings(ChildCommand, childSession) {
		s.adopted[id] = true
	}
	s.empty = make(chan struct{})
	close(s.empty)
	s.logs = make(chan struct{}, 1)
}

// Facts about a start message.
var (
	errRunning = errors.New("the session is running")
	errEnded   = errors.New("the session has ended")
	errFull    = sentence("The node runs %d sessions already.", maxSessions)
)

// claim reserves a session id. errEnded comes with how it ended.
func (s *sessions) claim(id string) (outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.running[id]; ok {
		return outcome{}, errRunning
	}
	if s.adopted[id] {
		if slices.Contains(platform.Siblings(ChildCommand, childSession), id) {
			return outcome{}, errRunning
		}
		delete(s.adopted, id)
	}
	if o, ok := s.ended[id]; ok {
		return o, errEnded
	}
	if len(s.running) >= maxSessions {
		return outcome{}, errFull
	}
	if len(s.running) == 0 {
		s.empty = make(chan struct{})
	}
	s.running[id] = nil
	return outcome{}, nil
}

// started notes the worker of a session that was claimed.
func (s *sessions) started(id string, p *os.Process) {
	s.mu.Lock()
	s.running[id] = p
	doomed := s.doomed[id]
	s.mu.Unlock()
	if doomed {
		platform.Terminate(p)
	}
}

// release notes the end of a session.
func (s *sessions) release(id string, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
	delete(s.doomed, id)
	if _, ok := s.ended[id]; !ok {
		s.order = append(s.order, id)
	}
	s.ended[id] = o
	if len(s.order) > maxEnded {
		delete(s.ended, s.order[0])
		s.order = s.order[1:]
	}
	if len(s.running) == 0 {
		close(s.empty)
	}
}

// terminate tells a session's worker to end it. The worker may be one of an agent that
// ran before this one.
func (s *sessions) terminate(id string, logger *slog.Logger) {
	s.mu.Lock()
	p, ok := s.running[id]
	if ok && p == nil {
		s.doomed[id] = true
	}
	s.mu.Unlock()
	switch {
	case p != nil:
		platform.Terminate(p)
	case !ok && validID(id):
		if platform.SignalSiblings(childArgs(id)...) == 0 {
			logger.Debug("unknown session told to end", "session_id", id)
		}
	}
}

// endAll ends the sessions of this agent and waits for them, but not for ever.
func (s *sessions) endAll(patience time.Duration) {
	s.mu.Lock()
	empty := s.empty
	for id, p := range s.running {
		if s.doomed[id] = true; p != nil {
			platform.Terminate(p)
		}
	}
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C:
	}
}

// expect prepares for the acknowledgement of a message.
func (s *sessions) expect(messageID string) (acked <-chan struct{}, forget func()) {
	ch := make(chan struct{})
	s.mu.Lock()
	s.acks[messageID] = ch
	s.mu.Unlock()
	return ch, func() {
		s.mu.Lock()
		delete(s.acks, messageID)
		s.mu.Unlock()
	}
}

func (s *sessions) acknowledged(messageID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch, ok := s.acks[messageID]; ok {
		close(ch)
		delete(s.acks, messageID)
	}
}

// startSession takes a start message. It does not wait for the session.
func (a *agent) startSession(ctx context.Context, payload []byte) {
	id, task, err := parseTask(payload)
	if id == "" {
		a.logger.Warn("start message without a usable session id", "error", err)
		return
	}
	logger := a.logger.With("session_id", id)
	o, claimErr := a.sessions.claim(id)
	switch {
	case errors.Is(claimErr, errRunning):
		logger.Debug("start message for a session that runs")
		return
	case errors.Is(claimErr, errEnded):
		a.tasks.Go(func() { a.complete(ctx, id, o) })
		return
	case claimErr != nil:
		a.tasks.Go(func() { a.complete(ctx, id, failed(claimErr)) })
		return
	}
	a.tasks.Go(func() {
		o := outcome{}
		if err != nil {
			err = sentence("The node cannot read the session document: %v", err)
		}
		if err == nil {
			err = checkTask(task)
		}
		if err == nil {
			logger.Info("session starting", "owner", task.SessionOwner, "document", task.DocumentName)
			o, err = a.runWorker(ctx, task, logger)
		}
		if err != nil {
			o = failed(err)
		}
		logger.Info("session ended", "status", o.Status, "output", o.Output)
		a.sessions.release(id, o)
		a.complete(ctx, id, o)
	})
}

// complete reports the end of a session, until it is acknowledged or was said often
// enough. Waiting for a control channel does not count.
func (a *agent) complete(ctx context.Context, id string, o outcome) {
	messageID := message.NewID()
	acked, forget := a.sessions.expect(messageID.String())
	defer forget()
	for n := range completions {
		err := a.control.send(ctx, message.Message{
			Type: message.TypeAgentTaskComplete, ID: messageID,
			Payload: message.Marshal(message.TaskComplete{
				SchemaVersion: 1, TaskId: id, Topic: string(message.TypeAgentTaskComplete),
				FinalTaskStatus: o.Status, InstanceId: a.reg.NodeID, Output: o.Output, RetryNumber: n + 1,
			}),
		})
		if err != nil {
			return
		}
		timer := time.NewTimer(completionWait)
		select {
		case <-acked:
		case <-timer.C:
			continue
		case <-ctx.Done():
		}
		timer.Stop()
		return
	}
	a.logger.Warn("end of a session not acknowledged", "session_id", id)
}

// runWorker runs a session in a process of its own and waits for it. The process is in
// a session of its own and keeps running if this agent ends.
func (a *agent) runWorker(ctx context.Context, task message.SessionTask, logger *slog.Logger) (outcome, error) {
	creds, err := a.creds.get(ctx)
	if err != nil {
		return outcome{}, err
	}
	spec, err := json.Marshal(workerSpec{
		Dir: a.cfg.Dir, Registration: *a.reg, Credentials: creds, Task: task, SessionUser: a.cfg.SessionUser,
		ClockOffset: time.Duration(a.server.clock.offset.Load()), Debug: a.cfg.Debug, Pace: a.cfg.sessionPace,
	})
	if err != nil {
		return outcome{}, fmt.Errorf("encode the session's task: %w", err)
	}
	w, err := startChild(task.SessionId, spec)
	if err != nil {
		return outcome{}, err
	}
	a.sessions.started(task.SessionId, w.cmd.Process)
	// When the context ends first, the worker goes on without us: closing our end of
	// the pipe ends the read.
	stop := context.AfterFunc(ctx, func() { w.stdout.Close() })
	defer stop()
	line, readErr := bufio.NewReader(io.LimitReader(w.stdout, maxReport)).ReadBytes('\n')
	if ctx.Err() != nil {
		w.cmd.Process.Release()
		return outcome{}, context.Cause(ctx)
	}
	// The report is what counts; the process takes another moment to go.
	a.tasks.Go(func() {
		if err := w.cmd.Wait(); err != nil {
			logger.Warn("session worker ended badly", "error", err)
		}
		a.sessions.logEnded()
	})
	var o outcome
	if readErr != nil || json.Unmarshal(line, &o) != nil || o.Status == "" {
		return outcome{}, sentence("The session's worker process ended unexpectedly.")
	}
	return o, nil
}
