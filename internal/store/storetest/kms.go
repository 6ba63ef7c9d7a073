package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// RunKMS runs the contract for the keys of the key service on one kind of database.
func RunKMS(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"KeysRoundTrip", kmsKeysRoundTrip},
		{"KeyConstraints", kmsKeyConstraints},
		{"KeyStates", kmsKeyStates},
		{"DueKeysAreDeleted", kmsDueKeysAreDeleted},
		{"Tags", kmsTags},
		{"Rotation", kmsRotation},
		{"ConcurrentRotationsKeepTheLimit", kmsConcurrentRotationsKeepTheLimit},
		{"DueKeysAreRotatedOnce", kmsDueKeysAreRotatedOnce},
		{"Aliases", kmsAliases},
		{"AliasLimit", kmsAliasLimit},
		{"Pages", kmsPages},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

func newKMSKey() store.KMSKey {
	return store.KMSKey{
		ID: uuid.NewString(), Description: "sessions", State: store.KMSEnabled, Policy: `{"Statement":[]}`, CurrentVersion: 1,
		CreatedAt: t0, Tags: []ssm.Tag{{Key: "Team", Value: "x"}, {Key: "team", Value: ""}},
	}
}

func kmsKey(t *testing.T, s *store.Store) store.KMSKey {
	t.Helper()
	k := newKMSKey()
	must(t, s.CreateKMSKey(t.Context(), k, "material 1"))
	return k
}

func sameKMSKey(t *testing.T, s *store.Store, want store.KMSKey) {
	t.Helper()
	got, err := s.KMSKey(t.Context(), want.ID)
	must(t, err)
	equal(t, "key", got, want)
}

func kmsKeysRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := kmsKey(t, s)
	other := kmsKey(t, s)
	sameKMSKey(t, s, k)
	must(t, s.SetKMSKeyDescription(ctx, k.ID, "other"))
	must(t, s.SetKMSKeyPolicy(ctx, k.ID, "{}"))
	k.Description, k.Policy = "other", "{}"
	sameKMSKey(t, s, k)
	sameKMSKey(t, s, other)
	material, err := s.KMSKeyMaterial(ctx, k.ID, 1)
	must(t, err)
	equal(t, "material", material.Reveal(), "material 1")
	_, err = s.KMSKeyMaterial(ctx, k.ID, 2)
	wantErr(t, err, store.ErrNotFound)

	_, err = s.KMSKey(ctx, "unknown")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.SetKMSKeyDescription(ctx, "unknown", ""), store.ErrNotFound)
	wantErr(t, s.SetKMSKeyPolicy(ctx, "unknown", "{}"), store.ErrNotFound)
}

func kmsKeyConstraints(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := kmsKey(t, s)
	wantErr(t, s.CreateKMSKey(ctx, k, "again"), store.ErrExists)
	bad := newKMSKey()
	bad.Policy = ""
	wantErr(t, s.CreateKMSKey(ctx, bad, "m"), store.ErrInvalid)
	bad = newKMSKey()
	bad.ID = "short"
	wantErr(t, s.CreateKMSKey(ctx, bad, "m"), store.ErrInvalid)
	// A deletion has a time and nothing else has one.
	_, err := s.SetKMSKeyState(ctx, k.ID, store.KMSPendingDeletion, time.Time{}, store.KMSEnabled)
	wantErr(t, err, store.ErrInvalid)
	_, err = s.SetKMSKeyState(ctx, k.ID, store.KMSDisabled, t0, store.KMSEnabled)
	wantErr(t, err, store.ErrInvalid)
	sameKMSKey(t, s, k)
}

