package fabric

import "encoding/json"

// What is asked of a node's gateway.
const (
	NodeStart     = "start"     // hand the task of a new session to the node
	NodeTerminate = "terminate" // tell the node to end a session
	NodePing      = "ping"      // is the control channel open?
	NodeExpel     = "expel"     // close the control channel: the node is registered no more
)

// NodeRequest is a request on [Node]. It is answered by the gateway that holds the
// node's control channel, so that an answer alone proves the node connected.
type NodeRequest struct {
	Kind      string          `json:"kind"`
	SessionID string          `json:"session_id,omitempty"`
	Task      json.RawMessage `json:"task,omitempty"` // a message.SessionTask
	// Gateway names the asker of a takeover: a gateway that opens a newer control
	// channel for the node.
	Gateway string `json:"gateway,omitempty"`
}

// What is asked of a session's gateway.
const (
	SessionTerminate = "terminate" // end the session
	SessionResume    = "resume"    // the client has a new token: the older connection is void
)

// SessionRequest is a request on [Session], answered by the gateway that relays it.
type SessionRequest struct {
	Kind string `json:"kind"`
	// Output is the last line the client shows; empty for the ordinary one.
	Output string `json:"output,omitempty"`
	// Reason says why, for the session's Details and the log.
	Reason string `json:"reason,omitempty"`
}
