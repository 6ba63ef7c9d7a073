package document

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parameter types of schema 1.0 (api.md §7.3).
const (
	TypeString     = "String"
	TypeStringList = "StringList"
	TypeBoolean    = "Boolean"
	TypeInteger    = "Integer"
	TypeMapList    = "MapList"
	TypeStringMap  = "StringMap"
)

var parameterTypes = []string{TypeString, TypeStringList, TypeBoolean, TypeInteger, TypeMapList, TypeStringMap}

// Parameter declares a value that a StartSession may or must give.
type Parameter struct {
	Name           string
	Type           string // one of the six; "string", as one official sample has it, is read as String
	Description    string
	Required       bool   // has no default
	AllowedPattern string // as written; empty: any value
	DisplayType    string // textfield, textarea or empty

	// Bounds of a list's items and a text's characters. A maximum of zero is none.
	MinItems, MaxItems, MinChars, MaxChars int

	defaultValue  any // of the type; nil if required
	allowedValues []any
}

// Default is the default as text, lists and maps as compact JSON, as DescribeDocument
// shows it. It is empty for a required parameter.
func (p *Parameter) Default() string {
	switch v := p.defaultValue.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return string(appendJSON(nil, v))
	}
}

// AllowedValues are the values allowed, as text; empty: any value.
func (p *Parameter) AllowedValues() []string {
	texts := make([]string, len(p.allowedValues))
	for i, v := range p.allowedValues {
		texts[i] = textOf(v)
	}
	return texts
}

func (k *checker) parameters(v any) []Parameter {
	if v == nil {
		return nil
	}
	f := k.object("parameters", v)
	if len(f.o) > MaxParameters {
		k.fail("parameters must have at most %d members.", MaxParameters)
		return nil
	}
	var ps []Parameter
	for _, m := range f.o {
		if m.name == "" || !consistsOf(m.name, "") {
			k.fail("Parameter name %q is not alpha-numeric.", cut(m.name))
			return nil
		}
		p := k.parameter(join(f.path, m.name), m)
		if k.err != nil {
			return nil
		}
		ps = append(ps, p)
	}
	return ps
}

func (k *checker) parameter(path string, m member) Parameter {
	p := Parameter{Name: m.name}
	f := k.object(path, m.value)
	f.text("type", &p.Type)
	f.text("description", &p.Description)
	value := f.take("default")
	values := f.take("allowedValues")
	f.text("allowedPattern", &p.AllowedPattern)
	f.text("displayType", &p.DisplayType)
	f.count("minItems", &p.MinItems, 0)
	f.count("maxItems", &p.MaxItems, 1)
	f.count("minChars", &p.MinChars, 0)
	f.count("maxChars", &p.MaxChars, 1)
	f.done()
	if p.DisplayType != "" && p.DisplayType != "textfield" && p.DisplayType != "textarea" {
		f.fail("displayType", "must be one of textfield, textarea.")
	}
	if p.MaxItems > 0 && p.MinItems > p.MaxItems {
		f.fail("minItems", "must not be greater than maxItems.")
	}
	if p.MaxChars > 0 && p.MinChars > p.MaxChars {
		f.fail("minChars", "must not be greater than maxChars.")
	}
	switch {
	case k.err != nil:
		return p
	case p.Type == "":
		f.fail("type", "is missing; allowed: "+strings.Join(parameterTypes, ", ")+".")
		return p
	case p.Type == "string":
		p.Type = TypeString
	case !oneOf(p.Type, parameterTypes):
		k.fail("Parameter type: %s is invalid.%s", cut(p.Type), at(join(path, "type")))
		return p
	}
	if p.AllowedPattern != "" {
		if _, err := compilePattern(p.AllowedPattern); err != nil {
			f.fail("allowedPattern", "is not a regular expression that can be used: "+err.Error()+".")
			return p
		}
	}
	p.setAllowedValues(f, values)
	p.setDefault(f, value)
	return p
}

