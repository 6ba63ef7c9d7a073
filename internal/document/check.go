package document

import (
	"strings"

	"sekisho/internal/ssm"
)

// checker reads typed values out of a tree and keeps the first fault. A document is
// read twice: as written, where a text may still become anything that its placeholder
// stands for, and resolved, where it may not.
type checker struct {
	code string
	// isOpen says that a text cannot be judged yet: it holds a placeholder or an SSM
	// parameter reference. isOpenScalar is the same for booleans and times, which the
	// service itself must know when the session starts, so no reference will do.
	isOpen, isOpenScalar func(text string) bool
	err                  error
}

func (k *checker) fail(format string, args ...any) {
	if k.err == nil {
		k.err = ssm.Errorf(k.code, format, args...)
	}
}

// fields takes the members of an object one by one; what is left at the end is unknown.
type fields struct {
	k     *checker
	path  string
	o     object
	known []string
}

func (k *checker) fields(path string, o object) *fields { return &fields{k: k, path: path, o: o} }

// object reads v, which must be a map.
func (k *checker) object(path string, v any) *fields {
	o, ok := v.(object)
	if !ok {
		k.fail("%s must be a map.", cut(path))
	}
	return k.fields(path, o)
}

func (f *fields) fail(name, what string) { f.k.fail("%s %s", join(f.path, name), what) }

func (f *fields) find(name string) (any, bool) {
	for _, m := range f.o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

func (f *fields) has(name string) bool { _, ok := f.find(name); return ok }

// take gives the member's value, or nil.
func (f *fields) take(name string) any {
	f.known = append(f.known, name)
	v, _ := f.find(name)
	return v
}

// text reads a text.
func (f *fields) text(name string, to *string) {
	switch v := f.take(name).(type) {
	case nil:
	case string:
		if strings.ContainsRune(v, 0) { // no peer can pass it on
			f.fail(name, "must not contain NUL characters.")
		}
		*to = v
	default:
		f.fail(name, "must be a string.")
	}
}

// loose reads a text or a number, which an author who forgot the quotes means as text.
func (f *fields) loose(name string, to *string) {
	if v, _ := f.find(name); v != nil {
		if n, ok := v.(number); ok {
			*to = string(n)
			f.known = append(f.known, name)
			return
		}
	}
	f.text(name, to)
}

// bool reads a boolean or its text; empty text keeps the default, as the console
// writes it. An open text keeps the default too.
func (f *fields) bool(name string, to *bool) {
	switch v := f.take(name).(type) {
	case nil:
	case bool:
		*to = v
	case string:
		switch {
		case strings.EqualFold(v, "true"):
			*to = true
		case strings.EqualFold(v, "false"):
			*to = false
		case v == "", f.k.isOpenScalar(v):
		default:
			f.fail(name, "must be true or false.")
		}
	default:
		f.fail(name, "must be true or false.")
	}
}

// choice reads a text that must be one of a set, or empty.
func (f *fields) choice(name string, to *string, set ...string) {
	f.text(name, to)
	if *to != "" && !oneOf(*to, set) && !f.k.isOpen(*to) {
		f.fail(name, "must be one of "+strings.Join(set, ", ")+".")
	}
}

// done reports a member that was not taken.
func (f *fields) done() {
	for _, m := range f.o {
		if oneOf(m.name, f.known) {
			continue
		}
		if f.path == "" {
			f.k.fail("Unknown property %q.", cut(m.name))
			return
		}
		f.k.fail("Unknown property %q. At %s; allowed: %s.", cut(m.name), cut(join(f.path, m.name)), strings.Join(f.known, ", "))
		return
	}
}
