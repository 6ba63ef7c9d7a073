package policy

import (
	"fmt"
	"strings"
)

// Limits bound what Parse takes, so that a hostile text costs little.
type Limits struct {
	Bytes      int // of the text
	Depth      int // levels of nesting; a policy needs 6
	Statements int
	Values     int // actions, resources, principals and condition values in all
}

// DefaultLimits returns the limits of [Parse] for a kind. They are far above the quotas, since the quotas do not
// count white space and inline policies share theirs.
func DefaultLimits(kind Kind) Limits {
	l := Limits{Bytes: 32 << 10, Depth: 8, Statements: 500, Values: 4096}
	if kind == Trust || kind == Session {
		l.Bytes, l.Statements, l.Values = 16<<10, 200, 1024
	}
	return l
}

// Parse reads a policy as strictly as IAM does when it is saved. A fault is a *SyntaxError.
func Parse(text []byte, kind Kind) (*Policy, error) {
	return ParseLimited(text, kind, DefaultLimits(kind))
}

// ParseLimited is [Parse] with other limits.
func ParseLimited(text []byte, kind Kind, limits Limits) (*Policy, error) {
	p := &parser{text: text, kind: kind, limits: limits}
	if len(text) > limits.Bytes {
		err := p.fault(0, "", fmt.Sprintf("Maximum policy size of %d bytes exceeded", limits.Bytes), fmt.Sprintf("the text has %d bytes", len(text)))
		err.TooLarge = true
		return nil, err
	}
	root, jerr := readJSON(text, limits.Depth)
	if jerr != nil {
		err := p.fault(jerr.offset, "", kind.syntaxText(), jerr.detail)
		err.TooLarge = jerr.tooLarge
		return nil, err
	}
	policy, err := p.policy(&root)
	if err != nil {
		return nil, err
	}
	return policy, nil
}

// parser turns a JSON tree into a Policy. It looks for faults in the order in which IAM reports them: grammar of
// the whole document, version, values, statement ids, actions, resources, names of actions.
type parser struct {
	text   []byte
	kind   Kind
	limits Limits
	values int // seen so far

	// The last place asked for: statements follow each other, so that all their places cost one walk of the text.
	offset int
	at     Position
}

// place returns the position of an offset that is not before the last one.
func (p *parser) place(offset int) Position {
	if p.at.Line == 0 {
		p.at = Position{1, 1}
	}
	p.at = p.at.after(p.text[p.offset:offset])
	p.offset = offset
	return p.at
}

// draft is a statement whose grammar has been read but whose values have not.
type draft struct {
	path      string
	node      *node
	effect    *node
	sid       *node
	action    *node
	resource  *node
	actions   []*node
	resources []*node
	tests     []draftTest
	s         Statement
}

// draftTest is one key under one operator.
type draftTest struct {
	path   string
	op     operator
	name   string
	values []*node
}

func (p *parser) fault(offset int, path, text, detail string) *SyntaxError {
	return &SyntaxError{Text: text, Detail: detail, Path: path, Position: Position{1, 1}.after(p.text[:offset])}
}

func (p *parser) syntax(n *node, path, format string, args ...any) *SyntaxError {
	return p.fault(n.start, path, p.kind.syntaxText(), fmt.Sprintf(format, args...))
}

