// Package trail is the audit trail: it makes an event in the shape of AWS CloudTrail of
// every API call, allowed or refused, keeps it in the store, answers
// cloudtrail:LookupEvents and exports events as JSON lines.
//
// It promises that the event of a call that changes something, or that gives out
// credentials, is stored before the caller hears of its success; that nothing secret of
// an input, an answer or an error's text gets into an event; that an event has at most
// 64 KiB; and that callers who prove nothing cannot fill the database.
//
// Not recorded is what CloudTrail does not count as management: polls of
// ec2messages:GetMessages and deliveries of logs:PutLogEvents that succeed. A request
// that names no operation of AWS is no call. awsapi tells a [Recorder] of each answer
// ([awsapi.Config].Observe); the console, whose calls do not pass there, tells it itself.
package trail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config says what a Recorder works with.
type Config struct {
	Store *store.Store
	Auth  *auth.Auth // for LookupEvents; nil if its operations are not served
	ARNs  ssm.ARNs   // the deployment's region and account

	// PageTokenKey protects page tokens. Every server of a deployment must have the
	// same; nil derives it from the store's master key.
	PageTokenKey []byte

	// Wait bounds how long a call waits for its event to be stored, or for room in the
	// queue; zero means 5 s. A call whose event is not stored by then is answered all
	// the same: the event stays in the queue, or if there is no room, it is lost and
	// the log says so.
	Wait time.Duration
	// Queue is how many events wait to be stored at the most; zero means 4096. When it
	// is full, calls wait for room.
	Queue int

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means none
}

// batchSize bounds the events of one transaction.
const batchSize = 256

// Recorder makes events and stores them. Its methods may be called concurrently.
type Recorder struct {
	cfg   Config
	limit *limiter
	queue chan queued
	done  chan struct{} // closed when the writer has stored what was queued

	mu     sync.RWMutex // held for reading while something is put into queue
	closed bool
}

// queued is an event on its way to the store.
type queued struct {
	event  store.AuditEvent
	stored chan<- error // gets the outcome; it has room for that; nil if nobody waits
}

// New makes a Recorder, to be closed.
func New(cfg Config) (*Recorder, error) {
	if cfg.Store == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("trail needs a store, an account and a region")
	}
	if cfg.PageTokenKey == nil {
		cfg.PageTokenKey = cfg.Store.DeriveKey("audit page tokens")
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 5 * time.Second
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 4096
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{cfg: cfg, limit: newLimiter(), queue: make(chan queued, cfg.Queue), done: make(chan struct{})}
	go r.write()
	return r, nil
}

// Close stores what is queued and ends the Recorder. It returns when that is done or ctx
// ends. What is recorded after it is lost, and the log says so.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("audit events are not all stored: %w", context.Cause(ctx))
	}
	if n := r.limit.takeAll(); n > 0 {
		r.cfg.Logger.Warn("calls of unproved callers were not recorded", "calls", n)
	}
	return nil
}

// Observe records the answer to a call; it is made for [awsapi.Config]. It returns when
// the event is stored if the call is one that changes something or gives out
// credentials, and else when it is queued.
func (r *Recorder) Observe(ctx context.Context, result awsapi.Result) {
	if result.Service == "" || result.Operation == "" {
		return
	}
	r.observe(ctx, call{
		info: result.RequestInfo, action: result.Service + ":" + result.Operation,
		in: result.Input, out: result.Output, code: result.Code, message: result.Message,
	})
}

// Record records a call that did not pass awsapi, in a context of
// [awsapi.WithRequest] and [auth.WithPrincipal]. It waits as Observe does.
func (r *Recorder) Record(ctx context.Context, action string, in, out any, err error) {
	c := call{info: awsapi.Info(ctx), action: action, in: in, out: out}
	if err != nil {
		c.out, c.code, c.message = nil, ssm.CodeInternal, "An internal error occurred."
		if e, ok := errors.AsType[*ssm.Error](err); ok {
			c.code, c.message = e.Code, e.Message
		}
	}
	r.observe(ctx, c)
}

