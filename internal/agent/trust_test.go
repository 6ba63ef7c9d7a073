package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// A clock that is wrong by a day keeps no node out; everything else about a certificate
// must be right, and an end that is long past is an end.
func TestPinnedAuthorityBearsAWrongClock(t *testing.T) {
	now := time.Now()
	begin, end := now.Add(-time.Hour), now.Add(365*24*time.Hour)
	ca, caKey := certificate(t, nil, nil, begin, end)
	other, otherKey := certificate(t, nil, nil, begin, end)
	leaf, _ := certificate(t, ca, caKey, begin, now.Add(90*24*time.Hour))
	foreign, _ := certificate(t, other, otherKey, begin, end)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	day := 24 * time.Hour
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		host  string
		clock time.Duration // of this machine, against the true time
		good  bool
	}{
		{"right", []*x509.Certificate{leaf}, "ssm.example.net", 0, true},
		{"a day behind", []*x509.Certificate{leaf}, "ssm.example.net", -day, true},
		{"in 1990", []*x509.Certificate{leaf}, "ssm.example.net", -36 * 365 * day, true},
		{"a day ahead at its end", []*x509.Certificate{leaf}, "ssm.example.net", 91 * day, true},
		{"a week after its end", []*x509.Certificate{leaf}, "ssm.example.net", 97 * day, false},
		{"another name", []*x509.Certificate{leaf}, "www.example.net", 0, false},
		{"another name, behind", []*x509.Certificate{leaf}, "www.example.net", -day, false},
		{"another authority", []*x509.Certificate{foreign}, "ssm.example.net", 0, false},
		{"another authority, behind", []*x509.Certificate{foreign, other}, "ssm.example.net", -day, false},
		{"none", nil, "ssm.example.net", 0, false},
	} {
		if err := verifyPinned(roots, c.chain, c.host, now.Add(c.clock)); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// certificate makes an authority, or with a parent a server's certificate.
func certificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, begin, end time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: begin, NotAfter: end,
		Subject: pkix.Name{CommonName: "test"}, BasicConstraintsValid: true,
	}
	signer := key
	if parent == nil {
		parent, template.IsCA, template.KeyUsage = template, true, x509.KeyUsageCertSign
	} else {
		signer, template.DNSNames = parentKey, []string{"ssm.example.net"}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
