package message

import (
	"encoding/json"
	"regexp"
	"strings"
)

// placeholder is a parameter reference of a session document: {{ name }}. It
// leaves {{ssm:name}} alone, which asks for another service's parameter.
var placeholder = regexp.MustCompile(`\{\{ *([A-Za-z0-9]+) *\}\}`)

// substitute replaces the placeholders in every string of a decoded JSON value,
// once: what a value brings in is not looked at again. A string that is exactly
// one placeholder becomes the value, with its JSON type; elsewhere the value's
// text goes into the string. A placeholder without a value stays as it is.
func substitute(v any, values map[string]any) any {
	switch v := v.(type) {
	case string:
		return substituteText(v, values)
	case []any:
		for i := range v {
			v[i] = substitute(v[i], values)
		}
	case map[string]any:
		for k := range v {
			v[k] = substitute(v[k], values)
		}
	}
	return v
}

func substituteText(s string, values map[string]any) any {
	if m := placeholder.FindStringSubmatch(s); m != nil && m[0] == s {
		value, ok := values[m[1]]
		if !ok {
			return s
		}
		if text, isText := value.(string); isText {
			return unescape(text)
		}
		return value
	}
	return placeholder.ReplaceAllStringFunc(s, func(ref string) string {
		value, ok := values[placeholder.FindStringSubmatch(ref)[1]]
		if !ok {
			return ref
		}
		if text, isText := value.(string); isText {
			return unescape(text)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return ref
		}
		return string(text)
	})
}

// unescape turns $$ into $, the document language's way to write one.
func unescape(s string) string { return strings.ReplaceAll(s, "$$", "$") }
