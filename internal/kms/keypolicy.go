package kms

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// defaultPolicyName is the name of the one policy that a key has.
const defaultPolicyName = "default"

// maxPolicy is the length of a key policy, in bytes (KMS quotas).
const maxPolicy = 32 << 10

// defaultPolicy leaves it to identity policies who may do what with a key.
func (s *Server) defaultPolicy() string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::` + s.cfg.ARNs.Account + `:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}

// checkPolicy says what is wrong with a new policy for a key: its grammar, principals who
// do not exist, or that the caller could not change it again.
func (s *Server) checkPolicy(ctx context.Context, k store.KMSKey, text string, lockout bool) error {
	if len(text) > maxPolicy {
		return ssm.Errorf(codeLimitExceeded, "The key policy is longer than %d bytes.", maxPolicy)
	}
	p, err := policy.Parse([]byte(text), policy.Resource)
	if e, ok := errors.AsType[*policy.SyntaxError](err); ok {
		if e.TooLarge {
			return ssm.Errorf(codeLimitExceeded, "%s", e.Error())
		}
		return ssm.Errorf(codeMalformedPolicy, "%s", e.Error())
	}
	if err != nil {
		return err
	}
	for _, ref := range p.Principals() {
		ok, err := s.exists(ctx, ref)
		if err != nil {
			return err
		}
		if !ok {
			return ssm.Errorf(codeMalformedPolicy, "%s", textInvalidPrincipals)
		}
	}
	if lockout {
		return nil
	}
	k.Policy = text
	q, err := s.question(ctx, "PutKeyPolicy", target{key: k, found: true, arn: s.keyARN(k.ID)})
	if err != nil {
		return err
	}
	d, err := s.cfg.Auth.Decide(ctx, q)
	if err != nil {
		return err
	}
	// Only the key policy counts: what the caller's own policies say can be mended.
	if d.Reason != policy.AllowedAsRoot && (!d.ResourceAllows || d.Reason == policy.DeniedByResource) {
		return ssm.Errorf(codeMalformedPolicy, "%s", textLockout)
	}
	return nil
}

// exists says whether a principal of a key policy is one: a policy that names somebody
// who does not exist would take effect for whoever gets the name.
func (s *Server) exists(ctx context.Context, ref policy.PrincipalRef) (bool, error) {
	switch {
	case ref.Kind != "AWS" || ref.Value == "*":
		return true, nil
	case ref.Value == s.cfg.ARNs.Account:
		return true, nil
	case strings.HasPrefix(ref.Value, "AIDA"):
		_, err := s.cfg.Store.UserByID(ctx, ref.Value)
		return found(err)
	case strings.HasPrefix(ref.Value, "AROA"):
		_, err := s.cfg.Store.RoleByID(ctx, ref.Value)
		return found(err)
	}
	part := strings.SplitN(ref.Value, ":", 6)
	if len(part) != 6 || part[4] != s.cfg.ARNs.Account {
		return false, nil // there are no other accounts
	}
	if part[5] == "root" {
		return true, nil
	}
	kind, rest, _ := strings.Cut(part[5], "/")
	slash := strings.LastIndexByte(rest, '/')
	path, name := "/"+rest[:slash+1], rest[slash+1:]
	switch kind {
	case "user":
		u, err := s.cfg.Store.UserByName(ctx, name)
		ok, err := found(err)
		return ok && orSlash(u.Path) == path, err
	case "role":
		r, err := s.cfg.Store.Role(ctx, name)
		ok, err := found(err)
		return ok && orSlash(r.Path) == path, err
	case "assumed-role":
		role, session, _ := strings.Cut(rest, "/")
		_, err := s.cfg.Store.Role(ctx, role)
		ok, err := found(err)
		return ok && session != "", err
	}
	return false, nil
}

func orSlash(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// found tells "there is none" from a look-up that failed.
func found(err error) (bool, error) {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return false, nil
	}
	return err == nil, err
}

// bypassKeys gives the condition key of the wish to lock oneself out.
func bypassKeys(bypass bool) keys {
	return keys{"kms:BypassPolicyLockoutSafetyCheck": {strconv.FormatBool(bypass)}}
}

// GetKeyPolicyInput is the request of kms:GetKeyPolicy.
type GetKeyPolicyInput struct {
	KeyID      string `json:"KeyId" constraint:"required len=1..2048"`
	PolicyName string `constraint:"len=1..128"`
}

// GetKeyPolicyOutput is the answer of kms:GetKeyPolicy.
type GetKeyPolicyOutput struct{ Policy, PolicyName string }

// GetKeyPolicy gives a key's policy as it was written.
func (s *Server) GetKeyPolicy(ctx context.Context, in *GetKeyPolicyInput) (*GetKeyPolicyOutput, error) {
	k, _, err := s.key(ctx, "GetKeyPolicy", in.KeyID, false)
	if err != nil {
		return nil, err
	}
	if in.PolicyName != "" && in.PolicyName != defaultPolicyName {
		return nil, ssm.Errorf(codeNotFound, "No such policy exists")
	}
	return &GetKeyPolicyOutput{Policy: k.Policy, PolicyName: defaultPolicyName}, nil
}

// PutKeyPolicyInput is the request of kms:PutKeyPolicy.
type PutKeyPolicyInput struct {
	KeyID                          string `json:"KeyId" constraint:"required len=1..2048"`
	PolicyName                     string `constraint:"len=1..128"`
	Policy                         string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
	BypassPolicyLockoutSafetyCheck bool
}

// PutKeyPolicy changes a key's policy.
func (s *Server) PutKeyPolicy(ctx context.Context, in *PutKeyPolicyInput) (*Empty, error) {
	k, arn, err := s.key(ctx, "PutKeyPolicy", in.KeyID, false, bypassKeys(in.BypassPolicyLockoutSafetyCheck))
	if err != nil {
		return nil, err
	}
	if in.PolicyName != "" && in.PolicyName != defaultPolicyName {
		return nil, validation("The only policy of a key is named %q.", defaultPolicyName)
	}
	if err := s.checkPolicy(ctx, k, in.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.SetKMSKeyPolicy(ctx, k.ID, in.Policy), arn)
}

// ListKeyPoliciesInput is the request of kms:ListKeyPolicies.
type ListKeyPoliciesInput struct {
	KeyID  string `json:"KeyId" constraint:"required len=1..2048"`
	Limit  *int   `constraint:"range=1..1000"`
	Marker string `constraint:"len=1..1024"`
}

// ListKeyPoliciesOutput is the answer of kms:ListKeyPolicies.
type ListKeyPoliciesOutput struct {
	PolicyNames []string
	Truncated   bool
}

// ListKeyPolicies lists the names of a key's policies, of which there is one.
func (s *Server) ListKeyPolicies(ctx context.Context, in *ListKeyPoliciesInput) (*ListKeyPoliciesOutput, error) {
	if _, _, err := s.key(ctx, "ListKeyPolicies", in.KeyID, false); err != nil {
		return nil, err
	}
	if in.Marker != "" {
		return nil, errMarker
	}
	return &ListKeyPoliciesOutput{PolicyNames: []string{defaultPolicyName}}, nil
}
