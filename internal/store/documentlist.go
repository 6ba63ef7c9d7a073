package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"sekisho/internal/ssm"
)

// DocumentFilter narrows a list of documents. All fields that are set must match; one
// field matches with any of its values.
type DocumentFilter struct {
	NamePrefixes  []string
	Types         []string
	PlatformTypes []string // "Windows", "Linux", "MacOS"
	TargetTypes   []string
	Keywords      []string // part of the name or the display name, without regard to case
	// Tags are those that a document must have: all of the keys, each with any of its values.
	// A key without values needs only be there.
	Tags map[string][]string
	// SharedWith are accounts, or "all", one of which the document must be shared with.
	SharedWith []string
}

// ListedDocument is a document with its default version, without the text.
type ListedDocument struct {
	Document
	Default DocumentVersion
}

func (f DocumentFilter) where(p Page) where {
	var w where
	w.anyOf(f.NamePrefixes, func(prefix string) string {
		n := strconv.Itoa(len([]rune(prefix)))
		return "substr(d.name, 1, " + n + ") = " + w.param(prefix)
	})
	w.in("d.document_type", f.Types)
	w.anyOf(f.PlatformTypes, func(platform string) string {
		// LIKE would do on PostgreSQL only: on SQLite it ignores case.
		return "replace(v.platform_types, " + w.param(`"`+platform+`"`) + ", '') <> v.platform_types"
	})
	w.in("v.target_type", f.TargetTypes)
	w.anyOf(f.Keywords, func(word string) string {
		pattern := w.param("%" + likeText(strings.ToLower(word)) + "%")
		// Few documents have a display name: an index holds those that do.
		return "lower(d.name) like " + pattern + ` escape '\' or (d.name, d.default_version) in (select k.document, k.version
			from document_versions k where k.display_name <> '' and lower(k.display_name) like ` + pattern + ` escape '\')`
	})
	for key, values := range f.Tags {
		condition := "key = " + w.param(key)
		if len(values) > 0 {
			condition += " and value in (" + w.params(values) + ")"
		}
		w.tagged(tagDocument, "d.name", condition)
	}
	if len(f.SharedWith) > 0 {
		w.conditions = append(w.conditions, "exists (select 1 from document_shares s where s.document = d.name and s.account_id in ("+
			w.params(f.SharedWith)+"))")
	}
	w.afterID("d.name", p)
	return w
}

// anyOf adds the condition that one of values meets a condition. No values means any.
func (w *where) anyOf(values []string, condition func(value string) string) {
	if len(values) == 0 {
		return
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = condition(v)
	}
	w.conditions = append(w.conditions, "("+strings.Join(parts, " or ")+")")
}

// Documents returns a page of documents in the order of their names, and the cursor of
// the next page ("" after the last).
func (s *Store) Documents(ctx context.Context, f DocumentFilter, p Page) ([]ListedDocument, string, error) {
	w := f.where(p)
	r := s.reader()
	items, next, err := page(ctx, r, `select `+documentColumns+`, `+versionColumns+`
		from documents d join document_versions v on v.document = d.name and v.version = d.default_version`+w.String()+` order by d.name`,
		&w, p, func(d *ListedDocument, scan func(...any) error) error {
			return scan(append([]any{&d.Name, &d.Type, &d.DefaultVersion, &d.LatestVersion, asTime(&d.CreatedAt)},
				versionDest(&d.Default)...)...)
		}, func(d ListedDocument) string { return d.Name })
	if err == nil {
		err = fillTags(ctx, r, tagDocument, items, func(d *ListedDocument) string { return d.Name },
			func(d *ListedDocument) *[]ssm.Tag { return &d.Tags })
	}
	if err != nil {
		return nil, "", fmt.Errorf("list documents: %w", err)
	}
	return items, next, nil
}

// DocumentVersions returns a page of the versions of a document, newest first and without
// their texts, and the cursor of the next page ("" after the last). A document that does
// not exist has none.
func (s *Store) DocumentVersions(ctx context.Context, name string, p Page) ([]DocumentVersion, string, error) {
	var w where
	w.add("v.document = ?", name)
	if p.After != "" {
		version, err := strconv.Atoi(p.After)
		if err != nil {
			return nil, "", fmt.Errorf("list versions of document %s: %w", name, ErrCursor)
		}
		w.add("v.version < ?", version)
	}
	items, next, err := page(ctx, s.reader(), `select `+versionColumns+` from document_versions v`+w.String()+` order by v.version desc`,
		&w, p, func(v *DocumentVersion, scan func(...any) error) error { return scan(versionDest(v)...) },
		func(v DocumentVersion) string { return strconv.Itoa(v.Version) })
	if err != nil {
		return nil, "", fmt.Errorf("list versions of document %s: %w", name, err)
	}
	return items, next, nil
}
