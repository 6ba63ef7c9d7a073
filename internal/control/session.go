package control

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/document"
	"sekisho/internal/fabric"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// StartSession opens a session on a node, in the order of api.md §6.2: authorize,
// document, parameters, connected, limits.
func (s *Server) StartSession(ctx context.Context, in *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
	node, err := s.node(ctx, in.Target)
	if err != nil {
		return nil, err
	}
	doc, err := s.sessionDocument(ctx, in.DocumentName)
	if err != nil {
		return nil, err
	}
	// The tags of node and document matter to the decision; that they exist must not show in it.
	if err := s.authorizeStart(ctx, in.Target, node, doc); err != nil {
		return nil, err
	}
	resolved, err := s.resolve(ctx, doc, in.Parameters)
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, notConnected(in.Target)
	}
	if err := s.checkTier(ctx); err != nil {
		return nil, err
	}
	if err := s.checkSessionLimit(ctx, node); err != nil {
		return nil, err
	}

	p, _ := auth.From(ctx)
	id := ssm.NewSessionID(p.SessionOwner())
	task, err := s.sessionTask(ctx, id, p.ARN, resolved)
	if err != nil {
		return nil, err
	}
	starter, err := json.Marshal(s.cfg.Auth.Subject(ctx))
	if err != nil {
		return nil, fmt.Errorf("encode the starter of session %s: %w", id, err)
	}
	token := newClientToken()
	out := &ssm.StartSessionOutput{SessionID: id, TokenValue: token, StreamURL: s.streamURL(ctx, id)}
	now := s.cfg.Now()
	err = s.cfg.Store.CreateSession(ctx, store.Session{
		ID:                 id,
		NodeID:             node.ID,
		OwnerARN:           p.ARN,
		OwnerUserID:        p.UserID,
		DocumentName:       resolved.DocumentName,
		Reason:             in.Reason,
		Status:             ssm.SessionConnecting,
		AccessType:         accessStandard,
		StartedAt:          now,
		IdleTimeout:        resolved.IdleTimeout,
		MaxDuration:        resolved.MaxDuration,
		Task:               task,
		Starter:            starter,
		ClientTokenHash:    auth.TokenHash(token),
		ClientTokenExpires: now.Add(s.cfg.TokenTTL),
	}, s.cfg.Event(ctx, "ssm:StartSession", in, out, s.cfg.ARNs.Node(node.ID), doc.arn, s.cfg.ARNs.Session(id)))
	if errors.Is(err, store.ErrNotFound) { // deregistered meanwhile
		return nil, notConnected(in.Target)
	}
	if err != nil {
		return nil, err
	}
	if err := s.startOnNode(ctx, node.ID, id, task); err != nil {
		return nil, err
	}
	s.cfg.Logger.Info("session started", "session_id", id, "node_id", node.ID, "principal", p.ARN)
	s.cfg.Recorded(ctx)
	return out, nil
}

// accessStandard is the AccessType of a session that needed no approval.
const accessStandard = "Standard"

// notConnected is the answer about a node that cannot be reached, whatever the reason.
func notConnected(target string) error {
	return ssm.Errorf(ssm.CodeTargetNotConnected, "%s is not connected.", target)
}

// checkSessionLimit refuses a node that has as many live sessions as it may. Being
// connected is judged before limits, so a node that is not says that instead.
func (s *Server) checkSessionLimit(ctx context.Context, node *store.Node) error {
	live, err := s.cfg.Store.LiveSessionsOfNode(ctx, node.ID)
	if err != nil {
		return err
	}
	if len(live) < s.cfg.MaxSessionsPerNode {
		return nil
	}
	if !node.Connected(s.cfg.Now()) {
		return notConnected(node.ID)
	}
	return ssm.Errorf(ssm.CodeServiceQuotaExceeded, "%s has %d sessions, as many as it may have.", node.ID, len(live))
}

