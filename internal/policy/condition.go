package policy

// test is one key under one operator of a Condition element.
type test struct {
	key      string // folded
	operands []operand
	vars     bool // an operand has variables
	op       operator
	name     string // the key as written
}

// eachVariable calls f with every variable in the values.
func (t *test) eachVariable(f func(*piece)) {
	if !t.vars {
		return
	}
	t.eachPattern(func(p *pattern) bool {
		for i := range p.pieces {
			if p.pieces[i].kind == variable {
				f(&p.pieces[i])
			}
		}
		return true
	})
}

// eachPattern calls f with every pattern in the values until f returns false.
func (t *test) eachPattern(f func(*pattern) bool) {
	for i := range t.operands {
		o := &t.operands[i]
		if o.arn == nil {
			if !f(&o.pattern) {
				return
			}
			continue
		}
		o.arn.patterns(func(p *pattern) { f(p) })
	}
}

// resolved reports whether every variable in the values has a value.
func (t *test) resolved(e *evaluation) bool {
	if !t.vars {
		return true
	}
	all := true
	t.eachPattern(func(p *pattern) bool {
		all = all && p.resolved(e, false)
		return all
	})
	return all
}

// holds reports whether the condition is met.
func (t *test) holds(e *evaluation, effect Effect) bool {
	values := e.values(t.key)
	if t.op.family == familyNull {
		return t.null(len(values) == 0)
	}
	// A negated operator would be met by a variable that stands for nothing, and open what its author meant to
	// close. So a statement that allows does not apply then, and one that denies does.
	if t.op.negated && effect == Allow && !t.resolved(e) {
		return false
	}
	if len(values) == 0 {
		switch {
		case t.op.ifExists, t.op.set == allValues:
			return true
		case t.op.set == anyValue:
			return false
		}
		return t.op.negated
	}
	// Negation is per value of the request: none of the policy's values may match it. "All" asks this of every
	// value of the request, the others of at least one.
	for _, text := range values {
		met := t.matchesAny(e, text) != t.op.negated
		if met != (t.op.set == allValues) {
			return met
		}
	}
	return t.op.set == allValues
}

// matchesAny reports whether a value of the request matches one of the policy's.
func (t *test) matchesAny(e *evaluation, text string) bool {
	if t.op.family == familyString || t.op.family == familyLike { // most conditions; there is nothing to read
		for i := range t.operands {
			if t.operands[i].pattern.match(e, text) {
				return true
			}
		}
		return false
	}
	return t.matchesTyped(e, text)
}

// matchesTyped is matchesAny for operators that read the request's value as something else than text.
func (t *test) matchesTyped(e *evaluation, text string) bool {
	r := t.op.read(text)
	for i := range t.operands {
		if t.op.match(e, &t.operands[i], &r) {
			return true
		}
	}
	return false
}

// null is the operator Null: "true" asks for an absent key, "false" for a present one.
func (t *test) null(absent bool) bool {
	for i := range t.operands {
		if t.operands[i].truth == absent {
			return true
		}
	}
	return false
}
