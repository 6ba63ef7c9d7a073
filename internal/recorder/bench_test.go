package recorder

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"sekisho/internal/message"
)

// BenchmarkWrite is the work of a recording's goroutine for 32 KiB of output.
func BenchmarkWrite(b *testing.B) {
	r, err := New(Config{Dir: b.TempDir(), Seed: make([]byte, ed25519.SeedSize)})
	if err != nil {
		b.Fatal(err)
	}
	rec := &Recording{r: r, dir: r.cfg.Dir + "/s", facts: Facts{SessionID: "s", SessionType: message.SessionTypeStandardStream}, start: time.Now()}
	w, err := rec.open()
	if err != nil {
		b.Fatal(err)
	}
	var text bytes.Buffer
	for i := 0; text.Len() < 32<<10; i++ {
		fmt.Fprintf(&text, "%09d \x1b[1m日本\x1b[m output of a program\r\n", i)
	}
	b.SetBytes(int64(text.Len()))
	for n := int64(0); b.Loop(); n++ {
		err := w.put([]frame{{fromNode: true, sequence: n, kind: message.PayloadOutput, payload: text.Bytes()}}, 0)
		if err == nil && n%128 == 127 {
			err = w.flush(false)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
