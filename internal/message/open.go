package message

// OpenControlChannel is the text frame that an agent sends first on its control
// channel. Like every first frame it is plain JSON without an envelope.
type OpenControlChannel struct {
	Cookie               *string // always null
	MessageSchemaVersion string  // "1.0"
	RequestId            string
	TokenValue           string // from CreateControlChannel
	AgentVersion         string
	PlatformType         string // linux, windows, macos

	// RequireAcknowledgement asks for control_channel_ready within 2 s. Only
	// agents between 3.2.1478.0 and 3.3.131.0 set it.
	RequireAcknowledgement bool `json:",omitempty"`
}

// OpenDataChannel is the text frame that agent and client send first on a data
// channel.
type OpenDataChannel struct {
	MessageSchemaVersion string // "1.0"
	RequestId            string
	TokenValue           string // from CreateDataChannel, StartSession or ResumeSession
	ClientInstanceId     string `json:",omitempty"` // node id; set by agents only, and so tells the two apart
	ClientId             string // empty from the stock agent; per process, stable across reconnects, from a client
	ClientVersion        string `json:",omitempty"` // client, from 1.2.677.0

	// RequireAcknowledgement asks for data_channel_ready within 2 s.
	RequireAcknowledgement bool `json:",omitempty"`
}

// OpenSchemaVersion is the value of MessageSchemaVersion.
const OpenSchemaVersion = "1.0"

// ParseOpenControlChannel reads the first frame of a control channel.
func ParseOpenControlChannel(frame []byte) (OpenControlChannel, error) {
	return parseJSON[OpenControlChannel]("open control channel", frame)
}

// ParseOpenDataChannel reads the first frame of a data channel.
func ParseOpenDataChannel(frame []byte) (OpenDataChannel, error) {
	return parseJSON[OpenDataChannel]("open data channel", frame)
}
