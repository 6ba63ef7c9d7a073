package iam

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Error codes of IAM and their statuses (api.md Appendix A.4).
const (
	codeNoSuchEntity        = "NoSuchEntity"              // 404
	codeEntityAlreadyExists = "EntityAlreadyExists"       // 409
	codeDeleteConflict      = "DeleteConflict"            // 409
	codeLimitExceeded       = "LimitExceeded"             // 409
	codeInvalidInput        = "InvalidInput"              // 400
	codeMalformedPolicy     = "MalformedPolicyDocument"   // 400
	codePolicyNotAttachable = "PolicyNotAttachable"       // 400
	codeInvalidUserType     = "InvalidUserType"           // 400
	codePasswordPolicy      = "PasswordPolicyViolation"   // 400
	codeInvalidAuthCode     = "InvalidAuthenticationCode" // 403
	codeForbidden           = "AccessDenied"              // 403
)

// fault makes an error with the status that its code has.
func fault(code, format string, args ...any) *ssm.Error {
	status := http.StatusBadRequest
	switch code {
	case codeNoSuchEntity:
		status = http.StatusNotFound
	case codeEntityAlreadyExists, codeDeleteConflict, codeLimitExceeded:
		status = http.StatusConflict
	case codeInvalidAuthCode, codeForbidden:
		status = http.StatusForbidden
	}
	return &ssm.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

// validation is a refused input that no constraint of the model covers.
func validation(format string, args ...any) error {
	return ssm.Errorf(ssm.CodeValidation, format, args...)
}

// checkLengths refuses a list with a member of more than most characters. Constraint tags
// say how long a list is, not what is in it.
func checkLengths(member string, list []string, most int) error {
	for _, text := range list {
		if len(text) > most && utf8.RuneCountInString(text) > most {
			return validation("1 validation error detected: Value at '%s' failed to satisfy constraint: "+
				"Member must satisfy constraint: [Member must have length less than or equal to %d]", member, most)
		}
	}
	return nil
}

func isNotFound(err error) bool {
	// What is invalid to the store is the name of nothing.
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid)
}

func isInUse(err error) bool {
	_, ok := errors.AsType[*store.InUseError](err)
	return ok
}

// notFound is the answer to a noun ("user", "role policy", "Access Key") that does not
// exist (api.md §18.1).
func notFound(noun, name string) error {
	switch noun {
	case "Access Key":
		return fault(codeNoSuchEntity, "The Access Key with id %s cannot be found.", name)
	case "Login Profile":
		return fault(codeNoSuchEntity, "Login Profile for User %s cannot be found.", name)
	case "MFA device":
		return fault(codeNoSuchEntity, "VirtualMFADevice with serial number %s does not exist.", name)
	case "Instance Profile":
		return fault(codeNoSuchEntity, "Instance Profile %s cannot be found.", name)
	case "policy":
		return fault(codeNoSuchEntity, "Policy %s was not found.", name)
	}
	return fault(codeNoSuchEntity, "The %s with name %s cannot be found.", noun, name)
}

// alreadyExists is the answer to a noun that exists.
func alreadyExists(noun, name string) error {
	switch noun {
	case "Login Profile":
		return fault(codeEntityAlreadyExists, "Login Profile for user %s already exists.", name)
	case "MFA device":
		return fault(codeEntityAlreadyExists, "MFADevice entity at the same path and name already exists.")
	case "Instance Profile":
		return fault(codeEntityAlreadyExists, "Instance Profile %s already exists.", name)
	case "policy":
		return fault(codeEntityAlreadyExists, "A policy called %s already exists. Duplicate names are not allowed.", name)
	}
	first, n := utf8.DecodeRuneInString(noun)
	return fault(codeEntityAlreadyExists, "%c%s with name %s already exists.", unicode.ToUpper(first), noun[n:], name)
}

// conflicts says in the service's words what must go before an entity can (api.md
// §18.1), by [store.InUseError].
var conflicts = map[string]string{
	"policies":          "Cannot delete entity, must detach all policies first.",
	"inline policies":   "Cannot delete entity, must delete policies first.",
	"access keys":       "Cannot delete entity, must delete access keys first.",
	"login profile":     "Cannot delete entity, must delete login profile first.",
	"groups":            "Cannot delete entity, must remove users from group first.",
	"users":             "Cannot delete entity, must remove users from group first.",
	"mfa devices":       "Cannot delete entity, must delete MFA device first.",
	"instance profiles": "Cannot delete entity, must remove roles from instance profile first.",
	"roles":             "Cannot delete entity, must remove roles from instance profile first.",
	"entities":          "Cannot delete a policy attached to entities.",
	"versions": "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. " +
		"The default version is deleted with the policy.",
	"default version": "Cannot delete the default version of a policy.",
}

// limits are the texts of quotas that are not told in the usual words, by
// [store.LimitError].
var limits = map[string]string{
	"VersionsPerPolicy": "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.",
}

// failed turns what the store says about the noun of that name into the answer of the
// API; nil stays nil, and what is no fact of the API stays what it is.
func failed(err error, noun, name string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*store.InUseError](err); ok {
		text, ok := conflicts[e.By]
		if !ok {
			text = "Cannot delete entity, must remove referenced objects first."
		}
		return fault(codeDeleteConflict, "%s", text)
	}
	if e, ok := errors.AsType[*store.LimitError](err); ok {
		if text, ok := limits[e.Name]; ok {
			return fault(codeLimitExceeded, "%s", text)
		}
		if strings.HasPrefix(e.Name, "TagsPer") {
			return fault(codeLimitExceeded, "The number of tags has reached the maximum limit.")
		}
		return fault(codeLimitExceeded, "Cannot exceed quota for %s: %d", e.Name, e.Limit)
	}
	switch {
	case isNotFound(err):
		return notFound(noun, name)
	case errors.Is(err, store.ErrExists):
		return alreadyExists(noun, name)
	case errors.Is(err, store.ErrCursor):
		return errMarker
	}
	return err
}
