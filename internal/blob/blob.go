// Package blob keeps bytes in places outside of this deployment: a directory, or a bucket
// of any service that speaks S3. It is what recordings are stored in and what forwards
// session logs.
//
// It promises that what Put accepted is there whole, under its SHA-256 where the place
// checks that; that an address without TLS is refused; and that credentials are read from
// a file or the environment each time, so that changed ones count at once.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bucket keeps bytes under keys, which are relative paths with slashes. It may be used
// concurrently.
type Bucket interface {
	// Put puts what open gives, size bytes, in the place of what was there. open may be
	// called more than once.
	Put(ctx context.Context, key string, size int64, open func() (io.ReadCloser, error)) error
	// Get gives what was put; [fs.ErrNotExist] if nothing was.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// List gives the keys that begin with a prefix, in order.
	List(ctx context.Context, prefix string) ([]string, error)
	// Remove removes what is there, if anything is.
	Remove(ctx context.Context, key string) error
}

// Open gives the bucket of a URL: "file:///DIRECTORY", or
// "s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION", where endpoint may be left out
// for Amazon's own.
func Open(address string, access Access) (Bucket, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of a store: %w", err)
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return nil, fmt.Errorf("%q is not file:///DIRECTORY", address)
		}
		return Dir(filepath.FromSlash(u.Path)), nil
	case "s3":
		if u.Host == "" {
			return nil, fmt.Errorf("%q names no bucket", address)
		}
		query := u.Query()
		service, err := newS3(query.Get("endpoint"), query.Get("region"), access)
		if err != nil {
			return nil, err
		}
		return &prefixed{service, u.Host, strings.Trim(u.Path, "/")}, nil
	}
	return nil, fmt.Errorf("%q is neither file:///DIRECTORY nor s3://BUCKET", address)
}

// Dir keeps bytes as files below a directory.
type Dir string

var errKey = errors.New("the key is not a relative path")

func (d Dir) path(key string) (string, error) {
	if !fs.ValidPath(key) || key == "." {
		return "", errKey
	}
	return filepath.Join(string(d), filepath.FromSlash(key)), nil
}

// Put writes a file aside and renames it.
func (d Dir) Put(_ context.Context, key string, size int64, open func() (io.ReadCloser, error)) error {
	name, err := d.path(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	n, err := io.Copy(f, from)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Get opens a file.
func (d Dir) Get(_ context.Context, key string) (io.ReadCloser, error) {
	name, err := d.path(key)
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

// List walks the directory that the prefix names, up to its last slash.
func (d Dir) List(_ context.Context, prefix string) ([]string, error) {
	var keys []string
	root := filepath.Join(string(d), filepath.FromSlash(path.Dir(prefix+"x")))
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".new-") {
			return err
		}
		key, err := filepath.Rel(string(d), name)
		if key = filepath.ToSlash(key); err == nil && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return err
	})
	slices.Sort(keys)
	return keys, err
}

// Remove removes a file, and its directory if that is empty then.
func (d Dir) Remove(_ context.Context, key string) error {
	name, err := d.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir := filepath.Dir(name); dir != filepath.Clean(string(d)) {
		_ = os.Remove(dir) // not while there is more in it
	}
	return nil
}
