package iam

import (
	"context"
	"strings"

	"sekisho/internal/policy/managed"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// attachedLimit is how many managed policies a user, group or role may have (api.md §18.1).
const attachedLimit = 10

// policyARNKeys gives the condition key that the policy of an attachment makes.
func policyARNKeys(arn string) keys { return keys{"iam:PolicyARN": {arn}} }

// UserPolicyARNInput names a user and a managed policy.
type UserPolicyARNInput struct {
	UserName  string `constraint:"required len=1..64 pattern=IAMName"`
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
}

// GroupPolicyARNInput names a group and a managed policy.
type GroupPolicyARNInput struct {
	GroupName string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
}

// RolePolicyARNInput names a role and a managed policy.
type RolePolicyARNInput struct {
	RoleName  string `constraint:"required len=1..64 pattern=IAMName"`
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
}

// AttachUserPolicy gives a user a managed policy; one it has is no error.
func (s *Server) AttachUserPolicy(ctx context.Context, in *UserPolicyARNInput) (*ssm.Empty, error) {
	return s.attach(ctx, "iam:AttachUserPolicy", userEntity(in.UserName), in.PolicyARN)
}

// AttachGroupPolicy gives a group a managed policy; one it has is no error.
func (s *Server) AttachGroupPolicy(ctx context.Context, in *GroupPolicyARNInput) (*ssm.Empty, error) {
	return s.attach(ctx, "iam:AttachGroupPolicy", groupEntity(in.GroupName), in.PolicyARN)
}

// AttachRolePolicy gives a role a managed policy; one it has is no error.
func (s *Server) AttachRolePolicy(ctx context.Context, in *RolePolicyARNInput) (*ssm.Empty, error) {
	return s.attach(ctx, "iam:AttachRolePolicy", roleEntity(in.RoleName), in.PolicyARN)
}

func (s *Server) attach(ctx context.Context, action string, e store.Entity, arn string) (*ssm.Empty, error) {
	if _, err := s.boundedSubject(ctx, action, e, policyARNKeys(arn)); err != nil {
		return nil, err
	}
	if err := checkPolicyARN(arn); err != nil {
		return nil, err
	}
	exists, err := s.policyExists(ctx, arn)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fault(codeNoSuchEntity, "Policy %s does not exist or is not attachable.", arn)
	}
	return &ssm.Empty{}, failed(s.cfg.Store.AttachPolicy(ctx, e, arn, attachedLimit), string(e.Type), e.Name)
}

// policyExists says whether there is a managed policy with that ARN.
func (s *Server) policyExists(ctx context.Context, arn string) (bool, error) {
	if managed.Is(arn) {
		_, ok := managed.Find(arn)
		return ok, nil
	}
	_, err := s.cfg.Store.Policy(ctx, arn)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// DetachUserPolicy takes a managed policy from a user.
func (s *Server) DetachUserPolicy(ctx context.Context, in *UserPolicyARNInput) (*ssm.Empty, error) {
	return s.detach(ctx, "iam:DetachUserPolicy", userEntity(in.UserName), in.PolicyARN)
}

// DetachGroupPolicy takes a managed policy from a group.
func (s *Server) DetachGroupPolicy(ctx context.Context, in *GroupPolicyARNInput) (*ssm.Empty, error) {
	return s.detach(ctx, "iam:DetachGroupPolicy", groupEntity(in.GroupName), in.PolicyARN)
}

// DetachRolePolicy takes a managed policy from a role.
func (s *Server) DetachRolePolicy(ctx context.Context, in *RolePolicyARNInput) (*ssm.Empty, error) {
	return s.detach(ctx, "iam:DetachRolePolicy", roleEntity(in.RoleName), in.PolicyARN)
}

func (s *Server) detach(ctx context.Context, action string, e store.Entity, arn string) (*ssm.Empty, error) {
	if _, err := s.boundedSubject(ctx, action, e, policyARNKeys(arn)); err != nil {
		return nil, err
	}
	if err := checkPolicyARN(arn); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DetachPolicy(ctx, e, arn), "policy", arn)
}

