package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/sessionlog"
)

const (
	// drainPatience is how long the last output may go without any acknowledgement: a
	// stock client never repeats a lost one (protocol.md §15, item 35).
	drainPatience = 2 * time.Second
	drainPoll     = 100 * time.Millisecond
)

// errTerminated says that somebody else than the session's own end ends it.
var errTerminated = errors.New("the session is ended from outside")

// worker runs one session: its activity at one end, the data channel at the other. Its
// goroutines are started by runSession, which waits for them.
type worker struct {
	id     string
	logger *slog.Logger
	// sessionUser is the account of sessions whose document names none; empty means the
	// agent's own.
	sessionUser string
	dir         string             // of the agent
	log         *sessionlog.Writer // nil if no log is kept
	ch          *datachannel.Channel
	link        *link
	client      datachannel.Agreement   // what is known of the client, once there was a handshake
	end         context.CancelCauseFunc // ends the session from outside
}

// activity is what a session does on the node: a shell, a command, a tunnel.
type activity interface {
	// serve moves bytes between it and the data channel until it has ended or ctx has,
	// and says why. A [userError] means that the session failed, every other error how
	// it ended well. When it returns the client has what it was sent, as far as it
	// takes it, and nothing runs on that should not.
	serve(ctx context.Context) error
	// close frees what is left.
	close()
}

// kind is how the sessions of one type are run.
type kind struct {
	// handshake says that one is held also where nothing is to be encrypted.
	handshake bool
	// clear says that the data is never encrypted with a KMS key (protocol.md §6.1).
	clear bool
	// window bounds the output under way, in bytes.
	window int
	// open starts the activity. The handshake, if there is one, is over; without one the
	// connection may still be on its way.
	open func(ctx context.Context, w *worker, task message.SessionTask) (activity, error)
}

// kinds are the types of sessions that this agent runs.
func kinds(sessionType string) (kind, bool) {
	switch sessionType {
	case message.SessionTypeStandardStream:
		return kind{window: shellWindow, open: openShell}, true
	case message.SessionTypeInteractive:
		return kind{window: shellWindow, open: openTerminalCommand}, true
	case message.SessionTypeNonInteractive:
		return kind{handshake: true, window: commandWindow, open: openCommand}, true
	case message.SessionTypePort:
		return kind{handshake: true, clear: true, window: tunnelWindow, open: openTunnel}, true
	}
	return kind{}, false
}

// runSession runs a session to its end, or until ctx ends, which ends its activity.
func runSession(ctx context.Context, spec workerSpec, logger *slog.Logger) outcome {
	id := spec.Task.SessionId
	doc := spec.Task.DocumentContent
	kind, known := kinds(doc.SessionType)
	if !known { // checkTask has refused it before
		return failed(sentence("Session type %s is not supported.", doc.SessionType))
	}
	srv, err := newServer(&spec.Registration)
	if err != nil {
		return failed(err)
	}
	defer srv.close()
	srv.clock.offset.Store(int64(spec.ClockOffset))
	creds := newCredentials(srv, spec.Registration.Fingerprint, func() (signer, error) {
		key, err := spec.Registration.key(spec.Dir)
		if err != nil {
			return nil, err
		}
		return rsaSigner(srv, spec.Registration.NodeID, key), nil
	})
	creds.seed(spec.Credentials)

	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ch := datachannel.New(datachannel.Config{Role: datachannel.Agent, Window: kind.window, Logger: logger})
	w := &worker{id: id, logger: logger, sessionUser: spec.SessionUser, dir: spec.Dir, ch: ch, end: end}
	w.link = &link{server: srv, creds: creds, ch: ch, nodeID: spec.Registration.NodeID, session: id, pace: spec.Pace, logger: logger}

	// The connection is made while the activity starts; output waits for it.
	linkCtx, endLink := context.WithCancel(context.WithoutCancel(ctx))
	linkDone := make(chan struct{})
	var linkErr error
	go func() {
		defer close(linkDone)
		linkErr = w.link.run(linkCtx)
		end(linkErr)
	}()
	closeLink := func() {
		ch.Close()
		endLink()
		<-linkDone
	}
	keyID := doc.Inputs.KMSKeyID
	if kind.clear {
		keyID = ""
	}
	if kind.handshake || keyID != "" {
		if err := w.handshake(ctx, doc, keyID); err != nil {
			said := w.link.finish()
			closeLink()
			<-said
			return w.noAgreement(err, linkErr)
		}
	}
	act, err := kind.open(ctx, w, spec.Task)
	if err != nil {
		if kind.handshake {
			<-w.link.finish()
		}
		closeLink()
		logger.Error("session not opened", "error", err)
		return failed(err)
	}
	defer act.close()
	err = act.serve(ctx)
	said := w.link.finish()
	closeLink()
	<-said
	logger.Info("session closed", "reason", err)
	var told userError
	switch {
	case w.link.never() && errors.Is(err, linkErr):
		return outcome{Status: message.StatusFailed, Output: "Setting up data channel with id " + id + " failed: " + err.Error()}
	case errors.Is(err, datachannel.ErrDecrypt):
		return failed(errGarbled)
	case errors.As(err, &told):
		return failed(told)
	}
	return outcome{Status: message.StatusSuccess}
}

// watchGateway ends the session when the gateway says so. What it has to say otherwise
// goes to notice; nil passes it over.
func (w *worker) watchGateway(ctx context.Context, notice func(context.Context, message.Message)) {
	for {
		select {
		case m := <-w.ch.Control():
			switch m.Type {
			case message.TypeChannelClosed:
				w.end(errTerminated)
			case message.TypeSessionNotice:
				if notice != nil {
					notice(ctx, m)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// drain waits until the client has all output. It gives up when the connected client
// acknowledges nothing for a while; a lost connection is waited for, as ever.
func (w *worker) drain(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		pollCtx, cancel := context.WithTimeout(ctx, drainPoll)
		err := w.ch.Drain(pollCtx)
		cancel()
		if err == nil || errors.Is(err, datachannel.ErrClosed) {
			return
		}
		c, since := w.link.current()
		if c == nil {
			continue
		}
		latest := began
		for _, t := range []time.Time{since, c.lastAck()} {
			if t.After(latest) {
				latest = t
			}
		}
		if time.Since(latest) > drainPatience {
			w.logger.Debug("output not acknowledged")
			return
		}
	}
}

// sayTerminating announces that a shell or a command ended by itself, after its output
// (protocol.md §10.1). Tunnels do not say it.
func (w *worker) sayTerminating(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	if err := w.ch.SendControl(ctx, stateMessage(w.id, message.StateTerminating)); err != nil {
		w.logger.Debug("end of the session not announced", "error", err)
	}
}
