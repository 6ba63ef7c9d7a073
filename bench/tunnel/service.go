package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long anything may take that is not measured.
const patience = 20 * time.Second

// idlePatience is how long a peer may take to close connections at the service.
const idlePatience = 5 * time.Second

// The first byte of a connection says what it is for, the second what it counts for.
const (
	down = 'd' // bytes without an end from the service
	up   = 'u' // bytes without an end to it
	echo = 'e' // everything back
)

// service is what the tunnels lead to.
type service struct {
	listeners []net.Listener
	open      atomic.Int64 // connections

	// taken are the bytes that arrived at their receiver, either way. Each measurement
	// has a counter, so that what is left of an earlier one does not count.
	taken [256]atomic.Int64
	last  atomic.Uint32 // counter in use
}

// listen adds an address to reach the service at.
func (s *service) listen(h *host, address string) (string, error) {
	l, err := h.listen(address)
	if err != nil {
		return "", err
	}
	s.listeners = append(s.listeners, l)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			go func() {
				defer s.open.Add(-1)
				defer c.Close()
				s.handle(c)
			}()
		}
	}()
	return l.Addr().String(), nil
}

func (s *service) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

func (s *service) handle(c net.Conn) {
	var purpose [2]byte
	if _, err := io.ReadFull(c, purpose[:]); err != nil {
		return
	}
	switch purpose[0] {
	case down:
		pour(c)
	case up:
		drain(c, &s.taken[purpose[1]])
	case echo:
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
	}
}

// pour writes until the connection ends.
func pour(c net.Conn) {
	b := make([]byte, 256<<10)
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// drain reads until the connection ends, and counts.
func drain(c net.Conn, taken *atomic.Int64) {
	b := make([]byte, 256<<10)
	for {
		n, err := c.Read(b)
		taken.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// idle waits until there are no more connections than there were before a peer's.
func (s *service) idle(ctx context.Context, before int64) error {
	ctx, cancel := context.WithTimeout(ctx, idlePatience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for s.open.Load() > before {
		select {
		case <-ctx.Done():
			return errors.New("connections stay open at the service")
		case <-poll.C:
		}
	}
	return nil
}

// dialer opens a connection through a peer.
type dialer func(context.Context) (net.Conn, error)

// load is what a throughput is measured with.
type load struct {
	way     byte
	streams int
	stalled int // more streams, down, that nobody reads
	window  time.Duration
	far     bool // a long way, where TCP takes seconds to find its speed
}

// throughput is measured at the receiving end, when the streams have their speed.
func (s *service) throughput(ctx context.Context, dial dialer, l load) (float64, error) {
	var conns []net.Conn
	var all sync.WaitGroup
	defer func() {
		for _, c := range conns {
			c.Close()
		}
		all.Wait()
	}()
	slot := byte(s.last.Add(1))
	taken := &s.taken[slot]
	taken.Store(0)
	open := func(way byte) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
		_, err = c.Write([]byte{way, slot})
		return c, err
	}
	for range l.stalled {
		if _, err := open(down); err != nil {
			return 0, err
		}
	}
	for range l.streams {
		c, err := open(l.way)
		if err != nil {
			return 0, err
		}
		all.Go(func() {
			if l.way == down {
				drain(c, taken)
			} else {
				pour(c)
			}
		})
	}
	if err := ramp(ctx, taken, l.far); err != nil {
		return 0, err
	}
	before, began := taken.Load(), time.Now()
	if err := pause(ctx, l.window); err != nil {
		return 0, err
	}
	n, took := taken.Load()-before, time.Since(began)
	if n == 0 {
		return 0, errors.New("nothing came")
	}
	return float64(n) / 1e6 / took.Seconds(), nil
}

// ramp waits until the bytes come no faster than before: buffers on the way are full,
// and windows have grown.
func ramp(ctx context.Context, taken *atomic.Int64, far bool) error {
	if far {
		return pause(ctx, 5*time.Second)
	}
	const slice, most = 100 * time.Millisecond, 20
	var best int64
	for n, flat := 0, 0; n < most && flat < 2; n++ {
		before := taken.Load()
		if err := pause(ctx, slice); err != nil {
			return err
		}
		switch got := taken.Load() - before; {
		case got > best+best/20:
			best, flat = got, 0
		case best > 0:
			flat++
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// roundTrips are percentiles of n round trips of one byte, in microseconds.
func roundTrips(ctx context.Context, dial dialer, n int, percents ...int) ([]float64, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	c.SetDeadline(time.Now().Add(patience))
	var b [1]byte
	if _, err := c.Write([]byte{echo, 0}); err != nil {
		return nil, err
	}
	values := make([]float64, 0, n)
	for i := range n + n/10 {
		began := time.Now()
		if _, err := c.Write(b[:]); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return nil, err
		}
		if i >= n/10 { // the first ones warm up
			values = append(values, float64(time.Since(began).Nanoseconds())/1e3)
		}
	}
	slices.Sort(values)
	var found []float64
	for _, percent := range percents {
		found = append(found, values[min(len(values)*percent/100, len(values)-1)])
	}
	return found, nil
}

// connections is how many a second are opened, used for one byte and closed, by eight
// at a time.
func connections(ctx context.Context, dial dialer, window time.Duration) (float64, error) {
	var done atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	errs := make(chan error, 8)
	for range 8 {
		all.Go(func() {
			for time.Since(began) < window {
				if err := oneByte(ctx, dial); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(done.Load()) / time.Since(began).Seconds(), nil
	}
}

func oneByte(ctx context.Context, dial dialer) error {
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte{echo, 0, 'x'}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}
