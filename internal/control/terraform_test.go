package control

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// TestTerraformDocument makes the calls of the resource aws_ssm_document in its order
// (api.md §23): made, read without a difference, changed, read again, deleted.
func TestTerraformDocument(t *testing.T) {
	w := newWorld(t)
	c := w.client("alice")
	name := aws.String("terraformed")
	const yaml = "schemaVersion: \"1.0\"\ndescription: made by a tool\nsessionType: Standard_Stream\n"
	for _, x := range []struct {
		format  types.DocumentFormat
		content [2]string
	}{
		{types.DocumentFormatJson, [2]string{"{\n  \"schemaVersion\": \"1.0\",\n  \"sessionType\": \"Standard_Stream\",\n  \"inputs\": {}\n}\n", sessionText(2)}},
		{types.DocumentFormatYaml, [2]string{yaml + "inputs: {}\n", yaml + "inputs: {idleSessionTimeout: \"7\"}\n"}},
	} {
		// read is what decides whether there is a difference to what is written down.
		read := func(content, version, team string) {
			t.Helper()
			described, err := c.DescribeDocument(t.Context(), &awsssm.DescribeDocumentInput{Name: name})
			must(t, err)
			d := described.Document
			got, err := c.GetDocument(t.Context(), &awsssm.GetDocumentInput{Name: name, DocumentVersion: aws.String("$LATEST"), DocumentFormat: d.DocumentFormat})
			must(t, err)
			if d.Status != types.DocumentStatusActive || d.DocumentFormat != x.format || d.DocumentType != types.DocumentTypeSession ||
				aws.ToString(d.DefaultVersion) != version || aws.ToString(d.LatestVersion) != version || aws.ToString(got.Content) != content {
				t.Errorf("read %+v, %q", d, aws.ToString(got.Content))
			}
			shares, err := c.DescribeDocumentPermission(t.Context(), &awsssm.DescribeDocumentPermissionInput{Name: name, PermissionType: types.DocumentPermissionTypeShare})
			must(t, err)
			if shares.AccountIds == nil || len(shares.AccountIds) != 0 {
				t.Errorf("shared with %#v", shares.AccountIds)
			}
			tags, err := c.ListTagsForResource(t.Context(), &awsssm.ListTagsForResourceInput{ResourceId: name, ResourceType: types.ResourceTypeForTaggingDocument})
			must(t, err)
			if len(tags.TagList) != 1 || aws.ToString(tags.TagList[0].Value) != team {
				t.Errorf("tags %v", tags.TagList)
			}
		}
		_, err := c.CreateDocument(t.Context(), &awsssm.CreateDocumentInput{
			Name: name, Content: &x.content[0], DocumentType: types.DocumentTypeSession, DocumentFormat: x.format,
			Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}},
		})
		must(t, err)
		read(x.content[0], "1", "red")

		_, err = c.AddTagsToResource(t.Context(), &awsssm.AddTagsToResourceInput{
			ResourceId: name, ResourceType: types.ResourceTypeForTaggingDocument, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
		})
		must(t, err)
		updated, err := c.UpdateDocument(t.Context(), &awsssm.UpdateDocumentInput{
			Name: name, Content: &x.content[1], DocumentFormat: x.format, DocumentVersion: aws.String("1"),
		})
		must(t, err)
		_, err = c.UpdateDocumentDefaultVersion(t.Context(), &awsssm.UpdateDocumentDefaultVersionInput{
			Name: name, DocumentVersion: updated.DocumentDescription.DocumentVersion,
		})
		must(t, err)
		read(x.content[1], "2", "blue")

		_, err = c.DeleteDocument(t.Context(), &awsssm.DeleteDocumentInput{Name: name})
		must(t, err)
		_, err = c.DescribeDocument(t.Context(), &awsssm.DescribeDocumentInput{Name: name})
		wantAPIError(t, err, "InvalidDocument", "Document with name terraformed does not exist.")
	}
}
