package ssm

// SessionStatus is the state of a session (API reference, Session.Status).
type SessionStatus string

// The states, in the order a session passes through them.
const (
	SessionConnecting   SessionStatus = "Connecting"   // StartSession answered, the channel is not complete
	SessionConnected    SessionStatus = "Connected"    // both ends are open
	SessionDisconnected SessionStatus = "Disconnected" // one side is lost; resumable
	SessionTerminating  SessionStatus = "Terminating"  // ending
	SessionTerminated   SessionStatus = "Terminated"   // ended
	SessionFailed       SessionStatus = "Failed"       // the node refused it or could not start it
)

// Active says whether a session in this state counts as active rather than history.
func (s SessionStatus) Active() bool {
	return s != SessionTerminated && s != SessionFailed
}

// Session describes one session (API reference, Session).
type Session struct {
	SessionID          string            `json:"SessionId,omitempty"`
	Target             string            `json:",omitempty"`
	Status             SessionStatus     `json:",omitempty"`
	StartDate          *Time             `json:",omitempty"`
	EndDate            *Time             `json:",omitempty"`
	DocumentName       string            `json:",omitempty"`
	Owner              string            `json:",omitempty"`
	Reason             string            `json:",omitempty"`
	Details            string            `json:",omitempty"`
	OutputURL          *SessionOutputURL `json:"OutputUrl,omitempty"`
	MaxSessionDuration string            `json:",omitempty"`
	AccessType         string            `json:",omitempty"`
}

// SessionOutputURL says where a session's logs are.
type SessionOutputURL struct {
	S3OutputURL         string `json:"S3OutputUrl"`
	CloudWatchOutputURL string `json:"CloudWatchOutputUrl"`
}

// StartSessionInput is the request of ssm:StartSession.
type StartSessionInput struct {
	Target       string              `constraint:"required len=1..400"`
	DocumentName string              `constraint:"pattern=DocumentARN"`
	Reason       string              `constraint:"len=1..256 pattern=SessionReason"`
	Parameters   map[string][]string `constraint:""`
}

// StartSessionOutput is the answer of ssm:StartSession.
type StartSessionOutput struct {
	SessionID  string `json:"SessionId"`
	TokenValue string
	StreamURL  string `json:"StreamUrl"`
}

// SessionIDInput is the request of ssm:ResumeSession and ssm:TerminateSession.
type SessionIDInput struct {
	SessionID string `json:"SessionId" constraint:"required len=1..96"`
}

// ResumeSessionOutput is the answer of ssm:ResumeSession. An ended session has no
// TokenValue: that is how a client learns that it timed out (protocol.md §2.2).
type ResumeSessionOutput struct {
	SessionID  string `json:"SessionId"`
	TokenValue string `json:",omitempty"`
	StreamURL  string `json:"StreamUrl,omitempty"`
}

// TerminateSessionOutput is the answer of ssm:TerminateSession.
type TerminateSessionOutput struct {
	SessionID string `json:"SessionId"`
}

// DescribeSessionsInput is the request of ssm:DescribeSessions.
type DescribeSessionsInput struct {
	State      string          `constraint:"required enum=SessionState"`
	MaxResults *int            `constraint:"range=1..200"`
	NextToken  string          `constraint:""`
	Filters    []SessionFilter `constraint:"len=1..6"`
}

// SessionFilter is one filter of ssm:DescribeSessions; its wire names are lower case.
type SessionFilter struct {
	Key   string `json:"key" constraint:"required enum=SessionFilterKey"`
	Value string `json:"value" constraint:"required len=1..400"`
}

// DescribeSessionsOutput is the answer of ssm:DescribeSessions.
type DescribeSessionsOutput struct {
	Sessions  []Session
	NextToken string `json:",omitempty"`
}

// GetConnectionStatusInput is the request of ssm:GetConnectionStatus.
type GetConnectionStatusInput struct {
	Target string `constraint:"required len=1..400"`
}

// GetConnectionStatusOutput is the answer of ssm:GetConnectionStatus.
type GetConnectionStatusOutput struct {
	Target string
	Status string // "connected" or "notconnected"
}
