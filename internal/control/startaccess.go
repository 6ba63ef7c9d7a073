package control

import (
	"context"
	"errors"
	"path"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// documentAccessCheck is the condition key that older policies test to have the document
// checked (api.md §5.2).
const documentAccessCheck = "ssm:SessionDocumentAccessCheck"

// startRequests are the two questions of a StartSession: on the target, with its tags if
// it is a node of ours, and on the document, with its tags.
func (s *Server) startRequests(target string, node *store.Node, document *foundDocument) (onTarget, onDocument auth.Request) {
	const action = "ssm:StartSession"
	var tags []ssm.Tag
	if node != nil {
		tags = node.Tags
	}
	onTarget = auth.Request{Action: action, Resource: s.cfg.ARNs.Node(target), Context: tagContext(tags)}
	onTarget.Context[documentAccessCheck] = []string{"true"}
	onDocument = auth.Request{Action: action, Resource: document.arn, Context: tagContext(document.tags())}
	return onTarget, onDocument
}

// documentIsImplied says whether a request names no document that the older, classic rule
// asks about: none, or the default one.
func (s *Server) documentIsImplied(document *foundDocument) bool {
	return s.cfg.ClassicDocumentAccess && document.name == ssm.DefaultSessionDocument
}

// targetSuffices says whether, by the classic rule, permission on the target is enough: no
// statement that allowed it tests the key that asks for more.
func targetSuffices(d policy.Decision) bool {
	for _, m := range d.Matched {
		if m.Layer == policy.LayerIdentity && m.Statement.Effect() == policy.Allow && m.Statement.HasConditionKey(documentAccessCheck) {
			return false
		}
	}
	return d.Allowed
}

// authorizeStart decides whether the caller may start a session, before anything hints
// that target or document exist.
func (s *Server) authorizeStart(ctx context.Context, target string, node *store.Node, document *foundDocument) error {
	onTarget, onDocument := s.startRequests(target, node, document)
	if s.documentIsImplied(document) {
		d, err := s.cfg.Auth.Decide(ctx, onTarget)
		if err != nil {
			return err
		}
		if targetSuffices(d) {
			return nil
		}
	}
	return s.cfg.Auth.Authorize(ctx, onTarget, onDocument)
}

// nodeRole is a role that nodes may be given: it exists and trusts the service. name may
// have the role's path before it. errNoRole says that there is none.
func (s *Server) nodeRole(ctx context.Context, name string) (store.Role, error) {
	role, err := s.cfg.Store.Role(ctx, path.Base(name))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return store.Role{}, errNoRole
	}
	if err != nil {
		return store.Role{}, err
	}
	if dir := path.Dir("/" + name); dir != "/" && dir+"/" != role.Path {
		return store.Role{}, errNoRole
	}
	d, err := s.cfg.Auth.MayFederate(ctx, role, "sts:AssumeRole", policy.Principal{
		Type: policy.Service, Provider: servicePrincipal,
	}, nil)
	if err != nil {
		return store.Role{}, err
	}
	if !d.Allowed {
		return store.Role{}, errNoRole
	}
	return role, nil
}

// servicePrincipal is how trust policies name the service that nodes belong to.
const servicePrincipal = "ssm.amazonaws.com"

// errNoRole says that a role is not there or not for nodes: the two are not told apart.
var errNoRole = errors.New("nonexistent role or no trust in the service")

// noNodeRole is the answer about such a role.
func noNodeRole(arn string) error {
	return validation("Nonexistent role or missing ssm service principal in trust policy: %s", arn)
}

// nodeRoleARN is the role that a caller means by a name that may have a path before it.
func (s *Server) nodeRoleARN(name string) string {
	return "arn:aws:iam::" + s.cfg.ARNs.Account + ":role/" + strings.TrimPrefix(name, "/")
}

func (s *Server) roleARN(role store.Role) string {
	return "arn:aws:iam::" + s.cfg.ARNs.Account + ":role" + role.Path + role.Name
}
