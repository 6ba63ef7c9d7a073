package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// fields is a pattern for messages whose fields are separated by spaces.
type fields struct {
	before []expression // of the fields from the first on; nil entries match any
	after  []expression // of the fields up to the last, behind ...
	open   bool         // there is a ...
}

// field is the text of one field.
type field string

func parseFields(text string) (*fields, error) {
	s := &scanner{rest: text}
	f := &fields{}
	list := &f.before
	for {
		if s.take("...") {
			if f.open {
				return nil, errors.New("... stands twice")
			}
			f.open, list = true, &f.after
		} else {
			e, err := s.field()
			if err != nil {
				return nil, err
			}
			*list = append(*list, e)
		}
		if s.peek() == "" {
			return f, nil
		}
		if !s.take(",") {
			return nil, fmt.Errorf("a comma is missing at %q", short(s.rest))
		}
	}
}

// field takes a name, or a condition on it.
func (s *scanner) field() (expression, error) {
	before := s.rest
	if s.peek() != "(" {
		if s.space(); s.name() == "" {
			return nil, fmt.Errorf("the name of a field is missing at %q", short(s.rest))
		}
		if next := s.peek(); next == "," || next == "" {
			return nil, nil
		}
	}
	s.rest = before
	name := ""
	return s.expression(func(s *scanner) (selector, error) {
		s.space()
		n := s.name()
		if n == "" || name != "" && n != name {
			return nil, fmt.Errorf("a condition names its own field, at %q", short(s.rest))
		}
		name = n
		return nil, nil
	}, 0)
}

func (f *fields) match(message string) bool {
	have := splitFields(message, len(f.before)+len(f.after)+1, f.open)
	if len(have) < len(f.before)+len(f.after) || !f.open && len(have) > len(f.before) {
		return false
	}
	tail := have[len(have)-len(f.after):]
	return holdAll(f.before, have) && holdAll(f.after, tail)
}

func holdAll(es []expression, have []field) bool {
	for i, e := range es {
		if e != nil && !e.holds(func(selector) (any, bool) { return have[i], true }) {
			return false
		}
	}
	return true
}

// splitFields splits at spaces; what is in quotation marks or brackets is one field,
// without them. All fields are wanted, or only so many as tell that there are too many.
func splitFields(message string, limit int, all bool) []field {
	var have []field
	for all || len(have) < limit {
		message = strings.TrimLeft(message, " \t\r\n")
		if message == "" {
			break
		}
		closing := map[byte]string{'"': `"`, '[': "]"}[message[0]]
		if closing != "" {
			if inner, rest, ok := strings.Cut(message[1:], closing); ok {
				have, message = append(have, field(inner)), rest
				continue
			}
		}
		end := strings.IndexAny(message, " \t\r\n")
		if end < 0 {
			end = len(message)
		}
		have, message = append(have, field(message[:end])), message[end:]
	}
	return have
}
