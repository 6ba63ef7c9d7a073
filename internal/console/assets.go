package console

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// asset is a file of the built console.
type asset struct {
	contentType string
	plain       []byte
	gzipped     []byte // nil if it does not get smaller
}

// Built gives the files of the console that were embedded; nil if it was not built.
func Built() fs.FS {
	if _, err := fs.Stat(dist, "dist/app/index.html"); err != nil {
		return nil
	}
	app, err := fs.Sub(dist, "dist/app")
	if err != nil {
		return nil
	}
	return app
}

// readAssets compresses every file once.
func readAssets(files fs.FS) (map[string]asset, error) {
	assets := make(map[string]asset)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		plain, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		a := asset{contentType: mime.TypeByExtension(path.Ext(name)), plain: plain}
		if strings.HasSuffix(name, ".js") { // whatever this machine's tables say
			a.contentType = "text/javascript; charset=utf-8"
		}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is right
		z.Write(plain)
		z.Close()
		if b.Len() < len(plain)*9/10 {
			a.gzipped = b.Bytes()
		}
		assets["/"+name] = a
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("files of the console: %w", err)
	}
	return assets, nil
}

// serve sends the asset. Those whose names have a hash of their content never change.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	header.Set("Vary", "Accept-Encoding")
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := a.plain
	if a.gzipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		body = a.gzipped
	}
	w.Write(body)
}
