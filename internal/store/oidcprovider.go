package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Quotas of IAM.
const (
	clientIDsPerProvider   = 100
	thumbprintsPerProvider = 5
)

// OIDCProvider is an identity provider whose tokens are exchanged for the credentials
// of a role.
type OIDCProvider struct {
	ARN         string
	URL         string // as the caller writes it; unique
	ClientIDs   []string
	Thumbprints []string
	CreatedAt   time.Time
}

func (o OIDCProvider) checkLimits() error {
	switch {
	case len(o.ClientIDs) > clientIDsPerProvider:
		return &LimitError{Name: "ClientIdsPerOpenIdConnectProvider", Limit: clientIDsPerProvider}
	case len(o.Thumbprints) > thumbprintsPerProvider:
		return &LimitError{Name: "ThumbprintsPerOpenIdConnectProvider", Limit: thumbprintsPerProvider}
	}
	return nil
}

// CreateOIDCProvider adds a provider. A taken ARN or URL is [ErrExists].
func (s *Store) CreateOIDCProvider(ctx context.Context, o OIDCProvider) error {
	return s.writeIdentity(ctx, "create oidc provider "+o.ARN, func(tx runner) error {
		if err := o.checkLimits(); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `insert into oidc_providers (arn, url, client_ids, thumbprints, created_at) values ($1, $2, $3, $4, $5)`,
			o.ARN, o.URL, list(o.ClientIDs), list(o.Thumbprints), millis(o.CreatedAt))
		return err
	})
}

// OIDCProvider returns the provider with that ARN, or [ErrNotFound].
func (s *Store) OIDCProvider(ctx context.Context, arn string) (OIDCProvider, error) {
	return readOIDCProvider(ctx, s.reader(), "arn", arn)
}

// OIDCProviderByURL returns the provider with that URL, or [ErrNotFound].
func (s *Store) OIDCProviderByURL(ctx context.Context, url string) (OIDCProvider, error) {
	return readOIDCProvider(ctx, s.reader(), "url", url)
}

const oidcQuery = `select arn, url, client_ids, thumbprints, created_at from oidc_providers`

func scanOIDCProvider(o *OIDCProvider, scan func(...any) error) error {
	return scan(&o.ARN, &o.URL, asList(&o.ClientIDs), asList(&o.Thumbprints), asTime(&o.CreatedAt))
}

func readOIDCProvider(ctx context.Context, r runner, column, value string) (OIDCProvider, error) {
	var o OIDCProvider
	err := r.rowOf(ctx, oidcQuery+` where `+column+` = $1`, []any{value},
		func(scan func(...any) error) error { return scanOIDCProvider(&o, scan) })
	if err != nil {
		return OIDCProvider{}, fmt.Errorf("oidc provider %s: %w", value, err)
	}
	return o, nil
}

// OIDCProviders returns all providers in the order of their ARNs.
func (s *Store) OIDCProviders(ctx context.Context) ([]OIDCProvider, error) {
	var providers []OIDCProvider
	err := s.reader().rows(ctx, oidcQuery+` order by arn`, nil, func(scan func(...any) error) error {
		var o OIDCProvider
		if err := scanOIDCProvider(&o, scan); err != nil {
			return err
		}
		providers = append(providers, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list oidc providers: %w", err)
	}
	return providers, nil
}

// DeleteOIDCProvider removes a provider.
func (s *Store) DeleteOIDCProvider(ctx context.Context, arn string) error {
	return s.writeIdentity(ctx, "delete oidc provider "+arn, func(tx runner) error {
		return one(tx.exec(ctx, `delete from oidc_providers where arn = $1`, arn))
	})
}

// SetOIDCThumbprints replaces the thumbprints of a provider.
func (s *Store) SetOIDCThumbprints(ctx context.Context, arn string, thumbprints []string) error {
	return s.changeOIDCProvider(ctx, arn, func(o *OIDCProvider) { o.Thumbprints = thumbprints })
}

// AddOIDCClientID adds a client id to a provider, which may have it already.
func (s *Store) AddOIDCClientID(ctx context.Context, arn, clientID string) error {
	return s.changeOIDCProvider(ctx, arn, func(o *OIDCProvider) {
		if !slices.Contains(o.ClientIDs, clientID) {
			o.ClientIDs = append(o.ClientIDs, clientID)
		}
	})
}

// RemoveOIDCClientID takes a client id from a provider, if it has it.
func (s *Store) RemoveOIDCClientID(ctx context.Context, arn, clientID string) error {
	return s.changeOIDCProvider(ctx, arn, func(o *OIDCProvider) {
		o.ClientIDs = slices.DeleteFunc(o.ClientIDs, func(id string) bool { return id == clientID })
	})
}

func (s *Store) changeOIDCProvider(ctx context.Context, arn string, change func(*OIDCProvider)) error {
	return s.writeIdentity(ctx, "change oidc provider "+arn, func(tx runner) error {
		o, err := readOIDCProvider(ctx, tx, "arn", arn)
		if err != nil {
			return err
		}
		change(&o)
		if err := o.checkLimits(); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `update oidc_providers set client_ids = $2, thumbprints = $3 where arn = $1`,
			arn, list(o.ClientIDs), list(o.Thumbprints))
		return err
	})
}
