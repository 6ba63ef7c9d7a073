// Package tunnel carries TCP connections through the data channel of a Port session.
// The node's session worker dials, the operator's client accepts; this package holds
// what both ends share. It knows no data channel: it gets a [Carrier].
//
// # Three protocols
//
// Towards a stock peer a session is one byte stream ([Bytes]): the connection itself
// where there is only one (protocol.md §10.3, "basic" and "stdio"), or smux version 1 in
// it ([Mux]). Both lack what TCP has: smux version 1 has no half-close and one window for
// all its streams, so that a connection nobody reads stops the others in the end.
//
// Between two of our own ends the streams have frames and windows of their own
// ([Session]), which the handshake agrees on (docs/adr/0020).
//
// # Promises
//
// What is read of one connection is written to the other, in order, unchanged and once,
// or the connection is reset. Memory is bounded by windows, whatever the ends do. Nothing
// that a session started runs after its Close or Wait.
package tunnel
