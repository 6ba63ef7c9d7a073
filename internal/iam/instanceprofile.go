package iam

import (
	"context"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// InstanceProfile is what carries a role to an EC2 instance, as answers show it.
type InstanceProfile struct {
	Path                string
	InstanceProfileName string
	InstanceProfileID   string `json:"InstanceProfileId"`
	ARN                 string `json:"Arn"`
	CreateDate          time.Time
	Roles               []Role
	Tags                []Tag `json:",omitempty"` // never any
}

// InstanceProfileInput names an instance profile.
type InstanceProfileInput struct {
	InstanceProfileName string `constraint:"required len=1..128 pattern=IAMName"`
}

// InstanceProfileOutput is an answer that shows an instance profile.
type InstanceProfileOutput struct{ InstanceProfile InstanceProfile }

func (s *Server) shownInstanceProfile(p store.InstanceProfile) InstanceProfile {
	return InstanceProfile{
		Path:                orSlash(p.Path),
		InstanceProfileName: p.Name,
		InstanceProfileID:   p.ID,
		ARN:                 s.arn("instance-profile", p.Path, p.Name),
		CreateDate:          p.CreatedAt,
		Roles:               s.listedRoles(p.Roles),
	}
}

// instanceProfile finds the instance profile of that name and asks for action on it.
func (s *Server) instanceProfile(ctx context.Context, action, name string) (store.InstanceProfile, error) {
	p, err := s.cfg.Store.InstanceProfile(ctx, name)
	if err != nil && !isNotFound(err) {
		return store.InstanceProfile{}, err
	}
	const kind = "instance-profile"
	denied := s.authorizeHidden(ctx, action, s.arn(kind, p.Path, name), s.arn(kind, "", name))
	if denied != nil {
		return store.InstanceProfile{}, denied
	}
	return p, failed(err, "Instance Profile", name)
}

// CreateInstanceProfileInput is the request of iam:CreateInstanceProfile. Tags are not
// kept, so a request with some is refused.
type CreateInstanceProfileInput struct {
	InstanceProfileName string `constraint:"required len=1..128 pattern=IAMName"`
	Path                string `constraint:"len=1..512 pattern=IAMPath"`
	Tags                []Tag  `constraint:"len=0..50"`
}

// CreateInstanceProfile makes an instance profile without a role.
func (s *Server) CreateInstanceProfile(ctx context.Context, in *CreateInstanceProfileInput) (*InstanceProfileOutput, error) {
	arn := s.arn("instance-profile", in.Path, in.InstanceProfileName)
	if err := s.authorize(ctx, "iam:CreateInstanceProfile", arn, requestTagKeys(in.Tags)); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		return nil, fault(codeInvalidInput, "Tags of instance profiles are not supported by this server.")
	}
	p := store.InstanceProfile{
		ID:        newID(prefixInstanceProfile),
		Name:      in.InstanceProfileName,
		Path:      orSlash(in.Path),
		CreatedAt: s.cfg.Now(),
	}
	if err := s.cfg.Store.CreateInstanceProfile(ctx, p); err != nil {
		return nil, failed(err, "Instance Profile", in.InstanceProfileName)
	}
	return &InstanceProfileOutput{InstanceProfile: s.shownInstanceProfile(p)}, nil
}

