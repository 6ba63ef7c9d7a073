package iam

import (
	"context"
	"strconv"
	"time"

	"sekisho/internal/policy/managed"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// PolicyVersion is one of the documents of a managed policy, as answers show it.
type PolicyVersion struct {
	Document         string `json:",omitempty"`
	VersionID        string `json:"VersionId"`
	IsDefaultVersion bool
	CreateDate       time.Time
}

// PolicyVersionOutput is an answer that shows a version of a policy.
type PolicyVersionOutput struct{ PolicyVersion PolicyVersion }

// listedVersion is a version as lists show it: without its document.
func listedVersion(v store.PolicyVersion) PolicyVersion {
	return PolicyVersion{VersionID: versionID(v.Version), IsDefaultVersion: v.Default, CreateDate: v.CreatedAt}
}

func shownVersion(v store.PolicyVersion) PolicyVersion {
	shown := listedVersion(v)
	shown.Document = encodedDocument(v.Document)
	return shown
}

// versionOf gives the one version of a policy that comes with the service.
func versionOf(p managed.Policy) store.PolicyVersion {
	return store.PolicyVersion{Version: 1, Document: p.Document, Default: true, CreatedAt: p.CreatedAt}
}

// CreatePolicyVersionInput is the request of iam:CreatePolicyVersion.
type CreatePolicyVersionInput struct {
	PolicyARN      string `json:"PolicyArn" constraint:"required len=20..2048"`
	PolicyDocument string `constraint:"required len=1..131072 pattern=IAMPolicyDocument"`
	SetAsDefault   bool
}

// CreatePolicyVersion gives a managed policy another document, which counts at once if it
// is to be the default. The number of a version is never used again.
func (s *Server) CreatePolicyVersion(ctx context.Context, in *CreatePolicyVersionInput) (*PolicyVersionOutput, error) {
	if _, err := s.ownPolicy(ctx, "iam:CreatePolicyVersion", in.PolicyARN); err != nil {
		return nil, err
	}
	if err := managedDocument(in.PolicyDocument); err != nil {
		return nil, err
	}
	v, err := s.cfg.Store.CreatePolicyVersion(ctx, in.PolicyARN, in.PolicyDocument, in.SetAsDefault, s.cfg.Now())
	if err != nil {
		return nil, failed(err, "policy", in.PolicyARN)
	}
	return &PolicyVersionOutput{PolicyVersion: listedVersion(v)}, nil
}

// PolicyVersionInput names a version of a managed policy.
type PolicyVersionInput struct {
	PolicyARN string `json:"PolicyArn" constraint:"required len=20..2048"`
	VersionID string `json:"VersionId" constraint:"required pattern=IAMPolicyVersionID"`
}

// errVersion is the answer to a version that does not exist (api.md §18.1).
func errVersion(arn, version string) error {
	return fault(codeNoSuchEntity, "Policy %s version %s does not exist or is not attachable.", arn, version)
}

// number reads the number of a version.
func (in *PolicyVersionInput) number() (int, error) {
	n, err := strconv.ParseInt(in.VersionID[1:], 10, 32)
	if err != nil { // also of the form v1.2, which there is not here
		return 0, errVersion(in.PolicyARN, in.VersionID)
	}
	return int(n), nil
}

// GetPolicyVersion shows a version of a managed policy with its document.
func (s *Server) GetPolicyVersion(ctx context.Context, in *PolicyVersionInput) (*PolicyVersionOutput, error) {
	if _, err := s.policy(ctx, "iam:GetPolicyVersion", in.PolicyARN); err != nil {
		return nil, err
	}
	n, err := in.number()
	if err != nil {
		return nil, err
	}
	if shipped, ok := managed.Find(in.PolicyARN); ok {
		if n != 1 {
			return nil, errVersion(in.PolicyARN, in.VersionID)
		}
		return &PolicyVersionOutput{PolicyVersion: shownVersion(versionOf(shipped))}, nil
	}
	v, err := s.cfg.Store.PolicyVersion(ctx, in.PolicyARN, n)
	if isNotFound(err) {
		return nil, errVersion(in.PolicyARN, in.VersionID)
	}
	if err != nil {
		return nil, err
	}
	return &PolicyVersionOutput{PolicyVersion: shownVersion(v)}, nil
}

// ListPolicyVersionsOutput is the answer of iam:ListPolicyVersions.
type ListPolicyVersionsOutput struct {
	Versions    []PolicyVersion
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// ListPolicyVersions lists the versions of a managed policy, the newest first.
func (s *Server) ListPolicyVersions(ctx context.Context, in *PolicyListInput) (*ListPolicyVersionsOutput, error) {
	const action = "iam:ListPolicyVersions"
	if _, err := s.policy(ctx, action, in.PolicyARN); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.PolicyARN, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	var versions []store.PolicyVersion
	if shipped, ok := managed.Find(in.PolicyARN); ok {
		versions = []store.PolicyVersion{versionOf(shipped)}
	} else if versions, err = s.cfg.Store.PolicyVersions(ctx, in.PolicyARN); err != nil {
		return nil, failed(err, "policy", in.PolicyARN)
	}
	// The key grows from the newest to the oldest.
	items, next := pageOf(versions, func(v store.PolicyVersion) string { return strconv.Itoa(1<<30 - v.Version) }, page)
	out := &ListPolicyVersionsOutput{Versions: make([]PolicyVersion, 0, len(items)), IsTruncated: next != ""}
	for _, v := range items {
		out.Versions = append(out.Versions, listedVersion(v))
	}
	out.Marker, err = s.marker(action, in.PolicyARN, next)
	return out, err
}

// SetDefaultPolicyVersion says which version of a managed policy counts, from the next
// request on.
func (s *Server) SetDefaultPolicyVersion(ctx context.Context, in *PolicyVersionInput) (*ssm.Empty, error) {
	if _, err := s.ownPolicy(ctx, "iam:SetDefaultPolicyVersion", in.PolicyARN); err != nil {
		return nil, err
	}
	n, err := in.number()
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.SetDefaultPolicyVersion(ctx, in.PolicyARN, n)
	if isNotFound(err) {
		return nil, errVersion(in.PolicyARN, in.VersionID)
	}
	return &ssm.Empty{}, err
}

// DeletePolicyVersion removes a version of a managed policy that is not the default.
func (s *Server) DeletePolicyVersion(ctx context.Context, in *PolicyVersionInput) (*ssm.Empty, error) {
	if _, err := s.ownPolicy(ctx, "iam:DeletePolicyVersion", in.PolicyARN); err != nil {
		return nil, err
	}
	n, err := in.number()
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.DeletePolicyVersion(ctx, in.PolicyARN, n)
	if isNotFound(err) {
		return nil, errVersion(in.PolicyARN, in.VersionID)
	}
	return &ssm.Empty{}, failed(err, "policy", in.PolicyARN)
}
