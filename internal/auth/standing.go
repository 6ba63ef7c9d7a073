package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"sekisho/internal/policy"
	"sekisho/internal/policy/managed"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// standing is who a user, a group or a role is and which policies it has, as of one
// revision of the identities. It never changes.
type standing struct {
	facts    policy.Principal // without what belongs to one session of a role
	identity []policy.Source
	boundary *policy.Source
}

// Limits of what is kept in memory between requests.
const (
	maxStandings = 10_000
	maxParsed    = 20_000 // policies
	maxNarrowing = 128    // policies of sessions, each of which may take a megabyte
)

// userStanding gives the standing of the user with an id, or [store.ErrNotFound].
func (a *Auth) userStanding(ctx context.Context, id string) (*standing, error) {
	return a.standing(ctx, "user/"+id, func() (*standing, error) {
		u, held, err := a.cfg.Store.UserPermissions(ctx, id)
		if err != nil {
			return nil, err
		}
		return a.newStanding(policy.Principal{
			Type:      policy.User,
			AccountID: a.cfg.ARNs.Account,
			ARN:       a.iamARN("user", u.Path, u.Name),
			ID:        u.ID,
			UserName:  u.Name,
			Tags:      tagMap(held.Tags),
		}, held)
	})
}

// roleStanding gives the standing of the role of that name and id, or [store.ErrNotFound].
// A role that was made anew under an old name is another one. An empty id is that of
// whichever role has the name.
func (a *Auth) roleStanding(ctx context.Context, name, id string) (*standing, error) {
	st, err := a.standing(ctx, "role/"+name, func() (*standing, error) {
		r, held, err := a.cfg.Store.RolePermissions(ctx, name)
		if err != nil {
			return nil, err
		}
		return a.newStanding(policy.Principal{
			Type:      policy.AssumedRole,
			AccountID: a.cfg.ARNs.Account,
			ARN:       a.iamARN("role", r.Path, r.Name),
			ID:        r.ID,
			Tags:      tagMap(held.Tags),
		}, held)
	})
	if err == nil && id != "" && st.facts.ID != id {
		return nil, fmt.Errorf("role %s with the id %s: %w", name, id, store.ErrNotFound)
	}
	return st, err
}

// standing gives what load makes, or made at the same revision of the identities. The
// revision is read before load reads, so that what is kept is never older than it says.
func (a *Auth) standing(ctx context.Context, key string, load func() (*standing, error)) (*standing, error) {
	revision, err := a.cfg.Store.IdentityRevision(ctx)
	if err != nil {
		return nil, err
	}
	if st, ok := a.standings.get(key, revision); ok {
		return st, nil
	}
	st, err := load()
	if err != nil {
		return nil, err
	}
	a.standings.put(key, revision, st)
	return st, nil
}

func (a *Auth) newStanding(facts policy.Principal, held store.Permissions) (*standing, error) {
	st := &standing{facts: facts}
	for _, d := range held.Documents {
		src, err := a.source(d)
		if err != nil {
			return nil, err
		}
		st.identity = append(st.identity, src)
	}
	if held.Boundary != nil {
		src, err := a.source(*held.Boundary)
		if err != nil {
			return nil, err
		}
		st.boundary = &src
	}
	return st, nil
}

// source reads a stored policy. One that cannot be read is an error and not left out: it
// may be what denies.
func (a *Auth) source(d store.PolicyDocument) (policy.Source, error) {
	src := policy.Source{Name: d.Name, ARN: d.ARN, Type: policy.UserManaged}
	kind, text := policy.Managed, d.Document
	if d.Owner.Type == store.EntityGroup {
		src.Group = d.Owner.Name
	}
	switch {
	case d.Inline:
		kind = policy.Inline
		switch d.Owner.Type {
		case store.EntityGroup:
			src.Type = policy.FromGroup
		case store.EntityRole:
			src.Type = policy.FromRole
		default:
			src.Type = policy.FromUser
		}
	case managed.Is(d.ARN):
		shipped, ok := managed.Find(d.ARN)
		if !ok {
			return policy.Source{}, fmt.Errorf("policy %s of %s is none of this release", d.ARN, d.Owner)
		}
		src.Name, src.Type, text = shipped.Name, policy.AWSManaged, shipped.Document
	}
	parsed, err := a.parse(text, kind)
	if err != nil {
		return policy.Source{}, fmt.Errorf("policy %s%s of %s: %w", d.Name, d.ARN, d.Owner, err)
	}
	src.Policy = parsed
	return src, nil
}

// parse reads a policy, or finds it among those that it read before: many principals
// have the same ones, and most changes of identities leave all texts as they are.
func (a *Auth) parse(text string, kind policy.Kind) (*policy.Policy, error) {
	sum := sha256.Sum256([]byte(text))
	key := string(rune(kind)) + string(sum[:])
	kept := a.parsed
	if kind == policy.Session {
		kept = a.narrowing
	}
	if p, ok := kept.get(key, 0); ok {
		return p, nil
	}
	p, err := policy.Parse([]byte(text), kind)
	if err != nil {
		return nil, err
	}
	kept.put(key, 0, p)
	return p, nil
}

// tagMap makes a map of tags whose keys are in the form in which they are compared.
func tagMap(tags ...[]ssm.Tag) map[string]string {
	m := map[string]string{}
	for _, list := range tags {
		for _, t := range list {
			m[strings.ToLower(t.Key)] = t.Value
		}
	}
	return m
}

// Sources gives everything that decides what a user, a group or a role may do: its
// policies and those of its groups, its permissions boundary, and the facts about it that
// policies can name. Of a group there are no such facts. An unknown entity is
// [store.ErrNotFound].
func (a *Auth) Sources(ctx context.Context, e store.Entity) (identity []policy.Source, boundary *policy.Source, principal policy.Principal, err error) {
	var st *standing
	switch e.Type {
	case store.EntityUser:
		var u store.User
		if u, err = a.cfg.Store.UserByName(ctx, e.Name); err == nil {
			st, err = a.userStanding(ctx, u.ID)
		}
	case store.EntityRole:
		st, err = a.roleStanding(ctx, e.Name, "")
	default:
		var held store.Permissions
		if _, held, err = a.cfg.Store.GroupPermissions(ctx, e.Name); err == nil {
			st, err = a.newStanding(policy.Principal{AccountID: a.cfg.ARNs.Account}, held)
		}
	}
	if err != nil {
		return nil, nil, policy.Principal{}, err
	}
	return st.identity, st.boundary, st.facts, nil
}
