package trail

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

// hidden stands for what is secret, as CloudTrail writes it.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// Limits of one value, in bytes. Policies are what an audit is about, so the largest
// that IAM allows is kept whole.
const (
	maxValue  = 4 << 10
	maxPolicy = 16 << 10
	maxDepth  = 32
)

// secretNames are members that hold secrets, in lower case.
var secretNames = map[string]bool{
	"password": true, "newpassword": true, "oldpassword": true,
	"secretaccesskey": true, "sessiontoken": true, "tokenvalue": true, "token": true,
	"activationcode": true, "webidentitytoken": true, "samlassertion": true,
	"authenticationcode1": true, "authenticationcode2": true, "tokencode": true,
	"base32stringseed": true, "qrcodepng": true,
	"plaintext": true, "ciphertextblob": true, "privatekeyplaintext": true, "privatekeyciphertextblob": true,
	"privatekey": true, "secretstring": true, "secretbinary": true, "sharedsecret": true, "keymaterial": true, "encryptedkeymaterial": true,
	"clientsecret": true, "authorization": true, "cookie": true,
}

// plainNames are members that only sound like secrets.
var plainNames = map[string]bool{
	"nexttoken": true, "clienttoken": true, "clientrequesttoken": true, "subjectfromwebidentitytoken": true,
	"sequencetoken": true, "nextsequencetoken": true, "uploadsequencetoken": true, "nextforwardtoken": true, "nextbackwardtoken": true,
}

// isSecret says whether a member of that name holds a secret: it is one that is known, or
// text, or a map, whose name sounds like one, so that a member that is added later is hidden until
// somebody says that it need not be.
func isSecret(name string, text bool) bool {
	name = strings.ToLower(name)
	if secretNames[name] {
		return true
	}
	if !text || plainNames[name] {
		return false
	}
	return strings.Contains(name, "password") || strings.Contains(name, "secret") || strings.Contains(name, "privatekey") ||
		strings.HasSuffix(strings.TrimSuffix(name, "s"), "token")
}

// redactor turns inputs and outputs into what an event says of them.
type redactor struct {
	output  bool     // zero numbers and false are told, for they are answers
	secrets []string // what was hidden
}

// members gives the members of a pointer to a struct, or nil if there are none.
func (r *redactor) members(v any) map[string]any {
	if v == nil {
		return nil
	}
	m, _ := r.value("", reflect.ValueOf(v), 0).(map[string]any)
	if len(m) == 0 {
		return nil
	}
	return m
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	ssmTimeType   = reflect.TypeFor[ssm.Time]()
	logValuerType = reflect.TypeFor[slog.LogValuer]()
	textType      = reflect.TypeFor[encoding.TextMarshaler]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
)

// secretMarshals is what types that hold secrets marshal to.
const secretMarshals = "[redacted]"

// value gives what encoding/json is to write for v, a member called name; nil if it is
// to be left out.
func (r *redactor) value(name string, v reflect.Value, depth int) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if depth > maxDepth {
		return "TRUNCATED"
	}
	text := v.Kind() == reflect.String || v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8
	if isSecret(name, text || v.Kind() == reflect.Map) || r.secretType(v, text) {
		return r.hide(v)
	}
	switch t := v.Type(); {
	case t == timeType || t == ssmTimeType:
		return timeText(v)
	case t.Implements(marshalerType):
		return r.marshaled(name, v, depth)
	case v.Kind() == reflect.String:
		return r.text(name, v.String())
	case text:
		if v.Len() == 0 {
			return nil
		}
		return r.text(name, base64.StdEncoding.EncodeToString(v.Bytes()))
	}
	switch v.Kind() {
	case reflect.Struct:
		return r.structure(v, depth)
	case reflect.Slice, reflect.Array:
		if v.Len() == 0 {
			return nil
		}
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			list = append(list, r.value(name, v.Index(i), depth+1))
		}
		return list
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			key := fmt.Sprint(it.Key().Interface())
			m[cut(clean(key), maxValue)] = r.value(key, it.Value(), depth+1)
		}
		return m
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		if depth <= 1 && !r.output && v.IsZero() {
			return nil
		}
		return v.Interface()
	}
	return nil
}

