package iam

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// OpenID Connect providers are the issuers whose tokens sts exchanges for credentials of
// a role (AssumeRoleWithWebIdentity). The shapes are those of the IAM API reference.

// maxProviderURL is the longest URL of a provider, in characters.
const maxProviderURL = 255

// oidcOperations are the operations about OpenID Connect providers.
func (s *Server) oidcOperations() []awsapi.Operation {
	return []awsapi.Operation{
		op("AddClientIDToOpenIDConnectProvider", s.AddClientIDToOpenIDConnectProvider),
		op("CreateOpenIDConnectProvider", s.CreateOpenIDConnectProvider),
		op("DeleteOpenIDConnectProvider", s.DeleteOpenIDConnectProvider),
		op("GetOpenIDConnectProvider", s.GetOpenIDConnectProvider),
		op("ListOpenIDConnectProviders", s.ListOpenIDConnectProviders),
		op("RemoveClientIDFromOpenIDConnectProvider", s.RemoveClientIDFromOpenIDConnectProvider),
		op("UpdateOpenIDConnectProviderThumbprint", s.UpdateOpenIDConnectProviderThumbprint),
	}
}

// CreateOpenIDConnectProviderInput is the request of iam:CreateOpenIDConnectProvider.
type CreateOpenIDConnectProviderInput struct {
	URL            string   `json:"Url" constraint:"required len=1..255"`
	ClientIDList   []string `constraint:"len=0..100"`
	ThumbprintList []string `constraint:"len=0..5"`
	Tags           []Tag    `constraint:"len=0..50"`
}

// CreateOpenIDConnectProviderOutput is the answer of iam:CreateOpenIDConnectProvider.
type CreateOpenIDConnectProviderOutput struct {
	OpenIDConnectProviderARN string `json:"OpenIDConnectProviderArn"`
}

// CreateOpenIDConnectProvider trusts an issuer. Without thumbprints it is proved by the
// certificate authorities of the server's system only.
func (s *Server) CreateOpenIDConnectProvider(ctx context.Context, in *CreateOpenIDConnectProviderInput) (*CreateOpenIDConnectProviderOutput, error) {
	if err := checkProviderURL(in.URL); err != nil {
		return nil, err
	}
	arn := s.providerARN(in.URL)
	if err := s.authorize(ctx, "iam:CreateOpenIDConnectProvider", arn, requestTagKeys(in.Tags)); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		// Better no provider than one without the tags that a policy may rely on.
		return nil, fault(codeInvalidInput, "This server keeps no tags of OpenID Connect providers.")
	}
	clientIDs, err := checkClientIDs(in.ClientIDList)
	if err != nil {
		return nil, err
	}
	thumbprints, err := checkThumbprints(in.ThumbprintList)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.CreateOIDCProvider(ctx, store.OIDCProvider{
		ARN: arn, URL: in.URL, ClientIDs: clientIDs, Thumbprints: thumbprints, CreatedAt: s.cfg.Now(),
	})
	if errors.Is(err, store.ErrExists) {
		return nil, fault(codeEntityAlreadyExists, "Provider with url %s already exists.", in.URL)
	}
	if err != nil {
		return nil, failed(err, "provider", arn)
	}
	return &CreateOpenIDConnectProviderOutput{OpenIDConnectProviderARN: arn}, nil
}

