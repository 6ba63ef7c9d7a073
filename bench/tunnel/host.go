package main

import (
	"context"
	"net"
	"os/exec"
	"time"
)

const loopback = "127.0.0.1"

// host is where programs run and sockets are made: this machine, or a network namespace
// that is one of two.
type host struct {
	address string          // where the other host finds it
	work    chan<- func()   // done by its thread; nil for this machine
	ended   <-chan struct{} // its thread ends
}

// do does something with this host's network.
func (h *host) do(f func()) {
	if h.work == nil {
		f()
		return
	}
	done := make(chan struct{})
	select {
	case h.work <- func() { defer close(done); f() }:
		<-done
	case <-h.ended:
	}
}

func (h *host) dial(ctx context.Context, address string) (c net.Conn, err error) {
	err = net.ErrClosed
	h.do(func() { c, err = (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address) })
	return c, err
}

func (h *host) listen(address string) (l net.Listener, err error) {
	err = net.ErrClosed
	h.do(func() { l, err = net.Listen("tcp", address) })
	return l, err
}

func (h *host) start(cmd *exec.Cmd) (err error) {
	err = net.ErrClosed
	h.do(func() { err = cmd.Start() })
	return err
}

// free is a port of an address where nobody listens; without one, nothing can.
func (h *host) free(address string) string {
	l, err := h.listen(net.JoinHostPort(address, "0"))
	if err != nil {
		return net.JoinHostPort(address, "0")
	}
	defer l.Close()
	return l.Addr().String()
}

// await waits until somebody listens.
func (h *host) await(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		c, err := h.dial(ctx, address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-poll.C:
		}
	}
}
