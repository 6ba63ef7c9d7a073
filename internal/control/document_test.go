package control

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"sekisho/internal/document"
)

// sessionText is the text of a session document that differs by n.
func sessionText(n int) string {
	return fmt.Sprintf(`{"schemaVersion":"1.0","description":"number %d","sessionType":"Standard_Stream","inputs":{"idleSessionTimeout":"%d"}}`, n, n%60+1)
}

// createDocument makes a session document as alice.
func (w *world) createDocument(name, text string) *types.DocumentDescription {
	w.t.Helper()
	out, err := w.client("alice").CreateDocument(w.t.Context(), &awsssm.CreateDocumentInput{Name: &name, Content: &text, DocumentType: types.DocumentTypeSession})
	must(w.t, err)
	return out.DocumentDescription
}

func (w *world) updateDocument(name, text string) string {
	w.t.Helper()
	out, err := w.client("alice").UpdateDocument(w.t.Context(), &awsssm.UpdateDocumentInput{Name: &name, Content: &text, DocumentVersion: aws.String("$LATEST")})
	must(w.t, err)
	return aws.ToString(out.DocumentDescription.DocumentVersion)
}

// Each way in which the document service refuses, with its code and text (api.md §9.1).
func TestDocumentRefusals(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxDocuments = 4 })
	c := w.client("alice")
	w.createDocument("First", sessionText(1))
	w.updateDocument("First", sessionText(2))
	_, err := c.UpdateDocument(t.Context(), &awsssm.UpdateDocumentInput{Name: aws.String("First"), Content: aws.String(sessionText(3)), VersionName: aws.String("named")})
	must(t, err)
	w.createDocument("Shared", sessionText(1))
	_, err = c.ModifyDocumentPermission(t.Context(), &awsssm.ModifyDocumentPermissionInput{
		Name: aws.String("Shared"), PermissionType: types.DocumentPermissionTypeShare, AccountIdsToAdd: []string{"111122223333"},
	})
	must(t, err)
	create := func(in awsssm.CreateDocumentInput) func() error {
		if in.Content == nil {
			in.Content = aws.String(sessionText(9))
		}
		if in.DocumentType == "" {
			in.DocumentType = types.DocumentTypeSession
		}
		return func() error { _, err := c.CreateDocument(t.Context(), &in); return err }
	}
	update := func(in awsssm.UpdateDocumentInput) func() error {
		return func() error { _, err := c.UpdateDocument(t.Context(), &in); return err }
	}
	remove := func(in awsssm.DeleteDocumentInput) func() error {
		return func() error { _, err := c.DeleteDocument(t.Context(), &in); return err }
	}
	get := func(in awsssm.GetDocumentInput) func() error {
		return func() error { _, err := c.GetDocument(t.Context(), &in); return err }
	}
	share := func(in awsssm.ModifyDocumentPermissionInput) func() error {
		if in.PermissionType == "" {
			in.PermissionType = types.DocumentPermissionTypeShare
		}
		return func() error { _, err := c.ModifyDocumentPermission(t.Context(), &in); return err }
	}
	const noVersion = "The document version is not valid or does not exist."
	missing := func(name string) string { return "Document with name " + name + " does not exist." }
	first := aws.String("First")
	for _, x := range []struct {
		what, code, message string
		do                  func() error
	}{
		{"taken name", "DocumentAlreadyExists", "The specified document already exists.", create(awsssm.CreateDocumentInput{Name: first})},
		{"reserved name", "ValidationException", "Document name cannot start with the reserved prefix 'aws'.", create(awsssm.CreateDocumentInput{Name: aws.String("AWS-Mine")})},
		{"too large", "MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.",
			create(awsssm.CreateDocumentInput{Name: aws.String("Large"), Content: aws.String(sessionText(1) + strings.Repeat(" ", 65536))})},
		{"a text of session type", "ValidationException", "A document of type Session cannot have the format TEXT.",
			create(awsssm.CreateDocumentInput{Name: aws.String("Text"), DocumentFormat: types.DocumentFormatText})},
		{"too large before taken", "MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.",
			create(awsssm.CreateDocumentInput{Name: first, Content: aws.String(strings.Repeat(" ", 65537))})},
		{"same content as the latest", "DuplicateDocumentContent",
			"The content of the association document matches another document. Change the content of the document and try again.",
			update(awsssm.UpdateDocumentInput{Name: first, Content: aws.String(sessionText(3))})},
		{"taken version name", "DuplicateDocumentVersionName",
			"The version name has already been used in this document. Specify a different version name, and then try again.",
			update(awsssm.UpdateDocumentInput{Name: first, Content: aws.String(sessionText(4)), VersionName: aws.String("named")})},
		{"update of nothing", "InvalidDocument", missing("Nothing"), update(awsssm.UpdateDocumentInput{Name: aws.String("Nothing"), Content: aws.String(sessionText(4))})},
		{"update from a version that is not there", "InvalidDocumentVersion", noVersion,
			update(awsssm.UpdateDocumentInput{Name: first, Content: aws.String(sessionText(4)), DocumentVersion: aws.String("9")})},
		{"update of AWS's", "InvalidDocument", missing("AWS-StartSSHSession"),
			update(awsssm.UpdateDocumentInput{Name: aws.String("AWS-StartSSHSession"), Content: aws.String(sessionText(4))})},
		{"deletion of AWS's", "InvalidDocument", missing("AWS-StartSSHSession"), remove(awsssm.DeleteDocumentInput{Name: aws.String("AWS-StartSSHSession")})},
		{"deletion of nothing", "InvalidDocument", missing("Nothing"), remove(awsssm.DeleteDocumentInput{Name: aws.String("Nothing")})},
		{"deletion of the default version", "InvalidDocumentOperation", "Default version of the document can't be deleted.",
			remove(awsssm.DeleteDocumentInput{Name: first, DocumentVersion: aws.String("1")})},
		{"deletion of what is shared", "InvalidDocumentOperation",
			"You attempted to delete a document while it is still shared. You must stop sharing the document before you can delete it.",
			remove(awsssm.DeleteDocumentInput{Name: aws.String("Shared")})},
		{"read of nothing", "InvalidDocument", missing("Nothing"), get(awsssm.GetDocumentInput{Name: aws.String("Nothing")})},
		{"read of a version that is not there", "InvalidDocumentVersion", noVersion, get(awsssm.GetDocumentInput{Name: first, DocumentVersion: aws.String("7")})},
		{"read of a huge version", "InvalidDocumentVersion", noVersion, get(awsssm.GetDocumentInput{Name: first, DocumentVersion: aws.String("99999999999999999999")})},
		{"number and name of two versions", "InvalidDocumentVersion", noVersion,
			get(awsssm.GetDocumentInput{Name: first, DocumentVersion: aws.String("1"), VersionName: aws.String("named")})},
		{"default that is not there", "InvalidDocumentVersion", noVersion, func() error {
			_, err := c.UpdateDocumentDefaultVersion(t.Context(), &awsssm.UpdateDocumentDefaultVersionInput{Name: first, DocumentVersion: aws.String("9")})
			return err
		}},
		{"shared with all and one", "DocumentPermissionLimit", "Accounts can either be all or a group of AWS accounts",
			share(awsssm.ModifyDocumentPermissionInput{Name: aws.String("Shared"), AccountIdsToAdd: []string{"All"}})},
		{"another permission", "InvalidPermissionType", "1 validation error detected: Value 'Own' at 'permissionType' failed to satisfy constraint: Member must satisfy enum value set: [Share]",
			share(awsssm.ModifyDocumentPermissionInput{Name: first, PermissionType: "Own"})},
		{"filter that is none", "InvalidFilterKey", "" /* the model has no text for it */, func() error {
			_, err := c.ListDocuments(t.Context(), &awsssm.ListDocumentsInput{Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("Colour"), Values: []string{"red"}}}})
			return err
		}},
	} {
		t.Run(x.what, func(t *testing.T) { wantAPIError(t, x.do(), x.code, x.message) })
	}
	w.createDocument("Third", sessionText(1))
	w.createDocument("Fourth", sessionText(1))
	wantAPIError(t, create(awsssm.CreateDocumentInput{Name: aws.String("Fifth")})(), "DocumentLimitExceeded", "You can have at most 4 active SSM documents.")
}

