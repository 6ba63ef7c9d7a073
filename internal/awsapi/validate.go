package awsapi

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

const (
	// maxViolations bounds how many violations an answer spells out; the others are
	// counted only, so that a list of a hundred thousand wrong members cannot make a
	// long answer of a short request.
	maxViolations = 100
	// maxValueText bounds how much of an offending value is repeated, in bytes.
	maxValueText = 1024
	// maxDepth bounds the nesting of members. No shape of the API comes near.
	maxDepth = 32
)

// violations collects what is wrong with an input (api.md §1.3).
type violations struct {
	texts []string
	count int
}

// add records one violation; value is nil for an absent member.
func (vs *violations) add(path string, value *reflect.Value, constraint string) {
	vs.count++
	if vs.count > maxViolations {
		return
	}
	text := "Value null"
	if value != nil {
		text = "Value '" + valueText(*value) + "'"
		if value.Type().Implements(logValuerType) { // a secret, which must not be repeated
			text = "Value"
		}
	}
	if len(path) > maxValueText { // a map's key is foreign text
		path = strings.ToValidUTF8(path[:maxValueText], "") + "..."
	}
	vs.texts = append(vs.texts, text+" at '"+path+"' failed to satisfy constraint: "+constraint)
}

// err is the answer to the violations, nil if there are none.
func (vs *violations) err(code string) error {
	if vs.count == 0 {
		return nil
	}
	plural := "s"
	if vs.count == 1 {
		plural = ""
	}
	return ssm.Errorf(code, "%d validation error%s detected: %s", vs.count, plural, strings.Join(vs.texts, "; "))
}

// text checks what holds for all text: that any database can keep it. PostgreSQL takes
// neither the character NUL nor what is no UTF-8.
func (vs *violations) text(s *shape, v reflect.Value, path string) {
	if s.kind == kindString && !storable(v.String()) {
		vs.add(path, &v, "Member must be text without the character U+0000")
	}
}

// key checks a map's key in the same way.
func (vs *violations) key(path, key string) {
	if v := reflect.ValueOf(key); !storable(key) {
		vs.add(path, &v, "Map keys must be text without the character U+0000")
	}
}

func storable(text string) bool {
	return strings.IndexByte(text, 0) < 0 && utf8.ValidString(text)
}

// absent checks a member that is not there.
func (vs *violations) absent(r *rule, path string) {
	if r.required {
		vs.add(path, nil, "Member must not be null")
	}
}

// check holds a present value against its rule.
func (vs *violations) check(r *rule, s *shape, v reflect.Value, path string) {
	if r.hasLen {
		n, ok := length(s, v)
		if ok && n < r.min {
			vs.add(path, &v, "Member must have length greater than or equal to "+strconv.FormatInt(r.min, 10))
		}
		if ok && r.max >= 0 && n > r.max {
			vs.add(path, &v, "Member must have length less than or equal to "+strconv.FormatInt(r.max, 10))
		}
	}
	if r.hasRange && s.kind == kindInt {
		if n := v.Int(); n < r.min {
			vs.add(path, &v, "Member must have value greater than or equal to "+strconv.FormatInt(r.min, 10))
		} else if r.max >= 0 && n > r.max {
			vs.add(path, &v, "Member must have value less than or equal to "+strconv.FormatInt(r.max, 10))
		}
	}
	for _, constraint := range r.wordConstraints(s, v) {
		vs.add(path, &v, constraint)
	}
}

// wordConstraints gives the constraints on text that v violates: a string's own, or
// for a list the one of its first wrong member, which is reported on the whole list.
func (r *rule) wordConstraints(s *shape, v reflect.Value) []string {
	switch {
	case s.kind == kindString:
		var broken []string
		if r.pattern != nil && !r.pattern.MatchString(v.String()) {
			broken = append(broken, "Member must satisfy regular expression pattern: "+r.patternText)
		}
		if r.enum != nil && !slices.Contains(r.enum, v.String()) {
			broken = append(broken, "Member must satisfy enum value set: ["+strings.Join(r.enum, ", ")+"]")
		}
		return broken
	case s.kind == kindList && s.elem.kind == kindString && (r.pattern != nil || r.enum != nil):
		for i := range v.Len() {
			if broken := r.wordConstraints(s.elem, reflect.Indirect(v.Index(i))); len(broken) > 0 {
				return []string{"Member must satisfy constraint: [" + strings.Join(broken, ", ") + "]"}
			}
		}
	}
	return nil
}

// length is that of text in characters, of bytes, a list or a map in members.
func length(s *shape, v reflect.Value) (int64, bool) {
	switch s.kind {
	case kindString:
		return int64(utf8.RuneCountInString(v.String())), true
	case kindBlob, kindList, kindMap:
		return int64(v.Len()), true
	}
	return 0, false
}

// valueText prints a value as the service's validation texts do: lists as [a, b],
// maps as {k=v}, structures as Name(member=value).
func valueText(v reflect.Value) string {
	var b strings.Builder
	writeValue(&b, v, 0)
	text := strings.ToValidUTF8(b.String(), "\uFFFD")
	if len(text) > maxValueText {
		text = strings.ToValidUTF8(text[:maxValueText], "") + "..."
	}
	return text
}

func writeValue(b *strings.Builder, v reflect.Value, depth int) {
	v = reflect.Indirect(v)
	switch {
	case b.Len() > maxValueText || depth > maxDepth:
	case !v.IsValid():
		b.WriteString("null")
	case v.Type() == timeType || v.Type() == ssmTimeType:
		b.WriteString(timeOf(v).UTC().Format(time.RFC3339))
	case v.Kind() == reflect.String:
		b.WriteString(v.String()[:min(v.Len(), maxValueText+1)])
	case v.Kind() == reflect.Slice:
		b.WriteByte('[')
		for i := range min(v.Len(), maxValueText) {
			if i > 0 {
				b.WriteString(", ")
			}
			writeValue(b, v.Index(i), depth+1)
		}
		b.WriteByte(']')
	case v.Kind() == reflect.Map:
		b.WriteByte('{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(key.String() + "=")
			writeValue(b, v.MapIndex(key), depth+1)
		}
		b.WriteByte('}')
	case v.Kind() == reflect.Struct:
		b.WriteString(v.Type().Name() + "(")
		for i := range v.NumField() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(lowerFirst(v.Type().Field(i).Name) + "=")
			writeValue(b, v.Field(i), depth+1)
		}
		b.WriteByte(')')
	default:
		fmt.Fprint(b, v)
	}
}

func sortedKeys(v reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int {
		return strings.Compare(a.String(), b.String())
	})
}
