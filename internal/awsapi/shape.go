package awsapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

// kind is how a member looks on the wire.
type kind int

const (
	kindString kind = iota
	kindInt
	kindFloat
	kindBool
	kindTime
	kindBlob
	kindList
	kindMap
	kindStruct
	kindJSON // any JSON; encoding/json reads and writes it
)

// shape is a Go type as the wire sees it, worked out once.
type shape struct {
	kind   kind
	typ    reflect.Type // without the pointer
	elem   *shape       // of a list or map
	fields []field      // of a struct
}

// field is a member of a struct.
type field struct {
	name      string // on the wire
	path      string // in validation texts: the name in lowerCamelCase
	index     int
	omitEmpty bool
	shape     *shape
	rule      rule
}

// rule is what a constraint tag says.
type rule struct {
	required    bool
	hasLen      bool
	hasRange    bool
	min, max    int64 // of length or value; max < 0 is open
	patternText string
	pattern     *regexp.Regexp
	enum        []string
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	ssmTimeType     = reflect.TypeFor[ssm.Time]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	logValuerType   = reflect.TypeFor[slog.LogValuer]()
)

// newShape works out the shape of a struct type, with the rules of its constraint
// tags if they are wanted.
func newShape(t reflect.Type, rules bool) (*shape, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is not a struct", t)
	}
	b := shapeBuilder{done: make(map[reflect.Type]*shape), rules: rules}
	s := b.shape(t)
	return s, errors.Join(b.errs...)
}

type shapeBuilder struct {
	done  map[reflect.Type]*shape // types may contain themselves
	rules bool
	errs  []error
}

func (b *shapeBuilder) shape(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s := b.done[t]; s != nil {
		return s
	}
	s := &shape{typ: t}
	b.done[t] = s
	switch {
	case t == timeType || t == ssmTimeType:
		s.kind = kindTime
	case t.Kind() == reflect.Interface, reflect.PointerTo(t).Implements(unmarshalerType), t.Implements(marshalerType):
		s.kind = kindJSON
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.kind = kindBlob
	case t.Kind() == reflect.Slice:
		s.kind, s.elem = kindList, b.shape(t.Elem())
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		s.kind, s.elem = kindMap, b.shape(t.Elem())
	case t.Kind() == reflect.Struct:
		s.kind = kindStruct
		b.fields(s)
	case t.Kind() == reflect.String:
		s.kind = kindString
	case t.Kind() == reflect.Bool:
		s.kind = kindBool
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		s.kind = kindInt
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		s.kind = kindFloat
	default:
		b.errs = append(b.errs, fmt.Errorf("type %v has no form on the wire", t))
	}
	return s
}

func (b *shapeBuilder) fields(s *shape) {
	for f := range s.typ.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		member := field{
			name: name, path: lowerFirst(name), index: f.Index[0],
			omitEmpty: strings.Contains(options, "omit"),
			shape:     b.shape(f.Type),
		}
		rule, err := parseRule(f.Tag.Get("constraint"), b.rules)
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("constraint of %v.%s: %w", s.typ, f.Name, err))
		}
		member.rule = rule
		s.fields = append(s.fields, member)
	}
}

// lowerFirst makes a member's name what validation texts call it.
func lowerFirst(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// unicodeEscape is a character in a pattern of the model that Go writes in another way.
var unicodeEscape = regexp.MustCompile(`\\u([0-9A-F]{4})`)

// parseRule reads a constraint tag: words "required", "len=MIN..MAX",
// "range=MIN..MAX" (MAX may be left out), "pattern=NAME" of [ssm.Patterns] and
// "enum=NAME" of [ssm.Enums]. On a list, pattern and enum are for its members. The
// side that sends needs only to know what is required.
func parseRule(tag string, all bool) (rule, error) {
	r := rule{max: -1}
	for word := range strings.FieldsSeq(tag) {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "required":
			r.required = true
		case "len", "range":
			if r.hasLen || r.hasRange {
				return r, fmt.Errorf("more than one len or range")
			}
			r.hasLen, r.hasRange = key == "len", key == "range"
			r.min, r.max, err = parseBounds(value)
		case "pattern":
			text, ok := ssm.Patterns[value]
			if !ok {
				return r, fmt.Errorf("no pattern %q", value)
			}
			r.patternText = text
			if all {
				r.pattern, err = regexp.Compile(`\A(?:` + unicodeEscape.ReplaceAllString(text, `\x{$1}`) + `)\z`)
			}
		case "enum":
			if r.enum = ssm.Enums[value]; r.enum == nil {
				return r, fmt.Errorf("no enum %q", value)
			}
		default:
			return r, fmt.Errorf("unknown word %q", word)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseBounds(text string) (lowest, highest int64, err error) {
	low, high, ok := strings.Cut(text, "..")
	if !ok {
		return 0, 0, fmt.Errorf("%q is not MIN..MAX", text)
	}
	lowest, highest = 0, -1
	if low != "" {
		if lowest, err = strconv.ParseInt(low, 10, 64); err != nil {
			return 0, 0, err
		}
	}
	if high != "" {
		if highest, err = strconv.ParseInt(high, 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return lowest, highest, nil
}

// hasRequired says whether a struct cannot be empty.
func (s *shape) hasRequired() bool {
	for i := range s.fields {
		if s.fields[i].rule.required {
			return true
		}
	}
	return false
}

// settable gives the place to decode into, allocating behind a pointer.
func settable(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// setTime stores a time in a time.Time or an ssm.Time.
func setTime(v reflect.Value, at ssm.Time) {
	if v.Type() == timeType {
		v.Set(reflect.ValueOf(at.Time))
	} else {
		v.Set(reflect.ValueOf(at))
	}
}

// timeOf reads a time.Time or an ssm.Time.
func timeOf(v reflect.Value) ssm.Time {
	if at, ok := v.Interface().(time.Time); ok {
		return ssm.Time{Time: at}
	}
	return v.Interface().(ssm.Time)
}
