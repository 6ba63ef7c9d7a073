package control

import (
	"context"
	"errors"
	"strconv"

	"sekisho/internal/auth"
	"sekisho/internal/document"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Error codes of the document service that no other part answers with.
const (
	codeDocumentExists         = "DocumentAlreadyExists"
	codeDocumentLimit          = "DocumentLimitExceeded"
	codeDocumentVersionLimit   = "DocumentVersionLimitExceeded"
	codeDocumentSameContent    = "DuplicateDocumentContent"
	codeDocumentVersionName    = "DuplicateDocumentVersionName"
	codeDocumentOperation      = "InvalidDocumentOperation"
	codeDocumentPermission     = "DocumentPermissionLimit"
	codeDocumentPermissionType = "InvalidPermissionType"
)

// CreateDocument makes a document, in the order of api.md §9.3: permission, name, size
// and text, what is there already, limits.
func (s *Server) CreateDocument(ctx context.Context, in *ssm.CreateDocumentInput) (*ssm.DocumentDescriptionOutput, error) {
	documentType := in.DocumentType
	if documentType == "" {
		documentType = ssm.DocumentTypeCommand
	}
	keys := requestTagContext(in.Tags)
	if keys == nil {
		keys = make(map[string][]string)
	}
	keys["ssm:DocumentType"] = []string{documentType}
	request := auth.Request{Action: "ssm:CreateDocument", Resource: s.cfg.ARNs.Document(in.Name), Context: keys}
	if err := s.cfg.Auth.Authorize(ctx, request); err != nil {
		return nil, err
	}
	if err := document.CheckName(in.Name); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := noAttachments(in.Attachments, in.Requires); err != nil {
		return nil, err
	}
	v, err := parseContent(documentType, in.DocumentFormat, in.Content)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	v.Document, v.Version, v.CreatedAt = in.Name, 1, now
	v.VersionName, v.DisplayName, v.TargetType = in.VersionName, in.DisplayName, in.TargetType
	stored := store.Document{Name: in.Name, Type: documentType, DefaultVersion: 1, LatestVersion: 1, CreatedAt: now, Tags: in.Tags}
	err = s.cfg.Store.CreateDocument(ctx, stored, v, s.cfg.MaxDocuments)
	var limit *store.LimitError
	switch {
	case errors.Is(err, store.ErrExists):
		return nil, ssm.Errorf(codeDocumentExists, "The specified document already exists.")
	case errors.As(err, &limit):
		return nil, ssm.Errorf(codeDocumentLimit, "You can have at most %d active SSM documents.", limit.Limit)
	case err != nil:
		return nil, err
	}
	described, err := s.describeDocument(&foundDocument{stored: &stored}, &v, ssm.DocumentCreating)
	return &ssm.DocumentDescriptionOutput{DocumentDescription: described}, err
}

// noAttachments refuses what documents of other types than Session may have: it would be
// lost.
func noAttachments(files []ssm.AttachmentsSource, requires []ssm.DocumentRequires) error {
	if len(files) > 0 {
		return validation("Attachments are not supported.")
	}
	if len(requires) > 0 {
		return validation("Requires is not supported.")
	}
	return nil
}

// UpdateDocument adds a version to a document. The default stays what it was. The version
// that the caller began with may be any: clients name the default one (api.md §9.2).
func (s *Server) UpdateDocument(ctx context.Context, in *ssm.UpdateDocumentInput) (*ssm.DocumentDescriptionOutput, error) {
	d, err := s.writeDocument(ctx, "ssm:UpdateDocument", in.Name)
	if err != nil {
		return nil, err
	}
	if err := noAttachments(in.Attachments, nil); err != nil {
		return nil, err
	}
	v, err := parseContent(d.stored.Type, in.DocumentFormat, in.Content)
	if err != nil {
		return nil, err
	}
	if _, err := s.version(ctx, d, in.DocumentVersion, ""); err != nil {
		return nil, err
	}
	latest, err := s.version(ctx, d, document.LatestVersion, "")
	if err != nil {
		return nil, err
	}
	v.Document, v.CreatedAt = d.name, s.cfg.Now()
	v.VersionName, v.DisplayName, v.TargetType = in.VersionName, in.DisplayName, in.TargetType
	setDefault(&v.DisplayName, latest.DisplayName)
	setDefault(&v.TargetType, latest.TargetType)
	v.Version, err = s.cfg.Store.AddDocumentVersion(ctx, v, maxDocumentVersions)
	var limit *store.LimitError
	switch {
	case errors.Is(err, store.ErrNotFound): // deleted meanwhile
		return nil, d.missing()
	case errors.Is(err, store.ErrSameContent):
		return nil, ssm.Errorf(codeDocumentSameContent,
			"The content of the association document matches another document. Change the content of the document and try again.")
	case errors.Is(err, store.ErrExists):
		return nil, ssm.Errorf(codeDocumentVersionName,
			"The version name has already been used in this document. Specify a different version name, and then try again.")
	case errors.As(err, &limit):
		return nil, ssm.Errorf(codeDocumentVersionLimit,
			"The document has too many versions. Delete one or more document versions and try again.")
	case err != nil:
		return nil, err
	}
	d.stored.LatestVersion = v.Version
	described, err := s.describeDocument(d, &v, ssm.DocumentUpdating)
	return &ssm.DocumentDescriptionOutput{DocumentDescription: described}, err
}

// UpdateDocumentDefaultVersion says which version sessions get from now on.
func (s *Server) UpdateDocumentDefaultVersion(ctx context.Context, in *ssm.UpdateDocumentDefaultVersionInput) (*ssm.UpdateDocumentDefaultVersionOutput, error) {
	d, err := s.writeDocument(ctx, "ssm:UpdateDocumentDefaultVersion", in.Name)
	if err != nil {
		return nil, err
	}
	v, err := s.version(ctx, d, in.DocumentVersion, "")
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.SetDefaultDocumentVersion(ctx, d.name, v.Version)
	if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
		return nil, errDocumentVersion
	}
	if err != nil {
		return nil, err
	}
	return &ssm.UpdateDocumentDefaultVersionOutput{Description: ssm.DocumentDefaultVersionDescription{
		Name: d.name, DefaultVersion: strconv.Itoa(v.Version), DefaultVersionName: v.VersionName,
	}}, nil
}

// DeleteDocument removes a document with its tags, or one version of it.
func (s *Server) DeleteDocument(ctx context.Context, in *ssm.DeleteDocumentInput) (*ssm.Empty, error) {
	d, err := s.writeDocument(ctx, "ssm:DeleteDocument", in.Name)
	if err != nil {
		return nil, err
	}
	var inUse *store.InUseError
	if in.DocumentVersion == "" && in.VersionName == "" {
		err := s.cfg.Store.DeleteDocument(ctx, d.name)
		switch {
		case errors.Is(err, store.ErrNotFound): // deleted meanwhile
			return nil, d.missing()
		case errors.As(err, &inUse):
			return nil, ssm.Errorf(codeDocumentOperation, "You attempted to delete a document while it is still shared. "+
				"You must stop sharing the document before you can delete it.")
		case err != nil:
			return nil, err
		}
		return &ssm.Empty{}, nil
	}
	v, err := s.version(ctx, d, in.DocumentVersion, in.VersionName)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.DeleteDocumentVersion(ctx, d.name, v.Version)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errDocumentVersion
	case errors.As(err, &inUse):
		return nil, ssm.Errorf(codeDocumentOperation, "Default version of the document can't be deleted.")
	case err != nil:
		return nil, err
	}
	return &ssm.Empty{}, nil
}
