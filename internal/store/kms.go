package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/internal/ssm"
)

// tagKMSKey is the resource type of keys in the tags table.
const tagKMSKey = "KMSKey"

// KMSKeyState is the state of a key, in the words of the key service.
type KMSKeyState string

// The states of a key.
const (
	KMSEnabled         KMSKeyState = "Enabled"
	KMSDisabled        KMSKeyState = "Disabled"
	KMSPendingDeletion KMSKeyState = "PendingDeletion"
)

// KMSKey is a key of the key service. Its material is not in it: see
// [Store.KMSKeyMaterial].
type KMSKey struct {
	ID             string // UUID
	Description    string
	State          KMSKeyState
	Policy         string // the key policy, as it was written
	CurrentVersion int    // of the material; the first is 1
	RotationDays   int    // between rotations that happen by themselves; 0 for none
	NextRotationAt time.Time
	CreatedAt      time.Time
	DeletionAt     time.Time // of a key that is pending deletion
	Tags           []ssm.Tag // in the order of their keys when read
}

// CreateKMSKey adds a key, enabled and with its first material.
func (s *Store) CreateKMSKey(ctx context.Context, k KMSKey, material Secret) error {
	err := s.inTx(ctx, func(tx runner) error {
		_, err := tx.exec(ctx, `
			insert into kms_keys (id, description, state, policy, current_version, created_at)
			values ($1, $2, $3, $4, 1, $5)`,
			k.ID, k.Description, string(KMSEnabled), k.Policy, millis(k.CreatedAt))
		if err == nil {
			err = s.insertKMSMaterial(ctx, tx, KMSKeyVersion{KeyID: k.ID, Version: 1, CreatedAt: k.CreatedAt}, material)
		}
		if err != nil {
			return err
		}
		return putTags(ctx, tx, tagKMSKey, k.ID, k.Tags)
	})
	if err != nil {
		return fmt.Errorf("create key %s: %w", k.ID, err)
	}
	return nil
}

const kmsKeyColumns = `id, description, state, policy, current_version, coalesce(rotation_days, 0), next_rotation_at,
	created_at, deletion_at`

func scanKMSKey(k *KMSKey, scan func(...any) error) error {
	return scan(&k.ID, &k.Description, &k.State, &k.Policy, &k.CurrentVersion, &k.RotationDays, asTime(&k.NextRotationAt),
		asTime(&k.CreatedAt), asTime(&k.DeletionAt))
}

// KMSKey returns a key with its tags.
func (s *Store) KMSKey(ctx context.Context, id string) (KMSKey, error) {
	var k KMSKey
	r := s.reader()
	err := r.rows(ctx, `select `+kmsKeyColumns+` from kms_keys where id = $1`, []any{id}, func(scan func(...any) error) error {
		return scanKMSKey(&k, scan)
	})
	if err == nil && k.ID == "" {
		err = ErrNotFound
	}
	var tags map[string][]ssm.Tag
	if err == nil {
		tags, err = tagsOf(ctx, r, tagKMSKey, []string{id})
	}
	if err != nil {
		return KMSKey{}, fmt.Errorf("key %s: %w", id, err)
	}
	k.Tags = tags[id]
	return k, nil
}

// KMSKeys returns a page of keys, without their tags, in the order of their ids, and
// the cursor of the next page ("" after the last).
func (s *Store) KMSKeys(ctx context.Context, p Page) ([]KMSKey, string, error) {
	var w where
	w.afterID("id", p)
	keys, next, err := page(ctx, s.reader(), `select `+kmsKeyColumns+` from kms_keys`+w.String()+` order by id`,
		&w, p, scanKMSKey, func(k KMSKey) string { return k.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list keys: %w", err)
	}
	return keys, next, nil
}

// updateKMSKey runs an update of the key whose id is $1.
func (s *Store) updateKMSKey(ctx context.Context, query, id string, args ...any) error {
	n, err := s.writer().exec(ctx, query, append([]any{id}, args...)...)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("update key %s: %w", id, err)
	}
	return nil
}

