package iam

import (
	"context"
	"slices"
	"strings"

	"sekisho/internal/store"
)

// ListEntitiesForPolicyInput is the request of iam:ListEntitiesForPolicy.
type ListEntitiesForPolicyInput struct {
	PolicyARN         string `json:"PolicyArn" constraint:"required len=20..2048"`
	EntityFilter      string `constraint:"enum=IAMEntityType"`
	PathPrefix        string `constraint:"len=1..512 pattern=IAMPath"`
	PolicyUsageFilter string `constraint:"enum=IAMPolicyUsage"`
	Marker            string `constraint:"len=1.."`
	MaxItems          *int   `constraint:"range=1..1000"`
}

// ListEntitiesForPolicyOutput is the answer of iam:ListEntitiesForPolicy.
type ListEntitiesForPolicyOutput struct {
	PolicyGroups []PolicyGroup
	PolicyUsers  []PolicyUser
	PolicyRoles  []PolicyRole
	IsTruncated  bool
	Marker       string `json:",omitempty"`
}

// PolicyGroup is a group that has a policy.
type PolicyGroup struct {
	GroupName string
	GroupID   string `json:"GroupId"`
}

// PolicyUser is a user who has a policy.
type PolicyUser struct {
	UserName string
	UserID   string `json:"UserId"`
}

// PolicyRole is a role that has a policy.
type PolicyRole struct {
	RoleName string
	RoleID   string `json:"RoleId"`
}

// ListEntitiesForPolicy lists the groups, roles and users that have a managed policy
// attached or are bounded by it.
func (s *Server) ListEntitiesForPolicy(ctx context.Context, in *ListEntitiesForPolicyInput) (*ListEntitiesForPolicyOutput, error) {
	const action = "iam:ListEntitiesForPolicy"
	if _, err := s.policy(ctx, action, in.PolicyARN); err != nil {
		return nil, err
	}
	parameters := []string{in.PolicyARN, in.EntityFilter, in.PathPrefix, in.PolicyUsageFilter}
	page, err := s.page(action, parameters, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	attached, bounded, err := s.cfg.Store.PolicyEntities(ctx, in.PolicyARN)
	if err != nil {
		return nil, failed(err, "policy", in.PolicyARN)
	}
	switch in.PolicyUsageFilter {
	case "PermissionsPolicy":
		bounded = nil
	case "PermissionsBoundary":
		attached = nil
	}
	found, err := s.entities(ctx, append(attached, bounded...), in.EntityFilter, in.PathPrefix)
	if err != nil {
		return nil, err
	}
	items, next := pageOf(found, entityKey, page)
	out := &ListEntitiesForPolicyOutput{
		PolicyGroups: []PolicyGroup{}, PolicyUsers: []PolicyUser{}, PolicyRoles: []PolicyRole{},
		IsTruncated: next != "",
	}
	for _, e := range items {
		switch e.Type {
		case store.EntityGroup:
			out.PolicyGroups = append(out.PolicyGroups, PolicyGroup{e.Name, e.id})
		case store.EntityUser:
			out.PolicyUsers = append(out.PolicyUsers, PolicyUser{e.Name, e.id})
		case store.EntityRole:
			out.PolicyRoles = append(out.PolicyRoles, PolicyRole{e.Name, e.id})
		}
	}
	out.Marker, err = s.marker(action, parameters, next)
	return out, err
}

// entityKey tells entities apart and orders them.
func entityKey(e subject) string { return string(e.Type) + "/" + e.Name }

// entities reads the entities of a type under a path, each once and in their order.
func (s *Server) entities(ctx context.Context, all []store.Entity, filter, prefix string) ([]subject, error) {
	found := make([]subject, 0, len(all))
	for _, e := range all {
		if filter != "" && !strings.EqualFold(filter, string(e.Type)) {
			continue
		}
		one, err := s.subjectOf(ctx, e)
		if isNotFound(err) {
			continue // gone in the meantime
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(orSlash(one.path), prefix) {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b subject) int { return strings.Compare(entityKey(a), entityKey(b)) })
	return slices.CompactFunc(found, func(a, b subject) bool { return a.Entity == b.Entity }), nil
}
