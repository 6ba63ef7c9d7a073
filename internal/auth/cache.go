package auth

import (
	"maps"
	"sync"
	"time"
)

// cache keeps what was derived from the store. Everything in it belongs to a revision of
// the identities and is worth nothing at another.
type cache[T any] struct {
	limit   int // of entries; when it is reached, all go
	mu      sync.Mutex
	entries map[string]cached[T] // guarded by mu
}

type cached[T any] struct {
	revision int64
	value    T
}

func newCache[T any](limit int) *cache[T] {
	return &cache[T]{limit: limit, entries: map[string]cached[T]{}}
}

func (c *cache[T]) get(key string, revision int64) (value T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || e.revision != revision {
		return value, false
	}
	return e.value, true
}

func (c *cache[T]) put(key string, revision int64, value T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, have := c.entries[key]; !have && len(c.entries) >= c.limit {
		c.entries = map[string]cached[T]{}
	}
	c.entries[key] = cached[T]{revision, value}
}

// touchInterval is how exact the times are at which keys and roles were last used.
const touchInterval = time.Minute

// maxTouched bounds how many keys and roles are remembered as written down lately.
const maxTouched = 10_000

// touches remembers when the use of a key or a role was last written down.
type touches struct {
	mu sync.Mutex
	at map[string]time.Time // guarded by mu
}

// due says whether the use at now is to be written down, and takes it that it will be.
func (t *touches) due(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.at[key]; ok && now.Sub(last) < touchInterval && !now.Before(last) {
		return false
	}
	if t.at == nil {
		t.at = map[string]time.Time{}
	}
	if len(t.at) >= maxTouched {
		maps.DeleteFunc(t.at, func(_ string, at time.Time) bool { return now.Sub(at) >= touchInterval })
		if len(t.at) >= maxTouched {
			clear(t.at)
		}
	}
	t.at[key] = now
	return true
}
