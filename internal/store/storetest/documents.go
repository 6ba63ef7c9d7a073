package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// RunDocuments runs the contract for documents on one kind of database.
func RunDocuments(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"RoundTrip", documentsRoundTrip},
		{"Constraints", documentConstraints},
		{"Versions", documentVersions},
		{"VersionNames", documentVersionNames},
		{"Deletion", documentDeletion},
		{"Limits", documentLimits},
		{"ConcurrentUpdates", documentConcurrentUpdates},
		{"Filters", documentFilters},
		{"Pages", documentPages},
		{"Shares", documentShares},
		{"Tags", documentTags},
		{"NodeTags", nodeTags},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

// plenty is a limit that no test reaches.
const plenty = 1000

func newDocument(name string) (store.Document, store.DocumentVersion) {
	return store.Document{Name: name, Type: "Session", DefaultVersion: 1, LatestVersion: 1, CreatedAt: t0,
			Tags: []ssm.Tag{{Key: "Team", Value: "x"}, {Key: "team", Value: ""}}},
		newVersion(name, 1)
}

func newVersion(name string, version int) store.DocumentVersion {
	return store.DocumentVersion{
		Document: name, Version: version, DisplayName: "Display " + name, TargetType: "/AWS::EC2::Instance",
		Hash: fmt.Sprintf("%064x", version), Format: "JSON", SchemaVersion: "1.0", PlatformTypes: []string{"Windows", "Linux"},
		CreatedAt: t0, Description: "関所", Notice: "beware", Parameters: `[{"Name":"a"}]`, Content: fmt.Sprintf("{ \"text\": %d }\n", version),
	}
}

// storedDocument makes a document; change may alter it.
func storedDocument(t *testing.T, s *store.Store, name string, change ...func(*store.Document, *store.DocumentVersion)) (store.Document, store.DocumentVersion) {
	t.Helper()
	d, v := newDocument(name)
	for _, f := range change {
		f(&d, &v)
	}
	must(t, s.CreateDocument(t.Context(), d, v, plenty))
	return d, v
}

// addVersion adds a version with a text of its own.
func addVersion(t *testing.T, s *store.Store, name string, seed int) int {
	t.Helper()
	n, err := s.AddDocumentVersion(t.Context(), newVersion(name, seed), plenty)
	must(t, err)
	return n
}

func sameDocument(t *testing.T, s *store.Store, want store.Document) {
	t.Helper()
	got, err := s.Document(t.Context(), want.Name)
	must(t, err)
	equal(t, "document", got, want)
}

func documentsRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	d, v := storedDocument(t, s, "one")
	other, _ := storedDocument(t, s, "One") // another name
	sameDocument(t, s, d)
	sameDocument(t, s, other)
	got, err := s.DocumentVersion(ctx, "one", 1)
	must(t, err)
	equal(t, "version", got, v)

	_, err = s.Document(ctx, "none")
	wantErr(t, err, store.ErrNotFound)
	_, err = s.DocumentVersion(ctx, "one", 2)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.NamedDocumentVersion(ctx, "one", "")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.CreateDocument(ctx, d, v, plenty), store.ErrExists)
	wantErr(t, s.DeleteDocument(ctx, "none"), store.ErrNotFound)
	wantErr(t, s.DeleteDocumentVersion(ctx, "none", 1), store.ErrNotFound)
	wantErr(t, s.SetDefaultDocumentVersion(ctx, "none", 1), store.ErrNotFound)
	_, err = s.AddDocumentVersion(ctx, newVersion("none", 1), plenty)
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.ShareDocument(ctx, "none", nil, nil, plenty), store.ErrNotFound)
}

