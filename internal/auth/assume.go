package auth

import (
	"context"
	"fmt"

	"sekisho/internal/policy"
	"sekisho/internal/store"
)

// MayAssume decides whether the caller of ctx may do action, sts:AssumeRole or one of
// those that go with it, to a role: its trust policy must allow, and the caller's own
// policies too, unless the trust policy names the very caller. extra are the condition
// keys of this request; they replace those of the caller, as an MFA code given to
// AssumeRole does. Root, nodes and anonymous callers assume no roles.
func (a *Auth) MayAssume(ctx context.Context, role store.Role, action string, extra policy.Context) (policy.Decision, error) {
	p, _ := From(ctx)
	if p.Kind != User && p.Kind != RoleSession {
		return policy.Decision{Outcome: policy.ImplicitDeny, Reason: policy.NoTrustAllows}, nil
	}
	r, err := a.assumption(role, action, extra)
	if err != nil {
		return policy.Decision{}, err
	}
	j, err := a.judge(ctx, p, a.facts(ctx, p))
	if err != nil {
		return policy.Decision{}, err
	}
	return j.decide(r), nil
}

// MayFederate is MayAssume for somebody who has no credentials of ours: a web identity
// that its provider vouches for, or a service. Such a caller has no policies, so the
// role's trust policy decides alone.
func (a *Auth) MayFederate(ctx context.Context, role store.Role, action string, caller policy.Principal, extra policy.Context) (policy.Decision, error) {
	r, err := a.assumption(role, action, extra)
	if err != nil {
		return policy.Decision{}, err
	}
	j := &judge{auth: a, request: policy.Request{Principal: caller, Now: a.cfg.Now()}}
	j.context = caller.Context()
	for key, v := range a.facts(ctx, Principal{}) {
		j.context[key] = v
	}
	return j.decide(r), nil
}

// assumption is the question whether a role may be assumed. One without a trust policy,
// such as a role that does not exist, may not.
func (a *Auth) assumption(role store.Role, action string, extra policy.Context) (Request, error) {
	var trust *policy.Policy
	if role.TrustPolicy != "" {
		var err error
		if trust, err = a.parse(role.TrustPolicy, policy.Trust); err != nil {
			return Request{}, fmt.Errorf("trust policy of role %s: %w", role.Name, err)
		}
	}
	arn := a.iamARN("role", role.Path, role.Name)
	return Request{
		Action:   action,
		Resource: arn,
		Context:  resourceTags(role),
		override: extra,
		trust:    &policy.Source{Policy: trust, Name: role.Name, ARN: arn, Type: policy.FromResource, PrincipalIDs: role.TrustIDs},
	}, nil
}

// resourceTags are the condition keys of a role's tags.
func resourceTags(role store.Role) policy.Context {
	c := policy.Context{}
	for _, t := range role.Tags {
		c.Add("aws:ResourceTag/"+t.Key, t.Value)
		c.Add("iam:ResourceTag/"+t.Key, t.Value)
	}
	return c
}
