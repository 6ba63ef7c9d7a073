// Package document reads session documents (schema 1.0) and resolves one into what
// a managed node must run. It is for the control plane, which looks documents up,
// and promises to stay pure: no I/O, no clock. A document it accepts is one that a
// stock agent accepts, because an agent drops a task it cannot read without a word
// (agent-control-plane.md §7.1).
//
// Today it knows the session type of an interactive shell; the others are refused
// with an error that says so.
package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
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

// SchemaVersion is the only schema version of session documents.
const SchemaVersion = "1.0"

// MaxContent is the largest document text the service takes, in bytes.
const MaxContent = 64 << 10

// CodeInvalidContent is the API error code of a document text that cannot be used.
const CodeInvalidContent = "InvalidDocumentContent"

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

// Content is the text of a session document, in the form in which it goes to a node.
type Content struct {
	SchemaVersion string `json:"schemaVersion"`
	Description   string `json:"description,omitempty"`
	SessionType   string `json:"sessionType"`
	Inputs        Inputs `json:"inputs"`
}

// Inputs are the preferences of a session (api.md §7.2). The two times are enforced by
// the service and mean nothing to a node; they keep the text they were written with.
type Inputs struct {
	S3BucketName                string       `json:"s3BucketName"`
	S3KeyPrefix                 string       `json:"s3KeyPrefix"`
	S3EncryptionEnabled         bool         `json:"s3EncryptionEnabled"`
	CloudWatchLogGroupName      string       `json:"cloudWatchLogGroupName"`
	CloudWatchEncryptionEnabled bool         `json:"cloudWatchEncryptionEnabled"`
	CloudWatchStreamingEnabled  bool         `json:"cloudWatchStreamingEnabled"`
	KmsKeyID                    string       `json:"kmsKeyId"`
	RunAsEnabled                bool         `json:"runAsEnabled"`
	RunAsDefaultUser            string       `json:"runAsDefaultUser"`
	IdleSessionTimeout          string       `json:"idleSessionTimeout"`
	MaxSessionDuration          string       `json:"maxSessionDuration"`
	ShellProfile                ShellProfile `json:"shellProfile"`
}

// ShellProfile is what runs when a shell starts. macOS uses Linux's.
type ShellProfile struct {
	Windows string `json:"windows"`
	Linux   string `json:"linux"`
}

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
	content, err := Parse([]byte(defaultContent))
	if err != nil {
		panic("the built-in session document does not parse: " + err.Error())
	}
	return &Document{Name: ssm.DefaultSessionDocument, Content: *content}
}

