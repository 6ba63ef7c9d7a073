package message

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
)

// Acknowledge is the payload of [TypeAcknowledge]: one per stream message, not
// cumulative. The stock peers look at the sequence number only.
type Acknowledge struct {
	AcknowledgedMessageType           string
	AcknowledgedMessageId             string
	AcknowledgedMessageSequenceNumber int64
	IsSequentialMessage               bool
}

// AppendAcknowledge appends the whole frame that acknowledges the stream
// message with the given type (one of the two), id and sequence number. It makes
// no garbage: there is one for every message that a channel carries.
func AppendAcknowledge(dst []byte, t Type, id ID, sequence int64) []byte {
	return appendAcknowledge(dst, t, id, sequence, FlagsControl)
}

// AppendBulkAcknowledge is AppendAcknowledge for all messages up to the number.
func AppendBulkAcknowledge(dst []byte, t Type, sequence int64) []byte {
	return appendAcknowledge(dst, t, ID{}, sequence, FlagsControl|FlagBulk)
}

func appendAcknowledge(dst []byte, t Type, id ID, sequence int64, flags uint64) []byte {
	start := len(dst)
	dst = append(dst, blankHeader[:]...)
	dst = append(dst, ackType...)
	dst = append(dst, t...)
	dst = append(dst, ackID...)
	dst = id.appendTo(dst)
	dst = append(dst, ackSequence...)
	dst = strconv.AppendInt(dst, sequence, 10)
	dst = append(dst, ackEnd...)
	fillHeader(dst[start:], Message{Type: TypeAcknowledge, Flags: flags})
	return dst
}

// The pieces of an acknowledgement as every known peer writes it.
const (
	ackType     = `{"AcknowledgedMessageType":"`
	ackID       = `","AcknowledgedMessageId":"`
	ackSequence = `","AcknowledgedMessageSequenceNumber":`
	ackEnd      = `,"IsSequentialMessage":true}`
)

// ParseAcknowledge reads the payload of an acknowledgement. The form that every
// known peer writes is read without reflection or garbage, and then only the
// type and the sequence number are set, which is all that a receiver may rely on.
func ParseAcknowledge(payload []byte) (Acknowledge, error) {
	if a, ok := scanAcknowledge(payload); ok {
		return a, nil
	}
	var a Acknowledge
	if err := json.Unmarshal(payload, &a); err != nil {
		return Acknowledge{}, fmt.Errorf("parse acknowledge: %w", err)
	}
	return a, nil
}

func scanAcknowledge(p []byte) (a Acknowledge, ok bool) {
	rest, ok := bytes.CutPrefix(p, []byte(ackType))
	if !ok {
		return a, false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return a, false
	}
	switch string(rest[:end]) {
	case string(TypeInputStreamData):
		a.AcknowledgedMessageType = string(TypeInputStreamData)
	case string(TypeOutputStreamData):
		a.AcknowledgedMessageType = string(TypeOutputStreamData)
	default:
		return a, false
	}
	rest, ok = bytes.CutPrefix(rest[end:], []byte(ackID))
	if !ok || len(rest) < 36 {
		return a, false
	}
	for _, b := range rest[:36] {
		if b != '-' && (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return a, false
		}
	}
	rest, ok = bytes.CutPrefix(rest[36:], []byte(ackSequence))
	if !ok {
		return a, false
	}
	n := 0
	for n < len(rest) && n < 18 && rest[n] >= '0' && rest[n] <= '9' {
		a.AcknowledgedMessageSequenceNumber = a.AcknowledgedMessageSequenceNumber*10 + int64(rest[n]-'0')
		n++
	}
	if n == 0 || n > 1 && rest[0] == '0' || string(rest[n:]) != ackEnd {
		return a, false
	}
	a.IsSequentialMessage = true
	return a, true
}

// SessionState is the payload of [TypeAgentSessionState].
type SessionState struct {
	SchemaVersion int
	SessionState  string // StateConnected or StateTerminating
	SessionId     string
}

// Values of [SessionState.SessionState].
const (
	StateConnected   = "Connected"   // after the data channel opened, not repeated on a reconnect
	StateTerminating = "Terminating" // a shell or command session ended by itself; never for Port
)