// Versions are numbered once and for ever, and named, latest and default ones are found.
func TestDocumentVersions(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	made := w.createDocument("Doc", sessionText(1))
	sum := sha256.Sum256([]byte(sessionText(1)))
	if aws.ToString(made.Hash) != hex.EncodeToString(sum[:]) || made.Status != types.DocumentStatusCreating || made.StatusInformation != nil {
		t.Errorf("made %+v", made)
	}
	for i, want := range []string{"2", "3"} {
		if got := w.updateDocument("Doc", sessionText(i+2)); got != want {
			t.Errorf("version %s, want %s", got, want)
		}
	}
	content := func(version string) string {
		t.Helper()
		in := &awsssm.GetDocumentInput{Name: aws.String("Doc")}
		if version != "" {
			in.DocumentVersion = &version
		}
		out, err := c.GetDocument(t.Context(), in)
		must(t, err)
		return aws.ToString(out.Content)
	}
	for version, n := range map[string]int{"": 1, "$DEFAULT": 1, "$LATEST": 3, "2": 2} {
		if got := content(version); got != sessionText(n) {
			t.Errorf("version %q is %s", version, got)
		}
	}
	_, err := c.UpdateDocumentDefaultVersion(t.Context(), &awsssm.UpdateDocumentDefaultVersionInput{Name: aws.String("Doc"), DocumentVersion: aws.String("2")})
	must(t, err)
	if got := content(""); got != sessionText(2) {
		t.Errorf("the default is %s", got)
	}
	_, err = c.DeleteDocument(t.Context(), &awsssm.DeleteDocumentInput{Name: aws.String("Doc"), DocumentVersion: aws.String("3")})
	must(t, err)
	if got := w.updateDocument("Doc", sessionText(4)); got != "4" {
		t.Errorf("a number is given twice: %s", got)
	}
	list, err := c.ListDocumentVersions(t.Context(), &awsssm.ListDocumentVersionsInput{Name: aws.String("Doc")})
	must(t, err)
	var got []string
	for _, v := range list.DocumentVersions {
		got = append(got, fmt.Sprint(aws.ToString(v.DocumentVersion), " ", v.IsDefaultVersion))
	}
	if diff := cmp.Diff([]string{"4 false", "2 true", "1 false"}, got); diff != "" {
		t.Error(diff)
	}
	// Updates at once get a number each.
	var updates sync.WaitGroup
	numbers := make(chan string, 8)
	for i := range cap(numbers) {
		updates.Go(func() {
			out, err := c.UpdateDocument(t.Context(), &awsssm.UpdateDocumentInput{Name: aws.String("Doc"), Content: aws.String(sessionText(100 + i))})
			if err != nil {
				t.Error(err)
				return
			}
			numbers <- aws.ToString(out.DocumentDescription.DocumentVersion)
		})
	}
	updates.Wait()
	close(numbers)
	seen := map[string]bool{}
	for n := range numbers {
		if seen[n] {
			t.Errorf("version %s was made twice", n)
		}
		seen[n] = true
	}
}

