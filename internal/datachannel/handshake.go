package datachannel

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekisho/internal/message"
)

// Facts about a handshake that callers branch on.
var (
	// ErrHandshake is wrapped when the two ends did not agree. The agent has been
	// told what the client cannot do, and ends the session.
	ErrHandshake = errors.New("handshake failed")
	// ErrHandshakeTimeout says that the client did not answer in time.
	ErrHandshakeTimeout = errors.New("handshake timed out")
	// ErrEncryption is wrapped when the session could not be encrypted.
	ErrEncryption = errors.New("session cannot be encrypted")
)

const (
	// refusalDrain is how long AnswerHandshake waits for a refusal to reach the
	// agent.
	refusalDrain = 2 * time.Second
	// answerPatience is how long the agent waits for each of the client's answers,
	// as the stock agent does (protocol.md §6.4).
	answerPatience = 15 * time.Second
	// randomChallengeSize and sealedChallengeSize are lengths in bytes: of the random
	// text that the data key's encryption context holds, and of the one that both
	// ends seal to prove that they have the key.
	randomChallengeSize = 16
	sealedChallengeSize = 64
)

// KeyRequest says for what a data key is asked for.
type KeyRequest struct {
	KeyID     string // of the KMS key, as the document has it
	Challenge string // to put into the encryption context; empty when there is none
}

// NewDataKey makes a data key for a session: in clear, and as KMS sealed it.
type NewDataKey func(ctx context.Context, r KeyRequest) (key DataKey, sealed []byte, err error)

// Handshake is what the client learned while a session opened.
type Handshake struct {
	Skipped         bool                          // the agent needed none; all else is zero
	Request         message.HandshakeRequest      //
	SessionType     message.SessionTypeParameters //
	Encrypted       bool                          // data is sealed from now on
	CustomerMessage string                        // to show to the user when not empty
	// Tunnel is the agreed version of our own tunnel protocol, 0 for none. The channel
	// is then to be made one for bulk, see [Channel.StartBulk].
	Tunnel int
}

// AnswerHandshake does the client's part of the handshake; call it before
// anything else is sent or received, as the stock agent throws away what comes
// before HandshakeComplete. It answers exactly once, and waits for the agent to
// complete. When the agent skips the handshake, as it does for a shell that is
// not encrypted, the stream has begun with the message that is returned.
//
// For a session that is to be encrypted it asks newKey; nil means that such are
// refused.
//
// Like the stock client it acknowledges the agent's messages before it acts on
// them. ctx bounds the wait; the agent itself gives up after 15 s.
func (c *Channel) AnswerHandshake(ctx context.Context, newKey NewDataKey) (Handshake, *Inbound, error) {
	first, err := c.Receive(ctx)
	if err != nil {
		return Handshake{}, nil, fmt.Errorf("wait for first message: %w", err)
	}
	if first.PayloadType != message.PayloadHandshakeRequest {
		return Handshake{Skipped: true}, first, nil
	}
	req, err := message.ParseHandshakeRequest(first.Payload)
	first.Done()
	if err != nil {
		return Handshake{}, nil, err
	}
	tunnel := 0
	if t, err := req.SessionType(); err == nil && t.SessionType == message.SessionTypePort {
		tunnel = min(req.Tunnel, message.TunnelVersion)
	}
	if tunnel > 0 {
		c.allowBulk() // before the agent may send it
	}
	encrypted, err := c.answer(ctx, req, tunnel, newKey)
	if err != nil {
		return Handshake{}, nil, err
	}
	sessionType, err := req.SessionType()
	if err != nil {
		return Handshake{}, nil, err
	}
	if encrypted {
		if err := c.answerChallenge(ctx); err != nil {
			return Handshake{}, nil, err
		}
	}
	payload, err := c.receiveType(ctx, message.PayloadHandshakeComplete)
	if err != nil {
		return Handshake{}, nil, err
	}
	complete, err := message.ParseHandshakeComplete(payload)
	if err != nil {
		return Handshake{}, nil, err
	}
	return Handshake{Request: req, SessionType: sessionType, Encrypted: encrypted, CustomerMessage: complete.CustomerMessage, Tunnel: tunnel}, nil, nil
}

