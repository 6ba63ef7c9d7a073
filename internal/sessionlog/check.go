package sessionlog

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// checkPatience bounds asking a sink whether it is encrypted. Only sessions whose
// document demands that wait for it.
const checkPatience = 10 * time.Second

// Names of the sinks in texts.
const (
	nameBucket = "Amazon S3 bucket"
	nameGroup  = "CloudWatch Logs log group"
)

// refusal is a sentence for the user: why the session does not begin.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// errNotEncrypted is what the stock agent says (agent-control-plane.md §5.3).
func errNotEncrypted(sink, short string) error {
	return refuse("We couldn't start the session because encryption is not set up on the selected %s. "+
		"Either encrypt the %s or choose an option to enable logging without encryption.", sink, short)
}

func errCannotTell(sink string, cause error) error {
	return refuse("Couldn't start the session because we are unable to validate encryption on %s. Error: %v", sink, cause)
}

// Check says why a session must not begin: a sink is not encrypted, or does not tell,
// and must be. Sinks that need not be encrypted are not asked.
func Check(ctx context.Context, service Service, s Settings) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	if s.Bucket != "" && s.BucketEncryption {
		encrypted, err := bucketEncrypted(ctx, service, s.Bucket)
		if err != nil {
			return errCannotTell(nameBucket, err)
		}
		if !encrypted {
			return errNotEncrypted(nameBucket, "bucket")
		}
	}
	if s.LogGroup != "" && s.GroupEncryption {
		encrypted, err := groupEncrypted(ctx, service, s.LogGroup)
		if err != nil {
			return errCannotTell(nameGroup, err)
		}
		if !encrypted {
			return errNotEncrypted(nameGroup, "log group")
		}
	}
	return nil
}

// maxDocument bounds an answer of a bucket that is read.
const maxDocument = 64 << 10

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func bucketEncrypted(ctx context.Context, service Service, bucket string) (bool, error) {
	answer, err := service.Bucket(ctx, http.MethodGet, "/"+bucket, "encryption=", emptyHash, nil, 0, nil)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument))
	if err != nil {
		return false, err
	}
	if answer.StatusCode != http.StatusOK {
		err := bucketError(answer.StatusCode, text)
		if e, ok := errors.AsType[*statusError](err); ok && e.code == "ServerSideEncryptionConfigurationNotFoundError" {
			return false, nil
		}
		return false, err
	}
	var doc struct {
		Rules []struct {
			Default struct {
				Algorithm string `xml:"SSEAlgorithm"`
			} `xml:"ApplyServerSideEncryptionByDefault"`
		} `xml:"Rule"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return false, fmt.Errorf("read the bucket's answer: %w", err)
	}
	for _, rule := range doc.Rules {
		if rule.Default.Algorithm == "AES256" || rule.Default.Algorithm == "aws:kms" {
			return true, nil
		}
	}
	return false, nil
}

// statusError is an answer of a bucket that is an error.
type statusError struct {
	status        int
	code, message string
}

func (e *statusError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("the bucket answered %d %s", e.status, http.StatusText(e.status))
	}
	return e.code + ": " + e.message
}

func bucketError(status int, text []byte) error {
	var doc struct{ Code, Message string }
	_ = xml.Unmarshal(text, &doc) // a proxy's answer may be anything
	return &statusError{status, doc.Code, doc.Message}
}

type describeGroupsInput struct {
	LogGroupNamePrefix string `json:"logGroupNamePrefix"`
	NextToken          string `json:"nextToken"`
}

type describeGroupsOutput struct {
	LogGroups []struct {
		LogGroupName string `json:"logGroupName"`
		KMSKeyID     string `json:"kmsKeyId"`
	} `json:"logGroups"`
	NextToken string `json:"nextToken"`
}

func groupEncrypted(ctx context.Context, service Service, group string) (bool, error) {
	in := describeGroupsInput{LogGroupNamePrefix: group}
	for {
		var out describeGroupsOutput
		if err := service.Logs(ctx, "DescribeLogGroups", &in, &out); err != nil {
			return false, err
		}
		for _, g := range out.LogGroups {
			if g.LogGroupName == group {
				return g.KMSKeyID != "", nil
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return false, errors.New("the log group does not exist")
		}
	}
}
