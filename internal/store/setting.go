package store

import (
	"context"
	"fmt"
	"time"
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
	_, err := s.writer().exec(ctx, `
		insert into service_settings (setting_id, value, modified_at, modified_by) values ($1, $2, $3, $4)
		on conflict (setting_id) do update set value = excluded.value, modified_at = excluded.modified_at, modified_by = excluded.modified_by`,
		x.ID, x.Value, millis(x.ModifiedAt), x.ModifiedBy)
	if err != nil {
		return fmt.Errorf("change setting %s: %w", x.ID, err)
	}
	return nil
}

// DeleteSetting gives a setting its default back. One that has it stays as it is.
func (s *Store) DeleteSetting(ctx context.Context, id string) error {
	if _, err := s.writer().exec(ctx, `delete from service_settings where setting_id = $1`, id); err != nil {
		return fmt.Errorf("reset setting %s: %w", id, err)
	}
	return nil
}
