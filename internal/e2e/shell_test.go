package e2e

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// place is where the official conversations are held: a node, and the plugin that the aws
// CLI finds first.
type place struct {
	*deployment
	node   string
	plugin string // folder with session-manager-plugin; empty means ours
}

// environ puts the plugin first on the PATH.
func (p place) environ() []string {
	if p.plugin == "" {
		return p.deployment.environ()
	}
	return p.deployment.environ("PATH=" + p.plugin + ":" + p.env["PATH"])
}

// session opens a session at a terminal and waits for the shell to answer.
func (p place) session(t *testing.T, c cli) (*conversation, string) {
	t.Helper()
	cmd := exec.Command(c.path, p.awsArgs([]string{"ssm", "start-session", "--target", p.node, "--reason", t.Name()})...)
	cmd.Env = p.environ()
	v := converse(t, cmd)
	id := v.expect(`Starting session with SessionId: (\S+)`)[1]
	v.expect(`[$#] `)
	// A plain shell with a prompt of our own makes the rest independent of the machine's
	// login shell. The quotes keep what is typed, and echoed, apart from what is printed.
	v.typed("PS1='re''ady> ' exec sh\n")
	v.expect(`ready> `)
	return v, id
}

// describe returns the session as DescribeSessions shows it.
func (p place) describe(t *testing.T, c cli, state, id string) map[string]any {
	t.Helper()
	var out struct{ Sessions []map[string]any }
	p.mustJSON(c, &out, "ssm", "describe-sessions", "--state", state, "--filters", "key=SessionId,value="+id)
	if len(out.Sessions) == 0 {
		return nil
	}
	return out.Sessions[0]
}

// hold holds the official conversations. A stock plugin leaves the local terminal's output
// processing on, so its lines end in \r\r\n there.
func (p place) hold(t *testing.T, c cli) {
	t.Run("prompt, echo, resize, interrupt, exit", func(t *testing.T) {
		v, id := p.session(t, c)
		v.typed("echo $((6*7))\n")
		v.expect(`\n42\r*\n`)
		v.expect(`ready> `)

		if s := p.describe(t, c, "Active", id); s == nil || s["Status"] != "Connected" || s["Target"] != p.node || s["Reason"] != t.Name() || s["DocumentName"] != "SSM-SessionManagerRunShell" {
			t.Errorf("DescribeSessions shows %v", s)
		}
		v.resize(101, 37)
		// A stock plugin looks at the size twice a second: ask until it is there.
		eventually(t, "the new size is there", func() bool {
			v.typed("stty size\n")
			return v.expect(`\n(\d+ \d+)\r*\nready> `)[1] == "37 101"
		})
		// A fraction of our own tells this sleep from others on the machine.
		sleep := fmt.Sprintf("sleep 1000.%d", rand.Uint32())
		sleeps := func() bool { return exec.Command("pgrep", "-fx", sleep).Run() == nil }
		v.typed(sleep + "\n")
		eventually(t, "sleep runs", sleeps)
		v.typed("\x03")
		v.expect(`\n.*ready> `)
		if sleeps() {
			t.Error("sleep survived Ctrl-C")
		}
		v.typed("echo al''ive\n")
		v.expect(`\nalive\r*\n`)
		v.typed("exit\n")
		v.expect(`Exiting session with sessionId: ` + regexp.QuoteMeta(id))
		if code := v.ends(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		eventually(t, "the session is in the history", func() bool {
			s := p.describe(t, c, "History", id)
			return s != nil && s["Status"] == "Terminated"
		})
	})
	t.Run("100,000 lines", func(t *testing.T) {
		v, _ := p.session(t, c)
		v.typed("seq 100000; echo do''ne\n")
		v.expect(`seq 100000.*?\n`)
		from := v.from
		v.expect(`done\r*\n`)
		v.mu.Lock()
		got := strings.Fields(string(v.shown[from:v.from]))
		v.mu.Unlock()
		for i := range 100000 {
			if i >= len(got) || got[i] != fmt.Sprint(i+1) {
				t.Fatalf("line %d of %d is not there", i+1, len(got))
			}
		}
		if len(got) != 100001 { // and "done"
			t.Fatalf("%d lines", len(got)-1)
		}
		v.typed("exit\n")
		v.ends()
	})
	t.Run("TerminateSession", func(t *testing.T) {
		v, id := p.session(t, c)
		var out struct{ SessionId string }
		p.mustJSON(c, &out, "ssm", "terminate-session", "--session-id", id)
		if out.SessionId != id {
			t.Errorf("TerminateSession answers %+v", out)
		}
		v.expect(`Exiting session with sessionId: ` + regexp.QuoteMeta(id))
		if code := v.ends(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		eventually(t, "the session is in the history", func() bool {
			s := p.describe(t, c, "History", id)
			return s != nil && s["Status"] == "Terminated"
		})
	})
}

func TestShell(t *testing.T) {
	found := clis(t)
	d := deploy(t, 1)
	for _, c := range found {
		t.Run(c.name, func(t *testing.T) {
			d := d.in(t)
			place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}.hold(t, c)
		})
	}
}
