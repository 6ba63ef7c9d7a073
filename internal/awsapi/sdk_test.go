package awsapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// sdkFixture is a server that verifies signatures, and the configuration of an SDK
// client for it.
func sdkFixture(t *testing.T) (*fixture, aws.Config) {
	t.Helper()
	f := newFixture(t)
	f.authenticate = func(ctx context.Context, r *http.Request, body []byte, op awsapi.Operation) (context.Context, error) {
		auth, err := sigv4.Parse(r)
		if err != nil {
			return nil, err
		}
		if err := auth.Check(sigv4.Policy{Now: time.Now(), Service: op.Service}); err != nil {
			return nil, err
		}
		return ctx, auth.Verify(r, sigv4.Hash(body), "secret")
	}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	return f, aws.Config{
		Region: "local-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, nil
		}),
	}
}

func TestSDKClientsAreAnswered(t *testing.T) {
	f, config := sdkFixture(t)
	f.startSession = func(_ context.Context, in *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
		return &ssm.StartSessionOutput{SessionID: in.Target, TokenValue: in.Parameters["portNumber"][0], StreamURL: in.Reason}, nil
	}
	session, err := sdkssm.NewFromConfig(config).StartSession(t.Context(), &sdkssm.StartSessionInput{
		Target: aws.String("mi-0"), Reason: aws.String("日本語 <&>"), Parameters: map[string][]string{"portNumber": {"22"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(session.SessionId) != "mi-0" || aws.ToString(session.TokenValue) != "22" || aws.ToString(session.StreamUrl) != "日本語 <&>" {
		t.Errorf("got %+v", session)
	}
	identity, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(identity.Account) != "000000000001" || aws.ToString(identity.UserId) != "AIDA0" || !strings.HasSuffix(aws.ToString(identity.Arn), "<admin>") {
		t.Errorf("got %+v", identity)
	}
	presigned, err := sts.NewPresignClient(sts.NewFromConfig(config)).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), presigned.Method, presigned.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := config.HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Errorf("presigned: %s", answer.Status)
	}
}

// TestSDKClientsReadErrors holds that the SDK makes of each refusal what it makes of
// the service's own.
func TestSDKClientsReadErrors(t *testing.T) {
	f, config := sdkFixture(t)
	client := sdkssm.NewFromConfig(config)
	start := func(target string) error {
		_, err := client.StartSession(t.Context(), &sdkssm.StartSessionInput{Target: aws.String(target)})
		return err
	}
	f.startSession = func(context.Context, *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
		return nil, ssm.Errorf(ssm.CodeTargetNotConnected, "mi-0 is not connected.")
	}
	var offline *types.TargetNotConnected
	if err := start("mi-0"); !errors.As(err, &offline) || offline.ErrorMessage() != "mi-0 is not connected." {
		t.Errorf("modelled error: got %v", err)
	}
	checkSDKError(t, start(strings.Repeat("x", 401)), "ValidationException", "1 validation error detected: Value '"+strings.Repeat("x", 401)+
		"' at 'target' failed to satisfy constraint: Member must have length less than or equal to 400")
	_, err := client.SendCommand(t.Context(), &sdkssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript")})
	checkSDKError(t, err, "UnknownOperationException", "The operation SendCommand exists at AWS but is not implemented by this server.")
	_, err = sts.NewFromConfig(config).GetSessionToken(t.Context(), nil)
	checkSDKError(t, err, "InvalidAction", "The operation GetSessionToken exists at AWS but is not implemented by this server.")

	config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "wrong"}, nil
	})
	client = sdkssm.NewFromConfig(config)
	checkSDKError(t, start("mi-0"), "InvalidSignatureException", sigv4.ErrMismatch.Message)
	_, err = sts.NewFromConfig(config).GetCallerIdentity(t.Context(), nil)
	checkSDKError(t, err, "SignatureDoesNotMatch", sigv4.ErrMismatch.Message)
}

func checkSDKError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}
