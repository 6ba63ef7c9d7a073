package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func leaf(t *testing.T, c tls.Certificate) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func testAuthority(t *testing.T, dir string, now time.Time) *authority {
	t.Helper()
	ca, err := openAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestServerCertificateIsTrustedForItsNames(t *testing.T) {
	now := time.Now()
	ca := testAuthority(t, t.TempDir(), now)
	cfg := config{Region: "local-1", PublicNames: []string{"a.example", "10.0.0.5"}, ServiceDomain: "ssm.example.net"}
	made, _, err := ca.serverCertificate(cfg.certNames(), now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	cert := leaf(t, made)
	for _, name := range []string{
		"localhost", "127.0.0.1", "::1", "a.example", "10.0.0.5",
		"ssmmessages.local-1.ssm.example.net", "bucket.s3.local-1.ssm.example.net",
	} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"b.example", "10.0.0.6", "ssm.example.net", "x.y.local-1.ssm.example.net"} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err == nil {
			t.Errorf("%s is covered", name)
		}
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key is %T, want ECDSA P-256", cert.PublicKey)
	}
	if got := cert.NotAfter.Sub(now).Round(time.Hour); got != certLifetime {
		t.Errorf("lasts %v, want %v", got, certLifetime)
	}
	if cert.IsCA || !ca.cert.IsCA {
		t.Errorf("CA flags: server %v, CA %v", cert.IsCA, ca.cert.IsCA)
	}
}

func TestServerCertificateIsRenewedWhenNeeded(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	names := (&config{Region: "local-1"}).certNames()
	moreNames := (&config{Region: "local-1", PublicNames: []string{"a.example"}}).certNames()
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		names   []string
		at      time.Time
		renewed string // part of the reason; empty for the same certificate
	}{
		{name: "nothing changed", names: names, at: now.Add(24 * time.Hour)},
		{name: "31 days left", names: names, at: now.Add(certLifetime - 31*24*time.Hour)},
		{name: "29 days left", names: names, at: now.Add(certLifetime - 29*24*time.Hour), renewed: "it ends on"},
		{name: "ended", names: names, at: now.Add(certLifetime + time.Hour), renewed: "it ends on"},
		{name: "a name more", names: moreNames, at: now, renewed: "names"},
		{name: "crash between key and certificate", names: names, at: now, renewed: "do not match", prepare: func(t *testing.T, dir string) {
			other := testAuthority(t, t.TempDir(), now)
			if _, _, err := other.serverCertificate(names, now); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(other.dir, serverKeyFile), filepath.Join(dir, serverKeyFile)); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "another CA", names: names, at: now, renewed: "another CA", prepare: func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, caCertFile))
			os.Remove(filepath.Join(dir, caKeyFile))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			first, why, err := testAuthority(t, dir, now).serverCertificate(names, now)
			if err != nil || why == "" {
				t.Fatalf("first: %q, %v", why, err)
			}
			if test.prepare != nil {
				test.prepare(t, dir)
			}
			second, why, err := testAuthority(t, dir, test.at).serverCertificate(test.names, test.at)
			if err != nil {
				t.Fatal(err)
			}
			if test.renewed == "" && why != "" || !strings.Contains(why, test.renewed) {
				t.Errorf("reason is %q, want %q", why, test.renewed)
			}
			if same := bytes.Equal(first.Certificate[0], second.Certificate[0]); same != (test.renewed == "") {
				t.Errorf("same certificate: %v", same)
			}
			if diff := cmp.Diff(test.names, subjectNames(leaf(t, second))); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			// The next start finds it.
			if _, why, err := testAuthority(t, dir, test.at).serverCertificate(test.names, test.at); err != nil || why != "" {
				t.Errorf("once more: %q, %v", why, err)
			}
		})
	}
}

func TestCertificateNeverOutlivesItsCA(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ca := testAuthority(t, t.TempDir(), now)
	names := []string{"localhost"}
	late := ca.cert.NotAfter.Add(-100 * 24 * time.Hour)
	made, _, err := ca.serverCertificate(names, late)
	if err != nil {
		t.Fatal(err)
	}
	if cert := leaf(t, made); cert.NotAfter.After(ca.cert.NotAfter) {
		t.Errorf("ends %v, the CA %v", cert.NotAfter, ca.cert.NotAfter)
	}
	_, _, err = ca.serverCertificate(names, ca.cert.NotAfter.Add(-24*time.Hour))
	if err == nil || !strings.Contains(err.Error(), "private CA ends on") {
		t.Errorf("on the CA's last day: got %v, want an error that says so", err)
	}
}

func TestKeysArePrivate(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := testAuthority(t, dir, time.Now()).serverCertificate([]string{"localhost"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{caKeyFile: 0o600, serverKeyFile: 0o600, caCertFile: 0o644, serverCertFile: 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestCABundle(t *testing.T) {
	dir := t.TempDir()
	present := filepath.Join(dir, "roots.crt")
	if err := os.WriteFile(present, []byte("ROOTS\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := string(caBundle([]string{dir + "/absent", present, dir + "/absent"}, []byte("OURS\n"))), "ROOTS\nOURS\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(caBundle([]string{dir + "/absent"}, []byte("OURS\n"))); got != "OURS\n" {
		t.Errorf("without system roots: got %q", got)
	}
}
