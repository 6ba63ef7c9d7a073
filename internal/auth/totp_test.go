package auth

import (
	"testing"
	"time"
)

// rfcSeed is the seed of RFC 6238, appendix B: "12345678901234567890" in base32.
const rfcSeed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestOneTimePasswords(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	for _, c := range []struct {
		name     string
		code     string
		at       time.Time
		lastStep int64
		step     int64
		ok       bool
	}{
		// The last six digits of the RFC's own values.
		{"RFC 6238, 59 s", "287082", at(59), 0, 1, true},
		{"RFC 6238, 2005", "081804", at(1111111109), 0, 37037036, true},
		{"RFC 6238, 2009", "005924", at(1234567890), 0, 41152263, true},
		{"RFC 6238, 2603", "353130", at(20000000000), 0, 666666666, true},
		{"a step early", "005924", at(1234567890 - 30), 0, 41152263, true},
		{"a step late", "005924", at(1234567890 + 30), 0, 41152263, true},
		{"two steps early", "005924", at(1234567890 - 60), 0, 0, false},
		{"two steps late", "005924", at(1234567890 + 60), 0, 0, false},
		{"used", "005924", at(1234567890), 41152263, 0, false},
		{"older than one that was used", "005924", at(1234567890 + 30), 41152264, 0, false},
		{"newer than one that was used", "005924", at(1234567890), 41152262, 41152263, true},
		{"another code", "005925", at(1234567890), 0, 0, false},
		{"no code", "", at(1234567890), 0, 0, false},
		{"too long", "0005924", at(1234567890), 0, 0, false},
		{"with a blank", "005924 ", at(1234567890), 0, 0, false},
		{"before time", "005924", at(-100), -1000, 0, false},
	} {
		step, ok := CheckTOTP(rfcSeed, c.code, c.at, c.lastStep)
		if step != c.step || ok != c.ok {
			t.Errorf("%s: step %d, %v; want %d, %v", c.name, step, ok, c.step, c.ok)
		}
	}
	if _, ok := CheckTOTP("not base32!", "005924", at(1234567890), 0); ok {
		t.Error("a seed that is none has codes")
	}
}
