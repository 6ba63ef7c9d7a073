package iam

import (
	"context"
	"regexp"

	"sekisho/internal/auth"
	"sekisho/internal/policy/managed"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// CreateUserInput is the request of iam:CreateUser.
type CreateUserInput struct {
	Path                string `constraint:"len=1..512 pattern=IAMPath"`
	UserName            string `constraint:"required len=1..64 pattern=IAMName"`
	PermissionsBoundary string `constraint:"len=20..2048"`
	Tags                []Tag  `constraint:"len=0..50"`
}

// UserOutput is an answer that shows a user.
type UserOutput struct{ User User }

// CreateUser makes a user, who may do nothing yet.
func (s *Server) CreateUser(ctx context.Context, in *CreateUserInput) (*UserOutput, error) {
	err := s.authorize(ctx, "iam:CreateUser", s.arn("user", in.Path, in.UserName),
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
	u := store.User{
		ID:        newID(prefixUser),
		Name:      in.UserName,
		Path:      orSlash(in.Path),
		Boundary:  in.PermissionsBoundary,
		Tags:      storedTags(in.Tags),
		CreatedAt: s.cfg.Now(),
	}
	if err := s.cfg.Store.CreateUser(ctx, u); err != nil {
		return nil, failed(err, "user", in.UserName)
	}
	return &UserOutput{User: s.shownUser(u)}, nil
}

// policyARN is the ARN of a managed policy, of an account or of AWS.
var policyARN = regexp.MustCompile(`^arn:aws:iam::(\d{12}|aws):policy/([!-.0-~]+/)*[\w+=,.@-]+$`)

// checkBoundary refuses what is no policy that may bound permissions (api.md §18.1).
func (s *Server) checkBoundary(ctx context.Context, arn string) error {
	if _, ok := managed.Find(arn); ok {
		return nil
	}
	if !policyARN.MatchString(arn) {
		return validation("Value (%s) for parameter PermissionsBoundary is invalid.", arn)
	}
	_, err := s.cfg.Store.Policy(ctx, arn)
	if isNotFound(err) {
		return fault(codeNoSuchEntity, "The policy %s cannot be found", arn)
	}
	return err
}

// GetUser shows a user: that of the name, or the caller.
func (s *Server) GetUser(ctx context.Context, in *OptionalUserInput) (*UserOutput, error) {
	if p, _ := auth.From(ctx); in.UserName == "" && p.Kind == auth.Root {
		deployment, err := s.cfg.Store.Deployment(ctx)
		if err != nil {
			return nil, err
		}
		return &UserOutput{User: User{Path: "/", UserID: p.UserID, ARN: p.ARN, CreateDate: deployment.CreatedAt}}, nil
	}
	u, err := s.userOrCaller(ctx, "iam:GetUser", in.UserName)
	if err != nil {
		return nil, err
	}
	return &UserOutput{User: s.shownUser(u)}, nil
}

// UpdateUserInput is the request of iam:UpdateUser.
type UpdateUserInput struct {
	UserName    string `constraint:"required len=1..128 pattern=IAMName"`
	NewPath     string `constraint:"len=1..512 pattern=IAMPath"`
	NewUserName string `constraint:"len=1..64 pattern=IAMName"`
}

// UpdateUser gives a user another name or path. The caller needs permission on the user
// as it is and as it will be.
func (s *Server) UpdateUser(ctx context.Context, in *UpdateUserInput) (*ssm.Empty, error) {
	const action = "iam:UpdateUser"
	u, err := s.user(ctx, action, in.UserName)
	if err != nil {
		return nil, err
	}
	path, name := u.Path, in.UserName
	if in.NewPath != "" {
		path = in.NewPath
	}
	if in.NewUserName != "" {
		name = in.NewUserName
	}
	if err := s.authorize(ctx, action, s.arn("user", path, name), resourceTagKeys(u.Tags)); err != nil {
		return nil, err
	}
	err = s.cfg.Store.UpdateUser(ctx, in.UserName, in.NewUserName, in.NewPath)
	if isNotFound(err) {
		return nil, notFound("user", in.UserName)
	}
	return &ssm.Empty{}, failed(err, "user", name)
}

// DeleteUser removes a user who has nothing any more: no keys, password, devices,
// policies or groups.
func (s *Server) DeleteUser(ctx context.Context, in *UserInput) (*ssm.Empty, error) {
	if _, err := s.user(ctx, "iam:DeleteUser", in.UserName); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeleteUser(ctx, in.UserName), "user", in.UserName)
}

// ListUsersOutput is the answer of iam:ListUsers.
type ListUsersOutput struct {
	Users       []User
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// ListUsers lists the users under a path, by name.
func (s *Server) ListUsers(ctx context.Context, in *ListInput) (*ListUsersOutput, error) {
	const action = "iam:ListUsers"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	users, next, err := s.cfg.Store.Users(ctx, in.PathPrefix, page)
	if err != nil {
		return nil, failed(err, "user", "")
	}
	out := &ListUsersOutput{Users: s.listedUsers(users), IsTruncated: next != ""}
	out.Marker, err = s.marker(action, in.PathPrefix, next)
	return out, err
}

func (s *Server) listedUsers(users []store.User) []User {
	listed := make([]User, 0, len(users))
	for _, u := range users {
		listed = append(listed, s.listedUser(u))
	}
	return listed
}

// TagUserInput is the request of iam:TagUser.
type TagUserInput struct {
	UserName string `constraint:"required len=1..128 pattern=IAMName"`
	Tags     []Tag  `constraint:"required len=0..50"`
}

// TagUser adds tags to a user, in place of those with the same keys.
func (s *Server) TagUser(ctx context.Context, in *TagUserInput) (*ssm.Empty, error) {
	u, err := s.user(ctx, "iam:TagUser", in.UserName, requestTagKeys(in.Tags))
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err = s.cfg.Store.TagIdentity(ctx, "user", u.ID, storedTags(in.Tags), maxTags)
	return &ssm.Empty{}, failed(err, "user", in.UserName)
}

// UntagUserInput is the request of iam:UntagUser.
type UntagUserInput struct {
	UserName string   `constraint:"required len=1..128 pattern=IAMName"`
	TagKeys  []string `constraint:"required len=0..50 pattern=IAMTagKey"`
}

// UntagUser takes tags from a user; keys it has not are no error.
func (s *Server) UntagUser(ctx context.Context, in *UntagUserInput) (*ssm.Empty, error) {
	if err := checkTagKeys(in.TagKeys); err != nil {
		return nil, err
	}
	u, err := s.user(ctx, "iam:UntagUser", in.UserName, tagKeysKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.UntagIdentity(ctx, "user", u.ID, in.TagKeys), "user", in.UserName)
}

// tagKeysKeys gives the condition key that a request to remove tags makes.
func tagKeysKeys(tagKeys []string) keys {
	if len(tagKeys) == 0 {
		return nil
	}
	return keys{"aws:TagKeys": tagKeys}
}

// ListUserTags lists the tags of a user, by key.
func (s *Server) ListUserTags(ctx context.Context, in *UserListInput) (*TagsOutput, error) {
	const action = "iam:ListUserTags"
	u, err := s.user(ctx, action, in.UserName)
	if err != nil {
		return nil, err
	}
	return s.tagsPage(action, in.UserName, in.Marker, in.MaxItems, u.Tags)
}
