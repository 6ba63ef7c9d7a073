package message

import (
	"encoding/binary"
	"io"
	"sync"
)

// Buffers for frames that many are needed of, in two sizes: what a quiet tunnel says, and
// a whole read of a busy one.
const (
	// BulkPayload is the most that one message of [FlagBulk] carries, in bytes.
	BulkPayload = 128 << 10

	// More than the largest frame: the end of one is seen without room for another.
	largeBuffer = HeaderSize + BulkPayload + 512
	smallBuffer = 8 << 10
)

// kept is how many large buffers outlive a garbage collection, which empties a sync.Pool. A
// busy tunnel uses about as many, and to allocate them again costs more than to encrypt them.
const kept = 48

var keptBuffers = make(chan []byte, kept)

var (
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, largeBuffer); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, 0, smallBuffer); return &b }}
)

// Buffer gives an empty buffer: large with room for a frame of [BulkPayload], small with
// 8 KiB.
func Buffer(large bool) []byte {
	if large {
		select {
		case b := <-keptBuffers:
			return b[:0]
		default:
		}
		return (*largeBuffers.Get().(*[]byte))[:0]
	}
	return (*smallBuffers.Get().(*[]byte))[:0]
}

// Recycle takes a buffer back that nothing refers to any more, and reports whether it is
// one of [Buffer]. Others are left to the garbage collector.
func Recycle(b []byte) bool {
	pool := &smallBuffers
	switch cap(b) {
	case largeBuffer:
		select {
		case keptBuffers <- b:
			return true
		default:
		}
		pool = &largeBuffers
	case smallBuffer:
	default:
		return false
	}
	b = b[:0]
	pool.Put(&b)
	return true
}

// Read reads a frame to its end. Those of [FlagBulk] are in a buffer for [Recycle], others
// in memory of just their size. The caller bounds r.
func Read(r io.Reader) ([]byte, error) {
	buf := Buffer(false)
	for {
		if len(buf) == cap(buf) {
			buf = grow(buf)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF:
			return own(buf), nil
		case err != nil:
			Recycle(buf)
			return nil, err
		}
	}
}

// grow gives the content more room: with what has come, never with what was announced.
func grow(buf []byte) []byte {
	var larger []byte
	if cap(buf) < largeBuffer {
		larger = Buffer(true)
	} else {
		larger = make([]byte, 0, 2*cap(buf))
	}
	larger = append(larger, buf...)
	Recycle(buf)
	return larger
}

// own takes frames that are kept for long out of their buffers.
func own(buf []byte) []byte {
	if len(buf) >= HeaderSize && binary.BigEndian.Uint64(buf[offFlags:])&FlagBulk != 0 && len(buf) <= HeaderSize+BulkPayload {
		return buf
	}
	size := len(buf)
	if size == smallBuffer || size == largeBuffer {
		size++ // or Recycle would take it for one of ours
	}
	exact := append(make([]byte, 0, size), buf...)
	Recycle(buf)
	return exact
}
