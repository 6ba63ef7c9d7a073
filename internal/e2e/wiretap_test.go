package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sekisho/internal/message"
)

// wiretap stands where the gateway's port is, as far as peers can tell: it ends their TLS
// with the server's own certificate and key, passes everything on over TLS of its own,
// and keeps what passed. So a test reads what the gateway reads, from whatever peers.
type wiretap struct {
	listener net.Listener
	target   string
	front    *tls.Config // towards the peers
	back     *tls.Config // towards the server

	mu      sync.Mutex
	streams []*stream // guarded by mu; one for each direction of each connection
	open    map[net.Conn]bool
}

// stream is one direction of a connection.
type stream struct {
	w     *wiretap
	bytes []byte // guarded by w.mu
}

func (s *stream) Write(b []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.bytes = append(s.bytes, b...)
	return len(b), nil
}

// tapped gives a deployment whose port is the wiretap's.
func tapped(t *testing.T, d *deployment) (*wiretap, *deployment) {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(d.dir, "server.pem"), filepath.Join(d.dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(d.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the deployment's CA is no certificate")
	}
	// HTTP/1.1 alone, which the websockets are: nothing is then packed anew.
	protocols := []string{"http/1.1"}
	w := &wiretap{
		target: d.listen, open: map[net.Conn]bool{},
		front: &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: protocols},
		back:  &tls.Config{RootCAs: roots, NextProtos: protocols},
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := w.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { w.serve(tls.Server(in, w.front)) })
		}
	})
	t.Cleanup(func() {
		w.listener.Close()
		w.mu.Lock()
		for c := range w.open {
			c.Close()
		}
		w.mu.Unlock()
		serving.Wait()
	})
	other := *d
	other.env = map[string]string{}
	for k, v := range d.env {
		other.env[k] = v
	}
	other.listen = w.listener.Addr().String()
	other.env["AWS_ENDPOINT_URL"] = "https://" + other.listen
	return w, &other
}

// serve passes a connection on.
func (w *wiretap) serve(in net.Conn) {
	defer in.Close()
	out, err := tls.Dial("tcp", w.target, w.back)
	if err != nil {
		return
	}
	defer out.Close()
	up, down := &stream{w: w}, &stream{w: w}
	w.mu.Lock()
	w.streams = append(w.streams, up, down)
	w.open[in], w.open[out] = true, true
	w.mu.Unlock()
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn, s *stream) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			s.Write(buf[:n])
			if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
				break
			}
		}
		done <- struct{}{}
	}
	go pass(out, in, up)
	go pass(in, out, down)
	<-done
	in.Close()
	out.Close()
	<-done
	w.mu.Lock()
	delete(w.open, in)
	delete(w.open, out)
	w.mu.Unlock()
}

// heard is everything that passed since the last call, without websockets' masks: whole
// requests and answers, and every frame of every message.
func (w *wiretap) heard(t *testing.T) (text []byte, messages []message.Message) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		text = append(text, s.bytes...)
		head := upgraded(s.bytes)
		if head < 0 {
			continue
		}
		frames, err := websocketMessages(s.bytes[head:])
		if err != nil {
			t.Fatalf("websocket: %v", err)
		}
		for _, f := range frames {
			text = append(text, f...)
			if m, err := message.Parse(f); err == nil {
				messages = append(messages, m)
			}
		}
	}
	return text, messages
}

// upgraded finds where the websocket of a direction begins, or gives -1. A create call
// may come before it on the same connection.
func upgraded(b []byte) int {
	at := bytes.Index(b, []byte("HTTP/1.1 101 "))
	if at < 0 {
		if at = bytes.Index(b, []byte("GET /v1/")); at < 0 {
			return -1
		}
	}
	end := bytes.Index(b[at:], []byte("\r\n\r\n"))
	if end < 0 {
		return -1
	}
	return at + end + 4
}

// websocketMessages takes apart one direction of a websocket (RFC 6455 §5.2): the data of
// each message, unmasked. What is not whole yet is left out.
func websocketMessages(b []byte) (all [][]byte, err error) {
	var data []byte
	for len(b) >= 2 {
		final, opcode, masked, length := b[0]&0x80 != 0, b[0]&0x0f, b[1]&0x80 != 0, uint64(b[1]&0x7f)
		rest := b[2:]
		switch {
		case length == 126 && len(rest) >= 2:
			length, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
		case length == 127 && len(rest) >= 8:
			length, rest = binary.BigEndian.Uint64(rest), rest[8:]
		case length >= 126:
			return all, nil
		}
		if b[0]&0x70 != 0 || opcode > 10 || opcode > 2 && opcode < 8 {
			return nil, errors.New("not a frame")
		}
		var mask [4]byte
		if masked {
			if len(rest) < len(mask) {
				return all, nil
			}
			copy(mask[:], rest)
			rest = rest[len(mask):]
		}
		if uint64(len(rest)) < length {
			return all, nil
		}
		payload := bytes.Clone(rest[:length])
		for i := range payload {
			payload[i] ^= mask[i%len(mask)]
		}
		b = rest[length:]
		if opcode >= 8 { // control frames may come between the parts of a message
			continue
		}
		if data = append(data, payload...); final {
			all, data = append(all, data), nil
		}
	}
	return all, nil
}
