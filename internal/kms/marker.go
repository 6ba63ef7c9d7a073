package kms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"sekisho/internal/store"
)

// Markers. markerMAC is how much of the MAC a marker has, in bytes.
const (
	markerMAC = 16
	maxMarker = 1024
)

// page reads Limit and Marker of a request. list names what is listed; a marker is good
// for that only.
func (s *Server) page(list, marker string, limit *int, usual int) (store.Page, error) {
	p := store.Page{Limit: usual}
	if limit != nil {
		p.Limit = *limit
	}
	if marker == "" {
		return p, nil
	}
	if len(marker) > maxMarker {
		return p, errMarker
	}
	data, err := base64.RawURLEncoding.DecodeString(marker)
	if err != nil || len(data) <= markerMAC {
		return p, errMarker
	}
	p.After = string(data[markerMAC:])
	if !hmac.Equal(s.markerMAC(list, p.After), data[:markerMAC]) {
		return p, errMarker
	}
	return p, nil
}

// marker makes the marker with which a caller asks for what follows cursor; empty if
// nothing does.
func (s *Server) marker(list, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.markerMAC(list, cursor), cursor...))
}

func (s *Server) markerMAC(list, cursor string) []byte {
	mac := hmac.New(sha256.New, s.markerKey)
	mac.Write([]byte(list + "\x00" + cursor)) // no list's name has a NUL
	return mac.Sum(nil)[:markerMAC]
}
