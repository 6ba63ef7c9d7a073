// Package document reads session documents (schema 1.0) and resolves one, with the
// parameters of a StartSession, into what a managed node must run. It is for the
// control plane, which stores documents and looks them up, and promises to stay pure:
// no I/O, no clock. A document it accepts is one that a stock agent accepts, because an
// agent drops a task it cannot read without a word (agent-control-plane.md §7.1).
//
// # Parameters and shells
//
// Substitution is textual, as at AWS and in the stock agent: a value replaces
// {{ name }} and nothing is quoted, because only the author knows what surrounds the
// placeholder. So the rule is:
//
//   - a value that violates allowedPattern, allowedValues, the type or a length never
//     gets into a command: the session is refused;
//   - a value is put in once and not looked at again, whatever {{ }} it contains;
//   - a document whose constraints let shell syntax through (no pattern at all, one that
//     is not anchored at both ends, or one that admits other characters than letters,
//     digits, space and _ - . , / : @ + =) is accepted, as at AWS, with a [Warning].
//
// In a document without warnings no value becomes shell syntax.
//
// The service substitutes before a node hears of the session, so that old, new and
// stock agents agree; the stock agent alone would expand $ in values and substitute in
// random order. The one exception is a value that is an SSM parameter reference
// {{ssm:name}} and must match a pattern: the node fetches it and checks the pattern.
package document

import (
	"encoding/json"
	"strings"
	"time"

	"sekisho/internal/ssm"
)

// Session types of schema 1.0 (api.md §7.1). They are case-sensitive.
const (
	StandardStream         = "Standard_Stream"
	InteractiveCommands    = "InteractiveCommands"
	NonInteractiveCommands = "NonInteractiveCommands"
	Port                   = "Port"
)

var sessionTypes = []string{StandardStream, InteractiveCommands, NonInteractiveCommands, Port}

// SchemaVersion is the only schema version of session documents.
const SchemaVersion = "1.0"

// MaxContent is the largest document text the service takes, in bytes.
const MaxContent = 64 << 10

// Bounds of our own: AWS publishes none, and each guards the service's memory.
const (
	// maxConverted is for JSON made of a YAML text of up to MaxContent bytes, whose
	// line breaks and quotes take twice the room.
	maxConverted = 4 * MaxContent
	maxDepth     = 32
	// MaxParameters is the most parameters a document may declare.
	MaxParameters = 200
)

// Error codes of a document text that cannot be used.
const (
	CodeInvalidContent   = "InvalidDocumentContent"
	CodeMaxSizeExceeded  = "MaxDocumentSizeExceeded"
	CodeInvalidSchemaVer = "InvalidDocumentSchemaVersion"
)

// Limits of the two times a document may set (api.md §6.7).
const (
	DefaultIdleTimeout = 20 * time.Minute
	MaxIdleTimeout     = 60 * time.Minute
	MaxMaxDuration     = 1440 * time.Minute
)

// Document is a named session document.
type Document struct {
	Name    string
	Content Content
}

// Content is the meaning of a session document. [Parse] makes it; its fields are for
// reading. A text that holds placeholders stands as it was written, and a boolean that
// is one has its default: what they become is in [Resolved].
type Content struct {
	SchemaVersion string
	Description   string
	SessionType   string
	// Inputs are the service's defaults if the document has none (HasInputs is false):
	// such a session takes the preferences of [ssm.DefaultSessionDocument].
	Inputs     Inputs
	HasInputs  bool
	Parameters []Parameter // in the order of the text
	Properties Properties
	Warnings   []Warning

	tree object // the text, from which Resolve starts
}

// Warning is something that a valid document's author should know.
type Warning struct {
	Path      string // properties.linux.commands
	Parameter string // the parameter it is about, or empty
	Message   string
}

// MarshalJSON prints the document as it was written, less spaces and null members.
// The text parses to the same document.
func (c Content) MarshalJSON() ([]byte, error) { return appendJSON(nil, c.tree), nil }

// defaultContent is the built-in document: no logging, 20 minutes of idle time, no
// maximum, no run-as, no encryption (api.md §6.2). It is what an account has that
// never made a document of this name.
const defaultContent = `{
  "schemaVersion": "1.0",
  "description": "Preferences of sessions that name no document",
  "sessionType": "Standard_Stream",
  "inputs": {}
}`

// Default is the built-in [ssm.DefaultSessionDocument].
func Default() *Document {
	d := mustParse(ssm.DefaultSessionDocument, defaultContent)
	return &d
}

// mustParse is for texts that are part of the program.
func mustParse(name, text string) Document {
	content, err := Parse([]byte(text))
	if err != nil {
		panic("the built-in document " + name + " does not parse: " + err.Error())
	}
	return Document{Name: name, Content: *content}
}

// Parse reads and checks a document text in JSON. Its errors are [ssm.Error]s with the
// texts of api.md §7.
func Parse(text []byte) (*Content, error) {
	if err := CheckSize(text); err != nil {
		return nil, err
	}
	return parse(text)
}

// ParseConverted is Parse for JSON made of another format, whose own text has passed
// [CheckSize].
func ParseConverted(text []byte) (*Content, error) {
	if len(text) > maxConverted {
		return nil, tooLarge()
	}
	return parse(text)
}

// CheckSize refuses a text that is too large for a document in any format.
func CheckSize(text []byte) error {
	if len(text) > MaxContent {
		return tooLarge()
	}
	return nil
}

func tooLarge() error {
	return ssm.Errorf(CodeMaxSizeExceeded, "The size limit of a document is 64 KB.")
}

func parse(text []byte) (*Content, error) {
	tree, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	c := &Content{tree: tree}
	k := &checker{code: CodeInvalidContent, isOpen: hasReference, isOpenScalar: hasPlaceholder}
	top := k.fields("", tree)
	if _, ok := top.find("schemaVersion"); !ok {
		k.fail("Document schema version is missing.")
	}
	top.loose("schemaVersion", &c.SchemaVersion)
	top.text("description", &c.Description)
	sessionType, _ := top.take("sessionType").(string)
	c.SessionType = sessionType
	inputs := top.take("inputs")
	parameters := top.take("parameters")
	properties := top.take("properties")
	switch {
	case k.err != nil:
	case c.SchemaVersion != SchemaVersion:
		k.fail("Document schema version is invalid. Value: %s", cut(c.SchemaVersion))
	case !top.has("sessionType"):
		k.fail("Missing SessionType in the document.")
	case !oneOf(sessionType, sessionTypes):
		k.fail("Invalid sessionType")
	}
	top.done()
	switch {
	case k.err != nil:
	case inputs == nil && sessionType == StandardStream:
		k.fail("Missing inputs in session type Standard_Stream document")
	case properties == nil && sessionType != StandardStream:
		k.fail("Missing Properties in session type %s document", sessionType)
	}
	if k.err != nil {
		return nil, k.err
	}
	c.HasInputs = inputs != nil
	c.Inputs = k.inputs(inputs)
	c.Parameters = k.parameters(parameters)
	c.Properties = k.properties(sessionType, properties)
	k.declared(c)
	if k.err != nil {
		return nil, k.err
	}
	c.Warnings = c.warnings()
	return c, nil
}

// parameter finds a declaration.
func (c *Content) parameter(name string) *Parameter {
	for i := range c.Parameters {
		if c.Parameters[i].Name == name {
			return &c.Parameters[i]
		}
	}
	return nil
}

var _ json.Marshaler = Content{}

// cut bounds a text that goes into an error message.
func cut(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func oneOf(s string, set []string) bool {
	for _, t := range set {
		if s == t {
			return true
		}
	}
	return false
}
