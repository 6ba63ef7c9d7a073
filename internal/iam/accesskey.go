package iam

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// The states of an access key.
const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

func keyStatus(active bool) string {
	if active {
		return statusActive
	}
	return statusInactive
}

// AccessKey is a new access key, with its secret, which is never shown again.
type AccessKey struct {
	UserName        string
	AccessKeyID     string `json:"AccessKeyId"`
	Status          string
	SecretAccessKey shownSecret
	CreateDate      time.Time
}

// CreateAccessKeyOutput is the answer of iam:CreateAccessKey.
type CreateAccessKeyOutput struct{ AccessKey AccessKey }

// newAccessKey makes an id and a secret in the forms of api.md §3.
func newAccessKey() (id, secret string) {
	var b [30]byte
	rand.Read(b[:])
	return "AKIA" + rand.Text()[:16], base64.StdEncoding.EncodeToString(b[:])
}

// CreateAccessKey makes a key for a user and shows its secret, this once.
func (s *Server) CreateAccessKey(ctx context.Context, in *OptionalUserInput) (*CreateAccessKeyOutput, error) {
	u, err := s.userOrCaller(ctx, "iam:CreateAccessKey", in.UserName)
	if err != nil {
		return nil, err
	}
	id, secret := newAccessKey()
	now := s.cfg.Now()
	err = s.cfg.Store.CreateAccessKey(ctx, store.AccessKey{
		ID: id, UserID: u.ID, Secret: store.Secret(secret), Active: true, CreatedAt: now,
	})
	if err != nil {
		return nil, failed(err, "user", u.Name)
	}
	return &CreateAccessKeyOutput{AccessKey: AccessKey{
		UserName:        u.Name,
		AccessKeyID:     id,
		Status:          statusActive,
		SecretAccessKey: shownSecret(secret),
		CreateDate:      now,
	}}, nil
}

// AccessKeyMetadata is an access key without its secret.
type AccessKeyMetadata struct {
	UserName    string
	AccessKeyID string `json:"AccessKeyId"`
	Status      string
	CreateDate  time.Time
}

// ListAccessKeysOutput is the answer of iam:ListAccessKeys.
type ListAccessKeysOutput struct {
	AccessKeyMetadata []AccessKeyMetadata
	IsTruncated       bool
	Marker            string `json:",omitempty"`
}

// ListAccessKeys lists a user's keys.
func (s *Server) ListAccessKeys(ctx context.Context, in *OptionalUserListInput) (*ListAccessKeysOutput, error) {
	const action = "iam:ListAccessKeys"
	u, err := s.userOrCaller(ctx, action, in.UserName)
	if err != nil {
		return nil, err
	}
	page, err := s.page(action, u.Name, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Store.AccessKeys(ctx, u.Name)
	if err != nil {
		return nil, failed(err, "user", u.Name)
	}
	byID := func(k store.AccessKey) string { return k.ID }
	slices.SortFunc(all, func(a, b store.AccessKey) int { return strings.Compare(a.ID, b.ID) })
	list, next := pageOf(all, byID, page)
	out := &ListAccessKeysOutput{AccessKeyMetadata: make([]AccessKeyMetadata, 0, len(list)), IsTruncated: next != ""}
	for _, k := range list {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, AccessKeyMetadata{
			UserName: u.Name, AccessKeyID: k.ID, Status: keyStatus(k.Active), CreateDate: k.CreatedAt,
		})
	}
	out.Marker, err = s.marker(action, u.Name, next)
	return out, err
}

// AccessKeyInput names an access key of a user, or of the caller.
type AccessKeyInput struct {
	UserName    string `constraint:"len=1..128 pattern=IAMName"`
	AccessKeyID string `json:"AccessKeyId" constraint:"required len=16..128 pattern=IAMID"`
}

