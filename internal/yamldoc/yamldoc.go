// Package yamldoc converts document texts between YAML and JSON. It is for the control
// plane, which stores a document as it was submitted and shows it in either format, and
// is apart from package document because that one uses nothing but the standard
// library. It promises that conversion keeps the order of the keys and the text of
// numbers, and that its cost is bounded: what a text may hold is limited in size, depth
// and in what its aliases multiply.
package yamldoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
)

// Document formats of the API that have a structure.
const (
	JSON = "JSON"
	YAML = "YAML"
)

// Bounds of what a text may make of itself.
const (
	maxDepth  = 32
	maxNodes  = 20_000
	maxOutput = 4 * document.MaxContent // as document.ParseConverted takes
)

// Parse is [document.Parse] for either format.
func Parse(text []byte, format string) (*document.Content, error) {
	if format != YAML {
		return document.Parse(text)
	}
	converted, err := ToJSON(text)
	if err != nil {
		return nil, err
	}
	return document.ParseConverted(converted)
}

// Convert gives the text in another format. The same format gives the same bytes.
func Convert(text []byte, from, to string) ([]byte, error) {
	switch {
	case from == to:
		return text, nil
	case from == YAML && to == JSON:
		compact, err := ToJSON(text)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := json.Indent(&out, compact, "", "  "); err != nil {
			return nil, fmt.Errorf("indent a converted document: %w", err)
		}
		return out.Bytes(), nil
	case from == JSON && to == YAML:
		return FromJSON(text)
	}
	return nil, fmt.Errorf("convert a document from %s to %s: %w", from, to, errors.ErrUnsupported)
}

// ToJSON converts a YAML text to JSON without spaces. Duplicate keys stay, so that
// whoever reads the JSON names them with their place. Its errors are [ssm.Error]s.
func ToJSON(text []byte) ([]byte, error) {
	if err := document.CheckSize(text); err != nil {
		return nil, err
	}
	if !utf8.Valid(text) {
		return nil, notWellFormed(nil, "The text is not UTF-8.")
	}
	tokens := lexer.Tokenize(string(text))
	if err := checkDepth(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, parseError(err)
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			return nil, notWellFormed(d.Body.GetToken(), "There is more than one document.")
		}
		body = d.Body
	}
	if body == nil {
		return nil, notWellFormed(nil, "The text is empty.")
	}
	c := &converter{anchors: make(map[string]ast.Node)}
	if err := c.node(body, 0); err != nil {
		return nil, err
	}
	return c.out, nil
}

// parseError takes the first line of the library's text: the others show the source.
func parseError(err error) error {
	var detailed interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &detailed) {
		return notWellFormed(detailed.GetToken(), detailed.GetMessage()+".")
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return notWellFormed(nil, line)
}

func notWellFormed(at *token.Token, detail string) error {
	text := "YAML not well-formed."
	if at != nil && at.Position != nil {
		text += fmt.Sprintf(" at Line: %d, Column: %d", at.Position.Line, at.Position.Column)
	}
	if len(detail) > 256 {
		detail = strings.ToValidUTF8(detail[:256], "")
	}
	return ssm.Errorf(document.CodeInvalidContent, "%s %s", text, detail)
}

// checkDepth refuses what would make the parser, which is recursive, go deep: brackets,
// and "- - - " on one line. Indentation is limited by the size of the text.
func checkDepth(tokens token.Tokens) error {
	const most = 10 * maxDepth // a text is judged properly when it is converted
	flow, line, entries := 0, -1, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType, token.AnchorType:
			if t.Position.Line != line {
				line, entries = t.Position.Line, 0
			}
			if entries++; entries > most && flow == 0 {
				return notWellFormed(t, "The line has too many levels.")
			}
		}
		if flow > most {
			return notWellFormed(t, "The document is nested too deep.")
		}
	}
	return nil
}

// converter prints a syntax tree as JSON.
type converter struct {
	out     []byte
	nodes   int
	anchors map[string]ast.Node
}

func (c *converter) node(n ast.Node, depth int) error {
	if c.nodes++; c.nodes > maxNodes || len(c.out) > maxOutput {
		return notWellFormed(n.GetToken(), "The document is too large when its aliases are replaced.")
	}
	if depth > maxDepth {
		return notWellFormed(n.GetToken(), fmt.Sprintf("The document is nested more than %d levels deep.", maxDepth))
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.mapping(n, depth)
	case *ast.MappingValueNode:
		return c.mapping(n, depth)
	case *ast.SequenceNode:
		c.out = append(c.out, '[')
		for i, v := range n.Values {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			if err := c.node(v, depth+1); err != nil {
				return err
			}
		}
		c.out = append(c.out, ']')
		return nil
	case *ast.AnchorNode:
		c.anchors[n.Name.GetToken().Value] = n.Value
		return c.node(n.Value, depth+1)
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, ok := c.anchors[name]
		if !ok {
			return notWellFormed(n.GetToken(), fmt.Sprintf("There is no anchor %q before its alias.", name))
		}
		return c.node(target, depth+1)
	case *ast.TagNode:
		return c.tagged(n, depth)
	}
	return c.scalar(n)
}

func (c *converter) mapping(n ast.MapNode, depth int) error {
	c.out = append(c.out, '{')
	first := true
	for at := n.MapRange(); at.Next(); {
		if !first {
			c.out = append(c.out, ',')
		}
		first = false
		key, err := keyText(at.Key())
		if err != nil {
			return err
		}
		c.text(key)
		c.out = append(c.out, ':')
		if err := c.node(at.Value(), depth+1); err != nil {
			return err
		}
	}
	c.out = append(c.out, '}')
	return nil
}

// keyText is the key as it was written. What another key type means in JSON differs
// from one library to the next, so that only scalars are taken.
func keyText(key ast.MapKeyNode) (string, error) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return key.GetToken().Value, nil
	}
	return "", notWellFormed(key.GetToken(), "A key must be plain text.")
}

func (c *converter) tagged(n *ast.TagNode, depth int) error {
	switch n.Start.Value {
	case "!!str":
		switch v := n.Value.(type) {
		case *ast.LiteralNode, *ast.StringNode:
			return c.node(v, depth+1)
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
			c.text(v.GetToken().Value)
			return nil
		}
	case "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
		if n.Value != nil {
			return c.node(n.Value, depth+1)
		}
	}
	return notWellFormed(n.GetToken(), fmt.Sprintf("The tag %s is not supported here.", n.Start.Value))
}

func (c *converter) scalar(n ast.Node) error {
	switch n := n.(type) {
	case *ast.StringNode:
		c.text(n.Value)
	case *ast.LiteralNode:
		c.text(n.Value.Value)
	case *ast.BoolNode:
		c.out = strconv.AppendBool(c.out, n.Value)
	case *ast.NullNode:
		c.out = append(c.out, "null"...)
	case *ast.IntegerNode:
		// The text as written where JSON has it too: 1.0 must stay what it is.
		if written := n.GetToken().Value; json.Valid([]byte(written)) {
			c.out = append(c.out, written...)
		} else {
			c.out = fmt.Append(c.out, n.Value)
		}
	case *ast.FloatNode:
		if written := n.GetToken().Value; json.Valid([]byte(written)) {
			c.out = append(c.out, written...)
		} else {
			c.out = strconv.AppendFloat(c.out, n.Value, 'g', -1, 64)
		}
	case *ast.InfinityNode, *ast.NanNode:
		c.text(n.GetToken().Value)
	default:
		return notWellFormed(n.GetToken(), "There is something that JSON does not have.")
	}
	return nil
}

func (c *converter) text(s string) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	c.out = append(c.out, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
