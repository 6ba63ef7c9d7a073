package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/document"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/yamldoc"
)

// Numbers of documents (api.md §9.1).
const (
	maxDocumentVersions = 1000
	maxDocumentShares   = 1000
)

// formatText is the format of a document without structure.
const formatText = "TEXT"

// builtinsSince is the creation date that the documents owned by AWS are shown with.
var builtinsSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// foundDocument is what a name or ARN stands for. It is made before the caller is known
// to be allowed anything, and shows nothing by itself.
type foundDocument struct {
	given   string // as the caller wrote it
	name    string // less the ARN around it; empty for what is no document of this account
	arn     string
	builtin *document.Document
	stored  *store.Document
}

// exists says whether there is such a document. The default session document is used
// before anybody made it, but does not exist.
func (d *foundDocument) exists() bool { return d.builtin != nil || d.stored != nil }

func (d *foundDocument) tags() []ssm.Tag {
	if d.stored == nil {
		return nil
	}
	return d.stored.Tags
}

func (d *foundDocument) documentType() string {
	switch {
	case d.builtin != nil:
		return ssm.DocumentTypeSession
	case d.stored != nil:
		return d.stored.Type
	}
	return ""
}

// request asks for an action on the document.
func (d *foundDocument) request(action string) auth.Request {
	keys := tagContext(d.tags())
	if t := d.documentType(); t != "" {
		keys["ssm:DocumentType"] = []string{t}
	}
	return auth.Request{Action: action, Resource: d.arn, Context: keys}
}

func (d *foundDocument) missing() error {
	return ssm.Errorf(ssm.CodeInvalidDocument, "Document with name %s does not exist.", d.given)
}

