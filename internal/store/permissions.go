package store

import (
	"context"
	"fmt"

	"sekisho/internal/ssm"
)

// PolicyDocument is a policy that somebody has, and through what.
type PolicyDocument struct {
	Owner    Entity // the entity that has it: the user or role itself, or a group
	Name     string // empty for a policy of the service
	ARN      string // empty for an inline policy
	Inline   bool
	Document string // empty for a policy of the service
}

// Permissions is what decides what a user, a group or a role may do.
type Permissions struct {
	// Documents are the entity's policies and those of its groups, in the order of
	// their owners (groups first), inline ones first.
	Documents []PolicyDocument
	Boundary  *PolicyDocument // nil for none
	Tags      []ssm.Tag       // of the entity itself
	Groups    []string        // names of the user's groups
}

// UserPermissions returns a user and its permissions, as of one moment. An unknown user
// is [ErrNotFound].
func (s *Store) UserPermissions(ctx context.Context, userID string) (User, Permissions, error) {
	var u User
	var p Permissions
	err := s.snapshot(ctx, func(r runner) (err error) {
		if u, err = readUser(ctx, r, "u.id = $1", userID); err != nil {
			return err
		}
		p.Tags = u.Tags
		if p.Groups, err = groupNames(ctx, r, u.ID); err != nil {
			return err
		}
		return p.read(ctx, r, Entity{EntityUser, u.Name}, u.ID, u.Boundary)
	})
	if err != nil {
		return User{}, Permissions{}, fmt.Errorf("permissions: %w", err)
	}
	return u, p, nil
}

// RolePermissions returns a role and its permissions, as of one moment. An unknown role
// is [ErrNotFound].
func (s *Store) RolePermissions(ctx context.Context, roleName string) (Role, Permissions, error) {
	var role Role
	var p Permissions
	err := s.snapshot(ctx, func(r runner) (err error) {
		if role, err = readRole(ctx, r, "r.name = $1", roleName); err != nil {
			return err
		}
		p.Tags = role.Tags
		return p.read(ctx, r, Entity{EntityRole, role.Name}, role.ID, role.Boundary)
	})
	if err != nil {
		return Role{}, Permissions{}, fmt.Errorf("permissions: %w", err)
	}
	return role, p, nil
}

// GroupPermissions returns a group and its permissions, as of one moment. An unknown
// group is [ErrNotFound].
func (s *Store) GroupPermissions(ctx context.Context, groupName string) (Group, Permissions, error) {
	var g Group
	var p Permissions
	err := s.snapshot(ctx, func(r runner) (err error) {
		if g, err = readGroup(ctx, r, groupName); err != nil {
			return err
		}
		return p.read(ctx, r, Entity{EntityGroup, g.Name}, g.ID, "")
	})
	if err != nil {
		return Group{}, Permissions{}, fmt.Errorf("permissions: %w", err)
	}
	return g, p, nil
}

func groupNames(ctx context.Context, r runner, userID string) (names []string, err error) {
	err = r.rows(ctx, `
		select g.name from user_groups g join group_members m on m.group_id = g.id where m.user_id = $1`+byName("g.name"),
		[]any{userID}, func(scan func(...any) error) error {
			var name string
			if err := scan(&name); err != nil {
				return err
			}
			names = append(names, name)
			return nil
		})
	return names, err
}

// owners are the entity with type $1 and id $2, whose name is $3, and its groups: a
// group or a role has none.
const owners = `with owners (type, id, name) as (
	select $1, $2, $3
	union all
	select 'group', g.id, g.name from user_groups g join group_members m on m.group_id = g.id where m.user_id = $2
) `

// read reads the documents of an entity, its groups and its boundary.
func (p *Permissions) read(ctx context.Context, r runner, e Entity, id, boundary string) error {
	err := r.rows(ctx, owners+`
		select o.type, o.name, true, i.name, '', i.document
			from owners o join inline_policies i on i.entity_type = o.type and i.entity_id = o.id
		union all
		select o.type, o.name, false, coalesce(c.name, ''), a.policy_arn, coalesce(v.document, '')
			from owners o join policy_attachments a on a.entity_type = o.type and a.entity_id = o.id
			left join policies c on c.arn = a.policy_arn
			left join policy_versions v on v.policy_arn = c.arn and v.version = c.default_version
		order by 1, 2, 3 desc, 5, 4`, []any{string(e.Type), id, e.Name}, func(scan func(...any) error) error {
		var d PolicyDocument
		if err := scan((*string)(&d.Owner.Type), &d.Owner.Name, &d.Inline, &d.Name, &d.ARN, &d.Document); err != nil {
			return err
		}
		p.Documents = append(p.Documents, d)
		return nil
	})
	if err != nil || boundary == "" {
		return err
	}
	p.Boundary = &PolicyDocument{Owner: e, ARN: boundary}
	return r.rows(ctx, `
		select p.name, v.document from policies p join policy_versions v on v.policy_arn = p.arn and v.version = p.default_version
		where p.arn = $1`, []any{boundary}, func(scan func(...any) error) error {
		return scan(&p.Boundary.Name, &p.Boundary.Document)
	})
}
