package awsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// encodeJSON writes v, a struct of shape s, as an answer: absent members are left
// out and never null, a list that is always there is [] when it is empty.
func encodeJSON(s *shape, v reflect.Value) ([]byte, error) {
	return encode(s, v, false)
}

// encodeRequest writes v as a request: members with no value are left out unless
// they are required, for their constraints would refuse the zero value.
func encodeRequest(s *shape, v reflect.Value) ([]byte, error) {
	return encode(s, v, true)
}

func encode(s *shape, v reflect.Value, request bool) ([]byte, error) {
	e := jsonEncoder{request: request}
	e.text = json.NewEncoder(&e.buf)
	e.text.SetEscapeHTML(false)
	if err := e.value(s, v, 0); err != nil {
		return nil, err
	}
	return e.buf.Bytes(), nil
}

type jsonEncoder struct {
	buf     bytes.Buffer
	text    *json.Encoder // writes to buf
	request bool
}

func (e *jsonEncoder) value(s *shape, v reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("encode %v: nested too deeply", s.typ)
	}
	v = reflect.Indirect(v)
	if !v.IsValid() {
		return fmt.Errorf("encode %v: nil in a list or map", s.typ)
	}
	switch s.kind {
	case kindStruct:
		return e.structure(s, v, depth)
	case kindList:
		e.buf.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				e.buf.WriteByte(',')
			}
			if err := e.value(s.elem, v.Index(i), depth+1); err != nil {
				return err
			}
		}
		e.buf.WriteByte(']')
	case kindMap:
		e.buf.WriteByte('{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				e.buf.WriteByte(',')
			}
			if err := e.any(key.String()); err != nil {
				return err
			}
			e.buf.WriteByte(':')
			if err := e.value(s.elem, v.MapIndex(key), depth+1); err != nil {
				return err
			}
		}
		e.buf.WriteByte('}')
	case kindBlob:
		return e.any(base64.StdEncoding.EncodeToString(v.Bytes()))
	case kindInt:
		e.buf.WriteString(strconv.FormatInt(v.Int(), 10))
	case kindTime:
		return e.any(timeOf(v))
	default:
		if v.Kind() == reflect.String {
			// As it is, also where its type hides it from logs: the answer is for the
			// caller who asked for the secret.
			return e.any(v.String())
		}
		return e.any(v.Interface())
	}
	return nil
}

func (e *jsonEncoder) structure(s *shape, v reflect.Value, depth int) error {
	e.buf.WriteByte('{')
	first := true
	for i := range s.fields {
		f := &s.fields[i]
		member := v.Field(f.index)
		if leftOut(f, member, e.request) {
			continue
		}
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		if err := e.any(f.name); err != nil {
			return err
		}
		e.buf.WriteByte(':')
		if err := e.value(f.shape, member, depth+1); err != nil {
			return err
		}
	}
	e.buf.WriteByte('}')
	return nil
}

// any writes what encoding/json knows, without the newline its encoder adds.
func (e *jsonEncoder) any(v any) error {
	if err := e.text.Encode(v); err != nil {
		return err
	}
	e.buf.Truncate(e.buf.Len() - 1)
	return nil
}

// leftOut says whether a member is absent.
func leftOut(f *field, v reflect.Value, request bool) bool {
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Interface) && v.IsNil() {
		return true
	}
	if request {
		return v.IsZero() && !f.rule.required
	}
	empty := v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
	return f.omitEmpty && empty
}
