package iam

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/policy/managed"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// policyOperations are the operations on managed policies, and on the policies that
// users, groups and roles have.
func (s *Server) policyOperations() []awsapi.Operation {
	return []awsapi.Operation{
		op("CreatePolicy", s.CreatePolicy),
		op("GetPolicy", s.GetPolicy),
		op("DeletePolicy", s.DeletePolicy),
		op("ListPolicies", s.ListPolicies),
		op("TagPolicy", s.TagPolicy),
		op("UntagPolicy", s.UntagPolicy),
		op("ListPolicyTags", s.ListPolicyTags),
		op("ListEntitiesForPolicy", s.ListEntitiesForPolicy),

		op("CreatePolicyVersion", s.CreatePolicyVersion),
		op("GetPolicyVersion", s.GetPolicyVersion),
		op("ListPolicyVersions", s.ListPolicyVersions),
		op("SetDefaultPolicyVersion", s.SetDefaultPolicyVersion),
		op("DeletePolicyVersion", s.DeletePolicyVersion),

		op("AttachUserPolicy", s.AttachUserPolicy),
		op("DetachUserPolicy", s.DetachUserPolicy),
		op("ListAttachedUserPolicies", s.ListAttachedUserPolicies),
		op("AttachGroupPolicy", s.AttachGroupPolicy),
		op("DetachGroupPolicy", s.DetachGroupPolicy),
		op("ListAttachedGroupPolicies", s.ListAttachedGroupPolicies),
		op("AttachRolePolicy", s.AttachRolePolicy),
		op("DetachRolePolicy", s.DetachRolePolicy),
		op("ListAttachedRolePolicies", s.ListAttachedRolePolicies),

		op("PutUserPolicy", s.PutUserPolicy),
		op("GetUserPolicy", s.GetUserPolicy),
		op("DeleteUserPolicy", s.DeleteUserPolicy),
		op("ListUserPolicies", s.ListUserPolicies),
		op("PutGroupPolicy", s.PutGroupPolicy),
		op("GetGroupPolicy", s.GetGroupPolicy),
		op("DeleteGroupPolicy", s.DeleteGroupPolicy),
		op("ListGroupPolicies", s.ListGroupPolicies),
		op("PutRolePolicy", s.PutRolePolicy),
		op("GetRolePolicy", s.GetRolePolicy),
		op("DeleteRolePolicy", s.DeleteRolePolicy),
		op("ListRolePolicies", s.ListRolePolicies),

		op("PutUserPermissionsBoundary", s.PutUserPermissionsBoundary),
		op("DeleteUserPermissionsBoundary", s.DeleteUserPermissionsBoundary),
		op("PutRolePermissionsBoundary", s.PutRolePermissionsBoundary),
		op("DeleteRolePermissionsBoundary", s.DeleteRolePermissionsBoundary),
	}
}

