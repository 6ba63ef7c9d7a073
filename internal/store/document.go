package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekisho/internal/ssm"
)

// tagDocument is the resource type of documents in the tags table.
const tagDocument = "Document"

// Facts about documents that callers branch on.
var (
	// ErrSameContent says that a new version has the content of the latest one.
	ErrSameContent = errors.New("content is that of the latest version")
	// ErrMixedShares says that a document would be shared with everybody and with
	// accounts.
	ErrMixedShares = errors.New("shared with everybody and with accounts")
)

// Document is a named document of the account. Its text is in its versions.
type Document struct {
	Name           string
	Type           string // "Session"
	DefaultVersion int    // not read by CreateDocument
	LatestVersion  int    // not read by CreateDocument
	CreatedAt      time.Time
	Tags           []ssm.Tag // in the order of their keys when read
}

// DocumentVersion is one text of a document and what is known of it.
type DocumentVersion struct {
	Document      string
	Version       int    // from 1; never given again
	VersionName   string // unique in its document, or empty
	DisplayName   string
	TargetType    string
	Hash          string // SHA-256 in hexadecimal
	Format        string // JSON, YAML or TEXT
	SchemaVersion string
	PlatformTypes []string
	CreatedAt     time.Time
	Description   string
	Notice        string // what its author should know
	Parameters    string // JSON array, opaque here
	Content       string // as it was submitted; empty in lists
}

// CreateDocument adds a document with its first version, which is the default. A taken
// name is [ErrExists]; more than limit documents are a [LimitError].
func (s *Store) CreateDocument(ctx context.Context, d Document, v DocumentVersion, limit int) error {
	err := s.inTx(ctx, func(tx runner) error {
		// The insert comes first: on SQLite it keeps other writers out until the count is
		// judged. PostgreSQL may let a few more in that come at the same moment.
		_, err := tx.exec(ctx, `
			insert into documents (name, document_type, default_version, last_version, created_at) values ($1, $2, 1, 1, $3)`,
			d.Name, d.Type, millis(d.CreatedAt))
		if err != nil {
			return err
		}
		n, err := count(ctx, tx, `select count(*) from documents`)
		if err != nil {
			return err
		}
		if n > limit {
			return &LimitError{Name: "Documents", Limit: limit}
		}
		v.Document, v.Version = d.Name, 1
		if err := insertDocumentVersion(ctx, tx, v); err != nil {
			return err
		}
		return putTags(ctx, tx, tagDocument, d.Name, d.Tags)
	})
	if err != nil {
		return fmt.Errorf("create document %s: %w", d.Name, err)
	}
	return nil
}

