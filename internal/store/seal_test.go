package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func testSealer() *sealer { return newSealer(bytes.Repeat([]byte{7}, MasterKeySize)) }

func TestSealedValueOpensOnlyInItsPlace(t *testing.T) {
	s := testSealer()
	for _, secret := range []Secret{"", "x", "wJalrXUtnFEMI/K7MDENG"} {
		sealed := s.close(secret, "here")
		got, err := s.open(sealed, "here")
		if err != nil || got != secret {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, secret.Reveal())
		}
		if _, err := s.open(sealed, "there"); err == nil {
			t.Error("it opened in another place")
		}
		if bytes.Equal(sealed, s.close(secret, "here")) {
			t.Error("sealing twice gives the same bytes")
		}
		if _, err := newSealer(bytes.Repeat([]byte{8}, MasterKeySize)).open(sealed, "here"); err == nil {
			t.Error("it opened with another master key")
		}
	}
}

// sealedGolden is "secret" sealed for "here" by the first release: later ones must open
// what it sealed.
const sealedGolden = "01dcc4dc38ea8b3d1047d7f0f7f07743970a5728f6d8e64bd0466cf7a3978fb1de523b94ee27c5482a6bda59893e1d"

func FuzzSealedValue(f *testing.F) {
	s := testSealer()
	good, err := hex.DecodeString(sealedGolden)
	if err != nil {
		f.Fatal(err)
	}
	if got, err := s.open(good, "here"); err != nil || got != "secret" {
		f.Fatalf("the first release's sealed value: %q, %v", got.Reveal(), err)
	}
	f.Add([]byte(nil))
	f.Add([]byte{sealVersion})
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append([]byte{2}, good[1:]...))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		got, err := s.open(sealed, "here")
		if err == nil && (got != "secret" || !bytes.Equal(sealed, good)) {
			t.Fatalf("%x opened", sealed)
		}
	})
}

func TestSecretIsNeverShown(t *testing.T) {
	const text = "hunter2"
	secret := Secret(text)
	holder := struct {
		Key   string
		Inner *AccessKey
		List  []Secret
		Map   map[string]Secret
	}{"k", &AccessKey{Secret: secret}, []Secret{secret}, map[string]Secret{"a": secret}}
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s", "%z"} {
		fmt.Fprintf(&shown, verb+"\n", secret)
		fmt.Fprintf(&shown, verb+"\n", &secret)
		fmt.Fprintf(&shown, verb+"\n", *holder.Inner)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%d"} {
		fmt.Fprintf(&shown, verb+"\n", holder)
		fmt.Fprintf(&shown, verb+"\n", &holder)
	}
	fmt.Fprintln(&shown, secret, fmt.Sprint(secret), secret.String())
	fmt.Fprintln(&shown, fmt.Errorf("key %s: %v", secret, holder))
	for _, v := range []any{secret, holder} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "secret", secret, "holder", holder)
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "secret", secret, "holder", holder)
	for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("%q is shown in:\n%s", form, shown.String())
		}
	}
	if secret.Reveal() != text {
		t.Error("Reveal does not")
	}
}
