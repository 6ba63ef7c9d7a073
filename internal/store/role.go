package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// defaultMaxSession is how long sessions of a role last at most that does not say.
const defaultMaxSession = time.Hour

// Role is permissions that somebody takes for a while. The role of a node is what its
// credentials speak for.
type Role struct {
	ID          string // "AROA..."
	Name        string // unique without regard to case
	Path        string // begins and ends with "/"; empty means "/"
	Description string
	TrustPolicy string // the policy document that says who may assume the role
	// TrustIDs are the unique ids that the ARNs in TrustPolicy stood for when it was
	// saved. An ARN that is not there stands for whoever has it.
	TrustIDs   map[string]string
	MaxSession time.Duration // zero means an hour
	Boundary   string        // ARN of the policy that bounds what the role may do; empty for none
	Tags       []ssm.Tag     // in the order of their keys when read
	CreatedAt  time.Time
	LastUsedAt time.Time // not read by CreateRole
}

// CreateRole adds a role. A taken name or id is [ErrExists]; a boundary that is a
// policy of the account and does not exist is [ErrNotFound].
func (s *Store) CreateRole(ctx context.Context, r Role) error {
	if r.MaxSession == 0 {
		r.MaxSession = defaultMaxSession
	}
	return s.writeIdentity(ctx, "create role "+r.Name, func(tx runner) error {
		if err := attachable(ctx, tx, r.Boundary); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `
			insert into roles (id, name, path, description, trust_policy, trust_ids, max_session_ms, boundary, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.ID, r.Name, pathOrRoot(r.Path), r.Description, r.TrustPolicy, textMap(r.TrustIDs), r.MaxSession.Milliseconds(),
			r.Boundary, millis(r.CreatedAt))
		if err != nil {
			return err
		}
		return putTags(ctx, tx, tagRole, r.ID, mergeTags(nil, r.Tags))
	})
}

const roleColumns = `r.id, r.name, r.path, r.description, r.trust_policy, r.trust_ids, r.max_session_ms, r.boundary, r.created_at, r.last_used_at`

func scanRole(r *Role, scan func(...any) error) error {
	return scan(&r.ID, &r.Name, &r.Path, &r.Description, &r.TrustPolicy, asTextMap(&r.TrustIDs), asDuration(&r.MaxSession), &r.Boundary,
		asTime(&r.CreatedAt), asTime(&r.LastUsedAt))
}

// Role returns the role of that name, or [ErrNotFound].
func (s *Store) Role(ctx context.Context, name string) (Role, error) {
	return readRole(ctx, s.reader(), "r.name = $1", name)
}

// RoleByID returns the role with that id, or [ErrNotFound].
func (s *Store) RoleByID(ctx context.Context, id string) (Role, error) {
	return readRole(ctx, s.reader(), "r.id = $1", id)
}

func readRole(ctx context.Context, r runner, condition, arg string) (Role, error) {
	list := make([]Role, 1)
	err := r.rowOf(ctx, `select `+roleColumns+` from roles r where `+condition, []any{arg}, func(scan func(...any) error) error {
		return scanRole(&list[0], scan)
	})
	if err == nil {
		err = fillRoleTags(ctx, r, list)
	}
	if err != nil {
		return Role{}, fmt.Errorf("role %s: %w", arg, err)
	}
	return list[0], nil
}

func fillRoleTags(ctx context.Context, r runner, list []Role) error {
	return fillTags(ctx, r, tagRole, list, func(r *Role) string { return r.ID }, func(r *Role) *[]ssm.Tag { return &r.Tags })
}

// Roles returns a page of the roles whose path begins with pathPrefix, in the order of
// their names, and the cursor of the next page ("" after the last).
func (s *Store) Roles(ctx context.Context, pathPrefix string, p Page) ([]Role, string, error) {
	var w where
	w.under("r.path", pathPrefix)
	w.afterName("r.name", p)
	r := s.reader()
	list, next, err := page(ctx, r, `select `+roleColumns+` from roles r`+w.String()+byName("r.name"),
		&w, p, scanRole, func(r Role) string { return r.Name })
	if err == nil {
		err = fillRoleTags(ctx, r, list)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list roles: %w", err)
	}
	return list, next, nil
}

// UpdateRole changes the description or the longest session of a role; nil keeps what
// is there.
func (s *Store) UpdateRole(ctx context.Context, name string, description *string, maxSession *time.Duration) error {
	return s.writeIdentity(ctx, "update role "+name, func(tx runner) error {
		var ms *int64
		if maxSession != nil {
			n := maxSession.Milliseconds()
			ms = &n
		}
		// A pointer's text is not looked at by exec, so it goes as a value.
		text, keep := "", description == nil
		if !keep {
			text = *description
		}
		return one(tx.exec(ctx, `
			update roles set description = case when $3 then description else $2 end, max_session_ms = coalesce($4, max_session_ms)
			where name = $1`, name, text, keep, ms))
	})
}

// SetTrustPolicy replaces the policy that says who may assume a role; ids are the new
// [Role.TrustIDs].
func (s *Store) SetTrustPolicy(ctx context.Context, name, document string, ids map[string]string) error {
	return s.writeIdentity(ctx, "set trust policy of role "+name, func(tx runner) error {
		return one(tx.exec(ctx, `update roles set trust_policy = $2, trust_ids = $3 where name = $1`, name, document, textMap(ids)))
	})
}

// DeleteRole removes a role. One that has policies, or is in an instance profile, is an
// [InUseError]. Its temporary credentials go with it.
func (s *Store) DeleteRole(ctx context.Context, name string) error {
	return s.writeIdentity(ctx, "delete role "+name, func(tx runner) error {
		id, err := idOf(ctx, tx, "roles", name)
		if err != nil {
			return err
		}
		err = unreferenced(ctx, tx, id, append(policyReferences(EntityRole),
			reference{"instance profiles", `instance_profile_roles where role_id = $1`})...)
		if err != nil {
			return err
		}
		if err := deleteTags(ctx, tx, tagRole, id); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `delete from roles where id = $1`, id)
		return err
	})
}

// TouchRole records that credentials of a role were used.
func (s *Store) TouchRole(ctx context.Context, name string, at time.Time) error {
	if err := one(s.writer().exec(ctx, `update roles set last_used_at = $2 where name = $1`, name, at.UnixMilli())); err != nil {
		return fmt.Errorf("touch role %s: %w", name, err)
	}
	return nil
}
