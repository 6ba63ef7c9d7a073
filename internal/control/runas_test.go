package control

import (
	"encoding/json"
	"strings"
	"testing"

	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// The caller's tag says as whom a session runs, where the document lets somebody say so,
// and nothing takes the place of one that names nobody.
func TestRunAsTag(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	gateway := w.connect(node)
	for name, inputs := range map[string]string{
		"Asks":    `"runAsEnabled": true, "runAsDefaultUser": "ops"`,
		"Forbids": `"runAsEnabled": false, "runAsDefaultUser": "ops"`,
	} {
		_, err := w.server.CreateDocument(w.as("alice"), &ssm.CreateDocumentInput{
			Name: name, DocumentType: "Session",
			Content: `{"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {` + inputs + `}}`,
		})
		must(t, err)
	}
	start := func(document string) (message.SessionTask, error) {
		t.Helper()
		var task message.SessionTask
		_, err := w.client("alice").StartSession(t.Context(), &awsssm.StartSessionInput{Target: &node, DocumentName: &document})
		if err == nil {
			must(t, json.Unmarshal(next(t, gateway.asked).Task, &task))
		}
		return task, err
	}
	tag := func(key, value string) {
		t.Helper()
		must(t, w.store.TagIdentity(t.Context(), "user", w.alicePrincipal().UserID, []ssm.Tag{{Key: key, Value: value}}, 50))
	}
	check := func(document, want string) {
		t.Helper()
		task, err := start(document)
		if err != nil || task.RunAsUser != want || task.DocumentContent.Inputs.RunAsDefaultUser != "ops" {
			t.Errorf("%s: as %q, default %q (%v), want %q", document, task.RunAsUser, task.DocumentContent.Inputs.RunAsDefaultUser, err, want)
		}
	}
	check("Asks", "")
	tag("team", "red")
	check("Asks", "")
	tag("SSMSessionRunAs", "deploy")
	check("Asks", "deploy")
	check("Forbids", "")
	tag("ssmsessionrunas", `DOMAIN\deploy`)
	check("Asks", `DOMAIN\deploy`)
	for _, nobody := range []string{"", "-u", "a b", "$(id)", "a;b"} {
		tag("SSMSessionRunAs", nobody)
		if task, err := start("Asks"); err == nil || !strings.Contains(err.Error(), "InvalidParameters") {
			t.Errorf("tag %q: as %q, error %v", nobody, task.RunAsUser, err)
		}
		check("Forbids", "")
	}
}
