package policy

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quantifier says how an operator treats a key with several values.
type quantifier uint8

const (
	single    quantifier = iota // as anyValue, save that an absent key is judged by the operator
	anyValue                    // ForAnyValue:
	allValues                   // ForAllValues:
)

// family is the type an operator gives to the values.
type family uint8

const (
	familyString family = iota
	familyFold
	familyLike
	familyNumeric
	familyDate
	familyBool
	familyBinary
	familyIP
	familyARN
	familyNull
)

// relation is how ordered values must stand to each other.
type relation uint8

const (
	equal relation = iota
	less
	lessEqual
	greater
	greaterEqual
)

func (r relation) holds(compared int) bool {
	switch r {
	case less:
		return compared < 0
	case lessEqual:
		return compared <= 0
	case greater:
		return compared > 0
	case greaterEqual:
		return compared >= 0
	}
	return compared == 0
}

// operator is a condition operator with its affixes.
type operator struct {
	family   family
	relation relation
	negated  bool
	ifExists bool
	set      quantifier
	name     string // as written
}

// parseOperator reads the name of an operator; ok is false if there is no such operator.
func parseOperator(name string) (op operator, ok bool) {
	op.name = name
	base := name
	if rest, found := strings.CutPrefix(base, "ForAnyValue:"); found {
		op.set, base = anyValue, rest
	} else if rest, found := strings.CutPrefix(base, "ForAllValues:"); found {
		op.set, base = allValues, rest
	}
	base, op.ifExists = strings.CutSuffix(base, "IfExists")
	switch base {
	case "StringEquals":
	case "StringNotEquals":
		op.negated = true
	case "StringEqualsIgnoreCase":
		op.family = familyFold
	case "StringNotEqualsIgnoreCase":
		op.family, op.negated = familyFold, true
	case "StringLike":
		op.family = familyLike
	case "StringNotLike":
		op.family, op.negated = familyLike, true
	case "Bool":
		op.family = familyBool
	case "BinaryEquals":
		op.family = familyBinary
	case "IpAddress":
		op.family = familyIP
	case "NotIpAddress":
		op.family, op.negated = familyIP, true
	case "ArnEquals", "ArnLike":
		op.family = familyARN
	case "ArnNotEquals", "ArnNotLike":
		op.family, op.negated = familyARN, true
	case "Null":
		op.family = familyNull
		return op, !op.ifExists // Null asks for existence itself
	default:
		return parseOrdered(op, base)
	}
	return op, true
}

// parseOrdered reads the operators on numbers and dates.
func parseOrdered(op operator, base string) (operator, bool) {
	suffix, found := strings.CutPrefix(base, "Numeric")
	op.family = familyNumeric
	if !found {
		if suffix, found = strings.CutPrefix(base, "Date"); !found {
			return op, false
		}
		op.family = familyDate
	}
	switch suffix {
	case "Equals":
	case "NotEquals":
		op.negated = true
	case "LessThan":
		op.relation = less
	case "LessThanEquals":
		op.relation = lessEqual
	case "GreaterThan":
		op.relation = greater
	case "GreaterThanEquals":
		op.relation = greaterEqual
	default:
		return op, false
	}
	return op, true
}

// operand is one value of a policy, compiled for its operator. Only the operator's own field is set.
type operand struct {
	pattern pattern // first: it is what most conditions have
	text    string  // as written
	arn     *arnPattern
	number  decimal
	date    moment
	network netip.Prefix
	truth   bool
}

// errValue is the fault of a value that cannot be read as what its operator compares.
var errValue = errors.New("the value is not of the operator's type")

// compileOperand compiles a value of a policy for an operator.
func compileOperand(op operator, text string, variables bool) (operand, error) {
	v := operand{text: text}
	var err error
	ok := true
	switch op.family {
	case familyString, familyFold:
		v.pattern, err = compilePattern(text, patternRules{variables: variables})
	case familyLike:
		v.pattern, err = compilePattern(text, patternRules{wildcards: true, variables: variables})
	case familyARN:
		var a arnPattern
		a, err = compileARN(text, variables)
		v.arn = &a
	case familyNumeric:
		v.number, ok = parseDecimal(text)
	case familyDate:
		v.date, ok = parseMoment(text)
	case familyBool, familyNull:
		v.truth, ok = parseBool(text)
	case familyIP:
		v.network, ok = parseNetwork(text)
	case familyBinary:
		ok = validBinary(text)
	}
	if !ok {
		err = errValue
	}
	return v, err
}

