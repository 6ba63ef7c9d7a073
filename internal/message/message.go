// Package message is the vocabulary of Session Manager channels: the binary
// envelope that every frame carries, the message and payload types, and the
// JSON documents inside them.
//
// It promises three things. What [Append] writes, the stock peers accept. What
// [Parse] accepts is safe to hand to a stock peer, whose reader dies on a frame
// that lies about its header. And nothing here panics or allocates by a size
// that a peer chose.
//
// The package holds no state and starts nothing: node, client and gateway share
// it, package datachannel adds order and acknowledgement on top. Field names of
// the JSON types are the wire's own, so that a capture reads like the code.
package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Layout of the envelope, all integers big-endian. The header length counts up
// to the payload length, which it leaves out.
const (
	// HeaderLength is the only value of the header length field that peers write.
	HeaderLength = 116
	// HeaderSize is the number of bytes in front of the payload.
	HeaderSize = HeaderLength + 4

	offType          = 4
	offSchemaVersion = 36
	offCreatedDate   = 40
	offSequence      = 48
	offFlags         = 56
	offID            = 64
	offDigest        = 80
	offPayloadType   = 112
	offPayloadLength = 116

	typeSize = offSchemaVersion - offType // padded with spaces
)

// Versions advertised by our peers. Four numeric components, above every gate
// that the stock peers compare with: an agent with fewer components, or a client
// below 1.2.331.0, silently gets an older protocol.
const (
	AgentVersion  = "3.4.0.0"
	ClientVersion = "1.3.0.0"
)

// Bits of [Message.Flags]. No stock receiver looks at them.
const (
	FlagSYN uint64 = 1 << iota // first message of a stream
	FlagFIN                    // last message of a stream
	// FlagNotice is ours: output that is the agent's own word to the user and no
	// program's. A gateway does not take it for activity; to a client it is output.
	FlagNotice

	// FlagBulk is ours and agreed on in the handshake (docs/adr/0020). A stream message
	// with it has no digest: TLS protects each hop, and its last one ends where the bytes
	// are used. An acknowledgement with it is for all messages up to its number.
	FlagBulk

	// FlagsControl is what the stock agent writes on acknowledgements and state
	// messages.
	FlagsControl = FlagSYN | FlagFIN
)

// ErrMalformed is wrapped by every error of [Parse] and [ParseHeader].
var ErrMalformed = errors.New("malformed message")

// ErrDigest reports a payload that does not match the digest of its envelope.
var ErrDigest = errors.New("payload does not match its digest")

// Message is one frame.
type Message struct {
	Type          Type
	SchemaVersion uint32 // 1
	CreatedDate   int64  // Unix time in milliseconds, never 0
	Sequence      int64  // counts from 0 per direction on the two stream types, else 0
	Flags         uint64
	ID            ID
	Digest        [sha256.Size]byte // SHA-256 of Payload as sent
	PayloadType   PayloadType       // PayloadNone on everything but stream messages
	Payload       []byte
}

// Parse reads the frame of one message. It is stricter than the stock peers
// where they would crash: the frame must hold a whole header and say so. It is
// as tolerant as they are elsewhere: the payload is all that follows the header,
// whatever the payload length says, because the public service is reported to
// fill it wrongly on its own messages.
//
// Payload aliases frame. The digest is not checked: see [Message.VerifyDigest].
func Parse(frame []byte) (Message, error) {
	h, err := ParseHeader(frame)
	if err != nil {
		return Message{}, err
	}
	m := Message{
		Type:          h.Type,
		SchemaVersion: binary.BigEndian.Uint32(frame[offSchemaVersion:]),
		CreatedDate:   int64(binary.BigEndian.Uint64(frame[offCreatedDate:])),
		Sequence:      h.Sequence,
		Flags:         binary.BigEndian.Uint64(frame[offFlags:]),
		ID:            h.ID,
		PayloadType:   h.PayloadType,
		Payload:       frame[HeaderSize:],
	}
	copy(m.Digest[:], frame[offDigest:])
	return m, nil
}

// VerifyDigest returns [ErrDigest] when the payload is not the one that the
// envelope was made for. An empty payload passes, as it does at the stock client.
func (m Message) VerifyDigest() error {
	if len(m.Payload) != 0 && sha256.Sum256(m.Payload) != m.Digest {
		return ErrDigest
	}
	return nil
}

