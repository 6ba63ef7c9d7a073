package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sekisho/internal/ssm"
)

// Resource types of the tags table for identities.
const (
	tagUser   = "User"
	tagRole   = "Role"
	tagPolicy = "Policy"
	tagMFA    = "MFADevice"
)

// taggable is where the tags of a kind of identity are and where the identity is.
type taggable struct {
	resourceType string
	exists       string // counts the identity whose id is $1
}

// taggables are the kinds that [Store.TagIdentity] knows.
var taggables = map[string]taggable{
	"user":   {tagUser, `select count(*) from users where id = $1`},
	"role":   {tagRole, `select count(*) from roles where id = $1`},
	"policy": {tagPolicy, `select count(*) from policies where arn = $1`},
	"mfa":    {tagMFA, `select count(*) from mfa_devices where serial = $1`},
}

func findTaggable(ctx context.Context, r runner, kind, id string) (taggable, error) {
	t, ok := taggables[kind]
	if !ok {
		return t, fmt.Errorf("%w: kind %q", ErrInvalid, kind)
	}
	n, err := count(ctx, r, t.exists, id)
	return t, one(int64(n), err)
}

// TagIdentity puts tags on an identity. kind is "user", "role", "policy" or "mfa", and
// id the unique id of the user or role, the ARN of the policy or the serial number of
// the MFA device. Keys that differ in case only are one: the new one replaces the old
// one. More than limit tags afterwards are a [LimitError]; a limit of 0 is none.
func (s *Store) TagIdentity(ctx context.Context, kind, id string, tags []ssm.Tag, limit int) error {
	return s.writeIdentity(ctx, "tag "+kind+" "+id, func(tx runner) error {
		t, err := findTaggable(ctx, tx, kind, id)
		if err != nil {
			return err
		}
		return s.changeTags(ctx, tx, t.resourceType, id, func(old []ssm.Tag) ([]ssm.Tag, error) {
			merged := mergeTags(old, tags)
			if limit > 0 && len(merged) > limit {
				return nil, &LimitError{Name: "TagsPer" + t.resourceType, Limit: limit}
			}
			return merged, nil
		})
	})
}

// UntagIdentity takes tags from an identity, by their keys without regard to case. Keys
// that are not there are none to take.
func (s *Store) UntagIdentity(ctx context.Context, kind, id string, keys []string) error {
	return s.writeIdentity(ctx, "untag "+kind+" "+id, func(tx runner) error {
		t, err := findTaggable(ctx, tx, kind, id)
		if err != nil {
			return err
		}
		return s.changeTags(ctx, tx, t.resourceType, id, func(old []ssm.Tag) ([]ssm.Tag, error) {
			return slices.DeleteFunc(old, func(t ssm.Tag) bool { return containsFold(keys, t.Key) }), nil
		})
	})
}

// IdentityTags returns the tags of an identity in the order of their keys.
func (s *Store) IdentityTags(ctx context.Context, kind, id string) ([]ssm.Tag, error) {
	r := s.reader()
	t, err := findTaggable(ctx, r, kind, id)
	var tags map[string][]ssm.Tag
	if err == nil {
		tags, err = tagsOf(ctx, r, t.resourceType, []string{id})
	}
	if err != nil {
		return nil, fmt.Errorf("tags of %s %s: %w", kind, id, err)
	}
	return tags[id], nil
}

// changeTags replaces the tags of a resource by what change makes of them.
func (s *Store) changeTags(ctx context.Context, tx runner, resourceType, id string,
	change func([]ssm.Tag) ([]ssm.Tag, error)) error {
	old, err := tagsOf(ctx, tx, resourceType, []string{id})
	if err != nil {
		return err
	}
	tags, err := change(old[id])
	if err != nil {
		return err
	}
	if err := deleteTags(ctx, tx, resourceType, id); err != nil {
		return err
	}
	return putTags(ctx, tx, resourceType, id, tags)
}

// mergeTags puts tags over old ones. The last of the same key counts.
func mergeTags(old, tags []ssm.Tag) []ssm.Tag {
	merged := slices.Clone(old)
	for _, t := range tags {
		merged = slices.DeleteFunc(merged, func(m ssm.Tag) bool { return strings.EqualFold(m.Key, t.Key) })
		merged = append(merged, t)
	}
	return merged
}

// fillTags reads the tags of a list of things.
func fillTags[T any](ctx context.Context, r runner, resourceType string, list []T, id func(*T) string, tags func(*T) *[]ssm.Tag) error {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = id(&list[i])
	}
	found, err := tagsOf(ctx, r, resourceType, ids)
	for i := range list {
		*tags(&list[i]) = found[ids[i]]
	}
	return err
}