// JSON and YAML go into each other; what is asked for as it was submitted is given so,
// byte for byte.
func TestDocumentFormats(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	const yaml = "# ours\nschemaVersion: '1.0'\nsessionType: Standard_Stream\ninputs:\n  shellProfile:\n    linux: |\n      date\n      uptime\n"
	_, err := c.CreateDocument(t.Context(), &awsssm.CreateDocumentInput{
		Name: aws.String("Yaml"), Content: aws.String(yaml), DocumentType: types.DocumentTypeSession, DocumentFormat: types.DocumentFormatYaml,
	})
	must(t, err)
	get := func(format types.DocumentFormat) *awsssm.GetDocumentOutput {
		out, err := c.GetDocument(t.Context(), &awsssm.GetDocumentInput{Name: aws.String("Yaml"), DocumentFormat: format})
		must(t, err)
		return out
	}
	if got := get(types.DocumentFormatYaml); aws.ToString(got.Content) != yaml || got.DocumentFormat != types.DocumentFormatYaml {
		t.Errorf("as YAML: %s %q", got.DocumentFormat, aws.ToString(got.Content))
	}
	asJSON := get("")
	if asJSON.DocumentFormat != types.DocumentFormatJson || !strings.Contains(aws.ToString(asJSON.Content), `"date\nuptime\n"`) {
		t.Errorf("as JSON: %s %q", asJSON.DocumentFormat, aws.ToString(asJSON.Content))
	}
	if _, err := document.Parse([]byte(aws.ToString(asJSON.Content))); err != nil {
		t.Errorf("the JSON is no document: %v", err)
	}
	described, err := c.DescribeDocument(t.Context(), &awsssm.DescribeDocumentInput{Name: aws.String("Yaml")})
	must(t, err)
	if described.Document.DocumentFormat != types.DocumentFormatYaml || described.Document.Status != types.DocumentStatusActive {
		t.Errorf("described %+v", described.Document)
	}
}

// What an author should know stands where they look: a parameter that goes into a
// command with nothing to hold its values.
func TestDocumentWarning(t *testing.T) {
	w := newWorld(t)
	text := func(pattern string) string {
		return `{"schemaVersion": "1.0", "sessionType": "InteractiveCommands",
			"parameters": {"path": {"type": "String"` + pattern + `}},
			"properties": {"linux": {"commands": "tail -f {{ path }}", "runAsElevated": false}}}`
	}
	if got := aws.ToString(w.createDocument("Open", text("")).StatusInformation); !strings.Contains(got, "path") || !strings.Contains(got, "allowedPattern") {
		t.Errorf("the author reads %q", got)
	}
	if got := w.createDocument("Held", text(`, "allowedPattern": "^[a-z/]{1,40}$"`)).StatusInformation; got != nil {
		t.Errorf("the author reads %q", *got)
	}
}

