package gateway

import (
	"context"
	"log/slog"
	"sync"
)

// lineCounter is a log handler that counts lines by level.
type lineCounter struct {
	mu    sync.Mutex
	lines map[slog.Level]int // guarded by mu
}

func (c *lineCounter) Enabled(context.Context, slog.Level) bool { return true }

func (c *lineCounter) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines == nil {
		c.lines = map[slog.Level]int{}
	}
	c.lines[r.Level]++
	return nil
}

func (c *lineCounter) WithAttrs([]slog.Attr) slog.Handler { return c }

func (c *lineCounter) WithGroup(string) slog.Handler { return c }

func (c *lineCounter) count(level slog.Level) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[level]
}
