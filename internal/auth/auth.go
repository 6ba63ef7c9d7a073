package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/policy"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config says what an Auth trusts.
type Config struct {
	Store *store.Store
	ARNs  ssm.ARNs // the deployment's region and account
	// Skew is how far the date of a request may be from ours; zero means
	// [sigv4.DefaultSkew].
	Skew   time.Duration
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means none
}

// Auth proves callers and judges what they may do. Its methods may be called
// concurrently.
type Auth struct {
	cfg Config
	// noSecret and noKey stand in for those of an unknown caller, so that refusing one
	// takes as long as refusing a wrong signature. Nobody can sign with them.
	noSecret string
	noKey    *rsa.PublicKey

	standings *cache[*standing]
	parsed    *cache[*policy.Policy]
	narrowing *cache[*policy.Policy] // of sessions: apart, for any caller who may assume a role makes as many as it likes
	touched   touches

	guesses guesses       // of console passwords
	hashing chan struct{} // as many sign-ins hash at once as it has room for
}

// maxHashing bounds the memory that signing in takes: a hash has 19 MiB.
const maxHashing = 4

// New makes an Auth.
func New(cfg Config) (*Auth, error) {
	if cfg.Store == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("auth needs a store, an account and a region")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// An odd number of 2048 bits is a public key to the verifier; that nobody knows its
	// factors is the point.
	var modulus [256]byte
	rand.Read(modulus[:])
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	return &Auth{
		cfg:      cfg,
		noSecret: rand.Text(),
		noKey:    &rsa.PublicKey{N: new(big.Int).SetBytes(modulus[:]), E: 65537},

		standings: newCache[*standing](maxStandings),
		parsed:    newCache[*policy.Policy](maxParsed),
		narrowing: newCache[*policy.Policy](maxNarrowing),
		hashing:   make(chan struct{}, maxHashing),
	}, nil
}

// globalRegion is what clients sign for where a service is one for all regions.
const globalRegion = "us-east-1"

// acceptsRegion says whether a scope names this deployment. iam has no regions, and
// the global endpoint of sts is signed for us-east-1 (api.md §1.1).
func (a *Auth) acceptsRegion(service, region string) bool {
	if region == a.cfg.ARNs.Region {
		return true
	}
	return region == globalRegion && (service == "iam" || service == "sts")
}

// Authenticate finds who signed r. body is the body as received; service is the
// signing name of the service that is called, or empty for any. Its refusals are
// [*sigv4.Error]s, [sigv4.ErrUnsigned] among them; a removed node is refused with an
// [*ssm.Error].
func (a *Auth) Authenticate(ctx context.Context, r *http.Request, body []byte, service string) (Principal, error) {
	return a.AuthenticateHash(ctx, r, sigv4.Hash(body), service)
}

// AuthenticateHash is Authenticate for a body that is not there yet. hash is what the
// request says of it, and what was signed: that the body fits it, its reader must see to.
func (a *Auth) AuthenticateHash(ctx context.Context, r *http.Request, hash, service string) (Principal, error) {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return Principal{}, err
	}
	err = sig.Check(sigv4.Policy{Now: a.cfg.Now(), Skew: a.cfg.Skew, Service: service, Regions: a.acceptsRegion})
	if err != nil {
		return Principal{}, err
	}
	switch id := sig.AccessKeyID; {
	case ssm.IsNodeID(id):
		return a.node(ctx, r, sig, hash)
	case len(id) > 4 && id[:4] == "ASIA":
		return a.temporary(ctx, r, sig, hash)
	default:
		return a.longTerm(ctx, r, sig, hash)
	}
}

// ForAPI is what [awsapi.Config] asks who calls an operation. A node's own key is good
// for the operations that say so and for nothing else.
func (a *Auth) ForAPI(ctx context.Context, r *http.Request, body []byte, op awsapi.Operation) (context.Context, error) {
	p, err := a.Authenticate(ctx, r, body, op.Service)
	if err != nil {
		return ctx, err
	}
	if op.NodeSigned != (p.Kind == Node) {
		return ctx, sigv4.ErrInvalidToken
	}
	return WithPrincipal(ctx, p), nil
}

// longTerm proves the holder of a user's access key.
func (a *Auth) longTerm(ctx context.Context, r *http.Request, sig *sigv4.Auth, hash string) (Principal, error) {
	key, err := a.cfg.Store.AccessKey(ctx, sig.AccessKeyID)
	known, err := found(err)
	if err != nil {
		return Principal{}, fmt.Errorf("look up an access key: %w", err)
	}
	secret := a.noSecret
	if known {
		secret = key.Secret.Reveal()
	}
	signed := sig.Verify(r, hash, secret)
	if !known || !key.Active || sig.SecurityToken != "" {
		return Principal{}, sigv4.ErrInvalidToken
	}
	if signed != nil {
		return Principal{}, signed
	}
	p := a.UserPrincipal(store.User{
		ID: key.UserID, Name: key.UserName, Path: key.UserPath,
	})
	p.AccessKeyID, p.Region = key.ID, sig.Region
	if now := a.cfg.Now(); a.touched.due("key/"+key.ID, now) {
		if err := a.cfg.Store.TouchAccessKey(ctx, key.ID, now, sig.Service, sig.Region); err != nil {
			a.cfg.Logger.Warn("last use of an access key not written down", "principal", p.ARN, "error", err)
		}
	}
	return p, nil
}

