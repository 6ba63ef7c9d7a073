package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Blobs keeps bytes under numbers. A number is written once. Implementations may be used
// concurrently; [Dir] is the one that comes with the server.
type Blobs interface {
	Create(ctx context.Context, id int64) (BlobWriter, error)
	// Open gives a blob that was committed.
	Open(ctx context.Context, id int64) (Blob, error)
	// Remove removes a blob, if it is there.
	Remove(ctx context.Context, id int64) error
}

// BlobWriter is a blob that is being written. One of Commit and Abort ends it.
type BlobWriter interface {
	io.Writer
	// Commit returns when the blob will be there also after a power failure.
	Commit() error
	Abort() error
}

// Blob is a blob that can be read at any place.
type Blob interface {
	io.ReaderAt
	io.Closer
}

// Dir keeps blobs as files below a directory that it makes.
type Dir string

// path spreads files over 256 directories.
func (d Dir) path(id int64) string {
	name := fmt.Sprintf("%016x", uint64(id))
	return filepath.Join(string(d), name[14:], name)
}

// Create begins a file.
func (d Dir) Create(_ context.Context, id int64) (BlobWriter, error) {
	path := d.path(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create blob: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create blob: %w", err)
	}
	return &file{f}, nil
}

// Open opens a file.
func (d Dir) Open(_ context.Context, id int64) (Blob, error) {
	f, err := os.Open(d.path(id))
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return f, nil
}

// Remove removes a file.
func (d Dir) Remove(_ context.Context, id int64) error {
	if err := os.Remove(d.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob: %w", err)
	}
	return nil
}

type file struct{ *os.File }

// Commit makes file and name durable.
func (f *file) Commit() error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(f.Name()))
	}
	if err == nil {
		err = syncDir(filepath.Dir(filepath.Dir(f.Name())))
	}
	if err != nil {
		return fmt.Errorf("commit blob: %w", err)
	}
	return nil
}

// Abort removes the file.
func (f *file) Abort() error { return errors.Join(f.Close(), os.Remove(f.Name())) }

// syncDir makes the names in a directory durable. Systems without that have no error for
// it either.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
