package kms

import (
	"bytes"
	"encoding/hex"
	"maps"
	"slices"
	"testing"

	"sekisho/internal/store"
)

const testID = "0f0e0d0c-0b0a-4908-8706-050403020100"

var testMaterial = store.Secret(bytes.Repeat([]byte{7}, materialSize))

func testCiphertext(tb testing.TB, context map[string]string) ciphertext {
	tb.Helper()
	blob, err := encrypt(testID, 3, testMaterial, context, Plaintext("plaintext"))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := parseCiphertext(blob)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestCiphertextRoundTrip(t *testing.T) {
	context := map[string]string{"aws:ssm:SessionId": "alice-0123", "empty": ""}
	c := testCiphertext(t, context)
	if c.keyID != testID || c.version != 3 {
		t.Errorf("key %s version %d", c.keyID, c.version)
	}
	got, err := c.open(testMaterial, maps.Clone(context))
	if err != nil || string(got) != "plaintext" {
		t.Errorf("got %q, %v", []byte(got), err)
	}
	if again := testCiphertext(t, context); bytes.Equal(c.blob[offsetSalt:], again.blob[offsetSalt:]) {
		t.Error("two ciphertexts of one text are the same")
	}
	if bytes.Contains(c.blob, []byte("plaintext")) || bytes.Contains(c.blob, []byte("alice")) {
		t.Error("the ciphertext tells what is in it")
	}
}

func TestCiphertextIsBoundToItsContext(t *testing.T) {
	c := testCiphertext(t, map[string]string{"a": "bc", "d": ""})
	for _, context := range []map[string]string{
		nil, {"a": "bc"}, {"d": ""}, {"a": "bc", "d": "e"}, {"ab": "c", "d": ""}, {"a": "b", "cd": ""}, {"A": "bc", "d": ""},
		{"a": "", "d": "bc"}, {"a": "bc", "d": "", "e": ""}, {"a": "bcd", "": ""}, {"": "abc", "d": ""},
	} {
		if got, err := c.open(testMaterial, context); err == nil {
			t.Errorf("context %v decrypts to %q", context, []byte(got))
		}
	}
}

// Every bit counts: none can be changed, and nothing can be cut off or added.
func TestForgedCiphertexts(t *testing.T) {
	c := testCiphertext(t, nil)
	for i := range c.blob {
		for bit := range 8 {
			forged := slices.Clone(c.blob)
			forged[i] ^= 1 << bit
			parsed, err := parseCiphertext(forged)
			if err != nil {
				continue
			}
			// Also if the forged head leads to the same material.
			if _, err := parsed.open(testMaterial, nil); err == nil {
				t.Errorf("byte %d, bit %d: decrypts", i, bit)
			}
		}
	}
	for n := range len(c.blob) {
		if parsed, err := parseCiphertext(c.blob[:n]); err == nil {
			if _, err := parsed.open(testMaterial, nil); err == nil {
				t.Errorf("the first %d bytes decrypt", n)
			}
		}
	}
	parsed, err := parseCiphertext(append(slices.Clone(c.blob), 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.open(testMaterial, nil); err == nil {
		t.Error("with a byte more it decrypts")
	}
	if _, err := c.open(store.Secret(bytes.Repeat([]byte{8}, materialSize)), nil); err == nil {
		t.Error("other material decrypts")
	}
	if _, err := c.open("short", nil); err == nil {
		t.Error("short material decrypts")
	}
}

// storedCiphertext was made by the first version of this layout. What clients keep must
// be decrypted by every later one.
func storedCiphertext(tb testing.TB) []byte {
	tb.Helper()
	blob, err := hex.DecodeString("010f0e0d0c0b0a4908870605040302010000000003" + // layout, key, material
		"c353b14170935511602f223b2532dfc2" + "03160e05b16621fd7653ad15" + // salt, nonce
		"646cd275ba5d3192e4" + "505e3627becd46120d9118f8399b3658") // "plaintext", tag
	if err != nil {
		tb.Fatal(err)
	}
	return blob
}

func TestStoredCiphertext(t *testing.T) {
	c, err := parseCiphertext(storedCiphertext(t))
	if err != nil || c.keyID != testID || c.version != 3 {
		t.Fatalf("key %s, version %d, %v", c.keyID, c.version, err)
	}
	if got, err := c.open(testMaterial, nil); err != nil || string(got) != "plaintext" {
		t.Errorf("got %q, %v", []byte(got), err)
	}
}

func FuzzParseCiphertext(f *testing.F) {
	good := storedCiphertext(f)
	f.Add(good)
	f.Add(good[:offsetSealed+tagSize])
	f.Add(good[:offsetSealed+tagSize+1])
	f.Add([]byte{})
	f.Add([]byte{layoutVersion})
	noVersion := slices.Clone(good)
	copy(noVersion[offsetMaterial:], []byte{0, 0, 0, 0})
	f.Add(noVersion)
	largeVersion := slices.Clone(good)
	copy(largeVersion[offsetMaterial:], []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(largeVersion)
	newer := slices.Clone(good)
	newer[0]++
	f.Add(newer)
	f.Fuzz(func(t *testing.T, blob []byte) {
		c, err := parseCiphertext(blob)
		if err != nil {
			return
		}
		if len(blob) <= offsetSealed+tagSize || c.version < 1 || !uuidForm.MatchString(c.keyID) {
			t.Fatalf("parsed %x as key %s version %d", blob, c.keyID, c.version)
		}
		plaintext, err := c.open(testMaterial, nil)
		if err == nil && !bytes.Equal(blob, good) {
			t.Fatalf("forged: %x decrypts to %q", blob, []byte(plaintext))
		}
		// What it names makes the same head again.
		again, err := encrypt(c.keyID, c.version, testMaterial, nil, Plaintext("x"))
		if err != nil || !bytes.Equal(again[:offsetSalt], blob[:offsetSalt]) {
			t.Fatalf("head %x becomes %x, %v", blob[:offsetSalt], again[:offsetSalt], err)
		}
	})
}
