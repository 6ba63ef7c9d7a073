package control

import (
	"context"
	"errors"

	"sekisho/internal/auth"
)

// GetCallerIdentityInput is the request of sts:GetCallerIdentity.
type GetCallerIdentityInput struct{}

// GetCallerIdentityOutput is the answer of sts:GetCallerIdentity, in the order in which
// the service writes it.
type GetCallerIdentityOutput struct {
	ARN     string `json:"Arn"`
	UserID  string `json:"UserId"`
	Account string
}

// GetCallerIdentity tells a caller who it is. Nobody with valid credentials is ever
// denied it (api.md §17), so it asks for no authorization.
func (s *Server) GetCallerIdentity(ctx context.Context, _ *GetCallerIdentityInput) (*GetCallerIdentityOutput, error) {
	p, ok := auth.From(ctx)
	if !ok {
		return nil, errors.New("an operation was called without a caller")
	}
	return &GetCallerIdentityOutput{ARN: p.ARN, UserID: p.UserID, Account: p.Account}, nil
}
