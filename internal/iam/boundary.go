package iam

import (
	"context"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// UserBoundaryInput is the request of iam:PutUserPermissionsBoundary.
type UserBoundaryInput struct {
	UserName            string `constraint:"required len=1..64 pattern=IAMName"`
	PermissionsBoundary string `constraint:"required len=20..2048"`
}

// RoleBoundaryInput is the request of iam:PutRolePermissionsBoundary.
type RoleBoundaryInput struct {
	RoleName            string `constraint:"required len=1..64 pattern=IAMName"`
	PermissionsBoundary string `constraint:"required len=20..2048"`
}

// PutUserPermissionsBoundary bounds what a user may do by a managed policy.
func (s *Server) PutUserPermissionsBoundary(ctx context.Context, in *UserBoundaryInput) (*ssm.Empty, error) {
	return s.putBoundary(ctx, "iam:PutUserPermissionsBoundary", userEntity(in.UserName), in.PermissionsBoundary)
}

// PutRolePermissionsBoundary bounds what a role may do by a managed policy.
func (s *Server) PutRolePermissionsBoundary(ctx context.Context, in *RoleBoundaryInput) (*ssm.Empty, error) {
	return s.putBoundary(ctx, "iam:PutRolePermissionsBoundary", roleEntity(in.RoleName), in.PermissionsBoundary)
}

// putBoundary has as key the boundary to be, and not the one that is.
func (s *Server) putBoundary(ctx context.Context, action string, e store.Entity, arn string) (*ssm.Empty, error) {
	if _, err := s.subject(ctx, action, e, boundaryKeys(arn)); err != nil {
		return nil, err
	}
	if err := s.checkBoundary(ctx, arn); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.SetBoundary(ctx, e, arn), string(e.Type), e.Name)
}

// DeleteUserPermissionsBoundary takes the boundary from a user; none is no error.
func (s *Server) DeleteUserPermissionsBoundary(ctx context.Context, in *UserInput) (*ssm.Empty, error) {
	return s.deleteBoundary(ctx, "iam:DeleteUserPermissionsBoundary", userEntity(in.UserName))
}

// DeleteRolePermissionsBoundary takes the boundary from a role; none is no error.
func (s *Server) DeleteRolePermissionsBoundary(ctx context.Context, in *RoleInput) (*ssm.Empty, error) {
	return s.deleteBoundary(ctx, "iam:DeleteRolePermissionsBoundary", roleEntity(in.RoleName))
}

func (s *Server) deleteBoundary(ctx context.Context, action string, e store.Entity) (*ssm.Empty, error) {
	if _, err := s.boundedSubject(ctx, action, e); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.SetBoundary(ctx, e, ""), string(e.Type), e.Name)
}
