package e2e

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// with starts a session with a document at a terminal.
func (p place) with(t *testing.T, c cli, document string) (*conversation, string) {
	t.Helper()
	cmd := exec.Command(c.path, p.awsArgs([]string{"ssm", "start-session", "--target", p.node, "--document-name", document})...)
	cmd.Env = p.environ()
	v := converse(t, cmd)
	return v, v.expect(`Starting session with SessionId: (\S+)`)[1]
}

// document makes a session document of these inputs.
func (p place) document(c cli, name string, inputs map[string]any) {
	p.t.Helper()
	content, err := json.Marshal(map[string]any{"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs})
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(c, "ssm", "create-document", "--name", name, "--document-type", "Session", "--content", string(content))
}

// fails starts a session with a document that the node cannot follow, and gives what the
// user reads.
func (p place) fails(t *testing.T, c cli, document string) string {
	t.Helper()
	v, id := p.with(t, c, document)
	v.ends()
	v.mu.Lock()
	shown := strings.Join(strings.Fields(string(v.shown)), " ")
	v.mu.Unlock()
	if regexp.MustCompile(`[$#] $`).MatchString(shown) {
		t.Errorf("a shell opened: %q", shown)
	}
	eventually(t, "the session has ended", func() bool { return p.describe(t, c, "History", id) != nil })
	if s := p.describe(t, c, "History", id); s["Status"] != "Failed" {
		t.Errorf("the session is shown as %v, want Failed", s)
	}
	return shown
}

// TestStockAgentFollowsDocuments shows what a document makes a stock agent do: its profile
// is typed into the shell, and it runs as whom the document says, or not at all.
func TestStockAgentFollowsDocuments(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	p := place{deployment: d, node: stockAgent(t, d, c)}
	t.Run("profile", func(t *testing.T) {
		p := place{deployment: d.in(t), node: p.node}
		p.document(c, "Profile", map[string]any{"shellProfile": map[string]string{"linux": "KEPT=still; echo pro''file-ran"}})
		v, _ := p.with(t, c, "Profile")
		v.expect(`profile-ran\r*\n(?s:.*)[$#] `)
		v.typed("echo $KEPT-there; id -un\n")
		v.expect(`still-there\r*\nssm-user\r*\n`)
		v.typed("exit\n")
		v.ends()
	})
	t.Run("user of the document", func(t *testing.T) {
		p := place{deployment: d.in(t), node: p.node}
		p.document(c, "Daemon", map[string]any{"runAsEnabled": true, "runAsDefaultUser": "daemon"})
		v, _ := p.with(t, c, "Daemon")
		v.expect(`[$#] `)
		v.typed("id -un\n")
		v.expect(`\ndaemon\r*\n`)
		v.typed("exit\n")
		v.ends()
	})
	t.Run("user that is not there", func(t *testing.T) {
		p := place{deployment: d.in(t), node: p.node}
		p.document(c, "Missing", map[string]any{"runAsEnabled": true, "runAsDefaultUser": "nobody-of-that-name"})
		if shown := p.fails(t, c, "Missing"); !strings.Contains(shown, "RunAs user nobody-of-that-name does not exist") {
			t.Errorf("the user reads %q", shown)
		}
	})
	t.Run("root", func(t *testing.T) {
		p := place{deployment: d.in(t), node: p.node}
		p.document(c, "Root", map[string]any{"runAsEnabled": true, "runAsDefaultUser": "root"})
		if shown := p.fails(t, c, "Root"); !strings.Contains(shown, "invalid uid and gid") {
			t.Errorf("the user reads %q", shown)
		}
	})
}
