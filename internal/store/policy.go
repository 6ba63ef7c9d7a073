package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// versionsPerPolicy is a quota of IAM.
const versionsPerPolicy = 5

// ManagedPolicy is a policy of the account that is attached to any number of entities.
type ManagedPolicy struct {
	ID             string // "ANPA..."
	ARN            string
	Name           string // unique without regard to case
	Path           string // begins and ends with "/"; empty means "/"
	Description    string
	DefaultVersion int // the version that applies; not read by CreatePolicy
	CreatedAt      time.Time
	UpdatedAt      time.Time // when the newest version was made; not read by CreatePolicy
	Tags           []ssm.Tag // in the order of their keys when read

	// Entities that have it attached, and that it is the boundary of. Not read by
	// CreatePolicy.
	AttachmentCount, BoundaryCount int
}

// PolicyVersion is one of the documents of a managed policy.
type PolicyVersion struct {
	Version   int // from 1; never given again
	Document  string
	Default   bool
	CreatedAt time.Time
}

// PolicyFilter narrows a list of managed policies.
type PolicyFilter struct {
	PathPrefix   string
	OnlyAttached bool // attached to an entity or, with Boundary, the boundary of one
	Boundary     bool // only those that are a boundary
}

// CreatePolicy adds a policy with its first version. A taken name, id or ARN is
// [ErrExists].
func (s *Store) CreatePolicy(ctx context.Context, m ManagedPolicy, document string) error {
	return s.writeIdentity(ctx, "create policy "+m.Name, func(tx runner) error {
		_, err := tx.exec(ctx, `
			insert into policies (arn, id, name, path, description, default_version, last_version, created_at, updated_at)
			values ($1, $2, $3, $4, $5, 1, 1, $6, $6)`,
			m.ARN, m.ID, m.Name, pathOrRoot(m.Path), m.Description, millis(m.CreatedAt))
		if err != nil {
			return err
		}
		if err := insertVersion(ctx, tx, m.ARN, 1, document, m.CreatedAt); err != nil {
			return err
		}
		return putTags(ctx, tx, tagPolicy, m.ARN, mergeTags(nil, m.Tags))
	})
}

func insertVersion(ctx context.Context, tx runner, arn string, version int, document string, at time.Time) error {
	_, err := tx.exec(ctx, `insert into policy_versions (policy_arn, version, document, created_at) values ($1, $2, $3, $4)`,
		arn, version, document, millis(at))
	return err
}

var policyColumns = `p.id, p.arn, p.name, p.path, p.description, p.default_version, p.created_at, p.updated_at, ` +
	attachmentCounts("p.arn")

func scanPolicy(m *ManagedPolicy, scan func(...any) error) error {
	return scan(&m.ID, &m.ARN, &m.Name, &m.Path, &m.Description, &m.DefaultVersion, asTime(&m.CreatedAt), asTime(&m.UpdatedAt),
		&m.AttachmentCount, &m.BoundaryCount)
}

// Policy returns the policy with that ARN, or [ErrNotFound].
func (s *Store) Policy(ctx context.Context, arn string) (ManagedPolicy, error) {
	list := make([]ManagedPolicy, 1)
	r := s.reader()
	err := r.rowOf(ctx, `select `+policyColumns+` from policies p where p.arn = $1`, []any{arn},
		func(scan func(...any) error) error { return scanPolicy(&list[0], scan) })
	if err == nil {
		err = fillPolicyTags(ctx, r, list)
	}
	if err != nil {
		return ManagedPolicy{}, fmt.Errorf("policy %s: %w", arn, err)
	}
	return list[0], nil
}

func fillPolicyTags(ctx context.Context, r runner, list []ManagedPolicy) error {
	return fillTags(ctx, r, tagPolicy, list, func(m *ManagedPolicy) string { return m.ARN },
		func(m *ManagedPolicy) *[]ssm.Tag { return &m.Tags })
}

// Policies returns a page of the policies of the account, in the order of their names,
// and the cursor of the next page ("" after the last).
func (s *Store) Policies(ctx context.Context, f PolicyFilter, p Page) ([]ManagedPolicy, string, error) {
	var w where
	w.under("p.path", f.PathPrefix)
	switch {
	case f.Boundary:
		w.add(boundaryCount("p.arn") + " > 0")
	case f.OnlyAttached:
		w.add(attachedCount("p.arn") + " > 0")
	}
	w.afterName("p.name", p)
	r := s.reader()
	list, next, err := page(ctx, r, `select `+policyColumns+` from policies p`+w.String()+byName("p.name"),
		&w, p, scanPolicy, func(m ManagedPolicy) string { return m.Name })
	if err == nil {
		err = fillPolicyTags(ctx, r, list)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list policies: %w", err)
	}
	return list, next, nil
}

