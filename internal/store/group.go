package store

import (
	"context"
	"fmt"
	"time"
)

// groupsPerUser is a quota of IAM.
const groupsPerUser = 10

// Group is users that share policies.
type Group struct {
	ID        string // "AGPA..."
	Name      string // unique without regard to case
	Path      string // begins and ends with "/"; empty means "/"
	CreatedAt time.Time
}

// CreateGroup adds a group. A taken name or id is [ErrExists].
func (s *Store) CreateGroup(ctx context.Context, g Group) error {
	return s.writeIdentity(ctx, "create group "+g.Name, func(tx runner) error {
		_, err := tx.exec(ctx, `insert into user_groups (id, name, path, created_at) values ($1, $2, $3, $4)`,
			g.ID, g.Name, pathOrRoot(g.Path), millis(g.CreatedAt))
		return err
	})
}

const groupColumns = `g.id, g.name, g.path, g.created_at`

func scanGroup(g *Group, scan func(...any) error) error {
	return scan(&g.ID, &g.Name, &g.Path, asTime(&g.CreatedAt))
}

// Group returns the group of that name, or [ErrNotFound].
func (s *Store) Group(ctx context.Context, name string) (Group, error) {
	return readGroup(ctx, s.reader(), name)
}

func readGroup(ctx context.Context, r runner, name string) (Group, error) {
	var g Group
	err := r.rowOf(ctx, `select `+groupColumns+` from user_groups g where g.name = $1`, []any{name},
		func(scan func(...any) error) error { return scanGroup(&g, scan) })
	if err != nil {
		return Group{}, fmt.Errorf("group %s: %w", name, err)
	}
	return g, nil
}

// Groups returns a page of the groups whose path begins with pathPrefix, in the order
// of their names, and the cursor of the next page ("" after the last).
func (s *Store) Groups(ctx context.Context, pathPrefix string, p Page) ([]Group, string, error) {
	var w where
	w.under("g.path", pathPrefix)
	list, next, err := listGroups(ctx, s.reader(), `user_groups g`, &w, p)
	if err != nil {
		return nil, "", fmt.Errorf("list groups: %w", err)
	}
	return list, next, nil
}

func listGroups(ctx context.Context, r runner, from string, w *where, p Page) ([]Group, string, error) {
	w.afterName("g.name", p)
	return page(ctx, r, `select `+groupColumns+` from `+from+w.String()+byName("g.name"),
		w, p, scanGroup, func(g Group) string { return g.Name })
}

// UpdateGroup gives a group another name or path; an empty one keeps what is there. A
// taken name is [ErrExists].
func (s *Store) UpdateGroup(ctx context.Context, name, newName, newPath string) error {
	return s.rename(ctx, EntityGroup, name, newName, newPath)
}

// DeleteGroup removes a group. One that has policies or users is an [InUseError].
func (s *Store) DeleteGroup(ctx context.Context, name string) error {
	return s.writeIdentity(ctx, "delete group "+name, func(tx runner) error {
		id, err := idOf(ctx, tx, "user_groups", name)
		if err != nil {
			return err
		}
		err = unreferenced(ctx, tx, id, append(policyReferences(EntityGroup),
			reference{"users", `group_members where group_id = $1`})...)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `delete from user_groups where id = $1`, id)
		return err
	})
}

// AddUserToGroup makes a user a member of a group, which it may be already. Too many
// groups of one user are a [LimitError].
func (s *Store) AddUserToGroup(ctx context.Context, group, user string) error {
	return s.writeIdentity(ctx, "add user "+user+" to group "+group, func(tx runner) error {
		groupID, userID, err := memberIDs(ctx, tx, group, user)
		if err != nil {
			return err
		}
		others, err := count(ctx, tx, `select count(*) from group_members where user_id = $1 and group_id <> $2`, userID, groupID)
		if err != nil {
			return err
		}
		if others >= groupsPerUser {
			return &LimitError{Name: "GroupsPerUser", Limit: groupsPerUser}
		}
		_, err = tx.exec(ctx, `insert into group_members (group_id, user_id) values ($1, $2) on conflict do nothing`, groupID, userID)
		return err
	})
}

func memberIDs(ctx context.Context, tx runner, group, user string) (groupID, userID string, err error) {
	if groupID, err = idOf(ctx, tx, "user_groups", group); err != nil {
		return "", "", err
	}
	userID, err = idOf(ctx, tx, "users", user)
	return groupID, userID, err
}

// RemoveUserFromGroup ends a membership; one that is not there is [ErrNotFound].
func (s *Store) RemoveUserFromGroup(ctx context.Context, group, user string) error {
	return s.writeIdentity(ctx, "remove user "+user+" from group "+group, func(tx runner) error {
		groupID, userID, err := memberIDs(ctx, tx, group, user)
		if err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from group_members where group_id = $1 and user_id = $2`, groupID, userID))
	})
}

// GroupUsers returns a page of the users of a group, in the order of their names, and
// the cursor of the next page ("" after the last). An unknown group is [ErrNotFound].
func (s *Store) GroupUsers(ctx context.Context, group string, p Page) ([]User, string, error) {
	r := s.reader()
	id, err := idOf(ctx, r, "user_groups", group)
	var list []User
	var next string
	if err == nil {
		var w where
		w.add("m.group_id = ?", id)
		list, next, err = listUsers(ctx, r, `users u join group_members m on m.user_id = u.id`, &w, p)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list users of group %s: %w", group, err)
	}
	return list, next, nil
}

// GroupsOfUser returns a page of the groups of a user, in the order of their names, and
// the cursor of the next page ("" after the last). An unknown user is [ErrNotFound].
func (s *Store) GroupsOfUser(ctx context.Context, user string, p Page) ([]Group, string, error) {
	r := s.reader()
	id, err := idOf(ctx, r, "users", user)
	var list []Group
	var next string
	if err == nil {
		var w where
		w.add("m.user_id = ?", id)
		list, next, err = listGroups(ctx, r, `user_groups g join group_members m on m.group_id = g.id`, &w, p)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list groups of user %s: %w", user, err)
	}
	return list, next, nil
}
