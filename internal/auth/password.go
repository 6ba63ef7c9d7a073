package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of argon2id for new hashes: 19 MiB, two passes, one lane, the smallest set that
// the OWASP password storage guide gives. Stored hashes name their own.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

// Bounds on the cost a stored hash may name, so that a row cannot exhaust the server.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 16
	maxArgonLanes  = 16
	maxArgonBytes  = 128 // of salt and of key
)

var rawBase64 = base64.RawStdEncoding

// HashPassword makes the text that is stored of a password, in the PHC form
// $argon2id$v=19$m=…,t=…,p=…$salt$key.
func HashPassword(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		rawBase64.EncodeToString(salt), rawBase64.EncodeToString(key))
}

// CheckPassword says whether password is the one that hash was made of. An empty or
// unreadable hash is never matched and costs the time of a readable one: a sign-in
// passes "" for a user that does not exist.
func CheckPassword(hash, password string) bool {
	h, ok := parseHash(hash)
	if !ok {
		h = passwordHash{memory: argonMemory, time: argonTime, threads: argonThreads,
			salt: make([]byte, argonSalt), key: make([]byte, argonKey)}
	}
	key := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1 && ok
}

type passwordHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func parseHash(text string) (passwordHash, bool) {
	var h passwordHash
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return h, false
	}
	if parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.threads) { // Sscanf overlooks what follows
		return h, false
	}
	var err error
	if h.salt, err = rawBase64.DecodeString(parts[4]); err != nil {
		return h, false
	}
	if h.key, err = rawBase64.DecodeString(parts[5]); err != nil {
		return h, false
	}
	fits := h.memory >= 8 && h.memory <= maxArgonMemory &&
		h.time >= 1 && h.time <= maxArgonTime &&
		h.threads >= 1 && h.threads <= maxArgonLanes &&
		len(h.salt) >= 8 && len(h.salt) <= maxArgonBytes &&
		len(h.key) >= 16 && len(h.key) <= maxArgonBytes
	return h, fits
}
