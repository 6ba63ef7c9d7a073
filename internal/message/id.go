package message

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// ID is a message id: a UUID in the byte order of RFC 4122. Only the envelope
// swaps its halves.
type ID [16]byte

// NewID returns a random (version 4) id.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails, see crypto/rand
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String returns the lower-case text form that acknowledgements use.
func (id ID) String() string { return string(id.appendTo(make([]byte, 0, 36))) }

func (id ID) appendTo(dst []byte) []byte {
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		const digits = "0123456789abcdef"
		dst = append(dst, digits[b>>4], digits[b&0xf])
	}
	return dst
}

// ParseID reads the text form, either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("message id %q is not a UUID", s)
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, fmt.Errorf("message id %q is not a UUID", s)
	}
	return id, nil
}

// put writes the wire form: the second half of the UUID, then the first.
func (id ID) put(dst []byte) {
	copy(dst[:8], id[8:])
	copy(dst[8:16], id[:8])
}

func idFrom(src []byte) (id ID) {
	copy(id[8:], src[:8])
	copy(id[:8], src[8:16])
	return id
}
