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

// The first byte of a connection says what it is for.
const (
	down = 'd' // bytes without an end from the service
	up   = 'u' // bytes without an end to it
	echo = 'e' // everything back
)

// service is what the tunnels lead to.
type service struct {
	l     net.Listener
	taken atomic.Int64 // bytes that arrived at their receiver, either way
	open  atomic.Int64 // connections
}

func serve() (*service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{l: l}
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
	return s, nil
}

func (s *service) close()          { s.l.Close() }
func (s *service) address() string { return s.l.Addr().String() }

func (s *service) handle(c net.Conn) {
	var way [1]byte
	if _, err := io.ReadFull(c, way[:]); err != nil {
		return
	}
	switch way[0] {
	case down:
		pour(c)
	case up:
		s.drain(c)
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
func (s *service) drain(c net.Conn) {
	b := make([]byte, 256<<10)
	for {
		n, err := c.Read(b)
		s.taken.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// idle waits until no connection is left of the peer before.
func (s *service) idle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for s.open.Load() > 0 {
		select {
		case <-ctx.Done():
			return errors.New("connections stay open at the service")
		case <-poll.C:
		}
	}
	return nil
}

// throughput is measured at the receiving end, after the streams have begun.
func (s *service) throughput(ctx context.Context, address string, way byte, streams int, window time.Duration) (float64, error) {
	conns := make([]net.Conn, 0, streams)
	var all sync.WaitGroup
	defer func() {
		for _, c := range conns {
			c.Close()
		}
		all.Wait()
	}()
	for range streams {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return 0, err
		}
		conns = append(conns, c)
		if _, err := c.Write([]byte{way}); err != nil {
			return 0, err
		}
		all.Go(func() {
			if way == down {
				s.drain(c)
			} else {
				pour(c)
			}
		})
	}
	timer := time.NewTimer(window / 4)
	defer timer.Stop()
	wait := func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
	if err := wait(); err != nil {
		return 0, err
	}
	before, began := s.taken.Load(), time.Now()
	timer.Reset(window)
	if err := wait(); err != nil {
		return 0, err
	}
	n, took := s.taken.Load()-before, time.Since(began)
	if n == 0 {
		return 0, errors.New("nothing came")
	}
	return float64(n) / 1e6 / took.Seconds(), nil
}

// roundTrip is a percentile of n round trips of one byte, in microseconds.
func roundTrip(address string, n, percent int) (float64, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	var b [1]byte
	if _, err := c.Write([]byte{echo}); err != nil {
		return 0, err
	}
	values := make([]float64, 0, n)
	for i := range n + n/10 {
		began := time.Now()
		if _, err := c.Write(b[:]); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return 0, err
		}
		if i >= n/10 { // the first ones warm up
			values = append(values, float64(time.Since(began).Nanoseconds())/1e3)
		}
	}
	slices.Sort(values)
	return values[min(len(values)*percent/100, len(values)-1)], nil
}

// connections is how many a second are opened, used for one byte and closed, by eight
// at a time.
func connections(address string, window time.Duration) (float64, error) {
	var done atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	errs := make(chan error, 8)
	for range 8 {
		all.Go(func() {
			for time.Since(began) < window {
				if err := oneByte(address); err != nil {
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

func oneByte(address string) error {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte{echo, 'x'}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}
