package datachannel

import "context"

// FrameConn is one connection that carries whole frames: a websocket, where one
// binary message is one frame. ReadFrame and WriteFrame may be called
// concurrently with each other, but neither with itself.
//
// The owner of the connection bounds the size of a frame before it allocates
// and detects a dead peer; both show up here as an error.
type FrameConn interface {
	// ReadFrame returns the next frame. The caller owns it: the connection must
	// not use that memory again.
	ReadFrame(ctx context.Context) ([]byte, error)
	// WriteFrame sends a frame and does not keep it after it returns.
	WriteFrame(ctx context.Context, frame []byte) error
	// Close fails pending and future calls. It may be called more than once.
	Close() error
}
