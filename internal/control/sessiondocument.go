package control

import (
	"strings"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
)

// documentARN is the document that a StartSession asks for: by name, by ARN, or the
// default one.
func (s *Server) documentARN(name string) string {
	switch {
	case name == "":
		return s.cfg.ARNs.Document(ssm.DefaultSessionDocument)
	case strings.HasPrefix(name, "arn:"):
		return name
	default:
		return s.cfg.ARNs.Document(name)
	}
}

// sessionDocument finds the document that a StartSession asks for. There is only the
// built-in default as long as documents are not stored.
func (s *Server) sessionDocument(name string) (*document.Document, error) {
	arn := s.documentARN(name)
	if arn == s.cfg.ARNs.Document(ssm.DefaultSessionDocument) {
		return document.Default(), nil
	}
	if _, owned, ok := strings.Cut(arn, "::document/"); ok && strings.HasPrefix(owned, "AWS-") {
		return nil, ssm.Errorf(ssm.CodeInvalidDocument, "Document with name %s is not available in this version.", name)
	}
	return nil, ssm.Errorf(ssm.CodeInvalidDocument, "Document with name %s does not exist.", name)
}
