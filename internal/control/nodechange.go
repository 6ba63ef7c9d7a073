package control

import (
	"context"
	"errors"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/fabric"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// errKeyRegistered is the answer to a new key that is the present one.
var errKeyRegistered = ssm.Errorf("PublicKeyAlreadyRegistered", "The public key is the one that is registered.")

// nodeFor authorizes an action on a node, before anything hints that it exists, and gives
// it.
func (s *Server) nodeFor(ctx context.Context, action, id string, more ...auth.Request) (*store.Node, error) {
	node, err := s.node(ctx, id)
	if err != nil {
		return nil, err
	}
	request := auth.Request{Action: action, Resource: s.cfg.ARNs.Node(id), Context: tagContext(nil)}
	if node != nil {
		request.Context = tagContext(node.Tags)
	}
	if err := s.cfg.Auth.Authorize(ctx, append([]auth.Request{request}, more...)...); err != nil {
		return nil, err
	}
	if node == nil {
		return nil, invalidNode(id)
	}
	return node, nil
}

// DeregisterManagedInstance takes a node out: its credentials are void at once, its
// sessions end, its control channel closes, its id is never given again.
func (s *Server) DeregisterManagedInstance(ctx context.Context, in *ssm.DeregisterManagedInstanceInput) (*ssm.Empty, error) {
	node, err := s.nodeFor(ctx, "ssm:DeregisterManagedInstance", in.InstanceID)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.DeregisterNode(ctx, node.ID, s.cfg.Now())
	if errors.Is(err, store.ErrNotFound) { // somebody else was quicker
		return nil, invalidNode(node.ID)
	}
	if err != nil {
		return nil, err
	}
	s.cfg.Logger.Info("node deregistered", "node_id", node.ID)
	// What was done is done, also when the caller goes.
	ctx = context.WithoutCancel(ctx)
	live, err := s.cfg.Store.LiveSessionsOfNode(ctx, node.ID)
	if err != nil {
		return nil, err
	}
	for i := range live {
		if err := s.terminate(ctx, &live[i]); err != nil && !errors.Is(err, store.ErrNotFound) {
			s.cfg.Logger.Warn("session of a deregistered node not ended", "session_id", live[i].ID, "node_id", node.ID, "error", err)
		}
	}
	// The ends of the sessions travel on the channel that goes last.
	err = s.askNode(ctx, node.ID, fabric.NodeRequest{Kind: fabric.NodeExpel})
	if err != nil && !errors.Is(err, fabric.ErrNoResponder) {
		s.cfg.Logger.Warn("control channel of a deregistered node not closed", "node_id", node.ID, "error", err)
	}
	return &ssm.Empty{}, nil
}

// UpdateManagedInstanceRole gives a node another role. It counts when the node's present
// credentials end, within the hour.
func (s *Server) UpdateManagedInstanceRole(ctx context.Context, in *ssm.UpdateManagedInstanceRoleInput) (*ssm.Empty, error) {
	name := strings.TrimPrefix(in.IamRole, "/")
	arn := s.nodeRoleARN(name)
	role, roleErr := s.nodeRole(ctx, name)
	if roleErr == nil {
		arn = s.roleARN(role)
	} else if !errors.Is(roleErr, errNoRole) {
		return nil, roleErr
	}
	pass := auth.Request{Action: "iam:PassRole", Resource: arn, Context: map[string][]string{"iam:PassedToService": {servicePrincipal}}}
	node, err := s.nodeFor(ctx, "ssm:UpdateManagedInstanceRole", in.InstanceID, pass)
	if err != nil {
		return nil, named(err, arn, s.nodeRoleARN(name))
	}
	if roleErr != nil {
		return nil, noNodeRole(arn)
	}
	err = s.cfg.Store.SetNodeRole(ctx, node.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidNode(node.ID)
	}
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, nil
}

// UpdateManagedInstancePublicKey replaces a node's key. The caller signed with the present
// one, which is void from the answer on.
func (s *Server) UpdateManagedInstancePublicKey(ctx context.Context, in *ssm.UpdateManagedInstancePublicKeyInput) (*ssm.Empty, error) {
	node, err := s.callingNode(ctx)
	if err != nil {
		return nil, err
	}
	der, err := registeredKey(in.NewPublicKey, in.NewPublicKeyType)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.ReplaceNodeKey(ctx, node.ID, node.PublicKey, der, "Rsa")
	switch {
	case errors.Is(err, store.ErrExists):
		return nil, errKeyRegistered
	case errors.Is(err, store.ErrNotFound): // another key came first, or the node has gone
		return nil, invalidNode(node.ID)
	case err != nil:
		return nil, err
	}
	s.cfg.Logger.Info("key of a node replaced", "node_id", node.ID)
	return &ssm.Empty{}, nil
}
