package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Files of the private CA in the data directory.
const (
	caCertFile     = "ca.pem"
	caKeyFile      = "ca.key"
	serverCertFile = "server.pem"
	serverKeyFile  = "server.key"
)

const (
	caLifetime = 10 * 365 * 24 * time.Hour
	// certLifetime is the longest that Apple's platforms accept of a server
	// certificate whose CA the user added.
	certLifetime = 825 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is renewed at start.
	renewBefore = 30 * 24 * time.Hour
	// backdate is how far a certificate's start lies in the past, for nodes whose
	// clocks are behind.
	backdate = time.Hour
)

// authority is the private CA. It signs server certificates only.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// openAuthority loads the CA of dir, or makes it if there is none.
func openAuthority(dir string, now time.Time) (*authority, error) {
	certPath, keyPath := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	certs, err := readCertificates(certPath)
	if errors.Is(err, os.ErrNotExist) {
		return newAuthority(dir, now)
	}
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyPath)
	if err != nil {
		return nil, fmt.Errorf("key of the private CA: %w", err)
	}
	ca := &authority{dir: dir, cert: certs[0], key: key}
	if !ca.cert.IsCA || !ca.cert.PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) {
		return nil, fmt.Errorf("%s and %s are not one CA", certPath, keyPath)
	}
	return ca, nil
}

// newAuthority makes a CA. The key is written first: a certificate without its key
// could not be told from a CA whose key is kept elsewhere.
func newAuthority(dir string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial number in the name tells the CAs of two deployments apart in a
		// bundle that holds both.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("Sekisho private CA %x", serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the private CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(dir, caKeyFile), key); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, caCertFile), encodeCertificate(der), 0o644); err != nil {
		return nil, err
	}
	return &authority{dir: dir, cert: cert, key: key}, nil
}

// certNames are the subject alternative names that a configuration asks for.
func (c *config) certNames() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, c.PublicNames...)
	if c.ServiceDomain != "" {
		zone := c.Region + "." + c.ServiceDomain
		names = append(names, "*."+zone, "*.s3."+zone)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// serverCertificate gives the server's certificate: the stored one if it is this CA's,
// covers exactly names and lasts, else a new one. The second result says why it is new.
func (ca *authority) serverCertificate(names []string, now time.Time) (tls.Certificate, string, error) {
	certPath, keyPath := filepath.Join(ca.dir, serverCertFile), filepath.Join(ca.dir, serverKeyFile)
	why, err := ca.renewal(certPath, names, now)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	if why == "" {
		if cert, err := tls.LoadX509KeyPair(certPath, keyPath); err == nil {
			return cert, "", nil
		}
		// Such as a crash between the two writes below.
		why = "certificate and key do not match"
	}
	cert, err := ca.issue(certPath, keyPath, names, now)
	return cert, why, err
}

// renewal says why the certificate at path must be made anew, or "".
func (ca *authority) renewal(path string, names []string, now time.Time) (string, error) {
	certs, err := readCertificates(path)
	if errors.Is(err, os.ErrNotExist) {
		return "there was none", nil
	}
	if err != nil {
		return "", err
	}
	cert := certs[0]
	switch {
	case cert.CheckSignatureFrom(ca.cert) != nil:
		return "it was another CA's", nil
	case cert.NotAfter.Sub(now) < renewBefore:
		return "it ends on " + cert.NotAfter.Format(time.DateOnly), nil
	case !slices.Equal(subjectNames(cert), names):
		return "its names have changed", nil
	}
	return "", nil
}

func (ca *authority) issue(certPath, keyPath string, names []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: "sekishod"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(certLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if template.NotAfter.After(ca.cert.NotAfter) {
		template.NotAfter = ca.cert.NotAfter
	}
	if template.NotAfter.Sub(now) < renewBefore {
		return tls.Certificate{}, fmt.Errorf("the private CA ends on %s: move %s and %s away to get a new one, and give ca.pem to nodes and clients again",
			ca.cert.NotAfter.Format(time.DateOnly), caCertFile, caKeyFile)
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue the server certificate: %w", err)
	}
	if err := writeKey(keyPath, key); err != nil {
		return tls.Certificate{}, err
	}
	if err := writeFile(certPath, encodeCertificate(der), 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// subjectNames are the subject alternative names of a certificate, sorted.
func subjectNames(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return names
}

func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x7f | 0x40 // positive, and never shorter than 16 bytes
	return new(big.Int).SetBytes(b[:])
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readKey(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an ECDSA key", path)
	}
	return signer, nil
}

// readCertificates reads a PEM file of one or more certificates.
func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s: no certificate", path)
	}
	return certs, nil
}

// systemRootFiles are where the operating systems keep their root certificates as one
// PEM file (the list of crypto/x509).
func systemRootFiles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/pki/tls/certs/ca-bundle.crt",                  // older Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/ssl/cert.pem",                                 // macOS, FreeBSD
	}
}

// caBundle is the first of rootFiles that exists, and our CA. Without any, our CA alone.
func caBundle(rootFiles []string, ours []byte) []byte {
	for _, path := range rootFiles {
		if roots, err := os.ReadFile(path); err == nil {
			return slices.Concat(bytes.TrimRight(roots, "\n"), []byte("\n"), ours)
		}
	}
	return ours
}
