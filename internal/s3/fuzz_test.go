package s3

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzChunks reads a body in the framing aws-chunked.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"))
	f.Add([]byte("1;chunk-signature=00\r\nx\r\n0\r\n\r\n"))
	f.Add([]byte("ffffffffffffffff\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newChunkReader(bytes.NewReader(data))
		got, err := io.ReadAll(r)
		if len(got) > len(data) {
			t.Fatalf("%d bytes of %d", len(got), len(data))
		}
		if err == nil && !r.done {
			t.Error("it ended without its end")
		}
		if err == nil && !strings.Contains(string(data), string(got[:min(len(got), 1)])) {
			t.Error("it has what was not there")
		}
	})
}
