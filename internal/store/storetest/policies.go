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

// readOnly is a policy of the service.
const readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// managedPolicy makes a policy with that name, whose ARN and id are made of it.
func managedPolicy(t *testing.T, s *store.Store, name string) store.ManagedPolicy {
	t.Helper()
	p := store.ManagedPolicy{ID: "ANPA" + strings.ToUpper(name), ARN: "arn:aws:iam::123456789012:policy/" + name, Name: name,
		Path: "/", DefaultVersion: 1, CreatedAt: t0, UpdatedAt: t0}
	must(t, s.CreatePolicy(t.Context(), p, document(name, 1)))
	return p
}

func document(name string, version int) string { return fmt.Sprintf(`{"Id":"%s v%d"}`, name, version) }

func managedPolicies(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := store.ManagedPolicy{ID: "ANPA1", ARN: "arn:aws:iam::123456789012:policy/x/Ops", Name: "Ops", Path: "/x/", Description: "d",
		DefaultVersion: 1, CreatedAt: t0, UpdatedAt: t0, Tags: []ssm.Tag{{Key: "a", Value: "b"}}}
	must(t, s.CreatePolicy(ctx, want, "{}"))
	again := want
	again.ID, again.ARN, again.Name = "ANPA2", "arn:aws:iam::123456789012:policy/ops", "ops"
	wantErr(t, s.CreatePolicy(ctx, again, "{}"), store.ErrExists)
	again.Name = "other"
	wantErr(t, s.CreatePolicy(ctx, again, ""), store.ErrInvalid)
	_, err := s.Policy(ctx, again.ARN) // all of it was undone with the version
	wantErr(t, err, store.ErrNotFound)

	got, err := s.Policy(ctx, want.ARN)
	must(t, err)
	equal(t, "policy", got, want)
	other := managedPolicy(t, s, "zzz")
	list, next, err := s.Policies(ctx, store.PolicyFilter{}, store.Page{Limit: 1})
	must(t, err)
	equal(t, "policies", list, []store.ManagedPolicy{want})
	list, next, err = s.Policies(ctx, store.PolicyFilter{}, store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "policies", list, []store.ManagedPolicy{other})
	equal(t, "cursor", next, "")
	must(t, s.DeletePolicy(ctx, want.ARN))
	wantErr(t, s.DeletePolicy(ctx, want.ARN), store.ErrNotFound)
	_, err = s.PolicyVersions(ctx, want.ARN)
	wantErr(t, err, store.ErrNotFound)
	must(t, s.CreatePolicy(ctx, want, "{}")) // its tags have gone too
}

func policyFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	attached, bounding := managedPolicy(t, s, "attached"), managedPolicy(t, s, "bounding")
	idle := store.ManagedPolicy{ID: "ANPAIDLE", ARN: "arn:aws:iam::123456789012:policy/x/idle", Name: "idle", Path: "/x/", CreatedAt: t0}
	must(t, s.CreatePolicy(ctx, idle, "{}"))
	user(t, s, "alice")
	e := store.Entity{Type: store.EntityUser, Name: "alice"}
	must(t, s.AttachPolicy(ctx, e, attached.ARN, 0))
	must(t, s.SetBoundary(ctx, e, bounding.ARN))
	for name, test := range map[string]struct {
		filter store.PolicyFilter
		want   []string
	}{
		"all":      {store.PolicyFilter{}, []string{"attached", "bounding", "idle"}},
		"attached": {store.PolicyFilter{OnlyAttached: true}, []string{"attached"}},
		"boundary": {store.PolicyFilter{Boundary: true}, []string{"bounding"}},
		"both":     {store.PolicyFilter{OnlyAttached: true, Boundary: true}, []string{"bounding"}},
		"path":     {store.PolicyFilter{PathPrefix: "/x/"}, []string{"idle"}},
	} {
		list, _, err := s.Policies(ctx, test.filter, store.Page{})
		must(t, err)
		var got []string
		for _, p := range list {
			got = append(got, p.Name)
		}
		equal(t, name, got, test.want)
	}
}

