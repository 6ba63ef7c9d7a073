package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// golden is the frame of protocol.md §3.4, bytes of the stock serializer.
func golden(tb testing.TB) []byte {
	tb.Helper()
	text, err := os.ReadFile("testdata/input_stream_data.hex")
	if err != nil {
		tb.Fatal(err)
	}
	frame, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return frame
}

func goldenMessage(tb testing.TB) Message {
	tb.Helper()
	id, err := ParseID("dd01e56b-ff48-483e-a508-b5f073f31b16")
	if err != nil {
		tb.Fatal(err)
	}
	return Message{
		Type:          TypeInputStreamData,
		SchemaVersion: 1,
		CreatedDate:   1503434274948,
		Sequence:      1,
		ID:            id,
		PayloadType:   PayloadOutput,
		Payload:       []byte("ls\n"),
	}
}

func TestConformance18EnvelopeRoundTrip(t *testing.T) {
	frame := golden(t)
	if got := Append(nil, goldenMessage(t)); !bytes.Equal(got, frame) {
		t.Errorf("append:\n got %x\nwant %x", got, frame)
	}
	m, err := Parse(frame)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.VerifyDigest(); err != nil {
		t.Error(err)
	}
	want := goldenMessage(t)
	copy(want.Digest[:], frame[80:112])
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("parse (-want +got):\n%s", diff)
	}
	if got, want := hex.EncodeToString(frame[64:80]), "a508b5f073f31b16dd01e56bff48483e"; got != want {
		t.Errorf("id on the wire %s, want %s: second half of the UUID first", got, want)
	}
	if got, want := m.ID.String(), "dd01e56b-ff48-483e-a508-b5f073f31b16"; got != want {
		t.Errorf("id as text %s, want %s", got, want)
	}
}

func TestConformance18DigestCoversThePayload(t *testing.T) {
	frame := golden(t)
	frame[len(frame)-1] ^= 1
	m, err := Parse(frame)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.VerifyDigest(); !errors.Is(err, ErrDigest) {
		t.Errorf("verify a changed payload: %v, want %v", err, ErrDigest)
	}
}

func TestAppendFillsWhatIsZero(t *testing.T) {
	before := time.Now().UnixMilli()
	frame := Append([]byte("prefix"), Message{Type: TypeChannelClosed, Payload: []byte("{}")})
	m, err := Parse(frame[len("prefix"):])
	if err != nil {
		t.Fatal(err)
	}
	if m.SchemaVersion != 1 || m.CreatedDate < before || m.ID == (ID{}) || m.VerifyDigest() != nil {
		t.Errorf("filled %+v", m)
	}
	if other, _ := Parse(Append(nil, Message{Type: TypeChannelClosed})); other.ID == m.ID {
		t.Error("two messages got one id")
	}
}

func TestNumberKeepsTheDigest(t *testing.T) {
	frame := Append(nil, goldenMessage(t))
	Number(frame, 1<<40, FlagSYN)
	m, err := Parse(frame)
	if err != nil {
		t.Fatal(err)
	}
	if m.Sequence != 1<<40 || m.Flags != FlagSYN || m.VerifyDigest() != nil {
		t.Errorf("numbered %+v", m)
	}
}

// What kills a stock peer's reader is refused (protocol.md §13.1), what only
// looks odd is not (§3.1).
func TestParseRefusesWhatKillsAReader(t *testing.T) {
	change := func(f func(frame []byte) []byte) []byte { return f(golden(t)) }
	for _, tt := range []struct {
		name  string
		frame []byte
		ok    bool
	}{
		{"empty", nil, false},
		{"text", []byte(`{"MessageSchemaVersion":"1.0"}`), false},
		{"long text", bytes.Repeat([]byte("a"), 300), false},
		{"119 bytes", golden(t)[:119], false},
		{"header only", golden(t)[:120], true},
		{"header length 0", change(func(f []byte) []byte { f[3] = 0; return f }), false},
		{"header length 117", change(func(f []byte) []byte { f[3]++; return f }), false},
		{"header length huge", change(func(f []byte) []byte { f[0] = 0xff; return f }), false},
		{"no created date", change(func(f []byte) []byte { clear(f[40:48]); return f }), false},
		{"blank type", change(func(f []byte) []byte { copy(f[4:36], strings.Repeat(" ", 32)); return f }), false},
		{"control bytes in type", change(func(f []byte) []byte { f[5] = 7; return f }), false},
		{"type padded with NUL", change(func(f []byte) []byte { clear(f[4+17 : 36]); return f }), true},
		{"unknown type", change(func(f []byte) []byte { f[4] = 'x'; return f }), true},
		{"wrong payload length", change(func(f []byte) []byte { f[119] = 200; return f }), true},
		{"wrong digest", change(func(f []byte) []byte { f[80]++; return f }), true},
		{"payload type 261", change(func(f []byte) []byte { f[114], f[115] = 1, 5; return f }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(tt.frame)
			if tt.ok != (err == nil) {
				t.Fatalf("parse: %v, want accepted %v", err, tt.ok)
			}
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("error %v does not wrap ErrMalformed", err)
				}
				return
			}
			h, err := ParseHeader(tt.frame)
			if err != nil {
				t.Fatalf("parse header: %v", err)
			}
			want := Header{m.Type, m.Sequence, m.Flags, m.ID, m.PayloadType, len(m.Payload)}
			if h != want {
				t.Errorf("header %+v, want %+v", h, want)
			}
		})
	}
}

