package message

import (
	"encoding/json"
	"fmt"
	"strings"
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
	// Tunnel is ours: the version of our own tunnel protocol that the agent offers for a
	// Port session. Stock clients pass unknown members over; an unknown action they would
	// answer as a failure (protocol.md §6.5).
	Tunnel int `json:",omitempty"`
}

// TunnelVersion is the version of our own tunnel protocol.
const TunnelVersion = 1

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

// KMSEncryptionResult is the ActionResult of [ActionKMSEncryption].
type KMSEncryptionResult struct {
	KMSCipherTextKey  []byte // the data key as KMS sealed it
	KMSCipherTextHash []byte // null: the stock peers neither set nor read it
	// ChallengeAcknowledgement says that the data key is bound to the request's
	// Challenge by the encryption context [ContextRandomChallenge].
	ChallengeAcknowledgement bool `json:",omitempty"`
}

// Names in the encryption context that binds a data key to its session.
const (
	ContextSessionID       = "aws:ssm:SessionId"
	ContextTargetID        = "aws:ssm:TargetId" // node
	ContextRandomChallenge = "aws:ssm:RandomChallenge"
)

// EncryptionContext is the context of a session's data key. An empty challenge is
// left out.
func EncryptionContext(sessionID, targetID, challenge string) map[string]string {
	names := map[string]string{ContextSessionID: sessionID, ContextTargetID: targetID}
	if challenge != "" {
		names[ContextRandomChallenge] = challenge
	}
	return names
}

// EncryptionChallenge is the payload of [PayloadEncChallengeRequest] and of
// [PayloadEncChallengeResponse]: the same random text, sealed by its sender.
type EncryptionChallenge struct{ Challenge []byte }

// ParseEncryptionChallenge reads either payload.
func ParseEncryptionChallenge(payload []byte) (EncryptionChallenge, error) {
	return parseJSON[EncryptionChallenge]("encryption challenge", payload)
}

// HandshakeResponse is the payload of [PayloadHandshakeResponse]. A client sends
// exactly one: a second blocks the stock agent's reader for ever.
type HandshakeResponse struct {
	ClientVersion          string
	ProcessedClientActions []ProcessedClientAction
	Errors                 []string // null when empty
	// Tunnel is the offered version if the client takes it, else 0.
	Tunnel int `json:",omitempty"`
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

// Add appends an action. parameters are those of its type.
func (r *HandshakeRequest) Add(actionType string, parameters any) {
	r.RequestedClientActions = append(r.RequestedClientActions,
		RequestedClientAction{ActionType: actionType, ActionParameters: Marshal(parameters)})
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

// maxActionError bounds an error's text in a response, in bytes: some are other
// programs' words.
const maxActionError = 1000

// NewHandshakeResponse answers a request: yes to the session types there are, and to
// encryption what encrypt gives; nil means that it is not supported. Every other
// action is answered as unsupported, and the agent then ends the session with that
// text.
func NewHandshakeResponse(req HandshakeRequest, encrypt func(KMSEncryptionParameters) (KMSEncryptionResult, error)) HandshakeResponse {
	resp := HandshakeResponse{ClientVersion: ClientVersion, ProcessedClientActions: []ProcessedClientAction{}}
	for _, a := range req.RequestedClientActions {
		done := ProcessedClientAction{ActionType: a.ActionType, ActionStatus: ActionSuccess}
		var err error
		switch {
		case a.ActionType == ActionSessionType:
			err = checkSessionType(a.ActionParameters)
		case a.ActionType == ActionKMSEncryption && encrypt != nil:
			done.ActionResult, err = encryptionResult(a.ActionParameters, encrypt)
		default:
			done.ActionStatus = ActionUnsupported
			done.Error = fmt.Sprintf("Unsupported action %s", a.ActionType)
		}
		if err != nil {
			done.ActionStatus = ActionFailed
			done.Error = fmt.Sprintf("Failed to process action %s: %s", a.ActionType, err)
		}
		if done.Error != "" {
			done.Error = strings.ToValidUTF8(done.Error[:min(len(done.Error), maxActionError)], "")
			resp.Errors = append(resp.Errors, done.Error)
		}
		resp.ProcessedClientActions = append(resp.ProcessedClientActions, done)
	}
	return resp
}

func encryptionResult(parameters json.RawMessage, encrypt func(KMSEncryptionParameters) (KMSEncryptionResult, error)) (json.RawMessage, error) {
	p, err := parseJSON[KMSEncryptionParameters]("encryption action", parameters)
	if err != nil {
		return nil, err
	}
	result, err := encrypt(p)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
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
