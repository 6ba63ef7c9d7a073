package sts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/policy"
	"sekisho/internal/policy/managed"
	"sekisho/internal/ssm"
)

const (
	maxPolicyARNs = 10
	// packedLimit is what policies and tags of a session may have together, in bytes. AWS
	// has a limit for a packed form that it does not describe.
	packedLimit = 8192
)

// sessionPolicies are the policies that narrow a session, as the store keeps them.
type sessionPolicies struct {
	documents []string
	arns      []string
}

// parsePolicies reads the policies in a request. Whether the managed ones exist is seen
// later: only who may assume the role learns it.
func parsePolicies(document string, arns []PolicyDescriptor) (sessionPolicies, error) {
	var p sessionPolicies
	if document != "" {
		parsed, err := policy.Parse([]byte(document), policy.Session)
		if fault, ok := errors.AsType[*policy.SyntaxError](err); ok && fault.TooLarge {
			return p, tooLarge()
		}
		if err != nil {
			return p, ssm.Errorf("MalformedPolicyDocument", "%s", err)
		}
		if parsed.Size() > policy.QuotaSession {
			return p, tooLarge()
		}
		p.documents = []string{document}
	}
	if len(arns) > maxPolicyARNs {
		return p, ssm.Errorf(ssm.CodeValidation, "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs)
	}
	for _, d := range arns {
		if !strings.HasPrefix(d.ARN, "arn:aws:iam::") || !strings.Contains(d.ARN, ":policy/") || !storable(d.ARN) {
			return p, ssm.Errorf(ssm.CodeValidation, "%s is invalid", d.ARN)
		}
		if !slices.Contains(p.arns, d.ARN) {
			p.arns = append(p.arns, d.ARN)
		}
	}
	return p, nil
}

func tooLarge() error {
	return ssm.Errorf("PackedPolicyTooLarge", "The policies and tags of the session exceed the limit.")
}

// exist refuses managed policies that do not exist. One that is deleted later allows
// nothing.
func (s *Server) exist(ctx context.Context, p sessionPolicies) error {
	for _, arn := range p.arns {
		if _, ok := managed.Find(arn); ok {
			continue
		}
		_, err := s.cfg.Store.Policy(ctx, arn)
		if isNotFound(err) {
			return ssm.Errorf(ssm.CodeValidation, "Policy %s does not exist or is not attachable.", arn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// packed is how full the session is with policies and tags, in per cent.
func packed(p sessionPolicies, tags []ssm.Tag) (int, error) {
	n := 0
	for _, document := range p.documents {
		n += policy.Size([]byte(document))
	}
	for _, arn := range p.arns {
		n += len(arn)
	}
	for _, t := range tags {
		n += len(t.Key) + len(t.Value)
	}
	if n > packedLimit {
		return 0, tooLarge()
	}
	return (n*100 + packedLimit - 1) / packedLimit, nil
}

// sessionTags are the tags of a session and which of them go on to the next.
type sessionTags struct {
	tags       []ssm.Tag
	transitive []string
}

const codeInvalidParameter = "InvalidParameterValue"

// joinTags adds the transitive tags of the calling session to those of the request, which
// must not replace them (api.md §17). Keys compare without case.
func joinTags(requested []Tag, transitive []string, calling auth.Session) (sessionTags, error) {
	var out sessionTags
	for _, t := range requested {
		if has(out.tags, t.Key) {
			return out, ssm.Errorf(codeInvalidParameter, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:") {
			return out, ssm.Errorf(codeInvalidParameter, "Tag keys that begin with aws: are reserved.")
		}
		out.tags = append(out.tags, ssm.Tag{Key: t.Key, Value: t.Value})
	}
	for _, key := range transitive {
		if !has(out.tags, key) {
			return out, ssm.Errorf(codeInvalidParameter, "The specified transitive tag key must be included in the requested tags.")
		}
		if !containsFold(out.transitive, key) {
			out.transitive = append(out.transitive, key)
		}
	}
	for _, t := range calling.Tags {
		if !containsFold(calling.TransitiveTagKeys, t.Key) {
			continue
		}
		if has(out.tags, t.Key) {
			return out, ssm.Errorf(codeInvalidParameter, "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		out.tags = append(out.tags, t)
		out.transitive = append(out.transitive, t.Key)
	}
	return out, nil
}

func has(tags []ssm.Tag, key string) bool {
	return slices.ContainsFunc(tags, func(t ssm.Tag) bool { return strings.EqualFold(t.Key, key) })
}

func containsFold(list []string, text string) bool {
	return slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(v, text) })
}
