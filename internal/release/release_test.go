package release

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var list = Manifest{
	Version: "1.2.3", Published: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC),
	Binaries: []Binary{
		{Name: "sekisho-agent-linux-amd64", OS: "linux", Arch: "amd64", Size: 10, SHA256: strings.Repeat("0a", 32)},
		{Name: "sekisho-agent-windows-amd64.exe", OS: "windows", Arch: "amd64", Size: 11, SHA256: strings.Repeat("0b", 32)},
	},
}

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func TestSignedListIsOpened(t *testing.T) {
	text, err := Sign(list, key(1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(text, public(key(1)))
	if diff := cmp.Diff(list, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	b, ok := got.For("windows", "amd64")
	if _, none := got.For("plan9", "amd64"); !ok || none || b.Size != 11 {
		t.Errorf("%+v, %v, %v", b, ok, none)
	}
}

func TestWhatIsNotSignedIsRefused(t *testing.T) {
	text, err := Sign(list, key(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text, public(key(2))); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Open(text, nil); !errors.Is(err, ErrSignature) {
		t.Errorf("no key: %v", err)
	}
	for i := range text {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if m, err := Open(bad, public(key(1))); err == nil && !cmp.Equal(m, list) {
			t.Fatalf("byte %d changed: %+v", i, m)
		}
	}
	if _, err := Open(make([]byte, MaxManifest+1), public(key(1))); !errors.Is(err, ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
}

func TestImpossibleListsAreNotSigned(t *testing.T) {
	for name, change := range map[string]func(*Binary){
		"a path":      func(b *Binary) { b.Name = "../sekisho-agent-linux-amd64" },
		"other name":  func(b *Binary) { b.Arch = "arm64" },
		"no sum":      func(b *Binary) { b.SHA256 = "" },
		"no size":     func(b *Binary) { b.Size = 0 },
		"a huge size": func(b *Binary) { b.Size = MaxBinary + 1 },
	} {
		b := list.Binaries[0]
		change(&b)
		if _, err := Sign(Manifest{Binaries: []Binary{b}}, key(1)); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestFileNames(t *testing.T) {
	for _, name := range []string{"sekisho-agent-linux-arm64", "sekisho-agent-windows-amd64.exe"} {
		os, arch, ok := ParseFileName(name)
		if !ok || FileName(os, arch) != name {
			t.Errorf("%s: %s, %s, %v", name, os, arch, ok)
		}
	}
	for _, name := range []string{"sekisho-agent-windows-amd64", "sekisho-agent-linux-amd64.exe", "sekisho-agent", "../sekisho-agent-linux-amd64", "sekisho-agent-linux-amd64\n"} {
		if _, _, ok := ParseFileName(name); ok {
			t.Errorf("%q is taken", name)
		}
	}
}

func TestKeyText(t *testing.T) {
	got, err := ParseKey(EncodeKey(public(key(3))) + "\n")
	if err != nil || !got.Equal(public(key(3))) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseKey("c2hvcnQ="); err == nil {
		t.Error("a short key is taken")
	}
}

func FuzzOpen(f *testing.F) {
	text, _ := Sign(list, key(1))
	f.Add(text)
	f.Add([]byte(`{"Manifest":"e30=","Signature":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Open(text, public(key(1)))
		if err == nil && !cmp.Equal(m, list) {
			t.Errorf("opened %+v", m)
		}
	})
}
