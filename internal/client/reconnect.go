package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

const (
	// reconnectPatience is how long a lost connection is looked for.
	reconnectPatience = 15 * time.Minute
	// firstAttempts is how often the first connection is tried, as the stock client
	// does (protocol.md §2.9).
	firstAttempts = 7
	// firstDelay and maxDelay bound the wait between attempts.
	firstDelay = 100 * time.Millisecond
	maxDelay   = 5 * time.Second
	// attemptPatience bounds one attempt, so that a server that takes connections
	// and does not answer costs no more.
	attemptPatience = 20 * time.Second
)

// connect holds a connection until the service ends the session, resuming it as
// often as it is lost. Its error is final.
func (r *run) connect(ctx context.Context) (ending, error) {
	conn, err := r.dialFirst(ctx)
	if err != nil {
		return ending{}, err
	}
	var outage outage
	for {
		end, ended := r.serve(ctx, conn, &outage)
		if ended {
			return end, nil
		}
		if ctx.Err() != nil {
			return ending{}, context.Cause(ctx)
		}
		outage.begin(r)
		var timedOut bool
		conn, timedOut, err = r.resume(ctx, &outage)
		if timedOut || err != nil {
			return ending{timedOut: timedOut}, err
		}
	}
}

// outage is one loss of the connection, from the news of it to the first answer on a
// new connection.
type outage struct {
	since   time.Time // zero when there is none
	attempt int
	cause   error // of the last failed attempt
}

// begin tells the user, once for each outage: a connection that is refused as soon
// as it is made belongs to the outage that it did not end.
func (o *outage) begin(r *run) {
	if !o.since.IsZero() {
		return
	}
	o.since = time.Now()
	text := languages[r.Language]
	if r.Terminal != nil && r.raw.Load() {
		r.notice(text.lostHint)
	} else {
		r.notice(text.lost)
	}
}

// end tells the user that all is well again.
func (o *outage) end(r *run) {
	if !o.since.IsZero() {
		r.notice(languages[r.Language].again)
	}
	*o = outage{}
}

// serve runs the data channel over one connection. It gives the session's end, or
// false when the connection was lost.
func (r *run) serve(ctx context.Context, conn Conn, outage *outage) (end ending, ended bool) {
	defer conn.Close()
	defer r.connected.Store(false)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- r.channel.Serve(ctx, conn) }()
	alive := conn.Alive()
	for {
		select {
		case <-alive:
			alive = nil
			r.connected.Store(true)
			outage.end(r)
		case m := <-r.channel.Control():
			if end, ended = r.closed(m); ended {
				stop()
				<-served
				return end, true
			}
		case err := <-served:
			outage.cause = err
			r.log.Info("connection lost", "session_id", r.session.ID, "cause", err)
			// The end may have come just before the connection's.
			for {
				select {
				case m := <-r.channel.Control():
					if end, ended = r.closed(m); ended {
						return end, true
					}
					continue
				default:
				}
				return ending{}, false
			}
		}
	}
}

// closed reads the service's word that the session is over (protocol.md §4.3).
func (r *run) closed(m message.Message) (ending, bool) {
	if m.Type != message.TypeChannelClosed {
		return ending{}, false
	}
	closed, err := message.ParseChannelClosed(m.Payload)
	if err != nil {
		// It ends the session whatever it says.
		r.log.Warn("end of session not understood", "session_id", r.session.ID, "error", err)
	}
	return ending{output: closed.Output}, true
}

// dialFirst makes the first connection with the token of StartSession.
func (r *run) dialFirst(ctx context.Context) (Conn, error) {
	for attempt := 0; ; attempt++ {
		conn, err := r.dial(ctx, r.session.StreamURL, r.session.Token)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if attempt+1 >= firstAttempts || isFinal(err) {
			return nil, fmt.Errorf("%w: %w", ErrNotConnected, err)
		}
		if err := wait(ctx, delay(attempt)); err != nil {
			return nil, err
		}
	}
}

// resume makes the next connection: each attempt asks for a new token, because the
// last one may be used up. It says whether the session is over instead.
func (r *run) resume(ctx context.Context, outage *outage) (conn Conn, timedOut bool, err error) {
	for {
		if time.Since(outage.since) >= reconnectPatience {
			return nil, false, fmt.Errorf("%w: %w", ErrGaveUp, outage.cause)
		}
		if err := wait(ctx, delay(outage.attempt)); err != nil {
			return nil, false, err
		}
		outage.attempt++
		conn, timedOut, err = r.resumeOnce(ctx)
		switch {
		case err == nil:
			return conn, timedOut, nil
		case ctx.Err() != nil:
			return nil, false, context.Cause(ctx)
		}
		var refused *RefusedError
		if errors.As(err, &refused) {
			return nil, false, err
		}
		outage.cause = err
		r.log.Info("connection not resumed", "session_id", r.session.ID, "attempt", outage.attempt, "error", err)
	}
}

// resumeOnce is one attempt.
func (r *run) resumeOnce(ctx context.Context) (conn Conn, timedOut bool, err error) {
	call, stop := context.WithTimeout(ctx, attemptPatience)
	defer stop()
	answer, err := r.Resume(call, r.session.ID)
	if err != nil {
		if isFinal(err) {
			return nil, false, &RefusedError{Err: err}
		}
		return nil, false, fmt.Errorf("resume session: %w", err)
	}
	if answer.TokenValue == "" {
		return nil, true, nil
	}
	streamURL := answer.StreamURL
	if streamURL == "" {
		streamURL = r.session.StreamURL // as older services leave it out (protocol.md §2.2)
	}
	conn, err = r.dial(ctx, streamURL, answer.TokenValue)
	return conn, false, err
}

// dial opens a connection and introduces this client (protocol.md §2.5).
func (r *run) dial(ctx context.Context, streamURL, token string) (Conn, error) {
	open, err := json.Marshal(message.OpenDataChannel{
		MessageSchemaVersion: message.OpenSchemaVersion,
		RequestId:            message.NewID().String(),
		TokenValue:           token,
		ClientId:             r.clientID,
		ClientVersion:        message.ClientVersion,
	})
	if err != nil {
		return nil, fmt.Errorf("encode opening message: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, attemptPatience)
	defer stop()
	return r.Dial(ctx, streamURL, open)
}

// delay is the wait before an attempt: none before the first, then from 100 ms
// doubling to 5 s, less up to a quarter, so that clients of one server that was
// restarted do not come back in step.
func delay(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	d := maxDelay
	if attempt < 7 {
		d = min(firstDelay<<(attempt-1), maxDelay)
	}
	return d - rand.N(d/4)
}

// wait waits, or gives the cause of ctx's end.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// passing are error codes with a status of a client's fault that a later attempt may
// not see again: too many requests, and clocks that are being set.
var passing = map[string]bool{
	ssm.CodeThrottling:         true,
	"TooManyRequestsException": true,
	"RequestTimeTooSkewed":     true,
	"RequestExpired":           true,
}

// isFinal says whether an error of the service or of the gateway will be the same
// next time.
func isFinal(err error) bool {
	var credentials *CredentialsError
	if errors.As(err, &credentials) {
		return true
	}
	var status *StatusError
	if errors.As(err, &status) {
		return finalStatus(status.Status)
	}
	var service *ssm.Error
	if errors.As(err, &service) {
		return !passing[service.Code] && (service.Status == 0 || finalStatus(service.Status))
	}
	return false
}

// finalStatus says whether an HTTP status blames the request itself.
func finalStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusNotFound:
		// A proxy before a server that is being started answers 404.
		return false
	}
	return status >= 400 && status < 500
}