// sessionTask is what the node is told to run.
func (s *Server) sessionTask(ctx context.Context, id, owner string, r *document.Resolved) ([]byte, error) {
	task := message.SessionTask{
		DocumentName: r.DocumentName,
		SessionId:    id,
		Parameters:   make(map[string]any, len(r.Parameters)),
		SessionOwner: owner,
	}
	for name, value := range r.Parameters {
		task.Parameters[name] = value
	}
	if err := json.Unmarshal(r.Content, &task.DocumentContent); err != nil {
		return nil, fmt.Errorf("read resolved document %s: %w", r.DocumentName, err)
	}
	var err error
	if task.RunAsUser, err = s.runAs(ctx, task.DocumentContent); err != nil {
		return nil, err
	}
	text, err := json.Marshal(task)
	if err != nil {
		return nil, fmt.Errorf("encode task of session %s: %w", id, err)
	}
	return text, nil
}

// startOnNode hands the session to the gateway that holds the node's control channel.
// If there is none, or it could not reach the node, the session has failed.
func (s *Server) startOnNode(ctx context.Context, nodeID, id string, task []byte) error {
	err := s.askNode(ctx, nodeID, fabric.NodeRequest{Kind: fabric.NodeStart, SessionID: id, Task: task})
	if err == nil {
		return nil
	}
	details := "The node is not connected."
	if !errors.Is(err, fabric.ErrNoResponder) {
		s.cfg.Logger.Warn("session not started", "session_id", id, "node_id", nodeID, "error", err)
		details = "The node could not be reached."
	}
	// Also when the caller has gone: a session that nobody will use must not stay.
	if _, err := s.cfg.Store.EndSession(context.WithoutCancel(ctx), id, ssm.SessionFailed, details, s.cfg.Now()); err != nil {
		return err
	}
	return notConnected(nodeID)
}

