package trail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"sekisho/internal/ssm"
)

// maxPageToken bounds a token, in characters. A cursor is a time and an id.
const maxPageToken = 1024

// pageToken makes the token with which a client asks for what follows cursor. It is
// good for the same parameters; the number of results the client may change.
func (r *Recorder) pageToken(in *LookupEventsInput, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(r.pageMAC(in, cursor), cursor...))
}

// pageCursor reads a token that pageToken made.
func (r *Recorder) pageCursor(in *LookupEventsInput) (string, error) {
	if in.NextToken == "" {
		return "", nil
	}
	refused := ssm.Errorf(codeInvalidNextToken, "The specified token is not valid.")
	if len(in.NextToken) > maxPageToken {
		return "", refused
	}
	data, err := base64.RawURLEncoding.DecodeString(in.NextToken)
	if err != nil || len(data) <= sha256.Size {
		return "", refused
	}
	cursor := string(data[sha256.Size:])
	if !hmac.Equal(r.pageMAC(in, cursor), data[:sha256.Size]) {
		return "", refused
	}
	return cursor, nil
}

// pageMAC covers the parameters and the cursor as one JSON list, which is no other
// list's text.
func (r *Recorder) pageMAC(in *LookupEventsInput, cursor string) []byte {
	text, err := json.Marshal([]any{in.LookupAttributes, in.StartTime, in.EndTime, in.EventCategory, cursor})
	if err != nil {
		panic(err) // text and times always marshal
	}
	mac := hmac.New(sha256.New, r.cfg.PageTokenKey)
	mac.Write(text)
	return mac.Sum(nil)
}