// DeletePolicy removes a policy and its version. One that is attached, is a boundary,
// or has more versions, is an [InUseError].
func (s *Store) DeletePolicy(ctx context.Context, arn string) error {
	return s.writeIdentity(ctx, "delete policy "+arn, func(tx runner) error {
		err := unreferenced(ctx, tx, arn,
			reference{"entities", `policy_attachments where policy_arn = $1`},
			reference{"entities", `users where boundary = $1 and boundary <> ''`},
			reference{"entities", `roles where boundary = $1 and boundary <> ''`},
			reference{"versions", `policy_versions v join policies p on p.arn = v.policy_arn
				where p.arn = $1 and v.version <> p.default_version`})
		if err != nil {
			return err
		}
		if err := deleteTags(ctx, tx, tagPolicy, arn); err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from policies where arn = $1`, arn))
	})
}

// CreatePolicyVersion adds a version to a policy, and makes it the one that applies if
// setDefault is set. More than 5 versions are a [LimitError].
func (s *Store) CreatePolicyVersion(ctx context.Context, arn, document string, setDefault bool, at time.Time) (PolicyVersion, error) {
	v := PolicyVersion{Document: document, Default: setDefault, CreatedAt: time.UnixMilli(at.UnixMilli()).UTC()}
	err := s.writeIdentity(ctx, "create version of policy "+arn, func(tx runner) error {
		err := tx.row(ctx, `
			update policies set last_version = last_version + 1, updated_at = $2,
				default_version = case when $3 then last_version + 1 else default_version end
			where arn = $1 returning last_version`, []any{arn, at.UnixMilli(), setDefault}, &v.Version)
		if err != nil {
			return err
		}
		n, err := count(ctx, tx, `select count(*) from policy_versions where policy_arn = $1`, arn)
		if err != nil {
			return err
		}
		if n >= versionsPerPolicy {
			return &LimitError{Name: "VersionsPerPolicy", Limit: versionsPerPolicy}
		}
		return insertVersion(ctx, tx, arn, v.Version, document, at)
	})
	if err != nil {
		return PolicyVersion{}, err
	}
	return v, nil
}

const versionQuery = `select v.version, v.document, v.version = p.default_version, v.created_at
	from policy_versions v join policies p on p.arn = v.policy_arn where p.arn = $1`

func scanVersion(v *PolicyVersion, scan func(...any) error) error {
	return scan(&v.Version, &v.Document, &v.Default, asTime(&v.CreatedAt))
}

// PolicyVersion returns a version of a policy, or [ErrNotFound].
func (s *Store) PolicyVersion(ctx context.Context, arn string, version int) (PolicyVersion, error) {
	var v PolicyVersion
	err := s.reader().rowOf(ctx, versionQuery+` and v.version = $2`, []any{arn, version},
		func(scan func(...any) error) error { return scanVersion(&v, scan) })
	if err != nil {
		return PolicyVersion{}, fmt.Errorf("version %d of policy %s: %w", version, arn, err)
	}
	return v, nil
}

// PolicyVersions returns the versions of a policy, newest first, or [ErrNotFound].
func (s *Store) PolicyVersions(ctx context.Context, arn string) ([]PolicyVersion, error) {
	var list []PolicyVersion
	err := s.reader().rows(ctx, versionQuery+` order by v.version desc`, []any{arn}, func(scan func(...any) error) error {
		var v PolicyVersion
		if err := scanVersion(&v, scan); err != nil {
			return err
		}
		list = append(list, v)
		return nil
	})
	if err = one(int64(len(list)), err); err != nil {
		return nil, fmt.Errorf("list versions of policy %s: %w", arn, err)
	}
	return list, nil
}

// SetDefaultPolicyVersion says which version of a policy applies; one that does not
// exist is [ErrNotFound].
func (s *Store) SetDefaultPolicyVersion(ctx context.Context, arn string, version int) error {
	return s.writeIdentity(ctx, fmt.Sprintf("make version %d of policy %s the default", version, arn), func(tx runner) error {
		return one(tx.exec(ctx, `
			update policies set default_version = $2
			where arn = $1 and exists (select 1 from policy_versions v where v.policy_arn = $1 and v.version = $2)`,
			arn, version))
	})
}

// DeletePolicyVersion removes a version of a policy. The one that applies is an
// [InUseError].
func (s *Store) DeletePolicyVersion(ctx context.Context, arn string, version int) error {
	return s.writeIdentity(ctx, fmt.Sprintf("delete version %d of policy %s", version, arn), func(tx runner) error {
		n, err := count(ctx, tx, `select count(*) from policies where arn = $1 and default_version = $2`, arn, version)
		if err != nil {
			return err
		}
		if n > 0 {
			return &InUseError{By: "default version"}
		}
		return one(tx.exec(ctx, `delete from policy_versions where policy_arn = $1 and version = $2`, arn, version))
	})
}