func policyVersions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := managedPolicy(t, s, "ops")
	v2, err := s.CreatePolicyVersion(ctx, p.ARN, document("ops", 2), false, t0.Add(time.Hour+time.Microsecond))
	must(t, err)
	equal(t, "version", v2, store.PolicyVersion{Version: 2, Document: document("ops", 2), CreatedAt: t0.Add(time.Hour)})
	v3, err := s.CreatePolicyVersion(ctx, p.ARN, document("ops", 3), true, t0.Add(2*time.Hour))
	must(t, err)
	v1 := store.PolicyVersion{Version: 1, Document: document("ops", 1), CreatedAt: t0}
	list, err := s.PolicyVersions(ctx, p.ARN)
	must(t, err)
	equal(t, "versions", list, []store.PolicyVersion{v3, v2, v1})
	wantInUse(t, s.DeletePolicyVersion(ctx, p.ARN, 3), "default version")
	wantErr(t, s.DeletePolicyVersion(ctx, p.ARN, 4), store.ErrNotFound)
	wantErr(t, s.SetDefaultPolicyVersion(ctx, p.ARN, 4), store.ErrNotFound)
	must(t, s.SetDefaultPolicyVersion(ctx, p.ARN, 1))
	got, err := s.Policy(ctx, p.ARN)
	must(t, err)
	p.UpdatedAt = t0.Add(2 * time.Hour)
	equal(t, "policy", got, p)
	must(t, s.DeletePolicyVersion(ctx, p.ARN, 3))
	_, err = s.PolicyVersion(ctx, p.ARN, 3)
	wantErr(t, err, store.ErrNotFound)
	v1.Default = true
	first, err := s.PolicyVersion(ctx, p.ARN, 1)
	must(t, err)
	equal(t, "version", first, v1)
	wantInUse(t, s.DeletePolicy(ctx, p.ARN), "versions")

	// A number is never given again, also not that of a version that was refused.
	for want := 4; want <= 6; want++ {
		v, err := s.CreatePolicyVersion(ctx, p.ARN, "{}", false, t0)
		must(t, err)
		equal(t, "number", v.Version, want)
	}
	_, err = s.CreatePolicyVersion(ctx, p.ARN, "{}", true, t0)
	wantLimit(t, err, "VersionsPerPolicy", 5)
	_, err = s.CreatePolicyVersion(ctx, "arn:none", "{}", true, t0)
	wantErr(t, err, store.ErrNotFound)
	got, err = s.Policy(ctx, p.ARN)
	must(t, err)
	equal(t, "default version", got.DefaultVersion, 1)
}

func policyInUseIsKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := managedPolicy(t, s, "ops")
	user(t, s, "alice")
	role(t, s, "r")
	for _, e := range []store.Entity{{Type: store.EntityUser, Name: "alice"}, {Type: store.EntityRole, Name: "r"}} {
		must(t, s.AttachPolicy(ctx, e, p.ARN, 0))
		wantInUse(t, s.DeletePolicy(ctx, p.ARN), "entities")
		must(t, s.DetachPolicy(ctx, e, p.ARN))
		must(t, s.SetBoundary(ctx, e, p.ARN))
		wantInUse(t, s.DeletePolicy(ctx, p.ARN), "entities")
		must(t, s.SetBoundary(ctx, e, ""))
	}
	must(t, s.DeletePolicy(ctx, p.ARN))
}

