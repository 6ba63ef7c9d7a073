package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// errMarker is the answer to a marker that was not made for this request (api.md §1.5).
var errMarker = ssm.Errorf(ssm.CodeValidation, "Invalid Marker.")

const (
	// defaultItems is how many items a page has when the caller does not say (api.md §1.5).
	defaultItems = 100
	// maxMarker bounds a marker, in characters: a cursor is a name or an ARN, which has at
	// most about 700. The model bounds markers to 320, but clients do not check.
	maxMarker = 1024
	// markerMAC is how much of the MAC a marker has, in bytes.
	markerMAC = 16
)

// page reads MaxItems and Marker of a request. parameters are those that a marker is
// bound to: everything else that chooses what is listed.
func (s *Server) page(operation string, parameters any, marker string, maxItems *int) (store.Page, error) {
	p := store.Page{Limit: defaultItems}
	if maxItems != nil {
		p.Limit = *maxItems
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
	mac, err := s.markerMAC(operation, parameters, p.After)
	if err != nil {
		return p, err
	}
	if !hmac.Equal(mac, data[:markerMAC]) {
		return p, errMarker
	}
	return p, nil
}

// marker makes the marker with which a caller asks for what follows cursor; empty if
// nothing does.
func (s *Server) marker(operation string, parameters any, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	mac, err := s.markerMAC(operation, parameters, cursor)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, cursor...)), nil
}

// markerMAC covers operation, parameters and cursor as one JSON list, which is no other
// list's text.
func (s *Server) markerMAC(operation string, parameters any, cursor string) ([]byte, error) {
	text, err := json.Marshal([]any{operation, parameters, cursor})
	if err != nil {
		return nil, fmt.Errorf("encode parameters of a marker: %w", err)
	}
	mac := hmac.New(sha256.New, s.cfg.PageKey)
	mac.Write(text)
	return mac.Sum(nil)[:markerMAC], nil
}

// pageOf cuts one page out of a list that is short enough to be read whole. The list is
// sorted by key, which tells its items apart.
func pageOf[T any](all []T, key func(T) string, p store.Page) (items []T, next string) {
	items = make([]T, 0, min(len(all), p.Limit))
	for _, item := range all {
		if p.After != "" && key(item) <= p.After {
			continue
		}
		if len(items) == p.Limit {
			return items, key(items[len(items)-1])
		}
		items = append(items, item)
	}
	return items, ""
}
