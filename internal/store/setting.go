package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// Setting is a service setting that was changed from its default.
type Setting struct {
	ID         string // "/ssm/managed-instance/activation-tier"
	Value      string
	ModifiedAt time.Time
	ModifiedBy string // ARN
}

// Setting returns a changed setting; [ErrNotFound] means that it has its default.
func (s *Store) Setting(ctx context.Context, id string) (Setting, error) {
	x := Setting{ID: id}
	err := s.reader().row(ctx, `select value, modified_at, modified_by from service_settings where setting_id = $1`, []any{id},
		&x.Value, asTime(&x.ModifiedAt), &x.ModifiedBy)
	if err != nil {
		return Setting{}, fmt.Errorf("setting %s: %w", id, err)
	}
	return x, nil
}

// PutSetting changes a setting.
func (s *Store) PutSetting(ctx context.Context, x Setting) error {
	err := s.inTx(ctx, func(tx runner) error {
		_, err := tx.exec(ctx, `
			insert into service_settings (setting_id, value, modified_at, modified_by) values ($1, $2, $3, $4)
			on conflict (setting_id) do update set value = excluded.value, modified_at = excluded.modified_at, modified_by = excluded.modified_by`,
			x.ID, x.Value, millis(x.ModifiedAt), x.ModifiedBy)
		if err == nil && x.ID == ssm.ActivationTierSetting {
			err = noteTier(ctx, tx, x.Value, x.ModifiedAt)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("change setting %s: %w", x.ID, err)
	}
	return nil
}

// DeleteSetting gives a setting its default back. One that has it stays as it is.
func (s *Store) DeleteSetting(ctx context.Context, id string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error {
		_, err := tx.exec(ctx, `delete from service_settings where setting_id = $1`, id)
		if err == nil && id == ssm.ActivationTierSetting {
			err = noteTier(ctx, tx, ssm.TierStandard, at)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reset setting %s: %w", id, err)
	}
	return nil
}

// TierChange is a moment from which on the activation tier was another.
type TierChange struct {
	Since time.Time
	Tier  string
}

func noteTier(ctx context.Context, tx runner, tier string, at time.Time) error {
	_, err := tx.exec(ctx, `insert into activation_tiers (since, tier) values ($1, $2)
		on conflict (since) do update set tier = excluded.tier`, at.UnixMilli(), tier)
	return err
}

// TierChanges returns all of them, oldest first. Before the first the tier was standard.
func (s *Store) TierChanges(ctx context.Context) ([]TierChange, error) {
	var list []TierChange
	err := s.reader().rows(ctx, `select since, tier from activation_tiers order by since`, nil, func(scan func(...any) error) error {
		var x TierChange
		err := scan(asTime(&x.Since), &x.Tier)
		list = append(list, x)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list changes of the activation tier: %w", err)
	}
	return list, nil
}
