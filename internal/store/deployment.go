package store

import (
	"context"
	"fmt"
	"time"
)

// Deployment is what the database is the state of: one account in one region.
type Deployment struct {
	AccountID string // 12 digits
	Region    string
	CreatedAt time.Time
}

// CreateDeployment records the deployment. There is one in a database: a second is
// [ErrExists].
func (s *Store) CreateDeployment(ctx context.Context, d Deployment) error {
	_, err := s.writer().exec(ctx, `
		insert into deployment (id, account_id, region, created_at) values (1, $1, $2, $3)`,
		d.AccountID, d.Region, millis(d.CreatedAt))
	if err != nil {
		return fmt.Errorf("create deployment: %w", err)
	}
	return nil
}

// Deployment returns the deployment, or [ErrNotFound] in a database without one.
func (s *Store) Deployment(ctx context.Context) (Deployment, error) {
	var d Deployment
	err := s.reader().row(ctx, `select account_id, region, created_at from deployment`, nil,
		&d.AccountID, &d.Region, asTime(&d.CreatedAt))
	if err != nil {
		return Deployment{}, fmt.Errorf("deployment: %w", err)
	}
	return d, nil
}