// ChannelClosed is the payload of [TypeChannelClosed]. On the control channel
// and to an agent it ends the session; to a client it says that the session has
// ended and why.
type ChannelClosed struct {
	MessageType   string // "channel_closed"
	MessageId     string
	DestinationId string // node
	SessionId     string
	SchemaVersion int
	CreatedDate   string
	Output        string // shown to the user when not empty
}

// ParseChannelClosed reads the payload of channel_closed.
func ParseChannelClosed(payload []byte) (ChannelClosed, error) {
	return parseJSON[ChannelClosed]("channel_closed", payload)
}

// ParseSessionState reads the payload of agent_session_state.
func ParseSessionState(payload []byte) (SessionState, error) {
	return parseJSON[SessionState]("agent_session_state", payload)
}

// SessionNotice is the payload of [TypeSessionNotice]: something that the user should
// read while the session goes on. The agent shows it among the output, marked with
// [FlagNotice]: the gateway itself cannot, because the numbers of that stream, and the
// key if it is encrypted, belong to the agent.
type SessionNotice struct {
	SchemaVersion int
	SessionId     string
	Text          string // one sentence, without line ends
}

// ParseSessionNotice reads the payload of [TypeSessionNotice].
func ParseSessionNotice(payload []byte) (SessionNotice, error) {
	return parseJSON[SessionNotice]("sekisho_notice", payload)
}

// Size is the terminal size, the payload of [PayloadSize].
type Size struct {
	Cols uint32 `json:"cols"`
	Rows uint32 `json:"rows"`
}

// ParseSize reads the payload of [PayloadSize].
func ParseSize(payload []byte) (Size, error) { return parseJSON[Size]("size", payload) }

// Flag is the payload of [PayloadFlag], four bytes, big-endian.
type Flag uint32

// Flags.
const (
	FlagDisconnectToPort   Flag = 1 // client to agent: close the basic port session's TCP connection
	FlagTerminateSession   Flag = 2 // client to agent: end the port session
	FlagConnectToPortError Flag = 3 // agent to client: dialling the destination of a multiplexed stream failed
)

// ParseFlag reads the payload of [PayloadFlag].
func ParseFlag(payload []byte) (Flag, error) {
	if len(payload) != 4 {
		return 0, fmt.Errorf("flag has %d bytes, want 4", len(payload))
	}
	return Flag(binary.BigEndian.Uint32(payload)), nil
}

// Payload returns the four bytes.
func (f Flag) Payload() []byte { return binary.BigEndian.AppendUint32(nil, uint32(f)) }

// ExitCode is the payload of [PayloadExitCode]: the text "EXIT_CODE: 7".
type ExitCode int

const exitCodePrefix = "EXIT_CODE: "

// ParseExitCode reads the payload of [PayloadExitCode].
func ParseExitCode(payload []byte) (ExitCode, error) {
	text, ok := bytes.CutPrefix(bytes.TrimSpace(payload), []byte(exitCodePrefix))
	if !ok || len(text) > 11 {
		return 0, fmt.Errorf("exit code payload of %d bytes does not read %q and a number", len(payload), exitCodePrefix)
	}
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("parse exit code: %w", err)
	}
	return ExitCode(n), nil
}

// Payload returns the text.
func (c ExitCode) Payload() []byte { return strconv.AppendInt([]byte(exitCodePrefix), int64(c), 10) }

// Marshal returns the JSON of one of this package's payload types. They hold
// nothing that JSON cannot, so it does not fail.
func Marshal(payload any) []byte {
	b, err := json.Marshal(payload)
	if err != nil {
		// Only a caller's own value in an any field can do this: a programming
		// error, never input from a peer.
		panic(fmt.Sprintf("marshal %T: %v", payload, err))
	}
	return b
}

// parseJSON decodes as the stock peers do: keys in any case, unknown keys
// ignored, wrong types refused.
func parseJSON[T any](what string, payload []byte) (T, error) {
	var v T
	if err := json.Unmarshal(payload, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("parse %s: %w", what, err)
	}
	return v, nil
}
