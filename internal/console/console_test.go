package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func newConsole(t *testing.T) *Console {
	t.Helper()
	c, err := New(Config{Region: "local-1", Endpoint: "https://127.0.0.1:8443"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(c *Console, method, target, acceptLanguage string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Accept-Language", acceptLanguage)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestLandingPageSpeaksTheReadersLanguage(t *testing.T) {
	c := newConsole(t)
	for _, test := range []struct{ target, accept, language, text string }{
		{"/", "", "en", "built without the web console"},
		{"/", "ja,en-US;q=0.7,en;q=0.3", "ja", "ウェブコンソールなしで"},
		{"/?lang=en", "ja", "en", "built without the web console"},
		{"/?lang=ja", "en", "ja", "ウェブコンソールなしで"},
		{"/?lang=xx", "ja", "ja", "ウェブコンソールなしで"},
	} {
		w := get(c, "GET", test.target, test.accept)
		if w.Code != http.StatusOK || w.Header().Get("Content-Language") != test.language {
			t.Errorf("%s for %q: got %d in %q, want 200 in %q", test.target, test.accept, w.Code, w.Header().Get("Content-Language"), test.language)
		}
		for _, want := range []string{test.text, "local-1", "https://127.0.0.1:8443", `lang="` + test.language + `"`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s for %q: %q is missing", test.target, test.accept, want)
			}
		}
	}
}

func TestPreferredLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"":                       "en",
		"fr":                     "en",
		"ja":                     "ja",
		"ja-JP":                  "ja",
		"JA-jp, en":              "ja",
		"en, ja":                 "en",
		"en;q=0.5, ja;q=0.9":     "ja",
		"fr, ja;q=0.1":           "ja",
		"ja;q=0, en;q=0.1":       "en",
		"ja;q=x":                 "en",
		",;,q=1;;;ja;q=1, en;q=": "en",
	} {
		if got := preferred(header); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

// Every answer carries the headers, also an error.
func TestSecurityHeaders(t *testing.T) {
	c := newConsole(t)
	for _, target := range []string{"/", "/style.css", "/nothing-here"} {
		w := get(c, "GET", target, "")
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'",
			"X-Content-Type-Options":  "nosniff",
			"X-Frame-Options":         "DENY",
			"Referrer-Policy":         "no-referrer",
		} {
			if got := w.Header().Get(name); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q, want %q in it", target, name, got, want)
			}
		}
	}
}

func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	c := newConsole(t)
	load := regexp.MustCompile(`(?i)<script|<img|<iframe|style=|\son[a-z]+=|@import|url\(|(?:src|href)="(?:https?:)?//`)
	for _, target := range []string{"/?lang=en", "/?lang=ja", "/style.css"} {
		if found := load.FindString(get(c, "GET", target, "").Body.String()); found != "" {
			t.Errorf("%s has %q", target, found)
		}
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	c := newConsole(t)
	if w := get(c, "GET", "/nothing-here", ""); w.Code != http.StatusNotFound {
		t.Errorf("unknown path: got %d, want 404", w.Code)
	}
	if w := get(c, "POST", "/", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %d allowing %q", w.Code, w.Header().Get("Allow"))
	}
	if w := get(c, "GET", "/style.css", ""); w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: got %d, %q", w.Code, w.Header().Get("Content-Type"))
	}
}
