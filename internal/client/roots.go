package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"sekisho/internal/batch"
	"time"
)

// dialTimeout bounds the opening of a TCP connection.
const dialTimeout = 10 * time.Second

// HTTPClient makes the client that reaches the service and the gateway. It trusts
// the system's roots and, if bundle names a PEM file, those in it as well (the AWS
// CLI's AWS_CA_BUNDLE, or ca_bundle of its profile). Proxies are those of the
// environment. Redirects are not followed: nothing here has a reason to redirect,
// and what is sent is secret.
func HTTPClient(bundle string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if bundle != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool() // a system without roots: the bundle must do
		}
		pem, err := os.ReadFile(bundle)
		if err != nil {
			return nil, fmt.Errorf("read CA bundle: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA bundle: %s holds no PEM certificate", bundle)
		}
		config.RootCAs = roots
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return batch.New(c), nil
			},
			TLSClientConfig:     config, // without HTTP/2: a websocket needs HTTP/1.1
			TLSHandshakeTimeout: dialTimeout,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
