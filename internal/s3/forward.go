package s3

import (
	"context"
	"io"
	"net/http"
	"strings"

	"sekisho/internal/store"
)

// forwardObjects bounds the objects of one pass.
const forwardObjects = 5000

// Forwarder brings objects to an S3 service outside, into buckets and under keys of the
// same names. The objects here are its spool: one is sent until it was accepted.
type Forwarder struct {
	s *Server
	// put puts an object outside. refused says of its error that it is about this one.
	put     Put
	refused func(error) bool
	told    map[string]bool // objects whose refusal was told
}

// Put puts an object into a bucket outside. open may be called more than once.
type Put func(ctx context.Context, bucket, key string, header http.Header, size int64, open func() (io.ReadCloser, error)) error

// Forwarder makes one. refused says of an error of put that it is about one object, and
// not about all. One goroutine has the Forwarder.
func (s *Server) Forwarder(put Put, refused func(error) bool) *Forwarder {
	return &Forwarder{s: s, put: put, refused: refused, told: map[string]bool{}}
}

// Pass sends what is there. more says that it may be called again at once. An error says
// that the service is away; objects that it refuses, or that cannot be decrypted, are
// told to the log and tried again with the next pass.
func (f *Forwarder) Pass(ctx context.Context) (more bool, err error) {
	objects, err := f.s.cfg.Store.ObjectsToForward(ctx, forwardObjects)
	if err != nil {
		return false, err
	}
	done := 0
	for _, o := range objects {
		arn := "arn:aws:s3:::" + o.Bucket + "/" + o.Key
		dataKey, err := f.s.vault.openKey(ctx, o.KMSKeyID, o.SealedKey, arn)
		mine := err != nil
		if err == nil {
			err = f.object(ctx, o, dataKey)
			mine = err != nil && f.refused(err)
		}
		switch {
		case err == nil:
			delete(f.told, arn)
			done++
		case mine:
			if !f.told[arn] {
				f.told[arn] = true
				f.s.cfg.Logger.Warn("object refused outside; it is tried again", "bucket", o.Bucket, "key", o.Key, "error", err)
			}
		default:
			return false, err
		}
	}
	return len(objects) == forwardObjects && done > 0, nil
}

func (f *Forwarder) object(ctx context.Context, o store.ForwardedObject, dataKey []byte) error {
	header := http.Header{}
	for name, value := range o.Headers {
		if !strings.HasPrefix(name, "x-amz-checksum-") { // it is made anew
			header.Set(name, value)
		}
	}
	err := f.put(ctx, o.Bucket, o.Key, header, o.Size, func() (io.ReadCloser, error) {
		return &forwarded{objectReader{ctx: ctx, blobs: f.s.cfg.Blobs, dataKey: dataKey, segments: o.Segments, size: o.Size}}, nil
	})
	if err != nil {
		return err
	}
	return f.s.cfg.Store.ObjectForwarded(ctx, o.Object)
}

// forwarded is an object that is being sent.
type forwarded struct{ objectReader }

// Close closes what is open.
func (r *forwarded) Close() error {
	r.objectReader.Close()
	return nil
}
