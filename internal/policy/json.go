package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind is the type of a JSON value.
type jsonKind int

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

func (k jsonKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// node is one JSON value with its place. Package encoding/json keeps no places, merges repeated names and
// repairs broken text; a policy must be refused for each of these.
type node struct {
	kind       jsonKind
	text       string // of a string: the text it stands for; of a number or boolean: as written
	items      []node // of a list
	members    []member
	start, end int // byte offsets
}

// member is one name and value of an object.
type member struct {
	name  string
	start int // of the name
	value node
}

// jsonError is a fault in the JSON text itself.
type jsonError struct {
	offset   int
	detail   string
	tooLarge bool
}

func (e *jsonError) Error() string { return e.detail }

// jsonReader reads one JSON text (RFC 8259).
type jsonReader struct {
	text  []byte
	at    int
	depth int
	limit int // of nesting
}

// readJSON reads the whole of text as one value, nested at most depth levels.
func readJSON(text []byte, depth int) (node, *jsonError) {
	r := &jsonReader{text: text, limit: depth}
	n, err := r.value()
	if err != nil {
		return node{}, err
	}
	if r.space(); r.at < len(text) {
		return node{}, r.fail("text behind the policy's end")
	}
	return n, nil
}

func (r *jsonReader) fail(format string, args ...any) *jsonError {
	return &jsonError{offset: r.at, detail: fmt.Sprintf(format, args...)}
}

func (r *jsonReader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

func (r *jsonReader) value() (node, *jsonError) {
	r.space()
	if r.at == len(r.text) {
		return node{}, r.fail("the text ends where a value is expected")
	}
	n := node{start: r.at}
	var err *jsonError
	switch c := r.text[r.at]; {
	case c == '{' || c == '[':
		if r.depth++; r.depth > r.limit {
			e := r.fail("nested more than %d levels deep", r.limit)
			e.tooLarge = true
			return node{}, e
		}
		if c == '{' {
			n.kind = jsonObject
			err = r.object(&n)
		} else {
			n.kind = jsonArray
			err = r.array(&n)
		}
		r.depth--
	case c == '"':
		n.kind = jsonString
		n.text, err = r.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind = jsonNumber
		n.text, err = r.number()
	default:
		err = r.literal(&n)
	}
	n.end = r.at
	return n, err
}

func (r *jsonReader) literal(n *node) *jsonError {
	rest := r.text[r.at:]
	for _, l := range [...]struct {
		text string
		kind jsonKind
	}{{"true", jsonBool}, {"false", jsonBool}, {"null", jsonNull}} {
		if len(rest) >= len(l.text) && string(rest[:len(l.text)]) == l.text {
			n.kind, n.text = l.kind, l.text
			r.at += len(l.text)
			return nil
		}
	}
	return r.fail("no JSON value begins with %q", rune(r.text[r.at]))
}

// object reads from the opening to behind the closing brace.
func (r *jsonReader) object(n *node) *jsonError {
	r.at++
	seen := map[string]bool{}
	for first := true; ; first = false {
		r.space()
		if r.at < len(r.text) && r.text[r.at] == '}' && first {
			r.at++
			return nil
		}
		if r.at == len(r.text) || r.text[r.at] != '"' {
			return r.fail("the name of an element is expected")
		}
		m := member{start: r.at}
		var err *jsonError
		if m.name, err = r.str(); err != nil {
			return err
		}
		if seen[m.name] {
			return &jsonError{offset: m.start, detail: fmt.Sprintf("%q is repeated", m.name)}
		}
		seen[m.name] = true
		r.space()
		if r.at == len(r.text) || r.text[r.at] != ':' {
			return r.fail("a colon is expected")
		}
		r.at++
		if m.value, err = r.value(); err != nil {
			return err
		}
		n.members = append(n.members, m)
		if done, err := r.separator('}'); done || err != nil {
			return err
		}
	}
}

// array reads from the opening to behind the closing bracket.
func (r *jsonReader) array(n *node) *jsonError {
	r.at++
	if r.space(); r.at < len(r.text) && r.text[r.at] == ']' {
		r.at++
		return nil
	}
	for {
		v, err := r.value()
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
		if done, err := r.separator(']'); done || err != nil {
			return err
		}
	}
}

// separator reads a comma, or the closing character, which ends the list.
func (r *jsonReader) separator(closing byte) (done bool, err *jsonError) {
	r.space()
	if r.at < len(r.text) {
		switch r.text[r.at] {
		case ',':
			r.at++
			return false, nil
		case closing:
			r.at++
			return true, nil
		}
	}
	return false, r.fail("a comma or %q is expected", rune(closing))
}

// number reads a number and returns it as written.
func (r *jsonReader) number() (string, *jsonError) {
	start := r.at
	digits := func() bool {
		from := r.at
		for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
			r.at++
		}
		return r.at > from
	}
	peek := func(set string) bool {
		return r.at < len(r.text) && strings.IndexByte(set, r.text[r.at]) >= 0
	}
	if peek("-") {
		r.at++
	}
	if peek("0") {
		r.at++
	} else if !digits() {
		return "", r.fail("a digit is expected")
	}
	if peek(".") {
		if r.at++; !digits() {
			return "", r.fail("a digit is expected")
		}
	}
	if peek("eE") {
		if r.at++; peek("+-") {
			r.at++
		}
		if !digits() {
			return "", r.fail("a digit is expected")
		}
	}
	return string(r.text[start:r.at]), nil
}

// str reads a string from its opening to behind its closing quote.
func (r *jsonReader) str() (string, *jsonError) {
	r.at++
	start := r.at
	var out []byte // nil as long as the text stands for itself
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			plain := r.text[start:r.at]
			r.at++
			if out == nil {
				return string(plain), nil
			}
			return string(out), nil
		case c < 0x20:
			return "", r.fail("a control character in a string")
		case c == '\\':
			if out == nil {
				out = append(make([]byte, 0, 2*(r.at-start)+8), r.text[start:r.at]...)
			}
			ch, err := r.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, ch)
		default:
			ch, n := utf8.DecodeRune(r.text[r.at:])
			if ch == utf8.RuneError && n == 1 {
				return "", r.fail("text that is not UTF-8")
			}
			if out != nil {
				out = append(out, r.text[r.at:r.at+n]...)
			}
			r.at += n
		}
	}
	return "", r.fail("a string has no end")
}

// escape reads one escape sequence; r.at is at the backslash.
func (r *jsonReader) escape() (rune, *jsonError) {
	if r.at+1 >= len(r.text) {
		return 0, r.fail("a string has no end")
	}
	c := r.text[r.at+1]
	if c != 'u' {
		const names, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		i := strings.IndexByte(names, c)
		if i < 0 {
			return 0, r.fail("an unknown escape in a string")
		}
		r.at += 2
		return rune(values[i]), nil
	}
	high, ok := r.hex()
	if !ok {
		return 0, r.fail(`four hexadecimal digits are expected behind \u`)
	}
	if !utf16.IsSurrogate(high) {
		r.at += 6
		return high, nil
	}
	r.at += 6
	low, ok := r.hex()
	ch := utf16.DecodeRune(high, low)
	if !ok || ch == utf8.RuneError {
		r.at -= 6
		return 0, r.fail("half of a surrogate pair in a string")
	}
	r.at += 6
	return ch, nil
}

// hex reads \uXXXX at r.at without moving.
func (r *jsonReader) hex() (rune, bool) {
	t := r.text[r.at:]
	if len(t) < 6 || t[0] != '\\' || t[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(t[2:6]), 16, 16)
	return rune(v), err == nil
}
