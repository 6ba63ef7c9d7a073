package document

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"sekisho/internal/ssm"
)

// MaxResolved is the largest resolved document, in bytes of JSON. It leaves room for
// the second encoding on the way to the node (protocol.md §4.1.1) under the fabric's
// 1 MiB.
const MaxResolved = 256 << 10

// Resolved is what one session runs and how long it may last.
type Resolved struct {
	DocumentName string
	SessionType  string
	Inputs       Inputs
	Properties   Properties

	Content json.RawMessage // the document as the node gets it
	// Parameters are those that the node replaces itself: SSM parameter references that
	// must match a pattern. Usually there are none.
	Parameters map[string]string
	// SSMParameters are the names, with version if given, that the node will fetch. A
	// session with any cannot start on a node that does not.
	SSMParameters []string

	IdleTimeout time.Duration
	MaxDuration time.Duration // zero: no maximum
}

// Resolve applies the parameters of a StartSession to the document. A document without
// inputs gets the service's defaults.
func (d *Document) Resolve(parameters map[string][]string) (*Resolved, error) {
	return d.ResolveWith(parameters, defaultInputs())
}

// ResolveWith is Resolve with the preferences for a document that has no inputs: those
// of the account's [ssm.DefaultSessionDocument], resolved (api.md §6.2).
func (d *Document) ResolveWith(parameters map[string][]string, preferences Inputs) (*Resolved, error) {
	values, err := d.bind(parameters)
	if err != nil {
		return nil, err
	}
	c := &d.Content
	deferred := func(text string) bool {
		for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
			if values[m[1]].deferred {
				return true
			}
		}
		return false
	}
	k := &checker{
		code:         ssm.CodeInvalidParameters,
		isOpen:       func(text string) bool { return ssmReference.MatchString(text) || deferred(text) },
		isOpenScalar: func(string) bool { return false },
	}
	x := &interpolation{values: values, room: MaxResolved, k: k}
	r := &Resolved{DocumentName: d.Name, SessionType: c.SessionType, Inputs: preferences, Parameters: map[string]string{}}
	if inputs := c.tree.get("inputs"); inputs != nil {
		if inputs = x.tree("inputs", inputs); k.err == nil {
			r.Inputs = k.inputs(inputs)
		}
	}
	if properties := c.tree.get("properties"); properties != nil && c.SessionType != StandardStream {
		if properties = x.tree("properties", properties); k.err == nil {
			r.Properties = k.properties(c.SessionType, properties)
		}
	}
	if r.IdleTimeout = k.minutes("idleSessionTimeout", r.Inputs.IdleSessionTimeout, MaxIdleTimeout); r.IdleTimeout == 0 {
		r.IdleTimeout = DefaultIdleTimeout
	}
	r.MaxDuration = k.minutes("maxSessionDuration", r.Inputs.MaxSessionDuration, MaxMaxDuration)
	if k.err != nil {
		return nil, k.err
	}
	return r, d.encode(r, values)
}

// nodeContent is a session document as nodes read it. What the service enforces or has
// replaced already is not in it.
type nodeContent struct {
	SchemaVersion string                   `json:"schemaVersion"`
	Description   string                   `json:"description,omitempty"`
	SessionType   string                   `json:"sessionType"`
	Inputs        Inputs                   `json:"inputs"`
	Parameters    map[string]nodeParameter `json:"parameters,omitempty"`
	Properties    any                      `json:"properties,omitempty"`
}

func (d *Document) encode(r *Resolved, values map[string]bound) error {
	node := nodeContent{
		SchemaVersion: d.Content.SchemaVersion,
		Description:   d.Content.Description,
		SessionType:   r.SessionType,
		Inputs:        r.Inputs,
	}
	switch {
	case r.Properties.Port != nil:
		node.Properties = r.Properties.Port
	case r.SessionType != StandardStream:
		node.Properties = r.Properties
	}
	for name, b := range values {
		if !b.deferred {
			continue
		}
		if node.Parameters == nil {
			node.Parameters = make(map[string]nodeParameter)
		}
		node.Parameters[name] = nodeParameter{Type: TypeString, AllowedPattern: d.Content.parameter(name).AllowedPattern}
		r.Parameters[name] = b.text
	}
	var err error
	if r.Content, err = json.Marshal(node); err != nil {
		return fmt.Errorf("encode document %s: %w", d.Name, err)
	}
	if len(r.Content) > MaxResolved {
		return ssm.Errorf(ssm.CodeInvalidParameters, "The parameters make the document larger than %d KB.", MaxResolved>>10)
	}
	r.SSMParameters, err = ssmParameters(r)
	return err
}

// ssmParameters lists what the node will fetch, in order and once each.
func ssmParameters(r *Resolved) ([]string, error) {
	sent, err := parseValue(r.Content)
	if err != nil {
		return nil, fmt.Errorf("read resolved document %s: %w", r.DocumentName, err)
	}
	var names []string
	add := func(_, text string) {
		for _, m := range ssmReference.FindAllStringSubmatch(text, -1) {
			if !oneOf(m[1], names) {
				names = append(names, m[1])
			}
		}
	}
	content := sent.(object)
	walk("", content.get("inputs"), add)
	walk("", content.get("properties"), add)
	for _, text := range r.Parameters {
		add("", text)
	}
	sort.Strings(names)
	return names, nil
}

// bind gives each declared parameter its value, in the order of api.md §6.2: unknown
// names, missing ones, values.
func (d *Document) bind(parameters map[string][]string) (map[string]bound, error) {
	fail := func(format string, args ...any) error {
		return ssm.Errorf(ssm.CodeInvalidParameters, format, args...)
	}
	declared := d.Content.Parameters
	if len(parameters) > 0 && len(declared) == 0 {
		return nil, fail("document %s does not support parameters.", d.Name)
	}
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if d.Content.parameter(name) == nil {
			return nil, fail("Parameter %q is not defined in document.", cut(name))
		}
	}
	var missing []string
	for _, p := range declared {
		if _, ok := parameters[p.Name]; !ok && p.Required {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return nil, fail("Parameters [%s] must be provided", strings.Join(missing, ", "))
	}
	values := make(map[string]bound, len(declared))
	for i := range declared {
		p := &declared[i]
		value := p.defaultValue
		if texts, ok := parameters[p.Name]; ok {
			var fault string
			if value, fault = p.given(texts); fault != "" {
				return nil, fail("%s", fault)
			}
		}
		deferred, fault := p.check(value)
		if fault != "" {
			return nil, fail("%s", fault)
		}
		b := bound{value: value, text: p.text(value), deferred: deferred}
		switch value.(type) {
		case bool, number: // the members that take them read their text too
			b.value = b.text
		}
		values[p.Name] = b
	}
	return values, nil
}