func (p *parser) policy(root *node) (*Policy, *SyntaxError) {
	if root.kind != jsonObject {
		return nil, p.syntax(root, "", "a policy is an object, not %s", root.kind)
	}
	out := &Policy{kind: p.kind, size: Size(p.text)}
	var statement *node
	for i := range root.members {
		m := &root.members[i]
		switch m.name {
		case "Version":
			if m.value.kind != jsonString || m.value.text != Version2008 && m.value.text != Version2012 {
				return nil, p.syntax(&m.value, m.name, "Version is %q or %q", Version2012, Version2008)
			}
			out.version = m.value.text
		case "Id":
			if m.value.kind != jsonString {
				return nil, p.syntax(&m.value, m.name, "Id is a string, not %s", m.value.kind)
			}
			out.id, out.hasID = m.value.text, true
		case "Statement":
			statement = &m.value
		default:
			return nil, p.fault(m.start, m.name, p.kind.syntaxText(), "a policy has no such element")
		}
	}
	if statement == nil {
		return nil, p.syntax(root, "", "the element Statement is missing")
	}
	drafts, err := p.drafts(statement)
	if err != nil {
		return nil, err
	}
	if p.kind == Managed && out.version != Version2012 {
		return nil, p.fault(root.start, "Version", "Policy document must be version 2012-10-17 or greater.", "a managed policy must state its version")
	}
	return out, p.compile(out, drafts)
}

// drafts reads the grammar of all statements.
func (p *parser) drafts(statement *node) ([]*draft, *SyntaxError) {
	var drafts []*draft
	switch statement.kind {
	case jsonObject:
		drafts = []*draft{{node: statement, path: "Statement"}}
	case jsonArray:
		for i := range statement.items {
			drafts = append(drafts, &draft{node: &statement.items[i], path: fmt.Sprintf("Statement[%d]", i)})
		}
	default:
		return nil, p.syntax(statement, "Statement", "Statement is a list, not %s", statement.kind)
	}
	if len(drafts) == 0 {
		return nil, p.syntax(statement, "Statement", "there is no statement")
	}
	if len(drafts) > p.limits.Statements {
		err := p.syntax(statement, "Statement", "more than %d statements", p.limits.Statements)
		err.TooLarge = true
		return nil, err
	}
	for i, d := range drafts {
		d.s.index = i + 1
		d.s.start, d.s.end = p.place(d.node.start), p.place(d.node.end)
		if err := p.statement(d); err != nil {
			return nil, err
		}
	}
	return drafts, nil
}

// statement reads the grammar of one statement.
func (p *parser) statement(d *draft) *SyntaxError {
	if d.node.kind != jsonObject {
		return p.syntax(d.node, d.path, "a statement is an object, not %s", d.node.kind)
	}
	for i := range d.node.members {
		m := &d.node.members[i]
		if err := p.element(d, m, d.path+"."+m.name); err != nil {
			return err
		}
	}
	if d.effect == nil {
		return p.syntax(d.node, d.path, "the element Effect is missing")
	}
	if d.s.hasPrin || p.kind != Trust && p.kind != Resource {
		return nil
	}
	return p.fault(d.node.start, d.path, "Missing required field Principal", "a "+p.kind.String()+" says whom it is about")
}

// element reads one element of a statement.
func (p *parser) element(d *draft, m *member, path string) (err *SyntaxError) {
	v := &m.value
	switch m.name {
	case "Sid", "Effect":
		if v.kind != jsonString {
			return p.syntax(v, path, "%s is a string, not %s", m.name, v.kind)
		}
		if m.name == "Sid" {
			d.sid, d.s.sid, d.s.hasSid = v, v.text, true
			return nil
		}
		d.effect = v
		if !strings.EqualFold(v.text, "Allow") && !strings.EqualFold(v.text, "Deny") {
			return p.syntax(v, path, "Effect is Allow or Deny")
		}
	case "Action", "NotAction":
		if d.action != nil {
			return p.syntax(v, path, "a statement has Action or NotAction, not both")
		}
		d.action, d.s.notAction = v, m.name == "NotAction"
		d.actions, err = p.list(v, path, false)
	case "Resource", "NotResource":
		if p.kind == Trust {
			return p.fault(m.start, path, "Has prohibited field Resource", "a trust policy is about its own role only")
		}
		if d.resource != nil {
			return p.syntax(v, path, "a statement has Resource or NotResource, not both")
		}
		d.resource, d.s.notRes, d.s.hasRes = v, m.name == "NotResource", true
		d.resources, err = p.list(v, path, false)
	case "Principal", "NotPrincipal":
		if p.kind != Trust && p.kind != Resource {
			return p.fault(m.start, path, "Policy document should not specify a principal.", "the principal is whoever the policy is attached to")
		}
		if d.s.hasPrin {
			return p.syntax(v, path, "a statement has Principal or NotPrincipal, not both")
		}
		d.s.hasPrin, d.s.notPrin = true, m.name == "NotPrincipal"
		err = p.principals(d, v, path)
	case "Condition":
		err = p.condition(d, v, path)
	default:
		return p.fault(m.start, path, p.kind.syntaxText(), "a statement has no such element")
	}
	return err
}

