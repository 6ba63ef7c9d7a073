package storetest

import (
	"errors"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// revision returns the identity revision.
func revision(t *testing.T, s *store.Store) int64 {
	t.Helper()
	n, err := s.IdentityRevision(t.Context())
	must(t, err)
	return n
}

// step is a call, named for the failure that it may be.
type step struct {
	name string
	do   func() error
}

func revisionGrowsWithEveryChange(t *testing.T, s *store.Store) {
	ctx := t.Context()
	e, arn := store.Entity{Type: store.EntityUser, Name: "u"}, "arn:aws:iam::123456789012:policy/p"
	tags := []ssm.Tag{{Key: "k", Value: "v"}}
	text := "d"
	for _, step := range []step{
		{"CreateUser", func() error { return s.CreateUser(ctx, store.User{ID: "AIDA", Name: "old", CreatedAt: t0}) }},
		{"UpdateUser", func() error { return s.UpdateUser(ctx, "old", "u", "") }},
		{"SetPassword", func() error { return s.SetPassword(ctx, "u", "$") }},
		{"SetLoginProfile", func() error { return s.SetLoginProfile(ctx, "u", "$", true, t0) }},
		{"DeleteLoginProfile", func() error { return s.DeleteLoginProfile(ctx, "u") }},
		{"CreateAccessKey", func() error {
			return s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA", UserID: "AIDA", Secret: "x", CreatedAt: t0})
		}},
		{"SetAccessKeyActive", func() error { return s.SetAccessKeyActive(ctx, "AKIA", false) }},
		{"DeleteAccessKey", func() error { return s.DeleteAccessKey(ctx, "AKIA") }},
		{"CreateGroup", func() error { return s.CreateGroup(ctx, store.Group{ID: "AGPA", Name: "g", CreatedAt: t0}) }},
		{"UpdateGroup", func() error { return s.UpdateGroup(ctx, "g", "", "/x/") }},
		{"AddUserToGroup", func() error { return s.AddUserToGroup(ctx, "g", "u") }},
		{"RemoveUserFromGroup", func() error { return s.RemoveUserFromGroup(ctx, "g", "u") }},
		{"DeleteGroup", func() error { return s.DeleteGroup(ctx, "g") }},
		{"CreatePolicy", func() error {
			return s.CreatePolicy(ctx, store.ManagedPolicy{ID: "ANPA", ARN: arn, Name: "p", CreatedAt: t0}, "{}")
		}},
		{"CreatePolicyVersion", func() error { _, err := s.CreatePolicyVersion(ctx, arn, "{}", false, t0); return err }},
		{"SetDefaultPolicyVersion", func() error { return s.SetDefaultPolicyVersion(ctx, arn, 2) }},
		{"DeletePolicyVersion", func() error { return s.DeletePolicyVersion(ctx, arn, 1) }},
		{"AttachPolicy", func() error { return s.AttachPolicy(ctx, e, arn, 0) }},
		{"DetachPolicy", func() error { return s.DetachPolicy(ctx, e, arn) }},
		{"PutInlinePolicy", func() error { return s.PutInlinePolicy(ctx, e, "i", "{}", 1, 9) }},
		{"DeleteInlinePolicy", func() error { return s.DeleteInlinePolicy(ctx, e, "i") }},
		{"SetBoundary", func() error { return s.SetBoundary(ctx, e, arn) }},
		{"SetBoundary to none", func() error { return s.SetBoundary(ctx, e, "") }},
		{"TagIdentity", func() error { return s.TagIdentity(ctx, "user", "AIDA", tags, 0) }},
		{"UntagIdentity", func() error { return s.UntagIdentity(ctx, "user", "AIDA", []string{"k"}) }},
		{"DeletePolicy", func() error { return s.DeletePolicy(ctx, arn) }},
		{"CreateRole", func() error {
			return s.CreateRole(ctx, store.Role{ID: "AROA", Name: "r", TrustPolicy: trust, CreatedAt: t0})
		}},
		{"UpdateRole", func() error { return s.UpdateRole(ctx, "r", &text, nil) }},
		{"SetTrustPolicy", func() error { return s.SetTrustPolicy(ctx, "r", "{}", nil) }},
		{"CreateInstanceProfile", func() error {
			return s.CreateInstanceProfile(ctx, store.InstanceProfile{ID: "AIPA", Name: "i", CreatedAt: t0})
		}},
		{"AddRoleToInstanceProfile", func() error { return s.AddRoleToInstanceProfile(ctx, "i", "r") }},
		{"RemoveRoleFromInstanceProfile", func() error { return s.RemoveRoleFromInstanceProfile(ctx, "i", "r") }},
		{"DeleteInstanceProfile", func() error { return s.DeleteInstanceProfile(ctx, "i") }},
		{"DeleteRole", func() error { return s.DeleteRole(ctx, "r") }},
		{"CreateMFADevice", func() error { return s.CreateMFADevice(ctx, store.MFADevice{Serial: "s", Seed: "x", CreatedAt: t0}) }},
		{"EnableMFADevice", func() error { return s.EnableMFADevice(ctx, "s", "u", t0, 1) }},
		{"DeactivateMFADevice", func() error { return s.DeactivateMFADevice(ctx, "s", "u") }},
		{"DeleteMFADevice", func() error { return s.DeleteMFADevice(ctx, "s") }},
		{"CreateOIDCProvider", func() error { return s.CreateOIDCProvider(ctx, store.OIDCProvider{ARN: "o", URL: "u", CreatedAt: t0}) }},
		{"AddOIDCClientID", func() error { return s.AddOIDCClientID(ctx, "o", "c") }},
		{"RemoveOIDCClientID", func() error { return s.RemoveOIDCClientID(ctx, "o", "c") }},
		{"SetOIDCThumbprints", func() error { return s.SetOIDCThumbprints(ctx, "o", nil) }},
		{"DeleteOIDCProvider", func() error { return s.DeleteOIDCProvider(ctx, "o") }},
		{"DeleteUser", func() error { return s.DeleteUser(ctx, "u") }},
	} {
		before := revision(t, s)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if after := revision(t, s); after <= before {
			t.Errorf("%s left the revision at %d", step.name, after)
		}
	}
}

func revisionStaysOtherwise(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u := user(t, s, "alice")
	role(t, s, "ops")
	d := mfaDevice(t, s, "phone")
	must(t, s.EnableMFADevice(ctx, d.Serial, "alice", t0, 1))
	must(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA", UserID: u.ID, Secret: "x", CreatedAt: t0}))
	before := revision(t, s)
	must(t, s.TouchAccessKey(ctx, "AKIA", t0, "ssm", "r"))
	must(t, s.TouchPassword(ctx, "alice", t0))
	must(t, s.TouchRole(ctx, "ops", t0))
	_, err := s.UseMFAStep(ctx, d.Serial, 2)
	must(t, err)
	must(t, s.CreateTemporaryCredential(ctx, credential("ASIA", t0.Add(time.Hour))))
	wantErr(t, s.DeleteUser(ctx, "nobody"), store.ErrNotFound) // what failed changed nothing
	_, _, err = s.UserPermissions(ctx, u.ID)
	must(t, err)
	equal(t, "revision", revision(t, s), before)
}

// Every method that names something says ErrNotFound for what is not there.
func unknownNames(t *testing.T, s *store.Store) {
	ctx := t.Context()
	must1 := func(_ any, err error) error { return err }
	must2 := func(_, _ any, err error) error { return err }
	steps := []step{
		{"UpdateGroup", func() error { return s.UpdateGroup(ctx, "x", "y", "") }},
		{"DeleteGroup", func() error { return s.DeleteGroup(ctx, "x") }},
		{"AddUserToGroup", func() error { return s.AddUserToGroup(ctx, "x", "y") }},
		{"RemoveUserFromGroup", func() error { return s.RemoveUserFromGroup(ctx, "x", "y") }},
		{"GroupUsers", func() error { a, b, err := s.GroupUsers(ctx, "x", store.Page{}); return must2(a, b, err) }},
		{"GroupsOfUser", func() error { a, b, err := s.GroupsOfUser(ctx, "x", store.Page{}); return must2(a, b, err) }},
		{"Role", func() error { a, err := s.Role(ctx, "x"); return must1(a, err) }},
		{"RoleByID", func() error { a, err := s.RoleByID(ctx, "x"); return must1(a, err) }},
		{"UpdateRole", func() error { return s.UpdateRole(ctx, "x", nil, nil) }},
		{"SetTrustPolicy", func() error { return s.SetTrustPolicy(ctx, "x", "{}", nil) }},
		{"TouchRole", func() error { return s.TouchRole(ctx, "x", t0) }},
		{"AddRoleToInstanceProfile", func() error { return s.AddRoleToInstanceProfile(ctx, "x", "y") }},
		{"RemoveRoleFromInstanceProfile", func() error { return s.RemoveRoleFromInstanceProfile(ctx, "x", "y") }},
		{"DeleteInstanceProfile", func() error { return s.DeleteInstanceProfile(ctx, "x") }},
		{"InstanceProfilesOfRole", func() error { a, b, err := s.InstanceProfilesOfRole(ctx, "x", store.Page{}); return must2(a, b, err) }},
		{"UserMFADevices", func() error { a, err := s.UserMFADevices(ctx, "x"); return must1(a, err) }},
		{"PolicyVersion", func() error { a, err := s.PolicyVersion(ctx, "x", 1); return must1(a, err) }},
		{"DeletePolicyVersion", func() error { return s.DeletePolicyVersion(ctx, "x", 1) }},
		{"OIDCProvider", func() error { a, err := s.OIDCProvider(ctx, "x"); return must1(a, err) }},
		{"RemoveOIDCClientID", func() error { return s.RemoveOIDCClientID(ctx, "x", "y") }},
	}
	for _, kind := range []store.EntityType{store.EntityUser, store.EntityGroup, store.EntityRole} {
		e := store.Entity{Type: kind, Name: "x"}
		steps = append(steps,
			step{"AttachPolicy", func() error { return s.AttachPolicy(ctx, e, readOnly, 0) }},
			step{"DetachPolicy", func() error { return s.DetachPolicy(ctx, e, readOnly) }},
			step{"AttachedPolicies", func() error { a, b, err := s.AttachedPolicies(ctx, e, store.Page{}); return must2(a, b, err) }},
			step{"PutInlinePolicy", func() error { return s.PutInlinePolicy(ctx, e, "p", "{}", 1, 9) }},
			step{"InlinePolicy", func() error { a, err := s.InlinePolicy(ctx, e, "p"); return must1(a, err) }},
			step{"InlinePolicies", func() error { a, b, err := s.InlinePolicies(ctx, e, store.Page{}); return must2(a, b, err) }},
			step{"DeleteInlinePolicy", func() error { return s.DeleteInlinePolicy(ctx, e, "p") }})
		if kind != store.EntityGroup {
			steps = append(steps, step{"SetBoundary", func() error { return s.SetBoundary(ctx, e, readOnly) }})
		}
	}
	for _, step := range steps {
		if err := step.do(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v", step.name, err)
		}
	}
	attached, boundary, err := s.PolicyEntities(ctx, "")
	must(t, err)
	equal(t, "entities of no policy", len(attached)+len(boundary), 0)
}

func identityCounts(t *testing.T, s *store.Store) {
	user(t, s, "alice")
	group(t, s, "ops")
	role(t, s, "r")
	managedPolicy(t, s, "p")
	d := mfaDevice(t, s, "phone")
	mfaDevice(t, s, "key")
	ctx := t.Context()
	must(t, s.EnableMFADevice(ctx, d.Serial, "alice", t0, 1))
	_, err := s.CreatePolicyVersion(ctx, "arn:aws:iam::123456789012:policy/p", "{}", false, t0)
	must(t, err)
	got, err := s.IdentityCounts(ctx)
	must(t, err)
	equal(t, "counts", got, store.IdentityCounts{Users: 1, Groups: 1, Roles: 1, Policies: 1, PolicyVersions: 2, MFADevices: 2, MFADevicesInUse: 1})
}
