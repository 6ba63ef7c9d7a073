package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EntityType says what policies are attached to.
type EntityType string

// The types of entities.
const (
	EntityUser  EntityType = "user"
	EntityGroup EntityType = "group"
	EntityRole  EntityType = "role"
)

// Entity names what has permissions: a user, a group or a role.
type Entity struct {
	Type EntityType
	Name string
}

func (e Entity) String() string { return string(e.Type) + " " + e.Name }

// table is where the entities of a type are.
func (t EntityType) table() (string, error) {
	switch t {
	case EntityUser:
		return "users", nil
	case EntityGroup:
		return "user_groups", nil
	case EntityRole:
		return "roles", nil
	}
	return "", fmt.Errorf("%w: entity type %q", ErrInvalid, string(t))
}

// id looks up the unique id of an entity, or returns [ErrNotFound].
func (e Entity) id(ctx context.Context, r runner) (string, error) {
	table, err := e.Type.table()
	if err != nil {
		return "", err
	}
	return idOf(ctx, r, table, e.Name)
}

// idOf looks up the id of the row of a table that has a name, or returns [ErrNotFound].
func idOf(ctx context.Context, r runner, table, name string) (string, error) {
	var id string
	err := r.row(ctx, `select id from `+table+` where name = $1`, []any{name}, &id)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%s %s: %w", table, name, err)
	}
	return id, err
}

// InUseError says that something cannot be deleted because of what it still has, or of
// what still refers to it.
type InUseError struct {
	// By is "policies", "inline policies", "access keys", "login profile", "groups",
	// "users", "mfa devices", "instance profiles", "roles", "entities", "versions" or
	// "default version".
	By string
}

func (e *InUseError) Error() string { return "still in use: has " + e.By }

// LimitError says that something would exceed a limit.
type LimitError struct {
	Name  string // the quota, as IAM calls it: "AccessKeysPerUser"
	Limit int
}

func (e *LimitError) Error() string {
	return "limit " + e.Name + " of " + strconv.Itoa(e.Limit) + " reached"
}

// writeIdentity runs f in a transaction that counts as a change of identities. The
// count comes first: its row is locked until the end, so that these transactions run
// one after the other in all processes and what f reads stays true until it commits.
func (s *Store) writeIdentity(ctx context.Context, what string, f func(tx runner) error) error {
	err := s.inTx(ctx, func(tx runner) error {
		if _, err := tx.exec(ctx, `update identity_revision set revision = revision + 1`); err != nil {
			return err
		}
		return f(tx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// IdentityRevision is a number that grows with every change of users, groups, roles,
// policies, keys and what else decides who somebody is and what they may do. When a
// thing was last used is no such change. What is read after the number is at least as
// new as it.
func (s *Store) IdentityRevision(ctx context.Context) (int64, error) {
	var n int64
	if err := s.reader().row(ctx, `select revision from identity_revision`, nil, &n); err != nil {
		return 0, fmt.Errorf("identity revision: %w", err)
	}
	return n, nil
}

// snapshot runs queries that see one state of the database.
func (s *Store) snapshot(ctx context.Context, f func(r runner) error) error {
	// SQLite ignores the level: a reader's transaction there is always a snapshot.
	tx, err := s.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return classify(ctx, err)
	}
	defer tx.Rollback()
	return f(runner{tx})
}

// one turns "no row was touched" into [ErrNotFound].
func one(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// count runs a query of one number.
func count(ctx context.Context, r runner, query string, args ...any) (int, error) {
	var n int
	err := r.row(ctx, query, args, &n)
	return n, err
}

// reference is a count of rows that keep a thing from being deleted.
type reference struct {
	by    string // for InUseError
	query string // counts; $1 is the id of the thing
}

// unreferenced returns an [InUseError] for the first of references that is there.
func unreferenced(ctx context.Context, tx runner, id string, references ...reference) error {
	for _, ref := range references {
		n, err := count(ctx, tx, `select count(*) from `+ref.query, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return &InUseError{By: ref.by}
		}
	}
	return nil
}

// pathOrRoot is the path of an identity that was given none.
func pathOrRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// under adds the condition that a path begins with a prefix. LIKE would not do: on
// SQLite it ignores case.
func (w *where) under(column, prefix string) {
	if prefix != "" {
		w.add("substr("+column+", 1, "+strconv.Itoa(utf8.RuneCountInString(prefix))+") = ?", prefix)
	}
}

// afterName continues a list in the order of [byName].
func (w *where) afterName(column string, p Page) {
	if p.After != "" {
		w.add("lower("+column+") > lower(?)", p.After)
	}
}

// byName orders a list by a name that is unique without regard to case.
func byName(column string) string { return " order by lower(" + column + ")" }

// containsFold says whether a list has a text without regard to case.
func containsFold(list []string, text string) bool {
	for _, v := range list {
		if strings.EqualFold(v, text) {
			return true
		}
	}
	return false
}

// IdentityCounts is how many there are of each.
type IdentityCounts struct {
	Users, Groups, Roles, Policies, PolicyVersions, InstanceProfiles int
	MFADevices, MFADevicesInUse, Providers                           int
}

// IdentityCounts counts the identities of the account.
func (s *Store) IdentityCounts(ctx context.Context) (IdentityCounts, error) {
	var c IdentityCounts
	err := s.reader().row(ctx, `select
		(select count(*) from users), (select count(*) from user_groups), (select count(*) from roles),
		(select count(*) from policies), (select count(*) from policy_versions), (select count(*) from instance_profiles),
		(select count(*) from mfa_devices), (select count(*) from mfa_devices where user_id is not null),
		(select count(*) from oidc_providers)`, nil,
		&c.Users, &c.Groups, &c.Roles, &c.Policies, &c.PolicyVersions, &c.InstanceProfiles,
		&c.MFADevices, &c.MFADevicesInUse, &c.Providers)
	if err != nil {
		return IdentityCounts{}, fmt.Errorf("count identities: %w", err)
	}
	return c, nil
}