func attachments(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "same")
	group(t, s, "same")
	role(t, s, "same")
	p := managedPolicy(t, s, "ops")
	entities := []store.Entity{{Type: store.EntityGroup, Name: "same"}, {Type: store.EntityRole, Name: "same"}, {Type: store.EntityUser, Name: "same"}}
	for i, e := range entities {
		attached, _, err := s.PolicyEntities(ctx, p.ARN)
		must(t, err)
		equal(t, "attached to", len(attached), i) // one name is three entities
		for range 2 {
			must(t, s.AttachPolicy(ctx, e, p.ARN, 2))
		}
		must(t, s.AttachPolicy(ctx, e, readOnly, 2))
		name := map[store.EntityType]string{"user": "PoliciesPerUser", "group": "PoliciesPerGroup", "role": "PoliciesPerRole"}[e.Type]
		wantLimit(t, s.AttachPolicy(ctx, e, readOnly+"2", 2), name, 2)
		must(t, s.AttachPolicy(ctx, e, readOnly, 2))
		list, next, err := s.AttachedPolicies(ctx, e, store.Page{Limit: 1})
		must(t, err)
		equal(t, "policies", list, []string{p.ARN})
		list, next, err = s.AttachedPolicies(ctx, e, store.Page{Limit: 1, After: next})
		must(t, err)
		equal(t, "policies", list, []string{readOnly})
		equal(t, "cursor", next, "")
	}
	must(t, s.SetBoundary(ctx, entities[1], p.ARN))
	attached, boundary, err := s.PolicyEntities(ctx, p.ARN)
	must(t, err)
	equal(t, "attached", attached, entities)
	equal(t, "boundary", boundary, entities[1:2])
	a, b, err := s.AttachmentCount(ctx, p.ARN)
	must(t, err)
	equal(t, "counts", []int{a, b}, []int{3, 1})
	got, err := s.Policy(ctx, p.ARN)
	must(t, err)
	equal(t, "counts", []int{got.AttachmentCount, got.BoundaryCount}, []int{3, 1})
	a, b, err = s.AttachmentCount(ctx, readOnly)
	must(t, err)
	equal(t, "counts", []int{a, b}, []int{3, 0})

	must(t, s.DetachPolicy(ctx, entities[0], p.ARN))
	wantErr(t, s.DetachPolicy(ctx, entities[0], p.ARN), store.ErrNotFound)
	wantErr(t, s.AttachPolicy(ctx, entities[0], "arn:aws:iam::123456789012:policy/none", 0), store.ErrNotFound)
	wantErr(t, s.AttachPolicy(ctx, store.Entity{Type: "node", Name: "same"}, p.ARN, 0), store.ErrInvalid)
}

// A policy that is attached while it is deleted stays, or is not attached.
func nothingIsAttachedToDeletedPolicies(t *testing.T, s *store.Store) {
	ctx := t.Context()
	e := store.Entity{Type: store.EntityUser, Name: "alice"}
	user(t, s, "alice")
	for round := range 10 {
		p := managedPolicy(t, s, fmt.Sprint("p", round))
		errs := together(2, func(i int) error {
			if i == 0 {
				return s.AttachPolicy(ctx, e, p.ARN, 0)
			}
			return s.DeletePolicy(ctx, p.ARN)
		})
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("attaching gave %v and deleting %v", errs[0], errs[1])
		}
		if errs[0] != nil {
			wantErr(t, errs[0], store.ErrNotFound)
		} else {
			wantInUse(t, errs[1], "entities")
		}
	}
}

