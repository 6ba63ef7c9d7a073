package storetest

import (
	"fmt"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func permissions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u := user(t, s, "alice")
	user(t, s, "bob")
	g, r := group(t, s, "ops"), role(t, s, "alice") // a role of the user's name
	group(t, s, "other")
	p := managedPolicy(t, s, "p")
	ofUser, ofGroup, ofRole := store.Entity{Type: store.EntityUser, Name: "alice"}, store.Entity{Type: store.EntityGroup, Name: "ops"},
		store.Entity{Type: store.EntityRole, Name: "alice"}
	must(t, s.AddUserToGroup(ctx, "ops", "alice"))
	must(t, s.AddUserToGroup(ctx, "other", "bob"))
	must(t, s.PutInlinePolicy(ctx, store.Entity{Type: store.EntityGroup, Name: "other"}, "not hers", "{}", 1, 9))
	must(t, s.AttachPolicy(ctx, store.Entity{Type: store.EntityUser, Name: "bob"}, p.ARN, 0))
	must(t, s.PutInlinePolicy(ctx, ofGroup, "shared", `{"g":1}`, 1, 9))
	must(t, s.AttachPolicy(ctx, ofUser, p.ARN, 0))
	must(t, s.AttachPolicy(ctx, ofUser, readOnly, 0))
	must(t, s.PutInlinePolicy(ctx, ofUser, "own", `{"u":1}`, 1, 9))
	must(t, s.PutInlinePolicy(ctx, ofRole, "own", `{"r":1}`, 1, 9))
	must(t, s.SetBoundary(ctx, ofUser, p.ARN))
	must(t, s.SetBoundary(ctx, ofRole, readOnly))
	must(t, s.TagIdentity(ctx, "user", u.ID, []ssm.Tag{{Key: "team", Value: "a"}}, 0))

	gotUser, got, err := s.UserPermissions(ctx, u.ID)
	must(t, err)
	u.Boundary, u.Tags = p.ARN, []ssm.Tag{{Key: "team", Value: "a"}}
	equal(t, "user", gotUser, u)
	shared := store.PolicyDocument{Owner: ofGroup, Name: "shared", Inline: true, Document: `{"g":1}`}
	equal(t, "permissions of the user", got, store.Permissions{
		Documents: []store.PolicyDocument{
			shared,
			{Owner: ofUser, Name: "own", Inline: true, Document: `{"u":1}`},
			{Owner: ofUser, Name: "p", ARN: p.ARN, Document: document("p", 1)},
			{Owner: ofUser, ARN: readOnly},
		},
		Boundary: &store.PolicyDocument{Owner: ofUser, Name: "p", ARN: p.ARN, Document: document("p", 1)},
		Tags:     u.Tags,
		Groups:   []string{"ops"},
	})
	gotRole, got, err := s.RolePermissions(ctx, "alice")
	must(t, err)
	r.Boundary = readOnly
	equal(t, "role", gotRole, r)
	equal(t, "permissions of the role", got, store.Permissions{
		Documents: []store.PolicyDocument{{Owner: ofRole, Name: "own", Inline: true, Document: `{"r":1}`}},
		Boundary:  &store.PolicyDocument{Owner: ofRole, ARN: readOnly},
	})
	gotGroup, got, err := s.GroupPermissions(ctx, "ops")
	must(t, err)
	equal(t, "group", gotGroup, g)
	equal(t, "permissions of the group", got, store.Permissions{Documents: []store.PolicyDocument{shared}})

	_, _, err = s.UserPermissions(ctx, "alice") // an id and no name
	wantErr(t, err, store.ErrNotFound)
	_, _, err = s.RolePermissions(ctx, "none")
	wantErr(t, err, store.ErrNotFound)
	_, _, err = s.GroupPermissions(ctx, "none")
	wantErr(t, err, store.ErrNotFound)
}

func permissionsFollowTheDefaultVersion(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u, p := user(t, s, "alice"), managedPolicy(t, s, "p")
	must(t, s.AttachPolicy(ctx, store.Entity{Type: store.EntityUser, Name: "alice"}, p.ARN, 0))
	for want := 2; want <= 3; want++ {
		_, err := s.CreatePolicyVersion(ctx, p.ARN, document("p", want), true, t0)
		must(t, err)
		_, got, err := s.UserPermissions(ctx, u.ID)
		must(t, err)
		equal(t, "documents", len(got.Documents), 1)
		equal(t, "document", got.Documents[0].Document, document("p", want))
	}
}

func mfaDevice(t *testing.T, s *store.Store, name string) store.MFADevice {
	t.Helper()
	d := store.MFADevice{Serial: "arn:aws:iam::123456789012:mfa/" + name, Name: name, Path: "/", Seed: "SEED" + store.Secret(name), CreatedAt: t0}
	must(t, s.CreateMFADevice(t.Context(), d))
	return d
}

