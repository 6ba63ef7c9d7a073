package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"sekisho/internal/awsapi"
	"sekisho/internal/message"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// signingName is the service name in the signature of Systems Manager's operations.
const signingName = "ssm"

// CredentialsError says that no credentials could be had to sign a call with.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return fmt.Sprintf("get credentials: %v", e.Err) }

func (e *CredentialsError) Unwrap() error { return e.Err }

// Service calls the operations of Systems Manager that a session needs after its
// start. Credentials come from the default chain of the AWS SDK, without the EC2
// metadata service, and are looked for at the first call: most sessions make none,
// and the look costs start-up time. Its methods may be called concurrently.
type Service struct {
	endpoint, region, profile string
	http                      *http.Client

	mu          sync.Mutex // guards the following fields
	credentials aws.CredentialsProvider
	keyService  string // endpoint of KMS, once credentials are there
}

// NewService makes a client of the service at endpoint, an https URL.
func NewService(endpoint, region, profile string, h *http.Client) *Service {
	return &Service{endpoint: endpoint, region: region, profile: profile, http: h}
}

// Resume asks for a new token of a session; see [Options].
func (s *Service) Resume(ctx context.Context, sessionID string) (*ssm.ResumeSessionOutput, error) {
	out := new(ssm.ResumeSessionOutput)
	err := s.call(ctx, "AmazonSSM.ResumeSession", &ssm.SessionIDInput{SessionID: sessionID}, out)
	return out, err
}

// Terminate ends a session.
func (s *Service) Terminate(ctx context.Context, sessionID string) error {
	return s.call(ctx, "AmazonSSM.TerminateSession", &ssm.SessionIDInput{SessionID: sessionID}, nil)
}

func (s *Service) call(ctx context.Context, target string, in, out any) error {
	credentials, _, err := s.retrieve(ctx)
	if err != nil {
		return err
	}
	return s.callAt(ctx, s.endpoint, signingName, credentials, target, in, out)
}

func (s *Service) callAt(ctx context.Context, endpoint, service string, credentials sigv4.Credentials, target string, in, out any) error {
	client := awsapi.Client{
		Endpoint: endpoint,
		HTTP:     s.http,
		Sign: func(r *http.Request, body []byte) error {
			sigv4.Sign(r, sigv4.Hash(body), credentials, s.region, service, time.Now())
			return nil
		},
		UserAgent: "session-manager-plugin/" + message.ClientVersion,
	}
	return client.Call(ctx, target, in, out)
}

// retrieve gives credentials that are good now, and where KMS is. The chain may itself
// call a service, so an end of ctx is not a lack of credentials.
func (s *Service) retrieve(ctx context.Context) (_ sigv4.Credentials, keyService string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credentials == nil {
		cfg, err := config.LoadDefaultConfig(ctx,
			config.WithRegion(s.region),
			config.WithSharedConfigProfile(s.profile),
			config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
		if err != nil {
			return sigv4.Credentials{}, "", &CredentialsError{Err: err}
		}
		s.credentials, s.keyService = cfg.Credentials, s.findKeyService(ctx, cfg)
	}
	c, err := s.credentials.Retrieve(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return sigv4.Credentials{}, "", fmt.Errorf("get credentials: %w", errors.Join(ctx.Err(), err))
	case err != nil:
		return sigv4.Credentials{}, "", &CredentialsError{Err: err}
	}
	return sigv4.Credentials{
		AccessKeyID:     c.AccessKeyID,
		SecretAccessKey: c.SecretAccessKey,
		SessionToken:    c.SessionToken,
	}, s.keyService, nil
}

// ProfileBundle is the file of certificate authorities that a profile of the AWS
// CLI's configuration names, or empty. The environment says where that is.
func ProfileBundle(ctx context.Context, profile string, getenv func(string) string) string {
	if profile == "" {
		profile = getenv("AWS_PROFILE")
	}
	if profile == "" {
		profile = config.DefaultSharedConfigProfile
	}
	shared, err := config.LoadSharedConfigProfile(ctx, profile, func(o *config.LoadSharedConfigOptions) {
		if name := getenv("AWS_CONFIG_FILE"); name != "" {
			o.ConfigFiles = []string{name}
		}
	})
	if err != nil {
		return "" // what is wrong with it is told when credentials are needed
	}
	return shared.CustomCABundle
}
