package message

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
)

// TestReadKeepsWhatItRead reads frames of many sizes in small pieces, and sees that a
// buffer that is used again is not one that somebody still has.
func TestReadKeepsWhatItRead(t *testing.T) {
	for _, size := range []int{1, 500, smallBuffer - HeaderSize, smallBuffer, BulkPayload, BulkPayload + 1, 3 * BulkPayload} {
		for _, flags := range []uint64{0, FlagBulk} {
			payload := bytes.Repeat([]byte{7}, size)
			frame := Append(nil, Message{Type: TypeOutputStreamData, Flags: flags, Payload: payload})
			first, err := Read(iotest.HalfReader(bytes.NewReader(frame)))
			if err != nil {
				t.Fatal(err)
			}
			second, err := Read(bytes.NewReader(bytes.Repeat([]byte{9}, len(frame))))
			if err != nil || len(second) != len(frame) {
				t.Fatalf("%d bytes, %v", len(second), err)
			}
			if !bytes.Equal(first, frame) {
				t.Errorf("a frame of %d bytes with flags %d changed", size, flags)
			}
			if kept := flags == FlagBulk && size <= BulkPayload; kept != Recycle(first) {
				t.Errorf("a frame of %d bytes with flags %d: in a buffer: %v, want %v", size, flags, !kept, kept)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v, want the reader's", err)
	}
}
