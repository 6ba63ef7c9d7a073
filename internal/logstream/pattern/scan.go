package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// scanner reads a pattern from left to right.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t\r\n") }

// peek gives the next character without taking it; "" at the end.
func (s *scanner) peek() string {
	s.space()
	if s.rest == "" {
		return ""
	}
	return s.rest[:1]
}

// take takes a token if it is next.
func (s *scanner) take(token string) bool {
	s.space()
	rest, ok := strings.CutPrefix(s.rest, token)
	if ok {
		s.rest = rest
	}
	return ok
}

// word takes a word in capitals or not, if it is next and ends there.
func (s *scanner) word(word string) bool {
	s.space()
	if len(s.rest) < len(word) || !strings.EqualFold(s.rest[:len(word)], word) {
		return false
	}
	if after := s.rest[len(word):]; after != "" && isName(after[0]) {
		return false
	}
	s.rest = s.rest[len(word):]
	return true
}

func isName(c byte) bool {
	return c == '_' || c == '-' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// name takes letters, digits, _ and -.
func (s *scanner) name() string {
	n := 0
	for n < len(s.rest) && isName(s.rest[n]) {
		n++
	}
	name := s.rest[:n]
	s.rest = s.rest[n:]
	return name
}

// quoted takes "text"; a backslash makes the next character one of the text.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), nil
		case '\\':
			if i++; i < len(s.rest) {
				b.WriteByte(s.rest[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("a quotation mark is not closed")
}

// regex takes %expression%. A backslash keeps a percent sign in it.
func (s *scanner) regex() (*regexp.Regexp, error) {
	for i := 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '\\':
			i++
		case '%':
			text := strings.ReplaceAll(s.rest[1:i], `\%`, "%")
			s.rest = s.rest[i+1:]
			if text == "" {
				return nil, errors.New("an expression between percent signs is empty")
			}
			re, err := regexp.Compile(text)
			if err != nil {
				return nil, fmt.Errorf("the expression %q cannot be read", short(text))
			}
			return re, nil
		}
	}
	return nil, errors.New("a percent sign is not closed")
}

// bare takes a value without quotation marks.
func (s *scanner) bare() string {
	n := 0
	for n < len(s.rest) && !strings.ContainsRune(" \t\r\n(),[]{}", rune(s.rest[n])) &&
		!strings.HasPrefix(s.rest[n:], "&&") && !strings.HasPrefix(s.rest[n:], "||") {
		n++
	}
	value := s.rest[:n]
	s.rest = s.rest[n:]
	return value
}