// GetInstanceProfile shows an instance profile.
func (s *Server) GetInstanceProfile(ctx context.Context, in *InstanceProfileInput) (*InstanceProfileOutput, error) {
	p, err := s.instanceProfile(ctx, "iam:GetInstanceProfile", in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	return &InstanceProfileOutput{InstanceProfile: s.shownInstanceProfile(p)}, nil
}

// DeleteInstanceProfile removes an instance profile that has no role any more.
func (s *Server) DeleteInstanceProfile(ctx context.Context, in *InstanceProfileInput) (*ssm.Empty, error) {
	if _, err := s.instanceProfile(ctx, "iam:DeleteInstanceProfile", in.InstanceProfileName); err != nil {
		return nil, err
	}
	err := s.cfg.Store.DeleteInstanceProfile(ctx, in.InstanceProfileName)
	return &ssm.Empty{}, failed(err, "Instance Profile", in.InstanceProfileName)
}

// ListInstanceProfilesOutput is the answer of the operations that list instance profiles.
type ListInstanceProfilesOutput struct {
	InstanceProfiles []InstanceProfile
	IsTruncated      bool
	Marker           string `json:",omitempty"`
}

func (s *Server) shownInstanceProfiles(profiles []store.InstanceProfile) []InstanceProfile {
	shown := make([]InstanceProfile, 0, len(profiles))
	for _, p := range profiles {
		shown = append(shown, s.shownInstanceProfile(p))
	}
	return shown
}

// ListInstanceProfiles lists the instance profiles under a path, by name.
func (s *Server) ListInstanceProfiles(ctx context.Context, in *ListInput) (*ListInstanceProfilesOutput, error) {
	const action = "iam:ListInstanceProfiles"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	profiles, next, err := s.cfg.Store.InstanceProfiles(ctx, in.PathPrefix, page)
	if err != nil {
		return nil, failed(err, "Instance Profile", "")
	}
	out := &ListInstanceProfilesOutput{InstanceProfiles: s.shownInstanceProfiles(profiles), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, in.PathPrefix, next)
	return out, err
}

// RoleInInstanceProfileInput names an instance profile and a role.
type RoleInInstanceProfileInput struct {
	InstanceProfileName string `constraint:"required len=1..128 pattern=IAMName"`
	RoleName            string `constraint:"required len=1..64 pattern=IAMName"`
}

// AddRoleToInstanceProfile puts a role into an instance profile, which has room for one.
// The caller hands the role to whoever starts an instance with the profile, and so must be
// allowed to pass it.
func (s *Server) AddRoleToInstanceProfile(ctx context.Context, in *RoleInInstanceProfileInput) (*ssm.Empty, error) {
	p, err := s.cfg.Store.InstanceProfile(ctx, in.InstanceProfileName)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	role, missing := s.subjectOf(ctx, roleEntity(in.RoleName))
	if missing != nil && !isNotFound(missing) {
		return nil, missing
	}
	shown := s.arn("instance-profile", "", in.InstanceProfileName)
	denied := s.authorizeHidden(ctx, "iam:AddRoleToInstanceProfile", s.arn("instance-profile", p.Path, in.InstanceProfileName), shown)
	if denied != nil {
		return nil, denied
	}
	passed := keys{"iam:PassedToService": {"ec2.amazonaws.com"}}
	if err := s.judge(ctx, "iam:PassRole", role, missing, passed); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, failed(err, "Instance Profile", in.InstanceProfileName)
	}
	err = s.cfg.Store.AddRoleToInstanceProfile(ctx, in.InstanceProfileName, in.RoleName)
	return &ssm.Empty{}, failed(err, "Instance Profile", in.InstanceProfileName)
}

// RemoveRoleFromInstanceProfile takes a role out of an instance profile.
func (s *Server) RemoveRoleFromInstanceProfile(ctx context.Context, in *RoleInInstanceProfileInput) (*ssm.Empty, error) {
	if _, err := s.instanceProfile(ctx, "iam:RemoveRoleFromInstanceProfile", in.InstanceProfileName); err != nil {
		return nil, err
	}
	err := s.cfg.Store.RemoveRoleFromInstanceProfile(ctx, in.InstanceProfileName, in.RoleName)
	return &ssm.Empty{}, failed(err, "role", in.RoleName)
}

// ListInstanceProfilesForRole lists the instance profiles that a role is in.
func (s *Server) ListInstanceProfilesForRole(ctx context.Context, in *RoleListInput) (*ListInstanceProfilesOutput, error) {
	const action = "iam:ListInstanceProfilesForRole"
	if _, err := s.role(ctx, action, in.RoleName); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.RoleName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	profiles, next, err := s.cfg.Store.InstanceProfilesOfRole(ctx, in.RoleName, page)
	if err != nil {
		return nil, failed(err, "role", in.RoleName)
	}
	out := &ListInstanceProfilesOutput{InstanceProfiles: s.shownInstanceProfiles(profiles), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, in.RoleName, next)
	return out, err
}
