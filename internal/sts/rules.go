package sts

import (
	"fmt"
	"strings"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Patterns of the service's model, as its validation texts show them. They allow letters,
// digits, the underscore and some marks.
const (
	patternName       = `[\w+=,.@-]*` // of sessions and source identities
	patternExternalID = `[\w+=,.@:\/-]*`
	patternSerial     = `[\w+=/:,.@-]*`
	patternCode       = `[\d]*`

	marksName       = "_+=,.@-"
	marksExternalID = "_+=,.@:/-"
	marksSerial     = "_+=/:,.@-"
)

// violations collects members that violate a pattern, for one answer (api.md §1.3).
type violations []string

// word holds a member against a pattern: ASCII letters, digits and marks.
func (v *violations) word(member, value, marks, pattern string) {
	if !made(value, marks, true) {
		*v = append(*v, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s",
			value, member, pattern))
	}
}

// code holds a one-time password against its pattern. It is not repeated.
func (v *violations) code(member string, value store.Secret) {
	if !made(value.Reveal(), "", false) {
		*v = append(*v, fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", member, patternCode))
	}
}

// made says whether a text consists of digits, marks and, if wanted, ASCII letters.
func made(text, marks string, letters bool) bool {
	for _, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if (r < '0' || r > '9') && !strings.ContainsRune(marks, r) && !(letter && letters) {
			return false
		}
	}
	return true
}

func (v violations) err() error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return ssm.Errorf(ssm.CodeValidation, "1 validation error detected: %s", v[0])
	}
	return ssm.Errorf(ssm.CodeValidation, "%d validation errors detected: %s", len(v), strings.Join(v, "; "))
}

// roleName reads the ARN of a role of this account: its path and its name. A role of
// another account reads well, but is nobody's here.
func (s *Server) roleName(arn string) (name string, ours bool, err error) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[1] != "aws" || part[2] != "iam" || part[3] != "" ||
		len(part[4]) != 12 || !made(part[4], "", false) || !strings.HasPrefix(part[5], "role/") {
		return "", false, ssm.Errorf(ssm.CodeValidation, "%s is invalid", arn)
	}
	name = part[5][strings.LastIndexByte(part[5], '/')+1:]
	if name == "" || !made(name, marksName, true) {
		return "", false, ssm.Errorf(ssm.CodeValidation, "%s is invalid", arn)
	}
	return name, part[4] == s.cfg.ARNs.Account, nil
}

// roleARN names a role.
func (s *Server) roleARN(path, name string) string {
	if path == "" {
		path = "/"
	}
	return "arn:aws:iam::" + s.cfg.ARNs.Account + ":role" + path + name
}
