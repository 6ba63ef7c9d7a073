package kms

import (
	"context"
	"errors"
	"strings"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// maxAliases is how many aliases a key may have (KMS quotas).
const maxAliases = 50

// checkAlias says what is wrong with the name of an alias.
func checkAlias(name string) error {
	rest, ok := strings.CutPrefix(name, "alias/")
	switch {
	case !ok || rest == "":
		return ssm.Errorf(codeInvalidAliasName, `An alias must begin with "alias/", with a name after it.`)
	case !aliasForm.MatchString(name):
		return ssm.Errorf(codeInvalidAliasName, "An alias has letters, digits and the characters / _ - only.")
	case strings.HasPrefix(rest, "aws/"):
		return ssm.Errorf(codeInvalidAliasName, `Aliases that begin with "alias/aws/" are reserved.`)
	}
	return nil
}

// AliasInput is the request of kms:CreateAlias and kms:UpdateAlias.
type AliasInput struct {
	AliasName   string `constraint:"required len=1..256"`
	TargetKeyID string `json:"TargetKeyId" constraint:"required len=1..2048"`
}

// CreateAlias gives a key another name. Both the alias and the key must be the caller's
// to act on.
func (s *Server) CreateAlias(ctx context.Context, in *AliasInput) (*Empty, error) {
	arn := s.arn(in.AliasName)
	if err := s.authorize(ctx, "CreateAlias", arn); err != nil {
		return nil, err
	}
	k, keyARN, err := s.key(ctx, "CreateAlias", in.TargetKeyID, false)
	if err == nil {
		err = checkAlias(in.AliasName)
	}
	if err == nil {
		err = notPending(keyARN, k)
	}
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	err = s.cfg.Store.CreateKMSAlias(ctx, store.KMSAlias{Name: in.AliasName, KeyID: k.ID, CreatedAt: now, UpdatedAt: now}, maxAliases)
	if errors.Is(err, store.ErrExists) {
		return nil, ssm.Errorf(codeAlreadyExists, "An alias with the name %s already exists", arn)
	}
	return nil, failed(err, keyARN)
}

// UpdateAlias gives an alias to another key. The alias and both keys must be the
// caller's to act on.
func (s *Server) UpdateAlias(ctx context.Context, in *AliasInput) (*Empty, error) {
	if err := s.authorizeAlias(ctx, "UpdateAlias", in.AliasName); err != nil {
		return nil, err
	}
	k, keyARN, err := s.key(ctx, "UpdateAlias", in.TargetKeyID, false)
	if err == nil {
		err = checkAlias(in.AliasName)
	}
	if err == nil {
		err = notPending(keyARN, k)
	}
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.MoveKMSAlias(ctx, store.KMSAlias{Name: in.AliasName, KeyID: k.ID, UpdatedAt: s.cfg.Now()}, maxAliases)
	if errors.Is(err, store.ErrNotFound) {
		err = s.noAlias(in.AliasName)
	}
	return nil, failed(err, keyARN)
}

// DeleteAliasInput is the request of kms:DeleteAlias.
type DeleteAliasInput struct {
	AliasName string `constraint:"required len=1..256"`
}

// DeleteAlias removes an alias; its key stays.
func (s *Server) DeleteAlias(ctx context.Context, in *DeleteAliasInput) (*Empty, error) {
	if err := s.authorizeAlias(ctx, "DeleteAlias", in.AliasName); err != nil {
		return nil, err
	}
	if err := checkAlias(in.AliasName); err != nil {
		return nil, err
	}
	err := s.cfg.Store.DeleteKMSAlias(ctx, in.AliasName)
	if errors.Is(err, store.ErrNotFound) {
		err = s.noAlias(in.AliasName)
	}
	return nil, err
}

// authorizeAlias asks for an action on an alias and on the key that it has now. An alias
// that does not exist is no error yet, unless the caller may not know.
func (s *Server) authorizeAlias(ctx context.Context, action, name string) error {
	if err := s.authorize(ctx, action, s.arn(name)); err != nil {
		return err
	}
	if !strings.HasPrefix(name, "alias/") {
		return nil
	}
	t, err := s.target(ctx, name, true)
	if err != nil {
		return err
	}
	t.alias = "" // the key is not used by its alias
	return s.authorizeKey(ctx, action, t)
}

func (s *Server) noAlias(name string) error {
	return ssm.Errorf(codeNotFound, "Alias %s is not found.", s.arn(name))
}

// ListAliasesInput is the request of kms:ListAliases.
type ListAliasesInput struct {
	KeyID  string `json:"KeyId" constraint:"len=1..2048"`
	Limit  *int   `constraint:"range=1..100"`
	Marker string `constraint:"len=1..1024"`
}

// ListAliasesOutput is the answer of kms:ListAliases.
type ListAliasesOutput struct {
	Aliases    []AliasListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// AliasListEntry is an alias in a list.
type AliasListEntry struct {
	AliasName       string
	AliasARN        string `json:"AliasArn"`
	TargetKeyID     string `json:"TargetKeyId"`
	CreationDate    ssm.Time
	LastUpdatedDate ssm.Time
}

// ListAliases lists the aliases of all keys or of one, in the order of their names.
func (s *Server) ListAliases(ctx context.Context, in *ListAliasesInput) (*ListAliasesOutput, error) {
	if err := s.authorize(ctx, "ListAliases", everything); err != nil {
		return nil, err
	}
	keyID := ""
	if in.KeyID != "" {
		t, err := s.target(ctx, in.KeyID, false)
		if err != nil {
			return nil, err
		}
		if !t.found {
			return nil, t.gone
		}
		keyID = t.key.ID
	}
	list := "aliases " + keyID
	p, err := s.page(list, in.Marker, in.Limit, 50)
	if err != nil {
		return nil, err
	}
	aliases, next, err := s.cfg.Store.KMSAliases(ctx, keyID, p)
	if err != nil {
		return nil, err
	}
	out := &ListAliasesOutput{Aliases: make([]AliasListEntry, len(aliases)), NextMarker: s.marker(list, next), Truncated: next != ""}
	for i, a := range aliases {
		out.Aliases[i] = AliasListEntry{
			AliasName: a.Name, AliasARN: s.arn(a.Name), TargetKeyID: a.KeyID,
			CreationDate: ssm.Time{Time: a.CreatedAt}, LastUpdatedDate: ssm.Time{Time: a.UpdatedAt},
		}
	}
	return out, nil
}
