package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// InstanceProfile is a container of at most one role. Nothing here assumes a role
// through it; tools that manage roles ask for it.
type InstanceProfile struct {
	ID        string // "AIPA..."
	Name      string // unique without regard to case
	Path      string // begins and ends with "/"; empty means "/"
	Roles     []Role // not read by CreateInstanceProfile
	CreatedAt time.Time
}

// CreateInstanceProfile adds a profile without a role. A taken name or id is
// [ErrExists].
func (s *Store) CreateInstanceProfile(ctx context.Context, i InstanceProfile) error {
	return s.writeIdentity(ctx, "create instance profile "+i.Name, func(tx runner) error {
		_, err := tx.exec(ctx, `insert into instance_profiles (id, name, path, created_at) values ($1, $2, $3, $4)`,
			i.ID, i.Name, pathOrRoot(i.Path), millis(i.CreatedAt))
		return err
	})
}

func scanInstanceProfile(i *InstanceProfile, scan func(...any) error) error {
	return scan(&i.ID, &i.Name, &i.Path, asTime(&i.CreatedAt))
}

// listInstanceProfiles also reads their roles.
func listInstanceProfiles(ctx context.Context, r runner, w *where, p Page) ([]InstanceProfile, string, error) {
	w.afterName("i.name", p)
	list, next, err := page(ctx, r, `select i.id, i.name, i.path, i.created_at from instance_profiles i`+w.String()+byName("i.name"),
		w, p, scanInstanceProfile, func(i InstanceProfile) string { return i.Name })
	if err != nil {
		return nil, "", err
	}
	for n := range list {
		role, err := readRole(ctx, r, `r.id = (select role_id from instance_profile_roles where profile_id = $1)`, list[n].ID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		list[n].Roles = []Role{role}
	}
	return list, next, nil
}

// InstanceProfile returns the profile of that name, or [ErrNotFound].
func (s *Store) InstanceProfile(ctx context.Context, name string) (InstanceProfile, error) {
	var w where
	w.add("i.name = ?", name)
	list, _, err := listInstanceProfiles(ctx, s.reader(), &w, Page{Limit: 1})
	if err = one(int64(len(list)), err); err != nil {
		return InstanceProfile{}, fmt.Errorf("instance profile %s: %w", name, err)
	}
	return list[0], nil
}

// InstanceProfiles returns a page of the profiles whose path begins with pathPrefix, in
// the order of their names, and the cursor of the next page ("" after the last).
func (s *Store) InstanceProfiles(ctx context.Context, pathPrefix string, p Page) ([]InstanceProfile, string, error) {
	var w where
	w.under("i.path", pathPrefix)
	list, next, err := listInstanceProfiles(ctx, s.reader(), &w, p)
	if err != nil {
		return nil, "", fmt.Errorf("list instance profiles: %w", err)
	}
	return list, next, nil
}

// InstanceProfilesOfRole returns a page of the profiles that hold a role, in the order
// of their names, and the cursor of the next page ("" after the last). An unknown role
// is [ErrNotFound].
func (s *Store) InstanceProfilesOfRole(ctx context.Context, role string, p Page) ([]InstanceProfile, string, error) {
	r := s.reader()
	id, err := idOf(ctx, r, "roles", role)
	var list []InstanceProfile
	var next string
	if err == nil {
		var w where
		w.add("i.id in (select profile_id from instance_profile_roles where role_id = ?)", id)
		list, next, err = listInstanceProfiles(ctx, r, &w, p)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list instance profiles of role %s: %w", role, err)
	}
	return list, next, nil
}

// DeleteInstanceProfile removes a profile. One that holds a role is an [InUseError].
func (s *Store) DeleteInstanceProfile(ctx context.Context, name string) error {
	return s.writeIdentity(ctx, "delete instance profile "+name, func(tx runner) error {
		id, err := idOf(ctx, tx, "instance_profiles", name)
		if err != nil {
			return err
		}
		if err := unreferenced(ctx, tx, id, reference{"roles", `instance_profile_roles where profile_id = $1`}); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `delete from instance_profiles where id = $1`, id)
		return err
	})
}

// AddRoleToInstanceProfile puts a role into a profile. A second one is a [LimitError],
// also the same one again.
func (s *Store) AddRoleToInstanceProfile(ctx context.Context, profile, role string) error {
	return s.writeIdentity(ctx, "add role "+role+" to instance profile "+profile, func(tx runner) error {
		profileID, roleID, err := profileIDs(ctx, tx, profile, role)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `insert into instance_profile_roles (profile_id, role_id) values ($1, $2)`, profileID, roleID)
		if errors.Is(err, ErrExists) {
			err = &LimitError{Name: "InstanceSessionsPerInstanceProfile", Limit: 1}
		}
		return err
	})
}

// RemoveRoleFromInstanceProfile takes a role out of a profile; one that is not in it is
// [ErrNotFound].
func (s *Store) RemoveRoleFromInstanceProfile(ctx context.Context, profile, role string) error {
	return s.writeIdentity(ctx, "remove role "+role+" from instance profile "+profile, func(tx runner) error {
		profileID, roleID, err := profileIDs(ctx, tx, profile, role)
		if err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from instance_profile_roles where profile_id = $1 and role_id = $2`, profileID, roleID))
	})
}

func profileIDs(ctx context.Context, tx runner, profile, role string) (profileID, roleID string, err error) {
	if profileID, err = idOf(ctx, tx, "instance_profiles", profile); err != nil {
		return "", "", err
	}
	roleID, err = idOf(ctx, tx, "roles", role)
	return profileID, roleID, err
}
