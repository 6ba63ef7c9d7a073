package iam

import (
	"context"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// subject is a user, group or role as the operations on its policies see it.
type subject struct {
	store.Entity
	id, path string
	boundary string // ARN; groups have none
	tags     []ssm.Tag
}

func userEntity(name string) store.Entity { return store.Entity{Type: store.EntityUser, Name: name} }
func groupEntity(name string) store.Entity {
	return store.Entity{Type: store.EntityGroup, Name: name}
}
func roleEntity(name string) store.Entity { return store.Entity{Type: store.EntityRole, Name: name} }

// subjectOf reads an entity; what it returns with an error still has the name.
func (s *Server) subjectOf(ctx context.Context, e store.Entity) (subject, error) {
	found := subject{Entity: e}
	var err error
	switch e.Type {
	case store.EntityUser:
		var u store.User
		u, err = s.cfg.Store.UserByName(ctx, e.Name)
		found.id, found.path, found.boundary, found.tags = u.ID, u.Path, u.Boundary, u.Tags
	case store.EntityGroup:
		var g store.Group
		g, err = s.cfg.Store.Group(ctx, e.Name)
		found.id, found.path = g.ID, g.Path
	default:
		var r store.Role
		r, err = s.cfg.Store.Role(ctx, e.Name)
		found.id, found.path, found.boundary, found.tags = r.ID, r.Path, r.Boundary, r.Tags
	}
	return found, err
}

// subject finds an entity and asks for action on it. Permission is judged first, for an
// unknown one on KIND/NAME: only who may act on it learns that it does not exist.
func (s *Server) subject(ctx context.Context, action string, e store.Entity, context ...keys) (subject, error) {
	found, err := s.subjectOf(ctx, e)
	if err != nil && !isNotFound(err) {
		return subject{}, err
	}
	return found, s.judge(ctx, action, found, err, context...)
}

// boundedSubject is subject for the operations that change what an entity may do: they
// have the key iam:PermissionsBoundary with the boundary that the entity has now, so that
// somebody can be allowed to manage only those who are bounded.
func (s *Server) boundedSubject(ctx context.Context, action string, e store.Entity, context ...keys) (subject, error) {
	found, err := s.subjectOf(ctx, e)
	if err != nil && !isNotFound(err) {
		return subject{}, err
	}
	return found, s.judge(ctx, action, found, err, append(context, boundaryKeys(found.boundary))...)
}

// judge asks for action on what was looked for, and only then tells that it was not
// found.
func (s *Server) judge(ctx context.Context, action string, found subject, missing error, context ...keys) error {
	kind := string(found.Type)
	all := append(context, resourceTagKeys(found.tags))
	err := s.authorizeHidden(ctx, action, s.arn(kind, found.path, found.Name), s.arn(kind, "", found.Name), all...)
	if err != nil {
		return err
	}
	return failed(missing, kind, found.Name)
}