// temporary proves the holder of temporary credentials.
func (a *Auth) temporary(ctx context.Context, r *http.Request, sig *sigv4.Auth, hash string) (Principal, error) {
	cred, err := a.cfg.Store.TemporaryCredential(ctx, sig.AccessKeyID)
	known, err := found(err)
	if err != nil {
		return Principal{}, fmt.Errorf("look up temporary credentials: %w", err)
	}
	secret := a.noSecret
	if known {
		secret = cred.Secret.Reveal()
	}
	signed := sig.Verify(r, hash, secret)
	token := TokenHash(sig.SecurityToken)
	if !known || subtle.ConstantTimeCompare(token, cred.TokenHash) != 1 {
		return Principal{}, sigv4.ErrInvalidToken
	}
	if signed != nil {
		return Principal{}, signed
	}
	if !a.cfg.Now().Before(cred.ExpiresAt) {
		return Principal{}, sigv4.ErrExpiredToken
	}
	if cred.NodeID != "" {
		// A removed node's credentials are void at once (api.md §11.4).
		node, err := a.cfg.Store.Node(ctx, cred.NodeID)
		known, err := found(err)
		if err != nil {
			return Principal{}, fmt.Errorf("look up the node of temporary credentials: %w", err)
		}
		if !known || !node.DeregisteredAt.IsZero() {
			return Principal{}, sigv4.ErrInvalidToken
		}
	}
	p, err := a.holder(ctx, cred)
	if err != nil {
		return Principal{}, err
	}
	p.Region = sig.Region
	return p, nil
}

// holder is who holds temporary credentials. They are void as soon as the user or the
// role is deleted, also if another of the name is made.
func (a *Auth) holder(ctx context.Context, cred store.TemporaryCredential) (Principal, error) {
	if cred.Kind == store.CredentialSession {
		if cred.UserName == "" {
			return Principal{}, sigv4.ErrInvalidToken
		}
		return a.temporaryPrincipal(cred, ""), nil
	}
	st, err := a.roleStanding(ctx, cred.RoleName, cred.RoleID)
	known, err := found(err)
	if err != nil {
		return Principal{}, fmt.Errorf("look up the role of temporary credentials: %w", err)
	}
	if !known {
		return Principal{}, sigv4.ErrInvalidToken
	}
	if now := a.cfg.Now(); a.touched.due("role/"+cred.RoleName, now) {
		if err := a.cfg.Store.TouchRole(ctx, cred.RoleName, now); err != nil {
			a.cfg.Logger.Warn("last use of a role not written down", "role", cred.RoleName, "error", err)
		}
	}
	return a.temporaryPrincipal(cred, st.facts.ID), nil
}

// node proves a managed node by its own key.
func (a *Auth) node(ctx context.Context, r *http.Request, sig *sigv4.Auth, hash string) (Principal, error) {
	node, err := a.cfg.Store.Node(ctx, sig.AccessKeyID)
	known, err := found(err)
	if err != nil {
		return Principal{}, fmt.Errorf("look up a node: %w", err)
	}
	key := a.noKey
	if known {
		if key, err = ParseNodeKey(node.PublicKey); err != nil {
			return Principal{}, fmt.Errorf("read the stored key of node %s: %w", node.ID, err)
		}
	}
	// An unknown node's signature fails like a wrong one: whoever cannot sign for a
	// node learns nothing about it.
	if err := sig.VerifyRSA(r, hash, key); err != nil {
		return Principal{}, err
	}
	if !node.DeregisteredAt.IsZero() {
		// The one case for AccessDenied here: it makes a stock agent sleep half an hour
		// (agent-control-plane.md §2.3).
		return Principal{}, ssm.Errorf(ssm.CodeAccessDenied, "The managed node %s has been deregistered.", node.ID)
	}
	return Principal{
		Kind:        Node,
		Account:     a.cfg.ARNs.Account,
		ARN:         a.cfg.ARNs.Node(node.ID),
		NodeID:      node.ID,
		AccessKeyID: node.ID,
	}, nil
}

// TokenHash is what the store keeps of a token: its SHA-256.
func TokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// NewTemporaryCredentials makes credentials of a role's session that nobody has yet:
// the key id, the secret and the session token. The store keeps the token's hash only.
func NewTemporaryCredentials() (keyID, secret, token string) {
	var b [48]byte
	rand.Read(b[:])
	// rand.Text is 26 characters of the alphabet A-Z2-7, that of key ids (api.md §3).
	return "ASIA" + rand.Text()[:16], base64.StdEncoding.EncodeToString(b[:30]), rand.Text() + rand.Text()
}

// RSA keys of managed nodes. The stock agent makes 2048 bits; larger ones only cost
// the server time.
const (
	minNodeKeyBits = 2048
	maxNodeKeyBits = 4096
)

// ParseNodeKey reads a managed node's public key from the DER of its
// SubjectPublicKeyInfo.
func ParseNodeKey(der []byte) (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("public key is a %T, not RSA", parsed)
	}
	if bits := key.N.BitLen(); bits < minNodeKeyBits || bits > maxNodeKeyBits {
		return nil, fmt.Errorf("public key has %d bits, not %d to %d", bits, minNodeKeyBits, maxNodeKeyBits)
	}
	return key, nil
}

// found tells "there is none" from a look-up that failed. What is no text, and so is
// invalid to the store, is the id of nobody.
func found(err error) (bool, error) {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return false, nil
	}
	return err == nil, err
}
