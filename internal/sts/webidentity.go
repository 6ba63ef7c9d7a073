package sts

import (
	"context"
	"strings"

	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// AssumeRoleWithWebIdentity gives credentials of a role to somebody whom an OpenID
// Connect provider vouches for. Nobody has signed the request: the token is the proof,
// so it is judged before a role is looked for. It is good until it expires, any number of
// times: SDKs read one token file again for each renewal.
func (s *Server) AssumeRoleWithWebIdentity(ctx context.Context, in *AssumeRoleWithWebIdentityInput) (*AssumeRoleWithWebIdentityOutput, error) {
	const action = "sts:AssumeRoleWithWebIdentity"
	refused := denied("Not authorized to perform " + action)
	var bad violations
	bad.word("roleSessionName", in.RoleSessionName, marksName, patternName)
	if err := bad.err(); err != nil {
		return nil, err
	}
	if in.ProviderID != "" { // of OAuth 2.0 access tokens, which say nothing about themselves
		return nil, ssm.Errorf(ssm.CodeValidation, "ProviderId is for OAuth 2.0 access tokens, which are not accepted.")
	}
	if _, _, err := s.roleName(in.RoleARN); err != nil {
		return nil, err
	}
	policies, err := parsePolicies(in.Policy, in.PolicyARNs)
	if err != nil {
		return nil, err
	}
	size, err := packed(policies, nil)
	if err != nil {
		return nil, err
	}
	id, err := s.verifyToken(ctx, in.WebIdentityToken.Reveal())
	if err != nil {
		return nil, err
	}
	role, known, err := s.role(ctx, in.RoleARN)
	if err != nil {
		return nil, err
	}
	keys := webIdentityKeys(id)
	keys["sts:RoleSessionName"] = []string{in.RoleSessionName}
	someone := policy.Principal{Type: policy.WebIdentity, Provider: id.provider.ARN}
	decision, err := s.cfg.Auth.MayFederate(ctx, role, action, someone, keys)
	if err != nil {
		return nil, err
	}
	if !decision.Allowed || !known {
		return nil, refused
	}
	length, err := sessionLength(in.DurationSeconds, role, false)
	if err != nil {
		return nil, err
	}
	if err := s.exist(ctx, policies); err != nil {
		return nil, err
	}
	credentials, err := s.begin(ctx, role, store.TemporaryCredential{
		SessionName:       in.RoleSessionName,
		SessionPolicies:   policies.documents,
		SessionPolicyARNs: policies.arns,
		Provider:          id.provider.ARN,
	}, length)
	if isNotFound(err) {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	return &AssumeRoleWithWebIdentityOutput{
		SubjectFromWebIdentityToken: id.subject,
		Audience:                    id.audience[0],
		AssumedRoleUser:             s.assumed(role, in.RoleSessionName),
		Credentials:                 credentials,
		Provider:                    id.provider.URL,
		PackedPolicySize:            size,
	}, nil
}

// webIdentityKeys are the condition keys that a token gives, under the name of its issuer
// (IAM user guide, "Available keys for AWS OIDC federation").
func webIdentityKeys(id identity) policy.Context {
	issuer := strings.TrimPrefix(id.provider.URL, "https://")
	keys := policy.Context{
		issuer + ":sub":         {id.subject},
		issuer + ":aud":         id.audience,
		"aws:FederatedProvider": {id.provider.ARN},
	}
	if len(id.methods) > 0 {
		keys[issuer+":amr"] = id.methods
	}
	return keys
}