func kmsKeyStates(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := kmsKey(t, s)
	for i, step := range []struct {
		to      store.KMSKeyState
		at      time.Time
		from    []store.KMSKeyState
		changed bool
	}{
		{store.KMSEnabled, time.Time{}, []store.KMSKeyState{store.KMSPendingDeletion}, false},
		{store.KMSDisabled, time.Time{}, []store.KMSKeyState{store.KMSEnabled, store.KMSDisabled}, true},
		{store.KMSDisabled, time.Time{}, []store.KMSKeyState{store.KMSEnabled, store.KMSDisabled}, true},
		{store.KMSPendingDeletion, t0.Add(time.Hour), []store.KMSKeyState{store.KMSEnabled, store.KMSDisabled}, true},
		{store.KMSEnabled, time.Time{}, []store.KMSKeyState{store.KMSEnabled, store.KMSDisabled}, false},
		{store.KMSDisabled, time.Time{}, []store.KMSKeyState{store.KMSPendingDeletion}, true},
	} {
		changed, err := s.SetKMSKeyState(ctx, k.ID, step.to, step.at, step.from...)
		must(t, err)
		equal(t, fmt.Sprint("step ", i), changed, step.changed)
		if changed {
			k.State, k.DeletionAt = step.to, step.at
		}
		sameKMSKey(t, s, k)
	}
	_, err := s.SetKMSKeyState(ctx, "unknown", store.KMSDisabled, time.Time{}, store.KMSEnabled)
	wantErr(t, err, store.ErrNotFound)
}

func kmsDueKeysAreDeleted(t *testing.T, s *store.Store) {
	ctx := t.Context()
	due, later, kept := kmsKey(t, s), kmsKey(t, s), kmsKey(t, s)
	for _, k := range []store.KMSKey{due, later, kept} {
		must(t, s.CreateKMSAlias(ctx, store.KMSAlias{Name: "alias/" + k.ID, KeyID: k.ID, CreatedAt: t0, UpdatedAt: t0}, 1))
	}
	for id, at := range map[string]time.Time{due.ID: t0, later.ID: t0.Add(time.Millisecond)} {
		_, err := s.SetKMSKeyState(ctx, id, store.KMSPendingDeletion, at, store.KMSEnabled)
		must(t, err)
	}
	ids, err := s.DeleteDueKMSKeys(ctx, t0)
	must(t, err)
	equal(t, "deleted", ids, []string{due.ID})
	_, err = s.KMSKey(ctx, due.ID)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.KMSKeyMaterial(ctx, due.ID, 1)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.KMSAlias(ctx, "alias/"+due.ID)
	wantErr(t, err, store.ErrNotFound)
	// Its tags are gone too: the same id begins without them.
	again := due
	again.Tags = nil
	must(t, s.CreateKMSKey(ctx, again, "m"))
	sameKMSKey(t, s, again)
	sameKMSKey(t, s, kept)
	ids, err = s.DeleteDueKMSKeys(ctx, t0.Add(time.Hour))
	must(t, err)
	equal(t, "deleted", ids, []string{later.ID})
	ids, err = s.DeleteDueKMSKeys(ctx, t0.Add(time.Hour))
	must(t, err)
	equal(t, "deleted", len(ids), 0)
}

func kmsTags(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := kmsKey(t, s)
	must(t, s.TagKMSKey(ctx, k.ID, []ssm.Tag{{Key: "Team", Value: "y"}, {Key: "new", Value: "1"}}, 3))
	k.Tags = []ssm.Tag{{Key: "Team", Value: "y"}, {Key: "new", Value: "1"}, {Key: "team", Value: ""}}
	got, err := s.KMSKey(ctx, k.ID)
	must(t, err)
	slices.SortFunc(got.Tags, func(a, b ssm.Tag) int { return slices.Compare([]byte(a.Key), []byte(b.Key)) })
	equal(t, "key", got, k)
	var limit *store.LimitError
	if err := s.TagKMSKey(ctx, k.ID, []ssm.Tag{{Key: "fourth"}}, 3); !errors.As(err, &limit) || limit.Limit != 3 {
		t.Errorf("a tag too many: %v", err)
	}
	must(t, s.UntagKMSKey(ctx, k.ID, []string{"team", "new", "unknown"}))
	k.Tags = k.Tags[:1]
	sameKMSKey(t, s, k)
	wantErr(t, s.TagKMSKey(ctx, "unknown", nil, 3), store.ErrNotFound)
	wantErr(t, s.UntagKMSKey(ctx, "unknown", nil), store.ErrNotFound)
}

