package agent

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sekisho/internal/platform"
	"sekisho/internal/release"
	"sekisho/internal/ssm"
)

// Activation is what an administrator hands out to register machines with, and where.
type Activation struct {
	Dir      string
	Endpoint string // https://host[:port]
	CAFile   string // PEM; empty means the system's authorities
	Region   string
	Code     string
	ID       string
	Replace  bool // an existing registration may be replaced
	// ReleaseKey is whose signature a new version of this program must have. Empty: the
	// server is asked, over the connection that the registration itself trusts.
	ReleaseKey string
}

// ErrRegistered says that the directory holds a registration already.
var ErrRegistered = errors.New("this machine is registered already")

// InputError is a missing or unusable value of an activation.
type InputError struct {
	Field string // "endpoint"
	Text  string // what is wrong with it
}

func (e *InputError) Error() string { return e.Field + " " + e.Text }

// keyBits is what the stock agent uses; the API takes no shorter key.
const keyBits = 2048

// Limits that the stock agent checks before it asks (agent-control-plane.md §1.2).
const (
	minCode = 20
	minID   = 36
)

// Register makes a key pair and registers this machine. An older registration stays
// in force until the service has accepted the new one.
func Register(ctx context.Context, act Activation) (*Registration, error) {
	reg, err := act.registration()
	if err != nil {
		return nil, err
	}
	old, err := Load(act.Dir)
	switch {
	case err == nil && !act.Replace:
		return nil, fmt.Errorf("%w as %s", ErrRegistered, old.NodeID)
	case err == nil:
		reg.Fingerprint = old.Fingerprint // it is the machine's, not the registration's
	case act.Replace || errors.Is(err, ErrNotRegistered):
	default:
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	reg.KeySHA256 = publicKeyHash(&key.PublicKey)
	// Before the call: a full disk should not use the activation up.
	if err := saveNextKey(act.Dir, key); err != nil {
		return nil, fmt.Errorf("save the node's key: %w", err)
	}
	srv, err := newServer(reg)
	if err != nil {
		return nil, err
	}
	defer srv.close()
	if reg.ReleaseKey == "" {
		reg.ReleaseKey = srv.releaseKey(ctx)
	}
	draft, err := newDraft(act.Dir, reg)
	if err != nil {
		os.Remove(filepath.Join(act.Dir, nextKeyFile))
		return nil, fmt.Errorf("save the registration: %w", err)
	}
	defer draft.discard()
	var out ssm.RegisterManagedInstanceOutput
	err = srv.call(ctx, "AmazonSSM.RegisterManagedInstance", &ssm.RegisterManagedInstanceInput{
		ActivationCode: act.Code,
		ActivationID:   act.ID,
		Fingerprint:    reg.Fingerprint,
		PublicKey:      base64.StdEncoding.EncodeToString(public),
		PublicKeyType:  "Rsa",
	}, &out, nil)
	if err == nil && !validID(out.InstanceID) {
		err = fmt.Errorf("the server answered without a usable node id")
	}
	if err != nil {
		os.Remove(filepath.Join(act.Dir, nextKeyFile))
		return nil, err
	}
	reg.NodeID = out.InstanceID
	reg.RegisteredAt = time.Now().UTC().Truncate(time.Second)
	if err := draft.save(reg); err != nil {
		return nil, fmt.Errorf("save the registration of %s: %w", reg.NodeID, err)
	}
	return reg, nil
}

// registration checks the values and makes of them what can be known before the call.
func (act Activation) registration() (*Registration, error) {
	switch {
	case act.Dir == "":
		return nil, &InputError{"dir", "is missing"}
	case act.Region == "":
		return nil, &InputError{"region", "is missing"}
	case strings.Trim(act.Region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" || len(act.Region) > 100:
		return nil, &InputError{"region", "may hold letters, digits and hyphens only"}
	case act.Code == "":
		return nil, &InputError{"code", "is missing"}
	case len(act.Code) < minCode:
		return nil, &InputError{"code", fmt.Sprintf("is too short: activation codes have at least %d characters", minCode)}
	case act.ID == "":
		return nil, &InputError{"id", "is missing"}
	case len(act.ID) < minID:
		return nil, &InputError{"id", "is too short: activation ids are UUIDs"}
	case act.Endpoint == "":
		return nil, &InputError{"endpoint", "is missing"}
	}
	u, err := url.Parse(act.Endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &InputError{"endpoint", fmt.Sprintf("%q is not of the form https://host:port", act.Endpoint)}
	}
	reg := &Registration{
		Endpoint:    strings.TrimSuffix(u.String(), "/"),
		Region:      act.Region,
		Fingerprint: ssm.NewUUID(),
	}
	if act.ReleaseKey != "" {
		if _, err := release.ParseKey(act.ReleaseKey); err != nil {
			return nil, &InputError{"release-key", err.Error()}
		}
		reg.ReleaseKey = act.ReleaseKey
	}
	if act.CAFile != "" {
		ca, err := readFile(act.CAFile)
		if err != nil {
			return nil, &InputError{"ca", err.Error()}
		}
		if !x509.NewCertPool().AppendCertsFromPEM(ca) {
			return nil, &InputError{"ca", act.CAFile + " holds no certificate"}
		}
		reg.CA = string(ca)
	}
	return reg, nil
}

func saveNextKey(dir string, key *rsa.PrivateKey) error {
	// One that exists keeps its mode: it may be the operator's own.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := platform.MakePrivate(dir); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, nextKeyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Longest ids that are taken from the server. Those of sessions have up to 96
// characters (API model, SessionId).
const maxID = 128

// validID says whether an id is one that the service makes: what a user name may hold
// (a session's id begins with its owner's), and never anything that means something in
// a path.
func validID(id string) bool {
	if id == "" || len(id) > maxID || id[0] == '.' {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("._-+=,@", c) >= 0:
		default:
			return false
		}
	}
	return true
}
