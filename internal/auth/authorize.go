package auth

import (
	"context"
	"slices"
	"strings"

	"sekisho/internal/policy"
	"sekisho/internal/ssm"
)

// Request is one question to the policies: may the caller do Action to Resource.
type Request struct {
	Action   string // "ssm:StartSession"
	Resource string // an ARN, or "*" where there is no resource-level permission
	// Aliases are other names of the resource. A pattern that covers one of them covers
	// the resource.
	Aliases []string
	Context map[string][]string // condition keys of this pair, by their full names
	// Variables are the values that policy variables have in the resource patterns of
	// this pair, where they differ from the caller's condition keys. One without values
	// stands for nothing. [Auth.SessionRequest] sets them.
	Variables map[string][]string
	// ResourcePolicy is the policy of a resource that nobody reaches without it, such as a
	// key: it must allow as well. One that names the caller itself, and not only its
	// account, allows in place of the caller's own policies.
	ResourcePolicy *policy.Source

	override policy.Context // condition keys that replace those of the caller
	trust    *policy.Source // of the role that is to be assumed
	trace    bool
}

// Authorize decides whether the caller of ctx may do all of reqs, by the policies as they
// are now. The denial names the first pair that was refused (api.md §4.8) and depends on
// nothing but the caller, that pair and the policies.
func (a *Auth) Authorize(ctx context.Context, reqs ...Request) error {
	p, _ := From(ctx)
	j, err := a.judge(ctx, p, a.facts(ctx, p))
	if err != nil {
		return err
	}
	for _, r := range reqs {
		if d := j.decide(r); !d.Allowed {
			return a.denial(p, d, r)
		}
	}
	return nil
}

// Decide is Authorize for one pair, for callers that must know more than yes or no: it
// tells the statements that matched and the keys that were missing.
func (a *Auth) Decide(ctx context.Context, r Request) (policy.Decision, error) {
	p, _ := From(ctx)
	j, err := a.judge(ctx, p, a.facts(ctx, p))
	if err != nil {
		return policy.Decision{}, err
	}
	r.trace = true
	return j.decide(r), nil
}

// denial is the error of a pair that is not allowed. How a protocol calls it is for
// awsapi to say.
func (a *Auth) denial(p Principal, d policy.Decision, r Request) error {
	return &ssm.Error{Code: ssm.CodeAccessDenied, Message: a.explain(p.ARN, d, r)}
}

func (a *Auth) explain(arn string, d policy.Decision, r Request) string {
	resource := r.Resource
	if resource == "*" && strings.HasPrefix(r.Action, "ssm:") {
		resource = a.cfg.ARNs.Any()
	}
	return policy.Explain(d, arn, r.Action, resource)
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

// nodeMay is the ceiling of a node's credentials, whatever the policies of its role say:
// its heartbeat, its channels, its polling, and nothing about another node; and logs,
// objects and keys, which only the role's policies bound. Data channels are named by
// their session; that the session is one on this node is for the gateway, which has the
// session, to see to. Actions without resource-level permission have the resource "*", or
// the ARN that stands for it in denials.
func (a *Auth) nodeMay(id string, r Request) bool {
	everything := r.Resource == "*" || r.Resource == a.cfg.ARNs.Any()
	service, _, _ := strings.Cut(r.Action, ":")
	switch service {
	case "s3", "logs":
		return true
	}
	switch r.Action {
	case "kms:GenerateDataKey", "kms:Encrypt", "kms:Decrypt":
		return true
	case "ssmmessages:CreateDataChannel", "ssmmessages:OpenDataChannel":
		return everything || strings.HasPrefix(r.Resource, a.cfg.ARNs.Session(""))
	case "ssm:UpdateInstanceInformation", "ssm:ListInstanceAssociations":
		// These do have resource-level permission, so "*" would be somebody else's too.
		return r.Resource == a.cfg.ARNs.Node(id)
	}
	return slices.Contains(nodeOwnActions, r.Action) && (everything || r.Resource == a.cfg.ARNs.Node(id))
}