func insertDocumentVersion(ctx context.Context, tx runner, v DocumentVersion) error {
	_, err := tx.exec(ctx, `
		insert into document_versions (document, version, version_name, display_name, target_type, hash, format,
			schema_version, platform_types, created_at, description, notice, parameters, content)
		values ($1, $2, nullif($3, ''), $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		v.Document, v.Version, v.VersionName, v.DisplayName, v.TargetType, v.Hash, v.Format,
		v.SchemaVersion, list(v.PlatformTypes), millis(v.CreatedAt), v.Description, v.Notice, v.Parameters, v.Content)
	return err
}

const documentColumns = `d.name, d.document_type, d.default_version,
	(select max(l.version) from document_versions l where l.document = d.name), d.created_at`

// Document returns a document with its tags, or [ErrNotFound].
func (s *Store) Document(ctx context.Context, name string) (Document, error) {
	var d Document
	r := s.reader()
	err := r.row(ctx, `select `+documentColumns+` from documents d where d.name = $1`, []any{name},
		&d.Name, &d.Type, &d.DefaultVersion, &d.LatestVersion, asTime(&d.CreatedAt))
	var tags map[string][]ssm.Tag
	if err == nil {
		tags, err = tagsOf(ctx, r, tagDocument, []string{name})
	}
	if err != nil {
		return Document{}, fmt.Errorf("document %s: %w", name, err)
	}
	d.Tags = tags[name]
	return d, nil
}

// versionColumns are those of a version less its text.
const versionColumns = `v.document, v.version, v.version_name, v.display_name, v.target_type, v.hash, v.format,
	v.schema_version, v.platform_types, v.created_at`

func versionDest(v *DocumentVersion) []any {
	return []any{&v.Document, &v.Version, asText(&v.VersionName), &v.DisplayName, &v.TargetType, &v.Hash, &v.Format,
		&v.SchemaVersion, asList(&v.PlatformTypes), asTime(&v.CreatedAt)}
}

const wholeVersion = `select ` + versionColumns + `, v.description, v.notice, v.parameters, v.content
	from document_versions v where v.document = $1`

func (s *Store) documentVersion(ctx context.Context, condition string, args ...any) (DocumentVersion, error) {
	var v DocumentVersion
	err := s.reader().row(ctx, wholeVersion+condition, args,
		append(versionDest(&v), &v.Description, &v.Notice, &v.Parameters, &v.Content)...)
	if err != nil {
		return DocumentVersion{}, fmt.Errorf("version %v of document %v: %w", args[1], args[0], err)
	}
	return v, nil
}

// DocumentVersion returns a version of a document with its text, or [ErrNotFound].
func (s *Store) DocumentVersion(ctx context.Context, name string, version int) (DocumentVersion, error) {
	return s.documentVersion(ctx, ` and v.version = $2`, name, version)
}

// NamedDocumentVersion is [Store.DocumentVersion] by the name of the version.
func (s *Store) NamedDocumentVersion(ctx context.Context, name, versionName string) (DocumentVersion, error) {
	return s.documentVersion(ctx, ` and v.version_name = $2`, name, versionName)
}

// lockDocument holds a document's row until the end of the transaction, so that its
// versions and shares are judged and changed by one transaction at a time.
func lockDocument(ctx context.Context, tx runner, name string) error {
	return one(tx.exec(ctx, `update documents set name = name where name = $1`, name))
}

// AddDocumentVersion adds a version to a document and returns its number. The default
// stays. A taken version name is [ErrExists], the text of the latest version
// [ErrSameContent]; more than limit versions are a [LimitError].
func (s *Store) AddDocumentVersion(ctx context.Context, v DocumentVersion, limit int) (int, error) {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockDocument(ctx, tx, v.Document); err != nil {
			return err
		}
		var hash string
		err := tx.row(ctx, `select hash from document_versions where document = $1 order by version desc limit 1`,
			[]any{v.Document}, &hash)
		if err != nil {
			return err
		}
		if hash == v.Hash {
			return ErrSameContent
		}
		n, err := count(ctx, tx, `select count(*) from document_versions where document = $1`, v.Document)
		if err != nil {
			return err
		}
		if n >= limit {
			return &LimitError{Name: "VersionsPerDocument", Limit: limit}
		}
		err = tx.row(ctx, `update documents set last_version = last_version + 1 where name = $1 returning last_version`,
			[]any{v.Document}, &v.Version)
		if err != nil {
			return err
		}
		return insertDocumentVersion(ctx, tx, v)
	})
	if err != nil {
		return 0, fmt.Errorf("add version to document %s: %w", v.Document, err)
	}
	return v.Version, nil
}

// SetDefaultDocumentVersion says which version sessions get. One that does not exist is
// [ErrNotFound].
func (s *Store) SetDefaultDocumentVersion(ctx context.Context, name string, version int) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockDocument(ctx, tx, name); err != nil {
			return err
		}
		return one(tx.exec(ctx, `
			update documents set default_version = $2
			where name = $1 and exists (select 1 from document_versions v where v.document = $1 and v.version = $2)`, name, version))
	})
	if err != nil {
		return fmt.Errorf("make version %d of document %s the default: %w", version, name, err)
	}
	return nil
}

// DeleteDocument removes a document with its versions and tags. One that is shared is an
// [InUseError].
func (s *Store) DeleteDocument(ctx context.Context, name string) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockDocument(ctx, tx, name); err != nil {
			return err
		}
		if err := unreferenced(ctx, tx, name, reference{"shares", `document_shares where document = $1`}); err != nil {
			return err
		}
		if err := deleteTags(ctx, tx, tagDocument, name); err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from documents where name = $1`, name))
	})
	if err != nil {
		return fmt.Errorf("delete document %s: %w", name, err)
	}
	return nil
}

// DeleteDocumentVersion removes a version of a document. The default one is an
// [InUseError].
func (s *Store) DeleteDocumentVersion(ctx context.Context, name string, version int) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockDocument(ctx, tx, name); err != nil {
			return err
		}
		n, err := count(ctx, tx, `select count(*) from documents where name = $1 and default_version = $2`, name, version)
		if err != nil {
			return err
		}
		if n > 0 {
			return &InUseError{By: "default version"}
		}
		return one(tx.exec(ctx, `delete from document_versions where document = $1 and version = $2`, name, version))
	})
	if err != nil {
		return fmt.Errorf("delete version %d of document %s: %w", version, name, err)
	}
	return nil
}

// likeText is text for the inside of a LIKE pattern with the escape character \.
func likeText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
