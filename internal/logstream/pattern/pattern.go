// Package pattern reads and applies the filter patterns of CloudWatch Logs: terms of
// text, `{ $.x = "y" }` for events that are JSON, and `[a, b = 404, ...]` for events
// whose fields are separated by spaces (CloudWatch Logs user guide, "Filter pattern
// syntax for metric filters, subscription filters, filter log events, and Live Tail").
//
// It promises that no pattern and no message makes it panic or take more than linear
// time in the message. Package logstream calls it for FilterLogEvents.
package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxLength is the longest pattern, in characters (API reference, FilterPattern).
const MaxLength = 1024

// Pattern decides about messages. It may be used concurrently.
type Pattern struct {
	terms  *terms
	json   expression // over a JSON value
	fields *fields
}

// Parse reads a pattern. The empty pattern matches everything.
func Parse(text string) (*Pattern, error) {
	if utf8.RuneCountInString(text) > MaxLength {
		return nil, fmt.Errorf("the pattern is longer than %d characters", MaxLength)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the pattern is no text")
	}
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(trimmed, "{") && strings.HasSuffix(trimmed, "}"):
		s := &scanner{rest: trimmed[1 : len(trimmed)-1]}
		e, err := s.expression(jsonSelector, 0)
		if err == nil && s.peek() != "" {
			err = fmt.Errorf("unexpected %q", short(s.rest))
		}
		if err != nil {
			return nil, err
		}
		return &Pattern{json: e}, nil
	case strings.HasPrefix(trimmed, "[") && strings.HasSuffix(trimmed, "]"):
		f, err := parseFields(trimmed[1 : len(trimmed)-1])
		if err != nil {
			return nil, err
		}
		return &Pattern{fields: f}, nil
	}
	t, err := parseTerms(trimmed)
	if err != nil {
		return nil, err
	}
	return &Pattern{terms: t}, nil
}

// Match says whether a message fits.
func (p *Pattern) Match(message []byte) bool {
	switch {
	case p.terms != nil:
		return p.terms.match(message)
	case p.fields != nil:
		return p.fields.match(string(message))
	}
	text := strings.TrimLeft(string(message), " \t\r\n")
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return false
	}
	return p.json.holds(func(path selector) (any, bool) { return path.find(v) })
}

// All says whether every message fits.
func (p *Pattern) All() bool {
	return p.terms != nil && len(p.terms.all)+len(p.terms.any)+len(p.terms.none) == 0
}

// terms are words and phrases.
type terms struct{ all, any, none []term }

// term is a text that a message has in it, or an expression that it matches.
type term struct {
	text  string
	regex *regexp.Regexp
}

func (t term) in(message []byte) bool {
	if t.regex != nil {
		return t.regex.Match(message)
	}
	return strings.Contains(string(message), t.text)
}

// match says whether a message has all terms, none of those with a minus, and one of
// those with a question mark, which count only where there are no others to have.
func (t *terms) match(message []byte) bool {
	for _, not := range t.none {
		if not.in(message) {
			return false
		}
	}
	for _, must := range t.all {
		if !must.in(message) {
			return false
		}
	}
	if len(t.all) > 0 || len(t.any) == 0 {
		return true
	}
	for _, may := range t.any {
		if may.in(message) {
			return true
		}
	}
	return false
}

func parseTerms(text string) (*terms, error) {
	s := &scanner{rest: text}
	t := &terms{}
	for s.space(); s.rest != ""; s.space() {
		list := &t.all
		switch s.rest[0] {
		case '-':
			list = &t.none
		case '?':
			list = &t.any
		}
		if list != &t.all {
			s.rest = s.rest[1:]
		}
		one, err := s.term()
		if err != nil {
			return nil, err
		}
		if one.regex == nil && one.text == "" {
			if list != &t.all {
				return nil, errors.New("nothing follows the sign before a term")
			}
			continue // "" is in every message
		}
		*list = append(*list, one)
	}
	return t, nil
}

func (s *scanner) term() (term, error) {
	switch {
	case strings.HasPrefix(s.rest, `"`):
		text, err := s.quoted()
		return term{text: text}, err
	case strings.HasPrefix(s.rest, "%"):
		regex, err := s.regex()
		return term{regex: regex}, err
	}
	end := strings.IndexAny(s.rest, " \t\r\n")
	if end < 0 {
		end = len(s.rest)
	}
	text := s.rest[:end]
	s.rest = s.rest[end:]
	return term{text: text}, nil
}

func short(text string) string {
	if len(text) > 32 {
		return strings.ToValidUTF8(text[:32], "") + "..."
	}
	return text
}
