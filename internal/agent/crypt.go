package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

const (
	// keyService is the service that requests to KMS are signed for.
	keyService = "kms"
	// decryptAttempts is how often KMS is asked, as by the stock agent.
	decryptAttempts = 4
	decryptRetry    = 200 * time.Millisecond
	// decryptPatience bounds it all. The client waits, and shows nothing.
	decryptPatience = 15 * time.Second
)

// errGarbled ends an encrypted session into which somebody put what its client did
// not seal.
var errGarbled = sentence("The session was ended: data arrived that its client did not encrypt with the session's key.")

// keyHint says in one sentence what a person can do about KMS's answer to the node.
func keyHint(err error) string {
	var e *ssm.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code {
	case ssm.CodeAccessDenied:
		return " The node's role needs kms:Decrypt on the key."
	case "InvalidCiphertextException", "IncorrectKeyException":
		return " The client's data key is not for this session, this node and this key."
	case "DisabledException":
		return " Enable the key, or name another one in the document."
	}
	return ""
}

// decryptInput is the request of kms:Decrypt.
type decryptInput struct {
	CiphertextBlob    []byte
	EncryptionContext map[string]string
	KeyId             string
}

// decryptOutput is its answer.
type decryptOutput struct{ Plaintext []byte }

// decrypt has KMS open a session's data key, with the node's credentials and for this
// session on this node only. The caller wipes the key.
func (l *link) decrypt(ctx context.Context, keyID string, sealed []byte, challenge string) (datachannel.DataKey, error) {
	ctx, cancel := context.WithTimeout(ctx, decryptPatience)
	defer cancel()
	in := &decryptInput{
		CiphertextBlob: sealed, KeyId: keyID,
		EncryptionContext: message.EncryptionContext(l.session, l.nodeID, challenge),
	}
	var out decryptOutput
	var err error
	for attempt := range decryptAttempts {
		if attempt > 0 && !wait(ctx, decryptRetry<<attempt) {
			break
		}
		err = l.creds.use(ctx, func(c Credentials) error {
			return l.server.call(ctx, "TrentService.Decrypt", in, &out, l.server.sigv4Signer(c, keyService))
		})
		if err == nil {
			return out.Plaintext, nil
		}
		if e := (*ssm.Error)(nil); errors.As(err, &e) && e.Status < http.StatusInternalServerError && e.Code != ssm.CodeThrottling {
			break
		}
	}
	return nil, fmt.Errorf("the node could not open the data key: %w", err)
}
