package sts

import (
	"context"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
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
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return &GetCallerIdentityOutput{ARN: p.ARN, UserID: p.UserID, Account: p.Account}, nil
}

// GetAccessKeyInfoInput is the request of sts:GetAccessKeyInfo.
type GetAccessKeyInfoInput struct {
	AccessKeyID string `json:"AccessKeyId" constraint:"required len=16..128 pattern=IAMID"`
}

// GetAccessKeyInfoOutput is the answer of sts:GetAccessKeyInfo.
type GetAccessKeyInfoOutput struct{ Account string }

// GetAccessKeyInfo tells whose account an access key belongs to. As at AWS, where the
// account is part of the id, any caller may ask, and the answer says nothing about
// whether the key works, or exists: here all keys are of one account.
func (s *Server) GetAccessKeyInfo(ctx context.Context, in *GetAccessKeyInfoInput) (*GetAccessKeyInfoOutput, error) {
	if _, err := caller(ctx); err != nil {
		return nil, err
	}
	return &GetAccessKeyInfoOutput{Account: s.cfg.ARNs.Account}, nil
}

// DecodeAuthorizationMessageInput is the request of sts:DecodeAuthorizationMessage.
type DecodeAuthorizationMessageInput struct {
	EncodedMessage string `constraint:"required len=1..10240"`
}

// DecodeAuthorizationMessageOutput is the answer of sts:DecodeAuthorizationMessage.
type DecodeAuthorizationMessageOutput struct{ DecodedMessage string }

// DecodeAuthorizationMessage reads the encoded messages that some services put into
// denials. No service here does, so none can be read.
func (s *Server) DecodeAuthorizationMessage(ctx context.Context, _ *DecodeAuthorizationMessageInput) (*DecodeAuthorizationMessageOutput, error) {
	if err := s.cfg.Auth.Authorize(ctx, auth.Request{Action: "sts:DecodeAuthorizationMessage", Resource: "*"}); err != nil {
		return nil, err
	}
	return nil, ssm.Errorf("InvalidAuthorizationMessageException", "The message is not one that this service has encoded.")
}
