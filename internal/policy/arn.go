package policy

import "strings"

// arnSegments is how many parts an ARN has: arn, partition, service, region, account and the rest, in which
// colons and slashes have no meaning to the language.
const arnSegments = 6

// resourceName is a resource of a request, split once for all statements.
type resourceName struct {
	text string
	part [arnSegments]string
	ok   bool // it is an ARN
}

// splitName splits a request's resource. The one-character text * and other texts stay whole.
func splitName(text string) resourceName {
	n := resourceName{text: text}
	rest := text
	for i := 0; i < arnSegments-1; i++ {
		part, after, found := strings.Cut(rest, ":")
		if !found {
			return n
		}
		n.part[i], rest = part, after
	}
	n.part[arnSegments-1] = rest
	n.ok = n.part[0] == "arn"
	return n
}

// resourcePattern is one pattern of Resource or NotResource.
type resourcePattern struct {
	rest  pattern // first: it decides most comparisons
	every bool    // the pattern *
	head  [arnSegments - 2]pattern
	text  string // as written
}

// compileResource compiles a pattern that [checkResource] has accepted. Segments that it lacks match everything.
// Variables count behind the fifth colon only.
func compileResource(text string, variables bool) (resourcePattern, error) {
	p := resourcePattern{text: text, every: text == "*"}
	if p.every {
		return p, nil
	}
	part := strings.SplitN(text, ":", arnSegments)
	for len(part) < arnSegments {
		part = append(part, "*")
	}
	for i := range p.head {
		h, err := compilePattern(part[i+1], patternRules{wildcards: true})
		if err != nil {
			return p, err
		}
		p.head[i] = h
	}
	var err error
	p.rest, err = compilePattern(part[arnSegments-1], patternRules{wildcards: true, variables: variables})
	return p, err
}

// match reports whether the pattern covers the resource.
func (p *resourcePattern) match(e *evaluation, n *resourceName) bool {
	if p.every {
		return true
	}
	if !n.ok || !p.rest.matchResource(e, n.part[arnSegments-1]) {
		return false
	}
	for i := len(p.head) - 1; i >= 0; i-- { // account and region differ more often than the partition
		if !p.head[i].match(e, n.part[i+1]) {
			return false
		}
	}
	return true
}

// arnPattern is a policy's value for the Arn operators.
type arnPattern struct {
	part  [arnSegments]pattern
	whole *pattern // the value is one variable that stands for a whole ARN
	never bool     // fewer than six segments: matches no ARN
}

// compileARN compiles a value of ArnEquals and its kin. Colons inside variables do not divide it.
func compileARN(text string, variables bool) (arnPattern, error) {
	var parts []string
	start := 0
	for i := 0; i < len(text) && len(parts) < arnSegments-1; i++ {
		if variables && strings.HasPrefix(text[i:], "${") {
			if n := variableEnd(text[i:]); n > 0 {
				i += n
				continue
			}
		}
		if text[i] == ':' {
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	parts = append(parts, text[start:])
	var p arnPattern
	rules := patternRules{wildcards: true, variables: variables}
	if len(parts) < arnSegments {
		w, err := compilePattern(text, rules)
		if len(w.pieces) == 1 && w.vars {
			p.whole = &w
		}
		p.never = p.whole == nil
		return p, err
	}
	for i := range p.part {
		c, err := compilePattern(parts[i], rules)
		if err != nil {
			return p, err
		}
		p.part[i] = c
	}
	return p, nil
}

// match compares segment by segment; a text that is no ARN never matches.
func (p *arnPattern) match(e *evaluation, n *resourceName) bool {
	if p.never || !n.ok {
		return false
	}
	if p.whole != nil {
		return p.whole.match(e, n.text)
	}
	for i := range p.part {
		if !p.part[i].match(e, n.part[i]) {
			return false
		}
	}
	return true
}

// patterns calls f with each pattern that may hold variables.
func (p *arnPattern) patterns(f func(*pattern)) {
	if p.whole != nil {
		f(p.whole)
	}
	for i := range p.part {
		f(&p.part[i])
	}
}
