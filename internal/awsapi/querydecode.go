package awsapi

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sekisho/internal/ssm"
)

// maxParams bounds how many parameters a Query request has, over all its lists.
const maxParams = 10000

// params are the parameters of a Query request.
type params struct {
	values map[string]string
	names  []string // sorted, so that what lies under a prefix lies together
}

// parseParams reads form-encoded parameters, the earlier sources going before the
// later ones where a name comes twice.
func parseParams(sources ...string) (params, error) {
	p := params{values: make(map[string]string)}
	for _, source := range sources {
		for pair := range strings.SplitSeq(source, "&") {
			if pair == "" {
				continue
			}
			rawName, rawValue, _ := strings.Cut(pair, "=")
			name, errName := url.QueryUnescape(rawName)
			value, errValue := url.QueryUnescape(rawValue)
			if errName != nil || errValue != nil {
				return params{}, malformedQuery("The query string contains a syntax error.")
			}
			if _, twice := p.values[name]; twice {
				continue
			}
			if len(p.values) == maxParams {
				return params{}, malformedQuery("The request has too many parameters.")
			}
			p.values[name] = value
			p.names = append(p.names, name)
		}
	}
	slices.Sort(p.names)
	return p, nil
}

func malformedQuery(text string) error {
	return &ssm.Error{Code: "MalformedQueryString", Message: text, Status: http.StatusNotFound}
}

// has says whether there is a parameter of that name, or one below it.
func (p *params) has(name string) bool {
	if _, ok := p.values[name]; ok {
		return true
	}
	i, _ := slices.BinarySearch(p.names, name+".")
	return i < len(p.names) && strings.HasPrefix(p.names[i], name+".")
}

// indices gives the numbers that follow prefix, ascending. A list counts from 1, but
// a gap loses nothing.
func (p *params) indices(prefix string) []int {
	var found []int
	i, _ := slices.BinarySearch(p.names, prefix)
	for ; i < len(p.names) && strings.HasPrefix(p.names[i], prefix); i++ {
		digits, _, _ := strings.Cut(p.names[i][len(prefix):], ".")
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && digits[0] != '+' && digits[0] != '0' {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// decodeQuery fills v, a struct of shape s, from parameters and holds it against the
// constraints.
func decodeQuery(p params, s *shape, v reflect.Value, svc *Service) error {
	d := queryDecoder{params: p, member: ".member."}
	if svc.Protocol == EC2 {
		d.member = "."
	}
	if err := d.structure("", s, v, "", 0); err != nil {
		return err
	}
	return d.violations.err(svc.validationCode())
}

type queryDecoder struct {
	params     params
	member     string // between the name of a list and the number of its member
	violations violations
}

// value decodes what stands at or below the parameter name.
func (d *queryDecoder) value(name string, s *shape, v reflect.Value, path string, depth int) error {
	if depth > maxDepth {
		return ssm.Errorf("MalformedInput", "Input is nested too deeply.")
	}
	v = settable(v)
	switch s.kind {
	case kindStruct:
		return d.structure(name+".", s, v, path, depth)
	case kindList:
		return d.list(name+d.member, s, v, path, depth)
	case kindMap:
		return d.dictionary(name+".entry.", s, v, path, depth)
	}
	text, ok := d.params.values[name]
	if !ok {
		return ssm.Errorf("MalformedInput", "Start of structure or map found where not expected.")
	}
	if err := queryScalar(text, s, v); err != nil {
		return err
	}
	d.violations.text(s, v, path)
	return nil
}

func (d *queryDecoder) structure(prefix string, s *shape, v reflect.Value, path string, depth int) error {
	for i := range s.fields {
		f := &s.fields[i]
		at := join(path, f.path)
		if !d.params.has(prefix + f.name) {
			d.violations.absent(&f.rule, at)
			continue
		}
		dst := v.Field(f.index)
		if err := d.value(prefix+f.name, f.shape, dst, at, depth+1); err != nil {
			return err
		}
		d.violations.check(&f.rule, f.shape, settable(dst), at)
	}
	return nil
}

func (d *queryDecoder) list(prefix string, s *shape, v reflect.Value, path string, depth int) error {
	indices := d.params.indices(prefix)
	v.Set(reflect.MakeSlice(s.typ, 0, len(indices)))
	for i, n := range indices {
		dst := reflect.New(s.typ.Elem()).Elem()
		at := path + "." + strconv.Itoa(i+1) + ".member"
		if err := d.value(prefix+strconv.Itoa(n), s.elem, dst, at, depth+1); err != nil {
			return err
		}
		v.Set(reflect.Append(v, dst))
	}
	return nil
}

func (d *queryDecoder) dictionary(prefix string, s *shape, v reflect.Value, path string, depth int) error {
	indices := d.params.indices(prefix)
	v.Set(reflect.MakeMapWithSize(s.typ, len(indices)))
	for _, n := range indices {
		entry := prefix + strconv.Itoa(n)
		key, ok := d.params.values[entry+".key"]
		if !ok || !d.params.has(entry+".value") {
			d.violations.add(path+".entry", nil, "Member must not be null")
			continue
		}
		d.violations.key(path, key)
		dst := reflect.New(s.typ.Elem()).Elem()
		if err := d.value(entry+".value", s.elem, dst, path+"."+key+".member", depth+1); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(s.typ.Key()), dst)
	}
	return nil
}

func queryScalar(text string, s *shape, v reflect.Value) error {
	want := ""
	switch s.kind {
	case kindString:
		v.SetString(text)
	case kindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			want = "an Integer"
			break
		}
		v.SetInt(n)
	case kindFloat:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			want = "a Double"
			break
		}
		v.SetFloat(f)
	case kindBool:
		if text != "true" && text != "false" {
			want = "a Boolean"
			break
		}
		v.SetBool(text == "true")
	case kindTime:
		var at ssm.Time
		if at.UnmarshalJSON([]byte(strconv.Quote(text))) != nil {
			want = "a Timestamp"
			break
		}
		setTime(v, at)
	case kindBlob:
		blob, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			want = "a Blob"
			break
		}
		v.SetBytes(blob)
	default:
		want = "a structure"
	}
	if want != "" {
		return ssm.Errorf("MalformedInput", "STRING_VALUE can not be converted to %s", want)
	}
	return nil
}
