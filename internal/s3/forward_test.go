package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"sekisho/internal/blob"
)

// access is how w is reached from outside as alice.
func (w *world) access() blob.Access {
	w.t.Helper()
	c := credentials("alice")
	file := filepath.Join(w.t.TempDir(), "credentials")
	must(w.t, os.WriteFile(file, []byte("[default]\naws_access_key_id = "+c.AccessKeyID+"\naws_secret_access_key = "+c.SecretAccessKey+"\n"), 0o600))
	return blob.Access{File: file, CA: w.caFile()}
}

// Objects go to another service over its wire, whole; what it refuses holds up no other,
// and what is replaced goes again.
func TestForward(t *testing.T) {
	here, outside := newWorld(t), newWorld(t)
	service, err := blob.OpenS3(outside.http.URL+"?region=local-1", outside.access())
	must(t, err)
	away := true
	sent := 0
	f := here.server.Forwarder(func(ctx context.Context, bucket, key string, h http.Header, size int64, open func() (io.ReadCloser, error)) error {
		if away {
			return errors.New("away")
		}
		sent++
		return service.Put(ctx, bucket, key, h, size, open)
	}, func(err error) bool {
		e, ok := errors.AsType[*blob.Error](err)
		return ok && e.Status < 500
	})
	pass := func() {
		t.Helper()
		_, err := f.Pass(t.Context())
		must(t, err)
	}
	here.do("200", http.MethodPut, "/logs", nil)
	here.do("200", http.MethodPut, "/others", nil)
	large := random(3*chunkSize + 17)
	here.do("200", http.MethodPut, "/others/x", []byte("nobody takes it"))
	here.do("200", http.MethodPut, "/logs/a%20b/%E6%97%A5.log", large, header("x-amz-meta-who", "bob"), header("Content-Type", "text/plain"))
	here.do("200", http.MethodPut, "/logs/empty", nil)
	if _, err := f.Pass(t.Context()); err == nil {
		t.Error("the service is away, and nobody says so")
	}
	away = false
	outside.do("200", http.MethodPut, "/logs", nil)
	pass()
	got, h := outside.do("200", http.MethodGet, "/logs/a%20b/%E6%97%A5.log", nil)
	if !bytes.Equal([]byte(got[4:]), large) || h.Get("x-amz-meta-who") != "bob" || h.Get("Content-Type") != "text/plain" {
		t.Errorf("%d bytes, %v", len(got), h)
	}
	outside.do("200", http.MethodHead, "/logs/empty", nil)
	sent = 0
	pass() // only the one that was refused
	if sent != 1 {
		t.Errorf("%d objects sent again", sent)
	}
	here.do("200", http.MethodPut, "/logs/empty", []byte("no more"))
	outside.do("200", http.MethodPut, "/others", nil)
	pass()
	if got, _ := outside.do("200", http.MethodGet, "/logs/empty", nil); got != "200 no more" {
		t.Error(got)
	}
	if got, _ := outside.do("200", http.MethodGet, "/others/x", nil); got != "200 nobody takes it" {
		t.Error(got)
	}
}

// The client of buckets against the service of this package.
func TestBlobBucket(t *testing.T) {
	w := newWorld(t)
	w.do("200", http.MethodPut, "/store", nil)
	b, err := blob.Open("s3://store/re c/x?region=local-1&endpoint="+w.http.URL, w.access())
	must(t, err)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("text"))), nil }
	for _, key := range []string{"a/1 +", "a/2", "b/1"} {
		must(t, b.Put(t.Context(), key, 4, open))
	}
	keys, err := b.List(t.Context(), "a/")
	if err != nil || len(keys) != 2 || keys[0] != "a/1 +" || keys[1] != "a/2" {
		t.Errorf("%q, %v", keys, err)
	}
	from, err := b.Get(t.Context(), "a/1 +")
	must(t, err)
	text, err := io.ReadAll(from)
	if must(t, errors.Join(err, from.Close())); string(text) != "text" {
		t.Errorf("%q", text)
	}
	must(t, b.Remove(t.Context(), "a/1 +"))
	must(t, b.Remove(t.Context(), "a/1 +"))
	if _, err := b.Get(t.Context(), "a/1 +"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	w.do("200", http.MethodHead, "/store/re%20c/x/b/1", nil)
}
