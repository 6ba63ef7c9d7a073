package document

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"sekisho/internal/ssm"
)

// HashType is the algorithm of [Hash], as the API calls it.
const HashType = "Sha256"

// Hash is the digest of a document text as it was submitted, in lower-case hexadecimal.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Patterns of the API model, for what names a document.
const (
	NamePattern          = `^[a-zA-Z0-9_\-.]{3,128}$`
	VersionNamePattern   = `^[a-zA-Z0-9_\-.]{1,128}$`
	VersionPattern       = `([$]LATEST|[$]DEFAULT|^[1-9][0-9]*$)`
	VersionNumberPattern = `(^[1-9][0-9]*$)`
	DisplayNamePattern   = `^[\w\.\-\:\/ ]*$` // up to 1024 characters
	TargetTypePattern    = `^\/[\w\.\-\:\/]*$`
	MaxTargetType        = 200
)

// Versions that stand for another (api.md §9.1).
const (
	LatestVersion  = "$LATEST"
	DefaultVersion = "$DEFAULT"
)

var (
	namePattern       = regexp.MustCompile(NamePattern)
	targetTypePattern = regexp.MustCompile(TargetTypePattern)
)

// reservedPrefixes are AWS's own, in any case (api.md §9.1). Longer ones that begin with
// another of them are not listed.
var reservedPrefixes = []string{"aws", "amazon", "amzn"}

// CheckName refuses a name that no document of an account may have.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return ssm.Errorf(ssm.CodeValidation, "1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", cut(name), NamePattern)
	}
	for _, prefix := range reservedPrefixes {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return ssm.Errorf(ssm.CodeValidation, "Document name cannot start with the reserved prefix '%s'.", prefix)
		}
	}
	return nil
}

// CheckTargetType refuses what is not the type of a resource, such as /AWS::EC2::Instance.
func CheckTargetType(target string) error {
	const where = "1 validation error detected: Value '%s' at 'targetType' failed to satisfy constraint: "
	switch {
	case len(target) > MaxTargetType:
		return ssm.Errorf(ssm.CodeValidation, where+"Member must have length less than or equal to %d", cut(target), MaxTargetType)
	case !targetTypePattern.MatchString(target):
		return ssm.Errorf(ssm.CodeValidation, where+"Member must satisfy regular expression pattern: %s", target, TargetTypePattern)
	}
	return nil
}

// PlatformTypes are the platforms on which the document runs, in the API's order: those
// that have commands, and all for the other session types.
func (c *Content) PlatformTypes() []string {
	p := c.Properties
	if p.Windows == nil && p.Linux == nil && p.MacOS == nil {
		return []string{"Windows", "Linux", "MacOS"}
	}
	var types []string
	if p.Windows != nil {
		types = append(types, "Windows")
	}
	if p.Linux != nil {
		types = append(types, "Linux")
	}
	if p.MacOS != nil {
		types = append(types, "MacOS")
	}
	return types
}

// ParameterDescription is a parameter as DescribeDocument shows it.
type ParameterDescription struct {
	Name         string
	Type         string // String or StringList; the API knows no other
	Description  string
	DefaultValue string
}

// Describe lists the parameters in the order of the text.
func (c *Content) Describe() []ParameterDescription {
	list := make([]ParameterDescription, 0, len(c.Parameters))
	for i := range c.Parameters {
		p := &c.Parameters[i]
		list = append(list, ParameterDescription{p.Name, describedType(p.Type), p.Description, p.Default()})
	}
	return list
}

func describedType(t string) string {
	if t == TypeStringList {
		return TypeStringList
	}
	return TypeString
}

// Outline is what the service shows of a document of another type than Session, which
// it stores but never runs.
type Outline struct {
	SchemaVersion string
	Description   string
	Parameters    []ParameterDescription
}

// ParseOutline reads a document of another type in JSON. Only what AWS requires of every
// document of the type is checked.
func ParseOutline(documentType string, text []byte) (*Outline, error) {
	if len(text) > maxConverted {
		return nil, tooLarge()
	}
	tree, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	o := &Outline{}
	k := &checker{code: CodeInvalidContent}
	top := k.fields("", tree)
	top.loose("schemaVersion", &o.SchemaVersion)
	top.text("description", &o.Description)
	if documentType == "Command" || documentType == "Automation" {
		required := "mainSteps"
		switch v := o.SchemaVersion; {
		case k.err != nil:
		case v == "":
			k.fail("Document schema version is missing.")
		case documentType == "Automation" && v == "0.3", documentType == "Command" && oneOf(v, []string{"2.0", "2.2"}):
		case documentType == "Command" && oneOf(v, []string{"1.0", "1.2"}):
			required = "runtimeConfig"
		default:
			k.fail("Document schema version is invalid. Value: %s", cut(v))
		}
		if !top.has(required) {
			k.fail("Missing %q in the document.", required)
		}
	}
	if k.err != nil {
		return nil, k.err
	}
	parameters, _ := tree.get("parameters").(object)
	for _, m := range parameters {
		p, ok := m.value.(object)
		if !ok {
			continue
		}
		d := ParameterDescription{Name: m.name}
		t, _ := p.get("type").(string)
		d.Type = describedType(t)
		d.Description, _ = p.get("description").(string)
		switch v := p.get("default").(type) {
		case nil:
		case string:
			d.DefaultValue = v
		default:
			d.DefaultValue = string(appendJSON(nil, v))
		}
		o.Parameters = append(o.Parameters, d)
	}
	return o, nil
}
