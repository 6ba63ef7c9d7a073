package control

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// maxJoining bounds the registrations that go on at once; others wait. It is below
// maxFailures.
const maxJoining = 8

// RegisterManagedInstance lets a node join. It is unsigned: the activation's code is
// what proves the right to it, so failures are counted per source address.
func (s *Server) RegisterManagedInstance(ctx context.Context, in *ssm.RegisterManagedInstanceInput) (*ssm.RegisterManagedInstanceOutput, error) {
	der, err := registeredKey(in.PublicKey, in.PublicKeyType)
	if err != nil {
		return nil, err
	}
	// An attempt counts as a failure until it has succeeded. A hundred machines behind one
	// address, told to join at the same moment, must not be taken for guessing.
	select {
	case s.joining <- struct{}{}:
		defer func() { <-s.joining }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	succeed, ok := s.failures.begin(awsapi.Info(ctx).SourceIP)
	if !ok {
		return nil, ssm.Errorf(ssm.CodeThrottling, "Rate exceeded")
	}
	now, code := s.cfg.Now(), secretHash(in.ActivationCode)
	var node store.Node
	err = s.cfg.Store.CheckActivation(ctx, in.ActivationID, code, now)
	if err == nil {
		err = s.checkRoom(ctx)
	}
	if err == nil {
		node, err = s.cfg.Store.RegisterNode(ctx, in.ActivationID, code, store.Node{
			PublicKey:     der,
			PublicKeyType: "Rsa",
			Fingerprint:   in.Fingerprint,
		}, now)
	}
	if errors.Is(err, store.ErrActivationInvalid) {
		return nil, errActivation
	}
	succeed() // whatever else went wrong, the code was right
	switch {
	case errors.Is(err, store.ErrActivationExpired):
		return nil, ssm.Errorf(ssm.CodeActivationExpired, "The activation has expired")
	case errors.Is(err, store.ErrActivationUsedUp):
		return nil, ssm.Errorf(ssm.CodeRegistrationLimitExceeded, "Registration limit exceeded")
	case err != nil:
		return nil, err
	}
	s.noteKnownMachine(ctx, node)
	s.cfg.Logger.Info("node registered", "node_id", node.ID, "activation_id", in.ActivationID,
		"remote", awsapi.Info(ctx).SourceIP)
	return &ssm.RegisterManagedInstanceOutput{InstanceID: node.ID}, nil
}

// noteKnownMachine tells the operator when a machine that joins is a node already. It is
// registered all the same: a machine that was set up anew must be able to join.
func (s *Server) noteKnownMachine(ctx context.Context, node store.Node) {
	others, _, err := s.cfg.Store.Nodes(ctx, store.NodeFilter{Fingerprints: []string{node.Fingerprint}}, store.Page{Limit: maxKnownMachines})
	if err != nil {
		s.cfg.Logger.Warn("machines with the same fingerprint not looked up", "node_id", node.ID, "error", err)
		return
	}
	var ids []string
	for _, n := range others {
		if n.ID != node.ID {
			ids = append(ids, n.ID)
		}
	}
	if len(ids) > 0 {
		s.cfg.Logger.Warn("a machine registered that is a node already", "node_id", node.ID, "registered_as", ids,
			"hint", "registered again: deregister the older node; a clone of another machine: give it an identity of its own and register it again")
	}
}

// maxKnownMachines bounds how many nodes of one fingerprint are told.
const maxKnownMachines = 10

// errPublicKey is the answer to a key that cannot be a node's.
var errPublicKey = ssm.Errorf(ssm.CodeInvalidPublicKey, "The public key must be an RSA key of at least 2048 bits, in base64.")

// RequestManagedInstanceRoleToken gives a node its temporary credentials. The caller
// signed with the node's own key, which is all the permission there is to it; but the role
// must still be there and trust the service: to take the trust away cuts its nodes off.
//
// A stock agent sleeps half an hour over AccessDeniedException and over a fingerprint
// that does not match (agent-control-plane.md §2.3), so neither is ever the answer to
// a fault that may pass.
func (s *Server) RequestManagedInstanceRoleToken(ctx context.Context, in *ssm.RequestManagedInstanceRoleTokenInput) (*ssm.RequestManagedInstanceRoleTokenOutput, error) {
	node, err := s.callingNode(ctx)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(in.Fingerprint), []byte(node.Fingerprint)) != 1 {
		return nil, ssm.Errorf(ssm.CodeFingerprintDoesNotMatch,
			"The machine's fingerprint is not the one that it registered with. Register it again.")
	}
	role, err := s.nodeRole(ctx, node.IamRole)
	if errors.Is(err, errNoRole) {
		return nil, noNodeRole(s.nodeRoleARN(node.IamRole))
	}
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	keyID, secret, token := auth.NewTemporaryCredentials()
	cred := store.TemporaryCredential{
		AccessKeyID: keyID,
		Secret:      store.Secret(secret),
		TokenHash:   auth.TokenHash(token),
		RoleName:    role.Name,
		RoleID:      role.ID,
		SessionName: node.ID,
		NodeID:      node.ID,
		IssuedAt:    now,
		ExpiresAt:   now.Add(s.cfg.CredentialTTL),
	}
	if err := s.cfg.Store.CreateTemporaryCredential(ctx, cred); errors.Is(err, store.ErrNotFound) {
		return nil, invalidNode(node.ID) // deregistered meanwhile
	} else if err != nil {
		return nil, err
	}
	return &ssm.RequestManagedInstanceRoleTokenOutput{
		AccessKeyID:         keyID,
		SecretAccessKey:     secret,
		SessionToken:        token,
		TokenExpirationDate: ssm.Time{Time: cred.ExpiresAt},
	}, nil
}

// callingNode is the node that signed the request with its own key.
func (s *Server) callingNode(ctx context.Context) (*store.Node, error) {
	p, _ := auth.From(ctx)
	if p.Kind != auth.Node {
		return nil, invalidNode(p.NodeID)
	}
	node, err := s.node(ctx, p.NodeID)
	if err == nil && node == nil {
		err = invalidNode(p.NodeID)
	}
	return node, err
}

// registeredKey reads a public key that is to be a node's.
func registeredKey(text, keyType string) (der []byte, err error) {
	der, err = base64.StdEncoding.DecodeString(text)
	if err != nil || !strings.EqualFold(keyType, "Rsa") {
		return nil, errPublicKey
	}
	if _, err := auth.ParseNodeKey(der); err != nil {
		return nil, errPublicKey
	}
	return der, nil
}

// invalidNode is the answer about a node that is not registered.
func invalidNode(id string) error {
	return ssm.Errorf(ssm.CodeInvalidInstanceID, "%s is not registered.", id)
}
