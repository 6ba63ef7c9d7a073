package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTest initialises a deployment and serves it on a free port.
func startTest(t *testing.T) (*server, *http.Client) {
	t.Helper()
	cfg := defaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg, _, err := initialise(t.Context(), t.TempDir(), cfg, nil, time.Now(), testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), cfg, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s, trusting(t, cfg.DataDir)
}

// trusting is a client that trusts only the CA in dir.
func trusting(t *testing.T, dir string) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(dir, caCertFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestOnePortServesAllParts(t *testing.T) {
	s, client := startTest(t)
	for _, test := range []struct {
		method, path, target, body string
		status                     int
		want                       string
	}{
		{"GET", "/health", "", "", 200, "ok"},
		{"GET", "/", "", "", 200, "<html"},
		{"GET", "/nothing", "", "", 404, "not found"},
		{"POST", "/", "AmazonSSM.DescribeSessions", "{}", 400, "MissingAuthenticationToken"},
		{"POST", "/", "AmazonSSM.RegisterManagedInstance", "{}", 400, "ValidationException"},
		{"POST", "/", "AmazonSSM.NoSuchThing", "{}", 400, "UnknownOperationException"},
		{"GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", "", 403, "MissingAuthenticationToken"},
		{"POST", "/v1/control-channel/mi-0123456789abcdef0", "", "{}", 0, ""},
	} {
		r, err := http.NewRequest(test.method, s.url+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		if test.target != "" {
			r.Header.Set("X-Amz-Target", test.target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if test.status == 0 { // the gateway's refusal, whatever its text
			if answer.StatusCode < 400 || strings.Contains(string(body), "not found") {
				t.Errorf("%s %s: got %d %s", test.method, test.path, answer.StatusCode, body)
			}
			continue
		}
		if answer.StatusCode != test.status || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %s %s: got %d %s, want %d with %q", test.method, test.path, test.target, answer.StatusCode, body, test.status, test.want)
		}
		if answer.ProtoMajor != 2 {
			t.Errorf("%s: got %s, want HTTP/2", test.path, answer.Proto)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	s, _ := startTest(t)
	address := s.listener.Addr().String()
	if conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is accepted")
	}
	// Websocket clients offer no ALPN or http/1.1.
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
}

func TestIsAPI(t *testing.T) {
	for _, test := range []struct {
		method, target, header, value string
		want                          bool
	}{
		{"POST", "/", "X-Amz-Target", "AmazonSSM.StartSession", true},
		{"POST", "/", "Content-Type", "application/x-www-form-urlencoded", true},
		{"GET", "/?Action=GetCallerIdentity", "", "", true},
		{"GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a", "", "", true},
		{"GET", "/bucket/key", "Authorization", "AWS4-HMAC-SHA256 Credential=a", true},
		{"GET", "/", "", "", false},
		{"GET", "/?lang=ja", "", "", false},
		{"GET", "/x?Action=1", "", "", false},
		{"POST", "/login", "", "", false},
		{"GET", "/", "Authorization", "Basic eA==", false},
	} {
		r := httptest.NewRequest(test.method, test.target, nil)
		if test.header != "" {
			r.Header.Set(test.header, test.value)
		}
		if got := isAPI(r); got != test.want {
			t.Errorf("%s %s %s: got %v", test.method, test.target, test.header, got)
		}
	}
}

func TestPortInUseIsExplained(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = listen(taken.Addr().String())
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()+" is in use") {
		t.Errorf("got %v", err)
	}
}

func TestDatabaseOfAnotherRegionOrAccountIsRefused(t *testing.T) {
	cfg, _, err := initialise(t.Context(), t.TempDir(), defaultConfig(), nil, time.Now(), testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = "127.0.0.1:0"
	for _, test := range []struct {
		change func(*config)
		want   string
	}{
		{func(c *config) { c.Region = "tokyo-1" }, `region is "tokyo-1", but the database was made for "local-1"`},
		{func(c *config) { c.Account = "999999999999" }, `account is "999999999999", but`},
	} {
		changed := cfg
		test.change(&changed)
		if _, err := startServer(t.Context(), changed, testLogger(t)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestServeStopsAtASignal(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := runCommand(t, "init", "--dir", dir, "--listen", "127.0.0.1:0"); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	ctx := cancelled(t, syscall.SIGTERM)
	// The work before serving must not be cut by the signal's context here.
	cfg, err := loadConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(context.WithoutCancel(ctx), cfg, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	client := trusting(t, dir)
	if answer, err := client.Get(s.url + "/health"); err != nil {
		t.Fatal(err)
	} else {
		answer.Body.Close()
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := client.Get(s.url + "/health"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the stop: got %v, want connection refused", err)
	}
}
