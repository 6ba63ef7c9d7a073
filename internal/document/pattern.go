package document

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
)

// Bounds of a pattern: matching takes time in proportion to its states times the
// characters of a value, and both are chosen by users of the service.
const (
	maxPattern = 4096   // bytes
	maxStates  = 10_000 // instructions of the compiled program
)

// pattern is an allowedPattern. AWS reads it as Java does and looks for it anywhere in
// the value; the stock agent reads it with Go's regexp. Here it is Go's, made to agree
// with Java where the two differ in what gets through:
//
//   - a dot matches no line terminator of any kind, so also no carriage return;
//   - $ is the end of the text and not also the place before a last line break;
//   - a class inside a class, and an intersection (&&), which Go would read as other
//     characters, are refused;
//   - look-ahead at the start, ^(?!...)(?=...), is understood. Elsewhere it is refused,
//     as are look-behind and back references.
type pattern struct {
	main   *regexp.Regexp
	ahead  []lookAhead
	plain  bool   // Go understands the text as it is, so a stock agent does
	source string // of main
}

type lookAhead struct {
	re  *regexp.Regexp
	not bool
}

func compilePattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("it is longer than %d bytes", maxPattern)
	}
	p := &pattern{source: text}
	if rest, ok := strings.CutPrefix(text, "^"); ok && looksAhead(rest) {
		for looksAhead(rest) {
			end, _, err := scanGroup(rest)
			if err != nil {
				return nil, err
			}
			re, err := compileJava(`\A(?:` + rest[3:end-1] + `)`)
			if err != nil {
				return nil, err
			}
			p.ahead = append(p.ahead, lookAhead{re, rest[2] == '!'})
			rest = rest[end:]
		}
		// An alternative after the look-ahead would not be guarded by it.
		if _, alternative, err := scanGroup("(" + rest + ")"); err != nil {
			return nil, err
		} else if alternative {
			return nil, errors.New("look-ahead is supported only before a group, not before alternatives")
		}
		p.source = `^` + rest
	}
	var err error
	if p.main, err = compileJava(p.source); err != nil {
		return nil, err
	}
	p.plain = len(p.ahead) == 0
	return p, nil
}

func looksAhead(s string) bool { return strings.HasPrefix(s, "(?=") || strings.HasPrefix(s, "(?!") }

func (p *pattern) match(s string) bool {
	for _, a := range p.ahead {
		if a.re.MatchString(s) == a.not {
			return false
		}
	}
	return p.main.MatchString(s)
}

// scanGroup finds the end of the group that s begins with, and whether it has
// alternatives of its own.
func scanGroup(s string) (end int, alternative bool, err error) {
	depth, class := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if strings.HasPrefix(s[i:], `\Q`) {
				return 0, false, errors.New(`\Q is not supported beside look-ahead`)
			}
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			// A bracket that is the first character of a class is one of its characters.
			if strings.HasPrefix(s[i:], "[]") {
				i++
			} else if strings.HasPrefix(s[i:], "[^]") {
				i += 2
			}
		case c == '(':
			depth++
		case c == '|' && depth == 1:
			alternative = true
		case c == ')':
			if depth--; depth == 0 {
				return i + 1, alternative, nil
			}
		}
	}
	return 0, false, errors.New("a group is not closed")
}

// compileJava compiles a pattern with the meaning it has in Java.
func compileJava(text string) (*regexp.Regexp, error) {
	if err := checkClasses(text); err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, plainSyntax(err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, plainSyntax(err)
	}
	if len(program.Inst) > maxStates {
		return nil, fmt.Errorf("it takes more than %d states", maxStates)
	}
	if tree, err = syntax.Parse(text, syntax.Perl); err != nil { // Simplify may share nodes
		return nil, plainSyntax(err)
	}
	if narrowDots(tree) {
		text = tree.String()
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, plainSyntax(err)
	}
	return re, nil
}