func (r *Recorder) observe(ctx context.Context, c call) {
	kind := classify(c.action)
	if c.code == "" && (kind.data || awsapi.Noted(ctx, recordedKey{}) != nil) {
		return
	}
	_, proved := auth.From(ctx)
	if !proved && c.code != "" {
		var ok bool
		ok, c.dropped = r.limit.allow(c.info.SourceIP, r.cfg.Now())
		if !ok {
			return
		}
	}
	r.submit(r.event(ctx, c), proved && !kind.readOnly || c.code == "" && kind.changes())
}

type recordedKey struct{}

// Recorded says that the event of the call that ctx belongs to is stored already if the
// call succeeds: together with what it did, in one transaction.
func Recorded(ctx context.Context) { awsapi.Note(ctx, recordedKey{}, true) }

// Event makes the event of a call that succeeds, for an operation that stores it itself
// and then calls [Recorded]. resources are the ARNs of what it did something to, beside
// those that its input and output name.
func (r *Recorder) Event(ctx context.Context, action string, in, out any, resources ...string) store.AuditEvent {
	return r.event(ctx, call{info: awsapi.Info(ctx), action: action, in: in, out: out, resources: resources})
}

// submit queues an event and, if wait is set, waits until it is stored.
func (r *Recorder) submit(e store.AuditEvent, wait bool) {
	timeout := time.NewTimer(r.cfg.Wait)
	defer timeout.Stop()
	q := queued{event: e}
	var stored chan error
	if wait {
		stored = make(chan error, 1)
		q.stored = stored
	}
	if err := r.put(q, timeout.C); err != nil {
		r.lost(e, err)
		return
	}
	if !wait {
		return
	}
	select {
	case <-stored: // the writer has logged a failure
	case <-timeout.C:
		r.cfg.Logger.Warn("call answered before its audit event was stored", "request_id", e.RequestID, "action", e.Action)
	}
}

var (
	errClosed = errors.New("the recorder is closed")
	errFull   = errors.New("the queue is full")
)

// put queues an event; when there is no room it waits for some.
func (r *Recorder) put(q queued, timeout <-chan time.Time) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return errClosed
	}
	select {
	case r.queue <- q:
		return nil
	case <-timeout:
		return errFull
	}
}

// lost says what of an event is left when it could not be stored. It names who did
// what; parameters stay out of the log.
func (r *Recorder) lost(e store.AuditEvent, err error) {
	r.cfg.Logger.Error("audit event not stored", "event_id", e.ID, "request_id", e.RequestID, "principal", e.Principal,
		"action", e.Action, "code", e.ErrorCode, "remote", e.SourceIP, "error", err)
}

// write stores what is queued, as much as is there in one transaction, until the queue
// is closed and empty.
func (r *Recorder) write() {
	defer close(r.done)
	batch := make([]queued, 0, batchSize)
	for q := range r.queue {
		batch = append(batch[:0], q)
	fill:
		for len(batch) < batchSize {
			select {
			case q, ok := <-r.queue:
				if !ok {
					break fill
				}
				batch = append(batch, q)
			default:
				break fill
			}
		}
		r.store(batch)
		clear(batch)
	}
}

// storeTimeout bounds one transaction of the writer.
const storeTimeout = 30 * time.Second

// store stores a batch. If it fails as a whole, each event is tried alone, so that one
// that the database refuses does not take the others with it.
func (r *Recorder) store(batch []queued) {
	events := make([]store.AuditEvent, len(batch))
	for i, q := range batch {
		events[i] = q.event
	}
	err := r.append(events...)
	for i, q := range batch {
		outcome := err
		if err != nil {
			outcome = r.append(events[i])
			if errors.Is(outcome, store.ErrExists) { // the transaction did take effect
				outcome = nil
			}
		}
		if outcome != nil {
			r.lost(q.event, outcome)
		}
		if q.stored != nil {
			q.stored <- outcome
		}
	}
}

func (r *Recorder) append(events ...store.AuditEvent) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return r.cfg.Store.AppendAudits(ctx, events)
}
