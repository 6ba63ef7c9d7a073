package sts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// tokenAlgorithms are the signatures that IAM accepts of OpenID Connect providers. What is
// not here is refused before a key is looked for: none, and HMAC, whose secret a public
// key would be.
var tokenAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512,
}

// tokenSkew is how far an issuer's clock may be ahead of ours.
const tokenSkew = 5 * time.Minute

// Errors of AssumeRoleWithWebIdentity (STS API reference).
const (
	codeInvalidIdentityToken = "InvalidIdentityToken"
	codeExpiredToken         = "ExpiredTokenException"
	codeIDPCommunication     = "IDPCommunicationError"
)

// identity is somebody whom a provider vouches for.
type identity struct {
	provider store.OIDCProvider
	subject  string
	audience []string
	methods  []string // how it proved itself to the provider (amr)
}

// claims are the claims of a token that are read.
type claims struct {
	jwt.Claims
	Methods oneOrMore `json:"amr"`
}

// oneOrMore is a JSON string or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// parsed is a token that nobody has verified yet.
type parsed struct {
	signed *jose.JSONWebSignature
	issuer string // as it says; good for looking up a provider and for nothing else
}

// parseToken reads a token in the compact form, far enough to know who should verify it.
func parseToken(text string) (parsed, error) {
	signed, err := jose.ParseSignedCompact(text, tokenAlgorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return parsed{}, errors.New("no token of the accepted form")
	}
	var unverified struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &unverified); err != nil {
		return parsed{}, errors.New("the token's claims are not JSON")
	}
	return parsed{signed: signed, issuer: unverified.Issuer}, nil
}

// verifyToken proves a token: issued by a stored provider, signed by it, for one of the
// clients that the provider was stored with, and not past its time. No error repeats the
// token or a part of it that is not public.
func (s *Server) verifyToken(ctx context.Context, text string) (identity, error) {
	token, err := parseToken(text)
	if err != nil {
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	p, err := s.provider(ctx, token.issuer)
	if err != nil {
		return identity{}, err
	}
	header := token.signed.Signatures[0].Header
	keys, err := s.issuers.find(ctx, p, header.KeyID)
	switch {
	case errors.Is(err, errUnreachable):
		return identity{}, ssm.Errorf(codeIDPCommunication, "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	case errors.Is(err, errUnknownKey):
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "No key of the identity provider matches the key id of the token.")
	case err != nil:
		return identity{}, err
	}
	payload, ok := verifySignature(token.signed, keys)
	if !ok {
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "The signature of the token is not the identity provider's.")
	}
	return checkClaims(payload, p, s.cfg.Now())
}

// provider finds the stored provider that an issuer's name belongs to.
func (s *Server) provider(ctx context.Context, issuer string) (store.OIDCProvider, error) {
	host, ok := strings.CutPrefix(issuer, "https://")
	if !ok || len(issuer) > maxIssuer {
		return store.OIDCProvider{}, ssm.Errorf(codeInvalidIdentityToken, "The issuer of the token is not an https URL.")
	}
	p, err := s.cfg.Store.OIDCProviderByURL(ctx, issuer)
	if isNotFound(err) || err == nil && p.URL != issuer {
		return store.OIDCProvider{}, ssm.Errorf(codeInvalidIdentityToken, "No OpenIDConnect provider found in your account for https://%s", host)
	}
	return p, err
}

// maxIssuer is the longest URL of a provider (api.md Appendix A.4, OpenIDConnectProviderUrlType).
const maxIssuer = 255

// verifySignature gives the payload that one of the keys has signed.
func verifySignature(signed *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	algorithm := signed.Signatures[0].Header.Algorithm
	for i := range keys {
		if keys[i].Algorithm != "" && keys[i].Algorithm != algorithm {
			continue
		}
		if payload, err := signed.Verify(keys[i].Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// checkClaims holds the claims of a token whose signature is right against its provider
// and the time.
func checkClaims(payload []byte, p store.OIDCProvider, now time.Time) (identity, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "The claims of the token cannot be read.")
	}
	for name, missing := range map[string]bool{
		"sub": c.Subject == "", "aud": len(c.Audience) == 0, "exp": c.Expiry == nil, "iat": c.IssuedAt == nil,
	} {
		if missing {
			return identity{}, ssm.Errorf(codeInvalidIdentityToken, "Missing a required claim: %s", name)
		}
	}
	switch {
	case c.Issuer != p.URL: // the same bytes were read before, but not by the same reader
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "The token is another issuer's.")
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(p.ClientIDs, a) }):
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "Incorrect token audience")
	case !now.Before(c.Expiry.Time()):
		return identity{}, ssm.Errorf(codeExpiredToken, "Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), c.Expiry.Time().Unix())
	case c.IssuedAt.Time().After(now.Add(tokenSkew)), c.NotBefore != nil && c.NotBefore.Time().After(now.Add(tokenSkew)):
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "The token is not valid yet.")
	case len(c.Subject) > maxSubject || !storable(c.Subject):
		return identity{}, ssm.Errorf(codeInvalidIdentityToken, "The subject of the token is no text of up to %d characters.", maxSubject)
	}
	return identity{
		provider: p,
		subject:  c.Subject,
		audience: c.Audience,
		methods:  c.Methods,
	}, nil
}

// maxSubject is the longest subject (RFC 7519 and OpenID Connect Core 1.0, §2: 255).
const maxSubject = 255