// list reads one string or a list of strings; scalars also takes numbers and booleans.
func (p *parser) list(v *node, path string, scalars bool) ([]*node, *SyntaxError) {
	one := []node{*v}
	if v.kind == jsonArray {
		one = v.items
	}
	out := make([]*node, 0, len(one))
	for i := range one {
		n := &one[i]
		if n.kind != jsonString && (!scalars || n.kind != jsonNumber && n.kind != jsonBool) {
			return nil, p.syntax(n, path, "a string is expected, not %s", n.kind)
		}
		out = append(out, n)
	}
	if p.values += len(out); p.values > p.limits.Values {
		err := p.syntax(v, path, "the policy has more than %d values", p.limits.Values)
		err.TooLarge = true
		return nil, err
	}
	return out, nil
}

// principals reads and compiles a Principal or NotPrincipal element.
func (p *parser) principals(d *draft, v *node, path string) *SyntaxError {
	add := func(kind string, n *node) *SyntaxError {
		c, ok := compilePrincipal(PrincipalRef{Kind: kind, Value: n.text})
		if !ok {
			return p.fault(n.start, path, `Invalid principal in policy: "`+kind+`":"`+n.text+`"`, "no principal is written like this")
		}
		d.s.principal = append(d.s.principal, c)
		return nil
	}
	switch {
	case v.kind == jsonString && v.text == "*":
		return add(kindEveryone, v)
	case v.kind != jsonObject || len(v.members) == 0:
		return p.syntax(v, path, `a principal is "*" or an object such as {"AWS": "…"}`)
	}
	for i := range v.members {
		m := &v.members[i]
		switch m.name {
		case kindAWS, kindService, kindFederated, kindCanonical:
		default:
			return p.fault(m.start, path, p.kind.syntaxText(), "there are no principals of this kind")
		}
		list, err := p.list(&m.value, path+"."+m.name, false)
		if err == nil && len(list) == 0 {
			err = p.syntax(&m.value, path+"."+m.name, "an empty list names nobody")
		}
		if err != nil {
			return err
		}
		for _, n := range list {
			if err := add(m.name, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// condition reads a Condition element.
func (p *parser) condition(d *draft, v *node, path string) *SyntaxError {
	if v.kind != jsonObject {
		return p.syntax(v, path, "Condition is an object, not %s", v.kind)
	}
	for i := range v.members {
		m := &v.members[i]
		at := path + "." + m.name
		if m.value.kind != jsonObject {
			return p.syntax(&m.value, at, "behind an operator comes an object, not %s", m.value.kind)
		}
		op, ok := parseOperator(m.name)
		if !ok && len(m.value.members) > 0 { // IAM takes any name that has no keys
			return p.fault(m.start, at, p.kind.syntaxText(), "there is no such operator")
		}
		for j := range m.value.members {
			key := &m.value.members[j]
			if key.name == "" {
				return p.fault(key.start, at, p.kind.syntaxText(), "a condition key has a name")
			}
			values, err := p.list(&key.value, at+"."+key.name, true)
			if err != nil {
				return err
			}
			d.tests = append(d.tests, draftTest{path: at + "." + key.name, op: op, name: key.name, values: values})
		}
	}
	return nil
}
