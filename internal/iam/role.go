package iam

import (
	"context"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// roleOperations are the operations on roles and instance profiles.
func (s *Server) roleOperations() []awsapi.Operation {
	return []awsapi.Operation{
		op("CreateRole", s.CreateRole),
		op("GetRole", s.GetRole),
		op("UpdateRole", s.UpdateRole),
		op("UpdateRoleDescription", s.UpdateRoleDescription),
		op("UpdateAssumeRolePolicy", s.UpdateAssumeRolePolicy),
		op("DeleteRole", s.DeleteRole),
		op("ListRoles", s.ListRoles),
		op("TagRole", s.TagRole),
		op("UntagRole", s.UntagRole),
		op("ListRoleTags", s.ListRoleTags),

		op("CreateInstanceProfile", s.CreateInstanceProfile),
		op("GetInstanceProfile", s.GetInstanceProfile),
		op("DeleteInstanceProfile", s.DeleteInstanceProfile),
		op("ListInstanceProfiles", s.ListInstanceProfiles),
		op("AddRoleToInstanceProfile", s.AddRoleToInstanceProfile),
		op("RemoveRoleFromInstanceProfile", s.RemoveRoleFromInstanceProfile),
		op("ListInstanceProfilesForRole", s.ListInstanceProfilesForRole),
	}
}

// Role is a role as answers show it.
type Role struct {
	Path                     string
	RoleName                 string
	RoleID                   string `json:"RoleId"`
	ARN                      string `json:"Arn"`
	CreateDate               time.Time
	AssumeRolePolicyDocument string
	Description              string `json:",omitempty"`
	MaxSessionDuration       int    // seconds
	PermissionsBoundary      *AttachedPermissionsBoundary
	Tags                     []Tag `json:",omitempty"`
	RoleLastUsed             *RoleLastUsed
}

// RoleLastUsed is when and where credentials of a role were last used; it is empty if
// they never were.
type RoleLastUsed struct {
	LastUsedDate *ssm.Time
	Region       string `json:",omitempty"`
}

// RoleInput names a role.
type RoleInput struct {
	RoleName string `constraint:"required len=1..64 pattern=IAMName"`
}

// RoleListInput asks for a page of what a role has.
type RoleListInput struct {
	RoleName string `constraint:"required len=1..64 pattern=IAMName"`
	Marker   string `constraint:"len=1.."`
	MaxItems *int   `constraint:"range=1..1000"`
}

// RoleOutput is an answer that shows a role.
type RoleOutput struct{ Role Role }

// role finds the role of that name and asks for action on it, as user does.
func (s *Server) role(ctx context.Context, action, name string, context ...keys) (store.Role, error) {
	r, err := s.cfg.Store.Role(ctx, name)
	if err != nil && !isNotFound(err) {
		return store.Role{}, err
	}
	found := subject{Entity: roleEntity(name), id: r.ID, path: r.Path, boundary: r.Boundary, tags: r.Tags}
	return r, s.judge(ctx, action, found, err, context...)
}

// listedRole is a role as lists show it: without tags, boundary and use (api.md §18.1).
func (s *Server) listedRole(r store.Role) Role {
	return Role{
		Path:                     orSlash(r.Path),
		RoleName:                 r.Name,
		RoleID:                   r.ID,
		ARN:                      s.arn("role", r.Path, r.Name),
		CreateDate:               r.CreatedAt,
		AssumeRolePolicyDocument: encodedDocument(r.TrustPolicy),
		Description:              r.Description,
		MaxSessionDuration:       int(r.MaxSession / time.Second),
	}
}

// shownRole is a role as answers about it alone show it.
func (s *Server) shownRole(r store.Role) Role {
	shown := s.listedRole(r)
	shown.PermissionsBoundary = shownBoundary(r.Boundary)
	shown.Tags = shownTags(r.Tags)
	shown.RoleLastUsed = s.lastUsed(r)
	return shown
}

func (s *Server) lastUsed(r store.Role) *RoleLastUsed {
	used := &RoleLastUsed{LastUsedDate: ssm.At(r.LastUsedAt)}
	if used.LastUsedDate != nil {
		used.Region = s.cfg.ARNs.Region
	}
	return used
}

// defaultMaxSession is how long a role may be assumed unless it says otherwise.
const defaultMaxSession = time.Hour

// CreateRoleInput is the request of iam:CreateRole.
type CreateRoleInput struct {
	Path                     string `constraint:"len=1..512 pattern=IAMPath"`
	RoleName                 string `constraint:"required len=1..64 pattern=IAMName"`
	AssumeRolePolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
	Description              string `constraint:"len=0..1000 pattern=IAMRoleDescription"`
	MaxSessionDuration       *int   `constraint:"range=3600..43200"`
	PermissionsBoundary      string `constraint:"len=20..2048"`
	Tags                     []Tag  `constraint:"len=0..50"`
}

// CreateRole makes a role, which may do nothing yet.
func (s *Server) CreateRole(ctx context.Context, in *CreateRoleInput) (*RoleOutput, error) {
	err := s.authorize(ctx, "iam:CreateRole", s.arn("role", in.Path, in.RoleName),
		requestTagKeys(in.Tags), boundaryKeys(in.PermissionsBoundary))
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != "" {
		if err := s.checkBoundary(ctx, in.PermissionsBoundary); err != nil {
			return nil, err
		}
	}
	trusted, err := s.trustDocument(ctx, in.AssumeRolePolicyDocument)
	if err != nil {
		return nil, err
	}
	r := store.Role{
		ID:          newID(prefixRole),
		Name:        in.RoleName,
		Path:        orSlash(in.Path),
		Description: in.Description,
		TrustPolicy: in.AssumeRolePolicyDocument,
		TrustIDs:    trusted,
		MaxSession:  defaultMaxSession,
		Boundary:    in.PermissionsBoundary,
		Tags:        storedTags(in.Tags),
		CreatedAt:   s.cfg.Now(),
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
	}
	if err := s.cfg.Store.CreateRole(ctx, r); err != nil {
		return nil, failed(err, "role", in.RoleName)
	}
	shown := s.shownRole(r)
	shown.RoleLastUsed = nil
	return &RoleOutput{Role: shown}, nil
}

// GetRole shows a role.
func (s *Server) GetRole(ctx context.Context, in *RoleInput) (*RoleOutput, error) {
	r, err := s.role(ctx, "iam:GetRole", in.RoleName)
	if err != nil {
		return nil, err
	}
	return &RoleOutput{Role: s.shownRole(r)}, nil
}

// UpdateRoleInput is the request of iam:UpdateRole. What it does not say stays.
type UpdateRoleInput struct {
	RoleName           string  `constraint:"required len=1..64 pattern=IAMName"`
	Description        *string `constraint:"len=0..1000 pattern=IAMRoleDescription"`
	MaxSessionDuration *int    `constraint:"range=3600..43200"`
}

// UpdateRoleOutput is the answer of iam:UpdateRole. It has nothing in it, but clients
// want its element, which an answer without members would not have.
type UpdateRoleOutput struct{ Nothing *string }

// UpdateRole changes a role's description and how long it may be assumed.
func (s *Server) UpdateRole(ctx context.Context, in *UpdateRoleInput) (*UpdateRoleOutput, error) {
	if _, err := s.role(ctx, "iam:UpdateRole", in.RoleName); err != nil {
		return nil, err
	}
	var longest *time.Duration
	if in.MaxSessionDuration != nil {
		d := time.Duration(*in.MaxSessionDuration) * time.Second
		longest = &d
	}
	return &UpdateRoleOutput{}, failed(s.cfg.Store.UpdateRole(ctx, in.RoleName, in.Description, longest), "role", in.RoleName)
}

// UpdateRoleDescriptionInput is the request of iam:UpdateRoleDescription.
type UpdateRoleDescriptionInput struct {
	RoleName    string  `constraint:"required len=1..64 pattern=IAMName"`
	Description *string `constraint:"required len=0..1000 pattern=IAMRoleDescription"`
}

// UpdateRoleDescription changes a role's description and shows the role.
func (s *Server) UpdateRoleDescription(ctx context.Context, in *UpdateRoleDescriptionInput) (*RoleOutput, error) {
	r, err := s.role(ctx, "iam:UpdateRoleDescription", in.RoleName)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Store.UpdateRole(ctx, in.RoleName, in.Description, nil); err != nil {
		return nil, failed(err, "role", in.RoleName)
	}
	r.Description = *in.Description
	return &RoleOutput{Role: s.shownRole(r)}, nil
}

// UpdateAssumeRolePolicyInput is the request of iam:UpdateAssumeRolePolicy.
type UpdateAssumeRolePolicyInput struct {
	RoleName       string `constraint:"required len=1..64 pattern=IAMName"`
	PolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
}

// UpdateAssumeRolePolicy replaces the policy that says who may assume a role. To save the
// same text again trusts those who have the names now.
func (s *Server) UpdateAssumeRolePolicy(ctx context.Context, in *UpdateAssumeRolePolicyInput) (*ssm.Empty, error) {
	if _, err := s.role(ctx, "iam:UpdateAssumeRolePolicy", in.RoleName); err != nil {
		return nil, err
	}
	trusted, err := s.trustDocument(ctx, in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.SetTrustPolicy(ctx, in.RoleName, in.PolicyDocument, trusted)
	return &ssm.Empty{}, failed(err, "role", in.RoleName)
}

// DeleteRole removes a role that has no policies and is in no instance profile. Its
// temporary credentials end with it.
func (s *Server) DeleteRole(ctx context.Context, in *RoleInput) (*ssm.Empty, error) {
	if _, err := s.role(ctx, "iam:DeleteRole", in.RoleName); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeleteRole(ctx, in.RoleName), "role", in.RoleName)
}

// ListRolesOutput is the answer of iam:ListRoles.
type ListRolesOutput struct {
	Roles       []Role
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// ListRoles lists the roles under a path, by name.
func (s *Server) ListRoles(ctx context.Context, in *ListInput) (*ListRolesOutput, error) {
	const action = "iam:ListRoles"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	roles, next, err := s.cfg.Store.Roles(ctx, in.PathPrefix, page)
	if err != nil {
		return nil, failed(err, "role", "")
	}
	out := &ListRolesOutput{Roles: s.listedRoles(roles), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, in.PathPrefix, next)
	return out, err
}

func (s *Server) listedRoles(roles []store.Role) []Role {
	listed := make([]Role, 0, len(roles))
	for _, r := range roles {
		listed = append(listed, s.listedRole(r))
	}
	return listed
}

// TagRoleInput is the request of iam:TagRole.
type TagRoleInput struct {
	RoleName string `constraint:"required len=1..64 pattern=IAMName"`
	Tags     []Tag  `constraint:"required len=0..50"`
}

// TagRole adds tags to a role, in place of those with the same keys.
func (s *Server) TagRole(ctx context.Context, in *TagRoleInput) (*ssm.Empty, error) {
	r, err := s.role(ctx, "iam:TagRole", in.RoleName, requestTagKeys(in.Tags))
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err = s.cfg.Store.TagIdentity(ctx, "role", r.ID, storedTags(in.Tags), maxTags)
	return &ssm.Empty{}, failed(err, "role", in.RoleName)
}

// UntagRoleInput is the request of iam:UntagRole.
type UntagRoleInput struct {
	RoleName string   `constraint:"required len=1..64 pattern=IAMName"`
	TagKeys  []string `constraint:"required len=0..50 pattern=IAMTagKey"`
}

// UntagRole takes tags from a role; keys it has not are no error.
func (s *Server) UntagRole(ctx context.Context, in *UntagRoleInput) (*ssm.Empty, error) {
	if err := checkTagKeys(in.TagKeys); err != nil {
		return nil, err
	}
	r, err := s.role(ctx, "iam:UntagRole", in.RoleName, tagKeysKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.UntagIdentity(ctx, "role", r.ID, in.TagKeys), "role", in.RoleName)
}

// ListRoleTags lists the tags of a role, by key.
func (s *Server) ListRoleTags(ctx context.Context, in *RoleListInput) (*TagsOutput, error) {
	const action = "iam:ListRoleTags"
	r, err := s.role(ctx, action, in.RoleName)
	if err != nil {
		return nil, err
	}
	return s.tagsPage(action, in.RoleName, in.Marker, in.MaxItems, r.Tags)
}
