package sts

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxUsedTokens bounds the memory for tokens: at 40 bytes each, 8 MiB with the map's own.
const maxUsedTokens = 100_000

// usedTokens remembers the tokens of identity providers that credentials were given for,
// until they expire: none is good twice. Only tokens that let somebody assume a role come
// here, so that nobody else can fill it. It is this process's own and does not outlive it.
type usedTokens struct {
	mu      sync.Mutex // guards expires
	expires map[[sha256.Size]byte]time.Time
}

func newUsedTokens() *usedTokens { return &usedTokens{expires: make(map[[sha256.Size]byte]time.Time)} }

// use says whether a token is used for the first time, and false as well when there is no
// room to remember it.
func (u *usedTokens) use(digest [sha256.Size]byte, expires, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, used := u.expires[digest]; used {
		return false
	}
	if len(u.expires) >= maxUsedTokens {
		for d, at := range u.expires {
			if !now.Before(at) {
				delete(u.expires, d)
			}
		}
		if len(u.expires) >= maxUsedTokens {
			return false
		}
	}
	u.expires[digest] = expires
	return true
}
