package s3

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"sekisho/internal/store"
)

// Each object has a data key of its own, sealed with the deployment's master key or under
// a key of the key service; each of its blobs a key made from that one. A blob is a row
// of chunks, each under AES-256-GCM: the nonce is the chunk's number and whether it is
// the last one, so that chunks can be read alone and neither moved nor dropped.
const (
	dataKeySize = 32
	chunkSize   = 64 << 10 // bytes of the object
	tagSize     = 16
)

// vault makes and opens data keys.
type vault struct {
	own  cipher.AEAD
	keys Keys
}

func newVault(master []byte, keys Keys) vault {
	return vault{own: mustGCM(master, true), keys: keys}
}

// mustGCM is AES-256-GCM; it fails only for a key of the wrong length.
func mustGCM(key []byte, randomNonce bool) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	make := cipher.NewGCM
	if randomNonce {
		make = cipher.NewGCMWithRandomNonce
	}
	aead, err := make(block)
	if err != nil {
		panic(err)
	}
	return aead
}

var errNoKeys = errors.New("there is no key service here")

// newKey makes the data key of an object. kmsKeyID is the key that seals it; empty for
// the deployment's own.
func (v *vault) newKey(ctx context.Context, kmsKeyID, arn string) (plain, sealed []byte, kmsKeyARN string, err error) {
	if kmsKeyID == "" {
		plain = make([]byte, dataKeySize)
		rand.Read(plain)
		return plain, v.own.Seal(nil, nil, plain, []byte(arn)), "", nil
	}
	if v.keys == nil {
		return nil, nil, "", errNoKeys
	}
	kmsKeyARN, plain, sealed, err = v.keys.NewDataKey(ctx, kmsKeyID, keyContext(arn))
	return plain, sealed, kmsKeyARN, err
}

// openKey opens the data key of an object.
func (v *vault) openKey(ctx context.Context, kmsKeyID string, sealed []byte, arn string) ([]byte, error) {
	if kmsKeyID == "" {
		plain, err := v.own.Open(nil, nil, sealed, []byte(arn))
		if err != nil {
			return nil, errors.New("the data key of an object cannot be opened")
		}
		return plain, nil
	}
	if v.keys == nil {
		return nil, errNoKeys
	}
	return v.keys.OpenDataKey(ctx, sealed, keyContext(arn))
}

// keyContext is the encryption context that S3 gives a data key.
func keyContext(arn string) map[string]string { return map[string]string{"aws:s3:arn": arn} }

// blobCipher is the cipher of one blob.
func blobCipher(dataKey []byte, id int64) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, dataKey, nil, fmt.Sprintf("sekisho/s3/blob/%d", id), dataKeySize)
	if err != nil {
		panic(err) // only for a length beyond 255 hashes
	}
	return mustGCM(key, false)
}

func chunkNonce(number int64, last bool) []byte {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[3:], uint64(number))
	if last {
		nonce[11] = 1
	}
	return nonce
}

// sealingWriter encrypts what is written to it.
type sealingWriter struct {
	to     io.Writer
	aead   cipher.AEAD
	buffer []byte
	number int64
	sealed []byte
}

func newSealingWriter(to io.Writer, aead cipher.AEAD) *sealingWriter {
	return &sealingWriter{to: to, aead: aead, buffer: make([]byte, 0, chunkSize)}
}

func (w *sealingWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(w.buffer) == chunkSize { // more follows, so it is not the last
			if err := w.flush(false); err != nil {
				return 0, err
			}
		}
		room := min(chunkSize-len(w.buffer), len(p))
		w.buffer = append(w.buffer, p[:room]...)
		p = p[room:]
	}
	return n, nil
}

func (w *sealingWriter) flush(last bool) error {
	w.sealed = w.aead.Seal(w.sealed[:0], chunkNonce(w.number, last), w.buffer, nil)
	w.number++
	w.buffer = w.buffer[:0]
	_, err := w.to.Write(w.sealed)
	return err
}

// Close writes the last chunk.
func (w *sealingWriter) Close() error { return w.flush(true) }

// objectReader reads an object from any place in it.
type objectReader struct {
	ctx      context.Context // of the one request that reads
	blobs    Blobs
	dataKey  []byte
	segments []store.Segment
	size     int64
	at       int64

	open      Blob // of the segment that is being read
	openIndex int
	aead      cipher.AEAD
	chunk     []byte // decrypted
	chunkFrom int64  // where in the object it begins
	sealed    []byte
	failed    error // of the last load
}

// Seek is that of [io.Seeker].
func (r *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.at = offset
	return offset, nil
}

func (r *objectReader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if r.at < r.chunkFrom || r.at >= r.chunkFrom+int64(len(r.chunk)) {
		if r.failed = r.load(); r.failed != nil {
			return 0, r.failed
		}
	}
	n := copy(p, r.chunk[r.at-r.chunkFrom:])
	r.at += int64(n)
	return n, nil
}

// load decrypts the chunk that at is in.
func (r *objectReader) load() error {
	index, start := 0, int64(0)
	for index < len(r.segments) && r.at >= start+r.segments[index].Size {
		start += r.segments[index].Size
		index++
	}
	if index == len(r.segments) {
		return errors.New("object is shorter than its size")
	}
	segment := r.segments[index]
	if r.open == nil || r.openIndex != index {
		r.Close()
		blob, err := r.blobs.Open(r.ctx, segment.Blob)
		if err != nil {
			return err
		}
		r.open, r.openIndex, r.aead = blob, index, blobCipher(r.dataKey, segment.Blob)
	}
	number := (r.at - start) / chunkSize
	length := min(chunkSize, segment.Size-number*chunkSize)
	if cap(r.sealed) < chunkSize+tagSize {
		r.sealed = make([]byte, chunkSize+tagSize)
	}
	sealed := r.sealed[:length+tagSize]
	if _, err := r.open.ReadAt(sealed, number*(chunkSize+tagSize)); err != nil && err != io.EOF {
		return fmt.Errorf("read blob: %w", err)
	}
	chunk, err := r.aead.Open(r.chunk[:0], chunkNonce(number, (number+1)*chunkSize >= segment.Size), sealed, nil)
	if err != nil {
		return errors.New("a blob was damaged")
	}
	r.chunk, r.chunkFrom = chunk, start+number*chunkSize
	return nil
}

// Close closes what is open.
func (r *objectReader) Close() {
	if r.open != nil {
		r.open.Close()
		r.open = nil
	}
}

// write puts a body into a blob of its own. The blob is unused until something names it.
func (s *Server) write(ctx context.Context, dataKey []byte, from io.Reader) (store.Segment, error) {
	id, err := s.cfg.Store.ReserveBlob(ctx, s.cfg.Now().Add(reservation))
	if err != nil {
		return store.Segment{}, err
	}
	blob, err := s.cfg.Blobs.Create(ctx, id)
	if err != nil {
		return store.Segment{}, err
	}
	w := newSealingWriter(blob, blobCipher(dataKey, id))
	size, err := io.CopyBuffer(struct{ io.Writer }{w}, from, make([]byte, chunkSize))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return store.Segment{}, errors.Join(err, blob.Abort(), s.cfg.Store.ForgetBlob(context.WithoutCancel(ctx), id))
	}
	if err := blob.Commit(); err != nil {
		return store.Segment{}, err
	}
	return store.Segment{Blob: id, Size: size}, nil
}
