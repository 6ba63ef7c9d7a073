package store

import (
	"context"
	"fmt"
	"time"
)

// KMSAlias is another name of a key.
type KMSAlias struct {
	Name      string // "alias/sessions"
	KeyID     string
	CreatedAt time.Time
	UpdatedAt time.Time // when it was given its key
}

// CreateKMSAlias adds an alias. The key has at most limit of them ([LimitError]); an
// unknown key is [ErrNotFound].
func (s *Store) CreateKMSAlias(ctx context.Context, a KMSAlias, limit int) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := checkKMSAliases(ctx, tx, a, limit); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `insert into kms_aliases (name, key_id, created_at, updated_at) values ($1, $2, $3, $4)`,
			a.Name, a.KeyID, millis(a.CreatedAt), millis(a.UpdatedAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", a.Name, err)
	}
	return nil
}

// MoveKMSAlias gives an alias to another key at a.UpdatedAt, under the same limit.
func (s *Store) MoveKMSAlias(ctx context.Context, a KMSAlias, limit int) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := checkKMSAliases(ctx, tx, a, limit); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `update kms_aliases set key_id = $2, updated_at = $3 where name = $1`, a.Name, a.KeyID, millis(a.UpdatedAt))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("move %s: %w", a.Name, err)
	}
	return nil
}

// checkKMSAliases holds the key of an alias and says whether it can have that alias too.
func checkKMSAliases(ctx context.Context, tx runner, a KMSAlias, limit int) error {
	if err := lockKMSKey(ctx, tx, a.KeyID); err != nil {
		return err
	}
	var others int
	err := tx.row(ctx, `select count(*) from kms_aliases where key_id = $1 and name <> $2`, []any{a.KeyID, a.Name}, &others)
	if err == nil && others >= limit {
		err = &LimitError{Name: "AliasesPerKey", Limit: limit}
	}
	return err
}

// DeleteKMSAlias removes an alias; its key stays.
func (s *Store) DeleteKMSAlias(ctx context.Context, name string) error {
	n, err := s.writer().exec(ctx, `delete from kms_aliases where name = $1`, name)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

const kmsAliasColumns = `name, key_id, created_at, updated_at`

func scanKMSAlias(a *KMSAlias, scan func(...any) error) error {
	return scan(&a.Name, &a.KeyID, asTime(&a.CreatedAt), asTime(&a.UpdatedAt))
}

// KMSAlias returns an alias.
func (s *Store) KMSAlias(ctx context.Context, name string) (KMSAlias, error) {
	var a KMSAlias
	err := s.reader().row(ctx, `select `+kmsAliasColumns+` from kms_aliases where name = $1`, []any{name},
		&a.Name, &a.KeyID, asTime(&a.CreatedAt), asTime(&a.UpdatedAt))
	if err != nil {
		return KMSAlias{}, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// KMSAliases returns a page of the aliases of a key, or of all keys if keyID is empty, in
// the order of their names, and the cursor of the next page ("" after the last).
func (s *Store) KMSAliases(ctx context.Context, keyID string, p Page) ([]KMSAlias, string, error) {
	var w where
	if keyID != "" {
		w.add("key_id = ?", keyID)
	}
	w.afterID("name", p)
	aliases, next, err := page(ctx, s.reader(), `select `+kmsAliasColumns+` from kms_aliases`+w.String()+` order by name`,
		&w, p, scanKMSAlias, func(a KMSAlias) string { return a.Name })
	if err != nil {
		return nil, "", fmt.Errorf("list aliases: %w", err)
	}
	return aliases, next, nil
}
