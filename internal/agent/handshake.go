package agent

import (
	"context"
	"errors"
	"sync"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
)

// handshake agrees with the client on what the session is and, with a key id, on a data
// key under that KMS key. Nothing of the session may be sent before, and nothing in
// clear after it has agreed on a key.
func (w *worker) handshake(ctx context.Context, doc message.DocumentContent, keyID string) error {
	watchCtx, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { w.watchGateway(watchCtx, nil) })
	defer watch.Wait()
	defer stop()
	offer := datachannel.HandshakeOffer{
		SessionType: message.SessionTypeParameters{SessionType: doc.SessionType},
		KMSKeyID:    keyID,
		OpenDataKey: func(ctx context.Context, sealed []byte, challenge string) (datachannel.DataKey, error) {
			return w.link.decrypt(ctx, keyID, sealed, challenge)
		},
	}
	if doc.SessionType == message.SessionTypePort { // the others have null (protocol.md §6.3)
		offer.SessionType.Properties = message.Marshal(doc.Properties)
		if keyID == "" { // an encrypted tunnel is carried as the stock peers do
			offer.Tunnel = message.TunnelVersion
		}
	}
	agreed, err := w.ch.RequestHandshake(ctx, offer)
	if err == nil {
		w.client = agreed
		w.logger.Info("session agreed on", "kms_key_id", keyID, "client_version", agreed.ClientVersion, "tunnel", agreed.Tunnel)
	}
	return err
}

// noAgreement is how a session ends whose handshake failed, in words for the user.
func (w *worker) noAgreement(err, linkErr error) outcome {
	w.logger.Warn("handshake failed", "error", err)
	switch {
	case w.link.never() && linkErr != nil && errors.Is(err, linkErr):
		return outcome{Status: message.StatusFailed, Output: "Setting up data channel with id " + w.id + " failed: " + err.Error()}
	case errors.Is(err, datachannel.ErrHandshakeTimeout):
		return failed(sentence("Handshake timed out. Please ensure that you have the latest version of the session manager plugin."))
	case errors.Is(err, datachannel.ErrEncryption):
		return failed(sentence("The session document asks for encryption, which failed (%v).%s", err, keyHint(err)))
	case errors.Is(err, datachannel.ErrHandshake):
		return failed(sentence("The client and the node did not agree on the session (%v).", err))
	}
	return outcome{Status: message.StatusSuccess} // ended from outside
}
