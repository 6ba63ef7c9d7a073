package sts

import (
	"log/slog"
	"time"

	"sekisho/internal/store"
)

// Shapes of the service (api.md Appendix A.2). The constraints that the constraint tags
// cannot say are those of rules.go.

// shownSecret is a secret in the answer to the caller who asked for it; what a caller
// sends is a [store.Secret]. Whoever else puts an answer into words, such as a log or an
// audit trail, gets no secret. It has no String method: the protocol's encoder uses that.
type shownSecret string

// LogValue is what slog shows.
func (shownSecret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText is what JSON and other encodings but the protocol's own show.
func (shownSecret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Tag is a session tag.
type Tag struct {
	Key   string `constraint:"required len=1..128 pattern=IAMTagKey"`
	Value string `constraint:"required len=0..256 pattern=IAMTagValue"`
}

// PolicyDescriptor names a managed policy that narrows a session.
type PolicyDescriptor struct {
	ARN string `json:"arn" constraint:"len=20..2048"`
}

// ProvidedContext is a context assertion. There is no provider of such here.
type ProvidedContext struct {
	ProviderARN      string       `json:"ProviderArn" constraint:"len=20..2048"`
	ContextAssertion store.Secret `constraint:"len=4..2048"`
}

// Credentials are temporary credentials, in the answer to the caller who asked for them.
type Credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey shownSecret
	SessionToken    shownSecret
	Expiration      time.Time
}

// AssumedRoleUser names a role session.
type AssumedRoleUser struct {
	AssumedRoleID string `json:"AssumedRoleId"`
	ARN           string `json:"Arn"`
}

// AssumeRoleInput is the request of sts:AssumeRole.
type AssumeRoleInput struct {
	RoleARN           string             `json:"RoleArn" constraint:"required len=20..2048"`
	RoleSessionName   string             `constraint:"required len=2..64"`
	PolicyARNs        []PolicyDescriptor `json:"PolicyArns"`
	Policy            string             `constraint:"len=1.."`
	DurationSeconds   *int               `constraint:"range=900..43200"`
	Tags              []Tag              `constraint:"len=0..50"`
	TransitiveTagKeys []string           `constraint:"len=0..50 pattern=IAMTagKey"`
	ExternalID        string             `json:"ExternalId" constraint:"len=2..1224"`
	SerialNumber      string             `constraint:"len=9..256"`
	TokenCode         store.Secret       `constraint:"len=6..6"`
	SourceIdentity    string             `constraint:"len=2..64"`
	ProvidedContexts  []ProvidedContext  `constraint:"len=1..5"`
}

// AssumeRoleOutput is the answer of sts:AssumeRole.
type AssumeRoleOutput struct {
	AssumedRoleUser  AssumedRoleUser
	Credentials      Credentials
	PackedPolicySize int
	SourceIdentity   string `json:",omitempty"`
}

// AssumeRoleWithWebIdentityInput is the request of sts:AssumeRoleWithWebIdentity.
type AssumeRoleWithWebIdentityInput struct {
	RoleARN          string             `json:"RoleArn" constraint:"required len=20..2048"`
	RoleSessionName  string             `constraint:"required len=2..64"`
	WebIdentityToken store.Secret       `constraint:"required len=4..20000"`
	ProviderID       string             `json:"ProviderId" constraint:"len=4..2048"`
	PolicyARNs       []PolicyDescriptor `json:"PolicyArns"`
	Policy           string             `constraint:"len=1.."`
	DurationSeconds  *int               `constraint:"range=900..43200"`
}

// AssumeRoleWithWebIdentityOutput is the answer of sts:AssumeRoleWithWebIdentity.
type AssumeRoleWithWebIdentityOutput struct {
	SubjectFromWebIdentityToken string
	Audience                    string
	AssumedRoleUser             AssumedRoleUser
	Credentials                 Credentials
	Provider                    string
	PackedPolicySize            int
}

// GetSessionTokenInput is the request of sts:GetSessionToken.
type GetSessionTokenInput struct {
	DurationSeconds *int         `constraint:"range=900..129600"`
	SerialNumber    string       `constraint:"len=9..256"`
	TokenCode       store.Secret `constraint:"len=6..6"`
}

// GetSessionTokenOutput is the answer of sts:GetSessionToken.
type GetSessionTokenOutput struct{ Credentials Credentials }
