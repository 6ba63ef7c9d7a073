// Package console is the web console: it signs people in, and lets their browser call the
// operations of the API as the user who signed in. It has no power of its own: what a
// page shows and does is an operation, with the same authorization, the same errors and
// the same event in the audit trail as when the aws CLI calls it.
//
// It promises pages that load nothing from elsewhere, run no script but their own, and
// do nothing that another site's page asked for. A server that was built without the
// console shows a page that says so.
package console

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
)

//go:embed landing.html style.css
var files embed.FS

// Config is what the pages show and what they call.
type Config struct {
	Region   string
	Endpoint string // "https://HOST:PORT"

	Assets     fs.FS // the built console, of [Built]; nil means only the page that says so
	Auth       *auth.Auth
	Operations []awsapi.Operation
	// Observe is told of every call of an operation, Record of every sign-in.
	Observe func(ctx context.Context, result awsapi.Result)
	Record  func(ctx context.Context, action string, in, out any, err error)
	OIDC    *OIDC        // a provider to sign in by; nil means none
	Logger  *slog.Logger // nil means none
}

// Console serves the pages.
type Console struct {
	cfg    Config
	pages  map[string][]byte // by language
	style  []byte
	assets map[string]asset // by path; nil if the console was not built
	api    http.Handler
	// federation signs people in by a provider; nil for none.
	federation *federation
}

// New makes a console.
func New(cfg Config) (*Console, error) {
	layout, err := template.ParseFS(files, "landing.html")
	if err != nil {
		return nil, fmt.Errorf("landing page: %w", err)
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Console{cfg: cfg, style: style, pages: make(map[string][]byte)}
	if cfg.OIDC != nil {
		c.federation = newFederation(*cfg.OIDC)
	}
	if cfg.Assets != nil {
		if c.assets, err = readAssets(cfg.Assets); err != nil {
			return nil, err
		}
		c.api, err = awsapi.New(awsapi.Config{Services: jsonServices(), Operations: cfg.Operations,
			Authenticate: authenticate, Observe: cfg.Observe, Logger: cfg.Logger})
		if err != nil {
			return nil, err
		}
	}
	for language, text := range texts() {
		var page bytes.Buffer
		err := layout.Execute(&page, struct {
			Config
			Text  landingText
			Other string
		}{cfg, text, other(language)})
		if err != nil {
			return nil, fmt.Errorf("landing page: %w", err)
		}
		c.pages[language] = page.Bytes()
	}
	return c, nil
}

const (
	landingPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// appPolicy allows what the built console is made of. Fonts are in its style sheet.
	appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

// ServeHTTP serves the console, or the landing page at "/" where it was not built.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	// There is no Strict-Transport-Security: it is remembered for a host name on all
	// ports, and on localhost would break whatever else is developed there.
	header.Set("Content-Security-Policy", landingPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Cache-Control", "no-cache")

	if c.assets != nil && strings.HasPrefix(r.URL.Path, "/console/") {
		if strings.HasPrefix(r.URL.Path, oidcPath) {
			c.serveOIDC(w, r)
			return
		}
		c.serveAPI(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if c.assets != nil {
		if page := pageOfOutput(r.URL); page != "" {
			http.Redirect(w, r, page, http.StatusFound)
			return
		}
		header.Set("Content-Security-Policy", appPolicy)
		name := r.URL.Path
		if name == "/" {
			name = "/index.html"
		}
		if a, ok := c.assets[name]; ok {
			a.serve(w, r)
			return
		}
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	switch r.URL.Path {
	case "/":
		language := r.URL.Query().Get("lang")
		if c.pages[language] == nil {
			language = preferred(r.Header.Get("Accept-Language"))
		}
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Language", language)
		header.Set("Vary", "Accept-Language")
		w.Write(c.pages[language])
	case "/style.css":
		header.Set("Content-Type", "text/css; charset=utf-8")
		w.Write(c.style)
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}

func other(language string) string {
	if language == "ja" {
		return "en"
	}
	return "ja"
}