// structure gives the members of a struct by the names that events have for them.
func (r *redactor) structure(v reflect.Value, depth int) any {
	m := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		name = lowerFirst(name)
		var value any
		if f.Tag.Get("audit") == "secret" {
			value = r.hide(v.Field(i))
		} else {
			value = r.value(name, v.Field(i), depth+1)
		}
		if value != nil {
			m[name] = value
		}
	}
	return m
}

// marshaled is for types that write their own JSON: what they wrote is gone through by
// the names in it.
func (r *redactor) marshaled(name string, v reflect.Value, depth int) any {
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return nil
	}
	var decoded any
	if json.Unmarshal(b, &decoded) != nil || decoded == nil {
		return nil
	}
	return r.value(name, reflect.ValueOf(decoded), depth+1)
}

// secretType says whether a value's own type keeps it from being shown.
func (r *redactor) secretType(v reflect.Value, text bool) bool {
	t := v.Type()
	if t.Implements(logValuerType) {
		return true
	}
	if !text || !t.Implements(textType) {
		return false
	}
	b, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	return err != nil || string(b) == secretMarshals
}

// hide notes what is secret, so that it is found elsewhere, and gives what stands for it.
func (r *redactor) hide(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
		return nil
	}
	r.note(v, 0)
	return hidden
}

func (r *redactor) note(v reflect.Value, depth int) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid() || depth > maxDepth:
	case v.Kind() == reflect.String:
		r.secrets = append(r.secrets, v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		r.secrets = append(r.secrets, string(v.Bytes()), base64.StdEncoding.EncodeToString(v.Bytes()))
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			r.note(v.Index(i), depth+1)
		}
	case v.Kind() == reflect.Map:
		for it := v.MapRange(); it.Next(); {
			r.note(it.Value(), depth+1)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			r.note(v.Field(i), depth+1)
		}
	}
}

// text gives text of bounded size. The token in an address is a secret as well.
func (r *redactor) text(name, s string) any {
	if s == "" {
		return nil
	}
	lower := strings.ToLower(name)
	if strings.HasSuffix(lower, "url") {
		s = withoutQuery(s)
	}
	limit := maxValue
	if strings.Contains(lower, "policydocument") || lower == "policy" || lower == "policies" || lower == "policyinputlist" {
		limit = maxPolicy
	}
	return cut(clean(s), limit)
}

// withoutQuery hides the values of an address's parameters, among which tokens are.
func withoutQuery(s string) string {
	base, query, ok := strings.Cut(s, "?")
	scheme, host, found := strings.Cut(base, "://")
	if at := strings.LastIndexByte(host, '@'); found && at >= 0 { // name and password
		base = scheme + "://" + hidden + host[at:]
	}
	if !ok {
		return base
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return base + "?" + hidden
	}
	for key := range values {
		if key != "role" && key != "cell-number" {
			values.Set(key, hidden)
		}
	}
	return base + "?" + values.Encode()
}

// message takes out of an error's text what was hidden elsewhere: a violated constraint
// repeats the value.
func (r *redactor) message(text string) string {
	const enough = 64 // bytes of a secret that tell it, if the text has not the whole
	for _, secret := range r.secrets {
		for _, s := range []string{secret, clean(secret)} {
			switch {
			case s == "":
			case len(s) < 4: // part of any text
				text = strings.ReplaceAll(text, "'"+s+"'", "'"+hidden+"'")
			case len(s) <= enough:
				text = strings.ReplaceAll(text, s, hidden)
			default:
				text = strings.ReplaceAll(text, s, hidden)
				if i := strings.Index(text, s[:enough]); i >= 0 {
					text = text[:i] + hidden
				}
			}
		}
	}
	return cut(clean(text), maxMessage)
}

// maxMessage bounds an error's text, in bytes.
const maxMessage = 2 << 10

// clean makes foreign text such that any database can keep it.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// cut shortens text and says so.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	mark := "...TRUNCATED, " + strconv.Itoa(len(s)) + " bytes"
	n := limit - len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}

func timeText(v reflect.Value) any {
	at, ok := v.Interface().(time.Time)
	if !ok {
		at = v.Interface().(ssm.Time).Time
	}
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(time.RFC3339)
}

// lowerFirst makes a member's name what events call it.
func lowerFirst(name string) string {
	c, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(c)) + name[n:]
}
