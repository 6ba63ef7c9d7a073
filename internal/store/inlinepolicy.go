package store

import (
	"context"
	"fmt"
)

// PutInlinePolicy gives an entity a policy of its own, or replaces the one of that
// name. size is what it counts; more than quota for all inline policies of the entity
// is a [LimitError] "PolicySize".
func (s *Store) PutInlinePolicy(ctx context.Context, e Entity, name, document string, size, quota int) error {
	return s.writeIdentity(ctx, "put policy "+name+" of "+e.String(), func(tx runner) error {
		id, err := e.id(ctx, tx)
		if err != nil {
			return err
		}
		others, err := count(ctx, tx, `
			select coalesce(sum(size), 0) from inline_policies where entity_type = $1 and entity_id = $2 and name <> $3`,
			string(e.Type), id, name)
		if err != nil {
			return err
		}
		if others+size > quota {
			return &LimitError{Name: "PolicySize", Limit: quota}
		}
		_, err = tx.exec(ctx, `
			insert into inline_policies (entity_type, entity_id, name, document, size) values ($1, $2, $3, $4, $5)
			on conflict (entity_type, entity_id, name) do update set document = excluded.document, size = excluded.size`,
			string(e.Type), id, name, document, size)
		return err
	})
}

// InlinePolicy returns the document of an entity's own policy, or [ErrNotFound].
func (s *Store) InlinePolicy(ctx context.Context, e Entity, name string) (string, error) {
	r := s.reader()
	id, err := e.id(ctx, r)
	var document string
	if err == nil {
		err = r.row(ctx, `select document from inline_policies where entity_type = $1 and entity_id = $2 and name = $3`,
			[]any{string(e.Type), id, name}, &document)
	}
	if err != nil {
		return "", fmt.Errorf("policy %s of %s: %w", name, e, err)
	}
	return document, nil
}

// DeleteInlinePolicy removes an entity's own policy, whose absence is [ErrNotFound].
func (s *Store) DeleteInlinePolicy(ctx context.Context, e Entity, name string) error {
	return s.writeIdentity(ctx, "delete policy "+name+" of "+e.String(), func(tx runner) error {
		id, err := e.id(ctx, tx)
		if err != nil {
			return err
		}
		return one(tx.exec(ctx, `delete from inline_policies where entity_type = $1 and entity_id = $2 and name = $3`,
			string(e.Type), id, name))
	})
}

// InlinePolicies returns a page of the names of an entity's own policies, in their
// order, and the cursor of the next page ("" after the last).
func (s *Store) InlinePolicies(ctx context.Context, e Entity, p Page) ([]string, string, error) {
	list, next, err := s.textsOf(ctx, e, "inline_policies", "name", p)
	if err != nil {
		return nil, "", fmt.Errorf("list inline policies of %s: %w", e, err)
	}
	return list, next, nil
}
