// Package kms is the key service that comes with a deployment: symmetric keys under
// which clients get data keys and encrypt small texts, with the wire API of AWS KMS, so
// that the aws CLI, the SDKs, the stock session-manager-plugin and the stock agent use
// it unchanged. One method per operation, one file per noun; a method asks
// [auth.Auth.Authorize] before it acts.
//
// It promises that a key's material never leaves the process: the store keeps it sealed
// under the master key, and no answer, error or log line has it. A ciphertext is bound
// to its key and its encryption context and tells neither. A key is reached only through
// its key policy: identity policies count as far as that policy leaves it to the account.
// The account's root user is above policies here, so that there is a way back to a key
// whose policy names nobody who is left.
//
// sekishod serves [Server.Operations] through awsapi and calls [Server.Sweep] now and
// then. Grants, asymmetric and imported keys are not there.
package kms

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config says what a Server works with.
type Config struct {
	Store *store.Store
	Auth  *auth.Auth
	ARNs  ssm.ARNs         // the deployment's region and account
	Now   func() time.Time // nil means time.Now
	// Logger is told of keys that were rotated or deleted by [Server.Sweep]. Nil means none.
	Logger *slog.Logger
}

// Server serves the operations of KMS. Its methods may be called concurrently; those
// named after operations read the caller from the context ([auth.WithPrincipal]).
type Server struct {
	cfg       Config
	markerKey []byte
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("kms needs a store, auth, an account and a region")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, markerKey: cfg.Store.DeriveKey("kms markers")}, nil
}

// Operations are the operations that awsapi serves.
func (s *Server) Operations() []awsapi.Operation {
	return []awsapi.Operation{
		op("CreateKey", s.CreateKey),
		op("DescribeKey", s.DescribeKey),
		op("ListKeys", s.ListKeys),
		op("EnableKey", s.EnableKey),
		op("DisableKey", s.DisableKey),
		op("ScheduleKeyDeletion", s.ScheduleKeyDeletion),
		op("CancelKeyDeletion", s.CancelKeyDeletion),
		op("UpdateKeyDescription", s.UpdateKeyDescription),

		op("CreateAlias", s.CreateAlias),
		op("UpdateAlias", s.UpdateAlias),
		op("DeleteAlias", s.DeleteAlias),
		op("ListAliases", s.ListAliases),

		op("TagResource", s.TagResource),
		op("UntagResource", s.UntagResource),
		op("ListResourceTags", s.ListResourceTags),

		op("GetKeyPolicy", s.GetKeyPolicy),
		op("PutKeyPolicy", s.PutKeyPolicy),
		op("ListKeyPolicies", s.ListKeyPolicies),

		op("Encrypt", s.Encrypt),
		op("Decrypt", s.Decrypt),
		op("ReEncrypt", s.ReEncrypt),
		op("GenerateDataKey", s.GenerateDataKey),
		op("GenerateDataKeyWithoutPlaintext", s.GenerateDataKeyWithoutPlaintext),

		op("EnableKeyRotation", s.EnableKeyRotation),
		op("DisableKeyRotation", s.DisableKeyRotation),
		op("GetKeyRotationStatus", s.GetKeyRotationStatus),
		op("RotateKeyOnDemand", s.RotateKeyOnDemand),
	}
}

// op makes an operation of this service.
func op[In, Out any](name string, f func(context.Context, *In) (*Out, error)) awsapi.Operation {
	return awsapi.Op("kms", name, f)
}

// Sweep does what is due: it deletes the keys whose waiting period is over and rotates
// those whose time has come. Any number of servers may do so at any time.
func (s *Server) Sweep(ctx context.Context) error {
	now := s.cfg.Now()
	deleted, errDelete := s.cfg.Store.DeleteDueKMSKeys(ctx, now)
	for _, id := range deleted {
		s.cfg.Logger.Info("key deleted", "key_id", id)
	}
	rotated, errRotate := s.cfg.Store.RotateDueKMSKeys(ctx, now, newMaterial)
	for _, id := range rotated {
		s.cfg.Logger.Info("key rotated", "key_id", id)
	}
	if err := errors.Join(errDelete, errRotate); err != nil {
		return fmt.Errorf("sweep keys: %w", err)
	}
	return nil
}

// newMaterial makes the material of a key.
func newMaterial() store.Secret {
	var material [materialSize]byte
	rand.Read(material[:])
	return store.Secret(material[:])
}
