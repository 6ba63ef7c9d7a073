package trail

import (
	"slices"
	"strings"
)

// kind is what matters about an operation.
type kind struct {
	readOnly bool // as CloudTrail says it
	issues   bool // gives out credentials or keys, and so is recorded like a change
	data     bool // no management event: not recorded when it succeeds
}

// changes says whether a call's answer waits for its event and is in it.
func (k kind) changes() bool { return !k.readOnly || k.issues }

// readPrefixes begin the names of operations that change nothing.
var readPrefixes = []string{"Get", "List", "Describe", "Lookup", "Simulate", "Search", "Filter", "Test", "Decode", "BatchGet", "Preview", "Verify"}

// exceptions are the operations whose name says something else than what they do.
var exceptions = map[string]kind{
	"ec2messages:GetMessages": {readOnly: true, data: true},
	"logs:PutLogEvents":       {data: true},
	"sekisho:WatchSession":    {readOnly: true, data: true}, // polls; control records the first

	"s3:HeadBucket":              {readOnly: true, data: true},
	"s3:HeadObject":              {readOnly: true, data: true},
	"s3:ListObjects":             {readOnly: true, data: true},
	"s3:PutObject":               {data: true},
	"s3:CreateMultipartUpload":   {data: true},
	"s3:UploadPart":              {data: true},
	"s3:CompleteMultipartUpload": {data: true},
	"s3:AbortMultipartUpload":    {data: true},

	"sts:AssumeRole":                {readOnly: true, issues: true},
	"sts:AssumeRoleWithWebIdentity": {readOnly: true, issues: true},
	"sts:GetSessionToken":           {readOnly: true, issues: true},

	"logs:StartQuery":                         {readOnly: true},
	"logs:StartLiveTail":                      {readOnly: true},
	"kms:Decrypt":                             {readOnly: true},
	"kms:Encrypt":                             {readOnly: true},
	"kms:ReEncrypt":                           {readOnly: true},
	"kms:GenerateDataKey":                     {readOnly: true},
	"kms:GenerateDataKeyWithoutPlaintext":     {readOnly: true},
	"kms:GenerateDataKeyPair":                 {readOnly: true},
	"kms:GenerateMac":                         {readOnly: true},
	"kms:GenerateRandom":                      {readOnly: true},
	"kms:Sign":                                {readOnly: true},
	"kms:Verify":                              {readOnly: true},
	"kms:VerifyMac":                           {readOnly: true},
	"kms:DeriveSharedSecret":                  {readOnly: true},
	"kms:GenerateDataKeyPairWithoutPlaintext": {readOnly: true},
}

// classify says what sort of operation an action is.
func classify(action string) kind {
	if k, ok := exceptions[action]; ok {
		return k
	}
	_, name, _ := strings.Cut(action, ":")
	return kind{readOnly: slices.ContainsFunc(readPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })}
}
