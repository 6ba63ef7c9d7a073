package sts

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"

	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"sekisho/internal/store"
)

const (
	// fetchTimeout bounds both requests to an issuer together: a client of the API waits
	// meanwhile, and stock SDKs give up after a minute.
	fetchTimeout = 5 * time.Second
	// maxDiscovery and maxKeySet bound what is read of an issuer, in bytes. The large
	// public issuers send 2 KiB and 10 KiB.
	maxDiscovery = 64 << 10
	maxKeySet    = 256 << 10
	// maxKeys bounds the keys of an issuer: IAM takes 100 RSA and 100 EC keys.
	maxKeys = 200
	// keysFresh is how long keys serve before they are fetched again: how long a key that
	// an issuer withdraws may live on.
	keysFresh = time.Hour
	// fetchPause is the least time between two fetches from one issuer, failed ones
	// included. Anybody can send a token with an unknown key id; the issuer must not feel
	// it.
	fetchPause = 10 * time.Second
)

var (
	errUnreachable = errors.New("the issuer gives no keys")
	errUnknownKey  = errors.New("the issuer has no such key")
)

// issuers knows the signing keys of identity providers. It asks nobody but the issuers of
// stored providers.
type issuers struct {
	now    func() time.Time
	roots  *x509.CertPool // nil: those of the system
	logger *slog.Logger
	// dial opens TCP connections; tests replace it.
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex         // guards known
	known map[string]*issuer // by URL
}

// issuer is what is known of one issuer. Whoever holds turn may use the other fields, and
// fetches for all who wait.
type issuer struct {
	turn    chan struct{} // holds one token
	trust   string        // the thumbprints that the keys were fetched under
	keys    []jose.JSONWebKey
	fetched time.Time // when keys came
	asked   time.Time // when they were asked for last
}

func newIssuers(now func() time.Time, roots *x509.CertPool, logger *slog.Logger) *issuers {
	var dialer net.Dialer
	return &issuers{now: now, roots: roots, logger: logger, dial: dialer.DialContext, known: make(map[string]*issuer)}
}

// get finds the state of an issuer. The map grows with the stored providers only, which
// IAM limits to 100.
func (is *issuers) get(url string) *issuer {
	is.mu.Lock()
	defer is.mu.Unlock()
	s := is.known[url]
	if s == nil {
		s = &issuer{turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		is.known[url] = s
	}
	return s
}

// find gives the keys of a provider that may have signed with the key id; an empty id
// means any. It is errUnknownKey if there are none, errUnreachable if the issuer does not
// tell.
func (is *issuers) find(ctx context.Context, p store.OIDCProvider, keyID string) ([]jose.JSONWebKey, error) {
	s := is.get(p.URL)
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := is.now()
	trust := strings.Join(p.Thumbprints, " ")
	if s.trust != trust { // what an earlier trust let in does not count any more
		*s = issuer{turn: s.turn, trust: trust}
	}
	fresh := s.keys != nil && now.Before(s.fetched.Add(keysFresh))
	if found := matching(s.keys, keyID); fresh && len(found) > 0 {
		return found, nil
	}
	if now.Before(s.asked.Add(fetchPause)) {
		if fresh {
			return nil, errUnknownKey
		}
		return nil, errUnreachable
	}
	s.asked = now
	// The fetch goes on when this caller leaves: others wait for it, and callers that
	// come and go must not be able to keep the keys away.
	fetch, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	keys, err := is.fetch(fetch, p)
	if err != nil {
		is.logger.WarnContext(ctx, "no keys from identity provider", "provider", p.ARN, "error", err)
		if fresh {
			return nil, errUnknownKey
		}
		return nil, errUnreachable
	}
	s.keys, s.fetched = keys, now
	if found := matching(keys, keyID); len(found) > 0 {
		return found, nil
	}
	return nil, errUnknownKey
}

func matching(keys []jose.JSONWebKey, keyID string) []jose.JSONWebKey {
	if keyID == "" {
		return keys
	}
	var found []jose.JSONWebKey
	for _, k := range keys {
		if k.KeyID == keyID {
			found = append(found, k)
		}
	}
	return found
}

// discoveryPath is where an issuer describes itself (OpenID Connect Discovery 1.0, §4).
const discoveryPath = "/.well-known/openid-configuration"

// fetch reads the keys of an issuer by way of its description.
func (is *issuers) fetch(ctx context.Context, p store.OIDCProvider) ([]jose.JSONWebKey, error) {
	client := is.client(p.Thumbprints)
	defer client.CloseIdleConnections()
	body, err := get(ctx, client, strings.TrimSuffix(p.URL, "/")+discoveryPath, maxDiscovery)
	if err != nil {
		return nil, fmt.Errorf("fetch the description of the issuer: %w", err)
	}
	var description struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &description); err != nil {
		return nil, errors.New("the description of the issuer is not JSON")
	}
	if description.Issuer != p.URL {
		return nil, errors.New("the issuer describes itself as another")
	}
	body, err = get(ctx, client, description.JWKSURI, maxKeySet)
	if err != nil {
		return nil, fmt.Errorf("fetch the keys of the issuer: %w", err)
	}
	return parseKeySet(body)
}

