package control

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// documentQuery is what a ListDocuments asks for.
type documentQuery struct {
	filter store.DocumentFilter
	amazon bool // documents of AWS
	own    bool // documents of the account
}

// ListDocuments lists documents: those of AWS first, and each part by name.
func (s *Server) ListDocuments(ctx context.Context, in *ssm.ListDocumentsInput) (*ssm.ListDocumentsOutput, error) {
	const operation = "ssm:ListDocuments"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	parameters := []any{in.Filters, in.DocumentFilterList}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	query, err := readDocumentFilters(in)
	if err != nil {
		return nil, err
	}
	out := &ssm.ListDocumentsOutput{DocumentIdentifiers: []ssm.DocumentIdentifier{}}
	limit := pageLimit(in.MaxResults)
	part, after, _ := strings.Cut(cursor, "/")
	next := ""
	if query.amazon && part != ownPart {
		for _, b := range document.Builtins() {
			v := builtinVersion(&b)
			if b.Name <= after || !query.matches(&v) {
				continue
			}
			if len(out.DocumentIdentifiers) == limit {
				next = amazonPart + "/" + out.DocumentIdentifiers[limit-1].Name
				break
			}
			out.DocumentIdentifiers = append(out.DocumentIdentifiers,
				s.listedDocument(true, store.ListedDocument{Document: store.Document{Type: ssm.DocumentTypeSession}, Default: v}))
		}
	}
	if query.own && next == "" {
		if part != ownPart {
			after = ""
		}
		room := limit - len(out.DocumentIdentifiers)
		if room == 0 {
			next = ownPart + "/"
		} else {
			list, more, err := s.cfg.Store.Documents(ctx, query.filter, store.Page{After: after, Limit: room})
			if err != nil {
				return nil, err
			}
			for _, d := range list {
				out.DocumentIdentifiers = append(out.DocumentIdentifiers, s.listedDocument(false, d))
			}
			if more != "" {
				next = ownPart + "/" + more
			}
		}
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}

// Parts of the list of documents, as cursors name them.
const (
	amazonPart = "Amazon"
	ownPart    = "Self"
)

func (s *Server) listedDocument(builtin bool, d store.ListedDocument) ssm.DocumentIdentifier {
	v := d.Default
	return ssm.DocumentIdentifier{
		Name:            v.Document,
		CreatedDate:     ssm.At(v.CreatedAt),
		DisplayName:     v.DisplayName,
		Owner:           s.documentOwner(builtin),
		VersionName:     v.VersionName,
		PlatformTypes:   v.PlatformTypes,
		DocumentVersion: strconv.Itoa(v.Version),
		DocumentType:    d.Type,
		SchemaVersion:   v.SchemaVersion,
		DocumentFormat:  v.Format,
		TargetType:      v.TargetType,
		Tags:            d.Tags,
	}
}

// readDocumentFilters reads both forms of filters. All of them must match, each with any
// of its values.
func readDocumentFilters(in *ssm.ListDocumentsInput) (documentQuery, error) {
	q := documentQuery{amazon: true, own: true}
	filters := slices.Clone(in.Filters)
	for _, f := range in.DocumentFilterList {
		filters = append(filters, ssm.DocumentKeyValuesFilter{Key: f.Key, Values: []string{f.Value}})
	}
	seen := make(map[string]bool)
	for _, f := range filters {
		if seen[f.Key] {
			return q, validation("Filter key %s is given more than once.", f.Key)
		}
		seen[f.Key] = true
		tag, isTag := strings.CutPrefix(f.Key, "tag:")
		if len(f.Values) == 0 && !isTag {
			return q, validation("Filter key %s needs a value.", f.Key)
		}
		switch f.Key {
		case "Name":
			q.filter.NamePrefixes = f.Values
		case "DocumentType":
			q.filter.Types = f.Values
		case "PlatformTypes":
			q.filter.PlatformTypes = f.Values
		case "TargetType":
			q.filter.TargetTypes = f.Values
		case "SearchKeyword":
			q.filter.Keywords = f.Values
		case "Owner":
			if len(f.Values) != 1 {
				return q, validation("Filter key Owner takes one value.")
			}
			if err := q.owner(f.Values[0]); err != nil {
				return q, err
			}
		default:
			if !isTag || tag == "" {
				return q, ssm.Errorf(ssm.CodeInvalidFilterKey, "The specified filter key isn't valid.")
			}
			if q.filter.Tags == nil {
				q.filter.Tags = make(map[string][]string)
			}
			q.filter.Tags[tag] = f.Values
		}
	}
	return q, nil
}

// owner narrows the query to documents of one kind of owner. There is one account, so no
// document comes from a third party, or is shared with the caller alone.
func (q *documentQuery) owner(value string) error {
	switch value {
	case "All":
	case "Self":
		q.amazon = false
	case "Amazon":
		q.own = false
	case "Public":
		q.filter.SharedWith = []string{store.ShareWithAll}
	case "Private", "ThirdParty":
		q.amazon, q.own = false, false
	default:
		return validation("Filter key Owner takes one of All, Self, Amazon, Public, Private, ThirdParty.")
	}
	return nil
}

// matches is the query as it is for a document of AWS. Those have no tags, no target
// type and no display name, and are public.
func (q *documentQuery) matches(v *store.DocumentVersion) bool {
	f := &q.filter
	any := func(values []string, ok func(string) bool) bool {
		return len(values) == 0 || slices.ContainsFunc(values, ok)
	}
	return len(f.Tags) == 0 && len(f.TargetTypes) == 0 &&
		any(f.NamePrefixes, func(prefix string) bool { return strings.HasPrefix(v.Document, prefix) }) &&
		any(f.Types, func(t string) bool { return t == ssm.DocumentTypeSession }) &&
		any(f.PlatformTypes, func(p string) bool { return slices.Contains(v.PlatformTypes, p) }) &&
		any(f.Keywords, func(word string) bool {
			return strings.Contains(strings.ToLower(v.Document), strings.ToLower(word))
		})
}

// ListDocumentVersions lists the versions of a document, newest first.
func (s *Server) ListDocumentVersions(ctx context.Context, in *ssm.ListDocumentVersionsInput) (*ssm.ListDocumentVersionsOutput, error) {
	const operation = "ssm:ListDocumentVersions"
	d, err := s.readDocument(ctx, operation, in.Name)
	if err != nil {
		return nil, err
	}
	cursor, err := s.pageCursor(operation, in.Name, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ssm.ListDocumentVersionsOutput{}
	if d.builtin != nil {
		v := builtinVersion(d.builtin)
		out.DocumentVersions = []ssm.DocumentVersionInfo{listedVersion(&v, 1)}
		return out, nil
	}
	list, next, err := s.cfg.Store.DocumentVersions(ctx, d.name, store.Page{After: cursor, Limit: pageLimit(in.MaxResults)})
	if errors.Is(err, store.ErrCursor) {
		return nil, errPageToken
	}
	if err != nil {
		return nil, err
	}
	out.DocumentVersions = make([]ssm.DocumentVersionInfo, len(list))
	for i := range list {
		out.DocumentVersions[i] = listedVersion(&list[i], d.stored.DefaultVersion)
	}
	out.NextToken, err = s.pageToken(operation, in.Name, next)
	return out, err
}

func listedVersion(v *store.DocumentVersion, defaultVersion int) ssm.DocumentVersionInfo {
	return ssm.DocumentVersionInfo{
		Name:             v.Document,
		DisplayName:      v.DisplayName,
		DocumentVersion:  strconv.Itoa(v.Version),
		VersionName:      v.VersionName,
		CreatedDate:      ssm.At(v.CreatedAt),
		IsDefaultVersion: v.Version == defaultVersion,
		DocumentFormat:   v.Format,
		Status:           ssm.DocumentActive,
	}
}
