package store

import (
	"context"
	"fmt"
	"slices"

	"sekisho/internal/ssm"
)

// ShareWithAll stands for every account.
const ShareWithAll = "all"

// DocumentShare says that an account may use a document.
type DocumentShare struct {
	AccountID string // or [ShareWithAll]
	Version   string // "$DEFAULT", "$LATEST", "$ALL" or a number
}

// DocumentShares returns a page of what a document is shared with, in the order of the
// accounts, and the cursor of the next page ("" after the last).
func (s *Store) DocumentShares(ctx context.Context, name string, p Page) ([]DocumentShare, string, error) {
	var w where
	w.add("document = ?", name)
	w.afterID("account_id", p)
	shares, next, err := page(ctx, s.reader(), `select account_id, shared_version from document_shares`+w.String()+` order by account_id`,
		&w, p, func(x *DocumentShare, scan func(...any) error) error { return scan(&x.AccountID, &x.Version) },
		func(x DocumentShare) string { return x.AccountID })
	if err != nil {
		return nil, "", fmt.Errorf("list shares of document %s: %w", name, err)
	}
	return shares, next, nil
}

// ShareDocument ends the sharing of a document with accounts and then shares it with
// others. A share with the same account is replaced. If it is then shared with everybody
// and with accounts that is [ErrMixedShares]; more than limit shares are a [LimitError].
func (s *Store) ShareDocument(ctx context.Context, name string, add []DocumentShare, remove []string, limit int) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockDocument(ctx, tx, name); err != nil {
			return err
		}
		for _, account := range remove {
			if _, err := tx.exec(ctx, `delete from document_shares where document = $1 and account_id = $2`, name, account); err != nil {
				return err
			}
		}
		for _, x := range add {
			_, err := tx.exec(ctx, `
				insert into document_shares (document, account_id, shared_version) values ($1, $2, $3)
				on conflict (document, account_id) do update set shared_version = excluded.shared_version`, name, x.AccountID, x.Version)
			if err != nil {
				return err
			}
		}
		var shares, public int
		err := tx.row(ctx, `select count(*), coalesce(sum(case when account_id = 'all' then 1 else 0 end), 0)
			from document_shares where document = $1`, []any{name}, &shares, &public)
		switch {
		case err != nil:
			return err
		case public > 0 && shares > public:
			return ErrMixedShares
		case shares > limit:
			return &LimitError{Name: "SharesPerDocument", Limit: limit}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("share document %s: %w", name, err)
	}
	return nil
}

// TagDocument puts tags on a document; a tag with the same key is replaced. More than
// limit tags afterwards are a [LimitError]. As tags decide what policies allow, the
// change counts as one of identities: see [Store.IdentityRevision].
func (s *Store) TagDocument(ctx context.Context, name string, tags []ssm.Tag, limit int) error {
	return s.changeResourceTags(ctx, tagDocument, name, lockDocument, addTags(tags, limit))
}

// UntagDocument takes tags from a document. Those that it does not have are none to take.
func (s *Store) UntagDocument(ctx context.Context, name string, keys []string) error {
	return s.changeResourceTags(ctx, tagDocument, name, lockDocument, removeTags(keys))
}

// TagNode is [Store.TagDocument] for a registered node.
func (s *Store) TagNode(ctx context.Context, id string, tags []ssm.Tag, limit int) error {
	return s.changeResourceTags(ctx, tagNode, id, holdNode, addTags(tags, limit))
}

// UntagNode is [Store.UntagDocument] for a registered node.
func (s *Store) UntagNode(ctx context.Context, id string, keys []string) error {
	return s.changeResourceTags(ctx, tagNode, id, holdNode, removeTags(keys))
}

func (s *Store) changeResourceTags(ctx context.Context, resourceType, id string,
	hold func(context.Context, runner, string) error, change func([]ssm.Tag) ([]ssm.Tag, error)) error {
	return s.writeIdentity(ctx, "change tags of "+resourceType+" "+id, func(tx runner) error {
		if err := hold(ctx, tx, id); err != nil {
			return err
		}
		return s.changeTags(ctx, tx, resourceType, id, change)
	})
}

// addTags puts tags over old ones. Keys that differ in case are different.
func addTags(tags []ssm.Tag, limit int) func([]ssm.Tag) ([]ssm.Tag, error) {
	return func(merged []ssm.Tag) ([]ssm.Tag, error) {
		for _, t := range tags {
			merged = slices.DeleteFunc(merged, func(m ssm.Tag) bool { return m.Key == t.Key })
			merged = append(merged, t)
		}
		if len(merged) > limit {
			return nil, &LimitError{Name: "TagsPerResource", Limit: limit}
		}
		return merged, nil
	}
}

func removeTags(keys []string) func([]ssm.Tag) ([]ssm.Tag, error) {
	return func(tags []ssm.Tag) ([]ssm.Tag, error) {
		return slices.DeleteFunc(tags, func(t ssm.Tag) bool { return slices.Contains(keys, t.Key) }), nil
	}
}