// answer sends the response, and begins the encryption if there is to be one.
func (c *Channel) answer(ctx context.Context, req message.HandshakeRequest, tunnel int, newKey NewDataKey) (encrypted bool, err error) {
	var failure error
	var encrypt func(message.KMSEncryptionParameters) (message.KMSEncryptionResult, error)
	if newKey != nil {
		encrypt = func(p message.KMSEncryptionParameters) (result message.KMSEncryptionResult, err error) {
			if encrypted {
				return result, errors.New("asked for twice")
			}
			encrypted = true
			c.wantEncryption()
			result, failure = c.newKey(ctx, p, newKey)
			return result, failure
		}
	}
	resp := message.NewHandshakeResponse(req, encrypt)
	resp.Tunnel = tunnel
	if err := c.Send(ctx, message.PayloadHandshakeResponse, message.Marshal(resp)); err != nil {
		return false, err
	}
	if len(resp.Errors) == 0 {
		return encrypted, nil
	}
	drain, cancel := context.WithTimeout(ctx, refusalDrain)
	defer cancel()
	_ = c.Drain(drain) // the refusal matters more than whether it arrived
	if failure != nil {
		return false, fmt.Errorf("%w: %w", ErrEncryption, failure)
	}
	return false, fmt.Errorf("%w: %s", ErrHandshake, strings.Join(resp.Errors, "; "))
}

// newKey gets the session's data key and makes the channel's cipher from it.
func (c *Channel) newKey(ctx context.Context, p message.KMSEncryptionParameters, newKey NewDataKey) (message.KMSEncryptionResult, error) {
	key, sealed, err := newKey(ctx, KeyRequest{KeyID: p.KMSKeyId, Challenge: p.Challenge})
	if err != nil {
		return message.KMSEncryptionResult{}, err
	}
	cipher, err := NewCipher(c.role, key)
	if err != nil {
		return message.KMSEncryptionResult{}, err
	}
	c.encrypt(cipher)
	return message.KMSEncryptionResult{KMSCipherTextKey: sealed, ChallengeAcknowledgement: p.Challenge != ""}, nil
}

// answerChallenge proves that this end has the data key, and sees that the agent has.
func (c *Channel) answerChallenge(ctx context.Context) error {
	payload, err := c.receiveType(ctx, message.PayloadEncChallengeRequest)
	if err != nil {
		return err
	}
	challenge, err := message.ParseEncryptionChallenge(payload)
	if err != nil {
		return err
	}
	text, err := c.crypt.cipher.Open(challenge.Challenge)
	if err != nil {
		return fmt.Errorf("%w: the node has another data key: %w", ErrEncryption, err)
	}
	return c.Send(ctx, message.PayloadEncChallengeResponse, message.Marshal(
		message.EncryptionChallenge{Challenge: c.crypt.cipher.Seal(nil, text)}))
}

// receiveType gives the payload of the next message, which must be of that type.
func (c *Channel) receiveType(ctx context.Context, t message.PayloadType) ([]byte, error) {
	in, err := c.Receive(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for %s: %w", t, err)
	}
	if in.PayloadType != t {
		return nil, fmt.Errorf("%w: agent sent %s before %s", ErrHandshake, in.PayloadType, t)
	}
	defer in.Done()
	return append([]byte(nil), in.Payload...), nil // the original is valid until Done
}

// HandshakeOffer is what the agent asks of a client.
type HandshakeOffer struct {
	SessionType message.SessionTypeParameters
	// KMSKeyID is the key under which the session is encrypted; empty for none.
	KMSKeyID string
	// OpenDataKey opens the data key that the client had made. challenge is what the
	// client says to have put into the encryption context; it may be empty.
	OpenDataKey func(ctx context.Context, sealed []byte, challenge string) (DataKey, error)
	// Tunnel is the version of our own tunnel protocol that is offered, 0 for none.
	Tunnel int
}

// Agreement is what the agent learned of its client.
type Agreement struct {
	ClientVersion string
	Tunnel        int // as in [Handshake]
}

// encryptedMessage is what users of the stock peers read, and their scripts look for.
const encryptedMessage = "This session is encrypted using AWS KMS."

