package agent

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"sekisho/internal/ssm"
)

// nodeKey is the node's private key and what replaces it.
type nodeKey struct {
	dir     string
	reg     *Registration // its KeySHA256 is set by rotate and settle only
	server  *server
	current atomic.Pointer[rsa.PrivateKey] // never nil
}

func (k *nodeKey) signer() (signer, error) {
	return rsaSigner(k.server, k.reg.NodeID, k.current.Load()), nil
}

// rotate makes a new key pair and has the server take it in the old one's place. The new
// key is on disk before the server is asked, and the old one until the server has
// answered: whenever this is interrupted, settle finds out which of the two counts.
func (k *nodeKey) rotate(ctx context.Context) error {
	next, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("make a key pair: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&next.PublicKey)
	if err != nil {
		return fmt.Errorf("encode the public key: %w", err)
	}
	if err := saveNextKey(k.dir, next); err != nil {
		return fmt.Errorf("save the new key: %w", err)
	}
	old, _ := k.signer()
	callErr := k.server.call(ctx, "AmazonSSM.UpdateManagedInstancePublicKey",
		&ssm.UpdateManagedInstancePublicKeyInput{NewPublicKey: base64.StdEncoding.EncodeToString(public), NewPublicKeyType: "Rsa"}, nil, old)
	if callErr == nil {
		return k.adopt(next)
	}
	if err := k.settle(ctx); err != nil { // the answer may have been lost
		return errors.Join(callErr, err)
	}
	if k.current.Load().Equal(next) {
		return nil
	}
	return callErr
}

// settle finds out which key the server knows when a rotation was interrupted, and keeps
// that one. It does nothing when there was none.
func (k *nodeKey) settle(ctx context.Context) error {
	path := filepath.Join(k.dir, nextKeyFile)
	next, err := readKey(path)
	if err != nil || next.Equal(k.current.Load()) {
		return nil
	}
	ask := func(key *rsa.PrivateKey) error {
		var out ssm.RequestManagedInstanceRoleTokenOutput
		return k.server.call(ctx, "AmazonSSM.RequestManagedInstanceRoleToken",
			&ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: k.reg.Fingerprint}, &out, rsaSigner(k.server, k.reg.NodeID, key))
	}
	oldErr := ask(k.current.Load())
	if oldErr == nil {
		return os.Remove(path)
	}
	if !isRefusal(oldErr) {
		return fmt.Errorf("which key counts is not known yet: %w", oldErr)
	}
	if err := ask(next); err != nil {
		return fmt.Errorf("the server takes neither key: %w", oldErr)
	}
	return k.adopt(next)
}

// isRefusal says whether the server answered, and that it was no.
func isRefusal(err error) bool {
	var api *ssm.Error
	return errors.As(err, &api) && api.Status < 500
}

// adopt makes the key that waits in nextKeyFile the one that counts. It counts from now on
// also when it cannot be saved: the server knows no other.
func (k *nodeKey) adopt(next *rsa.PrivateKey) error {
	k.current.Store(next)
	k.reg.KeySHA256 = publicKeyHash(&next.PublicKey)
	draft, err := newDraft(k.dir, k.reg)
	if err != nil {
		return fmt.Errorf("save the registration with the new key: %w", err)
	}
	defer draft.discard()
	if err := draft.save(k.reg); err != nil {
		return fmt.Errorf("save the registration with the new key: %w", err)
	}
	return nil
}

// rotationRetry is how long after a failure the next rotation is tried, if the server still
// wants it.
const rotationRetry = time.Hour

// keepKey settles what an earlier run left, and rotates the key whenever the server asks
// for it, until ctx ends.
func (a *agent) keepKey(ctx context.Context) {
	retry := backoff{min: time.Second, max: time.Minute}
	for {
		err := a.key.settle(ctx)
		if err == nil || isRefusal(err) || ctx.Err() != nil {
			if err != nil && ctx.Err() == nil {
				a.logger.Error("node key not settled", "error", err, "hint", Hint(err))
			}
			break
		}
		if !wait(ctx, retry.next()) {
			return
		}
	}
	for {
		select {
		case <-a.creds.keyWanted:
		case <-ctx.Done():
			return
		}
		if err := a.key.rotate(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			a.logger.Warn("node key not replaced; the old one stays", "error", err, "hint", Hint(err))
			if !wait(ctx, rotationRetry) {
				return
			}
			continue
		}
		a.logger.Info("node key replaced, as the server asked")
	}
}
