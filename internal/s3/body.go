package s3

import (
	"bufio"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Words that stand for the hash of a body (api.md §2.1).
const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// body is the body of a request, with all that must be true of it.
type body struct {
	call *call
	hash string // x-amz-content-sha256
	size int64  // once opened; -1 if it is not known
	sums map[string]string
}

// checksums are the checksums that may come with a body, by their headers.
var checksums = map[string]func() hash.Hash{
	"x-amz-checksum-crc32":  func() hash.Hash { return crc32.NewIEEE() },
	"x-amz-checksum-crc32c": func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	// CRC-64/NVME, reversed as hash/crc64 wants it.
	"x-amz-checksum-crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"x-amz-checksum-sha1":      func() hash.Hash { return sha1.New() },
	"x-amz-checksum-sha256":    func() hash.Hash { return sha256.New() },
}

// open gives a reader of the body, which is at most limit bytes. The reader's end is an
// error if the body is not what the request says of it.
func (b *body) open(limit int64) (io.Reader, error) {
	r := b.call.r
	framed := false
	switch {
	case strings.HasPrefix(b.hash, "STREAMING-") && b.hash != unsignedTrailer:
		return nil, errSignedChunks
	case b.hash == unsignedTrailer:
		framed = true
	}
	b.size = r.ContentLength
	if framed {
		n, err := strconv.ParseInt(r.Header.Get("x-amz-decoded-content-length"), 10, 64)
		if err != nil || n < 0 {
			return nil, errMissingLength
		}
		b.size = n
	}
	if b.size < 0 {
		return nil, errMissingLength
	}
	if b.size > limit {
		return nil, errEntityTooLarge
	}
	v := &verifier{body: b, sums: map[string]hash.Hash{}, md5: md5.New(), wantSize: b.size}
	patient := &patientReader{r.Body, http.NewResponseController(b.call.w.ResponseWriter)}
	if framed {
		v.chunks = newChunkReader(patient)
		v.from = v.chunks
		for name := range strings.SplitSeq(r.Header.Get("x-amz-trailer"), ",") {
			v.expect(strings.ToLower(strings.TrimSpace(name)))
		}
	} else {
		v.from = patient
	}
	for name := range checksums {
		if r.Header.Get(name) != "" {
			v.expect(name)
		}
	}
	if len(b.hash) == hex.EncodedLen(sha256.Size) {
		v.sha256 = sha256.New()
	}
	return v, nil
}

// patientReader reads with a deadline for each read.
type patientReader struct {
	io.Reader
	control *http.ResponseController
}

func (r *patientReader) Read(p []byte) (int, error) {
	_ = r.control.SetReadDeadline(time.Now().Add(patience)) // not all connections can
	return r.Reader.Read(p)
}

// verifier reads a body and holds it against what the request says.
type verifier struct {
	body     *body
	from     io.Reader
	chunks   *chunkReader // if the body is framed
	sums     map[string]hash.Hash
	md5      hash.Hash
	sha256   hash.Hash
	size     int64
	wantSize int64
	err      error
}

func (v *verifier) expect(name string) {
	if make := checksums[name]; make != nil {
		v.sums[name] = make()
	}
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.from.Read(p)
	v.size += int64(n)
	v.md5.Write(p[:n])
	if v.sha256 != nil {
		v.sha256.Write(p[:n])
	}
	for _, sum := range v.sums {
		sum.Write(p[:n])
	}
	switch {
	case v.size > v.wantSize:
		v.err = errIncompleteBody
	case err == io.EOF:
		v.err = v.check()
	case err != nil:
		v.err = errIncompleteBody
		if e, ok := errors.AsType[*Error](err); ok {
			v.err = e
		}
	}
	return n, v.err
}

// check is io.EOF for a body that is what it should be.
func (v *verifier) check() error {
	header := v.body.call.r.Header
	if v.size != v.wantSize {
		return errIncompleteBody
	}
	if v.sha256 != nil && !strings.EqualFold(hex.EncodeToString(v.sha256.Sum(nil)), v.body.hash) {
		return errBodyHash
	}
	if want := header.Get("Content-MD5"); want != "" {
		sum, err := base64.StdEncoding.DecodeString(want)
		if err != nil || len(sum) != md5.Size {
			return errInvalidDigest
		}
		if string(sum) != string(v.md5.Sum(nil)) {
			return errBadDigest
		}
	}
	v.body.sums = map[string]string{}
	for name, sum := range v.sums {
		got := base64.StdEncoding.EncodeToString(sum.Sum(nil))
		want := header.Get(name)
		if v.chunks != nil && v.chunks.trailer[name] != "" {
			want = v.chunks.trailer[name]
		}
		if got != want {
			return errBadDigest
		}
		v.body.sums[name] = got
	}
	return io.EOF
}

// chunkReader reads the framing aws-chunked: a size in hexadecimal, the bytes, and so on
// to a size of 0; then headers.
type chunkReader struct {
	r       *bufio.Reader
	left    int64 // of the chunk
	began   bool
	done    bool
	trailer map[string]string // names in lower case
}

func newChunkReader(r io.Reader) *chunkReader {
	return &chunkReader{r: bufio.NewReaderSize(r, maxChunkLine), trailer: map[string]string{}}
}

// Limits of the framing: one line, and the lines of the trailer.
const (
	maxChunkLine    = 4096
	maxTrailerLines = 16
)

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
		if c.done {
			return 0, io.EOF
		}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunkReader) next() error {
	if c.began {
		if line, err := c.line(); err != nil || line != "" {
			return errIncompleteBody
		}
	}
	c.began = true
	line, err := c.line()
	if err != nil {
		return errIncompleteBody
	}
	size, _, _ := strings.Cut(line, ";")
	c.left, err = strconv.ParseInt(size, 16, 64)
	if err != nil || c.left < 0 {
		return errIncompleteBody
	}
	if c.left > 0 {
		return nil
	}
	c.done = true
	for range maxTrailerLines {
		line, err := c.line()
		if line == "" {
			if err != nil && err != io.EOF {
				return errIncompleteBody
			}
			return nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || err != nil {
			return errIncompleteBody
		}
		c.trailer[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return errIncompleteBody
}

// line reads a line without its end.
func (c *chunkReader) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}