// userAndKey finds the user and makes sure that the key is one of its own: permission on
// a user is none on another's keys.
func (s *Server) userAndKey(ctx context.Context, action, userName, id string) error {
	u, err := s.userOrCaller(ctx, action, userName)
	if err != nil {
		return err
	}
	all, err := s.cfg.Store.AccessKeys(ctx, u.Name)
	if err != nil {
		return failed(err, "user", u.Name)
	}
	if !slices.ContainsFunc(all, func(k store.AccessKey) bool { return k.ID == id }) {
		return notFound("Access Key", id)
	}
	return nil
}

// UpdateAccessKeyInput is the request of iam:UpdateAccessKey.
type UpdateAccessKeyInput struct {
	UserName    string `constraint:"len=1..128 pattern=IAMName"`
	AccessKeyID string `json:"AccessKeyId" constraint:"required len=16..128 pattern=IAMID"`
	Status      string `constraint:"required enum=IAMStatus"`
}

// UpdateAccessKey switches a key on or off.
func (s *Server) UpdateAccessKey(ctx context.Context, in *UpdateAccessKeyInput) (*ssm.Empty, error) {
	if err := s.userAndKey(ctx, "iam:UpdateAccessKey", in.UserName, in.AccessKeyID); err != nil {
		return nil, err
	}
	if in.Status != statusActive && in.Status != statusInactive {
		return nil, fault(codeInvalidInput, "The status of an access key can be set to Active or Inactive only.")
	}
	err := s.cfg.Store.SetAccessKeyActive(ctx, in.AccessKeyID, in.Status == statusActive)
	return &ssm.Empty{}, failed(err, "Access Key", in.AccessKeyID)
}

// DeleteAccessKey removes a key; it proves nobody from then on.
func (s *Server) DeleteAccessKey(ctx context.Context, in *AccessKeyInput) (*ssm.Empty, error) {
	if err := s.userAndKey(ctx, "iam:DeleteAccessKey", in.UserName, in.AccessKeyID); err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeleteAccessKey(ctx, in.AccessKeyID), "Access Key", in.AccessKeyID)
}

// GetAccessKeyLastUsedInput is the request of iam:GetAccessKeyLastUsed.
type GetAccessKeyLastUsedInput struct {
	AccessKeyID string `json:"AccessKeyId" constraint:"required len=16..128 pattern=IAMID"`
}

// AccessKeyLastUsed is when and for what a key was last used.
type AccessKeyLastUsed struct {
	LastUsedDate *ssm.Time // absent when never
	ServiceName  string
	Region       string
}

// GetAccessKeyLastUsedOutput is the answer of iam:GetAccessKeyLastUsed.
type GetAccessKeyLastUsedOutput struct {
	UserName          string
	AccessKeyLastUsed AccessKeyLastUsed
}

// notAvailable stands for service and region of a key that was never used.
const notAvailable = "N/A"

// GetAccessKeyLastUsed tells whose a key is and when it was last used. The denial does
// not tell whether the key exists.
func (s *Server) GetAccessKeyLastUsed(ctx context.Context, in *GetAccessKeyLastUsedInput) (*GetAccessKeyLastUsedOutput, error) {
	k, err := s.cfg.Store.AccessKey(ctx, in.AccessKeyID)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	var tags []ssm.Tag
	resource := everything
	if err == nil {
		resource = s.arn("user", k.UserPath, k.UserName)
		u, err := s.cfg.Store.UserByID(ctx, k.UserID)
		if err != nil {
			return nil, failed(err, "Access Key", in.AccessKeyID)
		}
		tags = u.Tags
	}
	if denied := s.authorizeHidden(ctx, "iam:GetAccessKeyLastUsed", resource, everything, resourceTagKeys(tags)); denied != nil {
		return nil, denied
	}
	if err != nil {
		return nil, notFound("Access Key", in.AccessKeyID)
	}
	used := AccessKeyLastUsed{ServiceName: notAvailable, Region: notAvailable}
	if !k.LastUsedAt.IsZero() {
		used = AccessKeyLastUsed{LastUsedDate: ssm.At(k.LastUsedAt), ServiceName: k.LastUsedService, Region: k.LastUsedRegion}
	}
	return &GetAccessKeyLastUsedOutput{UserName: k.UserName, AccessKeyLastUsed: used}, nil
}