// SetKMSKeyDescription changes a key's description.
func (s *Store) SetKMSKeyDescription(ctx context.Context, id, description string) error {
	return s.updateKMSKey(ctx, `update kms_keys set description = $2 where id = $1`, id, description)
}

// SetKMSKeyPolicy changes a key's policy.
func (s *Store) SetKMSKeyPolicy(ctx context.Context, id, policy string) error {
	return s.updateKMSKey(ctx, `update kms_keys set policy = $2 where id = $1`, id, policy)
}

// SetKMSKeyState moves a key to a state, if it is in one of the states from. deletionAt
// is for [KMSPendingDeletion] and otherwise the zero time. changed is false for a key
// in another state.
func (s *Store) SetKMSKeyState(ctx context.Context, id string, to KMSKeyState, deletionAt time.Time, from ...KMSKeyState) (changed bool, err error) {
	err = s.inTx(ctx, func(tx runner) error {
		var state KMSKeyState
		if err := tx.row(ctx, `update kms_keys set id = id where id = $1 returning state`, []any{id}, &state); err != nil {
			return err
		}
		if !slices.Contains(from, state) {
			return nil
		}
		changed = true
		_, err := tx.exec(ctx, `update kms_keys set state = $2, deletion_at = $3 where id = $1`, id, string(to), millis(deletionAt))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("set state of key %s to %s: %w", id, to, err)
	}
	return changed, nil
}

// DeleteDueKMSKeys deletes the keys whose deletion is due, with their material, aliases
// and tags, and returns their ids.
func (s *Store) DeleteDueKMSKeys(ctx context.Context, now time.Time) ([]string, error) {
	var ids []string
	err := s.inTx(ctx, func(tx runner) error {
		err := tx.rows(ctx, `delete from kms_keys where deletion_at <= $1 returning id`, []any{millis(now)},
			func(scan func(...any) error) error {
				var id string
				err := scan(&id)
				ids = append(ids, id)
				return err
			})
		for _, id := range ids {
			err = errors.Join(err, deleteTags(ctx, tx, tagKMSKey, id))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete keys that are due: %w", err)
	}
	slices.Sort(ids)
	return ids, nil
}

// TagKMSKey puts tags on a key; a tag with the same key is replaced. More than limit
// tags afterwards are a [LimitError].
func (s *Store) TagKMSKey(ctx context.Context, id string, tags []ssm.Tag, limit int) error {
	return s.changeKMSTags(ctx, id, func(merged []ssm.Tag) ([]ssm.Tag, error) {
		for _, t := range tags {
			merged = slices.DeleteFunc(merged, func(m ssm.Tag) bool { return m.Key == t.Key })
			merged = append(merged, t)
		}
		if len(merged) > limit {
			return nil, &LimitError{Name: "TagsPerKey", Limit: limit}
		}
		return merged, nil
	})
}

// UntagKMSKey takes tags from a key. Those that it does not have are none to take.
func (s *Store) UntagKMSKey(ctx context.Context, id string, keys []string) error {
	return s.changeKMSTags(ctx, id, func(tags []ssm.Tag) ([]ssm.Tag, error) {
		return slices.DeleteFunc(tags, func(t ssm.Tag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

func (s *Store) changeKMSTags(ctx context.Context, id string, change func([]ssm.Tag) ([]ssm.Tag, error)) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockKMSKey(ctx, tx, id); err != nil {
			return err
		}
		old, err := tagsOf(ctx, tx, tagKMSKey, []string{id})
		if err != nil {
			return err
		}
		tags, err := change(old[id])
		if err != nil {
			return err
		}
		if err := deleteTags(ctx, tx, tagKMSKey, id); err != nil {
			return err
		}
		return putTags(ctx, tx, tagKMSKey, id, tags)
	})
	if err != nil {
		return fmt.Errorf("change tags of key %s: %w", id, err)
	}
	return nil
}

// lockKMSKey holds a key's row until the end of the transaction, so that what belongs
// to the key is counted and changed by one transaction at a time.
func lockKMSKey(ctx context.Context, tx runner, id string) error {
	n, err := tx.exec(ctx, `update kms_keys set id = id where id = $1`, id)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}
