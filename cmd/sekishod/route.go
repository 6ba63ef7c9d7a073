package main

import (
	"net/http"
	"strings"

	"sekisho/internal/s3"
)

// s3Domains are the names below which buckets have names of their own.
func (c *config) s3Domains() []string {
	if c.ServiceDomain == "" {
		return nil
	}
	return []string{"s3." + c.Region + "." + strings.ToLower(c.ServiceDomain)}
}

// routes are the parts of the server behind its one port.
type routes struct {
	gateway http.Handler // control and data channels
	s3      *s3.Server   // buckets and objects
	api     http.Handler // AWS JSON and Query
	console http.Handler // what a browser asks for
	install *installer   // what a machine needs to join; nil in tests of the rest
}

// ServeHTTP tells the parts apart by what the request says, never by its host name:
// clients come by any of them (api.md §1.1).
func (p routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/control-channel/"), strings.HasPrefix(r.URL.Path, "/v1/data-channel/"):
		p.gateway.ServeHTTP(w, r)
	case p.s3.Matches(r):
		p.s3.ServeHTTP(w, r)
	case isAPI(r):
		p.api.ServeHTTP(w, r)
	case p.install.has(r.URL.Path):
		p.install.ServeHTTP(w, r)
	case r.URL.Path == "/health":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write([]byte("ok\n"))
	default:
		p.console.ServeHTTP(w, r)
	}
}

// isAPI recognises a request of the API. An unsigned POST to "/" counts too: such is
// the registration of a node, and other clients expect the API's error.
func isAPI(r *http.Request) bool {
	return r.Header.Get("X-Amz-Target") != "" ||
		strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") ||
		r.Method == http.MethodPost && r.URL.Path == "/" ||
		strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") ||
		r.URL.Path == "/" && r.URL.Query().Has("Action")
}
