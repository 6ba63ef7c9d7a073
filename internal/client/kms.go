package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

const (
	// keySigningName is the service name in the signature of KMS's operations.
	keySigningName = "kms"
	// keyPatience bounds the making of a data key: the node waits for 15 s, from when
	// it opened the session (protocol.md §6.4).
	keyPatience = 12 * time.Second
	// keyAttempts is how often KMS is asked, as by the stock client.
	keyAttempts = 4
)

// dataKey has the session's data key made, bound to session, node and handshake.
func (r *run) dataKey(ctx context.Context, request datachannel.KeyRequest) (datachannel.DataKey, []byte, error) {
	switch {
	case r.DataKey == nil:
		return nil, nil, errors.New("this program makes no data keys")
	case r.session.Target == "":
		return nil, nil, errors.New("the AWS CLI did not say which node the session is on: upgrade the CLI")
	}
	ctx, stop := context.WithTimeout(ctx, keyPatience)
	defer stop()
	return r.DataKey(ctx, request.KeyID, message.EncryptionContext(r.session.ID, r.session.Target, request.Challenge))
}

// generateDataKeyInput is the request of kms:GenerateDataKey.
type generateDataKeyInput struct {
	KeyId             string
	EncryptionContext map[string]string
	NumberOfBytes     int
}

// generateDataKeyOutput is its answer.
type generateDataKeyOutput struct {
	CiphertextBlob []byte
	Plaintext      []byte
}

// GenerateDataKey has KMS make a session's data key under one of its keys. KMS is
// asked with the caller's credentials, where the AWS configuration has it, else at
// the service's endpoint. The caller wipes the key.
func (s *Service) GenerateDataKey(ctx context.Context, keyID string, encryptionContext map[string]string) (key datachannel.DataKey, sealed []byte, err error) {
	in := &generateDataKeyInput{KeyId: keyID, EncryptionContext: encryptionContext, NumberOfBytes: datachannel.DataKeySize}
	for attempt := range keyAttempts {
		if err = wait(ctx, delay(attempt)); err != nil {
			break
		}
		var out generateDataKeyOutput
		if err = s.callKeyService(ctx, "TrentService.GenerateDataKey", in, &out); err != nil {
			if isFinal(err) || ctx.Err() != nil {
				break
			}
			continue
		}
		if len(out.Plaintext) != datachannel.DataKeySize || len(out.CiphertextBlob) == 0 {
			clear(out.Plaintext)
			return nil, nil, fmt.Errorf("generate data key: KMS answered without a key of %d bytes", datachannel.DataKeySize)
		}
		return out.Plaintext, out.CiphertextBlob, nil
	}
	return nil, nil, fmt.Errorf("generate data key: %w", err)
}

func (s *Service) callKeyService(ctx context.Context, target string, in, out any) error {
	credentials, endpoint, err := s.retrieve(ctx)
	if err != nil {
		return err
	}
	return s.callAt(ctx, endpoint, keySigningName, credentials, target, in, out)
}

// keyServiceID names KMS in the AWS configuration: AWS_ENDPOINT_URL_KMS, and
// "kms" in a services section.
const keyServiceID = "KMS"

// findKeyService gives the endpoint of KMS: what environment or profile say, by the
// SDK's own rules, else the service's, which serves both. AWS itself has them apart.
func (s *Service) findKeyService(ctx context.Context, cfg aws.Config) string {
	if endpoint := configuredEndpoint(ctx, cfg); endpoint != "" {
		return endpoint
	}
	u, err := url.Parse(s.endpoint)
	if err != nil {
		return s.endpoint
	}
	if rest, ok := strings.CutPrefix(u.Host, "ssm."); ok && (strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn")) {
		u.Host = "kms." + rest
		return u.String()
	}
	return s.endpoint
}

// configuredEndpoint is the endpoint that the configuration names: first for KMS
// alone, then for every service.
func configuredEndpoint(ctx context.Context, cfg aws.Config) string {
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
		}); ok {
			if ignore, found, err := s.GetIgnoreConfiguredEndpoints(ctx); err == nil && found && ignore {
				return ""
			}
		}
	}
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		}); ok {
			if endpoint, found, err := s.GetServiceBaseEndpoint(ctx, keyServiceID); err == nil && found {
				return endpoint
			}
		}
	}
	return aws.ToString(cfg.BaseEndpoint)
}