// Policy is a managed policy as answers show it.
type Policy struct {
	PolicyName                    string
	PolicyID                      string `json:"PolicyId"`
	ARN                           string `json:"Arn"`
	Path                          string
	DefaultVersionID              string `json:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `json:",omitempty"`
	CreateDate                    time.Time
	UpdateDate                    time.Time
	Tags                          []Tag `json:",omitempty"`
}

// PolicyInput names a managed policy.
type PolicyInput struct {
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
}

// PolicyOutput is an answer that shows a managed policy.
type PolicyOutput struct{ Policy Policy }

// versionID is how answers and requests name a version.
func versionID(n int) string { return "v" + strconv.Itoa(n) }

// listedPolicy is a policy as lists show it: without its tags.
func listedPolicy(p store.ManagedPolicy) Policy {
	return Policy{
		PolicyName:                    p.Name,
		PolicyID:                      p.ID,
		ARN:                           p.ARN,
		Path:                          orSlash(p.Path),
		DefaultVersionID:              versionID(p.DefaultVersion),
		AttachmentCount:               p.AttachmentCount,
		PermissionsBoundaryUsageCount: p.BoundaryCount,
		IsAttachable:                  true,
		Description:                   p.Description,
		CreateDate:                    p.CreatedAt,
		UpdateDate:                    p.UpdatedAt,
	}
}

// serviceProvided is a policy that comes with the service, as it is stored.
func (s *Server) serviceProvided(ctx context.Context, p managed.Policy) (store.ManagedPolicy, error) {
	attached, boundary, err := s.cfg.Store.AttachmentCount(ctx, p.ARN)
	return store.ManagedPolicy{
		ID:              p.ID,
		ARN:             p.ARN,
		Name:            p.Name,
		Path:            p.Path,
		Description:     p.Description,
		DefaultVersion:  1,
		AttachmentCount: attached,
		BoundaryCount:   boundary,
		CreatedAt:       p.CreatedAt,
		UpdatedAt:       p.CreatedAt,
	}, err
}

// policy finds the managed policy with that ARN and asks for action on it.
func (s *Server) policy(ctx context.Context, action, arn string, context ...keys) (store.ManagedPolicy, error) {
	if err := checkPolicyARN(arn); err != nil {
		return store.ManagedPolicy{}, err
	}
	var found store.ManagedPolicy
	var err error
	if shipped, ok := managed.Find(arn); ok {
		found, err = s.serviceProvided(ctx, shipped)
	} else {
		found, err = s.cfg.Store.Policy(ctx, arn)
	}
	if err != nil && !isNotFound(err) {
		return store.ManagedPolicy{}, err
	}
	if denied := s.authorize(ctx, action, arn, append(context, resourceTagKeys(found.Tags))...); denied != nil {
		return store.ManagedPolicy{}, denied
	}
	return found, failed(err, "policy", arn)
}

// ownPolicy is policy for the operations that change it. Nobody changes what comes with
// the service, whatever they may do.
func (s *Server) ownPolicy(ctx context.Context, action, arn string, context ...keys) (store.ManagedPolicy, error) {
	found, err := s.policy(ctx, action, arn, context...)
	if err == nil && managed.Is(arn) {
		p, _ := auth.From(ctx)
		return found, fault(codeForbidden, "User: %s is not authorized to perform: %s on resource: policy %s", p.ARN, action, arn)
	}
	return found, err
}

// CreatePolicyInput is the request of iam:CreatePolicy.
type CreatePolicyInput struct {
	PolicyName     string `constraint:"required len=1..128 pattern=IAMName"`
	Path           string `constraint:"len=1..512 pattern=IAMPolicyPath"`
	PolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
	Description    string `constraint:"len=0..1000"`
	Tags           []Tag  `constraint:"len=0..50"`
}

// CreatePolicy makes a managed policy. Its document is version v1.
func (s *Server) CreatePolicy(ctx context.Context, in *CreatePolicyInput) (*PolicyOutput, error) {
	arn := s.arn("policy", in.Path, in.PolicyName)
	if err := s.authorize(ctx, "iam:CreatePolicy", arn, requestTagKeys(in.Tags)); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := managedDocument(in.PolicyDocument); err != nil {
		return nil, err
	}
	p := store.ManagedPolicy{
		ID:             newID(prefixPolicy),
		ARN:            arn,
		Name:           in.PolicyName,
		Path:           orSlash(in.Path),
		Description:    in.Description,
		DefaultVersion: 1,
		CreatedAt:      s.cfg.Now(),
		Tags:           storedTags(in.Tags),
	}
	p.UpdatedAt = p.CreatedAt
	if err := s.cfg.Store.CreatePolicy(ctx, p, in.PolicyDocument); err != nil {
		return nil, failed(err, "policy", in.PolicyName)
	}
	shown := listedPolicy(p)
	shown.Tags = shownTags(p.Tags)
	return &PolicyOutput{Policy: shown}, nil
}

// GetPolicy shows a managed policy, without its document.
func (s *Server) GetPolicy(ctx context.Context, in *PolicyInput) (*PolicyOutput, error) {
	p, err := s.policy(ctx, "iam:GetPolicy", in.PolicyARN)
	if err != nil {
		return nil, err
	}
	shown := listedPolicy(p)
	shown.Tags = shownTags(p.Tags)
	return &PolicyOutput{Policy: shown}, nil
}

// DeletePolicy removes a managed policy that nobody has and that has one version.
func (s *Server) DeletePolicy(ctx context.Context, in *PolicyInput) (*ssm.Empty, error) {
	if _, err := s.ownPolicy(ctx, "iam:DeletePolicy", in.PolicyARN); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeletePolicy(ctx, in.PolicyARN), "policy", in.PolicyARN)
}

// ListPoliciesInput is the request of iam:ListPolicies.
type ListPoliciesInput struct {
	Scope             string `constraint:"enum=IAMPolicyScope"`
	OnlyAttached      bool
	PathPrefix        string `constraint:"len=1..512 pattern=IAMPolicyPath"`
	PolicyUsageFilter string `constraint:"enum=IAMPolicyUsage"`
	Marker            string `constraint:"len=1.."`
	MaxItems          *int   `constraint:"range=1..1000"`
}

// ListPoliciesOutput is the answer of iam:ListPolicies.
type ListPoliciesOutput struct {
	Policies    []Policy
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// Where a marker of ListPolicies goes on: among the account's policies, or among those
// that come with the service, which are listed behind them.
const (
	cursorLocal   = "l:"
	cursorService = "s:"
)

// ListPolicies lists the account's managed policies by name, and then those that come
// with the service.
func (s *Server) ListPolicies(ctx context.Context, in *ListPoliciesInput) (*ListPoliciesOutput, error) {
	const action = "iam:ListPolicies"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	parameters := []any{in.Scope, in.OnlyAttached, in.PathPrefix, in.PolicyUsageFilter}
	page, err := s.page(action, parameters, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &ListPoliciesOutput{Policies: []Policy{}}
	var next string
	local := in.Scope != "AWS" && !strings.HasPrefix(page.After, cursorService)
	if local {
		if next, err = s.localPolicies(ctx, in, page, out); err != nil {
			return nil, err
		}
	}
	if in.Scope != "Local" && next == "" {
		page.Limit -= len(out.Policies)
		if local {
			page.After = cursorService
		}
		if next, err = s.servicePolicies(ctx, in, page, out); err != nil {
			return nil, err
		}
	}
	out.IsTruncated = next != ""
	out.Marker, err = s.marker(action, parameters, next)
	return out, err
}

// localPolicies adds a page of the account's policies and says where the next goes on.
func (s *Server) localPolicies(ctx context.Context, in *ListPoliciesInput, page store.Page, out *ListPoliciesOutput) (string, error) {
	page.After = strings.TrimPrefix(page.After, cursorLocal)
	policies, next, err := s.cfg.Store.Policies(ctx, store.PolicyFilter{
		PathPrefix:   in.PathPrefix,
		OnlyAttached: in.OnlyAttached,
		Boundary:     in.PolicyUsageFilter == "PermissionsBoundary",
	}, page)
	if err != nil {
		return "", failed(err, "policy", "")
	}
	for _, p := range policies {
		out.Policies = append(out.Policies, listedPolicy(p))
	}
	if next != "" {
		next = cursorLocal + next
	}
	return next, nil
}

// servicePolicies is localPolicies for those that come with the service. If there is no
// room left on the page, it says only whether there are any.
func (s *Server) servicePolicies(ctx context.Context, in *ListPoliciesInput, page store.Page, out *ListPoliciesOutput) (string, error) {
	var wanted []store.ManagedPolicy
	for _, shipped := range managed.All() {
		p, err := s.serviceProvided(ctx, shipped)
		if err != nil {
			return "", err
		}
		boundary := in.PolicyUsageFilter == "PermissionsBoundary"
		switch {
		case !strings.HasPrefix(p.Path, in.PathPrefix),
			boundary && p.BoundaryCount == 0,
			!boundary && in.OnlyAttached && p.AttachmentCount == 0:
		default:
			wanted = append(wanted, p)
		}
	}
	page.After = strings.TrimPrefix(page.After, cursorService)
	if page.Limit == 0 {
		if len(wanted) == 0 {
			return "", nil
		}
		return cursorService, nil
	}
	listed, next := pageOf(wanted, func(p store.ManagedPolicy) string { return p.Name }, page)
	for _, p := range listed {
		out.Policies = append(out.Policies, listedPolicy(p))
	}
	if next != "" {
		next = cursorService + next
	}
	return next, nil
}

// TagPolicyInput is the request of iam:TagPolicy.
type TagPolicyInput struct {
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
	Tags      []Tag  `constraint:"required len=0..50"`
}

// TagPolicy adds tags to a managed policy, in place of those with the same keys.
func (s *Server) TagPolicy(ctx context.Context, in *TagPolicyInput) (*ssm.Empty, error) {
	if _, err := s.ownPolicy(ctx, "iam:TagPolicy", in.PolicyARN, requestTagKeys(in.Tags)); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err := s.cfg.Store.TagIdentity(ctx, "policy", in.PolicyARN, storedTags(in.Tags), maxTags)
	return &ssm.Empty{}, failed(err, "policy", in.PolicyARN)
}

// UntagPolicyInput is the request of iam:UntagPolicy.
type UntagPolicyInput struct {
	PolicyARN string   `json:"PolicyArn" constraint:"required len=20..2048"`
	TagKeys   []string `constraint:"required len=0..50 pattern=IAMTagKey"`
}

// UntagPolicy takes tags from a managed policy; keys it has not are no error.
func (s *Server) UntagPolicy(ctx context.Context, in *UntagPolicyInput) (*ssm.Empty, error) {
	if err := checkTagKeys(in.TagKeys); err != nil {
		return nil, err
	}
	if _, err := s.ownPolicy(ctx, "iam:UntagPolicy", in.PolicyARN, tagKeysKeys(in.TagKeys)); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.UntagIdentity(ctx, "policy", in.PolicyARN, in.TagKeys), "policy", in.PolicyARN)
}

// PolicyListInput asks for a page of what a managed policy has.
type PolicyListInput struct {
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
	Marker    string `constraint:"len=1.."`
	MaxItems  *int   `constraint:"range=1..1000"`
}

// ListPolicyTags lists the tags of a managed policy, by key.
func (s *Server) ListPolicyTags(ctx context.Context, in *PolicyListInput) (*TagsOutput, error) {
	const action = "iam:ListPolicyTags"
	p, err := s.policy(ctx, action, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	return s.tagsPage(action, in.PolicyARN, in.Marker, in.MaxItems, p.Tags)
}
