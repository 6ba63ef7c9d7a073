package message

import (
	"encoding/json"
	"fmt"
	"time"
)

// Session types of a session document, exact case.
const (
	SessionTypeStandardStream = "Standard_Stream"
	SessionTypeInteractive    = "InteractiveCommands"
	SessionTypeNonInteractive = "NonInteractiveCommands"
	SessionTypePort           = "Port"
)

// HandshakeRequest is the payload of [PayloadHandshakeRequest]. The agent sends
// it as its first stream message for Port and NonInteractiveCommands, and for
// every type when the session is encrypted.
type HandshakeRequest struct {
	AgentVersion           string
	RequestedClientActions []RequestedClientAction
}

// RequestedClientAction is one thing the client must do before data flows.
type RequestedClientAction struct {
	ActionType       string
	ActionParameters json.RawMessage // [SessionTypeParameters] or [KMSEncryptionParameters]
}

// Values of ActionType.
const (
	ActionSessionType   = "SessionType"
	ActionKMSEncryption = "KMSEncryption"
)

// SessionTypeParameters belong to [ActionSessionType].
type SessionTypeParameters struct {
	SessionType string
	Properties  json.RawMessage // substituted document properties for Port, null for the others
}

// KMSEncryptionParameters belong to [ActionKMSEncryption].
type KMSEncryptionParameters struct {
	KMSKeyId  string
	Challenge string `json:",omitempty"` // base64 of 16 random bytes; used as text
}

// HandshakeResponse is the payload of [PayloadHandshakeResponse]. A client sends
// exactly one: a second blocks the stock agent's reader for ever.
type HandshakeResponse struct {
	ClientVersion          string
	ProcessedClientActions []ProcessedClientAction
	Errors                 []string // null when empty
}

// ProcessedClientAction is the outcome of one [RequestedClientAction]. The agent
// fails the session for any status but success.
type ProcessedClientAction struct {
	ActionType   string
	ActionStatus ActionStatus
	ActionResult json.RawMessage // null unless the action has one
	Error        string
}

// ActionStatus is the outcome of an action.
type ActionStatus int

// Outcomes.
const (
	ActionSuccess     ActionStatus = 1
	ActionFailed      ActionStatus = 2
	ActionUnsupported ActionStatus = 3
)

// HandshakeComplete is the payload of [PayloadHandshakeComplete]: data may flow.
type HandshakeComplete struct {
	HandshakeTimeToComplete time.Duration // nanoseconds, as an integer
	CustomerMessage         string        // shown to the user when not empty
}

// ParseHandshakeRequest reads the payload of [PayloadHandshakeRequest].
func ParseHandshakeRequest(payload []byte) (HandshakeRequest, error) {
	return parseJSON[HandshakeRequest]("handshake request", payload)
}

// ParseHandshakeResponse reads the payload of [PayloadHandshakeResponse].
func ParseHandshakeResponse(payload []byte) (HandshakeResponse, error) {
	return parseJSON[HandshakeResponse]("handshake response", payload)
}

// ParseHandshakeComplete reads the payload of [PayloadHandshakeComplete].
func ParseHandshakeComplete(payload []byte) (HandshakeComplete, error) {
	return parseJSON[HandshakeComplete]("handshake complete", payload)
}

// SessionType returns the parameters of the request's SessionType action.
func (r HandshakeRequest) SessionType() (SessionTypeParameters, error) {
	for _, a := range r.RequestedClientActions {
		if a.ActionType == ActionSessionType {
			return parseJSON[SessionTypeParameters]("session type action", a.ActionParameters)
		}
	}
	return SessionTypeParameters{}, fmt.Errorf("handshake request has no %s action", ActionSessionType)
}

// NewHandshakeResponse answers the actions that need nothing but a yes: the
// session types. Every other action is answered as unsupported, and the agent
// then ends the session with that text.
func NewHandshakeResponse(req HandshakeRequest) HandshakeResponse {
	resp := HandshakeResponse{ClientVersion: ClientVersion, ProcessedClientActions: []ProcessedClientAction{}}
	for _, a := range req.RequestedClientActions {
		done := ProcessedClientAction{ActionType: a.ActionType, ActionStatus: ActionSuccess}
		if a.ActionType != ActionSessionType {
			done.ActionStatus = ActionUnsupported
			done.Error = fmt.Sprintf("Unsupported action %s", a.ActionType)
		} else if err := checkSessionType(a.ActionParameters); err != nil {
			done.ActionStatus = ActionFailed
			done.Error = fmt.Sprintf("Failed to process action %s: %s", a.ActionType, err)
		}
		if done.Error != "" {
			resp.Errors = append(resp.Errors, done.Error)
		}
		resp.ProcessedClientActions = append(resp.ProcessedClientActions, done)
	}
	return resp
}

func checkSessionType(parameters json.RawMessage) error {
	p, err := parseJSON[SessionTypeParameters]("session type action", parameters)
	if err != nil {
		return err
	}
	switch p.SessionType {
	case SessionTypeStandardStream, SessionTypeInteractive, SessionTypeNonInteractive, SessionTypePort:
		return nil
	}
	return fmt.Errorf("unknown session type %s", p.SessionType)
}
