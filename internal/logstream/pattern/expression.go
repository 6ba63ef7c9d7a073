package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxNesting bounds parentheses in each other.
const maxNesting = 32

// expression is a condition on what selectors find.
type expression interface {
	holds(find func(selector) (any, bool)) bool
}

type (
	allOf []expression
	anyOf []expression
	// comparison is `selector op value`.
	comparison struct {
		path  selector
		op    string
		value value
	}
	// isWord is `selector IS NULL`, with TRUE and FALSE.
	isWord struct {
		path selector
		want any
	}
	// exists is `selector EXISTS`, or with NOT.
	exists struct {
		path selector
		want bool
	}
)

func (all allOf) holds(find func(selector) (any, bool)) bool {
	for _, e := range all {
		if !e.holds(find) {
			return false
		}
	}
	return true
}

func (some anyOf) holds(find func(selector) (any, bool)) bool {
	for _, e := range some {
		if e.holds(find) {
			return true
		}
	}
	return false
}

func (e isWord) holds(find func(selector) (any, bool)) bool {
	got, ok := find(e.path)
	return ok && got == e.want
}

func (e exists) holds(find func(selector) (any, bool)) bool {
	_, ok := find(e.path)
	return ok == e.want
}

func (e comparison) holds(find func(selector) (any, bool)) bool {
	got, ok := find(e.path)
	if !ok {
		return false
	}
	switch got := got.(type) {
	case json.Number:
		n, err := got.Float64()
		if err == nil && e.value.isNumber {
			return e.value.compare(e.op, n)
		}
		return e.value.text(e.op, got.String())
	case field: // of a message with spaces: text that may be a number
		if n, err := strconv.ParseFloat(string(got), 64); err == nil && e.value.isNumber {
			return e.value.compare(e.op, n)
		}
		return e.value.text(e.op, string(got))
	case string:
		return e.value.text(e.op, got)
	case bool:
		return e.value.text(e.op, strconv.FormatBool(got))
	}
	return false
}

// value is what something is compared with.
type value struct {
	exact    string
	regex    *regexp.Regexp // of %...%, or of a text with *
	number   float64
	isNumber bool
}

func (v value) compare(op string, n float64) bool {
	switch op {
	case "=":
		return n == v.number
	case "!=":
		return n != v.number
	case "<":
		return n < v.number
	case ">":
		return n > v.number
	case "<=":
		return n <= v.number
	case ">=":
		return n >= v.number
	}
	return false
}

func (v value) text(op, text string) bool {
	same := text == v.exact
	if v.regex != nil {
		same = v.regex.MatchString(text)
	}
	switch op {
	case "=":
		return same
	case "!=":
		return !same
	}
	return false // texts have no order
}

// selectorParser takes the left side of a comparison.
type selectorParser func(*scanner) (selector, error)

func (s *scanner) expression(left selectorParser, depth int) (expression, error) {
	return s.list(left, depth, "||", func(depth int) (expression, error) {
		return s.list(left, depth, "&&", func(depth int) (expression, error) { return s.condition(left, depth) },
			func(es []expression) expression { return allOf(es) })
	}, func(es []expression) expression { return anyOf(es) })
}

func (s *scanner) list(_ selectorParser, depth int, sign string, next func(int) (expression, error),
	join func([]expression) expression) (expression, error) {
	first, err := next(depth)
	if err != nil {
		return nil, err
	}
	es := []expression{first}
	for s.take(sign) {
		e, err := next(depth)
		if err != nil {
			return nil, err
		}
		es = append(es, e)
	}
	if len(es) == 1 {
		return first, nil
	}
	return join(es), nil
}

func (s *scanner) condition(left selectorParser, depth int) (expression, error) {
	if depth > maxNesting {
		return nil, errors.New("too many parentheses in each other")
	}
	if s.take("(") {
		e, err := s.expression(left, depth+1)
		if err == nil && !s.take(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return e, err
	}
	path, err := left(s)
	if err != nil {
		return nil, err
	}
	switch {
	case s.word("IS"):
		for word, want := range map[string]any{"NULL": nil, "TRUE": true, "FALSE": false} {
			if s.word(word) {
				return isWord{path, want}, nil
			}
		}
		return nil, errors.New("after IS stands NULL, TRUE or FALSE")
	case s.word("EXISTS"):
		return exists{path, true}, nil
	case s.word("NOT"):
		if !s.word("EXISTS") {
			return nil, errors.New("after NOT stands EXISTS")
		}
		return exists{path, false}, nil
	}
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} { // longer ones first
		if s.take(op) {
			v, err := s.value(op)
			return comparison{path, op, v}, err
		}
	}
	return nil, fmt.Errorf("a comparison is missing at %q", short(s.rest))
}

func (s *scanner) value(op string) (value, error) {
	switch s.peek() {
	case `"`:
		text, err := s.quoted()
		return withStars(text), err
	case "%":
		re, err := s.regex()
		if err == nil && op != "=" && op != "!=" {
			err = fmt.Errorf("an expression between percent signs cannot stand after %s", op)
		}
		return value{regex: re}, err
	}
	text := s.bare()
	if text == "" {
		return value{}, fmt.Errorf("a value is missing after %s", op)
	}
	v := withStars(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		v.number, v.isNumber = n, true
	} else if op != "=" && op != "!=" {
		return value{}, fmt.Errorf("%s takes a number, not %q", op, short(text))
	}
	return v, nil
}

// withStars is a text in which * stands for any characters.
func withStars(text string) value {
	if !strings.Contains(text, "*") {
		return value{exact: text}
	}
	parts := strings.Split(text, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return value{exact: text, regex: regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)}
}
