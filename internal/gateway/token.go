package gateway

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// tokenLife is how long a node may take from the create call to the first message of
// the channel. The stock agent needs milliseconds; its own limit for the call is 15 s.
const tokenLife = time.Minute

// errToken says that a channel token is not valid: forged, old, used, or of another
// channel.
var errToken = errors.New("the token is not valid for this channel")

// tokens makes and checks the tokens that a node is given for one channel. A token
// carries its own proof, so that the create call and the websocket may reach different
// gateways; only that it was used is remembered here.
type tokens struct {
	key []byte
	now func() time.Time

	mu   sync.Mutex
	used map[[16]byte]time.Time // guarded by mu: nonce to the token's expiry
}

// A token is base64url of: expiry (8 bytes, Unix ms), nonce (16), MAC (32).
const tokenSize = 8 + 16 + sha256.Size

// issue makes a token for one channel of one node.
func (t *tokens) issue(channel, node string) string {
	b := make([]byte, 24, tokenSize)
	binary.BigEndian.PutUint64(b, uint64(t.now().Add(tokenLife).UnixMilli()))
	rand.Read(b[8:24])
	return base64.RawURLEncoding.EncodeToString(append(b, t.mac(b, channel, node)...))
}

// redeem checks a token and makes it useless for a second time.
func (t *tokens) redeem(token, channel, node string) error {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token) // one text per token
	if err != nil || !hmac.Equal(b[24:], t.mac(b[:24], channel, node)) {
		return errToken
	}
	now := t.now()
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	if now.After(expires) {
		return errToken
	}
	nonce := [16]byte(b[8:24])
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, again := t.used[nonce]; again {
		return errToken
	}
	for n, at := range t.used {
		if now.After(at) {
			delete(t.used, n)
		}
	}
	t.used[nonce] = expires
	return nil
}

func (t *tokens) mac(b []byte, channel, node string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write(b)
	h.Write([]byte(channel + "\x00" + node))
	return h.Sum(nil)
}
