package yamldoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
)

// FromJSON converts a JSON text to YAML in block style. Its errors are [ssm.Error]s.
func FromJSON(text []byte) ([]byte, error) {
	if len(text) > maxOutput {
		return nil, document.CheckSize(text)
	}
	if !json.Valid(text) {
		return nil, ssm.Errorf(document.CodeInvalidContent, "JSON not well-formed.")
	}
	e := &emitter{d: json.NewDecoder(bytes.NewReader(text))}
	e.d.UseNumber()
	if err := e.value(0, ""); err != nil {
		return nil, err
	}
	return e.out.Bytes(), nil
}

// emitter prints the tokens of a JSON text as YAML.
type emitter struct {
	d   *json.Decoder
	out bytes.Buffer
}

// value prints one value. before is what separates a scalar from its key or dash.
func (e *emitter) value(depth int, before string) error {
	if depth > maxDepth {
		return ssm.Errorf(document.CodeInvalidContent, "The document is nested more than %d levels deep.", maxDepth)
	}
	t, err := e.d.Token()
	if err != nil {
		return fmt.Errorf("read a document: %w", err)
	}
	switch t := t.(type) {
	case json.Delim:
		return e.collection(t, depth, before)
	case string:
		e.out.WriteString(before)
		e.text(t, depth)
	case nil:
		e.out.WriteString(before + "null\n")
	case json.Number:
		text, err := number(t.String())
		if err != nil {
			return err
		}
		e.out.WriteString(before + text + "\n")
	default: // bool
		fmt.Fprintf(&e.out, "%s%v\n", before, t)
	}
	return nil
}

// number writes a number so that every version of YAML takes it for one: 1.0e+5, not
// 1e5.
func number(text string) (string, error) {
	mantissa, exponent, float := strings.Cut(strings.ToLower(text), "e")
	_, fraction, point := strings.Cut(mantissa, ".")
	var err error
	switch {
	case float || point:
		_, err = strconv.ParseFloat(text, 64)
	case strings.HasPrefix(text, "-"):
		_, err = strconv.ParseInt(text, 10, 64)
	default:
		_, err = strconv.ParseUint(text, 10, 64)
	}
	if err != nil {
		return "", ssm.Errorf(document.CodeInvalidContent, "The number %.32s is too large for YAML.", text)
	}
	if !float {
		return text, nil
	}
	if fraction == "" {
		mantissa += ".0"
	}
	if exponent[0] != '-' && exponent[0] != '+' {
		exponent = "+" + exponent
	}
	return mantissa + "e" + exponent, nil
}

func (e *emitter) collection(open json.Delim, depth int, before string) error {
	if !e.d.More() {
		if open == '{' {
			e.out.WriteString(before + "{}\n")
		} else {
			e.out.WriteString(before + "[]\n")
		}
		return e.close()
	}
	if before != "" {
		e.out.WriteString("\n")
	}
	indent := strings.Repeat("  ", depth)
	for e.d.More() {
		e.out.WriteString(indent)
		if open == '[' {
			e.out.WriteString("-")
		} else {
			key, err := e.d.Token()
			if err != nil {
				return fmt.Errorf("read a document: %w", err)
			}
			name, ok := key.(string)
			if !ok {
				return fmt.Errorf("read a document: %w", io.ErrUnexpectedEOF)
			}
			e.out.WriteString(scalar(name) + ":")
		}
		if err := e.value(depth+1, " "); err != nil {
			return err
		}
	}
	return e.close()
}

func (e *emitter) close() error {
	if _, err := e.d.Token(); err != nil {
		return fmt.Errorf("read a document: %w", err)
	}
	return nil
}

// text prints lines as a block, as an author would write commands, if every reader
// takes them back the same; otherwise in quotes.
func (e *emitter) text(s string, depth int) {
	body, ended := strings.CutSuffix(s, "\n")
	lines := strings.Split(body, "\n")
	if len(lines) < 2 || !blockLines(lines) {
		e.out.WriteString(scalar(s) + "\n")
		return
	}
	if ended {
		e.out.WriteString("|\n")
	} else {
		e.out.WriteString("|-\n")
	}
	indent := strings.Repeat("  ", max(depth, 1))
	for _, line := range lines {
		e.out.WriteString(indent + line + "\n")
	}
}

func blockLines(lines []string) bool {
	for _, line := range lines {
		if line == "" || line[0] == ' ' || strings.HasSuffix(line, " ") {
			return false
		}
		for _, r := range line {
			if !unicode.IsPrint(r) { // also tabs
				return false
			}
		}
	}
	return true
}

// plain is text that no reader of any version of YAML takes for anything else.
var plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)

// other are the words that are not text, in some version of YAML.
var other = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n)$`)

func scalar(s string) string {
	if plain.MatchString(s) && !other.MatchString(s) {
		return s
	}
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&out, `\U%08X`, r)
		default:
			fmt.Fprintf(&out, `\u%04X`, r)
		}
	}
	out.WriteByte('"')
	return out.String()
}
