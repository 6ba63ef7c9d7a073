package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const trust = `{"Version":"2012-10-17","Statement":[]}`

// role makes a role with that name, whose id is made of it.
func role(t *testing.T, s *store.Store, name string) store.Role {
	t.Helper()
	r := store.Role{ID: "AROA" + strings.ToUpper(name), Name: name, Path: "/", TrustPolicy: trust, MaxSession: time.Hour, CreatedAt: t0}
	must(t, s.CreateRole(t.Context(), r))
	return r
}

func rolesRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := managedPolicy(t, s, "bounds")
	want := store.Role{ID: "AROA1", Name: "Nodes", Path: "/service-role/", Description: "of nodes", TrustPolicy: trust,
		TrustIDs: map[string]string{"arn:x": "AIDA1"}, MaxSession: 2 * time.Hour, Boundary: p.ARN, CreatedAt: t0, Tags: []ssm.Tag{{Key: "a", Value: "b"}}}
	must(t, s.CreateRole(ctx, want))
	wantErr(t, s.CreateRole(ctx, store.Role{ID: "AROA2", Name: "nodeS", TrustPolicy: trust, CreatedAt: t0}), store.ErrExists)
	wantErr(t, s.CreateRole(ctx, store.Role{ID: "AROA2", Name: "x", CreatedAt: t0}), store.ErrInvalid)
	got, err := s.Role(ctx, "Nodes")
	must(t, err)
	equal(t, "role", got, want)
	got, err = s.RoleByID(ctx, "AROA1")
	must(t, err)
	equal(t, "role", got, want)
	plain := role(t, s, "plain")
	list, next, err := s.Roles(ctx, "", store.Page{Limit: 1})
	must(t, err)
	equal(t, "roles", list, []store.Role{want})
	list, next, err = s.Roles(ctx, "", store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "roles", list, []store.Role{plain})
	equal(t, "cursor", next, "")
	list, _, err = s.Roles(ctx, "/service-role/", store.Page{})
	must(t, err)
	equal(t, "roles", list, []store.Role{want})
}

func rolesAreUpdated(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := role(t, s, "ops")
	text, long := "words", 3*time.Hour
	must(t, s.UpdateRole(ctx, "ops", nil, nil))
	must(t, s.UpdateRole(ctx, "ops", &text, nil))
	must(t, s.UpdateRole(ctx, "ops", nil, &long))
	ids := map[string]string{"arn:a": "AIDA1", "arn:b": "AROA1"}
	must(t, s.SetTrustPolicy(ctx, "ops", "{}", ids))
	must(t, s.TouchRole(ctx, "ops", t0.Add(time.Minute)))
	r.Description, r.MaxSession, r.TrustPolicy, r.TrustIDs, r.LastUsedAt = text, long, "{}", ids, t0.Add(time.Minute)
	got, err := s.Role(ctx, "ops")
	must(t, err)
	equal(t, "role", got, r)
	must(t, s.SetTrustPolicy(ctx, "ops", trust, nil))
	r.TrustPolicy, r.TrustIDs = trust, nil
	got, err = s.Role(ctx, "ops")
	must(t, err)
	equal(t, "role", got, r)
	text = ""
	must(t, s.UpdateRole(ctx, "ops", &text, nil))
	got, err = s.Role(ctx, "ops")
	must(t, err)
	equal(t, "description", got.Description, "")
	text = "a\x00b"
	wantErr(t, s.UpdateRole(ctx, "ops", &text, nil), store.ErrInvalid)
}

func roleInUseIsKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	role(t, s, "ops")
	e := store.Entity{Type: store.EntityRole, Name: "ops"}
	must(t, s.AttachPolicy(ctx, e, readOnly, 0))
	wantInUse(t, s.DeleteRole(ctx, "ops"), "policies")
	must(t, s.DetachPolicy(ctx, e, readOnly))
	must(t, s.PutInlinePolicy(ctx, e, "p", "{}", 2, 9))
	wantInUse(t, s.DeleteRole(ctx, "ops"), "inline policies")
	must(t, s.DeleteInlinePolicy(ctx, e, "p"))
	must(t, s.CreateInstanceProfile(ctx, store.InstanceProfile{ID: "AIPA1", Name: "p", CreatedAt: t0}))
	must(t, s.AddRoleToInstanceProfile(ctx, "p", "ops"))
	wantInUse(t, s.DeleteRole(ctx, "ops"), "instance profiles")
	must(t, s.RemoveRoleFromInstanceProfile(ctx, "p", "ops"))
	must(t, s.DeleteRole(ctx, "ops"))
	wantErr(t, s.DeleteRole(ctx, "ops"), store.ErrNotFound)
}