// findDocument looks a document up by name or by ARN.
func (s *Server) findDocument(ctx context.Context, given string) (*foundDocument, error) {
	d := &foundDocument{given: given, name: given, arn: given}
	if strings.HasPrefix(given, "arn:") {
		d.name = s.documentName(given)
	}
	if d.name == "" {
		return d, nil
	}
	d.arn = s.cfg.ARNs.Document(d.name)
	if builtin, ok := document.Builtin(d.name); ok {
		d.builtin = &builtin
	}
	if strings.Contains(d.arn, "::document/") { // AWS's own (ADR 0014)
		return d, nil
	}
	stored, err := s.cfg.Store.Document(ctx, d.name)
	if err == nil {
		d.stored = &stored
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return d, nil
}

// documentName is the name in an ARN of a document here, or empty.
func (s *Server) documentName(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[1] != "aws" || parts[2] != "ssm" || parts[3] != s.cfg.ARNs.Region {
		return ""
	}
	name, ok := strings.CutPrefix(parts[5], "document/")
	if !ok || parts[4] != s.cfg.ARNs.Account && (parts[4] != "" || !strings.Contains(s.cfg.ARNs.Document(name), "::")) {
		return ""
	}
	return name
}

// readDocument gives a document that the caller may do action to.
func (s *Server) readDocument(ctx context.Context, action, name string) (*foundDocument, error) {
	d, err := s.findDocument(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Auth.Authorize(ctx, d.request(action)); err != nil {
		return nil, err
	}
	if !d.exists() {
		return nil, d.missing()
	}
	return d, nil
}

// writeDocument gives a document of the account that the caller may do action to.
// Documents of AWS are as good as absent (api.md §8).
func (s *Server) writeDocument(ctx context.Context, action, name string) (*foundDocument, error) {
	d, err := s.readDocument(ctx, action, name)
	if err == nil && d.stored == nil {
		return nil, d.missing()
	}
	return d, err
}

var errDocumentVersion = ssm.Errorf("InvalidDocumentVersion", "The document version is not valid or does not exist.")

// version finds the version of a document that a request names: by number, by $LATEST or
// $DEFAULT, by name, or the default one. Named twice it must be the same.
func (s *Server) version(ctx context.Context, d *foundDocument, number, name string) (store.DocumentVersion, error) {
	if d.builtin != nil {
		if name != "" || number != "" && number != "1" && number != document.LatestVersion && number != document.DefaultVersion {
			return store.DocumentVersion{}, errDocumentVersion
		}
		return builtinVersion(d.builtin), nil
	}
	n := d.stored.DefaultVersion
	switch number {
	case "", document.DefaultVersion:
	case document.LatestVersion:
		n = d.stored.LatestVersion
	default:
		var err error
		if n, err = strconv.Atoi(number); err != nil || n > 1<<31-1 {
			return store.DocumentVersion{}, errDocumentVersion
		}
	}
	var v store.DocumentVersion
	var err error
	if name != "" {
		v, err = s.cfg.Store.NamedDocumentVersion(ctx, d.name, name)
		if err == nil && number != "" && v.Version != n {
			return store.DocumentVersion{}, errDocumentVersion
		}
	} else {
		v, err = s.cfg.Store.DocumentVersion(ctx, d.name, n)
	}
	if errors.Is(err, store.ErrNotFound) {
		return store.DocumentVersion{}, errDocumentVersion
	}
	return v, err
}

// builtinVersion is the only version of a document owned by AWS.
func builtinVersion(b *document.Document) store.DocumentVersion {
	text, _ := document.BuiltinText(b.Name)
	v := store.DocumentVersion{
		Document: b.Name, Version: 1, Format: yamldoc.JSON, CreatedAt: builtinsSince,
		Hash: document.Hash([]byte(text)), Content: text,
	}
	describeContent(&v, &b.Content)
	v.Notice = "" // for authors, and this has none here
	return v
}

// describeContent notes what a session document's text says of itself.
func describeContent(v *store.DocumentVersion, c *document.Content) {
	v.SchemaVersion, v.Description, v.PlatformTypes = c.SchemaVersion, c.Description, c.PlatformTypes()
	v.Parameters = parameterList(c.Describe())
	notices := make([]string, len(c.Warnings))
	for i, w := range c.Warnings {
		notices[i] = w.Message
	}
	v.Notice = strings.Join(notices, "\n")
}

func parameterList(described []document.ParameterDescription) string {
	list := make([]ssm.DocumentParameter, len(described))
	for i, p := range described {
		list[i] = ssm.DocumentParameter(p)
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(text)
}

// parseContent reads the text of a document that is to be stored: it must be what its
// type and format say.
func parseContent(documentType, format, text string) (store.DocumentVersion, error) {
	v := store.DocumentVersion{Format: format, Content: text, Hash: document.Hash([]byte(text))}
	if format == "" {
		v.Format = yamldoc.JSON
	}
	if documentType == ssm.DocumentTypeSession {
		if v.Format == formatText {
			return v, validation("A document of type %s cannot have the format %s.", documentType, formatText)
		}
		c, err := yamldoc.Parse([]byte(text), v.Format)
		if err != nil {
			return v, err
		}
		describeContent(&v, c)
		return v, nil
	}
	if err := document.CheckSize([]byte(text)); err != nil {
		return v, err
	}
	v.PlatformTypes = []string{"Windows", "Linux", "MacOS"}
	v.Parameters = parameterList(nil)
	if v.Format == formatText {
		return v, nil
	}
	converted := []byte(text)
	if v.Format == yamldoc.YAML {
		var err error
		if converted, err = yamldoc.ToJSON(converted); err != nil {
			return v, err
		}
	}
	o, err := document.ParseOutline(documentType, converted)
	if err != nil {
		return v, err
	}
	v.SchemaVersion, v.Description, v.Parameters = o.SchemaVersion, o.Description, parameterList(o.Parameters)
	return v, nil
}

// describeDocument shows a version and the document it is of. status is how far the
// service is with it.
func (s *Server) describeDocument(d *foundDocument, v *store.DocumentVersion, status string) (ssm.DocumentDescription, error) {
	out := ssm.DocumentDescription{
		Hash:              v.Hash,
		HashType:          document.HashType,
		Name:              v.Document,
		DisplayName:       v.DisplayName,
		VersionName:       v.VersionName,
		Owner:             s.documentOwner(d.builtin != nil),
		CreatedDate:       ssm.At(v.CreatedAt),
		Status:            status,
		StatusInformation: v.Notice,
		DocumentVersion:   strconv.Itoa(v.Version),
		Description:       v.Description,
		PlatformTypes:     v.PlatformTypes,
		DocumentType:      d.documentType(),
		SchemaVersion:     v.SchemaVersion,
		LatestVersion:     "1",
		DefaultVersion:    "1",
		DocumentFormat:    v.Format,
		TargetType:        v.TargetType,
		Tags:              d.tags(),
	}
	if d.stored != nil {
		out.LatestVersion, out.DefaultVersion = strconv.Itoa(d.stored.LatestVersion), strconv.Itoa(d.stored.DefaultVersion)
	}
	if err := json.Unmarshal([]byte(v.Parameters), &out.Parameters); err != nil {
		return out, fmt.Errorf("read parameters of version %d of document %s: %w", v.Version, v.Document, err)
	}
	return out, nil
}

// documentOwner is how an answer names the owner of a document.
func (s *Server) documentOwner(builtin bool) string {
	if builtin {
		return document.Owner
	}
	return s.cfg.ARNs.Account
}

// GetDocument gives the text of a document: byte for byte in the format it was submitted
// in, and otherwise converted.
func (s *Server) GetDocument(ctx context.Context, in *ssm.GetDocumentInput) (*ssm.GetDocumentOutput, error) {
	d, err := s.readDocument(ctx, "ssm:GetDocument", in.Name)
	if err != nil {
		return nil, err
	}
	v, err := s.version(ctx, d, in.DocumentVersion, in.VersionName)
	if err != nil {
		return nil, err
	}
	format := in.DocumentFormat
	if format == "" {
		format = yamldoc.JSON
	}
	text := []byte(v.Content)
	switch {
	case v.Format == formatText: // there is nothing to convert
		format = formatText
	case format != formatText: // any text is text
		if text, err = yamldoc.Convert(text, v.Format, format); err != nil {
			return nil, err
		}
	}
	return &ssm.GetDocumentOutput{
		Name:            d.name,
		CreatedDate:     ssm.At(v.CreatedAt),
		DisplayName:     v.DisplayName,
		VersionName:     v.VersionName,
		DocumentVersion: strconv.Itoa(v.Version),
		Status:          ssm.DocumentActive,
		Content:         string(text),
		DocumentType:    d.documentType(),
		DocumentFormat:  format,
	}, nil
}

// DescribeDocument tells about a document and one of its versions.
func (s *Server) DescribeDocument(ctx context.Context, in *ssm.DescribeDocumentInput) (*ssm.DescribeDocumentOutput, error) {
	d, err := s.readDocument(ctx, "ssm:DescribeDocument", in.Name)
	if err != nil {
		return nil, err
	}
	v, err := s.version(ctx, d, in.DocumentVersion, in.VersionName)
	if err != nil {
		return nil, err
	}
	described, err := s.describeDocument(d, &v, ssm.DocumentActive)
	if err != nil {
		return nil, err
	}
	return &ssm.DescribeDocumentOutput{Document: described}, nil
}
