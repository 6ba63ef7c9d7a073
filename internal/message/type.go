package message

import "fmt"

// Type is the message type, at most 32 bytes of printable ASCII.
type Type string

// Message types of the data channel.
const (
	TypeInputStreamData   Type = "input_stream_data"   // client to agent, acknowledged
	TypeOutputStreamData  Type = "output_stream_data"  // agent to client, acknowledged
	TypeAcknowledge       Type = "acknowledge"         // both ways, [Acknowledge]
	TypeAgentSessionState Type = "agent_session_state" // agent to gateway, [SessionState]
	TypeChannelClosed     Type = "channel_closed"      // gateway to both (control channel too), [ChannelClosed]
	TypePausePublication  Type = "pause_publication"   // gateway to agent, {}
	TypeStartPublication  Type = "start_publication"   // gateway to agent or client, {}
	TypeDataChannelReady  Type = "data_channel_ready"  // gateway to an agent that asked for it, {}
	TypeSessionNotice     Type = "sekisho_notice"      // gateway to agent, [SessionNotice]; ours, stock agents pass it over
)

// Message types of the control channel.
const (
	TypeInteractiveShell     Type = "interactive_shell"      // gateway to agent, [InteractiveShell], every session type
	TypeAgentTaskComplete    Type = "agent_task_complete"    // agent to gateway, [TaskComplete]
	TypeAgentTaskAcknowledge Type = "agent_task_acknowledge" // gateway to agent, [TaskAcknowledge]
	TypeControlChannelReady  Type = "control_channel_ready"  // gateway to an agent that asked for it, {}
	TypeAgentTelemetry       Type = "agent_telemetry"        // agent to gateway, statistics, no answer
	TypeAgentUpdateResult    Type = "agent_update_result"    // agent to gateway, no answer
	TypeAgentJob             Type = "agent_job"              // gateway to agent, Run Command
	TypeAgentJobAck          Type = "agent_job_ack"          // agent to gateway
	TypeAgentJobReply        Type = "agent_job_reply"        // agent to gateway
	TypeAgentJobReplyAck     Type = "agent_job_reply_ack"    // gateway to agent
)

// Stream reports whether messages of the type are numbered and acknowledged.
func (t Type) Stream() bool { return t == TypeInputStreamData || t == TypeOutputStreamData }

// parseType reads the padded field. Spaces are the rule; the stock peers also
// take NULs.
func parseType(field []byte) (Type, bool) {
	for len(field) > 0 && isPadding(field[len(field)-1]) {
		field = field[:len(field)-1]
	}
	for len(field) > 0 && isPadding(field[0]) {
		field = field[1:]
	}
	// A conversion in a switch does not allocate.
	switch string(field) {
	case string(TypeInputStreamData):
		return TypeInputStreamData, true
	case string(TypeOutputStreamData):
		return TypeOutputStreamData, true
	case string(TypeAcknowledge):
		return TypeAcknowledge, true
	case string(TypeAgentSessionState):
		return TypeAgentSessionState, true
	case string(TypeChannelClosed):
		return TypeChannelClosed, true
	case string(TypePausePublication):
		return TypePausePublication, true
	case string(TypeStartPublication):
		return TypeStartPublication, true
	case "":
		return "", false
	}
	for _, b := range field {
		if b <= ' ' || b > '~' {
			return "", false
		}
	}
	return Type(field), true
}

func isPadding(b byte) bool { return b == ' ' || b == 0 }

// PayloadType says what a stream message carries.
type PayloadType uint32

// Payload types.
const (
	PayloadNone                 PayloadType = iota // messages that are not stream messages
	PayloadOutput                                  // both ways: terminal or TCP bytes
	PayloadError                                   // never sent by the stock peers
	PayloadSize                                    // client to agent, [Size]
	PayloadParameter                               // never sent by the stock peers
	PayloadHandshakeRequest                        // agent to client, [HandshakeRequest]
	PayloadHandshakeResponse                       // client to agent, [HandshakeResponse]
	PayloadHandshakeComplete                       // agent to client, [HandshakeComplete]
	PayloadEncChallengeRequest                     // agent to client, [EncryptionChallenge]
	PayloadEncChallengeResponse                    // client to agent, [EncryptionChallenge]
	PayloadFlag                                    // both ways, four bytes, [Flag]
	PayloadStdErr                                  // agent to client: bytes
	PayloadExitCode                                // agent to client, text, [ExitCode]
)

// Known reports whether the type is one of the above stream payloads. Others
// are acknowledged and otherwise ignored.
func (t PayloadType) Known() bool { return t >= PayloadOutput && t <= PayloadExitCode }

// String names the type for logs.
func (t PayloadType) String() string {
	names := [...]string{"None", "Output", "Error", "Size", "Parameter", "HandshakeRequest", "HandshakeResponse",
		"HandshakeComplete", "EncChallengeRequest", "EncChallengeResponse", "Flag", "StdErr", "ExitCode"}
	if int64(t) < int64(len(names)) {
		return names[t]
	}
	return fmt.Sprintf("PayloadType(%d)", uint32(t))
}