func TestHeaderOfKnownTypeMakesNoGarbage(t *testing.T) {
	frame := golden(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParseHeader(frame); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestParseID(t *testing.T) {
	for _, tt := range []struct {
		text, want string
	}{
		{"dd01e56b-ff48-483e-a508-b5f073f31b16", "dd01e56b-ff48-483e-a508-b5f073f31b16"},
		{"DD01E56B-FF48-483E-A508-B5F073F31B16", "dd01e56b-ff48-483e-a508-b5f073f31b16"},
		{"", ""},
		{"dd01e56bff48483ea508b5f073f31b16", ""},
		{"dd01e56b-ff48-483e-a508-b5f073f31b1", ""},
		{"dd01e56b-ff48-483e-a508-b5f073f31b1g", ""},
		{"dd01e56b+ff48-483e-a508-b5f073f31b16", ""},
	} {
		id, err := ParseID(tt.text)
		if (err == nil) != (tt.want != "") {
			t.Errorf("parse %q: %v", tt.text, err)
		} else if err == nil && id.String() != tt.want {
			t.Errorf("parse %q = %s, want %s", tt.text, id, tt.want)
		}
	}
	if text := NewID().String(); text[14] != '4' || !strings.ContainsRune("89ab", rune(text[19])) {
		t.Errorf("new id %s is not a version 4 UUID", text)
	}
}

// FuzzParse holds that nothing panics, and that what parses and was written by
// the rules is written again to the same bytes.
func FuzzParse(f *testing.F) {
	f.Add(golden(f))
	f.Add(golden(f)[:120])
	f.Add(AppendAcknowledge(nil, TypeOutputStreamData, NewID(), 7))
	f.Add(Append(nil, Message{Type: TypePausePublication, Payload: []byte("{}")}))
	f.Add(Append(nil, Message{Type: "of_tomorrow", Payload: []byte{0}}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := Parse(frame)
		h, herr := ParseHeader(frame)
		if (err == nil) != (herr == nil) {
			t.Fatalf("parse: %v, parse header: %v", err, herr)
		}
		if err != nil {
			return
		}
		if h.Type != m.Type || h.Sequence != m.Sequence || h.ID != m.ID || h.PayloadType != m.PayloadType || h.PayloadLen != len(m.Payload) {
			t.Fatalf("header %+v of message %+v", h, m)
		}
		again := Append(nil, m)
		second, err := Parse(again)
		if err != nil {
			t.Fatalf("parse what was appended: %v", err)
		}
		if err := second.VerifyDigest(); err != nil {
			t.Fatal(err)
		}
		if m.SchemaVersion == 0 || m.ID == (ID{}) {
			return // filled by Append
		}
		// Give the frame the digest and length that its payload has, and the
		// padding that everybody writes: all else must be kept.
		want := bytes.Clone(frame)
		digest := sha256.Sum256(want[HeaderSize:])
		copy(want[80:112], digest[:])
		binary.BigEndian.PutUint32(want[116:120], uint32(len(want)-HeaderSize))
		copy(want[4:36], string(m.Type)+strings.Repeat(" ", 32-len(m.Type)))
		if !bytes.Equal(want, again) {
			t.Errorf("not the same bytes:\n got %x\nwant %x", again, want)
		}
	})
}

func BenchmarkParseHeader(b *testing.B) {
	frame := golden(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend32KiB(b *testing.B) {
	m := Message{Type: TypeOutputStreamData, PayloadType: PayloadOutput, Payload: make([]byte, 32<<10)}
	dst := make([]byte, 0, HeaderSize+len(m.Payload))
	b.ReportAllocs()
	b.SetBytes(int64(len(m.Payload)))
	for b.Loop() {
		dst = Append(dst[:0], m)
	}
}

func BenchmarkAcknowledge(b *testing.B) {
	id := NewID()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendAcknowledge(dst[:0], TypeInputStreamData, id, 1<<20)
		if _, err := ParseAcknowledge(dst[HeaderSize:]); err != nil {
			b.Fatal(err)
		}
	}
}
