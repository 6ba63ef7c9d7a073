package ssm

// documentPatterns are the patterns of the model that the document service uses.
var documentPatterns = map[string]string{
	"AccountId":             `(?i)all|[0-9]{12}`,
	"AttachmentIdentifier":  `^[a-zA-Z0-9_\-.]{3,128}$`,
	"DocumentDisplayName":   `^[\w\.\-\:\/ ]*$`,
	"DocumentName":          `^[a-zA-Z0-9_\-.]{3,128}$`,
	"DocumentVersion":       `([$]LATEST|[$]DEFAULT|^[1-9][0-9]*$)`,
	"DocumentVersionName":   `^[a-zA-Z0-9_\-.]{1,128}$`,
	"DocumentVersionNumber": `(^[1-9][0-9]*$)`,
	"SharedDocumentVersion": `([$]LATEST|[$]DEFAULT|[$]ALL|^[1-9][0-9]*$)`, // the service takes numbers too
	"TargetType":            `^\/[\w\.\-\:\/]*$`,
}

// documentEnums are the value sets of the model that the document service uses.
var documentEnums = map[string][]string{
	"AttachmentsSourceKey": {"SourceUrl", "S3FileUrl", "AttachmentReference"},
	"DocumentFilterKey":    {"Name", "Owner", "PlatformTypes", "DocumentType"},
	"DocumentFormat":       {"YAML", "JSON", "TEXT"},
	"DocumentType": {"Command", "Policy", "Automation", "Session", "Package", "ApplicationConfiguration", "ApplicationConfigurationSchema",
		"DeploymentStrategy", "ChangeCalendar", "Automation.ChangeTemplate", "ProblemAnalysis", "ProblemAnalysisTemplate", "CloudFormation",
		"ConformancePackTemplate", "QuickSetup", "ManualApprovalPolicy", "AutoApprovalPolicy"},
	"ResourceTypeForTagging": {"Document", "ManagedInstance", "MaintenanceWindow", "Parameter", "PatchBaseline", "OpsItem",
		"OpsMetadata", "Automation", "Association"},
}

// Types and states of documents that this project has words for.
const (
	DocumentTypeSession = "Session"
	DocumentTypeCommand = "Command" // of a document created without a type

	DocumentCreating = "Creating"
	DocumentUpdating = "Updating"
	DocumentActive   = "Active"
)

// DocumentRequires names a document that another one needs.
type DocumentRequires struct {
	Name        string `constraint:"required pattern=DocumentARN"`
	Version     string `constraint:"pattern=DocumentVersion"`
	RequireType string `constraint:"len=0..128"`
	VersionName string `constraint:"pattern=DocumentVersionName"`
}

// AttachmentsSource names a file that belongs to a document.
type AttachmentsSource struct {
	Key    string   `constraint:"enum=AttachmentsSourceKey"`
	Values []string `constraint:"len=1..1"`
	Name   string   `constraint:"pattern=AttachmentIdentifier"`
}

// CreateDocumentInput is the request of ssm:CreateDocument.
type CreateDocumentInput struct {
	Content        string              `constraint:"required len=1.."`
	Requires       []DocumentRequires  `constraint:"len=1.."`
	Attachments    []AttachmentsSource `constraint:"len=0..20"`
	Name           string              `constraint:"required pattern=DocumentName"`
	DisplayName    string              `constraint:"len=0..1024 pattern=DocumentDisplayName"`
	VersionName    string              `constraint:"pattern=DocumentVersionName"`
	DocumentType   string              `constraint:"enum=DocumentType"`
	DocumentFormat string              `constraint:"enum=DocumentFormat"`
	TargetType     string              `constraint:"len=0..200 pattern=TargetType"`
	Tags           []Tag               `constraint:"len=0..1000"`
}

// DocumentDescriptionOutput is the answer of ssm:CreateDocument and ssm:UpdateDocument.
type DocumentDescriptionOutput struct {
	DocumentDescription DocumentDescription
}

// DocumentDescription describes one version of a document and the document it is of.
type DocumentDescription struct {
	Hash              string
	HashType          string
	Name              string
	DisplayName       string `json:",omitempty"`
	VersionName       string `json:",omitempty"`
	Owner             string
	CreatedDate       *Time
	Status            string
	StatusInformation string `json:",omitempty"` // what the author should know of a valid document
	DocumentVersion   string
	Description       string              `json:",omitempty"`
	Parameters        []DocumentParameter `json:",omitempty"`
	PlatformTypes     []string
	DocumentType      string
	SchemaVersion     string `json:",omitempty"`
	LatestVersion     string
	DefaultVersion    string
	DocumentFormat    string
	TargetType        string `json:",omitempty"`
	Tags              []Tag
}

