package kms

import (
	"context"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// What all keys of this service are.
const (
	specSymmetric = "SYMMETRIC_DEFAULT"
	usageEncrypt  = "ENCRYPT_DECRYPT"
	originKMS     = "AWS_KMS"
)

// KeyMetadata describes a key.
type KeyMetadata struct {
	AWSAccountID          string `json:"AWSAccountId"`
	KeyID                 string `json:"KeyId"`
	ARN                   string `json:"Arn"`
	CreationDate          ssm.Time
	Enabled               bool
	Description           string
	KeyUsage              string
	KeyState              string
	DeletionDate          *ssm.Time `json:",omitempty"`
	Origin                string
	KeyManager            string
	CustomerMasterKeySpec string
	KeySpec               string
	EncryptionAlgorithms  []string
	MultiRegion           bool
}

func (s *Server) metadata(k store.KMSKey) KeyMetadata {
	return KeyMetadata{
		AWSAccountID:          s.cfg.ARNs.Account,
		KeyID:                 k.ID,
		ARN:                   s.keyARN(k.ID),
		CreationDate:          ssm.Time{Time: k.CreatedAt},
		Enabled:               k.State == store.KMSEnabled,
		Description:           k.Description,
		KeyUsage:              usageEncrypt,
		KeyState:              string(k.State),
		DeletionDate:          ssm.At(k.DeletionAt),
		Origin:                originKMS,
		KeyManager:            "CUSTOMER",
		CustomerMasterKeySpec: specSymmetric,
		KeySpec:               specSymmetric,
		EncryptionAlgorithms:  []string{specSymmetric},
	}
}

// CreateKeyInput is the request of kms:CreateKey.
type CreateKeyInput struct {
	Policy                         string `constraint:"len=1..131072 pattern=IAMPolicyDocument"`
	Description                    string `constraint:"len=0..8192"`
	KeyUsage                       string
	CustomerMasterKeySpec          string
	KeySpec                        string
	Origin                         string
	CustomKeyStoreID               string `json:"CustomKeyStoreId"`
	XksKeyID                       string `json:"XksKeyId"`
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []Tag
	MultiRegion                    bool
}

// CreateKeyOutput is the answer of kms:CreateKey.
type CreateKeyOutput struct{ KeyMetadata KeyMetadata }

// supported refuses the kinds of keys that are not made here.
func (in *CreateKeyInput) supported() error {
	for _, member := range []struct{ value, only, text string }{
		{in.KeySpec, specSymmetric, textSymmetricOnly},
		{in.CustomerMasterKeySpec, specSymmetric, textSymmetricOnly},
		{in.KeyUsage, usageEncrypt, textSymmetricOnly},
		{in.Origin, originKMS, textOwnMaterialOnly},
		{in.CustomKeyStoreID, "", textOwnMaterialOnly},
		{in.XksKeyID, "", textOwnMaterialOnly},
	} {
		if member.value != "" && member.value != member.only {
			return ssm.Errorf(codeUnsupported, "%s", member.text)
		}
	}
	if in.MultiRegion {
		return ssm.Errorf(codeUnsupported, "%s", textSingleRegionOnly)
	}
	return nil
}

// CreateKey makes a key.
func (s *Server) CreateKey(ctx context.Context, in *CreateKeyInput) (*CreateKeyOutput, error) {
	extra := []keys{s.always(), requestTagKeys(in.Tags), bypassKeys(in.BypassPolicyLockoutSafetyCheck)}
	if err := s.authorize(ctx, "CreateKey", everything, extra...); err != nil {
		return nil, err
	}
	if err := in.supported(); err != nil {
		return nil, err
	}
	k := store.KMSKey{
		ID: ssm.NewUUID(), Description: in.Description, State: store.KMSEnabled, CurrentVersion: 1,
		CreatedAt: s.cfg.Now(), Policy: in.Policy,
	}
	if len(in.Tags) > 0 {
		if err := s.authorize(ctx, "TagResource", s.keyARN(k.ID), requestTagKeys(in.Tags)); err != nil {
			return nil, err
		}
		tags, err := tagsOf(in.Tags)
		if err != nil {
			return nil, err
		}
		k.Tags = tags
	}
	if k.Policy == "" {
		k.Policy = s.defaultPolicy()
	} else if err := s.checkPolicy(ctx, k, k.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	if err := s.cfg.Store.CreateKMSKey(ctx, k, newMaterial()); err != nil {
		return nil, err
	}
	return &CreateKeyOutput{KeyMetadata: s.metadata(k)}, nil
}

// KeyInput is a request that names a key and nothing else.
type KeyInput struct {
	KeyID string `json:"KeyId" constraint:"required len=1..2048"`
}

// DescribeKeyInput is the request of kms:DescribeKey.
type DescribeKeyInput struct {
	KeyID       string `json:"KeyId" constraint:"required len=1..2048"`
	GrantTokens []string
}

// DescribeKeyOutput is the answer of kms:DescribeKey.
type DescribeKeyOutput struct{ KeyMetadata KeyMetadata }

// DescribeKey describes a key.
func (s *Server) DescribeKey(ctx context.Context, in *DescribeKeyInput) (*DescribeKeyOutput, error) {
	k, _, err := s.key(ctx, "DescribeKey", in.KeyID, true)
	if err != nil {
		return nil, err
	}
	if err := noGrants(in.GrantTokens); err != nil {
		return nil, err
	}
	return &DescribeKeyOutput{KeyMetadata: s.metadata(k)}, nil
}

// ListKeysInput is the request of kms:ListKeys.
type ListKeysInput struct {
	Limit  *int   `constraint:"range=1..1000"`
	Marker string `constraint:"len=1..1024"`
}

// ListKeysOutput is the answer of kms:ListKeys.
type ListKeysOutput struct {
	Keys       []KeyListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// KeyListEntry is a key in a list.
type KeyListEntry struct {
	KeyID  string `json:"KeyId"`
	KeyARN string `json:"KeyArn"`
}

// ListKeys lists all keys, in the order of their ids.
func (s *Server) ListKeys(ctx context.Context, in *ListKeysInput) (*ListKeysOutput, error) {
	if err := s.authorize(ctx, "ListKeys", everything); err != nil {
		return nil, err
	}
	p, err := s.page("keys", in.Marker, in.Limit, 100)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Store.KMSKeys(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &ListKeysOutput{Keys: make([]KeyListEntry, len(list)), NextMarker: s.marker("keys", next), Truncated: next != ""}
	for i, k := range list {
		out.Keys[i] = KeyListEntry{KeyID: k.ID, KeyARN: s.keyARN(k.ID)}
	}
	return out, nil
}

// Empty is the answer of an operation that gives nothing.
type Empty struct{}

// EnableKey lets a key be used.
func (s *Server) EnableKey(ctx context.Context, in *KeyInput) (*Empty, error) {
	return nil, s.turn(ctx, "EnableKey", in.KeyID, store.KMSEnabled)
}

// DisableKey keeps a key from being used, until it is enabled.
func (s *Server) DisableKey(ctx context.Context, in *KeyInput) (*Empty, error) {
	return nil, s.turn(ctx, "DisableKey", in.KeyID, store.KMSDisabled)
}

// turn moves a key between enabled and disabled.
func (s *Server) turn(ctx context.Context, action, keyID string, to store.KMSKeyState) error {
	k, arn, err := s.key(ctx, action, keyID, false)
	if err != nil {
		return err
	}
	changed, err := s.cfg.Store.SetKMSKeyState(ctx, k.ID, to, time.Time{}, store.KMSEnabled, store.KMSDisabled)
	if err == nil && !changed {
		k.State = store.KMSPendingDeletion
		err = notPending(arn, k)
	}
	return failed(err, arn)
}

// ScheduleKeyDeletionInput is the request of kms:ScheduleKeyDeletion.
type ScheduleKeyDeletionInput struct {
	KeyID               string `json:"KeyId" constraint:"required len=1..2048"`
	PendingWindowInDays *int   `constraint:"range=7..30"`
}

// ScheduleKeyDeletionOutput is the answer of kms:ScheduleKeyDeletion.
type ScheduleKeyDeletionOutput struct {
	KeyID               string `json:"KeyId"` // ARN
	DeletionDate        ssm.Time
	KeyState            string
	PendingWindowInDays int
}

// defaultWindow is how long a key waits for its deletion, in days.
const defaultWindow = 30

const day = 24 * time.Hour

// ScheduleKeyDeletion stops a key from being used and has it deleted after a waiting
// period. What it encrypted is lost then.
func (s *Server) ScheduleKeyDeletion(ctx context.Context, in *ScheduleKeyDeletionInput) (*ScheduleKeyDeletionOutput, error) {
	days := defaultWindow
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	k, arn, err := s.key(ctx, "ScheduleKeyDeletion", in.KeyID, false,
		keys{"kms:ScheduleKeyDeletionPendingWindowInDays": {number(days)}})
	if err != nil {
		return nil, err
	}
	due := s.cfg.Now().Add(time.Duration(days) * day)
	changed, err := s.cfg.Store.SetKMSKeyState(ctx, k.ID, store.KMSPendingDeletion, due, store.KMSEnabled, store.KMSDisabled)
	if err == nil && !changed {
		k.State = store.KMSPendingDeletion
		err = notPending(arn, k)
	}
	if err != nil {
		return nil, failed(err, arn)
	}
	return &ScheduleKeyDeletionOutput{
		KeyID: arn, DeletionDate: ssm.Time{Time: due}, KeyState: string(store.KMSPendingDeletion), PendingWindowInDays: days,
	}, nil
}

// CancelKeyDeletionOutput is the answer of kms:CancelKeyDeletion.
type CancelKeyDeletionOutput struct {
	KeyID string `json:"KeyId"` // ARN
}

// CancelKeyDeletion takes a deletion back; the key is disabled then.
func (s *Server) CancelKeyDeletion(ctx context.Context, in *KeyInput) (*CancelKeyDeletionOutput, error) {
	k, arn, err := s.key(ctx, "CancelKeyDeletion", in.KeyID, false)
	if err != nil {
		return nil, err
	}
	changed, err := s.cfg.Store.SetKMSKeyState(ctx, k.ID, store.KMSDisabled, time.Time{}, store.KMSPendingDeletion)
	if err == nil && !changed {
		err = ssm.Errorf(codeInvalidState, "%s is not pending deletion.", arn)
	}
	if err != nil {
		return nil, failed(err, arn)
	}
	return &CancelKeyDeletionOutput{KeyID: arn}, nil
}

// UpdateKeyDescriptionInput is the request of kms:UpdateKeyDescription.
type UpdateKeyDescriptionInput struct {
	KeyID       string  `json:"KeyId" constraint:"required len=1..2048"`
	Description *string `constraint:"required len=0..8192"`
}

// UpdateKeyDescription describes a key anew.
func (s *Server) UpdateKeyDescription(ctx context.Context, in *UpdateKeyDescriptionInput) (*Empty, error) {
	k, arn, err := s.key(ctx, "UpdateKeyDescription", in.KeyID, false)
	if err == nil {
		err = notPending(arn, k)
	}
	if err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.SetKMSKeyDescription(ctx, k.ID, *in.Description), arn)
}
