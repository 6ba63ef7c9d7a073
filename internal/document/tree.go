package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

// A document text becomes a tree of nil, bool, number, string, []any and object, which
// keeps the order of the members: Go's maps would lose it, and with it the order in
// which parameters are shown.
type (
	object []member
	member struct {
		name  string
		value any
	}
	number string // as written
)

func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parseTree reads exactly one JSON object.
func parseTree(text []byte) (object, error) {
	value, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	tree, ok := value.(object)
	if !ok {
		return nil, notWellFormed(text, 1)
	}
	return tree, nil
}

// parseValue reads exactly one JSON value. Members that are null are left out: null
// means absent everywhere in a document.
func parseValue(text []byte) (any, error) {
	// The whole text is checked first, because Token is lenient about what it has not
	// reached. Its offsets tell the author where.
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		offset := int64(1)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = syntax.Offset
		}
		return nil, notWellFormed(text, offset)
	}
	if !utf8.Valid(text) { // encoding/json would replace the bytes silently
		return nil, notWellFormed(text, int64(len(bytes.ToValidUTF8(text, nil))))
	}
	r := treeReader{d: json.NewDecoder(bytes.NewReader(text))}
	r.d.UseNumber()
	value, err := r.value("", 0)
	if err != nil {
		var refused *ssm.Error
		if errors.As(err, &refused) {
			return nil, err
		}
		return nil, notWellFormed(text, r.d.InputOffset())
	}
	return value, nil
}

// notWellFormed is AWS's text, with the place where reading stopped.
func notWellFormed(text []byte, offset int64) error {
	before := text[:min(max(offset-1, 0), int64(len(text)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return ssm.Errorf(CodeInvalidContent, "JSON not well-formed. at Line: %d, Column: %d", line, column)
}

type treeReader struct{ d *json.Decoder }

func (r treeReader) value(path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, ssm.Errorf(CodeInvalidContent, "The document is nested more than %d levels deep.", maxDepth)
	}
	token, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Number:
		return number(token), nil
	case json.Delim:
		if token == '[' {
			return r.list(path, depth)
		}
		return r.object(path, depth)
	default: // nil, bool, string
		return token, nil
	}
}

func (r treeReader) list(path string, depth int) (any, error) {
	list := []any{}
	for r.d.More() {
		v, err := r.value(path+"["+strconv.Itoa(len(list))+"]", depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.d.Token()
	return list, err
}

func (r treeReader) object(path string, depth int) (any, error) {
	o := object{}
	seen := make(map[string]bool)
	for r.d.More() {
		token, err := r.d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		if seen[name] {
			return nil, ssm.Errorf(CodeInvalidContent, "Duplicate property %q.%s", cut(name), at(join(path, name)))
		}
		seen[name] = true
		v, err := r.value(join(path, name), depth+1)
		if err != nil {
			return nil, err
		}
		if v != nil {
			o = append(o, member{name, v})
		}
	}
	_, err := r.d.Token()
	return o, err
}

// join extends the path of a member.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// at names the place of a fault behind a text that does not; a member of the document
// itself is named by the text.
func at(path string) string {
	for _, c := range path {
		if c == '.' || c == '[' {
			return " At " + cut(path) + "."
		}
	}
	return ""
}

// appendJSON prints a tree without spaces. What a document says about <, > and & stays
// readable.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case number:
		return append(b, v...)
	case string:
		return appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case object:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, m.name)
			b = append(b, ':')
			b = appendJSON(b, m.value)
		}
		return append(b, '}')
	}
	panic(fmt.Sprintf("%T in a document tree", v))
}

func appendString(b []byte, s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