// match compares one value of the request with one of the policy, without regard to negation. A value of the
// request that cannot be read as the operator's type matches nothing.
func (op *operator) match(e *evaluation, v *operand, r *requestValue) bool {
	switch op.family {
	case familyFold:
		return v.pattern.equalFold(e, r.text)
	case familyARN:
		return v.arn.match(e, &r.name)
	case familyNumeric:
		return r.ok && op.relation.holds(r.number.compare(v.number))
	case familyDate:
		return r.ok && op.relation.holds(r.date.compare(v.date))
	case familyBool:
		return r.ok && r.truth == v.truth
	case familyIP:
		return r.ok && v.network.Contains(r.address)
	case familyBinary:
		return r.ok && r.text == v.text // both are canonical, so equal bytes have equal texts
	}
	return false
}

// requestValue is one value of a context key, read once for all values of a condition.
type requestValue struct {
	text    string
	name    resourceName
	number  decimal
	date    moment
	address netip.Addr
	truth   bool
	ok      bool
}

func (op *operator) read(text string) requestValue {
	r := requestValue{text: text}
	switch op.family {
	case familyARN:
		r.name = splitName(text)
	case familyNumeric:
		r.number, r.ok = parseDecimal(text)
	case familyDate:
		r.date, r.ok = parseMoment(text)
	case familyBool:
		r.truth, r.ok = parseBool(text)
	case familyIP:
		var err error
		r.address, err = netip.ParseAddr(text)
		r.ok = err == nil && r.address.Zone() == ""
		r.address = r.address.Unmap()
	case familyBinary:
		r.ok = validBinary(text)
	}
	return r
}

func parseBool(text string) (value, ok bool) {
	switch {
	case len(text) == len("true") && strings.EqualFold(text, "true"):
		return true, true
	case len(text) == len("false") && strings.EqualFold(text, "false"):
		return false, true
	}
	return false, false
}

// parseNetwork reads an address or a block in CIDR notation. IPv4 mapped into IPv6 becomes IPv4; bits behind
// the prefix length are ignored.
func parseNetwork(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	const mapped = 96 // bits before the IPv4 address in ::ffff:0:0/96
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), true
}

// validBinary reports whether text is base64 in its one canonical form: padded, no line breaks, no stray bits.
func validBinary(text string) bool {
	body := strings.TrimRight(text, "=")
	padding := len(text) - len(body)
	if len(text)%4 != 0 || padding > 2 {
		return false
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := 0
	for i := 0; i < len(body); i++ {
		if last = strings.IndexByte(alphabet, body[i]); last < 0 {
			return false
		}
	}
	return last&(1<<(2*padding)-1) == 0
}

// equalFold compares without regard to case (Unicode simple folding), piece by piece, so that nothing is allocated.
func (p *pattern) equalFold(e *evaluation, text string) bool {
	if p.shape == exact {
		return strings.EqualFold(p.text, text)
	}
	for i := range p.pieces {
		want := p.pieces[i].text
		if p.pieces[i].kind == variable {
			v, ok := e.variable(&p.pieces[i], false)
			if !ok {
				return false
			}
			want = v
		}
		for want != "" {
			w, n := utf8.DecodeRuneInString(want)
			g, m := utf8.DecodeRuneInString(text)
			if m == 0 || !sameFold(w, g) {
				return false
			}
			want, text = want[n:], text[m:]
		}
	}
	return text == ""
}

// sameFold reports whether two characters differ at most in case.
func sameFold(a, b rune) bool {
	if a == b {
		return true
	}
	for c := unicode.SimpleFold(a); c != a; c = unicode.SimpleFold(c) {
		if c == b {
			return true
		}
	}
	return false
}
