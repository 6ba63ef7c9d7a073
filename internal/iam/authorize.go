package iam

import (
	"context"
	"errors"
	"maps"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// everything is the resource of an operation without resource-level permission.
const everything = "*"

// keys are condition keys of one question, by their full names.
type keys = map[string][]string

// joined gives all keys of several sets; nil if there are none.
func joined(sets ...keys) keys {
	var all keys
	for _, set := range sets {
		if len(set) > 0 && all == nil {
			all = make(keys)
		}
		maps.Copy(all, set)
	}
	return all
}

// resourceTagKeys gives the condition keys that an entity's tags make (api.md §5.1).
func resourceTagKeys(tags []ssm.Tag) keys {
	all := make(keys, 2*len(tags))
	for _, t := range tags {
		all["aws:ResourceTag/"+t.Key] = []string{t.Value}
		all["iam:ResourceTag/"+t.Key] = []string{t.Value}
	}
	return all
}

// requestTagKeys gives the condition keys that tags in a request make.
func requestTagKeys(tags []Tag) keys {
	all := make(keys, len(tags)+1)
	for _, t := range tags {
		all["aws:RequestTag/"+t.Key] = []string{t.Value}
		all["aws:TagKeys"] = append(all["aws:TagKeys"], t.Key)
	}
	return all
}

// boundaryKeys gives the condition key that a request's permissions boundary makes.
func boundaryKeys(arn string) keys {
	if arn == "" {
		return nil
	}
	return keys{"iam:PermissionsBoundary": {arn}}
}

// authorize asks for one action ("iam:ListUsers") on one resource.
func (s *Server) authorize(ctx context.Context, action, resource string, extra ...keys) error {
	return s.cfg.Auth.Authorize(ctx, auth.Request{Action: action, Resource: resource, Context: joined(extra...)})
}

// authorizeHidden is authorize for a resource whose ARN tells what the caller did not
// say, such as a path: a denial names shown in its place, so that it is the same whether
// or not the thing exists.
func (s *Server) authorizeHidden(ctx context.Context, action, resource, shown string, extra ...keys) error {
	err := s.authorize(ctx, action, resource, extra...)
	if e, ok := errors.AsType[*ssm.Error](err); ok && resource != shown {
		hidden := *e
		hidden.Message = strings.ReplaceAll(e.Message, " on resource: "+resource, " on resource: "+shown)
		return &hidden
	}
	return err
}

// user finds the user of that name and asks for action on it. Permission is judged
// first, for an unknown user on user/NAME: only who may act on it learns that it does
// not exist.
func (s *Server) user(ctx context.Context, action, name string, extra ...keys) (store.User, error) {
	u, err := s.cfg.Store.UserByName(ctx, name)
	if err != nil && !isNotFound(err) {
		return store.User{}, err
	}
	all := append(extra, resourceTagKeys(u.Tags))
	if denied := s.authorizeHidden(ctx, action, s.arn("user", u.Path, name), s.arn("user", "", name), all...); denied != nil {
		return store.User{}, denied
	}
	return u, failed(err, "user", name)
}

// userOrCaller is user for the operations in which no name means the caller.
func (s *Server) userOrCaller(ctx context.Context, action, name string, extra ...keys) (store.User, error) {
	if name == "" {
		p, _ := auth.From(ctx)
		if p.Kind != auth.User {
			return store.User{}, validation("Must specify userName when calling with non-User credentials")
		}
		name = p.UserName
	}
	return s.user(ctx, action, name, extra...)
}

// group finds the group of that name and asks for action on it, as user does.
func (s *Server) group(ctx context.Context, action, name string, extra ...keys) (store.Group, error) {
	g, err := s.cfg.Store.Group(ctx, name)
	if err != nil && !isNotFound(err) {
		return store.Group{}, err
	}
	if denied := s.authorizeHidden(ctx, action, s.arn("group", g.Path, name), s.arn("group", "", name), extra...); denied != nil {
		return store.Group{}, denied
	}
	return g, failed(err, "group", name)
}
