package iam

import (
	"context"
	"strings"

	"sekisho/internal/policy"
)

// GetContextKeysForCustomPolicyInput is the request of iam:GetContextKeysForCustomPolicy.
type GetContextKeysForCustomPolicyInput struct {
	PolicyInputList []string `constraint:"required pattern=IAMPolicyDocument"`
}

// GetContextKeysForPrincipalPolicyInput is the request of
// iam:GetContextKeysForPrincipalPolicy.
type GetContextKeysForPrincipalPolicyInput struct {
	PolicySourceARN string   `json:"PolicySourceArn" constraint:"required len=20..2048"`
	PolicyInputList []string `constraint:"pattern=IAMPolicyDocument"`
}

// ContextKeysOutput is the answer of the operations that say which condition keys
// policies refer to.
type ContextKeysOutput struct{ ContextKeyNames []string }

// GetContextKeysForCustomPolicy says which condition keys the policies of the request
// refer to.
func (s *Server) GetContextKeysForCustomPolicy(ctx context.Context, in *GetContextKeysForCustomPolicyInput) (*ContextKeysOutput, error) {
	if err := s.authorize(ctx, "iam:GetContextKeysForCustomPolicy", everything); err != nil {
		return nil, err
	}
	return contextKeys(nil, in.PolicyInputList)
}

// GetContextKeysForPrincipalPolicy says which condition keys the policies of a user, a
// group or a role refer to, and those of the request.
func (s *Server) GetContextKeysForPrincipalPolicy(ctx context.Context, in *GetContextKeysForPrincipalPolicyInput) (*ContextKeysOutput, error) {
	e, err := s.source(ctx, "iam:GetContextKeysForPrincipalPolicy", in.PolicySourceARN)
	if err != nil {
		return nil, err
	}
	sources, boundary, _, err := s.cfg.Auth.Sources(ctx, e)
	if err != nil {
		return nil, failed(err, string(e.Type), e.Name)
	}
	if boundary != nil {
		sources = append(sources[:len(sources):len(sources)], *boundary)
	}
	return contextKeys(sources, in.PolicyInputList)
}

// contextKeys gives the keys of all policies, each once.
func contextKeys(sources []policy.Source, texts []string) (*ContextKeysOutput, error) {
	given, err := inputPolicies("PolicyInputList", texts)
	if err != nil {
		return nil, err
	}
	out := &ContextKeysOutput{ContextKeyNames: []string{}}
	seen := make(map[string]bool)
	for _, source := range append(sources[:len(sources):len(sources)], given...) {
		for _, key := range source.Policy.ContextKeys() {
			if folded := strings.ToLower(key); !seen[folded] {
				seen[folded] = true
				out.ContextKeyNames = append(out.ContextKeyNames, key)
			}
		}
	}
	return out, nil
}
