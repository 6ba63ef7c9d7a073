package auth

import (
	"context"
	"slices"
	"strings"

	"sekisho/internal/ssm"
)

// Request is one question to the policies: may the caller do Action to Resource.
type Request struct {
	Action   string              // "ssm:StartSession"
	Resource string              // an ARN, or "*" where there is no resource-level permission
	Context  map[string][]string // condition keys of this pair, by their full names
}

// Authorize decides whether the caller of ctx may do all of reqs. The denial names the
// first pair that was refused (api.md §4.8) and depends on nothing but the caller and
// that pair.
//
// Until policies are stored, an administrator may do everything, a node's role session
// what its node needs, and everybody else nothing.
func (a *Auth) Authorize(ctx context.Context, reqs ...Request) error {
	p, _ := From(ctx)
	for _, r := range reqs {
		if !a.allows(p, r) {
			return a.denial(p, r)
		}
	}
	return nil
}

// denial is the error of a pair that no policy allows.
func (a *Auth) denial(p Principal, r Request) error {
	caller, resource := p.ARN, r.Resource
	if p.Kind == Anonymous {
		caller = "anonymous"
	}
	if resource == "*" && strings.HasPrefix(r.Action, "ssm:") {
		resource = a.cfg.ARNs.Any()
	}
	return ssm.Errorf(ssm.CodeAccessDenied,
		"User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
		caller, r.Action, resource, r.Action)
}

func (a *Auth) allows(p Principal, r Request) bool {
	switch {
	case p.Kind == Root:
		return true
	case p.Kind == User && p.Administrator:
		return true
	case p.Kind == RoleSession && p.NodeID != "":
		return a.nodeMay(p.NodeID, r)
	default:
		return false
	}
}

// nodeOwnActions are those whose resource is the node itself.
var nodeOwnActions = []string{
	"ssm:UpdateInstanceInformation",
	"ssm:ListInstanceAssociations",
	"ssm:ListAssociations",
	"ssmmessages:CreateControlChannel",
	"ssmmessages:OpenControlChannel",
	"ec2messages:GetMessages",
	"ec2messages:AcknowledgeMessage",
	"ec2messages:SendReply",
	"ec2messages:FailMessage",
	"ec2messages:DeleteMessage",
}

// nodeMay is what a node's credentials are for: its heartbeat, its channels, its
// polling, and nothing about another node. Data channels are named by their session;
// that the session is one on this node is for the gateway, which has the session, to
// see to. Actions without resource-level permission have the resource "*", or the ARN that
// stands for it in denials.
func (a *Auth) nodeMay(id string, r Request) bool {
	everything := r.Resource == "*" || r.Resource == a.cfg.ARNs.Any()
	switch r.Action {
	case "ssmmessages:CreateDataChannel", "ssmmessages:OpenDataChannel":
		return everything || strings.HasPrefix(r.Resource, a.cfg.ARNs.Session(""))
	case "ssm:UpdateInstanceInformation", "ssm:ListInstanceAssociations":
		// These do have resource-level permission, so "*" would be somebody else's too.
		return r.Resource == a.cfg.ARNs.Node(id)
	}
	return slices.Contains(nodeOwnActions, r.Action) && (everything || r.Resource == a.cfg.ARNs.Node(id))
}
