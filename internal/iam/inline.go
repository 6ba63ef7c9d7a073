package iam

import (
	"context"
	"errors"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// PutUserPolicyInput is the request of iam:PutUserPolicy.
type PutUserPolicyInput struct {
	UserName       string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyName     string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
}

// PutGroupPolicyInput is the request of iam:PutGroupPolicy.
type PutGroupPolicyInput struct {
	GroupName      string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyName     string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
}

// PutRolePolicyInput is the request of iam:PutRolePolicy.
type PutRolePolicyInput struct {
	RoleName       string `constraint:"required len=1..64 pattern=IAMName"`
	PolicyName     string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
}

// PutUserPolicy writes a policy into a user, in place of the one of that name.
func (s *Server) PutUserPolicy(ctx context.Context, in *PutUserPolicyInput) (*ssm.Empty, error) {
	return s.putInline(ctx, "iam:PutUserPolicy", userEntity(in.UserName), in.PolicyName, in.PolicyDocument)
}

// PutGroupPolicy writes a policy into a group, in place of the one of that name.
func (s *Server) PutGroupPolicy(ctx context.Context, in *PutGroupPolicyInput) (*ssm.Empty, error) {
	return s.putInline(ctx, "iam:PutGroupPolicy", groupEntity(in.GroupName), in.PolicyName, in.PolicyDocument)
}

// PutRolePolicy writes a policy into a role, in place of the one of that name.
func (s *Server) PutRolePolicy(ctx context.Context, in *PutRolePolicyInput) (*ssm.Empty, error) {
	return s.putInline(ctx, "iam:PutRolePolicy", roleEntity(in.RoleName), in.PolicyName, in.PolicyDocument)
}

func (s *Server) putInline(ctx context.Context, action string, e store.Entity, name, document string) (*ssm.Empty, error) {
	if _, err := s.boundedSubject(ctx, action, e); err != nil {
		return nil, err
	}
	size, err := inlineDocument(document, e)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.PutInlinePolicy(ctx, e, name, document, size, inlineQuotas[e.Type])
	if _, ok := errors.AsType[*store.LimitError](err); ok {
		return nil, errInlineSize(e)
	}
	return &ssm.Empty{}, failed(err, string(e.Type), e.Name)
}

// UserPolicyInput names an inline policy of a user.
type UserPolicyInput struct {
	UserName   string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyName string `constraint:"required len=1..128 pattern=IAMName"`
}

// GroupPolicyInput names an inline policy of a group.
type GroupPolicyInput struct {
	GroupName  string `constraint:"required len=1..128 pattern=IAMName"`
	PolicyName string `constraint:"required len=1..128 pattern=IAMName"`
}

// RolePolicyInput names an inline policy of a role.
type RolePolicyInput struct {
	RoleName   string `constraint:"required len=1..64 pattern=IAMName"`
	PolicyName string `constraint:"required len=1..128 pattern=IAMName"`
}

// UserPolicyOutput shows an inline policy of a user.
type UserPolicyOutput struct {
	UserName, PolicyName, PolicyDocument string
}

// GroupPolicyOutput shows an inline policy of a group.
type GroupPolicyOutput struct {
	GroupName, PolicyName, PolicyDocument string
}

// RolePolicyOutput shows an inline policy of a role.
type RolePolicyOutput struct {
	RoleName, PolicyName, PolicyDocument string
}

// GetUserPolicy shows an inline policy of a user.
func (s *Server) GetUserPolicy(ctx context.Context, in *UserPolicyInput) (*UserPolicyOutput, error) {
	document, err := s.inline(ctx, "iam:GetUserPolicy", userEntity(in.UserName), in.PolicyName)
	return &UserPolicyOutput{in.UserName, in.PolicyName, document}, err
}

// GetGroupPolicy shows an inline policy of a group.
func (s *Server) GetGroupPolicy(ctx context.Context, in *GroupPolicyInput) (*GroupPolicyOutput, error) {
	document, err := s.inline(ctx, "iam:GetGroupPolicy", groupEntity(in.GroupName), in.PolicyName)
	return &GroupPolicyOutput{in.GroupName, in.PolicyName, document}, err
}

// GetRolePolicy shows an inline policy of a role.
func (s *Server) GetRolePolicy(ctx context.Context, in *RolePolicyInput) (*RolePolicyOutput, error) {
	document, err := s.inline(ctx, "iam:GetRolePolicy", roleEntity(in.RoleName), in.PolicyName)
	return &RolePolicyOutput{in.RoleName, in.PolicyName, document}, err
}

func (s *Server) inline(ctx context.Context, action string, e store.Entity, name string) (string, error) {
	if _, err := s.subject(ctx, action, e); err != nil {
		return "", err
	}
	document, err := s.cfg.Store.InlinePolicy(ctx, e, name)
	if err != nil {
		return "", failed(err, string(e.Type)+" policy", name)
	}
	return encodedDocument(document), nil
}

// DeleteUserPolicy removes an inline policy of a user.
func (s *Server) DeleteUserPolicy(ctx context.Context, in *UserPolicyInput) (*ssm.Empty, error) {
	return s.deleteInline(ctx, "iam:DeleteUserPolicy", userEntity(in.UserName), in.PolicyName)
}

// DeleteGroupPolicy removes an inline policy of a group.
func (s *Server) DeleteGroupPolicy(ctx context.Context, in *GroupPolicyInput) (*ssm.Empty, error) {
	return s.deleteInline(ctx, "iam:DeleteGroupPolicy", groupEntity(in.GroupName), in.PolicyName)
}

// DeleteRolePolicy removes an inline policy of a role.
func (s *Server) DeleteRolePolicy(ctx context.Context, in *RolePolicyInput) (*ssm.Empty, error) {
	return s.deleteInline(ctx, "iam:DeleteRolePolicy", roleEntity(in.RoleName), in.PolicyName)
}

func (s *Server) deleteInline(ctx context.Context, action string, e store.Entity, name string) (*ssm.Empty, error) {
	if _, err := s.boundedSubject(ctx, action, e); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeleteInlinePolicy(ctx, e, name), string(e.Type)+" policy", name)
}