// AttachedPoliciesOutput is a page of the managed policies of an entity.
type AttachedPoliciesOutput struct {
	AttachedPolicies []AttachedPolicy
	IsTruncated      bool
	Marker           string `json:",omitempty"`
}

// AttachedUserPoliciesInput asks for a page of the managed policies of a user.
type AttachedUserPoliciesInput struct {
	UserName   string `constraint:"required len=1..64 pattern=IAMName"`
	PathPrefix string `constraint:"len=1..512 pattern=IAMPolicyPath"`
	Marker     string `constraint:"len=1.."`
	MaxItems   *int   `constraint:"range=1..1000"`
}

// AttachedGroupPoliciesInput asks for a page of the managed policies of a group.
type AttachedGroupPoliciesInput struct {
	GroupName  string `constraint:"required len=1..128 pattern=IAMName"`
	PathPrefix string `constraint:"len=1..512 pattern=IAMPolicyPath"`
	Marker     string `constraint:"len=1.."`
	MaxItems   *int   `constraint:"range=1..1000"`
}

// AttachedRolePoliciesInput asks for a page of the managed policies of a role.
type AttachedRolePoliciesInput struct {
	RoleName   string `constraint:"required len=1..64 pattern=IAMName"`
	PathPrefix string `constraint:"len=1..512 pattern=IAMPolicyPath"`
	Marker     string `constraint:"len=1.."`
	MaxItems   *int   `constraint:"range=1..1000"`
}

// ListAttachedUserPolicies lists the managed policies of a user.
func (s *Server) ListAttachedUserPolicies(ctx context.Context, in *AttachedUserPoliciesInput) (*AttachedPoliciesOutput, error) {
	return s.attached(ctx, "iam:ListAttachedUserPolicies", userEntity(in.UserName), in.PathPrefix, in.Marker, in.MaxItems)
}

// ListAttachedGroupPolicies lists the managed policies of a group.
func (s *Server) ListAttachedGroupPolicies(ctx context.Context, in *AttachedGroupPoliciesInput) (*AttachedPoliciesOutput, error) {
	return s.attached(ctx, "iam:ListAttachedGroupPolicies", groupEntity(in.GroupName), in.PathPrefix, in.Marker, in.MaxItems)
}

// ListAttachedRolePolicies lists the managed policies of a role.
func (s *Server) ListAttachedRolePolicies(ctx context.Context, in *AttachedRolePoliciesInput) (*AttachedPoliciesOutput, error) {
	return s.attached(ctx, "iam:ListAttachedRolePolicies", roleEntity(in.RoleName), in.PathPrefix, in.Marker, in.MaxItems)
}

func (s *Server) attached(ctx context.Context, action string, e store.Entity, prefix, marker string, maxItems *int) (*AttachedPoliciesOutput, error) {
	if _, err := s.subject(ctx, action, e); err != nil {
		return nil, err
	}
	parameters := []string{e.Name, prefix}
	page, err := s.page(action, parameters, marker, maxItems)
	if err != nil {
		return nil, err
	}
	// There are at most attachedLimit: they fit one page of the store's.
	arns, _, err := s.cfg.Store.AttachedPolicies(ctx, e, store.Page{Limit: 1000})
	if err != nil {
		return nil, failed(err, string(e.Type), e.Name)
	}
	var wanted []string
	for _, arn := range arns {
		if strings.HasPrefix(pathOfPolicy(arn), prefix) {
			wanted = append(wanted, arn)
		}
	}
	items, next := pageOf(wanted, func(arn string) string { return arn }, page)
	out := &AttachedPoliciesOutput{AttachedPolicies: shownAttached(items), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, parameters, next)
	return out, err
}

func shownAttached(arns []string) []AttachedPolicy {
	shown := make([]AttachedPolicy, 0, len(arns))
	for _, arn := range arns {
		shown = append(shown, AttachedPolicy{PolicyName: arn[strings.LastIndexByte(arn, '/')+1:], PolicyARN: arn})
	}
	return shown
}

// pathOfPolicy is the path that a policy's ARN has in it.
func pathOfPolicy(arn string) string {
	_, path, _ := strings.Cut(arn, ":policy")
	return path[:strings.LastIndexByte(path, '/')+1]
}