// checkProviderURL refuses what is no issuer (OpenID Connect Core 1.0, §2): https, with a
// host and maybe a path, nothing else. The text is compared with that of tokens, so it
// must be in the only form that it has.
func checkProviderURL(text string) error {
	invalid := fault(codeInvalidInput, "Invalid Open ID Connect Provider URL")
	for _, c := range text {
		if c <= ' ' || c > '~' || strings.ContainsRune("*?#@\\%\"<>^`{|}$", c) {
			return invalid
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" || u.String() != text || u.Host != strings.ToLower(u.Host) {
		return invalid
	}
	for _, part := range strings.Split(u.Path, "/") {
		if part == "." || part == ".." {
			return invalid
		}
	}
	return nil
}

// providerARN names the provider with a URL.
func (s *Server) providerARN(url string) string {
	return s.arn("oidc-provider", "", strings.TrimPrefix(url, "https://"))
}

// checkClientIDs refuses what cannot be in the audience of a token, and drops repetitions.
func checkClientIDs(ids []string) ([]string, error) {
	var kept []string
	for _, id := range ids {
		if id == "" || len(id) > 255 {
			return nil, fault(codeInvalidInput, "A client ID has 1 to 255 characters.")
		}
		if !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	return kept, nil
}

// checkThumbprints refuses what is no SHA-1 in hexadecimal digits, and makes all of them
// lower-case.
func checkThumbprints(list []string) ([]string, error) {
	var kept []string
	for _, text := range list {
		text = strings.ToLower(text)
		if len(text) != 40 || strings.Trim(text, "0123456789abcdef") != "" {
			return nil, fault(codeInvalidInput, "A thumbprint has 40 hexadecimal digits.")
		}
		if !slices.Contains(kept, text) {
			kept = append(kept, text)
		}
	}
	return kept, nil
}

// OpenIDConnectProviderInput names a provider.
type OpenIDConnectProviderInput struct {
	OpenIDConnectProviderARN string `json:"OpenIDConnectProviderArn" constraint:"required len=20..2048"`
}

// mayProvider asks for action on a provider, whether or not there is one.
func (s *Server) mayProvider(ctx context.Context, action, arn string) error {
	name, ok := strings.CutPrefix(arn, s.arn("oidc-provider", "", ""))
	if !ok || name == "" || len(name) > maxProviderURL {
		return validation("ARN %s is not valid.", arn)
	}
	return s.authorize(ctx, action, arn)
}

// providerFailed is failed for providers.
func providerFailed(err error, arn string) error {
	if isNotFound(err) {
		return fault(codeNoSuchEntity, "OpenIDConnect Provider not found for arn %s", arn)
	}
	return failed(err, "provider", arn)
}

// GetOpenIDConnectProviderOutput is the answer of iam:GetOpenIDConnectProvider.
type GetOpenIDConnectProviderOutput struct {
	URL            string `json:"Url"` // without https://
	ClientIDList   []string
	ThumbprintList []string
	CreateDate     time.Time
}

// GetOpenIDConnectProvider shows a provider.
func (s *Server) GetOpenIDConnectProvider(ctx context.Context, in *OpenIDConnectProviderInput) (*GetOpenIDConnectProviderOutput, error) {
	arn := in.OpenIDConnectProviderARN
	if err := s.mayProvider(ctx, "iam:GetOpenIDConnectProvider", arn); err != nil {
		return nil, err
	}
	p, err := s.cfg.Store.OIDCProvider(ctx, arn)
	if err != nil {
		return nil, providerFailed(err, arn)
	}
	return &GetOpenIDConnectProviderOutput{
		URL:            strings.TrimPrefix(p.URL, "https://"),
		ClientIDList:   p.ClientIDs,
		ThumbprintList: p.Thumbprints,
		CreateDate:     p.CreatedAt,
	}, nil
}

// OpenIDConnectProviderEntry is a provider in a list.
type OpenIDConnectProviderEntry struct {
	ARN string `json:"Arn"`
}

// ListOpenIDConnectProvidersOutput is the answer of iam:ListOpenIDConnectProviders.
type ListOpenIDConnectProvidersOutput struct {
	OpenIDConnectProviderList []OpenIDConnectProviderEntry
}

// ListOpenIDConnectProviders lists the providers of the account. As in the service, there
// are no pages.
func (s *Server) ListOpenIDConnectProviders(ctx context.Context, _ *ssm.Empty) (*ListOpenIDConnectProvidersOutput, error) {
	if err := s.authorize(ctx, "iam:ListOpenIDConnectProviders", everything); err != nil {
		return nil, err
	}
	all, err := s.cfg.Store.OIDCProviders(ctx)
	if err != nil {
		return nil, err
	}
	out := &ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: make([]OpenIDConnectProviderEntry, 0, len(all))}
	for _, p := range all {
		out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, OpenIDConnectProviderEntry{ARN: p.ARN})
	}
	return out, nil
}

// DeleteOpenIDConnectProvider stops trusting an issuer. As in the service it is no error
// if there is no such provider; trust policies that name it stay and name nobody.
func (s *Server) DeleteOpenIDConnectProvider(ctx context.Context, in *OpenIDConnectProviderInput) (*ssm.Empty, error) {
	arn := in.OpenIDConnectProviderARN
	if err := s.mayProvider(ctx, "iam:DeleteOpenIDConnectProvider", arn); err != nil {
		return nil, err
	}
	err := s.cfg.Store.DeleteOIDCProvider(ctx, arn)
	if isNotFound(err) {
		err = nil
	}
	return &ssm.Empty{}, err
}

// ClientIDInput names a provider and one of its client ids.
type ClientIDInput struct {
	OpenIDConnectProviderARN string `json:"OpenIDConnectProviderArn" constraint:"required len=20..2048"`
	ClientID                 string `constraint:"required len=1..255"`
}

// AddClientIDToOpenIDConnectProvider accepts tokens for one more client. To add it twice
// is no error.
func (s *Server) AddClientIDToOpenIDConnectProvider(ctx context.Context, in *ClientIDInput) (*ssm.Empty, error) {
	arn := in.OpenIDConnectProviderARN
	if err := s.mayProvider(ctx, "iam:AddClientIDToOpenIDConnectProvider", arn); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, providerFailed(s.cfg.Store.AddOIDCClientID(ctx, arn, in.ClientID), arn)
}

// RemoveClientIDFromOpenIDConnectProvider accepts no more tokens for a client. It is no
// error if there were none.
func (s *Server) RemoveClientIDFromOpenIDConnectProvider(ctx context.Context, in *ClientIDInput) (*ssm.Empty, error) {
	arn := in.OpenIDConnectProviderARN
	if err := s.mayProvider(ctx, "iam:RemoveClientIDFromOpenIDConnectProvider", arn); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, providerFailed(s.cfg.Store.RemoveOIDCClientID(ctx, arn, in.ClientID), arn)
}

// ThumbprintInput names a provider and the certificates it may have.
type ThumbprintInput struct {
	OpenIDConnectProviderARN string   `json:"OpenIDConnectProviderArn" constraint:"required len=20..2048"`
	ThumbprintList           []string `constraint:"required len=0..5"`
}

// UpdateOpenIDConnectProviderThumbprint replaces the thumbprints of a provider. Keys that
// sts fetched under the old ones count no more.
func (s *Server) UpdateOpenIDConnectProviderThumbprint(ctx context.Context, in *ThumbprintInput) (*ssm.Empty, error) {
	arn := in.OpenIDConnectProviderARN
	if err := s.mayProvider(ctx, "iam:UpdateOpenIDConnectProviderThumbprint", arn); err != nil {
		return nil, err
	}
	thumbprints, err := checkThumbprints(in.ThumbprintList)
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, providerFailed(s.cfg.Store.SetOIDCThumbprints(ctx, arn, thumbprints), arn)
}