// ResumeSession gives a client that lost its connection a new token, which makes the
// older one void. An ended session answers without one: so a client learns of it.
func (s *Server) ResumeSession(ctx context.Context, in *ssm.SessionIDInput) (*ssm.ResumeSessionOutput, error) {
	const operation = "ssm:ResumeSession"
	session, err := s.authorizedSession(ctx, operation, in.SessionID)
	if err != nil {
		return nil, err
	}
	if session == nil {
		return nil, ssm.Errorf(ssm.CodeDoesNotExist, "Session %s does not exist", in.SessionID)
	}
	out := &ssm.ResumeSessionOutput{SessionID: session.ID}
	switch session.Status {
	case ssm.SessionConnecting, ssm.SessionConnected, ssm.SessionDisconnected:
	default:
		return out, nil
	}
	token := newClientToken()
	live, err := s.cfg.Store.SetClientToken(ctx, session.ID, auth.TokenHash(token), s.cfg.Now().Add(s.cfg.TokenTTL))
	if errors.Is(err, store.ErrNotFound) || err == nil && !live { // ended meanwhile
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	// The gateway drops the older connection. That none relays the session is ordinary:
	// both ends may be away.
	err = s.askSession(ctx, session.ID, fabric.SessionRequest{Kind: fabric.SessionResume})
	if err != nil && !errors.Is(err, fabric.ErrNoResponder) {
		s.cfg.Logger.Warn("gateway not told of a resumed session", "session_id", session.ID, "error", err)
	}
	out.TokenValue, out.StreamURL = token, s.streamURL(ctx, session.ID)
	return out, nil
}

// TerminateSession ends a session. One that has ended, or never was, is answered the
// same: a client that repeats its call must not fail.
func (s *Server) TerminateSession(ctx context.Context, in *ssm.SessionIDInput) (*ssm.TerminateSessionOutput, error) {
	const operation = "ssm:TerminateSession"
	session, err := s.authorizedSession(ctx, operation, in.SessionID)
	if err != nil {
		return nil, err
	}
	out := &ssm.TerminateSessionOutput{SessionID: in.SessionID}
	if session == nil || !session.Status.Active() {
		return out, nil
	}
	if err := s.terminate(ctx, session); err != nil && !errors.Is(err, store.ErrNotFound) { // its history has just been swept
		return nil, err
	}
	return out, nil
}

// gatewayFailed notes that a gateway did not end a session; that none relays it is
// ordinary.
func (s *Server) gatewayFailed(sessionID string, err error) {
	if !errors.Is(err, fabric.ErrNoResponder) {
		s.cfg.Logger.Warn("gateway did not end a session", "session_id", sessionID, "error", err)
	}
}

// endWithoutGateway ends a session that no gateway relays: in the store, and on the
// node if that is connected. A node that is not hears of it when it asks for the
// session's data channel.
func (s *Server) endWithoutGateway(ctx context.Context, session *store.Session) error {
	if _, err := s.cfg.Store.EndSession(ctx, session.ID, ssm.SessionTerminated, "", s.cfg.Now()); err != nil {
		return err
	}
	err := s.askNode(ctx, session.NodeID, fabric.NodeRequest{Kind: fabric.NodeTerminate, SessionID: session.ID})
	if err != nil && !errors.Is(err, fabric.ErrNoResponder) {
		s.cfg.Logger.Warn("node not told of an ended session", "session_id", session.ID, "node_id", session.NodeID, "error", err)
	}
	return nil
}

// authorizedSession gives a session on which the caller may do action, or nil if there
// is none with that id. The decision comes first: whose session it is makes its tags,
// and a session that does not exist simply has none.
func (s *Server) authorizedSession(ctx context.Context, action, id string) (*store.Session, error) {
	session, err := s.cfg.Store.Session(ctx, id)
	// What is no text to the store is the id of nothing.
	exists := !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid)
	if exists && err != nil {
		return nil, err
	}
	p, _ := auth.From(ctx)
	request := s.cfg.Auth.SessionRequest(p, action, id, session.OwnerUserID, exists)
	if exists {
		// The tags that the service puts on every session (api.md §6.1).
		request.Context = tagContext([]ssm.Tag{
			{Key: "aws:ssmmessages:session-id", Value: session.OwnerUserID},
			{Key: "aws:ssmmessages:target-id", Value: session.NodeID},
		})
	}
	if err := s.cfg.Auth.Authorize(ctx, request); err != nil {
		return nil, err
	}
	if !exists {
		return nil, nil
	}
	return &session, nil
}

// newClientToken makes the secret with which a client opens a session's data channel:
// 48 random bytes, 64 characters. The API allows 300.
func newClientToken() string {
	var b [48]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// streamURL is where a client opens the data channel of a session.
func (s *Server) streamURL(ctx context.Context, id string) string {
	host := s.streamHost
	if s.cfg.StreamHost != nil {
		if chosen := s.cfg.StreamHost(awsapi.Info(ctx).Host); chosen != "" {
			host = chosen
		}
	}
	return "wss://" + host + "/v1/data-channel/" + url.PathEscape(id) + "?role=publish_subscribe"
}

func (s *Server) askNode(ctx context.Context, id string, request fabric.NodeRequest) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FabricTimeout)
	defer cancel()
	return s.cfg.Fabric.RequestJSON(ctx, fabric.Node(id), request, nil)
}

func (s *Server) askSession(ctx context.Context, id string, request fabric.SessionRequest) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FabricTimeout)
	defer cancel()
	return s.cfg.Fabric.RequestJSON(ctx, fabric.Session(id), request, nil)
}

// credentialHistory is how long expired credentials are remembered: an SDK renews
// credentials that it is told are expired, and gives up on unknown ones.
const credentialHistory = 24 * time.Hour

// Sweep removes what has had its time. sekishod calls it now and then.
func (s *Server) Sweep(ctx context.Context) error {
	now := s.cfg.Now()
	if _, err := s.cfg.Store.DeleteSessionsEndedBefore(ctx, now.Add(-s.cfg.HistoryLife)); err != nil {
		return err
	}
	_, err := s.cfg.Store.DeleteExpiredCredentials(ctx, now.Add(-credentialHistory))
	return err
}
