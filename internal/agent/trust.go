package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// expiryGrace is how long after its end a certificate of the pinned authority is still
// taken: a machine whose clock is a day ahead must not be locked out by that.
const expiryGrace = 48 * time.Hour

// pinnedTrust trusts certificates of the given authorities alone, and bears a wrong clock
// of this machine. That a certificate begins in the future says only that the clock is
// behind: nobody but the authority could have made it. That it has ended is borne for
// expiryGrace. Names and signatures are checked as ever.
func pinnedTrust(pem string, now func() time.Time) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("the registration's certificate authority is no PEM certificate")
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection takes the place of the library's check
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(roots, state.PeerCertificates, state.ServerName, now())
		},
	}, nil
}

// verifyPinned checks a chain, its leaf first, at this machine's time or, if that cannot be
// right, at the time nearest to it in which the chain holds.
func verifyPinned(roots *x509.CertPool, chain []*x509.Certificate, name string, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	for _, c := range chain {
		if c.NotAfter.Before(options.CurrentTime) && now.Sub(c.NotAfter) <= expiryGrace {
			options.CurrentTime = c.NotAfter
		}
	}
	for _, c := range chain {
		if c.NotBefore.After(options.CurrentTime) {
			options.CurrentTime = c.NotBefore
		}
	}
	_, err := chain[0].Verify(options)
	return err
}