// Append appends the frame of m to dst. It computes the digest and fills what
// is zero: schema version 1, the present time, a new id.
//
// A Type longer than 32 bytes is cut; the constants of this package are not.
func Append(dst []byte, m Message) []byte {
	start := len(dst)
	dst = append(dst, blankHeader[:]...)
	dst = append(dst, m.Payload...)
	fillHeader(dst[start:], m)
	return dst
}

// blankHeader is the header with every field zero but the type, all spaces.
var blankHeader = func() (h [HeaderSize]byte) {
	copy(h[offType:], bytes.Repeat([]byte{' '}, typeSize))
	return h
}()

// fillHeader writes the header of frame, which starts as blankHeader and
// already holds its payload; m.Payload and m.Digest are not used.
func fillHeader(frame []byte, m Message) {
	if m.SchemaVersion == 0 {
		m.SchemaVersion = 1
	}
	if m.CreatedDate == 0 {
		m.CreatedDate = time.Now().UnixMilli()
	}
	if m.ID == (ID{}) {
		m.ID = NewID()
	}
	payload := frame[HeaderSize:]
	digest := sha256.Sum256(payload)
	binary.BigEndian.PutUint32(frame, HeaderLength)
	copy(frame[offType:offSchemaVersion], m.Type)
	binary.BigEndian.PutUint32(frame[offSchemaVersion:], m.SchemaVersion)
	binary.BigEndian.PutUint64(frame[offCreatedDate:], uint64(m.CreatedDate))
	binary.BigEndian.PutUint64(frame[offSequence:], uint64(m.Sequence))
	binary.BigEndian.PutUint64(frame[offFlags:], m.Flags)
	m.ID.put(frame[offID:])
	copy(frame[offDigest:], digest[:])
	binary.BigEndian.PutUint32(frame[offPayloadType:], uint32(m.PayloadType))
	binary.BigEndian.PutUint32(frame[offPayloadLength:], uint32(len(payload)))
}

// Number writes the sequence number and the flags of a frame made by [Append].
// Neither is under the digest, so that a sender may hash a payload before it
// takes a place in the order.
func Number(frame []byte, sequence int64, flags uint64) {
	binary.BigEndian.PutUint64(frame[offSequence:], uint64(sequence))
	binary.BigEndian.PutUint64(frame[offFlags:], flags)
}

// FillBulk writes the header of a stream message of [FlagBulk] in front of its payload,
// which begins at [HeaderSize] of frame. [Number] completes it.
func FillBulk(frame []byte, t Type) {
	copy(frame, blankHeader[:])
	binary.BigEndian.PutUint32(frame, HeaderLength)
	copy(frame[offType:offSchemaVersion], t)
	binary.BigEndian.PutUint32(frame[offSchemaVersion:], 1)
	binary.BigEndian.PutUint64(frame[offCreatedDate:], uint64(time.Now().UnixMilli()))
	binary.BigEndian.PutUint32(frame[offPayloadType:], uint32(PayloadOutput))
	binary.BigEndian.PutUint32(frame[offPayloadLength:], uint32(len(frame)-HeaderSize))
}

// Header is what a relay needs to know of a frame.
type Header struct {
	Type        Type
	Sequence    int64
	Flags       uint64
	ID          ID
	PayloadType PayloadType
	PayloadLen  int // bytes after the header, not the field of that name
}

// ParseHeader makes the same checks as [Parse] and allocates nothing for the
// types that this package names.
func ParseHeader(frame []byte) (Header, error) {
	if len(frame) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes, a header has %d", ErrMalformed, len(frame), HeaderSize)
	}
	if n := binary.BigEndian.Uint32(frame); n != HeaderLength {
		return Header{}, fmt.Errorf("%w: header length %d, want %d", ErrMalformed, n, HeaderLength)
	}
	t, ok := parseType(frame[offType:offSchemaVersion])
	if !ok {
		return Header{}, fmt.Errorf("%w: message type %q", ErrMalformed, frame[offType:offSchemaVersion])
	}
	if binary.BigEndian.Uint64(frame[offCreatedDate:]) == 0 {
		return Header{}, fmt.Errorf("%w: created date is 0", ErrMalformed)
	}
	return Header{
		Type:        t,
		Sequence:    int64(binary.BigEndian.Uint64(frame[offSequence:])),
		Flags:       binary.BigEndian.Uint64(frame[offFlags:]),
		ID:          idFrom(frame[offID:]),
		PayloadType: PayloadType(binary.BigEndian.Uint32(frame[offPayloadType:])),
		PayloadLen:  len(frame) - HeaderSize,
	}, nil
}
