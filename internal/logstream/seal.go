package logstream

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"sync"
	"time"

	"sekisho/internal/store"
)

// keyLife is how long a group's data key is used before it is asked for again. A
// disabled key takes effect within it.
const keyLife = time.Minute

// keyring holds the data keys that are in use.
type keyring struct {
	mu   sync.Mutex
	open map[int64]openKey // guarded by mu: by the group's id
}

type openKey struct {
	key   *groupKey
	until time.Time
}

// groupKey encrypts the events of a group; nil leaves them as they are.
type groupKey struct{ aead cipher.AEAD }

// keyContext is the encryption context of a group's data key, as CloudWatch Logs has it.
func (s *Server) keyContext(group string) map[string]string {
	return map[string]string{"aws:logs:arn": s.groupARN(group)}
}

// newKey makes the data key of a group.
func (s *Server) newKey(ctx context.Context, keyID, group string) (arn string, sealed []byte, err error) {
	if s.cfg.Keys == nil {
		return "", nil, invalid("Log groups cannot be encrypted here.")
	}
	arn, _, sealed, err = s.cfg.Keys.NewDataKey(ctx, keyID, s.keyContext(group))
	return arn, sealed, err
}

// groupKey gives the key of a group.
func (s *Server) groupKey(ctx context.Context, g store.LogGroup) (*groupKey, error) {
	if g.SealedKey == nil {
		return nil, nil
	}
	now := s.cfg.Now()
	s.keys.mu.Lock()
	have, ok := s.keys.open[g.ID]
	s.keys.mu.Unlock()
	if ok && now.Before(have.until) {
		return have.key, nil
	}
	if s.cfg.Keys == nil {
		return nil, invalid("The key of the log group is not here.")
	}
	plain, err := s.cfg.Keys.OpenDataKey(ctx, g.SealedKey, s.keyContext(g.Name))
	if err != nil {
		return nil, errKey(err)
	}
	block, err := aes.NewCipher(plain)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	key := &groupKey{aead: aead}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	for id, old := range s.keys.open {
		if !now.Before(old.until) {
			delete(s.keys.open, id)
		}
	}
	s.keys.open[g.ID] = openKey{key, now.Add(keyLife)}
	return key, nil
}

// place is what an encrypted message is bound to.
func place(e store.LogEvent) []byte {
	data := binary.BigEndian.AppendUint64(nil, uint64(e.StreamID))
	data = binary.BigEndian.AppendUint64(data, uint64(e.At))
	return binary.BigEndian.AppendUint64(data, uint64(e.Sequence))
}

// seal encrypts the message of an event.
func (k *groupKey) seal(e store.LogEvent, message []byte) []byte {
	if k == nil {
		return message
	}
	return k.aead.Seal(nil, nil, message, place(e))
}

// open decrypts the message of an event.
func (k *groupKey) open(e store.LogEvent) ([]byte, error) {
	if k == nil {
		return e.Message, nil
	}
	return k.aead.Open(nil, nil, e.Message, place(e))
}
