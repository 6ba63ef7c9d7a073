package client

import "sekisho/internal/datachannel"

// newTunnel makes the handler of a Port session.
func (r *run) newTunnel(_ datachannel.Handshake) (handler, error) {
	return nil, &UnsupportedError{What: "sessions of type Port"}
}
