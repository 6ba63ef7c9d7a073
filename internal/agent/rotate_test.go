//go:build linux

package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"sekisho/internal/ssm"
)

// nodeKeyOf prepares a rotation outside a running agent.
func (s *testServer) nodeKeyOf() (*nodeKey, *rsa.PrivateKey) {
	s.t.Helper()
	s.twoKeys = true
	s.register()
	reg, err := Load(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := reg.key(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	srv, err := newServer(reg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(srv.close)
	k := &nodeKey{dir: s.dir, reg: reg, server: srv}
	k.current.Store(key)
	return k, key
}

// takeKey has the server answer the rotation: it takes the key over or not, and then
// answers with e or well.
func (s *testServer) takeKey(take bool, e *ssm.Error) {
	s.rotation = func(body []byte) error {
		var in ssm.UpdateManagedInstancePublicKeyInput
		if err := json.Unmarshal(body, &in); err != nil || in.NewPublicKeyType != "Rsa" {
			return ssm.Errorf("ValidationException", "%s", body)
		}
		der, err := base64.StdEncoding.DecodeString(in.NewPublicKey)
		if err != nil {
			return err
		}
		parsed, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return err
		}
		if take {
			s.mu.Lock()
			s.key = parsed.(*rsa.PublicKey)
			s.mu.Unlock()
		}
		if e != nil {
			return e
		}
		return nil
	}
}

// Whatever becomes of the call, the key that the server knows is the one that is kept, in
// memory and on disk, and no other is left lying about.
func TestKeyIsReplacedOrKept(t *testing.T) {
	lost := &ssm.Error{Code: "InternalServerError", Message: "the answer was lost", Status: http.StatusInternalServerError}
	for _, c := range []struct {
		name    string
		take    bool
		answer  *ssm.Error
		changed bool
	}{
		{"taken", true, nil, true},
		{"taken, answer lost", true, lost, true},
		{"refused", false, ssm.Errorf("ValidationException", "no"), false},
		{"not taken, answer lost", false, lost, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestServer(t)
			k, old := s.nodeKeyOf()
			s.takeKey(c.take, c.answer)
			err := k.rotate(t.Context())
			if (err == nil) != c.changed || k.current.Load().Equal(old) == c.changed {
				t.Errorf("rotate: %v; changed %v", err, !k.current.Load().Equal(old))
			}
			reg, err := Load(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			saved, err := reg.key(s.dir)
			if err != nil || !saved.Equal(k.current.Load()) {
				t.Errorf("saved key: %v", err)
			}
			if _, err := os.Stat(filepath.Join(s.dir, nextKeyFile)); err == nil {
				t.Error("a second key is left")
			}
			// A worker that was started before finds the key that counts now.
			before := *reg
			before.KeySHA256 = publicKeyHash(&old.PublicKey)
			if found, err := before.key(s.dir); err != nil || !found.Equal(k.current.Load()) {
				t.Errorf("the key of a session's worker: %v", err)
			}
		})
	}
}

// An agent that was killed in the middle finds out at its next start.
func TestInterruptedRotationIsSettled(t *testing.T) {
	for _, taken := range []bool{true, false} {
		s := newTestServer(t)
		k, old := s.nodeKeyOf()
		next, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			t.Fatal(err)
		}
		if err := saveNextKey(s.dir, next); err != nil {
			t.Fatal(err)
		}
		if taken {
			s.mu.Lock()
			s.key = &next.PublicKey
			s.mu.Unlock()
		}
		if err := k.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := k.current.Load(); taken && !got.Equal(next) || !taken && !got.Equal(old) {
			t.Errorf("taken %v: the other key is kept", taken)
		}
	}
}

// A running agent does it when the server asks with UpdateKeyPair, and stays connected.
func TestServerAsksForANewKey(t *testing.T) {
	s := newTestServer(t)
	taken := make(chan struct{}, 10)
	s.takeKey(true, nil)
	take := s.rotation
	s.rotation = func(body []byte) error {
		taken <- struct{}{}
		return take(body)
	}
	s.wantKey = true
	s.runAgent()
	receive(t, "control channel", s.controls)
	receive(t, "new key", taken)
	eventually(t, "the new key is saved", func() bool {
		reg, err := Load(s.dir)
		if err != nil {
			return false
		}
		key, err := reg.key(s.dir)
		s.mu.Lock()
		defer s.mu.Unlock()
		return err == nil && key.PublicKey.Equal(s.key)
	})
}
