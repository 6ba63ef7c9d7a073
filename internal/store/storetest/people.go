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

// RunIdentity runs the contract of users, groups, roles, policies and what belongs to
// them on one kind of database.
func RunIdentity(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"UsersRoundTrip", usersRoundTrip},
		{"UsersAreUpdated", usersAreUpdated},
		{"UserPages", userPages},
		{"PathPrefixIsExact", pathPrefixIsExact},
		{"UserInUseIsKept", userInUseIsKept},
		{"LoginProfiles", loginProfiles},
		{"AccessKeysOfUser", accessKeysOfUser},
		{"ConcurrentAccessKeysKeepTheLimit", concurrentAccessKeysKeepTheLimit},
		{"Groups", groups},
		{"GroupsPerUser", groupsPerUser},
		{"RolesRoundTrip", rolesRoundTrip},
		{"RolesAreUpdated", rolesAreUpdated},
		{"RoleInUseIsKept", roleInUseIsKept},
		{"InstanceProfiles", instanceProfiles},
		{"CredentialsGoWithTheirOwner", credentialsGoWithTheirOwner},
		{"CredentialsKeepTheirSession", credentialsKeepTheirSession},
		{"NoCredentialOutlivesItsRole", noCredentialOutlivesItsRole},
		{"ManagedPolicies", managedPolicies},
		{"PolicyFilters", policyFilters},
		{"PolicyVersions", policyVersions},
		{"PolicyInUseIsKept", policyInUseIsKept},
		{"Attachments", attachments},
		{"NothingIsAttachedToDeletedPolicies", nothingIsAttachedToDeletedPolicies},
		{"InlinePolicies", inlinePolicies},
		{"Boundaries", boundaries},
		{"IdentityTags", identityTags},
		{"Permissions", permissions},
		{"PermissionsFollowTheDefaultVersion", permissionsFollowTheDefaultVersion},
		{"MFADevices", mfaDevices},
		{"MFADevicesPerUser", mfaDevicesPerUser},
		{"MFACodesAreGoodOnce", mfaCodesAreGoodOnce},
		{"OIDCProviders", oidcProviders},
		{"RevisionGrowsWithEveryChange", revisionGrowsWithEveryChange},
		{"RevisionStaysOtherwise", revisionStaysOtherwise},
		{"UnknownNames", unknownNames},
		{"IdentityCounts", identityCounts},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

// wantInUse fails the test unless err is an InUseError for that reason.
func wantInUse(t *testing.T, err error, by string) {
	t.Helper()
	if e, ok := errors.AsType[*store.InUseError](err); !ok || e.By != by {
		t.Fatalf("got error %v, want one that says it has %s", err, by)
	}
}

// wantLimit fails the test unless err is a LimitError of that quota.
func wantLimit(t *testing.T, err error, name string, limit int) {
	t.Helper()
	if e, ok := errors.AsType[*store.LimitError](err); !ok || e.Name != name || e.Limit != limit {
		t.Fatalf("got error %v, want limit %s of %d", err, name, limit)
	}
}

// user makes a user with that name, whose id is made of it.
func user(t *testing.T, s *store.Store, name string) store.User {
	t.Helper()
	u := store.User{ID: "AIDA" + strings.ToUpper(name), Name: name, Path: "/", CreatedAt: t0}
	must(t, s.CreateUser(t.Context(), u))
	return u
}

func group(t *testing.T, s *store.Store, name string) store.Group {
	t.Helper()
	g := store.Group{ID: "AGPA" + strings.ToUpper(name), Name: name, Path: "/", CreatedAt: t0}
	must(t, s.CreateGroup(t.Context(), g))
	return g
}

func usersRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := managedPolicy(t, s, "bounds")
	want := store.User{ID: "AIDA1", Name: "Alice", Path: "/ops/", Boundary: p.ARN, CreatedAt: t0,
		Tags: []ssm.Tag{{Key: "team", Value: ""}, {Key: "unit", Value: "7"}}}
	must(t, s.CreateUser(ctx, want))
	for _, look := range []func() (store.User, error){
		func() (store.User, error) { return s.UserByName(ctx, "Alice") },
		func() (store.User, error) { return s.UserByID(ctx, "AIDA1") },
	} {
		got, err := look()
		must(t, err)
		equal(t, "user", got, want)
	}
	list, next, err := s.Users(ctx, "", store.Page{})
	must(t, err)
	equal(t, "users", list, []store.User{want})
	equal(t, "cursor", next, "")
	// Names are looked up as they were written.
	_, err = s.UserByName(ctx, "alice")
	wantErr(t, err, store.ErrNotFound)
	bad := store.User{ID: "AIDA2", Name: "bob", Boundary: "arn:aws:iam::123456789012:policy/none", CreatedAt: t0}
	wantErr(t, s.CreateUser(ctx, bad), store.ErrNotFound)
}

func usersAreUpdated(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u := user(t, s, "alice")
	user(t, s, "bob")
	wantErr(t, s.UpdateUser(ctx, "alice", "BOB", ""), store.ErrExists)
	wantErr(t, s.UpdateUser(ctx, "nobody", "x", ""), store.ErrNotFound)
	must(t, s.UpdateUser(ctx, "alice", "", "/ops/"))
	must(t, s.UpdateUser(ctx, "alice", "Alice", "")) // its own name in another case is free
	u.Name, u.Path = "Alice", "/ops/"
	got, err := s.UserByID(ctx, u.ID)
	must(t, err)
	equal(t, "user", got, u)
}

func userPages(t *testing.T, s *store.Store) {
	for _, name := range []string{"b", "D", "a", "e", "C"} {
		user(t, s, name)
	}
	var got []string
	page := store.Page{Limit: 2}
	for {
		list, next, err := s.Users(t.Context(), "/", page)
		must(t, err)
		for _, u := range list {
			got = append(got, u.Name)
		}
		if next == "" {
			break
		}
		if page.After == "" {
			// What comes before the cursor does not shift what follows.
			must(t, s.DeleteUser(t.Context(), "a"))
			user(t, s, "aa")
		}
		page.After = next
	}
	equal(t, "users", got, []string{"a", "b", "C", "D", "e"})
}

// A path prefix is not a pattern and has a case.
func pathPrefixIsExact(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i, path := range []string{"/a_b/", "/axb/", "/A_b/", "/a_b/c/", "/"} {
		must(t, s.CreateUser(ctx, store.User{ID: fmt.Sprint("AIDA", i), Name: fmt.Sprint("u", i), Path: path, CreatedAt: t0}))
	}
	for prefix, want := range map[string]int{"": 5, "/": 5, "/a_b/": 2, "/a_b": 2, "/%": 0, "/A": 1} {
		list, _, err := s.Users(ctx, prefix, store.Page{})
		must(t, err)
		equal(t, "users under "+prefix, len(list), want)
	}
}

func userInUseIsKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u, e := user(t, s, "alice"), store.Entity{Type: store.EntityUser, Name: "alice"}
	group(t, s, "ops")
	device := mfaDevice(t, s, "phone")
	for _, step := range []struct {
		by     string
		do, un func() error
	}{
		{"policies", func() error { return s.AttachPolicy(ctx, e, readOnly, 0) }, func() error { return s.DetachPolicy(ctx, e, readOnly) }},
		{"inline policies", func() error { return s.PutInlinePolicy(ctx, e, "p", "{}", 2, 9) },
			func() error { return s.DeleteInlinePolicy(ctx, e, "p") }},
		{"access keys", func() error {
			return s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA1", UserID: u.ID, Secret: "x", CreatedAt: t0})
		}, func() error { return s.DeleteAccessKey(ctx, "AKIA1") }},
		{"login profile", func() error { return s.SetPassword(ctx, "alice", "$x") }, func() error { return s.DeleteLoginProfile(ctx, "alice") }},
		{"mfa devices", func() error { return s.EnableMFADevice(ctx, device.Serial, "alice", t0, 1) },
			func() error { return s.DeactivateMFADevice(ctx, device.Serial, "alice") }},
		{"groups", func() error { return s.AddUserToGroup(ctx, "ops", "alice") }, func() error { return s.RemoveUserFromGroup(ctx, "ops", "alice") }},
	} {
		must(t, step.do())
		wantInUse(t, s.DeleteUser(ctx, "alice"), step.by)
		must(t, step.un())
	}
	must(t, s.TagIdentity(ctx, "user", u.ID, []ssm.Tag{{Key: "k", Value: "v"}}, 0))
	must(t, s.DeleteUser(ctx, "alice"))
	wantErr(t, s.DeleteUser(ctx, "alice"), store.ErrNotFound)
	// Its tags have gone too: the same id begins without any.
	got := user(t, s, "alice")
	tags, err := s.IdentityTags(ctx, "user", got.ID)
	must(t, err)
	equal(t, "tags", len(tags), 0)
}

func loginProfiles(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u := user(t, s, "alice")
	profile := func(created, used time.Time, reset bool) {
		t.Helper()
		got, err := s.UserByID(ctx, u.ID)
		must(t, err)
		u.PasswordCreatedAt, u.PasswordLastUsed, u.PasswordResetRequired = created, used, reset
		equal(t, "user", got, u)
	}
	wantErr(t, s.SetLoginProfile(ctx, "alice", "", true, t0), store.ErrNotFound)
	wantErr(t, s.SetLoginProfile(ctx, "nobody", "$1", true, t0), store.ErrNotFound)
	wantErr(t, s.DeleteLoginProfile(ctx, "alice"), store.ErrNotFound)
	profile(time.Time{}, time.Time{}, false)
	must(t, s.SetLoginProfile(ctx, "alice", "$1", true, t0))
	profile(t0, time.Time{}, true)
	must(t, s.TouchPassword(ctx, "alice", t0.Add(time.Minute)))
	must(t, s.SetLoginProfile(ctx, "alice", "", false, t0.Add(time.Hour)))
	profile(t0, t0.Add(time.Minute), false)
	hash, err := s.PasswordHash(ctx, "alice")
	must(t, err)
	equal(t, "hash", hash, "$1")
	must(t, s.SetLoginProfile(ctx, "alice", "$2", false, t0))
	hash, err = s.PasswordHash(ctx, "alice")
	must(t, err)
	equal(t, "hash", hash, "$2")
	must(t, s.DeleteLoginProfile(ctx, "alice"))
	profile(time.Time{}, t0.Add(time.Minute), false)
	_, err = s.PasswordHash(ctx, "alice")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.TouchPassword(ctx, "nobody", t0), store.ErrNotFound)
}

