package kms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// everything is the resource of an operation without resource-level permission.
const everything = "*"

// keys are condition keys of one question, by their full names. kms:ViaService is never
// among them: nobody calls in another's place.
type keys = map[string][]string

// key finds the key that a KeyId names and asks for action ("Decrypt") on it. Permission
// is judged first: only who may act on a key learns that it does not exist.
func (s *Server) key(ctx context.Context, action, keyID string, aliases bool, extra ...keys) (store.KMSKey, string, error) {
	t, err := s.target(ctx, keyID, aliases)
	if err != nil {
		return store.KMSKey{}, "", err
	}
	if err := s.authorizeKey(ctx, action, t, extra...); err != nil {
		return store.KMSKey{}, "", err
	}
	if !t.found {
		return store.KMSKey{}, "", t.gone
	}
	return t.key, t.arn, nil
}

// authorizeKey asks for action on a key: the key's own policy must allow, and the
// caller's too as far as the key's leaves it to the account. For a key that does not
// exist the caller's decide. A denial names what the caller named: the same text whether
// or not an alias exists.
func (s *Server) authorizeKey(ctx context.Context, action string, t target, extra ...keys) error {
	r, err := s.question(ctx, action, t, extra...)
	if err != nil {
		return err
	}
	err = s.cfg.Auth.Authorize(ctx, r)
	if e, ok := errors.AsType[*ssm.Error](err); ok && t.arn != t.shown {
		hidden := *e
		hidden.Message = strings.ReplaceAll(e.Message, " on resource: "+t.arn, " on resource: "+t.shown)
		return &hidden
	}
	return err
}

// question is what authorizeKey asks.
func (s *Server) question(ctx context.Context, action string, t target, extra ...keys) (auth.Request, error) {
	r := auth.Request{Action: "kms:" + action, Resource: t.arn, Context: s.always()}
	for _, set := range extra {
		maps.Copy(r.Context, set)
	}
	if t.alias != "" {
		r.Context["kms:RequestAlias"] = []string{t.alias}
	}
	if !t.found {
		return r, nil
	}
	for _, tag := range t.key.Tags {
		r.Context["aws:ResourceTag/"+tag.Key] = []string{tag.Value}
	}
	aliases, _, err := s.cfg.Store.KMSAliases(ctx, t.key.ID, store.Page{Limit: maxAliases})
	if err != nil {
		return r, err
	}
	for _, a := range aliases {
		r.Context["kms:ResourceAliases"] = append(r.Context["kms:ResourceAliases"], a.Name)
	}
	p, err := policy.Parse([]byte(t.key.Policy), policy.Resource)
	if err != nil {
		return r, fmt.Errorf("policy of key %s: %w", t.key.ID, err)
	}
	r.ResourcePolicy = keyPolicySource(p)
	return r, nil
}

func keyPolicySource(p *policy.Policy) *policy.Source {
	return &policy.Source{Policy: p, Name: defaultPolicyName, Type: policy.FromResource}
}

// always are the condition keys that are the same for all keys.
func (s *Server) always() keys {
	return keys{
		"kms:CallerAccount": {s.cfg.ARNs.Account},
		"kms:KeySpec":       {specSymmetric},
		"kms:KeyUsage":      {usageEncrypt},
		"kms:KeyOrigin":     {originKMS},
		"kms:MultiRegion":   {"false"},
	}
}

// authorize asks for an action that is on no key of its own.
func (s *Server) authorize(ctx context.Context, action, resource string, extra ...keys) error {
	all := keys{"kms:CallerAccount": {s.cfg.ARNs.Account}}
	for _, set := range extra {
		maps.Copy(all, set)
	}
	return s.cfg.Auth.Authorize(ctx, auth.Request{Action: "kms:" + action, Resource: resource, Context: all})
}

// contextKeys gives the condition keys that an encryption context makes.
func contextKeys(context map[string]string) keys {
	all := keys{"kms:EncryptionAlgorithm": {specSymmetric}}
	for name, value := range context {
		all["kms:EncryptionContext:"+name] = []string{value}
	}
	if len(context) > 0 {
		all["kms:EncryptionContextKeys"] = sortedNames(context)
	}
	return all
}

// requestTagKeys gives the condition keys that tags in a request make.
func requestTagKeys(tags []Tag) keys {
	all := keys{}
	for _, t := range tags {
		all["aws:RequestTag/"+t.TagKey] = []string{t.TagValue}
		all["aws:TagKeys"] = append(all["aws:TagKeys"], t.TagKey)
	}
	return all
}

func number(n int) string { return strconv.Itoa(n) }

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