// The template of sessions is used before it exists, can be made, changed and deleted.
func TestDefaultSessionDocument(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	name := aws.String("SSM-SessionManagerRunShell")
	_, err := c.GetDocument(t.Context(), &awsssm.GetDocumentInput{Name: name})
	wantAPIError(t, err, "InvalidDocument", "Document with name SSM-SessionManagerRunShell does not exist.")
	node := w.node()
	w.connect(node)
	idle := func(want int) {
		t.Helper()
		out, err := c.StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node})
		must(t, err)
		if got := w.stored(aws.ToString(out.SessionId)).IdleTimeout; int(got.Minutes()) != want {
			t.Errorf("idle time-out %v, want %d minutes", got, want)
		}
	}
	idle(20)
	w.createDocument(*name, sessionText(4))
	idle(5)
	w.updateDocument(*name, sessionText(6))
	idle(5) // the default is still the first
	_, err = c.UpdateDocumentDefaultVersion(t.Context(), &awsssm.UpdateDocumentDefaultVersionInput{Name: name, DocumentVersion: aws.String("2")})
	must(t, err)
	idle(7)
	_, err = c.DeleteDocument(t.Context(), &awsssm.DeleteDocumentInput{Name: name})
	must(t, err)
	idle(20)
}

// Shares are stored and shown.
func TestDocumentShares(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	w.createDocument("Doc", sessionText(1))
	modify := func(add, remove []string, version string) {
		t.Helper()
		in := &awsssm.ModifyDocumentPermissionInput{Name: aws.String("Doc"), PermissionType: types.DocumentPermissionTypeShare, AccountIdsToAdd: add, AccountIdsToRemove: remove}
		if version != "" {
			in.SharedDocumentVersion = &version
		}
		_, err := c.ModifyDocumentPermission(t.Context(), in)
		must(t, err)
	}
	check := func(want ...string) {
		t.Helper()
		out, err := c.DescribeDocumentPermission(t.Context(), &awsssm.DescribeDocumentPermissionInput{Name: aws.String("Doc"), PermissionType: types.DocumentPermissionTypeShare})
		must(t, err)
		var got []string
		for _, s := range out.AccountSharingInfoList {
			got = append(got, aws.ToString(s.AccountId)+" "+aws.ToString(s.SharedDocumentVersion))
		}
		if diff := cmp.Diff(want, got); diff != "" || len(out.AccountIds) != len(want) {
			t.Errorf("shared with %v: %s", out.AccountIds, diff)
		}
	}
	check()
	modify([]string{"111122223333", arns.Account}, nil, "")
	check("111122223333 $DEFAULT")
	modify([]string{"444455556666"}, []string{"111122223333"}, "1")
	check("444455556666 1")
	modify([]string{"all"}, []string{"444455556666"}, "")
	check("all $DEFAULT")
	out, err := c.ListDocuments(t.Context(), &awsssm.ListDocumentsInput{Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("Owner"), Values: []string{"Public"}}, {Key: aws.String("Name"), Values: []string{"Doc"}}}})
	must(t, err)
	if len(out.DocumentIdentifiers) != 1 {
		t.Errorf("public documents: %v", out.DocumentIdentifiers)
	}
}

// The documents of AWS are there, described, and listed once beside the account's own.
func TestDocumentsOfAWS(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	w.createDocument("Mine", sessionText(1))
	var names []string
	pages := awsssm.NewListDocumentsPaginator(c, &awsssm.ListDocumentsInput{MaxResults: aws.Int32(3)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, d := range page.DocumentIdentifiers {
			names = append(names, aws.ToString(d.Owner)+" "+aws.ToString(d.Name))
		}
	}
	want := []string{}
	for _, b := range document.Builtins() {
		want = append(want, "Amazon "+b.Name)
		out, err := c.DescribeDocument(t.Context(), &awsssm.DescribeDocumentInput{Name: aws.String(b.Name)})
		must(t, err)
		if d := out.Document; d.Status != types.DocumentStatusActive || d.DocumentType != types.DocumentTypeSession || aws.ToString(d.Owner) != "Amazon" || d.Description == nil {
			t.Errorf("%s is described as %+v", b.Name, d)
		}
	}
	if diff := cmp.Diff(append(want, arns.Account+" Mine"), names); diff != "" {
		t.Error(diff)
	}
}
