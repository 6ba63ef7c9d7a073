package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"sekisho/internal/release"
)

//go:embed install.sh.tmpl
var installShell string

//go:embed install.ps1.tmpl
var installPowerShell string

// downloadTimeout bounds one download: a program over a line of 20 kB/s.
const downloadTimeout = 10 * time.Minute

// installer serves what a machine needs to join: scripts, programs, the authority. All of
// it is public.
type installer struct {
	dir    string // of the programs
	url    string
	region string
	ca     string // PEM; empty when the certificate is not the private authority's
	shell  *template.Template
	power  *template.Template
}

// newInstaller prepares to serve. url is how the server is reached, if it is known better
// than the configuration says.
func newInstaller(cfg config, url string) (*installer, error) {
	in := &installer{dir: filepath.Join(cfg.DataDir, agentsDir), url: url, region: cfg.Region}
	if in.url == "" {
		address, err := net.ResolveTCPAddr("tcp", cfg.Listen)
		if err != nil {
			return nil, err
		}
		in.url = cfg.publicURL(address)
	}
	if cfg.TLS.Certificate == "" {
		text, err := os.ReadFile(filepath.Join(cfg.DataDir, caCertFile))
		if err != nil {
			return nil, err
		}
		in.ca = string(text)
	}
	var err error
	in.shell, err = template.New("install.sh").Parse(installShell)
	if err != nil {
		return nil, err
	}
	in.power, err = template.New("install.ps1").Parse(installPowerShell)
	return in, err
}

// manifest is the list of programs, as it was published. The server's own disk is trusted;
// agents and scripts are not asked to.
func (in *installer) manifest() (release.Manifest, error) {
	text, err := os.ReadFile(filepath.Join(in.dir, agentsManifest))
	if err != nil {
		return release.Manifest{}, err
	}
	key, err := in.key()
	if err != nil {
		return release.Manifest{}, err
	}
	public, err := release.ParseKey(key)
	if err != nil {
		return release.Manifest{}, err
	}
	return release.Open(text, public)
}

func (in *installer) key() (string, error) {
	text, err := os.ReadFile(filepath.Join(in.dir, agentsPublicFile))
	return strings.TrimSpace(string(text)), err
}

// script fills one of the templates. It is the same for every request, so that its sum can
// be in a command.
func (in *installer) script(t *template.Template, m release.Manifest) ([]byte, error) {
	key, err := in.key()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		URL, Region, CA, Key, Version string
		Binaries                      []release.Binary
	}{in.url, in.region, strings.TrimSpace(in.ca), key, printable(m.Version), m.Binaries})
	return b.Bytes(), err
}

// printable keeps a release's name from meaning anything in a script.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-+_", r) {
			return r
		}
		return '_'
	}, name)
}

func (in *installer) unixCommand(m release.Manifest, id string) string {
	text, err := in.script(in.shell, m)
	if err != nil {
		return "# " + err.Error()
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("curl -fsSk %s/install.sh -o sekisho-install.sh && echo '%x  sekisho-install.sh' | sha256sum -c - && sudo sh sekisho-install.sh --id %s",
		in.url, sum, shellWord(id))
}

func (in *installer) windowsCommand(m release.Manifest, id string) string {
	text, err := in.script(in.power, m)
	if err != nil {
		return "# " + err.Error()
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("curl.exe -fsSk %s/install.ps1 -o sekisho-install.ps1; if ((Get-FileHash sekisho-install.ps1).Hash -eq '%s') { powershell -ExecutionPolicy Bypass -File sekisho-install.ps1 -Id %s } else { 'the script is not the one of this command' }",
		in.url, strings.ToUpper(hex.EncodeToString(sum[:])), id)
}

// has says whether a path is one of the installer's.
func (in *installer) has(path string) bool {
	return in != nil && (path == "/install.sh" || path == "/install.ps1" || path == "/ca.pem" || strings.HasPrefix(path, "/agents/"))
}

func (in *installer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch path := r.URL.Path; path {
	case "/install.sh":
		in.serveScript(w, r, in.shell)
	case "/install.ps1":
		in.serveScript(w, r, in.power)
	case "/ca.pem":
		if in.ca == "" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(in.ca))
	default:
		in.serveFile(w, r, strings.TrimPrefix(path, "/agents/"))
	}
}

func (in *installer) serveScript(w http.ResponseWriter, r *http.Request, t *template.Template) {
	m, err := in.manifest()
	var text []byte
	if err == nil {
		text, err = in.script(t, m)
	}
	if err != nil {
		http.Error(w, "This server has no programs of the agent to install: its operator publishes them with `sekishod agents publish`.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// serveFile serves a file that publish wrote, and nothing else.
func (in *installer) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	kind := "application/octet-stream"
	switch _, _, program := release.ParseFileName(name); {
	case name == agentsManifest:
		kind = "application/json"
	case name == agentsPublicFile:
		kind = "text/plain; charset=utf-8"
	case !program:
		http.NotFound(w, r)
		return
	}
	f, err := os.Open(filepath.Join(in.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	// Above the time for an answer of the API.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(downloadTimeout))
	w.Header().Set("Content-Type", kind)
	http.ServeContent(w, r, "", info.ModTime(), f)
}