// plainSyntax says what is wrong without Go's own prefix.
func plainSyntax(err error) error {
	var e *syntax.Error
	if errors.As(err, &e) {
		if strings.HasPrefix(e.Expr, "(?<=") || strings.HasPrefix(e.Expr, "(?<!") { // Go sees a name
			return errors.New("look-behind is not supported")
		}
		return fmt.Errorf("%s `%s`", e.Code, cut(e.Expr))
	}
	return err
}

// narrowDots lets a dot match no line terminator (java.util.regex.Pattern, "Line
// terminators"). It says whether there was one.
func narrowDots(re *syntax.Regexp) bool {
	found := false
	if re.Op == syntax.OpAnyCharNotNL {
		re.Op = syntax.OpCharClass
		re.Rune = []rune{0, '\t', '\v', '\f', 0x0e, 0x84, 0x86, 0x2027, 0x202a, unicode.MaxRune}
		found = true
	}
	for _, sub := range re.Sub {
		found = narrowDots(sub) || found
	}
	return found
}

// errVertical: all vertical white space in Java, one character of it in Go.
var errVertical = errors.New(`\v is not supported; write the characters`)

// checkClasses refuses what means one thing in Java's classes and another in Go's.
func checkClasses(text string) error {
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], `\Q`):
			end := strings.Index(text[i:], `\E`)
			if end < 0 {
				return nil
			}
			i += end + 1
		case strings.HasPrefix(text[i:], `\v`):
			return errVertical
		case text[i] == '\\':
			i++
		case text[i] == '[':
			i++
			if i < len(text) && text[i] == '^' {
				i++
			}
			for first := true; i < len(text) && (first || text[i] != ']'); i++ {
				first = false
				switch {
				case strings.HasPrefix(text[i:], `\v`):
					return errVertical
				case text[i] == '\\':
					i++
				case text[i] == '[':
					return errors.New(`a [ inside a class must be written \[`)
				case strings.HasPrefix(text[i:], "&&"):
					return errors.New("intersections of classes are not supported")
				}
			}
		}
	}
	return nil
}

// lets says what kind of shell syntax the pattern lets through; empty: none. It errs on
// the side of warning: what a look-ahead forbids is not counted.
func (p *pattern) lets() string {
	tree, err := syntax.Parse(p.source, syntax.Perl)
	if err != nil {
		return "cannot be judged"
	}
	if begin, end := anchored(tree); !begin || !end {
		return "is not anchored with ^ and $ at both ends"
	}
	j := judge{maxJudged}
	if r, ok := j.unsafeRune(tree); ok {
		if j.left < 0 {
			return "has too many characters to be judged"
		}
		return fmt.Sprintf("lets %q through", r)
	}
	return ""
}

// anchored says whether every match begins at the start of the text and ends at its end.
func anchored(re *syntax.Regexp) (begin, end bool) {
	switch re.Op {
	case syntax.OpBeginText:
		return true, false
	case syntax.OpEndText:
		return false, true
	case syntax.OpCapture:
		return anchored(re.Sub[0])
	case syntax.OpConcat:
		begin, _ = anchored(re.Sub[0])
		_, end = anchored(re.Sub[len(re.Sub)-1])
		return begin, end
	case syntax.OpAlternate:
		begin, end = true, true
		for _, sub := range re.Sub {
			b, e := anchored(sub)
			begin, end = begin && b, end && e
		}
		return begin, end
	}
	return false, false
}

// judge looks for a character of a pattern that a shell may read as syntax.
type judge struct{ left int } // characters that may still be looked at

// maxJudged is enough for several classes of all letters (141,000 each).
const maxJudged = 2_000_000

func (j *judge) unsafeRune(re *syntax.Regexp) (rune, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if !inert(r) {
				return r, true
			}
		}
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if j.left--; j.left < 0 || !inert(r) {
					return r, true
				}
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return ';', true
	}
	for _, sub := range re.Sub {
		if r, ok := j.unsafeRune(sub); ok {
			return r, true
		}
	}
	return 0, false
}

// inert says whether no shell, of any of the platforms, gives the character a meaning
// inside a word. Other quotes than ASCII's are syntax in PowerShell, so that of the
// characters beyond ASCII only letters and digits are.
func inert(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./:@+=, ", r)
}