// DocumentParameter is a parameter that a document declares.
type DocumentParameter struct {
	Name         string
	Type         string
	Description  string `json:",omitempty"`
	DefaultValue string `json:",omitempty"`
}

// GetDocumentInput is the request of ssm:GetDocument.
type GetDocumentInput struct {
	Name            string `constraint:"required pattern=DocumentARN"`
	VersionName     string `constraint:"pattern=DocumentVersionName"`
	DocumentVersion string `constraint:"pattern=DocumentVersion"`
	DocumentFormat  string `constraint:"enum=DocumentFormat"`
}

// GetDocumentOutput is the answer of ssm:GetDocument.
type GetDocumentOutput struct {
	Name               string
	CreatedDate        *Time
	DisplayName        string `json:",omitempty"`
	VersionName        string `json:",omitempty"`
	DocumentVersion    string
	Status             string
	Content            string
	DocumentType       string
	DocumentFormat     string
	AttachmentsContent []AttachmentContent
}

// AttachmentContent is a file that belongs to a document. None does here.
type AttachmentContent struct {
	Name string
}

// DescribeDocumentInput is the request of ssm:DescribeDocument.
type DescribeDocumentInput struct {
	Name            string `constraint:"required pattern=DocumentARN"`
	DocumentVersion string `constraint:"pattern=DocumentVersion"`
	VersionName     string `constraint:"pattern=DocumentVersionName"`
}

// DescribeDocumentOutput is the answer of ssm:DescribeDocument.
type DescribeDocumentOutput struct {
	Document DocumentDescription
}

// UpdateDocumentInput is the request of ssm:UpdateDocument.
type UpdateDocumentInput struct {
	Content         string              `constraint:"required len=1.."`
	Attachments     []AttachmentsSource `constraint:"len=0..20"`
	Name            string              `constraint:"required pattern=DocumentName"`
	DisplayName     string              `constraint:"len=0..1024 pattern=DocumentDisplayName"`
	VersionName     string              `constraint:"pattern=DocumentVersionName"`
	DocumentVersion string              `constraint:"pattern=DocumentVersion"`
	DocumentFormat  string              `constraint:"enum=DocumentFormat"`
	TargetType      string              `constraint:"len=0..200 pattern=TargetType"`
}

// UpdateDocumentDefaultVersionInput is the request of ssm:UpdateDocumentDefaultVersion.
type UpdateDocumentDefaultVersionInput struct {
	Name            string `constraint:"required pattern=DocumentName"`
	DocumentVersion string `constraint:"required pattern=DocumentVersionNumber"`
}

// UpdateDocumentDefaultVersionOutput is the answer of ssm:UpdateDocumentDefaultVersion.
type UpdateDocumentDefaultVersionOutput struct {
	Description DocumentDefaultVersionDescription
}

// DocumentDefaultVersionDescription says which version of a document is the default.
type DocumentDefaultVersionDescription struct {
	Name               string
	DefaultVersion     string
	DefaultVersionName string `json:",omitempty"`
}

// DeleteDocumentInput is the request of ssm:DeleteDocument.
type DeleteDocumentInput struct {
	Name            string `constraint:"required pattern=DocumentName"`
	DocumentVersion string `constraint:"pattern=DocumentVersion"`
	VersionName     string `constraint:"pattern=DocumentVersionName"`
	Force           *bool  `constraint:""`
}

// ListDocumentsInput is the request of ssm:ListDocuments.
type ListDocumentsInput struct {
	DocumentFilterList []DocumentFilter          `constraint:"len=1.."`
	Filters            []DocumentKeyValuesFilter `constraint:"len=0..6"`
	MaxResults         *int                      `constraint:"range=1..50"`
	NextToken          string                    `constraint:""`
}

// DocumentFilter is the older filter form; its wire names are lower case.
type DocumentFilter struct {
	Key   string `json:"key" constraint:"required enum=DocumentFilterKey"`
	Value string `json:"value" constraint:"required len=1.."`
}

