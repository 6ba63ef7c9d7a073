package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

var (
	arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}
	now  = time.Date(2026, 5, 23, 7, 31, 28, 0, time.UTC)
)

const (
	nodeRoleID = "AROANNNNNNNNNNNNNNNNN"
	trustsSSM  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}}`

	nodeID    = "mi-0123456789abcdef0"
	nodeToken = "the session token"
)

var nodeRole = store.Entity{Type: store.EntityRole, Name: "NodeRole"}

// nodeKey is one key for all tests: making one takes a while.
var nodeKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

type world struct {
	t     *testing.T
	auth  *Auth
	store *store.Store
	clock time.Time
}

// newWorld is a deployment with the users alice, an administrator, and bob, and one
// node with temporary credentials.
func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	s := storetest.Open(t)
	w := &world{t: t, store: s, clock: now}
	var err error
	w.auth, err = New(Config{Store: s, ARNs: arns, Now: func() time.Time { return w.clock }})
	must(t, err)

	must(t, s.CreateUser(ctx, store.User{ID: "AIDAAAAAAAAAAAAAAAAAA", Name: "alice", Path: "/ops/", CreatedAt: now}))
	must(t, s.CreateUser(ctx, store.User{ID: "AIDABBBBBBBBBBBBBBBBB", Name: "bob", CreatedAt: now}))
	must(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIAAAAAAAAAAAAAAAAA", UserID: "AIDAAAAAAAAAAAAAAAAAA", Secret: "alice's secret", Active: true, CreatedAt: now}))
	must(t, s.CreateAccessKey(ctx, store.AccessKey{ID: "AKIABBBBBBBBBBBBBBBB", UserID: "AIDABBBBBBBBBBBBBBBBB", Secret: "bob's secret", Active: true, CreatedAt: now}))

	must(t, s.AttachPolicy(ctx, store.Entity{Type: store.EntityUser, Name: "alice"}, "arn:aws:iam::aws:policy/AdministratorAccess", 10))
	must(t, s.CreateRole(ctx, store.Role{ID: nodeRoleID, Name: "NodeRole", Path: "/service-role/", CreatedAt: now, TrustPolicy: trustsSSM}))
	must(t, s.AttachPolicy(ctx, nodeRole, "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", 10))

	der, err := x509.MarshalPKIXPublicKey(nodeKey().Public())
	must(t, err)
	code := sha256.Sum256([]byte("code"))
	must(t, s.CreateActivation(ctx, store.Activation{ID: "a", CodeHash: code[:], IamRole: "NodeRole", RegistrationLimit: 1,
		ExpirationDate: now.Add(time.Hour), CreatedAt: now}))
	_, err = s.RegisterNode(ctx, "a", code[:], store.Node{ID: nodeID, PublicKey: der, PublicKeyType: "Rsa", Fingerprint: "f"}, now)
	must(t, err)
	must(t, s.CreateTemporaryCredential(ctx, store.TemporaryCredential{
		AccessKeyID: "ASIACCCCCCCCCCCCCCCC", Secret: "node's secret", TokenHash: TokenHash(nodeToken),
		RoleName: "NodeRole", SessionName: nodeID, NodeID: nodeID, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func request(body []byte) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://sekisho.test:8443/", bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.DescribeSessions")
	return r
}

var (
	body  = []byte(`{"State":"Active"}`)
	alice = sigv4.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "alice's secret"}
	bob   = sigv4.Credentials{AccessKeyID: "AKIABBBBBBBBBBBBBBBB", SecretAccessKey: "bob's secret"}
	node  = sigv4.Credentials{AccessKeyID: "ASIACCCCCCCCCCCCCCCC", SecretAccessKey: "node's secret", SessionToken: nodeToken}
)

// signed asks who signed a request with cred.
func (w *world) signed(cred sigv4.Credentials, region, service string) (Principal, error) {
	r := request(body)
	sigv4.Sign(r, sigv4.Hash(body), cred, region, service, w.clock)
	return w.auth.Authenticate(w.t.Context(), r, body, service)
}

func (w *world) signedByNode(id string, key *rsa.PrivateKey) (Principal, error) {
	r := request(body)
	must(w.t, sigv4.SignRSA(r, sigv4.Hash(body), id, key, arns.Region, "ssm", w.clock))
	return w.auth.Authenticate(w.t.Context(), r, body, "ssm")
}

func TestAccessKeyProvesItsUser(t *testing.T) {
	w := newWorld(t)
	want := Principal{
		Kind: User, Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/ops/alice", UserID: "AIDAAAAAAAAAAAAAAAAAA",
		UserName: "alice", AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", Region: "local-1",
	}
	got, err := w.signed(alice, "local-1", "ssm")
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	if got.SessionOwner() != "alice" {
		t.Errorf("sessions are named after %q, want alice", got.SessionOwner())
	}
	got, err = w.signed(bob, "local-1", "ssm")
	must(t, err)
	if got.ARN != "arn:aws:iam::123456789012:user/bob" {
		t.Errorf("bob is %+v", got)
	}
}

func TestPresignedRequestProvesItsUser(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequest(http.MethodGet, "https://sekisho.test/?Action=GetCallerIdentity&Version=2011-06-15", nil)
	must(t, err)
	sigv4.Presign(r, sigv4.EmptyHash, alice, "us-east-1", "sts", time.Hour, now)
	w.clock = now.Add(30 * time.Minute)
	p, err := w.auth.Authenticate(t.Context(), r, nil, "sts")
	must(t, err)
	if p.UserName != "alice" {
		t.Errorf("principal = %+v, want alice", p)
	}
}

func TestRoleSessionOfANode(t *testing.T) {
	w := newWorld(t)
	got, err := w.signed(node, "local-1", "ssmmessages")
	must(t, err)
	want := Principal{
		Kind: RoleSession, Account: "123456789012", ARN: "arn:aws:sts::123456789012:assumed-role/NodeRole/" + nodeID,
		UserID: nodeRoleID + ":" + nodeID, RoleName: "NodeRole", RoleID: nodeRoleID, SessionName: nodeID, NodeID: nodeID,
		AccessKeyID: "ASIACCCCCCCCCCCCCCCC", Region: "local-1", TokenIssuedAt: now, MFAKnown: true,
		SessionKind: store.CredentialNode, Session: &Session{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
}

func TestARepeatedRequestIsAccepted(t *testing.T) {
	w := newWorld(t)
	r := request(body)
	sigv4.Sign(r, sigv4.Hash(body), alice, "local-1", "ssm", now)
	for range 2 {
		if _, err := w.auth.Authenticate(t.Context(), r, body, "ssm"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedSignatures(t *testing.T) {
	w := newWorld(t)
	wrong := func(c sigv4.Credentials, change func(*sigv4.Credentials)) sigv4.Credentials {
		change(&c)
		return c
	}
	badSecret := func(c *sigv4.Credentials) { c.SecretAccessKey = "another" }
	for _, c := range []struct {
		name            string
		cred            sigv4.Credentials
		region, service string
		code            string
	}{
		{"wrong secret", wrong(alice, badSecret), "local-1", "ssm", sigv4.ErrMismatch.Code},
		{"unknown key", wrong(alice, func(c *sigv4.Credentials) { c.AccessKeyID = "AKIAZZZZZZZZZZZZZZZZ" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"unknown kind of key", wrong(alice, func(c *sigv4.Credentials) { c.AccessKeyID = "x" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"key id that is no text", wrong(alice, func(c *sigv4.Credentials) { c.AccessKeyID = "AKIA\xff" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"temporary: key id that is no text", wrong(node, func(c *sigv4.Credentials) { c.AccessKeyID = "ASIA\x00" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"session token on a long-term key", wrong(alice, func(c *sigv4.Credentials) { c.SessionToken = nodeToken }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"another region", alice, "us-east-1", "ssm", "InvalidSignatureException"},
		{"temporary: wrong secret", wrong(node, badSecret), "local-1", "ssm", sigv4.ErrMismatch.Code},
		{"temporary: no token", wrong(node, func(c *sigv4.Credentials) { c.SessionToken = "" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"temporary: wrong token", wrong(node, func(c *sigv4.Credentials) { c.SessionToken = "another" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
		{"temporary: unknown", wrong(node, func(c *sigv4.Credentials) { c.AccessKeyID = "ASIAZZZZZZZZZZZZZZZZ" }), "local-1", "ssm", sigv4.ErrInvalidToken.Code},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := w.signed(c.cred, c.region, c.service)
			wantRefusal(t, p, err, c.code)
		})
	}

	t.Run("unsigned", func(t *testing.T) {
		p, err := w.auth.Authenticate(t.Context(), request(body), body, "ssm")
		wantRefusal(t, p, err, sigv4.ErrUnsigned.Code)
	})
	t.Run("another service", func(t *testing.T) {
		r := request(body)
		sigv4.Sign(r, sigv4.Hash(body), alice, "local-1", "sts", now)
		p, err := w.auth.Authenticate(t.Context(), r, body, "ssm")
		wantRefusal(t, p, err, "InvalidSignatureException")
	})
	t.Run("altered body", func(t *testing.T) {
		r := request(body)
		sigv4.Sign(r, sigv4.Hash(body), alice, "local-1", "ssm", now)
		p, err := w.auth.Authenticate(t.Context(), r, []byte(`{"State":"History"}`), "ssm")
		wantRefusal(t, p, err, sigv4.ErrMismatch.Code)
	})
	t.Run("old", func(t *testing.T) {
		r := request(body)
		sigv4.Sign(r, sigv4.Hash(body), alice, "local-1", "ssm", now.Add(-6*time.Minute))
		p, err := w.auth.Authenticate(t.Context(), r, body, "ssm")
		wantRefusal(t, p, err, "InvalidSignatureException")
	})
}

func TestGlobalServicesAreSignedForUSEast1(t *testing.T) {
	w := newWorld(t)
	for _, service := range []string{"sts", "iam"} {
		for _, region := range []string{"us-east-1", "local-1"} {
			if _, err := w.signed(alice, region, service); err != nil {
				t.Errorf("%s in %s: %v", service, region, err)
			}
		}
		if p, err := w.signed(alice, "eu-west-1", service); err == nil {
			t.Errorf("%s in eu-west-1 is %+v, want a refusal", service, p)
		}
	}
}

func TestAKeyThatIsSwitchedOffOrDeletedEnds(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.SetAccessKeyActive(t.Context(), alice.AccessKeyID, false))
	p, err := w.signed(alice, "local-1", "ssm")
	wantRefusal(t, p, err, sigv4.ErrInvalidToken.Code)
	must(t, w.store.SetAccessKeyActive(t.Context(), alice.AccessKeyID, true))
	_, err = w.signed(alice, "local-1", "ssm")
	must(t, err)
	must(t, w.store.DeleteAccessKey(t.Context(), alice.AccessKeyID))
	p, err = w.signed(alice, "local-1", "ssm")
	wantRefusal(t, p, err, sigv4.ErrInvalidToken.Code)
}

func TestExpiredCredentialsAreToldSoOnlyToTheirHolder(t *testing.T) {
	w := newWorld(t)
	w.clock = now.Add(time.Hour)
	p, err := w.signed(node, "local-1", "ssm")
	wantRefusal(t, p, err, sigv4.ErrExpiredToken.Code)
	other := node
	other.SecretAccessKey = "another"
	p, err = w.signed(other, "local-1", "ssm")
	wantRefusal(t, p, err, sigv4.ErrMismatch.Code)
}

func TestANodesKeyProvesTheNode(t *testing.T) {
	w := newWorld(t)
	got, err := w.signedByNode(nodeID, nodeKey())
	must(t, err)
	want := Principal{Kind: Node, Account: "123456789012", ARN: "arn:aws:ssm:local-1:123456789012:managed-instance/" + nodeID,
		NodeID: nodeID, AccessKeyID: nodeID}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
}

func TestAnUnknownNodeIsRefusedLikeAWrongSignature(t *testing.T) {
	w := newWorld(t)
	_, unknown := w.signedByNode("mi-0ffffffffffffffff", nodeKey())
	// A node's id with a user's way of signing is a wrong signature too.
	_, wrong := w.signed(sigv4.Credentials{AccessKeyID: nodeID, SecretAccessKey: "x"}, "local-1", "ssm")
	if !errors.Is(unknown, sigv4.ErrMismatch) || !errors.Is(wrong, sigv4.ErrMismatch) {
		t.Errorf("unknown node: %v; wrong signature: %v; want the same", unknown, wrong)
	}
}

func TestADeregisteredNodeIsVoidAtOnce(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.DeregisterNode(t.Context(), nodeID, now))
	p, err := w.signed(node, "local-1", "ssm")
	wantRefusal(t, p, err, sigv4.ErrInvalidToken.Code)
	p, err = w.signedByNode(nodeID, nodeKey())
	if !ssm.IsCode(err, ssm.CodeAccessDenied) || p != (Principal{}) {
		t.Errorf("own key: %+v, %v; want AccessDeniedException", p, err)
	}
}

func TestANodesKeyIsGoodForItsOperationsOnly(t *testing.T) {
	w := newWorld(t)
	byNode, byUser := request(body), request(body)
	must(t, sigv4.SignRSA(byNode, sigv4.Hash(body), nodeID, nodeKey(), "local-1", "ssm", now))
	sigv4.Sign(byUser, sigv4.Hash(body), alice, "local-1", "ssm", now)
	for _, c := range []struct {
		name   string
		r      *http.Request
		op     awsapi.Operation
		accept bool
	}{
		{"node, its operation", byNode, awsapi.Operation{Service: "ssm", NodeSigned: true}, true},
		{"node, another operation", byNode, awsapi.Operation{Service: "ssm"}, false},
		{"user, the node's operation", byUser, awsapi.Operation{Service: "ssm", NodeSigned: true}, false},
		{"user, another operation", byUser, awsapi.Operation{Service: "ssm"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, err := w.auth.ForAPI(t.Context(), c.r, body, c.op)
			_, proved := From(ctx)
			if proved != c.accept || (err == nil) != c.accept {
				t.Errorf("proved %v, error %v; want accepted %v", proved, err, c.accept)
			}
		})
	}
}

func wantRefusal(t *testing.T, p Principal, err error, code string) {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error = %v, want %s", err, code)
	}
	if p != (Principal{}) {
		t.Errorf("a refused request has the principal %+v", p)
	}
}

func TestNodeKeysThatAreRefused(t *testing.T) {
	der := func(key any) []byte {
		text, err := x509.MarshalPKIXPublicKey(key)
		must(t, err)
		return text
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	odd := func(bits int) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
	}
	for _, c := range []struct {
		name string
		der  []byte
	}{
		{"nothing", nil}, {"garbage", []byte("garbage")}, {"another kind", der(ec.Public())},
		{"short", der(odd(1024))}, {"long", der(odd(8192))},
	} {
		if key, err := ParseNodeKey(c.der); err == nil {
			t.Errorf("%s: accepted with %d bits", c.name, key.N.BitLen())
		}
	}
	key, err := ParseNodeKey(der(nodeKey().Public()))
	must(t, err)
	if !key.Equal(nodeKey().Public()) {
		t.Error("another key came back")
	}
}

func TestTemporaryCredentialsHaveTheServicesForm(t *testing.T) {
	keyID, secret, token := NewTemporaryCredentials()
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(keyID) {
		t.Errorf("key id = %q", keyID)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(secret) {
		t.Errorf("secret has another form")
	}
	if len(token) < 32 {
		t.Errorf("token has %d characters", len(token))
	}
	otherID, otherSecret, otherToken := NewTemporaryCredentials()
	if keyID == otherID || secret == otherSecret || token == otherToken {
		t.Error("two calls gave the same")
	}
}

func TestNoCallerInAnEmptyContext(t *testing.T) {
	if p, ok := From(context.Background()); ok || p != (Principal{}) {
		t.Errorf("principal = %+v", p)
	}
}
