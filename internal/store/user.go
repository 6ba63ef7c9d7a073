package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// User is a person or a program that signs in or signs requests.
type User struct {
	ID        string // "AIDA..."
	Name      string // unique without regard to case
	Path      string // begins and ends with "/"; empty means "/"
	Boundary  string // ARN of the policy that bounds what the user may do; empty for none
	CreatedAt time.Time
	Tags      []ssm.Tag // in the order of their keys when read

	// Of the login profile, which a user has when PasswordCreatedAt is set. They are
	// not read by CreateUser.
	PasswordCreatedAt     time.Time
	PasswordLastUsed      time.Time
	PasswordResetRequired bool
}

// CreateUser adds a user. A taken name or id is [ErrExists]; a boundary that is a
// policy of the account and does not exist is [ErrNotFound].
func (s *Store) CreateUser(ctx context.Context, u User) error {
	return s.writeIdentity(ctx, "create user "+u.Name, func(tx runner) error {
		if err := attachable(ctx, tx, u.Boundary); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `
			insert into users (id, name, path, boundary, created_at) values ($1, $2, $3, $4, $5)`,
			u.ID, u.Name, pathOrRoot(u.Path), u.Boundary, millis(u.CreatedAt))
		if err != nil {
			return err
		}
		return putTags(ctx, tx, tagUser, u.ID, mergeTags(nil, u.Tags))
	})
}

const userColumns = `u.id, u.name, u.path, u.boundary, u.created_at,
	u.password_created_at, u.password_used_at, u.password_reset_required`

func scanUser(u *User, scan func(...any) error) error {
	return scan(&u.ID, &u.Name, &u.Path, &u.Boundary, asTime(&u.CreatedAt),
		asTime(&u.PasswordCreatedAt), asTime(&u.PasswordLastUsed), &u.PasswordResetRequired)
}

// UserByName returns the user of that name, or [ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (User, error) {
	return readUser(ctx, s.reader(), "u.name = $1", name)
}

// UserByID returns the user with that id, or [ErrNotFound].
func (s *Store) UserByID(ctx context.Context, id string) (User, error) {
	return readUser(ctx, s.reader(), "u.id = $1", id)
}

func readUser(ctx context.Context, r runner, condition, arg string) (User, error) {
	list := make([]User, 1)
	err := r.rowOf(ctx, `select `+userColumns+` from users u where `+condition, []any{arg}, func(scan func(...any) error) error {
		return scanUser(&list[0], scan)
	})
	if err == nil {
		err = fillUserTags(ctx, r, list)
	}
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", arg, err)
	}
	return list[0], nil
}

func fillUserTags(ctx context.Context, r runner, list []User) error {
	return fillTags(ctx, r, tagUser, list, func(u *User) string { return u.ID }, func(u *User) *[]ssm.Tag { return &u.Tags })
}

// Users returns a page of the users whose path begins with pathPrefix, in the order of
// their names, and the cursor of the next page ("" after the last).
func (s *Store) Users(ctx context.Context, pathPrefix string, p Page) ([]User, string, error) {
	var w where
	w.under("u.path", pathPrefix)
	list, next, err := listUsers(ctx, s.reader(), `users u`, &w, p)
	if err != nil {
		return nil, "", fmt.Errorf("list users: %w", err)
	}
	return list, next, nil
}

func listUsers(ctx context.Context, r runner, from string, w *where, p Page) ([]User, string, error) {
	w.afterName("u.name", p)
	list, next, err := page(ctx, r, `select `+userColumns+` from `+from+w.String()+byName("u.name"),
		w, p, scanUser, func(u User) string { return u.Name })
	if err != nil {
		return nil, "", err
	}
	return list, next, fillUserTags(ctx, r, list)
}

// UpdateUser gives a user another name or path; an empty one keeps what is there. A
// taken name is [ErrExists].
func (s *Store) UpdateUser(ctx context.Context, name, newName, newPath string) error {
	return s.rename(ctx, EntityUser, name, newName, newPath)
}

func (s *Store) rename(ctx context.Context, t EntityType, name, newName, newPath string) error {
	return s.writeIdentity(ctx, "update "+string(t)+" "+name, func(tx runner) error {
		table, err := t.table()
		if err != nil {
			return err
		}
		return one(tx.exec(ctx, `
			update `+table+` set name = coalesce(nullif($2, ''), name), path = coalesce(nullif($3, ''), path)
			where name = $1`, name, newName, newPath))
	})
}

// DeleteUser removes a user. One that has policies, access keys, a login profile, MFA
// devices or groups is an [InUseError]. Its temporary credentials go with it.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	return s.writeIdentity(ctx, "delete user "+name, func(tx runner) error {
		id, err := idOf(ctx, tx, "users", name)
		if err != nil {
			return err
		}
		err = unreferenced(ctx, tx, id, append(policyReferences(EntityUser),
			reference{"access keys", `access_keys where user_id = $1`},
			reference{"login profile", `users where id = $1 and password_hash is not null`},
			reference{"mfa devices", `mfa_devices where user_id = $1`},
			reference{"groups", `group_members where user_id = $1`})...)
		if err != nil {
			return err
		}
		if err := deleteTags(ctx, tx, tagUser, id); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `delete from users where id = $1`, id)
		return err
	})
}
