package agent

import (
	"math/rand/v2"
	"time"
)

// backoff spaces attempts: each wait is random between half and all of a bound that
// doubles from min to max. The spread keeps the nodes of a restarted server from
// coming back all at once.
type backoff struct {
	min, max time.Duration
	attempts int
}

// next is how long to wait before the next attempt.
func (b *backoff) next() time.Duration {
	bound := b.max
	if b.attempts < 30 {
		bound = min(b.max, b.min<<b.attempts)
	}
	b.attempts++
	return bound/2 + rand.N(bound/2+1)
}

// reset starts over after a success.
func (b *backoff) reset() { b.attempts = 0 }
