package document

import (
	"fmt"
	"strings"
)

// warnings are what an author should know of a document that is valid. Each pair of
// parameter and place comes once.
func (c *Content) warnings() []Warning {
	var list []Warning
	warned := make(map[[2]string]bool)
	judged := make(map[string]string)
	c.templates(func(path, text string) {
		if !isCommand(path) {
			return
		}
		if i := strings.IndexByte(path, '['); i >= 0 { // a line of a list
			path = path[:i]
		}
		for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
			name := m[1]
			if warned[[2]string{path, name}] {
				continue
			}
			warned[[2]string{path, name}] = true
			why, ok := judged[name]
			if !ok {
				why = c.parameter(name).unguarded()
				judged[name] = why
			}
			if why != "" {
				list = append(list, Warning{path, name, fmt.Sprintf(
					"Parameter %q is put into a command at %s and %s: whoever may start a session with this document can run other commands.",
					name, path, why)})
			}
		}
	})
	if c.SessionType == Port && c.Inputs.KmsKeyID != "" {
		list = append(list, Warning{"inputs.kmsKeyId", "", "inputs.kmsKeyId has no effect: Port sessions are not encrypted with a key."})
	}
	if c.SessionType == StandardStream && c.tree.get("properties") != nil {
		list = append(list, Warning{"properties", "", "properties have no effect in a document of session type Standard_Stream."})
	}
	return list
}

// isCommand says whether a shell reads what is at the path.
func isCommand(path string) bool {
	return strings.HasPrefix(path, "inputs.shellProfile") ||
		strings.HasPrefix(path, "properties.") && strings.Contains(path, ".commands")
}

// unguarded says why a value of the parameter may hold shell syntax; empty: it cannot.
func (p *Parameter) unguarded() string {
	switch {
	case len(p.allowedValues) > 0, p.Type == TypeBoolean, p.Type == TypeInteger:
		return ""
	case p.AllowedPattern == "":
		return "has no allowedPattern or allowedValues"
	case p.Type == TypeMapList, p.Type == TypeStringMap:
		return "is a map, whose text has quotes and braces"
	}
	pattern, err := compilePattern(p.AllowedPattern)
	if err != nil {
		return "has an allowedPattern that cannot be judged"
	}
	if lets := pattern.lets(); lets != "" {
		return "has an allowedPattern that " + lets
	}
	return ""
}