// count reads a whole number of at least least.
func (f *fields) count(name string, to *int, least int) {
	var text string
	f.loose(name, &text)
	if text == "" {
		return
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < int64(least) {
		f.fail(name, fmt.Sprintf("must be a whole number of at least %d.", least))
	}
	*to = int(n)
}

func (p *Parameter) setAllowedValues(f *fields, v any) {
	if v == nil || f.k.err != nil {
		return
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		f.fail("allowedValues", "must be a list of at least one value.")
		return
	}
	itemType := p.Type
	switch itemType { // what is in a list is compared one by one
	case TypeStringList:
		itemType = TypeString
	case TypeMapList:
		itemType = TypeStringMap
	}
	item := Parameter{Type: itemType}
	for _, v := range list {
		v, ok := item.typed(v)
		if !ok {
			f.fail("allowedValues", "must be a list of values of type "+itemType+".")
			return
		}
		p.allowedValues = append(p.allowedValues, v)
	}
}

func (p *Parameter) setDefault(f *fields, v any) {
	if v == nil || f.k.err != nil {
		p.Required = v == nil
		return
	}
	value, ok := p.typed(v)
	if text, isText := v.(string); isText && p.Type == TypeStringList && isSSMReference(text) {
		value, ok = []any{text}, true // the whole list is fetched
	}
	if !ok {
		f.k.fail("Wrong default value for a %q parameters. At %s.", p.Type, join(f.path, "default"))
		return
	}
	if _, fault := p.check(value); fault != "" {
		f.k.fail("%s At %s.", fault, join(f.path, "default"))
		return
	}
	p.defaultValue = value
}

// typed gives a document's value in the form that values of the type have here: string,
// bool, number, object, or []any of strings or objects.
func (p *Parameter) typed(v any) (any, bool) {
	switch p.Type {
	case TypeString:
		_, ok := v.(string)
		return v, ok
	case TypeBoolean:
		if text, ok := v.(string); ok {
			return parseBool(text)
		}
		_, ok := v.(bool)
		return v, ok
	case TypeInteger:
		n, ok := v.(number)
		if !ok {
			return nil, false
		}
		return parseInteger(string(n))
	case TypeStringMap:
		_, ok := v.(object)
		return v, ok
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	for _, item := range list {
		if p.Type == TypeStringList {
			_, ok = item.(string)
		} else {
			_, ok = item.(object)
		}
		if !ok {
			return nil, false
		}
	}
	return list, true
}

func parseBool(text string) (any, bool) {
	switch {
	case strings.EqualFold(text, "true"):
		return true, true
	case strings.EqualFold(text, "false"):
		return false, true
	}
	return nil, false
}

// parseInteger gives one form to a number, so that 007 cannot be told from 7.
func parseInteger(text string) (any, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return number(strconv.FormatInt(n, 10)), err == nil
}

// given reads what a StartSession gave. The second result is the fault.
func (p *Parameter) given(texts []string) (any, string) {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, fmt.Sprintf("Parameter %q has a value that is not text.", p.Name)
		}
	}
	if p.Type == TypeStringList {
		list := make([]any, len(texts))
		for i, text := range texts {
			list[i] = text
		}
		return list, ""
	}
	if p.Type == TypeMapList && len(texts) > 1 { // one text for each map
		list := make([]any, len(texts))
		for i, text := range texts {
			o, err := parseTree([]byte(text))
			if err != nil {
				return nil, p.wrong(text, "that is not a list of maps in JSON")
			}
			list[i] = o
		}
		return list, ""
	}
	if len(texts) != 1 {
		return nil, fmt.Sprintf("Parameter %q must have one value, not %d.", p.Name, len(texts))
	}
	text := texts[0]
	switch p.Type {
	case TypeBoolean:
		if v, ok := parseBool(text); ok {
			return v, ""
		}
		return nil, p.wrong(text, "that is not true or false")
	case TypeInteger:
		if v, ok := parseInteger(text); ok {
			return v, ""
		}
		return nil, p.wrong(text, "that is not a whole number")
	case TypeStringMap, TypeMapList:
		v, err := parseValue([]byte(text))
		if o, isMap := v.(object); isMap && p.Type == TypeMapList {
			v = []any{o}
		}
		if v, ok := p.typed(v); ok && err == nil {
			return v, ""
		}
		if p.Type == TypeStringMap {
			return nil, p.wrong(text, "that is not a map in JSON")
		}
		return nil, p.wrong(text, "that is not a list of maps in JSON")
	}
	return text, ""
}