func mfaDevices(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "alice")
	user(t, s, "bob")
	phone, key := mfaDevice(t, s, "phone"), mfaDevice(t, s, "key")
	wantErr(t, s.CreateMFADevice(ctx, phone), store.ErrExists)
	got, err := s.MFADevice(ctx, phone.Serial)
	must(t, err)
	equal(t, "device", got, phone)
	equal(t, "seed", got.Seed.Reveal(), "SEEDphone")

	must(t, s.EnableMFADevice(ctx, phone.Serial, "alice", t0.Add(time.Minute), 100))
	wantErr(t, s.EnableMFADevice(ctx, phone.Serial, "bob", t0, 100), store.ErrExists)
	wantErr(t, s.EnableMFADevice(ctx, "none", "bob", t0, 100), store.ErrNotFound)
	wantErr(t, s.EnableMFADevice(ctx, key.Serial, "nobody", t0, 100), store.ErrNotFound)
	phone.UserName, phone.EnabledAt, phone.LastStep = "alice", t0.Add(time.Minute), 100
	of, err := s.UserMFADevices(ctx, "alice")
	must(t, err)
	equal(t, "devices of alice", of, []store.MFADevice{phone})
	yes, no := true, false
	for name, test := range map[string]struct {
		assigned *bool
		want     []store.MFADevice
	}{"any": {nil, []store.MFADevice{key, phone}}, "assigned": {&yes, []store.MFADevice{phone}}, "unassigned": {&no, []store.MFADevice{key}}} {
		list, _, err := s.MFADevices(ctx, test.assigned, store.Page{})
		must(t, err)
		equal(t, name, list, test.want)
	}
	list, next, err := s.MFADevices(ctx, nil, store.Page{Limit: 1})
	must(t, err)
	equal(t, "first page", list, []store.MFADevice{key})
	list, _, err = s.MFADevices(ctx, nil, store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "second page", list, []store.MFADevice{phone})

	wantInUse(t, s.DeleteMFADevice(ctx, phone.Serial), "users")
	wantErr(t, s.DeactivateMFADevice(ctx, phone.Serial, "bob"), store.ErrNotFound)
	must(t, s.DeactivateMFADevice(ctx, phone.Serial, "alice"))
	wantErr(t, s.DeactivateMFADevice(ctx, phone.Serial, "alice"), store.ErrNotFound)
	must(t, s.DeleteMFADevice(ctx, phone.Serial))
	wantErr(t, s.DeleteMFADevice(ctx, phone.Serial), store.ErrNotFound)
	_, err = s.MFADevice(ctx, phone.Serial)
	wantErr(t, err, store.ErrNotFound)
}

func mfaDevicesPerUser(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "alice")
	for i := range 8 {
		must(t, s.EnableMFADevice(ctx, mfaDevice(t, s, fmt.Sprint("d", i)).Serial, "alice", t0, 1))
	}
	wantLimit(t, s.EnableMFADevice(ctx, mfaDevice(t, s, "d8").Serial, "alice", t0, 1), "MFADevicesPerUser", 8)
}

func mfaCodesAreGoodOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "alice")
	d := mfaDevice(t, s, "phone")
	use := func(step int64, want bool) {
		t.Helper()
		ok, err := s.UseMFAStep(ctx, d.Serial, step)
		must(t, err)
		equal(t, fmt.Sprint("step ", step), ok, want)
	}
	use(5, false) // nobody's device
	must(t, s.EnableMFADevice(ctx, d.Serial, "alice", t0, 10))
	use(10, false)
	use(9, false)
	use(11, true)
	use(11, false)
	// Enabling it again does not make old codes good.
	must(t, s.DeactivateMFADevice(ctx, d.Serial, "alice"))
	must(t, s.EnableMFADevice(ctx, d.Serial, "alice", t0, 3))
	use(11, false)
	won := 0
	oks := make([]bool, 8)
	for _, err := range together(8, func(i int) (err error) {
		oks[i], err = s.UseMFAStep(ctx, d.Serial, 12)
		return err
	}) {
		must(t, err)
	}
	for _, ok := range oks {
		if ok {
			won++
		}
	}
	equal(t, "callers who used the code", won, 1)
}

func oidcProviders(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := store.OIDCProvider{ARN: "arn:aws:iam::123456789012:oidc-provider/id.example", URL: "https://id.example", ClientIDs: []string{"cli"},
		Thumbprints: []string{"ab"}, CreatedAt: t0}
	must(t, s.CreateOIDCProvider(ctx, want))
	wantErr(t, s.CreateOIDCProvider(ctx, want), store.ErrExists)
	again := want
	again.ARN = "arn:other"
	wantErr(t, s.CreateOIDCProvider(ctx, again), store.ErrExists)
	for range 2 {
		must(t, s.AddOIDCClientID(ctx, want.ARN, "web"))
	}
	must(t, s.RemoveOIDCClientID(ctx, want.ARN, "cli"))
	must(t, s.RemoveOIDCClientID(ctx, want.ARN, "cli"))
	must(t, s.SetOIDCThumbprints(ctx, want.ARN, []string{"cd", "ef"}))
	want.ClientIDs, want.Thumbprints = []string{"web"}, []string{"cd", "ef"}
	got, err := s.OIDCProvider(ctx, want.ARN)
	must(t, err)
	equal(t, "provider", got, want)
	got, err = s.OIDCProviderByURL(ctx, "https://id.example")
	must(t, err)
	equal(t, "provider", got, want)
	list, err := s.OIDCProviders(ctx)
	must(t, err)
	equal(t, "providers", list, []store.OIDCProvider{want})
	wantLimit(t, s.SetOIDCThumbprints(ctx, want.ARN, make([]string, 6)), "ThumbprintsPerOpenIdConnectProvider", 5)
	wantErr(t, s.AddOIDCClientID(ctx, "none", "x"), store.ErrNotFound)
	must(t, s.DeleteOIDCProvider(ctx, want.ARN))
	wantErr(t, s.DeleteOIDCProvider(ctx, want.ARN), store.ErrNotFound)
	_, err = s.OIDCProviderByURL(ctx, "https://id.example")
	wantErr(t, err, store.ErrNotFound)
}
