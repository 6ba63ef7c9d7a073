package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
	"unique"
)

// pieceKind is what one piece of a pattern stands for.
type pieceKind uint8

const (
	literal  pieceKind = iota
	anyOne             // ? : exactly one character
	anyText            // * : any text, also none
	variable           // ${…} : the value of a context key, literally
)

// piece is one part of a pattern that is not plain text.
type piece struct {
	kind       pieceKind
	text       string // of a literal; of a variable: the key's name as written
	key        string // of a variable: the folded name
	fallback   string // of a variable: its default
	hasDefault bool
}

// shape is the cheapest way to compare a pattern.
type shape uint8

const (
	exact    shape = iota // text alone
	prefix                // text, then anything
	suffix                // anything, then text
	anything              // whatever it is
	complex               // pieces
)

// pattern is a compiled text with wildcards and variables.
type pattern struct {
	text   string // what shapes exact, prefix and suffix compare with
	pieces []piece
	shape  shape
	vars   bool // pieces has variables
	// probe is the first character of text, or the last one for the shape suffix. With many policies reading
	// memory is the cost, and most texts differ here already: then text itself is not read.
	probe byte
}

// patternRules says what is special in a text.
type patternRules struct{ wildcards, variables bool }

// compilePattern reads a pattern. Only a malformed variable is an error.
func compilePattern(text string, rules patternRules) (pattern, error) {
	var pieces []piece
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			pieces = append(pieces, piece{kind: literal, text: lit.String()})
			lit.Reset()
		}
	}
	p := pattern{}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case rules.wildcards && c == '?':
			flush()
			pieces = append(pieces, piece{kind: anyOne})
			i++
		case rules.wildcards && c == '*':
			flush()
			if n := len(pieces); n == 0 || pieces[n-1].kind != anyText { // ** is *
				pieces = append(pieces, piece{kind: anyText})
			}
			i++
		case rules.variables && c == '$' && strings.HasPrefix(text[i:], "${"):
			v, n, err := readVariable(text[i:])
			if err != nil {
				return pattern{}, err
			}
			i += n
			if v.kind == literal {
				lit.WriteString(v.text)
				continue
			}
			flush()
			pieces = append(pieces, v)
			p.vars = true
		default:
			lit.WriteByte(c)
			i++
		}
	}
	flush()
	switch {
	case len(pieces) == 0:
		p.shape = exact
	case len(pieces) == 1 && pieces[0].kind == literal:
		p.shape, p.text = exact, intern(pieces[0].text)
	case len(pieces) == 1 && pieces[0].kind == anyText:
		p.shape = anything
	case len(pieces) == 2 && pieces[0].kind == literal && pieces[1].kind == anyText:
		p.shape, p.text = prefix, intern(pieces[0].text)
	case len(pieces) == 2 && pieces[0].kind == anyText && pieces[1].kind == literal:
		p.shape, p.text = suffix, intern(pieces[1].text)
	default:
		p.shape, p.pieces = complex, pieces
	}
	if n := len(p.text); n > 0 {
		p.probe = p.text[0]
		if p.shape == suffix {
			p.probe = p.text[n-1]
		}
	}
	return p, nil
}

// readVariable reads the ${…} that text begins with and returns its length.
func readVariable(text string) (piece, int, error) {
	end := variableEnd(text)
	if end < 0 {
		return piece{}, 0, fmt.Errorf("a variable has no end")
	}
	inner := text[2:end]
	switch inner {
	case "*", "?", "$":
		return piece{kind: literal, text: inner}, end + 1, nil
	}
	v := piece{kind: variable}
	name, rest, hasDefault := strings.Cut(inner, ",")
	v.text = strings.TrimSpace(name)
	if v.text == "" || strings.ContainsAny(v.text, "${}*?'\"") {
		return piece{}, 0, fmt.Errorf("%q is not the name of a variable", name)
	}
	v.key = intern(fold(v.text))
	if hasDefault {
		rest = strings.TrimSpace(rest)
		if len(rest) < 2 || rest[0] != '\'' || rest[len(rest)-1] != '\'' || strings.Contains(rest[1:len(rest)-1], "'") {
			return piece{}, 0, fmt.Errorf("the default of variable %s is not in single quotes", v.text)
		}
		v.fallback, v.hasDefault = rest[1:len(rest)-1], true
	}
	return v, end + 1, nil
}

