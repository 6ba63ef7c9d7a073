package awsapi

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"

	"sekisho/internal/ssm"
)

// request is what the context of a request leads to. It is one object for all the
// contexts that are made of it, so that what is noted deep in an operation is seen by
// who observes the answer.
type request struct {
	info  RequestInfo
	input any

	mu    sync.Mutex
	notes map[any]any
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// Info gives the facts of the request that ctx belongs to.
func Info(ctx context.Context) RequestInfo {
	if r := requestOf(ctx); r != nil {
		return r.info
	}
	return RequestInfo{}
}

// Input points to the decoded input of the request that ctx belongs to. It is nil
// before there is one.
func Input(ctx context.Context) any {
	if r := requestOf(ctx); r != nil {
		return r.input
	}
	return nil
}

// Note leaves a value with the request that ctx belongs to, for whoever observes its
// answer. Keys are, as those of contexts, of a type that its package keeps to itself.
func Note(ctx context.Context, key, value any) {
	r := requestOf(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notes == nil {
		r.notes = make(map[any]any)
	}
	r.notes[key] = value
}

// Noted gives what was left under key with the request that ctx belongs to, or nil.
func Noted(ctx context.Context, key any) any {
	r := requestOf(ctx)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes[key]
}

// WithRequest gives ctx a request of its own, for calls of operations that do not come
// through a [Handler]: the console's. A request without an id gets one.
func WithRequest(ctx context.Context, info RequestInfo) context.Context {
	if info.RequestID == "" {
		info.RequestID = ssm.NewUUID()
	}
	return context.WithValue(ctx, requestKey{}, &request{info: info})
}

// WithHTTPRequest is WithRequest with the facts of r.
func WithHTTPRequest(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, requestKey{}, newRequest(r))
}

// newRequest is the request of r.
func newRequest(r *http.Request) *request {
	var state tls.ConnectionState
	if r.TLS != nil {
		state = *r.TLS
	}
	return &request{info: RequestInfo{
		RequestID:  ssm.NewUUID(),
		SourceIP:   sourceIP(r.RemoteAddr),
		UserAgent:  userAgent(r),
		Host:       r.Host,
		TLSVersion: state.Version,
		TLSCipher:  state.CipherSuite,
	}}
}
