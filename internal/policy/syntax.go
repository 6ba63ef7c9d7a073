package policy

import (
	"fmt"
	"unicode/utf8"
)

// SyntaxError says why a policy is refused. The service's code for it is MalformedPolicyDocument, except where
// TooLarge is set.
type SyntaxError struct {
	Text     string // IAM's own message, exactly
	Detail   string // what is wrong, in our words
	Path     string // the element, such as "Statement[0].Condition.StringEquals"; empty for the document
	Position        // where it is in the text
	TooLarge bool   // a size limit, not the grammar, was broken
}

// Error returns IAM's text followed by the place and the detail.
func (e *SyntaxError) Error() string {
	return e.Text + " (" + e.Where() + ")"
}

// Where returns the place and the detail only, for people who must mend the policy.
func (e *SyntaxError) Where() string {
	s := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		s += ", " + e.Path
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// IAM's texts that more than one place uses.
const (
	textSyntax      = "Syntax errors in policy."
	textTrustSyntax = "This policy contains invalid Json" // CreateRole and UpdateAssumeRolePolicy say this instead
	textLegacy      = "The policy failed legacy parsing"
)

// syntaxText returns what the service says to a text that does not follow the grammar.
func (k Kind) syntaxText() string {
	if k == Trust {
		return textTrustSyntax
	}
	return textSyntax
}

// after returns the position behind text, which begins at p.
func (p Position) after(text []byte) Position {
	for len(text) > 0 {
		if text[0] == '\n' {
			p, text = Position{p.Line + 1, 1}, text[1:]
			continue
		}
		_, n := utf8.DecodeRune(text)
		p.Column++
		text = text[n:]
	}
	return p
}

// Size counts the characters of a policy's text without the white space between its tokens, as IAM's quotas do.
func Size(text []byte) int {
	n, inString := 0, false
	for i := 0; i < len(text); {
		c, width := utf8.DecodeRune(text[i:])
		switch {
		case inString:
			n++
			if c == '\\' && i+width < len(text) {
				n++
				width++
			} else if c == '"' {
				inString = false
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		default:
			n++
			inString = c == '"'
		}
		i += width
	}
	return n
}