func instanceProfiles(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := role(t, s, "ops")
	role(t, s, "dev")
	want := store.InstanceProfile{ID: "AIPA1", Name: "Web", Path: "/x/", CreatedAt: t0}
	must(t, s.CreateInstanceProfile(ctx, want))
	must(t, s.CreateInstanceProfile(ctx, store.InstanceProfile{ID: "AIPA2", Name: "other", CreatedAt: t0}))
	wantErr(t, s.CreateInstanceProfile(ctx, store.InstanceProfile{ID: "AIPA3", Name: "web", CreatedAt: t0}), store.ErrExists)
	must(t, s.AddRoleToInstanceProfile(ctx, "Web", "ops"))
	for _, name := range []string{"ops", "dev"} {
		wantLimit(t, s.AddRoleToInstanceProfile(ctx, "Web", name), "InstanceSessionsPerInstanceProfile", 1)
	}
	want.Roles = []store.Role{r}
	got, err := s.InstanceProfile(ctx, "Web")
	must(t, err)
	equal(t, "profile", got, want)
	list, next, err := s.InstanceProfilesOfRole(ctx, "ops", store.Page{Limit: 1})
	must(t, err)
	equal(t, "profiles of the role", list, []store.InstanceProfile{want})
	equal(t, "cursor", next, "")
	list, next, err = s.InstanceProfiles(ctx, "", store.Page{Limit: 1})
	must(t, err)
	equal(t, "profile", list[0].Name, "other")
	list, _, err = s.InstanceProfiles(ctx, "", store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "profiles", list, []store.InstanceProfile{want})
	wantInUse(t, s.DeleteInstanceProfile(ctx, "Web"), "roles")
	wantErr(t, s.RemoveRoleFromInstanceProfile(ctx, "Web", "dev"), store.ErrNotFound)
	must(t, s.RemoveRoleFromInstanceProfile(ctx, "Web", "ops"))
	must(t, s.DeleteInstanceProfile(ctx, "Web"))
	_, err = s.InstanceProfile(ctx, "Web")
	wantErr(t, err, store.ErrNotFound)
}

func credentialsGoWithTheirOwner(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u, r := user(t, s, "alice"), role(t, s, "ops")
	ofUser, ofRole, byName := credential("ASIAU", t0.Add(time.Hour)), credential("ASIAR", t0.Add(time.Hour)), credential("ASIAN", t0.Add(time.Hour))
	ofUser.Kind, ofUser.UserID, ofUser.RoleName, ofUser.SessionName = store.CredentialSession, u.ID, "", ""
	ofRole.RoleID, ofRole.RoleName = r.ID, r.Name
	byName.RoleName = r.Name
	for _, c := range []store.TemporaryCredential{ofUser, ofRole, byName} {
		must(t, s.CreateTemporaryCredential(ctx, c))
	}
	got, err := s.TemporaryCredential(ctx, "ASIAN")
	must(t, err)
	equal(t, "role id", got.RoleID, r.ID)
	got, err = s.TemporaryCredential(ctx, "ASIAU")
	must(t, err)
	ofUser.UserName, ofUser.UserPath = "alice", "/"
	equal(t, "credential", got, ofUser)

	must(t, s.DeleteUser(ctx, "alice"))
	must(t, s.DeleteRole(ctx, "ops"))
	for _, c := range []store.TemporaryCredential{ofUser, ofRole, byName} {
		_, err := s.TemporaryCredential(ctx, c.AccessKeyID)
		wantErr(t, err, store.ErrNotFound)
	}
	wantErr(t, s.CreateTemporaryCredential(ctx, ofUser), store.ErrNotFound)
	wantErr(t, s.CreateTemporaryCredential(ctx, ofRole), store.ErrNotFound)
	// A role of the same name is another role.
	role(t, s, "ops2")
	ofRole.RoleName = "ops2"
	wantErr(t, s.CreateTemporaryCredential(ctx, ofRole), store.ErrNotFound)
}

func credentialsKeepTheirSession(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := role(t, s, "ops")
	c := credential("ASIA1", t0.Add(time.Hour))
	c.RoleID, c.RoleName = r.ID, r.Name
	c.SessionPolicies, c.SessionPolicyARNs = []string{`{"a":"関所"}`, "{}"}, []string{readOnly}
	c.SessionTags, c.TransitiveTagKeys = []ssm.Tag{{Key: "team", Value: ""}, {Key: "Unit", Value: `"7"`}}, []string{"team"}
	c.SourceIdentity, c.MFAAt, c.Chained, c.Provider = "alice", t0.Add(-time.Minute), true, "arn:aws:iam::123456789012:oidc-provider/x"
	must(t, s.CreateTemporaryCredential(ctx, c))
	got, err := s.TemporaryCredential(ctx, "ASIA1")
	must(t, err)
	equal(t, "credential", got, c)
	c.AccessKeyID, c.Kind = "ASIA2", "other"
	wantErr(t, s.CreateTemporaryCredential(ctx, c), store.ErrInvalid)
}

// A credential that is made while its role is deleted is refused or goes with it.
func noCredentialOutlivesItsRole(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const rounds, callers = 10, 8
	for round := range rounds {
		r := role(t, s, fmt.Sprint("r", round))
		ids := make([]string, callers)
		for _, err := range together(callers, func(i int) error {
			if i == callers/2 {
				return s.DeleteRole(ctx, r.Name)
			}
			c := credential(fmt.Sprintf("ASIA%d-%d", round, i), t0.Add(time.Hour))
			c.RoleID, ids[i] = r.ID, c.AccessKeyID
			if err := s.CreateTemporaryCredential(ctx, c); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}) {
			must(t, err)
		}
		for _, id := range ids {
			_, err := s.TemporaryCredential(ctx, id)
			wantErr(t, err, store.ErrNotFound)
		}
	}
}