// RequestHandshake does the agent's part of the handshake; call it before anything
// else is sent or received. The time for the client's
// answers begins when the channel first has a connection.
//
// With a KMSKeyID, data is sealed when it returns nil, and is never sent otherwise:
// after an error of such a handshake Send gives [ErrNotEncrypted] for it.
func (c *Channel) RequestHandshake(ctx context.Context, o HandshakeOffer) (Agreement, error) {
	var agreed Agreement
	select {
	case <-c.opened:
	case <-c.closed:
		return agreed, ErrClosed
	case <-ctx.Done():
		return agreed, context.Cause(ctx)
	}
	began := time.Now()
	req := message.HandshakeRequest{AgentVersion: message.AgentVersion, Tunnel: o.Tunnel}
	req.Add(message.ActionSessionType, o.SessionType)
	var random string
	if o.KMSKeyID != "" {
		c.wantEncryption()
		random = newRandomChallenge()
		req.Add(message.ActionKMSEncryption, message.KMSEncryptionParameters{KMSKeyId: o.KMSKeyID, Challenge: random})
	}
	payload, err := c.ask(ctx, message.PayloadHandshakeRequest, req, message.PayloadHandshakeResponse)
	if err != nil {
		return agreed, err
	}
	resp, err := message.ParseHandshakeResponse(payload)
	if err != nil {
		return agreed, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	sealed, err := checkResponse(resp, o.KMSKeyID != "")
	if err != nil {
		return agreed, err
	}
	complete := message.HandshakeComplete{}
	if o.KMSKeyID != "" {
		if !sealed.ChallengeAcknowledgement {
			random = ""
		}
		if err := c.shareKey(ctx, o, sealed.KMSCipherTextKey, random); err != nil {
			return agreed, err
		}
		complete.CustomerMessage = encryptedMessage
	}
	complete.HandshakeTimeToComplete = time.Since(began)
	agreed.ClientVersion, agreed.Tunnel = resp.ClientVersion, min(resp.Tunnel, o.Tunnel)
	if agreed.Tunnel > 0 {
		c.allowBulk() // before the client may send it
	}
	return agreed, c.Send(ctx, message.PayloadHandshakeComplete, message.Marshal(complete))
}

func newRandomChallenge() string {
	var b [randomChallengeSize]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// checkResponse says why a client's answer is no agreement, and gives its data key if
// one was asked for.
func checkResponse(resp message.HandshakeResponse, encrypt bool) (sealed message.KMSEncryptionResult, err error) {
	found := false
	for _, a := range resp.ProcessedClientActions {
		if a.ActionStatus != message.ActionSuccess {
			fact := ErrHandshake
			if a.ActionType == message.ActionKMSEncryption {
				fact = ErrEncryption
			}
			text := a.Error
			if text == "" {
				text = fmt.Sprintf("the client answered %s with status %d", a.ActionType, a.ActionStatus)
			}
			return sealed, fmt.Errorf("%w: %.1000s", fact, strings.ToValidUTF8(text, ""))
		}
		if a.ActionType == message.ActionKMSEncryption && encrypt {
			if err := json.Unmarshal(a.ActionResult, &sealed); err != nil {
				return sealed, fmt.Errorf("%w: parse the client's data key: %w", ErrEncryption, err)
			}
			found = true
		}
	}
	if encrypt && (!found || len(sealed.KMSCipherTextKey) == 0) {
		return sealed, fmt.Errorf("%w: the client sent no data key", ErrEncryption)
	}
	return sealed, nil
}

// shareKey opens the data key, begins the encryption and sees that the client has the
// same key.
func (c *Channel) shareKey(ctx context.Context, o HandshakeOffer, sealed []byte, random string) error {
	key, err := o.OpenDataKey(ctx, sealed, random)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	cipher, err := NewCipher(c.role, key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	c.encrypt(cipher)
	text := make([]byte, sealedChallengeSize)
	rand.Read(text)
	payload, err := c.ask(ctx, message.PayloadEncChallengeRequest,
		message.EncryptionChallenge{Challenge: cipher.Seal(nil, text)}, message.PayloadEncChallengeResponse)
	if err != nil {
		return err
	}
	answer, err := message.ParseEncryptionChallenge(payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	back, err := cipher.Open(answer.Challenge)
	if err != nil || subtle.ConstantTimeCompare(back, text) != 1 {
		return fmt.Errorf("%w: the client has another data key", ErrEncryption)
	}
	return nil
}

// ask sends the agent's message and waits for its answer. What else comes meanwhile
// is acknowledged and thrown away, as the stock agent does.
func (c *Channel) ask(ctx context.Context, t message.PayloadType, payload any, want message.PayloadType) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerPatience, ErrHandshakeTimeout)
	defer cancel()
	if err := c.Send(ctx, t, message.Marshal(payload)); err != nil {
		return nil, err
	}
	for {
		in, err := c.Receive(ctx)
		if errors.Is(err, ErrDecrypt) {
			continue // data that the client may not send yet
		}
		if err != nil {
			return nil, fmt.Errorf("wait for %s: %w", want, err)
		}
		if in.PayloadType == want {
			answer := append([]byte(nil), in.Payload...)
			in.Done()
			return answer, nil
		}
		in.Done()
	}
}
