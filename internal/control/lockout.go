package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sekisho/internal/auth"
	"sekisho/internal/fabric"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// EndUnauthorizedSessionsInput is the request of sekisho:EndUnauthorizedSessions.
type EndUnauthorizedSessionsInput struct {
	// DryRun only names the sessions.
	DryRun bool
	// Owner narrows it to the sessions of one principal, by the ARN that
	// DescribeSessions shows.
	Owner string `constraint:"len=0..2048"`
}

// UnauthorizedSession is a running session whose starter may not start it any more.
type UnauthorizedSession struct {
	SessionID string `json:"SessionId"`
	Target    string
	Owner     string
	Reason    string // the denial
}

// EndUnauthorizedSessionsOutput is the answer of sekisho:EndUnauthorizedSessions.
type EndUnauthorizedSessionsOutput struct {
	Sessions []UnauthorizedSession
}

// EndUnauthorizedSessions ends the running sessions whose starters may, by the policies,
// groups and tags as they are now, start them no more (ADR 0014). It is an operation of
// this project's own: at AWS a running session outlives the permission.
func (s *Server) EndUnauthorizedSessions(ctx context.Context, in *EndUnauthorizedSessionsInput) (*EndUnauthorizedSessionsOutput, error) {
	if err := s.authorize(ctx, "sekisho:EndUnauthorizedSessions", everything); err != nil {
		return nil, err
	}
	found, err := s.lockOut(ctx, in.Owner, in.DryRun)
	return &EndUnauthorizedSessionsOutput{Sessions: found}, err
}

// LockOut ends the sessions that EndUnauthorizedSessions would. sekishod calls it when
// identities changed, if it is configured to.
func (s *Server) LockOut(ctx context.Context) error {
	_, err := s.lockOut(ctx, "", false)
	return err
}

// lockOut finds the sessions, of one owner or of all, and ends them unless dry is set. One
// that cannot be judged or ended does not keep the others.
func (s *Server) lockOut(ctx context.Context, owner string, dry bool) ([]UnauthorizedSession, error) {
	live, err := s.cfg.Store.LiveSessions(ctx)
	if err != nil {
		return nil, err
	}
	found := []UnauthorizedSession{}
	var failed []error
	for i := range live {
		x := &live[i]
		if x.Status == ssm.SessionTerminating || owner != "" && x.OwnerARN != owner {
			continue
		}
		allowed, reason, err := s.mayStillRun(ctx, x)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if allowed {
			continue
		}
		found = append(found, UnauthorizedSession{SessionID: x.ID, Target: x.NodeID, Owner: x.OwnerARN, Reason: reason})
		if dry {
			continue
		}
		s.cfg.Logger.Info("session locked out", "session_id", x.ID, "node_id", x.NodeID, "principal", x.OwnerARN, "reason", reason)
		if err := s.terminate(ctx, x); err != nil && !errors.Is(err, store.ErrNotFound) { // its history has just been swept
			failed = append(failed, err)
		}
	}
	return found, errors.Join(failed...)
}

// mayStillRun says whether a session's starter could start it now.
func (s *Server) mayStillRun(ctx context.Context, x *store.Session) (allowed bool, reason string, err error) {
	starter := auth.Subject{UserID: x.OwnerUserID, ARN: x.OwnerARN}
	if len(x.Starter) > 0 {
		if err := json.Unmarshal(x.Starter, &starter); err != nil {
			return false, "", fmt.Errorf("read the starter of session %s: %w", x.ID, err)
		}
	}
	node, err := s.node(ctx, x.NodeID)
	if err != nil {
		return false, "", err
	}
	document, err := s.sessionDocument(ctx, x.DocumentName)
	if err != nil {
		return false, "", err
	}
	onTarget, onDocument := s.startRequests(x.NodeID, node, document)
	requests := []auth.Request{onTarget, onDocument}
	if s.documentIsImplied(document) {
		d, err := s.cfg.Auth.TraceFor(ctx, starter, onTarget)
		if err != nil {
			return false, "", err
		}
		if targetSuffices(d) {
			requests = requests[:1]
		}
	}
	return s.cfg.Auth.DecideFor(ctx, starter, requests...)
}

// terminate ends a running session, through the gateway that relays it if one does.
func (s *Server) terminate(ctx context.Context, session *store.Session) error {
	if _, err := s.cfg.Store.SetSessionStatus(ctx, session.ID, ssm.SessionTerminating); err != nil {
		return err
	}
	// From here on the session must end, also when the caller goes.
	ctx = context.WithoutCancel(ctx)
	err := s.askSession(ctx, session.ID, fabric.SessionRequest{Kind: fabric.SessionTerminate})
	if err == nil {
		return nil
	}
	s.gatewayFailed(session.ID, err)
	return s.endWithoutGateway(ctx, session)
}
