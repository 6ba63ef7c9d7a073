package iam

import (
	"context"

	"sekisho/internal/ssm"
)

// Things of IAM that nobody has here. Programs ask for them all the same, Terraform
// before it deletes a user (api.md §18.2), and get empty lists.

// ListSSHPublicKeysOutput is the answer of iam:ListSSHPublicKeys.
type ListSSHPublicKeysOutput struct {
	SSHPublicKeys []ssm.Empty
	IsTruncated   bool
}

// ListSSHPublicKeys lists no keys.
func (s *Server) ListSSHPublicKeys(ctx context.Context, in *OptionalUserListInput) (*ListSSHPublicKeysOutput, error) {
	if _, err := s.userOrCaller(ctx, "iam:ListSSHPublicKeys", in.UserName); err != nil {
		return nil, err
	}
	return &ListSSHPublicKeysOutput{}, nil
}

// ListSigningCertificatesOutput is the answer of iam:ListSigningCertificates.
type ListSigningCertificatesOutput struct {
	Certificates []ssm.Empty
	IsTruncated  bool
}

// ListSigningCertificates lists no certificates.
func (s *Server) ListSigningCertificates(ctx context.Context, in *OptionalUserListInput) (*ListSigningCertificatesOutput, error) {
	if _, err := s.userOrCaller(ctx, "iam:ListSigningCertificates", in.UserName); err != nil {
		return nil, err
	}
	return &ListSigningCertificatesOutput{}, nil
}

// ListServiceSpecificCredentialsOutput is the answer of
// iam:ListServiceSpecificCredentials.
type ListServiceSpecificCredentialsOutput struct {
	ServiceSpecificCredentials []ssm.Empty
}

// ListServiceSpecificCredentials lists no credentials.
func (s *Server) ListServiceSpecificCredentials(ctx context.Context, in *OptionalUserInput) (*ListServiceSpecificCredentialsOutput, error) {
	if _, err := s.userOrCaller(ctx, "iam:ListServiceSpecificCredentials", in.UserName); err != nil {
		return nil, err
	}
	return &ListServiceSpecificCredentialsOutput{}, nil
}

// ListAccountAliasesInput is the request of iam:ListAccountAliases.
type ListAccountAliasesInput struct {
	Marker   string `constraint:"len=1.."`
	MaxItems *int   `constraint:"range=1..1000"`
}

// ListAccountAliasesOutput is the answer of iam:ListAccountAliases.
type ListAccountAliasesOutput struct {
	AccountAliases []string
	IsTruncated    bool
}

// ListAccountAliases lists no aliases: the account has its number only.
func (s *Server) ListAccountAliases(ctx context.Context, _ *ListAccountAliasesInput) (*ListAccountAliasesOutput, error) {
	if err := s.authorize(ctx, "iam:ListAccountAliases", everything); err != nil {
		return nil, err
	}
	return &ListAccountAliasesOutput{}, nil
}

// GetAccountPasswordPolicyInput is the request of iam:GetAccountPasswordPolicy.
type GetAccountPasswordPolicyInput struct{}

// GetAccountPasswordPolicy says that there is none but the default.
func (s *Server) GetAccountPasswordPolicy(ctx context.Context, _ *GetAccountPasswordPolicyInput) (*ssm.Empty, error) {
	if err := s.authorize(ctx, "iam:GetAccountPasswordPolicy", everything); err != nil {
		return nil, err
	}
	return nil, fault(codeNoSuchEntity, "The Password Policy with domain name %s cannot be found.", s.cfg.ARNs.Account)
}
