package logstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"sekisho/internal/store"
)

// sequenceToken is what PutLogEvents gave when it still looked at the one it was given.
// Older clients, the stock agent among them, hand back what they got.
const sequenceToken = "49000000000000000000000000000000000000000000000000000000"

// tokenMAC is how much of the MAC a token has, in bytes.
const tokenMAC = 16

// token makes the token with which a caller asks for what follows cursor in a list;
// empty if nothing does. list names the list by everything that it depends on.
func (s *Server) token(list, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.mac(list, cursor), cursor...))
}

// openToken gives the cursor of a token of list; empty for no token.
func (s *Server) openToken(list, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) <= tokenMAC {
		return "", errToken
	}
	cursor := string(data[tokenMAC:])
	if !hmac.Equal(s.mac(list, cursor), data[:tokenMAC]) {
		return "", errToken
	}
	return cursor, nil
}

func (s *Server) mac(list, cursor string) []byte {
	mac := hmac.New(sha256.New, s.tokenKey)
	fmt.Fprintf(mac, "%d\x00%s\x00%s", len(list), list, cursor)
	return mac.Sum(nil)[:tokenMAC]
}

// digits writes a position as the 56 digits that clients know from event ids and from
// the tokens of GetLogEvents: time, sequence, and a check bound to owner.
func (s *Server) digits(owner int64, p store.LogPosition) string {
	check := binary.BigEndian.Uint64(s.mac(strconv.FormatInt(owner, 10), positionText(p))) % 1e16
	return fmt.Sprintf("%020d%020d%016d", p.At, p.Sequence, check)
}

func positionText(p store.LogPosition) string {
	return strconv.FormatInt(p.At, 10) + "." + strconv.FormatInt(p.Sequence, 10)
}

// readPosition reads what positionText wrote.
func readPosition(text string) (store.LogPosition, error) {
	at, sequence, _ := strings.Cut(text, ".")
	var p store.LogPosition
	var err error
	if p.At, err = strconv.ParseInt(at, 10, 64); err != nil {
		return p, errToken
	}
	if p.Sequence, err = strconv.ParseInt(sequence, 10, 64); err != nil {
		return p, errToken
	}
	return p, nil
}

// eventToken is a token of GetLogEvents: direction "f" asks for what follows p, "b" for
// what is before it.
func (s *Server) eventToken(direction string, stream int64, p store.LogPosition) string {
	return direction + "/" + s.digits(stream, p) + "/s"
}

// openEventToken reads such a token.
func (s *Server) openEventToken(token string, stream int64) (direction string, p store.LogPosition, err error) {
	parts := strings.Split(token, "/")
	if len(parts) != 3 || parts[0] != "f" && parts[0] != "b" || parts[2] != "s" || len(parts[1]) != 56 {
		return "", p, errToken
	}
	if p.At, err = strconv.ParseInt(parts[1][:20], 10, 64); err != nil {
		return "", p, errToken
	}
	if p.Sequence, err = strconv.ParseInt(parts[1][20:40], 10, 64); err != nil {
		return "", p, errToken
	}
	if !hmac.Equal([]byte(s.digits(stream, p)), []byte(parts[1])) {
		return "", p, errToken
	}
	return parts[0], p, nil
}
