package agent

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is this machine's clock corrected by the server's. A wrong clock would make
// every signature invalid, and a node in trouble must not be locked out by that.
type clock struct {
	err      time.Duration // see Registration.ClockError
	offset   atomic.Int64  // nanoseconds added to the machine's clock
	observed atomic.Int64  // what the last answer suggests for offset
}

// machine is what this machine's clock shows.
func (c *clock) machine() time.Time { return time.Now().Add(c.err) }

// now is the server's time as far as is known.
func (c *clock) now() time.Time { return c.machine().Add(time.Duration(c.offset.Load())) }

// observe notes the Date of an answer (RFC 9110 §6.6.1, whole seconds).
func (c *clock) observe(h http.Header) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		c.observed.Store(int64(date.Sub(c.machine())))
	}
}

// correct takes the server's time over and says whether that changes anything. It is
// called when the server has refused a signature for its time, and only then: the
// Date of an answer is not signed.
func (c *clock) correct() bool {
	observed := time.Duration(c.observed.Load())
	change := observed - time.Duration(c.offset.Load())
	if change.Abs() < 2*time.Second {
		return false
	}
	c.offset.Store(int64(observed))
	return true
}

// watchDate is a transport that shows every answer to a clock.
type watchDate struct {
	next  http.RoundTripper
	clock *clock
}

func (w watchDate) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil {
		w.clock.observe(resp.Header)
	}
	return resp, err
}
