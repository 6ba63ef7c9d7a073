package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// with starts a session with a document, and its command if there is one, at a terminal.
func (p place) with(t *testing.T, c cli, document string, command ...string) (*conversation, string) {
	t.Helper()
	args := []string{"ssm", "start-session", "--target", p.node, "--document-name", document}
	for _, line := range command {
		args = append(args, "--parameters", "command="+strconv.Quote(line))
	}
	cmd := exec.Command(c.path, p.awsArgs(args)...)
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

// follow shows what a document makes an agent that is root do: its profile is typed into
// the shell, and it runs as whom document or caller's tag say, as ssm-user, or not at all.
func (p place) follow(t *testing.T, c cli) {
	who := func(t *testing.T, v *conversation, want string) {
		v.typed("echo I-am-$(id -un):$(id -u)\n")
		if got := v.expect(`\nI-am-(\S+):(\d+)\r*\n`); got[1] != want || got[2] == "0" {
			t.Errorf("the session runs as %s, want %s", got[0], want)
		}
		v.typed("exit\n")
		v.ends()
	}
	refused := func(t *testing.T, document, words string) {
		if shown := p.fails(t, c, document); !strings.Contains(shown, words) {
			t.Errorf("the user reads %q, want %q in it", shown, words)
		}
	}
	run := func(name string, f func(t *testing.T, p place)) {
		t.Run(name, func(t *testing.T) {
			q := p
			q.deployment = p.deployment.in(t)
			f(t, q)
		})
	}
	run("profile, as ssm-user", func(t *testing.T, p place) {
		p.document(c, "Profile", map[string]any{"shellProfile": map[string]string{"linux": "KEPT=still; echo pro''file-ran"}})
		v, _ := p.with(t, c, "Profile")
		v.expect(`profile-ran\r*\n(?s:.*)[$#] `)
		v.typed("echo $KEPT-there\n")
		v.expect(`\nstill-there\r*\n.*[$#] `)
		who(t, v, "ssm-user")
	})
	run("user of the document", func(t *testing.T, p place) {
		p.document(c, "Daemon", map[string]any{"runAsEnabled": true, "runAsDefaultUser": "daemon"})
		v, _ := p.with(t, c, "Daemon")
		v.expect(`[$#] `)
		who(t, v, "daemon")
	})
	run("nobody named", func(t *testing.T, p place) {
		p.document(c, "Unnamed", map[string]any{"runAsEnabled": true})
		refused(t, "Unnamed", "please set the RunAs default user")
	})
	run("user that is not there", func(t *testing.T, p place) {
		p.document(c, "Missing", map[string]any{"runAsEnabled": true, "runAsDefaultUser": "nobody-of-that-name"})
		refused(t, "Missing", "RunAs user nobody-of-that-name does not exist")
	})
	run("root", func(t *testing.T, p place) {
		p.document(c, "Root", map[string]any{"runAsEnabled": true, "runAsDefaultUser": "root"})
		refused(t, "Root", "invalid uid and gid")
	})
	run("user of the caller's tag", func(t *testing.T, p place) {
		p.must(c, "iam", "tag-user", "--user-name", "admin", "--tags", "Key=SSMSessionRunAs,Value=bin")
		v, _ := p.with(t, c, "Daemon")
		v.expect(`[$#] `)
		who(t, v, "bin")
		p.must(c, "iam", "tag-user", "--user-name", "admin", "--tags", "Key=SSMSessionRunAs,Value=root")
		refused(t, "Daemon", "invalid uid and gid")
	})
}

// ownMachine makes a mount namespace in which an agent can make users that the real
// machine never sees. $1 is a folder for that; then comes what to run.
const ownMachine = `
set -e
mount --make-rprivate /
mkdir -p "$1/etc" "$1/home"
cp -a /etc/. "$1/etc/"
mkdir -p "$1/etc/sudoers.d"
mount --bind "$1/etc" /etc
mount --bind "$1/home" /home
shift
exec "$@"
`

// TestRunAs holds sessions on a node whose agent is root, each as the account that it
// should have.
func TestRunAs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make accounts and become them")
	}
	c := clis(t)[0]
	d := deploy(t, 0)
	machine := t.TempDir()
	for p := machine; p != "/" && p != os.TempDir(); p = filepath.Dir(p) { // ssm-user must reach its home
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := joinAs(t, d, c, func(dir string) *exec.Cmd {
		return exec.Command("unshare", "--mount", "sh", "-c", ownMachine, "sh", machine, bin(t, "sekisho-agent"), "run", "--dir", dir, "--end-sessions-on-stop")
	})
	place{deployment: d, node: r.node}.follow(t, c)

	rules, err := os.ReadFile(filepath.Join(machine, "etc/sudoers.d/ssm-agent-users"))
	if err != nil || string(rules) != "# User rules for ssm-user\nssm-user ALL=(ALL) NOPASSWD:ALL\n" {
		t.Errorf("sudoers %q (%v)", rules, err)
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil || bytes.Contains(users, []byte("\nssm-user:")) {
		t.Errorf("the test made a user on the real machine (%v)", err)
	}
}

// TestStockAgentFollowsDocuments holds the same with a stock agent.
func TestStockAgentFollowsDocuments(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	place{deployment: d, node: stockAgent(t, d, c)}.follow(t, c)
}
