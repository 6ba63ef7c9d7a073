package blob

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"sekisho/internal/sigv4"
)

// Access is with what services outside are reached.
type Access struct {
	// File has the access key, as in ~/.aws/credentials; its first profile counts. Empty
	// means the environment, by the names that AWS's programs have for it.
	File string
	// CA is a PEM file of authorities that certificates may come from beside the system's.
	CA string
}

// maxCredentials bounds the file, in bytes.
const maxCredentials = 64 << 10

// Credentials gives the access key.
func (a Access) Credentials() (sigv4.Credentials, error) {
	if a.File == "" {
		c := sigv4.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return c, errors.New("there is no access key: neither sinks.credentials nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set")
		}
		return c, nil
	}
	text, err := os.ReadFile(a.File)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	if len(text) > maxCredentials {
		return sigv4.Credentials{}, fmt.Errorf("%s is longer than %d bytes", a.File, maxCredentials)
	}
	c := parseCredentials(string(text))
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, fmt.Errorf("%s has no aws_access_key_id and aws_secret_access_key", a.File)
	}
	return c, nil
}

// parseCredentials reads the first profile of a file.
func parseCredentials(text string) sigv4.Credentials {
	var c sigv4.Credentials
	profiles := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			if profiles++; profiles > 1 {
				break
			}
		}
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			c.AccessKeyID = value
		case "aws_secret_access_key":
			c.SecretAccessKey = value
		case "aws_session_token":
			c.SessionToken = value
		}
	}
	return c
}

// answerPatience is how long a service may take to answer when it has all of a request.
const answerPatience = 5 * time.Minute

// Client makes a client that trusts CA too.
func (a Access) Client() (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if a.CA != "" {
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no PEM certificate", a.CA)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: answerPatience,
			IdleConnTimeout:       time.Minute,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
