package auth

import (
	"strings"
	"testing"
)

func TestPasswordMatchesItsHashOnly(t *testing.T) {
	hash := HashPassword("correct horse")
	if !CheckPassword(hash, "correct horse") {
		t.Error("the password does not match its hash")
	}
	for _, other := range []string{"", "correct hors", "correct horse "} {
		if CheckPassword(hash, other) {
			t.Errorf("%q matches", other)
		}
	}
	if again := HashPassword("correct horse"); again == hash {
		t.Error("two hashes have the same salt")
	}
	if strings.Contains(hash, "horse") {
		t.Error("the hash shows the password")
	}
}

func TestHashesThatNothingMatches(t *testing.T) {
	good := HashPassword("p")
	parts := strings.Split(good, "$")
	with := func(i int, text string) string {
		changed := append([]string(nil), parts...)
		changed[i] = text
		return strings.Join(changed, "$")
	}
	for _, hash := range []string{
		"", "p", "$", "$$$$$", with(1, "argon2i"), with(2, "v=18"), with(3, "m=19456,t=2"), with(3, "m=1,t=2,p=1"),
		with(3, "m=4294967295,t=2,p=1"), with(3, "m=19456,t=4294967295,p=1"), with(3, "m=19456,t=0,p=1"), with(3, "m=19456,t=2,p=0"), with(3, "m=19456,t=2,p=1,x"),
		with(4, "!"), with(4, ""), with(5, ""), with(5, "AAAA"), with(5, strings.Repeat("A", 4096)), good + "$",
	} {
		if CheckPassword(hash, "p") {
			t.Errorf("%q matches", hash)
		}
	}
	if _, ok := parseHash(good); !ok {
		t.Fatal("a good hash does not parse")
	}
}

// FuzzParseHash: whatever parses has a cost within the bounds.
func FuzzParseHash(f *testing.F) {
	f.Add(HashPassword("p"))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$$")
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		h, ok := parseHash(text)
		if !ok {
			return
		}
		if h.memory > maxArgonMemory || h.time > maxArgonTime || h.threads > maxArgonLanes || h.time == 0 || h.threads == 0 ||
			len(h.salt) > maxArgonBytes || len(h.key) > maxArgonBytes || len(h.key) < 16 {
			t.Errorf("%q parses to %+v", text, h)
		}
	})
}