func accessKeysOfUser(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u, other := user(t, s, "alice"), user(t, s, "bob")
	want := []store.AccessKey{
		{ID: "AKIA1", UserID: u.ID, Active: true, CreatedAt: t0, UserName: "alice", UserPath: "/",
			LastUsedAt: t0.Add(time.Hour), LastUsedService: "ssm", LastUsedRegion: "local-1"},
		{ID: "AKIA2", UserID: u.ID, CreatedAt: t0, UserName: "alice", UserPath: "/"},
	}
	for _, k := range want {
		k.Secret = "secret of " + store.Secret(k.ID)
		must(t, s.CreateAccessKey(ctx, k))
	}
	must(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA4", UserID: other.ID, Secret: "x", CreatedAt: t0}))
	wantLimit(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA3", UserID: u.ID, Secret: "x", CreatedAt: t0}), "AccessKeysPerUser", 2)
	must(t, s.TouchAccessKey(ctx, "AKIA1", t0.Add(time.Hour), "ssm", "local-1"))
	wantErr(t, s.TouchAccessKey(ctx, "AKIA3", t0, "ssm", "local-1"), store.ErrNotFound)
	got, err := s.AccessKeys(ctx, "alice")
	must(t, err)
	equal(t, "keys", got, want)
	must(t, s.DeleteAccessKey(ctx, "AKIA1"))
	must(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIA3", UserID: u.ID, Secret: "x", CreatedAt: t0}))
	_, err = s.AccessKeys(ctx, "nobody")
	wantErr(t, err, store.ErrNotFound)
}

func concurrentAccessKeysKeepTheLimit(t *testing.T, s *store.Store) {
	u := user(t, s, "alice")
	made := 0
	for _, err := range together(8, func(i int) error {
		return s.CreateAccessKey(t.Context(), store.AccessKey{ID: fmt.Sprint("AKIA", i), UserID: u.ID, Secret: "x", CreatedAt: t0})
	}) {
		if err == nil {
			made++
		} else {
			wantLimit(t, err, "AccessKeysPerUser", 2)
		}
	}
	equal(t, "keys", made, 2)
}

func groups(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := user(t, s, "alice"), user(t, s, "bob")
	ops, dev := group(t, s, "ops"), group(t, s, "Dev")
	wantErr(t, s.CreateGroup(ctx, store.Group{ID: "AGPAX", Name: "OPS", CreatedAt: t0}), store.ErrExists)
	for range 2 { // again is no error
		must(t, s.AddUserToGroup(ctx, "ops", "bob"))
		must(t, s.AddUserToGroup(ctx, "ops", "alice"))
		must(t, s.AddUserToGroup(ctx, "Dev", "alice"))
	}
	members, next, err := s.GroupUsers(ctx, "ops", store.Page{Limit: 1})
	must(t, err)
	equal(t, "members", members, []store.User{a})
	members, next, err = s.GroupUsers(ctx, "ops", store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "members", members, []store.User{b})
	equal(t, "cursor", next, "")
	of, _, err := s.GroupsOfUser(ctx, "alice", store.Page{})
	must(t, err)
	equal(t, "groups of alice", of, []store.Group{dev, ops})

	wantInUse(t, s.DeleteGroup(ctx, "Dev"), "users")
	must(t, s.RemoveUserFromGroup(ctx, "Dev", "alice"))
	wantErr(t, s.RemoveUserFromGroup(ctx, "Dev", "alice"), store.ErrNotFound)
	e := store.Entity{Type: store.EntityGroup, Name: "Dev"}
	must(t, s.AttachPolicy(ctx, e, readOnly, 0))
	wantInUse(t, s.DeleteGroup(ctx, "Dev"), "policies")
	must(t, s.DetachPolicy(ctx, e, readOnly))
	must(t, s.PutInlinePolicy(ctx, e, "p", "{}", 2, 9))
	wantInUse(t, s.DeleteGroup(ctx, "Dev"), "inline policies")
	must(t, s.DeleteInlinePolicy(ctx, e, "p"))
	must(t, s.UpdateGroup(ctx, "Dev", "build", "/x/"))
	got, err := s.Group(ctx, "build")
	must(t, err)
	dev.Name, dev.Path = "build", "/x/"
	equal(t, "group", got, dev)
	list, _, err := s.Groups(ctx, "/x/", store.Page{})
	must(t, err)
	equal(t, "groups", list, []store.Group{dev})
	must(t, s.DeleteGroup(ctx, "build"))
	_, err = s.Group(ctx, "build")
	wantErr(t, err, store.ErrNotFound)
}

func groupsPerUser(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "alice")
	for i := range 11 {
		group(t, s, fmt.Sprint("g", i))
	}
	for i := range 10 {
		must(t, s.AddUserToGroup(ctx, fmt.Sprint("g", i), "alice"))
	}
	wantLimit(t, s.AddUserToGroup(ctx, "g10", "alice"), "GroupsPerUser", 10)
	must(t, s.AddUserToGroup(ctx, "g9", "alice"))
}
