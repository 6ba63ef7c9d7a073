package awsapi

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"sekisho/internal/ssm"
)

const (
	// freeBody is how much of a body is received without asking, in bytes. Nearly all
	// requests are smaller.
	freeBody = 16 << 10
	// bodyBudget bounds what all requests together hold above that, in bytes. A request
	// is received before it is known who sends it, and one connection of HTTP/2 carries
	// hundreds: without a bound anybody could take the server's memory.
	bodyBudget = 64 << 20
)

var (
	errBodyTooLarge = errors.New("the request body is too large")
	errBusy         = &ssm.Error{Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable,
		Message: "The server is receiving too many large requests. Try again."}
)

// budget counts bytes that are held.
type budget struct {
	mu   sync.Mutex
	held int // guarded by mu
}

func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > bodyBudget {
		return false
	}
	b.held += n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
}

// maxBody is how large the body of r may be, by the service that its header names. That
// it is not known yet who says so does not matter: budget bounds them all.
func (h *Handler) maxBody(r *http.Request) int64 {
	prefix, _ := cutTarget(r.Header.Get(headerTarget))
	for i := range h.services {
		if s := &h.services[i]; s.MaxBody > 0 && s.TargetPrefix == prefix {
			return s.MaxBody
		}
	}
	return h.cfg.MaxBody
}

// readBody receives a body of known or unknown length. The caller calls release when it
// needs the body no more.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	taken := 0
	release = func() { h.bodies.give(taken) }
	if r.Body == nil {
		return nil, release, nil
	}
	most := h.maxBody(r)
	if r.ContentLength > most {
		return nil, release, errBodyTooLarge
	}
	// MaxBytesReader also closes the connection, so that the rest is not read.
	limited := http.MaxBytesReader(w, r.Body, most)
	size := freeBody
	if r.ContentLength >= 0 && r.ContentLength < freeBody {
		size = int(r.ContentLength) + 1 // room to see the end in
	}
	body = make([]byte, 0, size)
	for {
		n, err := limited.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, release, nil
		}
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return nil, release, errBodyTooLarge
		}
		if err != nil {
			return nil, release, ssm.Errorf(codeSerialization, "The request body could not be read.")
		}
		if len(body) == cap(body) {
			grown := 2 * cap(body)
			if !h.bodies.take(grown) {
				return nil, release, errBusy
			}
			body = append(make([]byte, 0, grown), body...)
			h.bodies.give(taken) // of the smaller one, which is no more
			taken = grown
		}
	}
}