func inlinePolicies(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "alice")
	e, other := store.Entity{Type: store.EntityUser, Name: "alice"}, store.Entity{Type: store.EntityGroup, Name: "alice"}
	group(t, s, "alice")
	must(t, s.PutInlinePolicy(ctx, e, "b", "{}", 60, 100))
	must(t, s.PutInlinePolicy(ctx, e, "a", "{}", 40, 100))
	wantLimit(t, s.PutInlinePolicy(ctx, e, "c", "{}", 1, 100), "PolicySize", 100)
	wantLimit(t, s.PutInlinePolicy(ctx, e, "b", "{}", 61, 100), "PolicySize", 100)
	must(t, s.PutInlinePolicy(ctx, other, "c", "{}", 100, 100)) // its own quota
	must(t, s.PutInlinePolicy(ctx, e, "b", `{"x":1}`, 10, 100)) // the one it replaces does not count
	got, err := s.InlinePolicy(ctx, e, "b")
	must(t, err)
	equal(t, "document", got, `{"x":1}`)
	names, next, err := s.InlinePolicies(ctx, e, store.Page{Limit: 1})
	must(t, err)
	equal(t, "names", names, []string{"a"})
	names, _, err = s.InlinePolicies(ctx, e, store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "names", names, []string{"b"})
	must(t, s.DeleteInlinePolicy(ctx, e, "b"))
	wantErr(t, s.DeleteInlinePolicy(ctx, e, "b"), store.ErrNotFound)
	_, err = s.InlinePolicy(ctx, e, "b")
	wantErr(t, err, store.ErrNotFound)
	_, err = s.InlinePolicy(ctx, e, "c")
	wantErr(t, err, store.ErrNotFound)
}

func boundaries(t *testing.T, s *store.Store) {
	ctx := t.Context()
	user(t, s, "alice")
	group(t, s, "ops")
	e := store.Entity{Type: store.EntityUser, Name: "alice"}
	must(t, s.SetBoundary(ctx, e, readOnly))
	u, err := s.UserByName(ctx, "alice")
	must(t, err)
	equal(t, "boundary", u.Boundary, readOnly)
	must(t, s.SetBoundary(ctx, e, ""))
	must(t, s.SetBoundary(ctx, e, "")) // again is no error
	wantErr(t, s.SetBoundary(ctx, e, "arn:aws:iam::123456789012:policy/none"), store.ErrNotFound)
	wantErr(t, s.SetBoundary(ctx, store.Entity{Type: store.EntityGroup, Name: "ops"}, readOnly), store.ErrInvalid)
}

func identityTags(t *testing.T, s *store.Store) {
	ctx := t.Context()
	u, r, p, d := user(t, s, "alice"), role(t, s, "ops"), managedPolicy(t, s, "p"), mfaDevice(t, s, "phone")
	for kind, id := range map[string]string{"user": u.ID, "role": r.ID, "policy": p.ARN, "mfa": d.Serial} {
		must(t, s.TagIdentity(ctx, kind, id, []ssm.Tag{{Key: "Team", Value: "a"}, {Key: "unit", Value: ""}}, 3))
		must(t, s.TagIdentity(ctx, kind, id, []ssm.Tag{{Key: "tEAM", Value: "b"}, {Key: "x", Value: "1"}}, 3))
		tags, err := s.IdentityTags(ctx, kind, id)
		must(t, err)
		equal(t, "tags", tags, []ssm.Tag{{Key: "tEAM", Value: "b"}, {Key: "unit", Value: ""}, {Key: "x", Value: "1"}})
		err = s.TagIdentity(ctx, kind, id, []ssm.Tag{{Key: "y", Value: "1"}}, 3)
		if e, ok := errors.AsType[*store.LimitError](err); !ok || e.Limit != 3 || !strings.HasPrefix(e.Name, "TagsPer") {
			t.Fatalf("a fourth tag of a %s gives %v", kind, err)
		}
		must(t, s.UntagIdentity(ctx, kind, id, []string{"UNIT", "x", "absent"}))
		tags, err = s.IdentityTags(ctx, kind, id)
		must(t, err)
		equal(t, "tags", tags, []ssm.Tag{{Key: "tEAM", Value: "b"}})
		wantErr(t, s.TagIdentity(ctx, kind, "none", nil, 3), store.ErrNotFound)
		wantErr(t, s.UntagIdentity(ctx, kind, "none", nil), store.ErrNotFound)
	}
	wantErr(t, s.TagIdentity(ctx, "group", "x", nil, 3), store.ErrInvalid)
	wantErr(t, s.TagIdentity(ctx, "user", u.ID, []ssm.Tag{{Key: "", Value: "x"}}, 3), store.ErrInvalid)
}
