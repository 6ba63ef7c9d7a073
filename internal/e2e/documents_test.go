package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// sampleDocument is the guide's session document: every input named, and the date as the
// profile of both shells.
const sampleDocument = `{
  "schemaVersion": "1.0",
  "description": "Session document",
  "sessionType": "Standard_Stream",
  "inputs": {
    "s3BucketName": "ssm-session-manager-bucket",
    "s3KeyPrefix": "SessionManager",
    "s3EncryptionEnabled": false,
    "cloudWatchLogGroupName": "LogGroup-SessionManager",
    "cloudWatchEncryptionEnabled": false,
    "cloudWatchStreamingEnabled": false,
    "kmsKeyId": "",
    "runAsEnabled": false,
    "runAsDefaultUser": "",
    "idleSessionTimeout": "",
    "maxSessionDuration": "",
    "shellProfile": {"windows": "date", "linux": "date"}
  }
}`

// described is a document as the CLI shows it.
type described struct {
	Hash, HashType, Name, Owner, Status, DocumentVersion, DocumentType string
	SchemaVersion, LatestVersion, DefaultVersion, DocumentFormat       string
	PlatformTypes                                                      []string
	Tags                                                               []any
}

// TestWalkthroughDocuments is the guide's third story, but for the logs: what sessions do
// is said by documents, which are made, read, changed and deleted with the CLI.
func TestWalkthroughDocuments(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	node := d.env["SEKISHO_NODE_ID"]
	const name = "Guide-Sample"
	arn := d.arnPrefix() + "document/" + name
	content := d.file("doc.json", sampleDocument)
	create := []string{"ssm", "create-document", "--name", name, "--content", content, "--document-type", "Session", "--document-format", "JSON"}

	alice := d.operator(c, "alice")
	allow := func(actions ...string) {
		t.Helper()
		list, err := json.Marshal(actions)
		if err != nil {
			t.Fatal(err)
		}
		d.must(c, "iam", "put-user-policy", "--user-name", "alice", "--policy-name", "Documents", "--policy-document",
			d.file("policy.json", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": `+string(list)+`, "Resource": "*"}}`))
	}
	allow("ssm:StartSession", "ssm:DescribeDocument", "ssm:DescribeSessions")
	alice.refusedBy(c, "An error occurred (AccessDeniedException) when calling the CreateDocument operation: "+
		d.notAllowed("alice", "ssm:CreateDocument", arn), create...)
	alice.refusedBy(c, "(InvalidDocument) when calling the DescribeDocument operation: Document with name "+name+" does not exist.",
		"ssm", "describe-document", "--name", name)
	allow("ssm:*")

	var made struct{ DocumentDescription described }
	alice.mustJSON(c, &made, create...)
	x := made.DocumentDescription
	if x.HashType != "Sha256" || len(x.Hash) != 64 || x.Name != name || x.Owner != d.account() || x.Status != "Creating" ||
		x.DocumentVersion != "1" || x.DocumentType != "Session" || x.SchemaVersion != "1.0" || x.LatestVersion != "1" ||
		x.DefaultVersion != "1" || x.DocumentFormat != "JSON" || len(x.Tags) != 0 ||
		strings.Join(x.PlatformTypes, " ") != "Windows Linux MacOS" {
		t.Errorf("created %+v", x)
	}
	var shown struct{ Document described }
	alice.mustJSON(c, &shown, "ssm", "describe-document", "--name", name)
	if y := shown.Document; y.Status != "Active" || y.Hash != x.Hash || y.DocumentVersion != "1" {
		t.Errorf("described %+v", y)
	}
	alice.refusedBy(c, "(DocumentAlreadyExists) when calling the CreateDocument operation: The specified document already exists.", create...)

	// The profile runs when the session starts, and its output is there.
	open := func(who *deployment, document, expect string) {
		t.Helper()
		args := []string{"ssm", "start-session", "--target", node}
		if document != "" {
			args = append(args, "--document-name", document)
		}
		cmd := exec.Command(c.path, who.awsArgs(args)...)
		cmd.Env = who.environ()
		v := converse(t, cmd)
		id := v.expect(`Starting session with SessionId: (\S+)`)[1]
		v.expect(expect)
		v.expect(`[$#] `)
		if document == "" {
			document = "SSM-SessionManagerRunShell"
		}
		if s := (place{deployment: d}).describe(t, c, "Active", id); s == nil || s["DocumentName"] != document {
			t.Errorf("the session is shown as %v, want document %s", s, document)
		}
		v.typed("exit\n")
		if code := v.ends(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	open(alice, name, `date\r*\n(?s:.*)20\d\d`)

	// Version 2, which becomes the default and then goes.
	second := strings.ReplaceAll(sampleDocument, `"linux": "date"`, `"linux": "echo version''-two"`)
	var updated struct{ DocumentDescription described }
	alice.mustJSON(c, &updated, "ssm", "update-document", "--name", name, "--content", d.file("two.json", second), "--document-version", "$LATEST")
	if u := updated.DocumentDescription; u.DocumentVersion != "2" || u.LatestVersion != "2" || u.DefaultVersion != "1" {
		t.Errorf("updated %+v", u)
	}
	alice.refusedBy(c, "(DuplicateDocumentContent)", "ssm", "update-document", "--name", name, "--content", d.file("again.json", second), "--document-version", "$LATEST")
	alice.must(c, "ssm", "update-document-default-version", "--name", name, "--document-version", "2")
	open(alice, name, `version-two`)
	var got struct{ Content, DocumentFormat string }
	alice.mustJSON(c, &got, "ssm", "get-document", "--name", name, "--document-format", "YAML")
	if got.DocumentFormat != "YAML" || !strings.Contains(got.Content, "schemaVersion: \"1.0\"") {
		t.Errorf("in YAML: %+v", got)
	}
	alice.refusedBy(c, "(InvalidDocumentContent)", "ssm", "create-document", "--name", "Broken", "--document-type", "Session",
		"--content", d.file("broken.json", strings.ReplaceAll(sampleDocument, `"idleSessionTimeout": ""`, `"idleSessionTimeout": "61"`)))
	alice.must(c, "ssm", "delete-document", "--name", name)
	alice.refusedBy(c, "Document with name "+name+" does not exist.", "ssm", "start-session", "--target", node, "--document-name", name)

	// The account's own default is the template of sessions that name none.
	preferences := strings.ReplaceAll(sampleDocument, `"linux": "date"`, `"linux": "echo from''-preferences"`)
	alice.must(c, "ssm", "create-document", "--name", "SSM-SessionManagerRunShell", "--document-type", "Session",
		"--content", d.file("preferences.json", preferences))
	open(alice, "", `from-preferences`)
	alice.must(c, "ssm", "delete-document", "--name", "SSM-SessionManagerRunShell")
	open(alice, "", ``)
}
