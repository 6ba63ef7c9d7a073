package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func activationsRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := activation(t, s, 5)
	list, next, err := s.Activations(ctx, store.ActivationFilter{}, store.Page{})
	must(t, err)
	equal(t, "activations", list, []store.Activation{want})
	equal(t, "cursor", next, "")
	wantErr(t, s.CreateActivation(ctx, want), store.ErrExists)
	must(t, s.DeleteActivation(ctx, want.ID))
	wantErr(t, s.DeleteActivation(ctx, want.ID), store.ErrNotFound)
	// Its tags have gone too: the same keys can be put again.
	must(t, s.CreateActivation(ctx, want))
}

func activationConstraints(t *testing.T, s *store.Store) {
	good := store.Activation{
		CodeHash: hash(code), IamRole: "r", RegistrationLimit: 1, ExpirationDate: t0, CreatedAt: t0,
	}
	for name, spoil := range map[string]func(*store.Activation){
		"no id":            func(a *store.Activation) { a.ID = "" },
		"limit 0":          func(a *store.Activation) { a.RegistrationLimit = 0 },
		"limit 1001":       func(a *store.Activation) { a.RegistrationLimit = 1001 },
		"count over limit": func(a *store.Activation) { a.RegistrationsCount = 2 },
		"no hash":          func(a *store.Activation) { a.CodeHash = nil },
		"short hash":       func(a *store.Activation) { a.CodeHash = []byte("x") },
		"no expiry":        func(a *store.Activation) { a.ExpirationDate = time.Time{} },
		"empty tag key":    func(a *store.Activation) { a.Tags = []ssm.Tag{{Value: "v"}} },
	} {
		a := good
		a.ID = ssm.NewActivationID()
		spoil(&a)
		if err := s.CreateActivation(t.Context(), a); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrInvalid)
		}
	}
	a := good
	a.ID = ssm.NewActivationID()
	a.Tags = []ssm.Tag{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}}
	wantErr(t, s.CreateActivation(t.Context(), a), store.ErrExists)
	// All of it was undone with the tag.
	list, _, err := s.Activations(t.Context(), store.ActivationFilter{}, store.Page{})
	must(t, err)
	equal(t, "activations", len(list), 0)
}

func activationFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var ids []string
	for _, x := range []struct{ name, role string }{{"web", "A"}, {"db", "A"}, {"web", "B"}} {
		a := store.Activation{
			ID: ssm.NewActivationID(), CodeHash: hash(code), DefaultInstanceName: x.name, IamRole: x.role,
			RegistrationLimit: 1, ExpirationDate: t0, CreatedAt: t0,
		}
		must(t, s.CreateActivation(ctx, a))
		ids = append(ids, a.ID)
	}
	for name, test := range map[string]struct {
		filter store.ActivationFilter
		want   []int
	}{
		"none":     {store.ActivationFilter{}, []int{0, 1, 2}},
		"id":       {store.ActivationFilter{IDs: []string{ids[1], "unknown"}}, []int{1}},
		"name":     {store.ActivationFilter{DefaultInstanceNames: []string{"web"}}, []int{0, 2}},
		"both":     {store.ActivationFilter{DefaultInstanceNames: []string{"web"}, IamRoles: []string{"B"}}, []int{2}},
		"any of":   {store.ActivationFilter{DefaultInstanceNames: []string{"web", "db"}, IamRoles: []string{"A"}}, []int{0, 1}},
		"no match": {store.ActivationFilter{IamRoles: []string{"a"}}, nil},
	} {
		list, _, err := s.Activations(ctx, test.filter, store.Page{})
		must(t, err)
		got := map[string]bool{}
		for _, a := range list {
			got[a.ID] = true
		}
		want := map[string]bool{}
		for _, i := range test.want {
			want[ids[i]] = true
		}
		equal(t, name, got, want)
	}
}

func deletedActivationLeavesNodes(t *testing.T, s *store.Store) {
	n := node(t, s)
	must(t, s.DeleteActivation(t.Context(), n.ActivationID))
	got, err := s.Node(t.Context(), n.ID)
	must(t, err)
	equal(t, "node", got, n)
	_, err = s.RegisterNode(t.Context(), n.ActivationID, hash(code), newNode(), t0)
	wantErr(t, err, store.ErrActivationInvalid)
}

