package main

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"sekisho/internal/awsapi"
	"sekisho/internal/client"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// api calls the server's operations.
type api struct {
	endpoint, region, profile string
	http                      *http.Client
	credentials               aws.CredentialsProvider
}

func newAPI(ctx context.Context, o options) (*api, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(o.profile), config.WithRegion(o.region))
	if err != nil {
		return nil, &client.CredentialsError{Err: err}
	}
	a := &api{endpoint: cmp.Or(o.endpoint, aws.ToString(cfg.BaseEndpoint), os.Getenv("AWS_ENDPOINT_URL_SSM"), os.Getenv("AWS_ENDPOINT_URL")),
		region: cfg.Region, profile: o.profile, credentials: cfg.Credentials}
	if a.endpoint == "" {
		return nil, usageError{"no endpoint: set AWS_ENDPOINT_URL, endpoint_url of the profile, or --endpoint-url https://HOST:PORT"}
	}
	if a.region == "" {
		return nil, usageError{"no region: set AWS_REGION, region of the profile, or --region"}
	}
	bundle := cmp.Or(o.bundle, os.Getenv("AWS_CA_BUNDLE"), client.ProfileBundle(ctx, o.profile, os.Getenv))
	if a.http, err = client.HTTPClient(bundle); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *api) signer(ctx context.Context, service, region string) (func(*http.Request, []byte) error, error) {
	c, err := a.credentials.Retrieve(ctx)
	if err != nil {
		return nil, &client.CredentialsError{Err: err}
	}
	credentials := sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	return func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), credentials, region, service, time.Now())
		return nil
	}, nil
}

// call calls an operation of a service: "sekisho", "ListRecordings".
func (a *api) call(ctx context.Context, service, operation string, in, out any) error {
	sign, err := a.signer(ctx, service, a.region)
	if err != nil {
		return err
	}
	in, err = input(operation, in)
	if err != nil {
		return err
	}
	prefix := map[string]string{"ssm": "AmazonSSM", "sekisho": "Sekisho"}[service]
	c := awsapi.Client{Endpoint: a.endpoint, HTTP: a.http, Sign: sign, UserAgent: "sekisho/" + version}
	return c.Call(ctx, prefix+"."+operation, in, out)
}

// inputs are the shapes of operations whose members a verb chooses.
var inputs = map[string]func() any{
	"DescribeInstanceInformation": func() any { return new(ssm.DescribeInstanceInformationInput) },
	"DescribeSessions":            func() any { return new(ssm.DescribeSessionsInput) },
	"StartSession":                func() any { return new(ssm.StartSessionInput) },
	"ListRecordings":              func() any { return new(ssm.ListRecordingsInput) },
	"GetRecording":                func() any { return new(ssm.GetRecordingInput) },
	"SearchTranscripts":           func() any { return new(ssm.SearchTranscriptsInput) },
	"PutLegalHold":                func() any { return new(ssm.PutLegalHoldInput) },
	"WatchSession":                func() any { return new(ssm.WatchSessionInput) },
}

// input gives the shape of an operation, filled with the members that a map has.
func input(operation string, in any) (any, error) {
	members, ok := in.(map[string]any)
	if !ok {
		return in, nil
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	shape := inputs[operation]()
	return shape, json.Unmarshal(text, shape)
}

// maxXML bounds an answer of iam, in bytes.
const maxXML = 4 << 20

// query calls an operation of iam, whose protocol is another.
func (a *api) query(ctx context.Context, form url.Values, out any) error {
	sign, err := a.signer(ctx, "iam", "us-east-1")
	if err != nil {
		return err
	}
	form.Set("Version", "2010-05-08")
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(a.endpoint, "/")+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if err := sign(r, []byte(body)); err != nil {
		return err
	}
	answer, err := a.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxXML))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		var problem struct {
			Error struct{ Code, Message string }
		}
		if xml.Unmarshal(text, &problem) == nil && problem.Error.Code != "" {
			return errors.New(problem.Error.Code + ": " + problem.Error.Message)
		}
		return fmt.Errorf("%s answered %s", form.Get("Action"), answer.Status)
	}
	return xml.Unmarshal(text, out)
}