// variableEnd returns the index of the brace that closes the ${ at the start of text; braces in a quoted
// default do not count. It is -1 if there is none.
func variableEnd(text string) int {
	quoted := false
	for i := 2; i < len(text); i++ {
		switch text[i] {
		case '\'':
			quoted = !quoted
		case '}':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// maxInlineVariables is how many variables of one pattern are matched without allocating.
const maxInlineVariables = 8

// match reports whether the whole of text matches. A variable without a value makes a pattern match nothing.
func (p *pattern) match(e *evaluation, text string) bool {
	switch p.shape {
	case exact:
		return len(text) == len(p.text) && (len(text) == 0 || text[0] == p.probe && text == p.text)
	case prefix:
		return len(text) >= len(p.text) && (len(p.text) == 0 || text[0] == p.probe && text[:len(p.text)] == p.text)
	case suffix:
		n := len(text)
		return n >= len(p.text) && (len(p.text) == 0 || text[n-1] == p.probe && text[n-len(p.text):] == p.text)
	case anything:
		return true
	}
	return p.matchComplex(e, text, false)
}

// matchResource is match with the values that variables have in resources.
func (p *pattern) matchResource(e *evaluation, text string) bool {
	if !p.vars {
		return p.match(e, text)
	}
	return p.matchComplex(e, text, true)
}

// matchComplex matches a pattern of several pieces; inResource says where it stands.
//
// The work is at most len(text) times the pattern's length: each stretch between two stars is tried at its
// leftmost place only, and never moved again.
func (p *pattern) matchComplex(e *evaluation, text string, inResource bool) bool {
	var space [maxInlineVariables]string
	vars := space[:0]
	if p.vars {
		for i := range p.pieces {
			if p.pieces[i].kind == variable {
				v, ok := e.variable(&p.pieces[i], inResource)
				if !ok {
					return false
				}
				vars = append(vars, v)
			}
		}
	}
	return matchPieces(p.pieces, vars, text)
}

// resolved reports whether every variable of the pattern has a value.
func (p *pattern) resolved(e *evaluation, inResource bool) bool {
	if !p.vars {
		return true
	}
	for i := range p.pieces {
		if p.pieces[i].kind == variable {
			if _, ok := e.variable(&p.pieces[i], inResource); !ok {
				return false
			}
		}
	}
	return true
}

// matchPieces matches text with pieces, whose variables have the texts vars in their order.
func matchPieces(pieces []piece, vars []string, text string) bool {
	first := true // the stretch is bound to the beginning of text
	for {
		n := 0
		for n < len(pieces) && pieces[n].kind != anyText {
			n++
		}
		stretch, used := pieces[:n], 0
		for i := range stretch {
			if stretch[i].kind == variable {
				used++
			}
		}
		mine := vars[:used]
		vars = vars[used:]
		last := n == len(pieces)
		switch {
		case first:
			rest, ok := matchHere(stretch, mine, text)
			if !ok {
				return false
			}
			if last {
				return rest == ""
			}
			text = rest
		case last:
			return matchAtEnd(stretch, mine, text)
		default:
			rest, ok := findStretch(stretch, mine, text)
			if !ok {
				return false
			}
			text = rest
		}
		pieces, first = pieces[n+1:], false
	}
}

// matchHere matches a stretch without stars at the beginning of text and returns what follows it.
func matchHere(stretch []piece, vars []string, text string) (rest string, ok bool) {
	for i := range stretch {
		want := stretch[i].text
		switch stretch[i].kind {
		case anyOne:
			if text == "" {
				return "", false
			}
			_, n := utf8.DecodeRuneInString(text)
			text = text[n:]
			continue
		case variable:
			want, vars = vars[0], vars[1:]
		}
		if !strings.HasPrefix(text, want) {
			return "", false
		}
		text = text[len(want):]
	}
	return text, true
}

// matchAtEnd reports whether text ends with the stretch.
func matchAtEnd(stretch []piece, vars []string, text string) bool {
	for i := len(stretch) - 1; i >= 0; i-- {
		want := stretch[i].text
		switch stretch[i].kind {
		case anyOne:
			if text == "" {
				return false
			}
			_, n := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-n]
			continue
		case variable:
			want, vars = vars[len(vars)-1], vars[:len(vars)-1]
		}
		if !strings.HasSuffix(text, want) {
			return false
		}
		text = text[:len(text)-len(want)]
	}
	return true
}

// findStretch finds the leftmost place of the stretch and returns what follows it.
func findStretch(stretch []piece, vars []string, text string) (rest string, ok bool) {
	for {
		if len(stretch) > 0 && stretch[0].kind == literal { // most are: jump there
			i := strings.Index(text, stretch[0].text)
			if i < 0 {
				return "", false
			}
			text = text[i:]
		}
		if rest, ok := matchHere(stretch, vars, text); ok {
			return rest, true
		}
		if text == "" {
			return "", false
		}
		_, n := utf8.DecodeRuneInString(text)
		text = text[n:]
	}
}

// intern returns the one copy of a text that all policies share: they name the same few actions, segments and
// keys, and equal texts at one address compare without being read.
func intern(text string) string { return unique.Make(text).Value() }

// fold is the form in which the names of context keys are compared.
func fold(name string) string { return strings.ToLower(name) }