func kmsRotation(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := kmsKey(t, s)
	must(t, s.RotateKMSKey(ctx, k.ID, "material 2", t0.Add(time.Hour), 1))
	k.CurrentVersion = 2
	sameKMSKey(t, s, k)
	for version, want := range map[int]string{1: "material 1", 2: "material 2"} {
		material, err := s.KMSKeyMaterial(ctx, k.ID, version)
		must(t, err)
		equal(t, "material", material.Reveal(), want)
	}
	var limit *store.LimitError
	if err := s.RotateKMSKey(ctx, k.ID, "m", t0, 1); !errors.As(err, &limit) {
		t.Errorf("a rotation too many: %v", err)
	}
	sameKMSKey(t, s, k)
	versions, err := s.KMSKeyVersions(ctx, k.ID)
	must(t, err)
	equal(t, "versions", versions, []store.KMSKeyVersion{
		{KeyID: k.ID, Version: 1, CreatedAt: t0}, {KeyID: k.ID, Version: 2, OnDemand: true, CreatedAt: t0.Add(time.Hour)},
	})
	_, err = s.SetKMSKeyState(ctx, k.ID, store.KMSDisabled, time.Time{}, store.KMSEnabled)
	must(t, err)
	wantErr(t, s.RotateKMSKey(ctx, k.ID, "m", t0, 9), store.ErrKMSKeyState)
	wantErr(t, s.RotateKMSKey(ctx, "unknown", "m", t0, 9), store.ErrNotFound)
}

func kmsConcurrentRotationsKeepTheLimit(t *testing.T, s *store.Store) {
	k := kmsKey(t, s)
	const limit = 5
	refused := 0
	for _, err := range together(2*limit, func(i int) error {
		return s.RotateKMSKey(t.Context(), k.ID, store.Secret(fmt.Sprint("material of ", i)), t0, limit)
	}) {
		var full *store.LimitError
		if errors.As(err, &full) {
			refused++
		} else {
			must(t, err)
		}
	}
	equal(t, "refused", refused, limit)
	k.CurrentVersion = 1 + limit
	sameKMSKey(t, s, k)
}

func kmsDueKeysAreRotatedOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const day = 24 * time.Hour
	due, later, disabled, never := kmsKey(t, s), kmsKey(t, s), kmsKey(t, s), kmsKey(t, s)
	must(t, s.SetKMSKeyRotation(ctx, due.ID, 2560, t0))
	must(t, s.SetKMSKeyRotation(ctx, later.ID, 90, t0.Add(day)))
	must(t, s.SetKMSKeyRotation(ctx, disabled.ID, 90, t0))
	must(t, s.SetKMSKeyRotation(ctx, never.ID, 90, t0))
	must(t, s.SetKMSKeyRotation(ctx, never.ID, 0, time.Time{}))
	_, err := s.SetKMSKeyState(ctx, disabled.ID, store.KMSDisabled, time.Time{}, store.KMSEnabled)
	must(t, err)
	wantErr(t, s.SetKMSKeyRotation(ctx, "unknown", 90, t0), store.ErrNotFound)
	now := t0.Add(time.Hour)
	rotated, err := s.RotateDueKMSKeys(ctx, now, func() store.Secret { return "material 2" })
	must(t, err)
	equal(t, "rotated", rotated, []string{due.ID})
	due.CurrentVersion, due.RotationDays, due.NextRotationAt = 2, 2560, now.Add(2560*day)
	sameKMSKey(t, s, due)
	later.RotationDays, later.NextRotationAt = 90, t0.Add(day)
	sameKMSKey(t, s, later)
	sameKMSKey(t, s, never)
	material, err := s.KMSKeyMaterial(ctx, due.ID, 2)
	must(t, err)
	equal(t, "material", material.Reveal(), "material 2")

	// Several servers sweep at the same time.
	lists := make([][]string, 6)
	for _, err := range together(len(lists), func(i int) (err error) {
		lists[i], err = s.RotateDueKMSKeys(ctx, t0.Add(2*day), func() store.Secret { return "material" })
		return err
	}) {
		must(t, err)
	}
	equal(t, "rotated by all", slices.Concat(lists...), []string{later.ID})
}

