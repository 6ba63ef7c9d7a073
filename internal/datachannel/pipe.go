package datachannel

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// pipeFrames is how many frames a direction of a [Pipe] holds before a write
// waits, in the place of socket buffers.
const pipeFrames = 64

// Pipe returns the two ends of an in-memory connection, for tests. Like a
// socket, it buffers a little, then makes the writer wait; after one end closes,
// the other still reads what was written before, then [io.EOF].
func Pipe() (FrameConn, FrameConn) {
	ab, ba := make(chan []byte, pipeFrames), make(chan []byte, pipeFrames)
	aDone, bDone := make(chan struct{}), make(chan struct{})
	a := &pipeEnd{in: ba, out: ab, done: aDone, peerDone: bDone}
	b := &pipeEnd{in: ab, out: ba, done: bDone, peerDone: aDone}
	return a, b
}

type pipeEnd struct {
	in       <-chan []byte
	out      chan<- []byte
	once     sync.Once
	done     chan struct{} // closed by Close
	peerDone <-chan struct{}
}

func (p *pipeEnd) ReadFrame(ctx context.Context) ([]byte, error) {
	select {
	case <-p.done:
		return nil, io.ErrClosedPipe
	default:
	}
	select {
	case frame := <-p.in:
		return frame, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.done:
		return nil, io.ErrClosedPipe
	case <-p.peerDone:
		select {
		case frame := <-p.in:
			return frame, nil
		default:
			return nil, io.EOF
		}
	}
}

func (p *pipeEnd) WriteFrame(ctx context.Context, frame []byte) error {
	select {
	case <-p.done:
		return io.ErrClosedPipe
	case <-p.peerDone:
		return io.ErrClosedPipe
	default:
	}
	select {
	case p.out <- bytes.Clone(frame):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.done:
		return io.ErrClosedPipe
	case <-p.peerDone:
		return io.ErrClosedPipe
	}
}

func (p *pipeEnd) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}
