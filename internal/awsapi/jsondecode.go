package awsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"sekisho/internal/ssm"
)

// codeSerialization is the code for a body that is not what the model says.
const codeSerialization = "SerializationException"

// decodeJSON fills v, a struct of shape s, with a request's body and holds it against
// the constraints. It is strict about JSON types, exact about the case of names,
// ignores unknown members, and reads null as absent (api.md §1.2).
func decodeJSON(body []byte, s *shape, v reflect.Value, validationCode string) error {
	if len(bytes.TrimSpace(body)) == 0 {
		if s.hasRequired() {
			return ssm.Errorf(codeSerialization, "")
		}
		return nil
	}
	if !json.Valid(body) {
		return ssm.Errorf(codeSerialization, "")
	}
	var d jsonDecoder
	if err := d.value(bytes.TrimSpace(body), s, v, "", 0); err != nil {
		return err
	}
	return d.violations.err(validationCode)
}

// jsonDecoder descends only where the shape does; the text of unknown members is
// scanned and never becomes values.
type jsonDecoder struct{ violations violations }

// value decodes one JSON value that is not null.
func (d *jsonDecoder) value(raw json.RawMessage, s *shape, v reflect.Value, path string, depth int) error {
	if depth > maxDepth {
		return ssm.Errorf(codeSerialization, "Input is nested too deeply.")
	}
	v = settable(v)
	switch s.kind {
	case kindStruct:
		return d.structure(raw, s, v, path, depth)
	case kindList:
		return d.list(raw, s, v, path, depth)
	case kindMap:
		return d.dictionary(raw, s, v, path, depth)
	case kindJSON:
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			return ssm.Errorf(codeSerialization, "%s can not be converted", token(raw))
		}
		return nil
	}
	if err := jsonScalar(raw, s, v); err != nil {
		return err
	}
	d.violations.text(s, v, path)
	return nil
}

func (d *jsonDecoder) structure(raw json.RawMessage, s *shape, v reflect.Value, path string, depth int) error {
	members, err := jsonObject(raw)
	if err != nil {
		return err
	}
	for i := range s.fields {
		f := &s.fields[i]
		at := join(path, f.path)
		member, there := members[f.name]
		if !there || isNull(member) {
			d.violations.absent(&f.rule, at)
			continue
		}
		dst := v.Field(f.index)
		if err := d.value(member, f.shape, dst, at, depth+1); err != nil {
			return err
		}
		d.violations.check(&f.rule, f.shape, settable(dst), at)
	}
	return nil
}

func (d *jsonDecoder) list(raw json.RawMessage, s *shape, v reflect.Value, path string, depth int) error {
	if raw[0] != '[' {
		return unexpected(raw, "list")
	}
	var members []json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return ssm.Errorf(codeSerialization, "")
	}
	v.Set(reflect.MakeSlice(s.typ, 0, len(members)))
	for i, member := range members {
		at := path + "." + strconv.Itoa(i+1) + ".member"
		if isNull(member) {
			d.violations.add(at, nil, "Member must not be null")
			continue
		}
		dst := reflect.New(s.typ.Elem()).Elem()
		if err := d.value(member, s.elem, dst, at, depth+1); err != nil {
			return err
		}
		v.Set(reflect.Append(v, dst))
	}
	return nil
}

func (d *jsonDecoder) dictionary(raw json.RawMessage, s *shape, v reflect.Value, path string, depth int) error {
	members, err := jsonObject(raw)
	if err != nil {
		return err
	}
	v.Set(reflect.MakeMapWithSize(s.typ, len(members)))
	for key, member := range members {
		d.violations.key(path, key)
		at := path + "." + key + ".member"
		if isNull(member) {
			d.violations.add(at, nil, "Member must not be null")
			continue
		}
		dst := reflect.New(s.typ.Elem()).Elem()
		if err := d.value(member, s.elem, dst, at, depth+1); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(s.typ.Key()), dst)
	}
	return nil
}

// jsonObject takes an object apart. Of a name that comes twice the last value counts.
func jsonObject(raw json.RawMessage) (map[string]json.RawMessage, error) {
	if raw[0] != '{' {
		return nil, unexpected(raw, "map")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, ssm.Errorf(codeSerialization, "")
	}
	return members, nil
}

// jsonScalar decodes a value that has no members.
func jsonScalar(raw json.RawMessage, s *shape, v reflect.Value) error {
	if raw[0] == '{' {
		return ssm.Errorf(codeSerialization, "Start of structure or map found where not expected.")
	}
	if raw[0] == '[' {
		return ssm.Errorf(codeSerialization, "Start of list found where not expected.")
	}
	switch s.kind {
	case kindString:
		if raw[0] != '"' {
			return mismatch(raw, "a String")
		}
		v.SetString(jsonText(raw))
	case kindInt:
		n, ok := wholeNumber(string(raw))
		if !ok || v.OverflowInt(n) {
			if v.Kind() == reflect.Int64 {
				return mismatch(raw, "a Long")
			}
			return mismatch(raw, "an Integer")
		}
		v.SetInt(n)
	case kindFloat:
		f, err := strconv.ParseFloat(string(raw), 64)
		if raw[0] == '"' || err != nil {
			return mismatch(raw, "a Double")
		}
		v.SetFloat(f)
	case kindBool:
		if raw[0] != 't' && raw[0] != 'f' {
			return mismatch(raw, "a Boolean")
		}
		v.SetBool(raw[0] == 't')
	case kindTime:
		var at ssm.Time
		if raw[0] == 't' || raw[0] == 'f' || at.UnmarshalJSON(raw) != nil {
			return mismatch(raw, "milliseconds since epoch")
		}
		setTime(v, at)
	case kindBlob:
		if raw[0] != '"' {
			return mismatch(raw, "a Blob")
		}
		blob, err := base64.StdEncoding.DecodeString(jsonText(raw))
		if err != nil {
			return ssm.Errorf(codeSerialization, "Invalid base64 text.")
		}
		v.SetBytes(blob)
	}
	return nil
}

// wholeNumber reads a JSON number without a fraction; 5.0 and 5e1 have none.
func wholeNumber(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	if !strings.ContainsAny(text, ".eE") {
		return 0, false
	}
	// Beyond 2^53 not every whole number has a float of its own.
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func jsonText(raw json.RawMessage) string {
	var text string
	// raw is a valid JSON string: decodeJSON has looked.
	_ = json.Unmarshal(raw, &text)
	return text
}

func isNull(raw json.RawMessage) bool { return raw[0] == 'n' }

// mismatch is the error for a scalar of the wrong type.
func mismatch(raw json.RawMessage, want string) error {
	return ssm.Errorf(codeSerialization, "%s can not be converted to %s", token(raw), want)
}

// unexpected is the error for something that is no list or no map.
func unexpected(raw json.RawMessage, want string) error {
	switch raw[0] {
	case '{':
		return ssm.Errorf(codeSerialization, "Start of structure or map found where not expected.")
	case '[':
		return ssm.Errorf(codeSerialization, "Start of list found where not expected.")
	}
	return ssm.Errorf(codeSerialization, "Expected %s or null", want)
}

// token names the type of a JSON scalar as the service's parser does.
func token(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "STRING_VALUE"
	case 't':
		return "TRUE_VALUE"
	case 'f':
		return "FALSE_VALUE"
	case '{':
		return "START_OBJECT"
	case '[':
		return "START_ARRAY"
	}
	return "NUMBER_VALUE"
}

// join appends a member to a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
