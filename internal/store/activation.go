package store

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// Activation lets nodes register.
type Activation struct {
	ID                  string // UUID
	CodeHash            []byte // SHA-256 of the activation code
	Description         string
	DefaultInstanceName string // the name of the nodes that register with it
	IamRole             string // the role of the nodes that register with it
	RegistrationLimit   int
	RegistrationsCount  int
	ExpirationDate      time.Time
	CreatedAt           time.Time
	CreatedBy           string    // ARN
	Tags                []ssm.Tag // put on the nodes that register with it; in the order of their keys when read
}

// ActivationFilter narrows a list of activations. All fields that are set must
// match; one field matches with any of its values.
type ActivationFilter struct {
	IDs                  []string
	DefaultInstanceNames []string
	IamRoles             []string
}

// CreateActivation adds an activation.
func (s *Store) CreateActivation(ctx context.Context, a Activation) error {
	err := s.inTx(ctx, func(tx runner) error {
		_, err := tx.exec(ctx, `
			insert into activations (id, code_hash, description, default_instance_name, iam_role,
				registration_limit, registrations_count, expires_at, created_at, created_by)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			a.ID, a.CodeHash, a.Description, a.DefaultInstanceName, a.IamRole,
			a.RegistrationLimit, a.RegistrationsCount, millis(a.ExpirationDate), millis(a.CreatedAt), a.CreatedBy)
		if err != nil {
			return err
		}
		return putTags(ctx, tx, tagActivation, a.ID, a.Tags)
	})
	if err != nil {
		return fmt.Errorf("create activation %s: %w", a.ID, err)
	}
	return nil
}

const activationColumns = `id, code_hash, description, default_instance_name, iam_role,
	registration_limit, registrations_count, expires_at, created_at, created_by`

func scanActivation(a *Activation, scan func(...any) error) error {
	return scan(&a.ID, &a.CodeHash, &a.Description, &a.DefaultInstanceName, &a.IamRole,
		&a.RegistrationLimit, &a.RegistrationsCount, asTime(&a.ExpirationDate), asTime(&a.CreatedAt), &a.CreatedBy)
}

// Activations returns a page of activations in the order of their ids, and the
// cursor of the next page ("" after the last).
func (s *Store) Activations(ctx context.Context, f ActivationFilter, p Page) ([]Activation, string, error) {
	var w where
	w.in("id", f.IDs)
	w.in("default_instance_name", f.DefaultInstanceNames)
	w.in("iam_role", f.IamRoles)
	w.afterID("id", p)
	r := s.reader()
	list, next, err := page(ctx, r, `select `+activationColumns+` from activations`+w.String()+` order by id`,
		&w, p, scanActivation, func(a Activation) string { return a.ID })
	if err == nil {
		err = addActivationTags(ctx, r, list)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list activations: %w", err)
	}
	return list, next, nil
}

func addActivationTags(ctx context.Context, r runner, list []Activation) error {
	ids := make([]string, len(list))
	for i, a := range list {
		ids[i] = a.ID
	}
	tags, err := tagsOf(ctx, r, tagActivation, ids)
	for i := range list {
		list[i].Tags = tags[list[i].ID]
	}
	return err
}

// DeleteActivation removes an activation. Nodes that registered with it stay.
func (s *Store) DeleteActivation(ctx context.Context, id string) error {
	err := s.inTx(ctx, func(tx runner) error {
		n, err := tx.exec(ctx, `delete from activations where id = $1`, id)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return deleteTags(ctx, tx, tagActivation, id)
	})
	if err != nil {
		return fmt.Errorf("delete activation %s: %w", id, err)
	}
	return nil
}

// RegisterNode registers a node with an activation: it checks the code's hash (in
// constant time), the expiration date against now and the limit, counts, and inserts
// the node with the activation's name, role and tags. It returns the node as stored,
// with a new id if node.ID is empty. Refusals wrap [ErrActivationInvalid],
// [ErrActivationExpired] or [ErrActivationUsedUp], judged in this order.
func (s *Store) RegisterNode(ctx context.Context, activationID string, codeHash []byte, node Node, now time.Time) (Node, error) {
	n, err := s.registerNode(ctx, activationID, codeHash, node, now)
	if err != nil {
		return Node{}, fmt.Errorf("register node with activation %s: %w", activationID, err)
	}
	return n, nil
}

// CheckActivation says whether [Store.RegisterNode] would refuse the code or the time.
func (s *Store) CheckActivation(ctx context.Context, id string, codeHash []byte, now time.Time) error {
	if err := s.checkActivation(ctx, id, codeHash, now); err != nil {
		return fmt.Errorf("check activation %s: %w", id, err)
	}
	return nil
}

func (s *Store) checkActivation(ctx context.Context, id string, codeHash []byte, now time.Time) error {
	var a Activation
	err := s.reader().row(ctx, `select code_hash, expires_at from activations where id = $1`, []any{id},
		&a.CodeHash, asTime(&a.ExpirationDate))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	// An absent activation has no hash, and nothing equals it.
	if subtle.ConstantTimeCompare(a.CodeHash, codeHash) != 1 || len(codeHash) == 0 {
		return ErrActivationInvalid
	}
	if !now.Before(a.ExpirationDate) {
		return ErrActivationExpired
	}
	return nil
}

func (s *Store) registerNode(ctx context.Context, activationID string, codeHash []byte, node Node, now time.Time) (Node, error) {
	if node.ID == "" {
		node.ID = ssm.NewNodeID()
	}
	// Code and expiration date never change, so they are judged before the
	// transaction: whoever guesses codes does not queue for the writer.
	err := s.checkActivation(ctx, activationID, codeHash, now)
	if err != nil {
		return Node{}, err
	}
	err = s.inTx(ctx, func(tx runner) error {
		// The limit is judged by the statement that counts: it locks the row, and a
		// concurrent one waits and then sees the new count.
		err := tx.row(ctx, `
			update activations set registrations_count = registrations_count + 1
			where id = $1 and registrations_count < registration_limit
			returning id, default_instance_name, iam_role`, []any{activationID},
			&node.ActivationID, &node.Name, &node.IamRole)
		if errors.Is(err, ErrNotFound) {
			return ErrActivationUsedUp
		}
		if err != nil {
			return err
		}
		tags, err := tagsOf(ctx, tx, tagActivation, []string{activationID})
		if err != nil {
			return err
		}
		node.Tags = tags[activationID]
		node.RegisteredAt = now
		return insertNode(ctx, tx, &node)
	})
	return node, err
}
