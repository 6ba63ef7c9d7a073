package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sekisho/internal/message"
)

// refusalPatience bounds the wait for the node to have read why its session is
// refused. It waits two seconds itself at a session's end (protocol.md §10.1).
const refusalPatience = 2 * time.Second

// handshake answers the node's request, once: a second answer would block a stock
// agent's reader for ever (protocol.md §6.4). The shell starts at the completion. A
// session that needs more than this client does is refused with words, and ends.
func (r *run) handshake(ctx context.Context, payload []byte) error {
	if r.sessionType != "" || r.started {
		return nil
	}
	request, err := message.ParseHandshakeRequest(payload)
	if err != nil {
		return err
	}
	answer := message.HandshakeResponse{ClientVersion: message.ClientVersion}
	var refused error
	for _, action := range request.RequestedClientActions {
		done := message.ProcessedClientAction{ActionType: action.ActionType, ActionStatus: message.ActionSuccess}
		if status, err := r.act(action); err != nil {
			done.ActionStatus, done.Error = status, err.Error()
			answer.Errors = append(answer.Errors, err.Error())
			refused = err
		}
		answer.ProcessedClientActions = append(answer.ProcessedClientActions, done)
	}
	if refused == nil && r.sessionType == "" {
		r.sessionType = message.SessionTypeStandardStream // a handshake for encryption's sake names none
	}
	response, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode handshake response: %w", err)
	}
	if err := r.channel.Send(ctx, message.PayloadHandshakeResponse, response); err != nil {
		return fmt.Errorf("answer handshake: %w", err)
	}
	if refused != nil {
		wait, stop := context.WithTimeout(ctx, refusalPatience)
		defer stop()
		r.channel.Drain(wait) // the refusal is told either way
		return refused
	}
	return nil
}

// act does one action of a handshake. Its error carries the status to answer with.
func (r *run) act(action message.RequestedClientAction) (message.ActionStatus, error) {
	switch action.ActionType {
	case message.ActionSessionType:
		var parameters message.SessionTypeParameters
		if err := json.Unmarshal(action.ActionParameters, &parameters); err != nil {
			return message.ActionFailed, fmt.Errorf("read session type: %w", err)
		}
		switch parameters.SessionType {
		case message.SessionTypeStandardStream, message.SessionTypeInteractive, message.SessionTypeNonInteractive:
			r.sessionType = parameters.SessionType
			return message.ActionSuccess, nil
		}
		return message.ActionFailed, &UnsupportedError{
			What: fmt.Sprintf("sessions of type %q are not supported by this client", parameters.SessionType)}
	case message.ActionKMSEncryption:
		return message.ActionUnsupported, &UnsupportedError{
			What: "the session is to be encrypted with a KMS key, which this client does not support"}
	}
	return message.ActionUnsupported, &UnsupportedError{
		What: fmt.Sprintf("the node asks for %q, which this client does not know", action.ActionType)}
}

// handshakeComplete shows the node's words and starts the shell.
func (r *run) handshakeComplete(ctx context.Context, payload []byte) error {
	if r.sessionType == "" || r.started {
		return nil // nothing was asked, or it is long complete
	}
	complete, err := message.ParseHandshakeComplete(payload)
	if err != nil {
		return err
	}
	if complete.CustomerMessage != "" {
		if _, err := fmt.Fprintln(r.Stdout, complete.CustomerMessage); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return r.startShell(ctx)
}
