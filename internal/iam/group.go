package iam

import (
	"context"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// CreateGroupInput is the request of iam:CreateGroup.
type CreateGroupInput struct {
	Path      string `constraint:"len=1..512 pattern=IAMPath"`
	GroupName string `constraint:"required len=1..128 pattern=IAMName"`
}

// GroupOutput is an answer that shows a group.
type GroupOutput struct{ Group Group }

// CreateGroup makes a group without members.
func (s *Server) CreateGroup(ctx context.Context, in *CreateGroupInput) (*GroupOutput, error) {
	if err := s.authorize(ctx, "iam:CreateGroup", s.arn("group", in.Path, in.GroupName)); err != nil {
		return nil, err
	}
	g := store.Group{ID: newID(prefixGroup), Name: in.GroupName, Path: orSlash(in.Path), CreatedAt: s.cfg.Now()}
	if err := s.cfg.Store.CreateGroup(ctx, g); err != nil {
		return nil, failed(err, "group", in.GroupName)
	}
	return &GroupOutput{Group: s.shownGroup(g)}, nil
}

// GetGroupInput is the request of iam:GetGroup.
type GetGroupInput struct {
	GroupName string `constraint:"required len=1..128 pattern=IAMName"`
	Marker    string `constraint:"len=1.."`
	MaxItems  *int   `constraint:"range=1..1000"`
}

// GetGroupOutput is the answer of iam:GetGroup.
type GetGroupOutput struct {
	Group       Group
	Users       []User
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// GetGroup shows a group and a page of its members.
func (s *Server) GetGroup(ctx context.Context, in *GetGroupInput) (*GetGroupOutput, error) {
	const action = "iam:GetGroup"
	g, err := s.group(ctx, action, in.GroupName)
	if err != nil {
		return nil, err
	}
	page, err := s.page(action, in.GroupName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	users, next, err := s.cfg.Store.GroupUsers(ctx, in.GroupName, page)
	if err != nil {
		return nil, failed(err, "group", in.GroupName)
	}
	out := &GetGroupOutput{Group: s.shownGroup(g), Users: s.listedUsers(users), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, in.GroupName, next)
	return out, err
}

// UpdateGroupInput is the request of iam:UpdateGroup.
type UpdateGroupInput struct {
	GroupName    string `constraint:"required len=1..128 pattern=IAMName"`
	NewPath      string `constraint:"len=1..512 pattern=IAMPath"`
	NewGroupName string `constraint:"len=1..128 pattern=IAMName"`
}

// UpdateGroup gives a group another name or path. The caller needs permission on the
// group as it is and as it will be.
func (s *Server) UpdateGroup(ctx context.Context, in *UpdateGroupInput) (*ssm.Empty, error) {
	const action = "iam:UpdateGroup"
	g, err := s.group(ctx, action, in.GroupName)
	if err != nil {
		return nil, err
	}
	path, name := g.Path, in.GroupName
	if in.NewPath != "" {
		path = in.NewPath
	}
	if in.NewGroupName != "" {
		name = in.NewGroupName
	}
	if err := s.authorize(ctx, action, s.arn("group", path, name)); err != nil {
		return nil, err
	}
	err = s.cfg.Store.UpdateGroup(ctx, in.GroupName, in.NewGroupName, in.NewPath)
	if isNotFound(err) {
		return nil, notFound("group", in.GroupName)
	}
	return &ssm.Empty{}, failed(err, "group", name)
}

// DeleteGroup removes a group without members and policies.
func (s *Server) DeleteGroup(ctx context.Context, in *GroupInput) (*ssm.Empty, error) {
	if _, err := s.group(ctx, "iam:DeleteGroup", in.GroupName); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeleteGroup(ctx, in.GroupName), "group", in.GroupName)
}

// GroupsOutput is a page of groups.
type GroupsOutput struct {
	Groups      []Group
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// ListGroups lists the groups under a path, by name.
func (s *Server) ListGroups(ctx context.Context, in *ListInput) (*GroupsOutput, error) {
	const action = "iam:ListGroups"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	groups, next, err := s.cfg.Store.Groups(ctx, in.PathPrefix, page)
	if err != nil {
		return nil, failed(err, "group", "")
	}
	return s.groupsPage(action, in.PathPrefix, groups, next)
}

// ListGroupsForUser lists the groups that a user is in.
func (s *Server) ListGroupsForUser(ctx context.Context, in *UserListInput) (*GroupsOutput, error) {
	const action = "iam:ListGroupsForUser"
	if _, err := s.user(ctx, action, in.UserName); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.UserName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	groups, next, err := s.cfg.Store.GroupsOfUser(ctx, in.UserName, page)
	if err != nil {
		return nil, failed(err, "user", in.UserName)
	}
	return s.groupsPage(action, in.UserName, groups, next)
}

func (s *Server) groupsPage(action, of string, groups []store.Group, next string) (*GroupsOutput, error) {
	out := &GroupsOutput{Groups: make([]Group, 0, len(groups)), IsTruncated: next != ""}
	for _, g := range groups {
		out.Groups = append(out.Groups, s.shownGroup(g))
	}
	var err error
	out.Marker, err = s.marker(action, of, next)
	return out, err
}

// MembershipInput names a user and a group.
type MembershipInput struct {
	GroupName string `constraint:"required len=1..128 pattern=IAMName"`
	UserName  string `constraint:"required len=1..128 pattern=IAMName"`
}

// members asks for action on the group and finds both.
func (s *Server) members(ctx context.Context, action string, in *MembershipInput) error {
	if _, err := s.group(ctx, action, in.GroupName); err != nil {
		return err
	}
	_, err := s.cfg.Store.UserByName(ctx, in.UserName)
	return failed(err, "user", in.UserName)
}

// AddUserToGroup makes a user a member; one that is a member stays it.
func (s *Server) AddUserToGroup(ctx context.Context, in *MembershipInput) (*ssm.Empty, error) {
	if err := s.members(ctx, "iam:AddUserToGroup", in); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.AddUserToGroup(ctx, in.GroupName, in.UserName), "user", in.UserName)
}

// RemoveUserFromGroup ends a membership.
func (s *Server) RemoveUserFromGroup(ctx context.Context, in *MembershipInput) (*ssm.Empty, error) {
	if err := s.members(ctx, "iam:RemoveUserFromGroup", in); err != nil {
		return nil, err
	}
	err := s.cfg.Store.RemoveUserFromGroup(ctx, in.GroupName, in.UserName)
	if isNotFound(err) {
		return nil, fault(codeNoSuchEntity, "The user with name %s cannot be found in the group with name %s.", in.UserName, in.GroupName)
	}
	return &ssm.Empty{}, err
}
