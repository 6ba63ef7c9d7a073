// Package console serves the pages that a person sees who opens the server's address
// in a browser. In this version that is one page, which says what the server is and
// how to open a session; it knows nothing about nodes or sessions and has no power.
//
// It promises pages that load nothing from elsewhere and run no script.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed landing.html style.css
var files embed.FS

// Config is what the pages show.
type Config struct {
	Region   string
	Endpoint string // "https://HOST:PORT"
}

// Console serves the pages.
type Console struct {
	pages map[string][]byte // by language
	style []byte
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
	c := &Console{style: style, pages: make(map[string][]byte)}
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

// ServeHTTP serves the landing page at "/", its style sheet, and "not found" elsewhere.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	// There is no Strict-Transport-Security: it is remembered for a host name on all
	// ports, and on localhost would break whatever else is developed there.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Cache-Control", "no-cache")

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
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