// PolicyNamesOutput is a page of the names of inline policies.
type PolicyNamesOutput struct {
	PolicyNames []string
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// GroupListInput asks for a page of what a group has.
type GroupListInput struct {
	GroupName string `constraint:"required len=1..128 pattern=IAMName"`
	Marker    string `constraint:"len=1.."`
	MaxItems  *int   `constraint:"range=1..1000"`
}

// ListUserPolicies lists the names of the inline policies of a user.
func (s *Server) ListUserPolicies(ctx context.Context, in *UserListInput) (*PolicyNamesOutput, error) {
	return s.inlineNames(ctx, "iam:ListUserPolicies", userEntity(in.UserName), in.Marker, in.MaxItems)
}

// ListGroupPolicies lists the names of the inline policies of a group.
func (s *Server) ListGroupPolicies(ctx context.Context, in *GroupListInput) (*PolicyNamesOutput, error) {
	return s.inlineNames(ctx, "iam:ListGroupPolicies", groupEntity(in.GroupName), in.Marker, in.MaxItems)
}

// ListRolePolicies lists the names of the inline policies of a role.
func (s *Server) ListRolePolicies(ctx context.Context, in *RoleListInput) (*PolicyNamesOutput, error) {
	return s.inlineNames(ctx, "iam:ListRolePolicies", roleEntity(in.RoleName), in.Marker, in.MaxItems)
}

func (s *Server) inlineNames(ctx context.Context, action string, e store.Entity, marker string, maxItems *int) (*PolicyNamesOutput, error) {
	if _, err := s.subject(ctx, action, e); err != nil {
		return nil, err
	}
	page, err := s.page(action, e.Name, marker, maxItems)
	if err != nil {
		return nil, err
	}
	names, next, err := s.cfg.Store.InlinePolicies(ctx, e, page)
	if err != nil {
		return nil, failed(err, string(e.Type), e.Name)
	}
	out := &PolicyNamesOutput{PolicyNames: append([]string{}, names...), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, e.Name, next)
	return out, err
}
