package store

import (
	"context"
	"fmt"
	"strings"
)

// serviceARN begins the ARNs of the policies that the service provides. They are no
// rows: whether one exists is known to the caller.
const serviceARN = "arn:aws:iam::aws:policy/"

// attachable says whether a policy exists as far as the database knows; an empty ARN
// names none and is fine.
func attachable(ctx context.Context, r runner, arn string) error {
	if arn == "" || strings.HasPrefix(arn, serviceARN) {
		return nil
	}
	n, err := count(ctx, r, `select count(*) from policies where arn = $1`, arn)
	if err = one(int64(n), err); err != nil {
		return fmt.Errorf("policy %s: %w", arn, err)
	}
	return nil
}

// policyReferences keep an entity from being deleted.
func policyReferences(t EntityType) []reference {
	return []reference{
		{"policies", `policy_attachments where entity_type = '` + string(t) + `' and entity_id = $1`},
		{"inline policies", `inline_policies where entity_type = '` + string(t) + `' and entity_id = $1`},
	}
}

// AttachPolicy attaches a managed policy to an entity, which may have it already. More
// than limit of them are a [LimitError]; a limit of 0 is none. A policy of the account
// that does not exist is [ErrNotFound].
func (s *Store) AttachPolicy(ctx context.Context, e Entity, arn string, limit int) error {
	return s.writeIdentity(ctx, "attach policy "+arn+" to "+e.String(), func(tx runner) error {
		id, err := e.id(ctx, tx)
		if err != nil {
			return err
		}
		if err := attachable(ctx, tx, arn); err != nil {
			return err
		}
		others, err := count(ctx, tx, `
			select count(*) from policy_attachments where entity_type = $1 and entity_id = $2 and policy_arn <> $3`,
			string(e.Type), id, arn)
		if err != nil {
			return err
		}
		if limit > 0 && others >= limit {
			return &LimitError{Name: policiesPer[e.Type], Limit: limit}
		}
		_, err = tx.exec(ctx, `
			insert into policy_attachments (entity_type, entity_id, policy_arn) values ($1, $2, $3) on conflict do nothing`,
			string(e.Type), id, arn)
		return err
	})
}

// policiesPer names the quota of attached policies.
var policiesPer = map[EntityType]string{EntityUser: "PoliciesPerUser", EntityGroup: "PoliciesPerGroup", EntityRole: "PoliciesPerRole"}

// DetachPolicy ends an attachment; one that is not there is [ErrNotFound].
func (s *Store) DetachPolicy(ctx context.Context, e Entity, arn string) error {
	return s.writeIdentity(ctx, "detach policy "+arn+" from "+e.String(), func(tx runner) error {
		id, err := e.id(ctx, tx)
		if err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from policy_attachments where entity_type = $1 and entity_id = $2 and policy_arn = $3`,
			string(e.Type), id, arn))
	})
}

// AttachedPolicies returns a page of the ARNs of the managed policies of an entity, in
// their order, and the cursor of the next page ("" after the last).
func (s *Store) AttachedPolicies(ctx context.Context, e Entity, p Page) ([]string, string, error) {
	list, next, err := s.textsOf(ctx, e, "policy_attachments", "policy_arn", p)
	if err != nil {
		return nil, "", fmt.Errorf("list policies of %s: %w", e, err)
	}
	return list, next, nil
}

// textsOf returns a page of one column of the rows of an entity.
func (s *Store) textsOf(ctx context.Context, e Entity, table, column string, p Page) ([]string, string, error) {
	r := s.reader()
	id, err := e.id(ctx, r)
	if err != nil {
		return nil, "", err
	}
	var w where
	w.add("entity_type = ?", string(e.Type))
	w.add("entity_id = ?", id)
	w.afterID(column, p)
	return page(ctx, r, `select `+column+` from `+table+w.String()+` order by `+column, &w, p,
		func(text *string, scan func(...any) error) error { return scan(text) }, func(text string) string { return text })
}

// PolicyEntities returns the entities that a managed policy is attached to and those
// that it is the boundary of, in the order of their types and names.
func (s *Store) PolicyEntities(ctx context.Context, arn string) (attached, boundary []Entity, err error) {
	err = s.reader().rows(ctx, `
		select false, a.entity_type, coalesce(u.name, g.name, r.name) as name from policy_attachments a
			left join users u on a.entity_type = 'user' and u.id = a.entity_id
			left join user_groups g on a.entity_type = 'group' and g.id = a.entity_id
			left join roles r on a.entity_type = 'role' and r.id = a.entity_id
			where a.policy_arn = $1
		union all select true, 'user', name from users where boundary = $1 and boundary <> ''
		union all select true, 'role', name from roles where boundary = $1 and boundary <> ''
		order by 2, 3`, []any{arn}, func(scan func(...any) error) error {
		var isBoundary bool
		var e Entity
		if err := scan(&isBoundary, (*string)(&e.Type), &e.Name); err != nil {
			return err
		}
		if isBoundary {
			boundary = append(boundary, e)
		} else {
			attached = append(attached, e)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list entities of policy %s: %w", arn, err)
	}
	return attached, boundary, nil
}

// AttachmentCount says to how many entities a managed policy is attached and of how
// many it is the boundary.
func (s *Store) AttachmentCount(ctx context.Context, arn string) (attached, boundary int, err error) {
	err = s.reader().row(ctx, `select `+attachmentCounts("$1"), []any{arn}, &attached, &boundary)
	if err != nil {
		return 0, 0, fmt.Errorf("count attachments of policy %s: %w", arn, err)
	}
	return attached, boundary, nil
}

// attachmentCounts are the columns that AttachmentCount returns for the ARN that an
// expression gives.
func attachmentCounts(arn string) string {
	return attachedCount(arn) + ", " + boundaryCount(arn)
}

func attachedCount(arn string) string {
	return `(select count(*) from policy_attachments a where a.policy_arn = ` + arn + `)`
}

// The condition on empty lets the partial index be used.
func boundaryCount(arn string) string {
	return `((select count(*) from users bu where bu.boundary = ` + arn + ` and bu.boundary <> '')
		+ (select count(*) from roles br where br.boundary = ` + arn + ` and br.boundary <> ''))`
}

// SetBoundary sets the policy that bounds what a user or a role may do; an empty ARN
// takes it away. A policy of the account that does not exist is [ErrNotFound].
func (s *Store) SetBoundary(ctx context.Context, e Entity, arn string) error {
	return s.writeIdentity(ctx, "set boundary of "+e.String(), func(tx runner) error {
		table, err := e.Type.table()
		if err != nil {
			return err
		}
		if e.Type == EntityGroup {
			return fmt.Errorf("%w: a group has no boundary", ErrInvalid)
		}
		if err := attachable(ctx, tx, arn); err != nil {
			return err
		}
		return one(tx.exec(ctx, `update `+table+` set boundary = $2 where name = $1`, e.Name, arn))
	})
}
