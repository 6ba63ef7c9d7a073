package control

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"sekisho/internal/ssm"
)

// errPageToken is the answer to a token that was not made for this request.
var errPageToken = ssm.Errorf(ssm.CodeInvalidNextToken, "The specified token is not valid.")

// maxPageToken bounds a token, in characters. A cursor is a time and an id.
const maxPageToken = 1024

// pageToken makes the token with which a client asks for what follows cursor. It is
// good for the same operation with the same parameters, and for how many results a
// page has the client may change its mind.
func (s *Server) pageToken(operation string, parameters any, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	mac, err := s.pageMAC(operation, parameters, cursor)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, cursor...)), nil
}

// pageCursor reads a token that pageToken made.
func (s *Server) pageCursor(operation string, parameters any, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	if len(token) > maxPageToken {
		return "", errPageToken
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) <= sha256.Size {
		return "", errPageToken
	}
	cursor := string(data[sha256.Size:])
	mac, err := s.pageMAC(operation, parameters, cursor)
	if err != nil {
		return "", err
	}
	if !hmac.Equal(mac, data[:sha256.Size]) {
		return "", errPageToken
	}
	return cursor, nil
}

// pageMAC covers operation, parameters and cursor as one JSON list, which is no other
// list's text.
func (s *Server) pageMAC(operation string, parameters any, cursor string) ([]byte, error) {
	text, err := json.Marshal([]any{operation, parameters, cursor})
	if err != nil {
		return nil, fmt.Errorf("encode page parameters: %w", err)
	}
	mac := hmac.New(sha256.New, s.cfg.PageTokenKey)
	mac.Write(text)
	return mac.Sum(nil), nil
}

// pageSize is how many results a page has when the client names no number.
const pageSize = 50

func pageLimit(maxResults *int) int {
	if maxResults == nil {
		return pageSize
	}
	return *maxResults
}