func kmsAliases(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := kmsKey(t, s), kmsKey(t, s)
	a := store.KMSAlias{Name: "alias/a", KeyID: one.ID, CreatedAt: t0, UpdatedAt: t0}
	must(t, s.CreateKMSAlias(ctx, a, 50))
	wantErr(t, s.CreateKMSAlias(ctx, a, 50), store.ErrExists)
	b := store.KMSAlias{Name: "alias/b", KeyID: two.ID, CreatedAt: t0, UpdatedAt: t0}
	must(t, s.CreateKMSAlias(ctx, b, 50))
	orphan := store.KMSAlias{Name: "alias/c", KeyID: "unknown", CreatedAt: t0, UpdatedAt: t0}
	wantErr(t, s.CreateKMSAlias(ctx, orphan, 50), store.ErrNotFound)
	nameless := store.KMSAlias{Name: "alias/", KeyID: one.ID, CreatedAt: t0, UpdatedAt: t0}
	wantErr(t, s.CreateKMSAlias(ctx, nameless, 50), store.ErrInvalid)

	a.KeyID, a.UpdatedAt = two.ID, t0.Add(time.Hour)
	must(t, s.MoveKMSAlias(ctx, a, 50))
	got, err := s.KMSAlias(ctx, a.Name)
	must(t, err)
	equal(t, "alias", got, a)
	unknown := a
	unknown.Name = "alias/unknown"
	wantErr(t, s.MoveKMSAlias(ctx, unknown, 50), store.ErrNotFound)
	list, _, err := s.KMSAliases(ctx, two.ID, store.Page{})
	must(t, err)
	equal(t, "aliases of the second", list, []store.KMSAlias{a, b})
	list, _, err = s.KMSAliases(ctx, one.ID, store.Page{})
	must(t, err)
	equal(t, "aliases of the first", len(list), 0)

	must(t, s.DeleteKMSAlias(ctx, a.Name))
	wantErr(t, s.DeleteKMSAlias(ctx, a.Name), store.ErrNotFound)
	_, err = s.KMSAlias(ctx, a.Name)
	wantErr(t, err, store.ErrNotFound)
	sameKMSKey(t, s, two)
}

func kmsAliasLimit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k, other := kmsKey(t, s), kmsKey(t, s)
	refused := 0
	for _, err := range together(8, func(i int) error {
		return s.CreateKMSAlias(ctx, store.KMSAlias{Name: fmt.Sprintf("alias/%d", i), KeyID: k.ID, CreatedAt: t0, UpdatedAt: t0}, 5)
	}) {
		var full *store.LimitError
		if errors.As(err, &full) {
			refused++
		} else {
			must(t, err)
		}
	}
	equal(t, "refused", refused, 3)
	list, _, err := s.KMSAliases(ctx, k.ID, store.Page{})
	must(t, err)
	equal(t, "aliases", len(list), 5)
	// One that is there already does not count twice, one of another key does.
	must(t, s.MoveKMSAlias(ctx, list[0], 5))
	moved := store.KMSAlias{Name: "alias/moved", KeyID: other.ID, CreatedAt: t0, UpdatedAt: t0}
	must(t, s.CreateKMSAlias(ctx, moved, 5))
	moved.KeyID = k.ID
	var full *store.LimitError
	if err := s.MoveKMSAlias(ctx, moved, 5); !errors.As(err, &full) {
		t.Errorf("an alias too many: %v", err)
	}
}

func kmsPages(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var ids, names []string
	for i := range 5 {
		k := kmsKey(t, s)
		ids = append(ids, k.ID)
		a := store.KMSAlias{Name: fmt.Sprintf("alias/%d", i), KeyID: k.ID, CreatedAt: t0, UpdatedAt: t0}
		names = append(names, a.Name)
		must(t, s.CreateKMSAlias(ctx, a, 1))
	}
	slices.Sort(ids)
	var gotIDs, gotNames []string
	for p := (store.Page{Limit: 2}); ; {
		keys, next, err := s.KMSKeys(ctx, p)
		must(t, err)
		for _, k := range keys {
			gotIDs = append(gotIDs, k.ID)
		}
		if p.After = next; next == "" {
			break
		}
	}
	for p := (store.Page{Limit: 2}); ; {
		aliases, next, err := s.KMSAliases(ctx, "", p)
		must(t, err)
		for _, a := range aliases {
			gotNames = append(gotNames, a.Name)
		}
		if p.After = next; next == "" {
			break
		}
	}
	equal(t, "keys", gotIDs, ids)
	equal(t, "aliases", gotNames, names)
}
