package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/yamldoc"
)

// sessionDocument finds the document that a StartSession asks for: by name, by ARN, or
// the default one.
func (s *Server) sessionDocument(ctx context.Context, name string) (*foundDocument, error) {
	if name == "" {
		name = ssm.DefaultSessionDocument
	}
	return s.findDocument(ctx, name)
}

// resolve applies the parameters of a StartSession to the default version of a document.
// A document without inputs has the preferences of the account's default one.
func (s *Server) resolve(ctx context.Context, d *foundDocument, parameters map[string][]string) (*document.Resolved, error) {
	doc, err := s.readSessionDocument(ctx, d)
	if err != nil {
		return nil, err
	}
	var resolved *document.Resolved
	if doc.Content.HasInputs {
		resolved, err = doc.Resolve(parameters)
	} else {
		var preferences document.Inputs
		if preferences, err = s.preferences(ctx); err == nil {
			resolved, err = doc.ResolveWith(parameters, preferences)
		}
	}
	if err != nil {
		return nil, err
	}
	if names := resolved.SSMParameters; len(names) > 0 {
		return nil, ssm.Errorf(ssm.CodeInvalidParameters,
			"The session refers to SSM parameters [%s], and Parameter Store is not available in this version of Sekisho.",
			cutText(strings.Join(names, ", ")))
	}
	return resolved, nil
}

// preferences are the inputs of the account's default document.
func (s *Server) preferences(ctx context.Context) (document.Inputs, error) {
	d, err := s.sessionDocument(ctx, "")
	if err != nil {
		return document.Inputs{}, err
	}
	doc, err := s.readSessionDocument(ctx, d)
	if err != nil {
		return document.Inputs{}, err
	}
	resolved, err := doc.Resolve(nil)
	if err != nil {
		return document.Inputs{}, fmt.Errorf("preferences of the account: %w", err)
	}
	return resolved.Inputs, nil
}

// readSessionDocument reads the text of a document that is to be run. The default one is
// built in until the account makes one.
func (s *Server) readSessionDocument(ctx context.Context, d *foundDocument) (*document.Document, error) {
	switch {
	case d.builtin != nil:
		return d.builtin, nil
	case d.stored == nil && d.name == ssm.DefaultSessionDocument:
		return document.Default(), nil
	case d.stored == nil:
		return nil, d.missing()
	case d.stored.Type != ssm.DocumentTypeSession:
		return nil, ssm.Errorf(ssm.CodeInvalidDocument,
			"Document type: '%s' is not supported. Only type: 'Session' is supported for Session Manager.", d.stored.Type)
	}
	v, err := s.cfg.Store.DocumentVersion(ctx, d.name, d.stored.DefaultVersion)
	if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
		return nil, d.missing()
	}
	if err != nil {
		return nil, err
	}
	content, err := yamldoc.Parse([]byte(v.Content), v.Format)
	if err != nil {
		return nil, fmt.Errorf("read version %d of document %s: %w", v.Version, d.name, err)
	}
	return &document.Document{Name: d.name, Content: *content}, nil
}
