package sts

import (
	"context"
	"errors"
	"net/http"
)

// ProviderClient makes an HTTP client that proves hosts as AssumeRoleWithWebIdentity does
// for the stored provider with a URL: by the known authorities or the provider's
// thumbprints. It speaks https only, follows no redirects, and bounds the time and the
// size of each answer. A provider that is not stored is an error.
func (s *Server) ProviderClient(ctx context.Context, url string) (*http.Client, error) {
	p, err := s.provider(ctx, url)
	if err != nil {
		return nil, err
	}
	client := s.issuers.client(p.Thumbprints)
	client.Timeout = fetchTimeout
	client.Transport = bounded{client.Transport}
	return client, nil
}

// bounded limits what is asked and what is answered.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("the address is not an https URL")
	}
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxKeySet)
	}
	return answer, err
}
