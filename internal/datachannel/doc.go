// Package datachannel makes a reliable, ordered message stream out of
// connections that come and go. The node's session worker holds one end
// ([Agent]), an operator's client the other ([Client]); the gateway between them
// only relays frames. Both official peers may be at the other end of either.
//
// # Rules
//
// Each direction numbers its stream messages from 0. The receiver acknowledges
// every one by its number; acknowledgements are not cumulative. Let E be the
// next number the receiver expects:
//
//	arrives        receiver
//	E              hands it to the consumer, acknowledges when that calls Done
//	above E        stores it and acknowledges at once: "stored", not "processed"
//	below E        acknowledges again, if it was processed: the first was lost
//	no room        drops it unacknowledged; what was acknowledged is never dropped
//
// The sender stores a message before it sends it, and until acknowledged sends
// it again:
//
//	new connection   everything unacknowledged, in order; numbering goes on
//	later one acked  the missing ones at once, then as the oldest
//	silence          the oldest, after the estimated round trip, then ever slower;
//	                 every 50 ms until the peer has acknowledged anything at all
//
// So an acknowledgement never comes "too early", a lost one does no harm, and a
// handler that is not ready simply does not call Done.
//
// # Bounds
//
// Send waits while Window bytes are in flight. The socket is read whatever the
// consumer does, until ReceiveBuffer bytes are unprocessed; then it is not, and
// TCP holds the peer back. Between two of our own ends the sender's window fits
// the receiver's buffer, so acknowledgements for the opposite direction always
// get through. A stock peer has no window: if it fills the buffer while our own
// Send waits for acknowledgements that are stuck behind its data, the socket is
// read again and data without room is dropped unacknowledged, for it will return.
//
// The stock client acknowledges nothing twice, so an acknowledgement that is
// lost on the way to us stays lost. Messages below the highest acknowledged
// number therefore leave the window, are still sent again, and are given up only
// when they must have arrived (see outbox.go).
//
// # Shape
//
// Serve is the reader of its connection and starts one writer; both end with it.
// The writer sends acknowledgements first, then state messages, then data: data
// that is blocked on one side must not hold back the other. State is in outbox
// and inbox, plain structs under one mutex that is never held while writing.
//
// # Encryption
//
// The handshake may agree on a data key (protocol.md §7). From then on Send seals
// data before it is numbered and Receive opens it when it is handed out, so frames,
// digests and resends are those of sealed bytes; nothing below knows of it. A
// session that wants encryption sends no data without: a handshake that fails ends
// it. Keys come from the caller, who asks KMS; they are wiped when the cipher is made.
package datachannel