func (p *Parameter) wrong(value, what string) string {
	return fmt.Sprintf("Parameter %q has value \"%s\" %s.", p.Name, cut(value), what)
}

// check judges a value of the type by the constraints and gives the fault as AWS says
// it (api.md §6.2). deferred says that the value is an SSM parameter reference that
// only the node can judge.
func (p *Parameter) check(v any) (deferred bool, fault string) {
	list, isList := v.([]any)
	switch o, isMap := v.(object); {
	case isList:
		if fault := p.checkItems(len(list)); fault != "" {
			return false, fault
		}
	case isMap:
		if fault := p.checkItems(len(o)); fault != "" {
			return false, fault
		}
		list = []any{v}
	default:
		list = []any{v}
	}
	var pattern *pattern
	if p.AllowedPattern != "" {
		var err error
		if pattern, err = compilePattern(p.AllowedPattern); err != nil { // checked when the document was made
			return false, p.wrong(textOf(v), "not matching \""+p.AllowedPattern+"\"")
		}
	}
	for _, item := range list {
		text := textOf(item)
		if len(p.allowedValues) > 0 {
			if !oneOf(text, p.AllowedValues()) {
				return false, p.wrong(text, "not found in ["+cut(strings.Join(p.AllowedValues(), ", "))+"]")
			}
		} else if ssmReference.MatchString(text) && (pattern != nil || p.MinChars > 0 || p.MaxChars > 0) {
			switch {
			case pattern == nil:
				return false, p.wrong(text, "that cannot be checked against minChars and maxChars")
			case p.Type != TypeString || !isSSMReference(text) || !pattern.plain:
				return false, p.wrong(text, "not matching \""+p.AllowedPattern+"\"")
			}
			return true, "" // the node checks the pattern, and nothing but the pattern
		}
		if n := utf8.RuneCountInString(text); n < p.MinChars {
			return false, p.wrong(text, fmt.Sprintf("shorter than %d characters", p.MinChars))
		} else if p.MaxChars > 0 && n > p.MaxChars {
			return false, p.wrong(text, fmt.Sprintf("longer than %d characters", p.MaxChars))
		}
		if pattern != nil && !pattern.match(text) {
			return false, p.wrong(text, "not matching \""+p.AllowedPattern+"\"")
		}
	}
	return false, ""
}

func (p *Parameter) checkItems(n int) string {
	switch {
	case n < p.MinItems:
		return fmt.Sprintf("Parameter %q has %d items, fewer than %d.", p.Name, n, p.MinItems)
	case p.MaxItems > 0 && n > p.MaxItems:
		return fmt.Sprintf("Parameter %q has %d items, more than %d.", p.Name, n, p.MaxItems)
	}
	return ""
}

// text is a value inside a longer text: texts as they are, a list of them joined by
// commas (api.md §7.5), the rest as JSON.
func (p *Parameter) text(v any) string {
	list, _ := v.([]any)
	if p.Type != TypeStringList {
		return textOf(v)
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = textOf(item)
	}
	return strings.Join(texts, ", ")
}

// textOf is one value as text: a text as it is, the rest as JSON.
func textOf(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	return string(appendJSON(nil, v))
}

// nodeParameter is a declaration as a node needs it, to check what it fetched.
type nodeParameter struct {
	Type           string `json:"type"`
	AllowedPattern string `json:"allowedPattern,omitempty"`
}