// Parse reads and checks a document text in JSON. Its errors are [ssm.Error]s with the
// texts of api.md §7.
func Parse(text []byte) (*Content, error) {
	if len(text) > MaxContent {
		return nil, ssm.Errorf("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
	}
	top, err := object(text)
	if err != nil {
		return nil, invalid("JSON not well-formed.")
	}
	if _, ok := top["schemaVersion"]; !ok {
		return nil, invalid("Document schema version is missing.")
	}
	c := &Content{}
	var inputs json.RawMessage
	p := fields{top: top}
	p.text("schemaVersion", &c.SchemaVersion)
	p.text("description", &c.Description)
	p.text("sessionType", &c.SessionType)
	p.raw("inputs", &inputs)
	// Checked before the unknown keys: parameters and properties are known keys of the
	// session types that come later, and the type says more than the key.
	if p.err == nil {
		switch {
		case c.SchemaVersion != SchemaVersion:
			p.fail("Document schema version is invalid. Value: %s", c.SchemaVersion)
		case c.SessionType == "":
			p.fail("Missing SessionType in the document.")
		case c.SessionType == InteractiveCommands, c.SessionType == NonInteractiveCommands, c.SessionType == Port:
			p.fail("Documents of session type %s are not available in this version.", c.SessionType)
		case c.SessionType != StandardStream:
			p.fail("Invalid sessionType")
		case inputs == nil:
			p.fail("Missing inputs in session type Standard_Stream document")
		}
	}
	if err := p.done(); err != nil {
		return nil, err
	}
	if err := c.Inputs.parse(inputs); err != nil {
		return nil, err
	}
	return c, nil
}

func (in *Inputs) parse(text json.RawMessage) error {
	top, err := object(text)
	if err != nil {
		return invalid("inputs must be a map.")
	}
	// The service's own defaults: encryption is required of a log that is configured.
	in.S3EncryptionEnabled, in.CloudWatchEncryptionEnabled, in.CloudWatchStreamingEnabled = true, true, true
	var profile json.RawMessage
	p := fields{top: top}
	p.text("s3BucketName", &in.S3BucketName)
	p.text("s3KeyPrefix", &in.S3KeyPrefix)
	p.bool("s3EncryptionEnabled", &in.S3EncryptionEnabled)
	p.text("cloudWatchLogGroupName", &in.CloudWatchLogGroupName)
	p.bool("cloudWatchEncryptionEnabled", &in.CloudWatchEncryptionEnabled)
	p.bool("cloudWatchStreamingEnabled", &in.CloudWatchStreamingEnabled)
	p.text("kmsKeyId", &in.KmsKeyID)
	p.bool("runAsEnabled", &in.RunAsEnabled)
	p.text("runAsDefaultUser", &in.RunAsDefaultUser)
	p.text("idleSessionTimeout", &in.IdleSessionTimeout)
	p.text("maxSessionDuration", &in.MaxSessionDuration)
	p.raw("shellProfile", &profile)
	if err := p.done(); err != nil {
		return err
	}
	if profile != nil && !bytes.Equal(profile, []byte(`""`)) { // the console writes "" for none
		top, err := object(profile)
		if err != nil {
			return invalid("shellProfile must be a map.")
		}
		p := fields{top: top}
		p.text("windows", &in.ShellProfile.Windows)
		p.text("linux", &in.ShellProfile.Linux)
		if err := p.done(); err != nil {
			return err
		}
	}
	if _, err := minutes("idleSessionTimeout", in.IdleSessionTimeout, MaxIdleTimeout); err != nil {
		return err
	}
	_, err = minutes("maxSessionDuration", in.MaxSessionDuration, MaxMaxDuration)
	return err
}

// Resolved is what one session runs and how long it may last.
type Resolved struct {
	DocumentName string
	Content      json.RawMessage // the document as the node gets it
	Parameters   map[string]string
	IdleTimeout  time.Duration
	MaxDuration  time.Duration // zero: no maximum
}

// Resolve applies the parameters of a StartSession to the document.
func (d *Document) Resolve(parameters map[string][]string) (*Resolved, error) {
	if len(parameters) > 0 {
		// A Standard_Stream document declares none.
		return nil, ssm.Errorf(ssm.CodeInvalidParameters, "document %s does not support parameters.", d.Name)
	}
	idle, err := minutes("idleSessionTimeout", d.Content.Inputs.IdleSessionTimeout, MaxIdleTimeout)
	if err != nil {
		return nil, err
	}
	if idle == 0 {
		idle = DefaultIdleTimeout
	}
	longest, err := minutes("maxSessionDuration", d.Content.Inputs.MaxSessionDuration, MaxMaxDuration)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(d.Content)
	if err != nil {
		return nil, fmt.Errorf("encode document %s: %w", d.Name, err)
	}
	return &Resolved{
		DocumentName: d.Name,
		Content:      content,
		Parameters:   map[string]string{},
		IdleTimeout:  idle,
		MaxDuration:  longest,
	}, nil
}

// minutes reads a time of 1 minute to longest; empty text is zero, which means unset.
func minutes(name, text string, longest time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if d := time.Duration(n) * time.Minute; err == nil && n >= 1 && d <= longest {
		return d, nil
	}
	return 0, invalid("%s must be between 1 and %d", name, longest/time.Minute)
}

// fields takes the members of a JSON object one by one; what is left at the end is
// unknown. The first error stays.
type fields struct {
	top map[string]json.RawMessage
	err error
}

func (p *fields) fail(format string, args ...any) {
	if p.err == nil {
		p.err = invalid(format, args...)
	}
}

func (p *fields) raw(name string, to *json.RawMessage) {
	if value, ok := p.top[name]; ok && !bytes.Equal(value, []byte("null")) {
		*to = value
	}
	delete(p.top, name)
}

// text reads a text or a number, which an author who forgot the quotes means as text.
func (p *fields) text(name string, to *string) {
	var value json.RawMessage
	if p.raw(name, &value); value == nil {
		return
	}
	if json.Unmarshal(value, to) == nil {
		return
	}
	var number json.Number
	if json.Unmarshal(value, &number) != nil {
		p.fail("%s must be a string.", name)
		return
	}
	*to = number.String()
}

// bool reads a boolean or its text; empty text keeps the default.
func (p *fields) bool(name string, to *bool) {
	var value json.RawMessage
	if p.raw(name, &value); value == nil {
		return
	}
	switch strings.ToLower(strings.Trim(string(value), `"`)) {
	case "true":
		*to = true
	case "false":
		*to = false
	case "":
	default:
		p.fail("%s must be true or false.", name)
	}
}

func (p *fields) done() error {
	if p.err == nil && len(p.top) > 0 {
		unknown := make([]string, 0, len(p.top))
		for name := range p.top {
			unknown = append(unknown, name)
		}
		sort.Strings(unknown)
		p.fail("Unknown property %q.", unknown[0])
	}
	return p.err
}

// object reads exactly one JSON object.
func object(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	var top map[string]json.RawMessage
	if err := d.Decode(&top); err != nil {
		return nil, err
	}
	if top == nil {
		return nil, fmt.Errorf("null where an object is expected")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the object")
	}
	return top, nil
}

func invalid(format string, args ...any) error {
	return ssm.Errorf(CodeInvalidContent, format, args...)
}
