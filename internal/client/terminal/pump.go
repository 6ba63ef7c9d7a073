//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package terminal

import (
	"io"
	"os"
	"sync"
)

// pumpChunk is the size of one read of a pump.
const pumpChunk = 16 << 10

// pump reads a file in a goroutine of its own, where a blocked read cannot be given
// up. The goroutine ends with the read that follows Close, which may be never: it
// belongs to the process.
type pump struct {
	chunks chan []byte
	failed chan error // one value
	closed chan struct{}
	once   sync.Once
	rest   []byte
}

func newPump(f *os.File) *pump {
	p := &pump{chunks: make(chan []byte), failed: make(chan error, 1), closed: make(chan struct{})}
	go p.run(f)
	return p
}

func (p *pump) run(f *os.File) {
	for {
		chunk := make([]byte, pumpChunk)
		n, err := f.Read(chunk)
		if n > 0 {
			select {
			case p.chunks <- chunk[:n]:
			case <-p.closed:
				return
			}
		}
		if err != nil {
			p.failed <- err
			close(p.chunks)
			return
		}
	}
}

func (p *pump) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		select {
		case <-p.closed:
			return 0, os.ErrClosed
		case chunk, ok := <-p.chunks:
			if !ok {
				return 0, p.end()
			}
			p.rest = chunk
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// end gives the error that ended the reading, then the end of file.
func (p *pump) end() error {
	select {
	case err := <-p.failed:
		return err
	default:
		return io.EOF
	}
}

func (p *pump) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
