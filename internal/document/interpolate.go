package document

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// placeholder is {{ name }}. Other text in braces is the author's own, such as the
	// {{.Names}} of docker ps.
	placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9]+)\s*\}\}`)
	// ssmReference is {{ssm:name}} or {{ssm:name:version}}, as the stock agent knows it
	// (agent/framework/docparser/parameterstore).
	ssmReference = regexp.MustCompile(`\{\{ *ssm:([/\w.:-]+) *\}\}`)
)

func hasPlaceholder(text string) bool { return placeholder.MatchString(text) }
func hasReference(text string) bool   { return hasPlaceholder(text) || ssmReference.MatchString(text) }

// isSSMReference says whether the text is one reference and nothing else.
func isSSMReference(text string) bool {
	at := ssmReference.FindStringIndex(text)
	return at != nil && at[0] == 0 && at[1] == len(text)
}

// walk calls f with each text of a tree and its path.
func walk(path string, v any, f func(path, text string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for i, item := range v {
			walk(fmt.Sprintf("%s[%d]", path, i), item, f)
		}
	case object:
		for _, m := range v {
			walk(join(path, m.name), m.value, f)
		}
	}
}

// templates walks the parts of the document in which placeholders count.
func (c *Content) templates(f func(path, text string)) {
	walk("inputs", c.tree.get("inputs"), f)
	if c.SessionType != StandardStream {
		walk("properties", c.tree.get("properties"), f)
	}
}

// declared checks that each placeholder names a parameter.
func (k *checker) declared(c *Content) {
	known := make(map[string]bool, len(c.Parameters))
	for _, p := range c.Parameters {
		known[p.Name] = true
	}
	c.templates(func(path, text string) {
		for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				k.fail("Parameter %q is not declared.%s", cut(m[1]), at(path))
			}
		}
	})
}

// bound is a parameter with its value.
type bound struct {
	value    any    // stands for a text that is exactly the placeholder
	text     string // goes into longer texts
	deferred bool   // the placeholder stays, and the node replaces it
}

// interpolation replaces placeholders once: what a value brings in is not looked at
// again.
type interpolation struct {
	values map[string]bound
	room   int // bytes that may still be made
	k      *checker
}

func (x *interpolation) tree(path string, v any) any {
	switch v := v.(type) {
	case string:
		return x.text(path, v)
	case []any:
		list := make([]any, 0, len(v))
		for i, item := range v {
			list = append(list, x.tree(fmt.Sprintf("%s[%d]", path, i), item))
		}
		return list
	case object:
		o := make(object, 0, len(v))
		for _, m := range v {
			o = append(o, member{m.name, x.tree(join(path, m.name), m.value)})
		}
		return o
	}
	return v
}

func (x *interpolation) text(path, s string) any {
	found := placeholder.FindAllStringSubmatchIndex(s, -1)
	if len(found) == 0 {
		x.take(len(s))
		return s
	}
	if at := found[0]; at[0] == 0 && at[1] == len(s) {
		name := s[at[2]:at[3]]
		b := x.values[name]
		if b.deferred {
			return "{{ " + name + " }}"
		}
		x.take(len(b.text))
		return b.value
	}
	var out strings.Builder
	references, last := x.references(s), 0
	for _, at := range found {
		name := s[at[2]:at[3]]
		b := x.values[name]
		text := b.text
		if b.deferred {
			text = "{{ " + name + " }}"
		}
		if !x.take(at[0] - last + len(text)) {
			return ""
		}
		out.WriteString(s[last:at[0]])
		out.WriteString(text)
		references += len(ssmReference.FindAllString(text, -1))
		last = at[1]
	}
	x.take(len(s) - last)
	out.WriteString(s[last:])
	// What the node will replace must be what the author or one value asked for: two
	// values side by side must not spell a reference that neither of them was checked as.
	if x.references(out.String()) > references {
		x.k.fail("The values of parameters make a reference of their own.%s", at(path))
	}
	return out.String()
}

// references counts what a node would replace in a text.
func (x *interpolation) references(s string) int {
	n := len(ssmReference.FindAllString(s, -1))
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		if x.values[m[1]].deferred {
			n++
		}
	}
	return n
}

// take counts bytes before they are made.
func (x *interpolation) take(n int) bool {
	if x.room -= n; x.room < 0 {
		x.k.fail("The parameters make the document larger than %d KB.", MaxResolved>>10)
	}
	return x.room >= 0
}