func documentConstraints(t *testing.T, s *store.Store) {
	for what, change := range map[string]func(*store.Document, *store.DocumentVersion){
		"no name":   func(d *store.Document, _ *store.DocumentVersion) { d.Name = "" },
		"no type":   func(d *store.Document, _ *store.DocumentVersion) { d.Type = "" },
		"no text":   func(_ *store.Document, v *store.DocumentVersion) { v.Content = "" },
		"hash":      func(_ *store.Document, v *store.DocumentVersion) { v.Hash = "abc" },
		"format":    func(_ *store.Document, v *store.DocumentVersion) { v.Format = "XML" },
		"NUL bytes": func(_ *store.Document, v *store.DocumentVersion) { v.Content = "a\x00b" },
	} {
		d, v := newDocument("d")
		change(&d, &v)
		if err := s.CreateDocument(t.Context(), d, v, plenty); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	_, err := s.Document(t.Context(), "d")
	wantErr(t, err, store.ErrNotFound)
}

func documentVersions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	d, v := storedDocument(t, s, "one")
	storedDocument(t, s, "two")
	_, err := s.AddDocumentVersion(ctx, v, plenty)
	wantErr(t, err, store.ErrSameContent)
	equal(t, "number", addVersion(t, s, "one", 2), 2)
	equal(t, "number", addVersion(t, s, "one", 1), 3) // an older text may come back
	d.LatestVersion = 3
	sameDocument(t, s, d)

	must(t, s.SetDefaultDocumentVersion(ctx, "one", 2))
	wantErr(t, s.SetDefaultDocumentVersion(ctx, "one", 4), store.ErrNotFound)
	wantErr(t, s.SetDefaultDocumentVersion(ctx, "two", 2), store.ErrNotFound)
	d.DefaultVersion = 2
	sameDocument(t, s, d)

	var inUse *store.InUseError
	if err := s.DeleteDocumentVersion(ctx, "one", 2); !errors.As(err, &inUse) || inUse.By != "default version" {
		t.Errorf("delete the default version: %v", err)
	}
	must(t, s.DeleteDocumentVersion(ctx, "one", 3))
	wantErr(t, s.DeleteDocumentVersion(ctx, "one", 3), store.ErrNotFound)
	d.LatestVersion = 2
	sameDocument(t, s, d)
	equal(t, "number after one was deleted", addVersion(t, s, "one", 5), 4)

	var numbers []int
	page := store.Page{Limit: 2}
	for {
		list, next, err := s.DocumentVersions(ctx, "one", page)
		must(t, err)
		for _, v := range list {
			if v.Content != "" {
				t.Errorf("version %d is listed with its text", v.Version)
			}
			numbers = append(numbers, v.Version)
		}
		if page.After = next; next == "" {
			break
		}
	}
	equal(t, "versions", numbers, []int{4, 2, 1})
	_, _, err = s.DocumentVersions(ctx, "one", store.Page{After: "x"})
	wantErr(t, err, store.ErrCursor)
	list, _, err := s.DocumentVersions(ctx, "none", store.Page{})
	must(t, err)
	equal(t, "versions of no document", len(list), 0)
}

func documentVersionNames(t *testing.T, s *store.Store) {
	ctx := t.Context()
	storedDocument(t, s, "one", func(_ *store.Document, v *store.DocumentVersion) { v.VersionName = "first" })
	storedDocument(t, s, "two", func(_ *store.Document, v *store.DocumentVersion) { v.VersionName = "first" })
	v := newVersion("one", 2)
	v.VersionName = "first"
	_, err := s.AddDocumentVersion(ctx, v, plenty)
	wantErr(t, err, store.ErrExists)
	v.VersionName = "second"
	n, err := s.AddDocumentVersion(ctx, v, plenty)
	must(t, err)
	equal(t, "number after a refusal", n, 2)
	addVersion(t, s, "one", 3)
	addVersion(t, s, "one", 4) // no name is no name that is taken
	got, err := s.NamedDocumentVersion(ctx, "one", "second")
	must(t, err)
	equal(t, "named version", got, v)
	_, err = s.NamedDocumentVersion(ctx, "two", "second")
	wantErr(t, err, store.ErrNotFound)
}

