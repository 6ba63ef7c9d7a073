package store

import (
	"bytes"
	"context"
	"fmt"
)

// CountNodes says how many nodes are registered.
func (s *Store) CountNodes(ctx context.Context) (int, error) {
	n, err := count(ctx, s.reader(), `select count(*) from nodes where deregistered_at is null`)
	if err != nil {
		return 0, fmt.Errorf("count nodes: %w", err)
	}
	return n, nil
}

// SetNodeRole gives a registered node another role. The credentials that it has keep
// theirs until they end. A node that is not registered is [ErrNotFound].
func (s *Store) SetNodeRole(ctx context.Context, id, role string) error {
	err := one(s.writer().exec(ctx, `update nodes set iam_role = $2 where id = $1 and deregistered_at is null`, id, role))
	if err != nil {
		return fmt.Errorf("change the role of node %s: %w", id, err)
	}
	return nil
}

// ReplaceNodeKey gives a registered node another public key in the place of the one that
// it has. The same key is [ErrExists]; a node that is not registered, or whose key is not
// the old one any more, is [ErrNotFound].
func (s *Store) ReplaceNodeKey(ctx context.Context, id string, old, key []byte, keyType string) error {
	if bytes.Equal(old, key) {
		return fmt.Errorf("replace the key of node %s: %w", id, ErrExists)
	}
	err := one(s.writer().exec(ctx, `
		update nodes set public_key = $3, public_key_type = $4 where id = $1 and public_key = $2 and deregistered_at is null`,
		id, old, key, keyType))
	if err != nil {
		return fmt.Errorf("replace the key of node %s: %w", id, err)
	}
	return nil
}