func nodeTakesAfterItsActivation(t *testing.T, s *store.Store) {
	a := activation(t, s, 2)
	in := newNode()
	in.Name, in.IamRole, in.ActivationID, in.Tags = "liar", "Admin", "other", []ssm.Tag{{Key: "k", Value: "v"}}
	in.ComputerName = "web-1"
	n, err := s.RegisterNode(t.Context(), a.ID, hash(code), in, t0.Add(time.Microsecond))
	must(t, err)
	want := newNode()
	want.ID, want.Name, want.IamRole, want.ActivationID, want.Tags = n.ID, a.DefaultInstanceName, a.IamRole, a.ID, a.Tags
	want.RegisteredAt, want.ComputerName = t0, "web-1"
	equal(t, "returned node", n, want)
	if !ssm.IsNodeID(n.ID) {
		t.Errorf("id %q is not a node's", n.ID)
	}
	got, err := s.Node(t.Context(), n.ID)
	must(t, err)
	equal(t, "stored node", got, want)

	in.ID = n.ID
	_, err = s.RegisterNode(t.Context(), a.ID, hash(code), in, t0)
	wantErr(t, err, store.ErrExists)
}

func wrongCodeIsRefused(t *testing.T, s *store.Store) {
	a := activation(t, s, 1)
	for name, test := range map[string]struct {
		id   string
		hash []byte
	}{
		"wrong code": {a.ID, hash("guess")},
		"unknown id": {ssm.NewActivationID(), hash(code)},
		"no hash":    {a.ID, nil},
		"neither":    {ssm.NewActivationID(), nil},
		"prefix":     {a.ID, hash(code)[:16]},
	} {
		_, err := s.RegisterNode(t.Context(), test.id, test.hash, newNode(), t0.Add(48*time.Hour))
		if !errors.Is(err, store.ErrActivationInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	count(t, s, a.ID, 0)
}

// count fails the test unless n nodes are counted to have registered.
func count(t *testing.T, s *store.Store, activationID string, n int) {
	t.Helper()
	list, _, err := s.Activations(t.Context(), store.ActivationFilter{IDs: []string{activationID}}, store.Page{})
	must(t, err)
	equal(t, "registrations", list[0].RegistrationsCount, n)
}

func expiredActivationIsRefused(t *testing.T, s *store.Store) {
	a := activation(t, s, 2)
	_, err := s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), a.ExpirationDate)
	wantErr(t, err, store.ErrActivationExpired)
	_, err = s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), a.ExpirationDate.Add(-time.Millisecond))
	must(t, err)
}

func usedUpActivationIsRefused(t *testing.T, s *store.Store) {
	a := activation(t, s, 2)
	for range 2 {
		_, err := s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), t0)
		must(t, err)
	}
	_, err := s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), t0)
	wantErr(t, err, store.ErrActivationUsedUp)
	// Whoever does not know the code does not learn that it is used up.
	_, err = s.RegisterNode(t.Context(), a.ID, hash("guess"), newNode(), t0)
	wantErr(t, err, store.ErrActivationInvalid)
	count(t, s, a.ID, 2)
}

func failedRegistrationIsNotCounted(t *testing.T, s *store.Store) {
	a := activation(t, s, 1)
	bad := newNode()
	bad.PublicKey = nil
	_, err := s.RegisterNode(t.Context(), a.ID, hash(code), bad, t0)
	wantErr(t, err, store.ErrInvalid)
	count(t, s, a.ID, 0)
	_, err = s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), t0)
	must(t, err)
	count(t, s, a.ID, 1)
}

func concurrentRegistrationsKeepTheLimit(t *testing.T, s *store.Store) {
	const limit, callers = 5, 20
	a := activation(t, s, limit)
	errs := together(callers, func(int) error {
		_, err := s.RegisterNode(t.Context(), a.ID, hash(code), newNode(), t0)
		return err
	})
	registered := 0
	for _, err := range errs {
		if err == nil {
			registered++
		} else if !errors.Is(err, store.ErrActivationUsedUp) {
			t.Errorf("got %v, want %v", err, store.ErrActivationUsedUp)
		}
	}
	equal(t, "registrations that succeeded", registered, limit)
	count(t, s, a.ID, limit)
	nodes, _, err := s.Nodes(t.Context(), store.NodeFilter{ActivationIDs: []string{a.ID}}, store.Page{})
	must(t, err)
	equal(t, "nodes", len(nodes), limit)
}

// together calls f from n goroutines that all begin at once, and returns what they
// returned.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-begin
			errs[i] = f(i)
		})
	}
	close(begin)
	done.Wait()
	return errs
}
