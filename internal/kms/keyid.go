package kms

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// keyARN is the ARN of a key.
func (s *Server) keyARN(id string) string { return s.arn("key/" + id) }

func (s *Server) arn(resource string) string {
	return "arn:aws:kms:" + s.cfg.ARNs.Region + ":" + s.cfg.ARNs.Account + ":" + resource
}

// Forms of names. Aliases are checked when they are made; looking one up takes whatever
// begins like one.
var (
	uuidForm  = regexp.MustCompile(`\A[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z`)
	aliasForm = regexp.MustCompile(`\Aalias/[a-zA-Z0-9/_-]+\z`)
)

// noKey stands for the key of an alias that does not exist, when policies are asked.
const noKey = "00000000-0000-0000-0000-000000000000"

// target is what a KeyId of a request names.
type target struct {
	key   store.KMSKey // if it exists
	found bool
	arn   string // of the key
	shown string // what a denial names: what the caller said, as an ARN
	alias string // by which it was named, with "alias/"; may be empty
	gone  error  // the answer if it does not exist
}

// target finds the key that a KeyId names: "ID", "arn:...:key/ID" and, where aliases are
// taken, "alias/NAME" and "arn:...:alias/NAME". The error is one of form; that there is
// no such key is for after the policies were asked.
func (s *Server) target(ctx context.Context, keyID string, aliases bool) (target, error) {
	resource, foreign := keyID, false
	if strings.HasPrefix(keyID, "arn:") {
		part := strings.SplitN(keyID, ":", 6)
		if len(part) != 6 || part[1] != "aws" || part[2] != "kms" {
			return target{}, ssm.Errorf(codeNotFound, "Invalid arn %s", keyID)
		}
		if part[3] != s.cfg.ARNs.Region {
			return target{}, ssm.Errorf(codeNotFound, "Invalid arn %s", part[3])
		}
		resource, foreign = part[5], part[4] != s.cfg.ARNs.Account
		id, isKey := strings.CutPrefix(resource, "key/")
		if isKey == strings.HasPrefix(id, "alias/") { // neither of the two, or both
			return target{}, ssm.Errorf(codeNotFound, "Invalid arn %s", keyID)
		}
		resource = id
	}
	t := target{}
	switch {
	case strings.HasPrefix(resource, "alias/"):
		if !aliases {
			return target{}, ssm.Errorf(codeNotFound, "Invalid keyId '%s'", keyID)
		}
		t.alias, t.shown, t.arn = resource, s.arn(resource), s.keyARN(noKey)
		t.gone = ssm.Errorf(codeNotFound, "Alias %s is not found.", t.shown)
	case uuidForm.MatchString(resource):
		t.arn = s.keyARN(resource)
		t.shown = t.arn
		t.gone = ssm.Errorf(codeNotFound, "Key '%s' does not exist", t.shown)
	default:
		return target{}, ssm.Errorf(codeNotFound, "Invalid keyId '%s'", keyID)
	}
	if foreign { // nothing of another account is here
		t.arn, t.shown = keyID, keyID
		t.gone = ssm.Errorf(codeNotFound, "Key '%s' does not exist", keyID)
		return t, nil
	}
	id := resource
	if t.alias != "" {
		a, err := s.cfg.Store.KMSAlias(ctx, t.alias)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
			return t, nil
		}
		if err != nil {
			return target{}, err
		}
		id = a.KeyID
	}
	k, err := s.cfg.Store.KMSKey(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return t, nil
	}
	if err != nil {
		return target{}, err
	}
	t.key, t.found, t.arn = k, true, s.keyARN(k.ID)
	return t, nil
}