func documentDeletion(t *testing.T, s *store.Store) {
	ctx := t.Context()
	d, v := storedDocument(t, s, "one")
	other, _ := storedDocument(t, s, "two")
	addVersion(t, s, "one", 2)
	must(t, s.ShareDocument(ctx, "one", []store.DocumentShare{{AccountID: "111122223333", Version: "$DEFAULT"}}, nil, plenty))
	var inUse *store.InUseError
	if err := s.DeleteDocument(ctx, "one"); !errors.As(err, &inUse) || inUse.By != "shares" {
		t.Errorf("delete a shared document: %v", err)
	}
	must(t, s.ShareDocument(ctx, "one", nil, []string{"111122223333"}, plenty))
	must(t, s.DeleteDocument(ctx, "one"))
	wantErr(t, s.DeleteDocument(ctx, "one"), store.ErrNotFound)
	sameDocument(t, s, other)
	// One of the same name begins anew.
	d.Tags = nil
	must(t, s.CreateDocument(ctx, d, v, plenty))
	sameDocument(t, s, d)
	_, err := s.DocumentVersion(ctx, "one", 2)
	wantErr(t, err, store.ErrNotFound)
}

func documentLimits(t *testing.T, s *store.Store) {
	ctx := t.Context()
	storedDocument(t, s, "one")
	d, v := newDocument("two")
	var limit *store.LimitError
	if err := s.CreateDocument(ctx, d, v, 1); !errors.As(err, &limit) || limit.Limit != 1 {
		t.Errorf("a document more than the limit: %v", err)
	}
	_, err := s.Document(ctx, "two")
	wantErr(t, err, store.ErrNotFound)
	must(t, s.CreateDocument(ctx, d, v, 2))
	if _, err := s.AddDocumentVersion(ctx, newVersion("one", 2), 1); !errors.As(err, &limit) {
		t.Errorf("a version more than the limit: %v", err)
	}
	equal(t, "number", addVersion(t, s, "one", 2), 2)
}

func documentConcurrentUpdates(t *testing.T, s *store.Store) {
	storedDocument(t, s, "one")
	const n = 8
	var mu sync.Mutex
	var numbers []int
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			version, err := s.AddDocumentVersion(context.WithoutCancel(t.Context()), newVersion("one", 10+i), plenty)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			numbers = append(numbers, version)
		})
	}
	wg.Wait()
	slices.Sort(numbers)
	equal(t, "versions", numbers, []int{2, 3, 4, 5, 6, 7, 8, 9})
}

func documentFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	storedDocument(t, s, "Finance-Shell")
	storedDocument(t, s, "Finance_Port", func(d *store.Document, v *store.DocumentVersion) {
		v.PlatformTypes, v.TargetType, v.DisplayName = []string{"MacOS"}, "/", "100% sure"
		d.Tags = []ssm.Tag{{Key: "Team", Value: "y"}}
	})
	storedDocument(t, s, "ops", func(d *store.Document, v *store.DocumentVersion) {
		d.Type, d.Tags, v.DisplayName = "Command", nil, ""
	})
	must(t, s.ShareDocument(ctx, "ops", []store.DocumentShare{{AccountID: store.ShareWithAll, Version: "$DEFAULT"}}, nil, plenty))
	for _, test := range []struct {
		filter store.DocumentFilter
		want   string
	}{
		{store.DocumentFilter{}, "Finance-Shell Finance_Port ops"},
		{store.DocumentFilter{NamePrefixes: []string{"Finance"}}, "Finance-Shell Finance_Port"},
		{store.DocumentFilter{NamePrefixes: []string{"Finance_"}}, "Finance_Port"},
		{store.DocumentFilter{NamePrefixes: []string{"finance"}}, ""},
		{store.DocumentFilter{NamePrefixes: []string{"o", "Finance-"}}, "Finance-Shell ops"},
		{store.DocumentFilter{Types: []string{"Session"}}, "Finance-Shell Finance_Port"},
		{store.DocumentFilter{Types: []string{"Session", "Command"}}, "Finance-Shell Finance_Port ops"},
		{store.DocumentFilter{PlatformTypes: []string{"MacOS"}}, "Finance_Port"},
		{store.DocumentFilter{PlatformTypes: []string{"Linux", "MacOS"}, NamePrefixes: []string{"F"}}, "Finance-Shell Finance_Port"},
		{store.DocumentFilter{PlatformTypes: []string{"%"}}, ""},
		{store.DocumentFilter{TargetTypes: []string{"/"}}, "Finance_Port"},
		{store.DocumentFilter{Keywords: []string{"SHELL"}}, "Finance-Shell"},
		{store.DocumentFilter{Keywords: []string{"100% s"}}, "Finance_Port"},
		{store.DocumentFilter{Keywords: []string{"e_"}}, "Finance_Port"},
		{store.DocumentFilter{Tags: map[string][]string{"Team": nil}}, "Finance-Shell Finance_Port"},
		{store.DocumentFilter{Tags: map[string][]string{"Team": {"y", "z"}}}, "Finance_Port"},
		{store.DocumentFilter{Tags: map[string][]string{"Team": {"x"}, "team": {""}}}, "Finance-Shell"},
		{store.DocumentFilter{Tags: map[string][]string{"TEAM": nil}}, ""},
		{store.DocumentFilter{SharedWith: []string{"all"}}, "ops"},
		{store.DocumentFilter{NamePrefixes: []string{`'; drop table documents; --`}, Keywords: []string{`\`}}, ""},
	} {
		items, next, err := s.Documents(ctx, test.filter, store.Page{})
		must(t, err)
		var names []string
		for _, d := range items {
			names = append(names, d.Name)
		}
		slices.Sort(names) // a database sorts by its own rules
		if got := strings.Join(names, " "); got != test.want || next != "" {
			t.Errorf("%+v: %q, next %q; want %q", test.filter, got, next, test.want)
		}
	}
	// What is listed is the default version.
	addVersion(t, s, "ops", 2)
	items, _, err := s.Documents(ctx, store.DocumentFilter{NamePrefixes: []string{"Finance-"}}, store.Page{})
	must(t, err)
	d, v := newDocument("Finance-Shell")
	v.Content, v.Description, v.Notice, v.Parameters = "", "", "", ""
	equal(t, "listed", items, []store.ListedDocument{{Document: d, Default: v}})
}

func documentPages(t *testing.T, s *store.Store) {
	for i := range 7 {
		storedDocument(t, s, fmt.Sprintf("d-%d", i))
	}
	var names []string
	page := store.Page{Limit: 3}
	for {
		items, next, err := s.Documents(t.Context(), store.DocumentFilter{}, page)
		must(t, err)
		for _, d := range items {
			names = append(names, d.Name)
		}
		if len(names) == 3 { // between two pages
			must(t, s.DeleteDocument(t.Context(), "d-2"))
			must(t, s.DeleteDocument(t.Context(), "d-3"))
		}
		if page.After = next; next == "" {
			break
		}
	}
	equal(t, "names", names, []string{"d-0", "d-1", "d-2", "d-4", "d-5", "d-6"})
}

func documentShares(t *testing.T, s *store.Store) {
	ctx := t.Context()
	storedDocument(t, s, "one")
	a := store.DocumentShare{AccountID: "111122223333", Version: "$DEFAULT"}
	b := store.DocumentShare{AccountID: "444455556666", Version: "3"}
	all := store.DocumentShare{AccountID: store.ShareWithAll, Version: "$ALL"}
	want := func(shares ...store.DocumentShare) {
		t.Helper()
		got, _, err := s.DocumentShares(ctx, "one", store.Page{})
		must(t, err)
		equal(t, "shares", got, shares)
	}
	must(t, s.ShareDocument(ctx, "one", []store.DocumentShare{b, a}, nil, plenty))
	must(t, s.ShareDocument(ctx, "one", []store.DocumentShare{b, a}, []string{"999999999999"}, plenty))
	want(a, b)
	wantErr(t, s.ShareDocument(ctx, "one", []store.DocumentShare{all}, nil, plenty), store.ErrMixedShares)
	want(a, b)
	a.Version = "$LATEST"
	must(t, s.ShareDocument(ctx, "one", []store.DocumentShare{a}, []string{b.AccountID}, plenty))
	want(a)
	must(t, s.ShareDocument(ctx, "one", []store.DocumentShare{all}, []string{a.AccountID}, plenty))
	want(all)
	must(t, s.ShareDocument(ctx, "one", []store.DocumentShare{a, b}, []string{"all"}, plenty))
	page, next, err := s.DocumentShares(ctx, "one", store.Page{Limit: 1})
	must(t, err)
	equal(t, "first page", page, []store.DocumentShare{a})
	page, next, err = s.DocumentShares(ctx, "one", store.Page{Limit: 1, After: next})
	must(t, err)
	equal(t, "second page", page, []store.DocumentShare{b})
	equal(t, "cursor", next, "")
	var limit *store.LimitError
	if err := s.ShareDocument(ctx, "one", []store.DocumentShare{{AccountID: "777788889999", Version: "1"}}, nil, 2); !errors.As(err, &limit) {
		t.Errorf("a share more than the limit: %v", err)
	}
	want(a, b)
}

func documentTags(t *testing.T, s *store.Store) {
	d, _ := storedDocument(t, s, "one")
	resourceTags(t, s, "one", s.TagDocument, s.UntagDocument, func() []ssm.Tag {
		got, err := s.Document(t.Context(), "one")
		must(t, err)
		return got.Tags
	}, d.Tags)
}

func nodeTags(t *testing.T, s *store.Store) {
	n := node(t, s)
	resourceTags(t, s, n.ID, s.TagNode, s.UntagNode, func() []ssm.Tag {
		got, err := s.Node(t.Context(), n.ID)
		must(t, err)
		return got.Tags
	}, n.Tags)
	must(t, s.DeregisterNode(t.Context(), n.ID, t0))
	wantErr(t, s.TagNode(t.Context(), n.ID, nil, plenty), store.ErrNotFound)
}

func resourceTags(t *testing.T, s *store.Store, id string, tag func(context.Context, string, []ssm.Tag, int) error,
	untag func(context.Context, string, []string) error, tags func() []ssm.Tag, given []ssm.Tag) {
	ctx := t.Context()
	before, err := s.IdentityRevision(ctx)
	must(t, err)
	var keys []string
	for _, g := range given {
		keys = append(keys, g.Key)
	}
	must(t, untag(ctx, id, append(keys, "unknown")))
	equal(t, "tags", len(tags()), 0)
	must(t, tag(ctx, id, []ssm.Tag{{Key: "a", Value: "1"}, {Key: "A", Value: "2"}}, 2))
	must(t, tag(ctx, id, []ssm.Tag{{Key: "a", Value: "3"}}, 2))
	got := tags()
	slices.SortFunc(got, func(x, y ssm.Tag) int { return strings.Compare(x.Key, y.Key) })
	equal(t, "tags", got, []ssm.Tag{{Key: "A", Value: "2"}, {Key: "a", Value: "3"}})
	var limit *store.LimitError
	if err := tag(ctx, id, []ssm.Tag{{Key: "b"}}, 2); !errors.As(err, &limit) {
		t.Errorf("a tag more than the limit: %v", err)
	}
	must(t, untag(ctx, id, []string{"A"}))
	equal(t, "tags", tags(), []ssm.Tag{{Key: "a", Value: "3"}})
	wantErr(t, tag(ctx, "unknown", nil, 2), store.ErrNotFound)
	wantErr(t, untag(ctx, "unknown", nil), store.ErrNotFound)
	after, err := s.IdentityRevision(ctx)
	must(t, err)
	if after <= before {
		t.Error("a change of tags does not count as one of what decides who may do what")
	}
}
