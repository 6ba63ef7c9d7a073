package policy

import (
	"fmt"
	"strings"
)

// compile turns drafts into the statements of out. Each pass goes over all statements before the next begins,
// because IAM reports the first fault of the earliest kind, not of the earliest statement.
func (p *parser) compile(out *Policy, drafts []*draft) *SyntaxError {
	variables := out.version == Version2012
	var resourceFault *SyntaxError
	for _, d := range drafts {
		if err := p.effectAndTests(d, variables); err != nil {
			return err
		}
	}
	for _, d := range drafts {
		fault, err := p.resources(d, variables)
		if err != nil {
			return err
		}
		if resourceFault == nil {
			resourceFault = fault
		}
	}
	if err := p.sids(drafts); err != nil {
		return err
	}
	for _, d := range drafts {
		if len(d.actions) == 0 {
			return p.fault(d.node.start, d.path, "Policy statement must contain actions.", "Action or NotAction is missing or empty")
		}
	}
	for _, d := range drafts {
		if len(d.resources) == 0 && p.kind != Trust {
			return p.fault(d.node.start, d.path, "Policy statement must contain resources.", "Resource or NotResource is missing or empty")
		}
	}
	if resourceFault != nil {
		return resourceFault
	}
	out.statements = make([]Statement, 0, len(drafts))
	for _, d := range drafts {
		if err := p.actions(d); err != nil {
			return err
		}
		out.statements = append(out.statements, d.s)
		out.actions = out.actions.union(d.s.actions)
	}
	return nil
}

// effectAndTests compiles Effect and Condition.
func (p *parser) effectAndTests(d *draft, variables bool) *SyntaxError {
	switch d.effect.text {
	case "Allow":
		d.s.effect = Allow
	case "Deny":
		d.s.effect = Deny
	default:
		return p.fault(d.effect.start, d.path+".Effect", textLegacy, "Effect is written Allow or Deny, with one capital")
	}
	for _, dt := range d.tests {
		t := test{op: dt.op, name: dt.name, key: intern(fold(dt.name)), operands: make([]operand, 0, len(dt.values))}
		for _, n := range dt.values {
			o, err := compileOperand(dt.op, n.text, variables)
			if err != nil {
				return p.fault(n.start, dt.path, textLegacy, err.Error())
			}
			t.operands = append(t.operands, o)
		}
		t.eachPattern(func(c *pattern) bool {
			t.vars = t.vars || c.vars
			return true
		})
		d.s.tests = append(d.s.tests, t)
	}
	return nil
}

// sids checks the statement ids.
func (p *parser) sids(drafts []*draft) *SyntaxError {
	seen := map[string]bool{}
	for _, d := range drafts {
		if d.s.sid == "" {
			continue
		}
		if p.kind != Resource && strings.ContainsFunc(d.s.sid, func(c rune) bool { return !isAlphanumeric(c) }) {
			return p.fault(d.sid.start, d.path+".Sid", "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*", "")
		}
		if seen[d.s.sid] {
			return p.fault(d.sid.start, d.path+".Sid", "Statement IDs (SID) in a single policy must be unique.", fmt.Sprintf("%q is repeated", d.s.sid))
		}
		seen[d.s.sid] = true
	}
	return nil
}

func isAlphanumeric(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// actions compiles Action or NotAction.
func (p *parser) actions(d *draft) *SyntaxError {
	for _, n := range d.actions {
		path := d.path + ".Action"
		if d.s.notAction {
			path = d.path + ".NotAction"
		}
		if text := checkAction(n.text); text != "" {
			return p.fault(n.start, path, text, "")
		}
		if p.kind == Trust && (d.s.notAction || !isTrustAction(n.text)) {
			return p.fault(n.start, path, "AssumeRole policy may only specify STS AssumeRole actions.", "")
		}
		folded := fold(n.text)
		c, err := compilePattern(folded, patternRules{wildcards: true})
		if err != nil {
			return p.syntax(n, path, "%s", err)
		}
		d.s.action = append(d.s.action, c)
		d.s.actionText = append(d.s.actionText, n.text)
		d.s.actions = d.s.actions.union(patternMask(folded))
	}
	if d.s.notAction {
		d.s.actions.service = everyService
	}
	return nil
}

// checkAction returns IAM's text on an action that it would refuse, or nothing.
func checkAction(text string) string {
	vendor, rest, found := strings.Cut(text, ":")
	switch {
	case !found && text != "*":
		return "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	case strings.Contains(rest, ":"):
		return "Actions/Condition can contain only one colon."
	case vendor == "*":
		return ""
	case vendor == "" || strings.ContainsFunc(vendor, func(c rune) bool { return !isAlphanumeric(c) && c != '-' && c != '.' }):
		return "Vendor " + vendor + " is not valid"
	}
	return ""
}

// isTrustAction reports whether an action may stand in a trust policy.
func isTrustAction(text string) bool {
	name, found := strings.CutPrefix(fold(text), "sts:")
	return found && (strings.HasPrefix(name, "assumerole") || name == "tagsession" || name == "setsourceidentity")
}

// resources compiles Resource or NotResource. A fault is reported later than an error, which ends the parsing.
func (p *parser) resources(d *draft, variables bool) (fault, err *SyntaxError) {
	path := d.path + ".Resource"
	if d.s.notRes {
		path = d.path + ".NotResource"
	}
	for _, n := range d.resources {
		switch text := checkResource(n.text); {
		case text == textLegacy:
			if fault == nil {
				return nil, p.fault(n.start, path, text, "segments of the ARN are missing")
			}
		case text != "":
			if fault == nil {
				fault = p.fault(n.start, path, text, "")
			}
		default:
			r, err := compileResource(n.text, variables)
			if err != nil {
				return nil, p.fault(n.start, path, textLegacy, err.Error())
			}
			d.s.resource = append(d.s.resource, r)
		}
	}
	return fault, nil
}

// checkResource returns IAM's text on a resource that it would refuse, or nothing.
func checkResource(text string) string {
	if text == "*" {
		return ""
	}
	part := strings.SplitN(text, ":", arnSegments)
	if len(part) == 1 {
		return "Resource " + text + " must be in ARN format or \"*\"."
	}
	if part[1] != "aws" {
		whole := append([]string{"arn"}, part[1:]...)
		for len(whole) < arnSegments {
			whole = append(whole, "*")
		}
		return `Partition "` + part[1] + `" is not valid for resource "` + strings.Join(whole, ":") + `".`
	}
	if part[0] != "arn" {
		return "Resource " + text + " must be in ARN format or \"*\"."
	}
	if len(part) == 2 || strings.ContainsAny(part[2], "*?") {
		return "Resource vendor must be fully qualified and cannot contain regexes."
	}
	service := part[2]
	region := len(part) > 3 && part[3] != "" || len(part) == 3
	switch {
	case service == "iam" && region:
		return "IAM resource " + text + " cannot contain region information."
	case service == "s3" && region:
		return "Resource " + text + " can not contain region information."
	case service == "", len(part) < arnSegments && strings.Contains(text, "::"):
		return textLegacy
	case service == "iam" && !isIAMPath(part[len(part)-1]):
		return "IAM resource path must either be \"*\" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/."
	}
	return ""
}

func isIAMPath(rest string) bool {
	if rest == "*" {
		return true
	}
	kind, _, found := strings.Cut(rest, "/")
	if !found {
		return false
	}
	switch kind {
	case "user", "federated-user", "role", "group", "instance-profile", "mfa", "server-certificate", "policy",
		"sms-mfa", "saml-provider", "oidc-provider", "report", "access-report":
		return true
	}
	return false
}
