package policy

import "unicode/utf8"

// String returns the policy as compact JSON in a normal form: elements in the order of IAM's grammar, statements
// always a list, lists of one value as that value. It parses to a policy that decides alike.
func (p *Policy) String() string {
	w := &printer{}
	w.open('{')
	if p.version != "" {
		w.field("Version", p.version)
	}
	if p.hasID {
		w.field("Id", p.id)
	}
	w.name("Statement")
	w.open('[')
	for i := range p.statements {
		w.comma()
		w.statement(&p.statements[i])
	}
	w.close(']')
	w.close('}')
	return string(w.out)
}

// MarshalJSON returns the same as [Policy.String].
func (p *Policy) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// printer writes JSON without white space.
type printer struct {
	out  []byte
	more bool // something stands before in the same object or list
}

func (w *printer) open(c byte)  { w.out, w.more = append(w.out, c), false }
func (w *printer) close(c byte) { w.out, w.more = append(w.out, c), true }

func (w *printer) comma() {
	if w.more {
		w.out = append(w.out, ',')
	}
	w.more = true
}

func (w *printer) name(name string) {
	w.comma()
	w.out = append(appendString(w.out, name), ':')
}

func (w *printer) field(name, value string) {
	w.name(name)
	w.out = appendString(w.out, value)
}

// list writes one value alone and others as a list.
func (w *printer) list(n int, value func(i int) string) {
	if n == 1 {
		w.out = appendString(w.out, value(0))
		w.more = true
		return
	}
	w.open('[')
	for i := range n {
		w.comma()
		w.out = appendString(w.out, value(i))
	}
	w.close(']')
}

func (w *printer) statement(s *Statement) {
	not := func(is bool, name string) string {
		if is {
			return "Not" + name
		}
		return name
	}
	w.open('{')
	if s.hasSid {
		w.field("Sid", s.sid)
	}
	w.field("Effect", s.effect.String())
	if s.hasPrin {
		w.name(not(s.notPrin, "Principal"))
		w.principals(s.principal)
	}
	w.name(not(s.notAction, "Action"))
	w.list(len(s.actionText), func(i int) string { return s.actionText[i] })
	if s.hasRes {
		w.name(not(s.notRes, "Resource"))
		w.list(len(s.resource), func(i int) string { return s.resource[i].text })
	}
	if len(s.tests) > 0 {
		w.name("Condition")
		w.conditions(s.tests)
	}
	w.close('}')
}

// principals writes the entries, which stand in the order of their kinds.
func (w *printer) principals(list []principalPattern) {
	if list[0].ref.Kind == kindEveryone {
		w.out = appendString(w.out, "*")
		w.more = true
		return
	}
	w.open('{')
	for start := 0; start < len(list); {
		end := start
		for end < len(list) && list[end].ref.Kind == list[start].ref.Kind {
			end++
		}
		w.name(list[start].ref.Kind)
		w.list(end-start, func(i int) string { return list[start+i].ref.Value })
		start = end
	}
	w.close('}')
}

// conditions writes the tests; those of one operator follow each other.
func (w *printer) conditions(tests []test) {
	w.open('{')
	for start := 0; start < len(tests); {
		w.name(tests[start].op.name)
		w.open('{')
		end := start
		for ; end < len(tests) && tests[end].op.name == tests[start].op.name; end++ {
			w.name(tests[end].name)
			operands := tests[end].operands
			w.list(len(operands), func(i int) string { return operands[i].text })
		}
		w.close('}')
		start = end
	}
	w.close('}')
}

// appendString appends a JSON string. Unlike encoding/json it leaves <, > and & alone, which policies may use in
// condition values and people have to read.
func appendString(out []byte, text string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', byte(c))
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = utf8.AppendRune(out, c)
		}
	}
	return append(out, '"')
}