// DocumentKeyValuesFilter is the newer filter form.
type DocumentKeyValuesFilter struct {
	Key    string   `constraint:"len=1..128"`
	Values []string `constraint:""`
}

// ListDocumentsOutput is the answer of ssm:ListDocuments.
type ListDocumentsOutput struct {
	DocumentIdentifiers []DocumentIdentifier
	NextToken           string `json:",omitempty"`
}

// DocumentIdentifier is a document in a list: its default version.
type DocumentIdentifier struct {
	Name            string
	CreatedDate     *Time
	DisplayName     string `json:",omitempty"`
	Owner           string
	VersionName     string `json:",omitempty"`
	PlatformTypes   []string
	DocumentVersion string
	DocumentType    string
	SchemaVersion   string `json:",omitempty"`
	DocumentFormat  string
	TargetType      string `json:",omitempty"`
	Tags            []Tag
}

// ListDocumentVersionsInput is the request of ssm:ListDocumentVersions.
type ListDocumentVersionsInput struct {
	Name       string `constraint:"required pattern=DocumentARN"`
	MaxResults *int   `constraint:"range=1..50"`
	NextToken  string `constraint:""`
}

// ListDocumentVersionsOutput is the answer of ssm:ListDocumentVersions.
type ListDocumentVersionsOutput struct {
	DocumentVersions []DocumentVersionInfo
	NextToken        string `json:",omitempty"`
}

// DocumentVersionInfo is a version of a document in a list.
type DocumentVersionInfo struct {
	Name             string
	DisplayName      string `json:",omitempty"`
	DocumentVersion  string
	VersionName      string `json:",omitempty"`
	CreatedDate      *Time
	IsDefaultVersion bool
	DocumentFormat   string
	Status           string
}

// DescribeDocumentPermissionInput is the request of ssm:DescribeDocumentPermission. The
// permission type has no constraint: a wrong one has an error code of its own.
type DescribeDocumentPermissionInput struct {
	Name           string `constraint:"required pattern=DocumentName"`
	PermissionType string `constraint:"required"`
	MaxResults     *int   `constraint:"range=1..200"`
	NextToken      string `constraint:""`
}

// DescribeDocumentPermissionOutput is the answer of ssm:DescribeDocumentPermission. A
// client takes AccountIds that are left out for a fault (api.md §23).
type DescribeDocumentPermissionOutput struct {
	AccountIDs             []string `json:"AccountIds"`
	AccountSharingInfoList []AccountSharingInfo
	NextToken              string `json:",omitempty"`
}

// AccountSharingInfo says which version of a document an account may use.
type AccountSharingInfo struct {
	AccountID             string `json:"AccountId"`
	SharedDocumentVersion string
}

// ModifyDocumentPermissionInput is the request of ssm:ModifyDocumentPermission.
type ModifyDocumentPermissionInput struct {
	Name                  string   `constraint:"required pattern=DocumentName"`
	PermissionType        string   `constraint:"required"`
	AccountIDsToAdd       []string `json:"AccountIdsToAdd" constraint:"len=0..20 pattern=AccountId"`
	AccountIDsToRemove    []string `json:"AccountIdsToRemove" constraint:"len=0..20 pattern=AccountId"`
	SharedDocumentVersion string   `constraint:"len=0..8 pattern=SharedDocumentVersion"`
}

// AddTagsToResourceInput is the request of ssm:AddTagsToResource.
type AddTagsToResourceInput struct {
	ResourceType string `constraint:"required enum=ResourceTypeForTagging"`
	ResourceID   string `json:"ResourceId" constraint:"required"`
	Tags         []Tag  `constraint:"required len=0..1000"`
}

// RemoveTagsFromResourceInput is the request of ssm:RemoveTagsFromResource.
type RemoveTagsFromResourceInput struct {
	ResourceType string   `constraint:"required enum=ResourceTypeForTagging"`
	ResourceID   string   `json:"ResourceId" constraint:"required"`
	TagKeys      []string `constraint:"required pattern=Tag"`
}

// ListTagsForResourceInput is the request of ssm:ListTagsForResource.
type ListTagsForResourceInput struct {
	ResourceType string `constraint:"required enum=ResourceTypeForTagging"`
	ResourceID   string `json:"ResourceId" constraint:"required"`
}

// ListTagsForResourceOutput is the answer of ssm:ListTagsForResource.
type ListTagsForResourceOutput struct {
	TagList []Tag
}