// get reads an https URL, without following redirects, up to limit bytes.
func get(ctx context.Context, client *http.Client, target string, limit int64) ([]byte, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the address is not an https URL")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, errors.New("the address is not an https URL")
	}
	r.Header.Set("Accept", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return body, nil
}

// client makes an HTTP client for one fetch. It takes no proxy from the environment and
// keeps no connection.
func (is *issuers) client(thumbprints []string) *http.Client {
	return &http.Client{
		// A redirect could lead anywhere, and what it leads to is not the issuer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true, // so that the limits hold for what is sent, too
			MaxResponseHeaderBytes: 64 << 10,
			DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return is.dialTLS(ctx, network, address, thumbprints)
			},
		},
	}
}

// dialTLS connects to an issuer that proves its name, by the system's certificate
// authorities or else by one that a thumbprint names.
func (is *issuers) dialTLS(ctx context.Context, network, address string, thumbprints []string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := is.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, &tls.Config{
		ServerName: host,
		NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS12,
		// Not skipped, but done by VerifyConnection, which knows thumbprints.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return is.verifyChain(state.PeerCertificates, host, thumbprints)
		},
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// verifyChain proves a server by its certificates. As IAM documents for OpenID Connect
// providers, thumbprints count only where the known authorities do not vouch: then one of
// the certificates sent must have such a thumbprint, and is the authority. Name and dates
// must be right in either case.
func (is *issuers) verifyChain(chain []*x509.Certificate, host string, thumbprints []string) error {
	if len(chain) == 0 {
		return errors.New("the issuer has no certificate")
	}
	options := x509.VerifyOptions{
		DNSName:       host,
		Roots:         is.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   is.now(),
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	if err == nil {
		return nil
	}
	for _, c := range chain {
		if !slices.Contains(thumbprints, thumbprint(c)) {
			continue
		}
		options.Roots = x509.NewCertPool()
		options.Roots.AddCert(c)
		if _, err := chain[0].Verify(options); err == nil {
			return nil
		}
	}
	return fmt.Errorf("verify the issuer's certificate: %w", err)
}

// thumbprint is the SHA-1 of a certificate in lower-case hexadecimal digits, the form of
// IAM. To pass for another certificate takes a second preimage of SHA-1, which is beyond
// reach; collisions do not help.
func thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return hex.EncodeToString(sum[:])
}

// parseKeySet reads the signature keys of a JSON Web Key Set (RFC 7517). Keys of kinds
// that sign no token here are passed over, as the RFC wants.
func parseKeySet(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the key set is not JSON")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	keys := make([]jose.JSONWebKey, 0, len(set.Keys))
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil || k.Use != "" && k.Use != "sig" || !suitable(k.Key) {
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no usable key")
	}
	return keys, nil
}

// suitable says whether a key can verify the tokens that are accepted. A symmetric key is
// none: who publishes it lets everybody sign.
func suitable(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= 2048 && bits <= 4096
	case *ecdsa.PublicKey:
		return true
	}
	return false
}
