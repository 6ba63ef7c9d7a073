package kms

import (
	"context"
	"errors"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	// defaultRotation is the number of days between rotations.
	defaultRotation = 365
	// maxRotations is how often a key is rotated by a caller's wish (KMS quotas).
	maxRotations = 25
)

// EnableKeyRotationInput is the request of kms:EnableKeyRotation.
type EnableKeyRotationInput struct {
	KeyID                string `json:"KeyId" constraint:"required len=1..2048"`
	RotationPeriodInDays *int   `constraint:"range=90..2560"`
}

// EnableKeyRotation has a key get new material every so many days, from now on.
func (s *Server) EnableKeyRotation(ctx context.Context, in *EnableKeyRotationInput) (*Empty, error) {
	days := defaultRotation
	if in.RotationPeriodInDays != nil {
		days = *in.RotationPeriodInDays
	}
	k, arn, err := s.key(ctx, "EnableKeyRotation", in.KeyID, false, keys{"kms:RotationPeriodInDays": {number(days)}})
	if err == nil {
		err = usable(arn, k)
	}
	if err != nil || k.RotationDays == days { // asked again, it goes on as it was
		return nil, err
	}
	next := s.cfg.Now().Add(time.Duration(days) * day)
	return nil, failed(s.cfg.Store.SetKMSKeyRotation(ctx, k.ID, days, next), arn)
}

// DisableKeyRotation ends that.
func (s *Server) DisableKeyRotation(ctx context.Context, in *KeyInput) (*Empty, error) {
	k, arn, err := s.key(ctx, "DisableKeyRotation", in.KeyID, false)
	if err == nil {
		err = usable(arn, k)
	}
	if err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.SetKMSKeyRotation(ctx, k.ID, 0, time.Time{}), arn)
}

// GetKeyRotationStatusOutput is the answer of kms:GetKeyRotationStatus.
type GetKeyRotationStatusOutput struct {
	KeyRotationEnabled   bool
	KeyID                string    `json:"KeyId"` // ARN
	RotationPeriodInDays int       `json:",omitempty"`
	NextRotationDate     *ssm.Time `json:",omitempty"`
}

// GetKeyRotationStatus tells whether and when a key gets new material.
func (s *Server) GetKeyRotationStatus(ctx context.Context, in *KeyInput) (*GetKeyRotationStatusOutput, error) {
	k, arn, err := s.key(ctx, "GetKeyRotationStatus", in.KeyID, false)
	if err != nil {
		return nil, err
	}
	return &GetKeyRotationStatusOutput{
		KeyRotationEnabled: k.RotationDays > 0, KeyID: arn,
		RotationPeriodInDays: k.RotationDays, NextRotationDate: ssm.At(k.NextRotationAt),
	}, nil
}

// RotateKeyOnDemandOutput is the answer of kms:RotateKeyOnDemand.
type RotateKeyOnDemandOutput struct {
	KeyID string `json:"KeyId"` // ARN
}

// RotateKeyOnDemand gives a key new material at once. What was encrypted before is still
// decrypted.
func (s *Server) RotateKeyOnDemand(ctx context.Context, in *KeyInput) (*RotateKeyOnDemandOutput, error) {
	k, arn, err := s.key(ctx, "RotateKeyOnDemand", in.KeyID, false)
	if err == nil {
		err = usable(arn, k)
	}
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.RotateKMSKey(ctx, k.ID, newMaterial(), s.cfg.Now(), maxRotations)
	if errors.Is(err, store.ErrKMSKeyState) { // since it was looked at
		return nil, ssm.Errorf(codeInvalidState, "%s is not enabled.", arn)
	}
	if err != nil {
		return nil, failed(err, arn)
	}
	return &RotateKeyOnDemandOutput{KeyID: arn}, nil
}
