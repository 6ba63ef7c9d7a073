package auth

import (
	"crypto/subtle"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// One-time passwords of virtual MFA devices, as every authenticator app makes them
// (RFC 6238): SHA-1, six digits, a new one every 30 seconds.
const (
	totpPeriod = 30 // seconds
	// totpDrift is how many steps the device's clock may be off, and how long a code
	// may take to be typed (RFC 6238 §5.2).
	totpDrift = 1
)

// CheckTOTP says whether a code is what the device with that seed (base32) shows about
// now, and which step of time it is of. Codes of lastStep and of earlier steps are not
// taken, so that none is good twice; the caller keeps the step.
func CheckTOTP(seed, code string, now time.Time, lastStep int64) (step int64, ok bool) {
	current := now.Unix() / totpPeriod
	for s := current - totpDrift; s <= current+totpDrift; s++ {
		if s > lastStep && isCode(seed, code, s) && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// isCode says whether code is that of a step. A seed that is no base32 has no codes.
func isCode(seed, code string, step int64) bool {
	if step < 0 {
		return false
	}
	want, err := hotp.GenerateCodeCustom(seed, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	return err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1
}
