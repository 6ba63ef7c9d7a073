package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// selector is a path into a JSON value, or the name of a field.
type selector []step

// step goes into a member of an object or into an element of an array.
type step struct {
	name    string
	index   int
	isIndex bool
}

// jsonSelector takes $.member, $.list[0], $["a member"] and what follows from them.
func jsonSelector(s *scanner) (selector, error) {
	if !s.take("$") {
		return nil, fmt.Errorf("a selector that begins with $ is missing at %q", short(s.rest))
	}
	var path selector
	for s.rest != "" {
		switch s.rest[0] {
		case '.':
			s.rest = s.rest[1:]
			if strings.HasPrefix(s.rest, "[") {
				continue
			}
			name := s.name()
			if name == "" {
				return nil, errors.New("a name is missing after a dot")
			}
			path = append(path, step{name: name})
		case '[':
			s.rest = s.rest[1:]
			next, err := s.bracket()
			if err != nil {
				return nil, err
			}
			path = append(path, next)
		default:
			return path, nil
		}
	}
	return path, nil
}

func (s *scanner) bracket() (step, error) {
	var next step
	if s.peek() == `"` {
		name, err := s.quoted()
		if err != nil {
			return step{}, err
		}
		next = step{name: name}
	} else {
		n, err := strconv.Atoi(s.name())
		if err != nil || n < 0 {
			return step{}, errors.New("between brackets stands a number or a quoted name")
		}
		next = step{index: n, isIndex: true}
	}
	if !s.take("]") {
		return step{}, errors.New("a bracket is not closed")
	}
	return next, nil
}

// find goes down from v.
func (path selector) find(v any) (any, bool) {
	for _, next := range path {
		if next.isIndex {
			list, _ := v.([]any)
			if next.index >= len(list) {
				return nil, false
			}
			v = list[next.index]
			continue
		}
		object, _ := v.(map[string]any)
		var ok bool
		if v, ok = object[next.name]; !ok {
			return nil, false
		}
	}
	return v, true
}
