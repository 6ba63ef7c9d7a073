package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"
)

// TestTimeLimits lets sessions reach their limits for real, at the shortest that a
// document can set: one minute. They run side by side.
func TestTimeLimits(t *testing.T) {
	c := clis(t)[0]
	p := place{deployment: deploy(t, 1)}
	p.node = p.env["SEKISHO_NODE_ID"]
	document := func(name, idle, longest string) {
		p.must(c, "ssm", "create-document", "--name", name, "--document-type", "Session", "--content", fmt.Sprintf(
			`{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{"idleSessionTimeout":%q,"maxSessionDuration":%q}}`, idle, longest))
	}
	document("Idle", "1", "")
	document("Overlong", "", "1")
	start := func(t *testing.T, document string) (*conversation, string) {
		cmd := exec.Command(c.path, p.awsArgs([]string{"ssm", "start-session", "--target", p.node, "--document-name", document})...)
		cmd.Env = p.environ()
		v := converse(t, cmd)
		id := v.expect(`Starting session with SessionId: (\S+)`)[1]
		v.expect(`[$#] `)
		return v, id
	}
	ended := func(t *testing.T, v *conversation, id, words string) {
		v.expect(`SessionId: ` + id + ` : ` + regexp.QuoteMeta(words))
		if code := v.ends(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		p := place{deployment: p.deployment.in(t)}
		eventually(t, "the session is in the history", func() bool { return p.describe(t, c, "History", id) != nil })
		if s := p.describe(t, c, "History", id); s["Status"] != "Terminated" || s["Details"] != words {
			t.Errorf("the history shows %v", s)
		}
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	side := func(name string, f func(t *testing.T)) {
		sessions.Go(func() { t.Run(name, f) })
	}
	side("idle", func(t *testing.T) {
		v, id := start(t, "Idle")
		v.expect(`\[This session has had no input or output for 45 seconds\. It ends in 15 seconds\.\]`)
		ended(t, v, id, `Your session timed out due to inactivity.`)
	})
	side("maximum duration of a busy session", func(t *testing.T) {
		v, id := start(t, "Overlong")
		v.typed("while sleep 1; do date +%s; done\n")
		v.expect(`\[This session reaches its maximum duration of 1 minute in 15 seconds and ends then\.\]`)
		ended(t, v, id, `Your session reached its maximum duration.`)
	})
	side("a command that prints keeps its session", func(t *testing.T) {
		began := time.Now()
		v, id := start(t, "Idle")
		v.typed("for i in 1 2 3; do sleep 30; echo ti''ck-$i; done\n")
		for i := range 3 {
			v.expect(fmt.Sprintf(`tick-%d\r*\n`, i+1))
		}
		if long := time.Since(began); long < 90*time.Second {
			t.Errorf("three times 30 seconds took %s", long)
		}
		v.typed("exit\n")
		v.expect(`Exiting session with sessionId: ` + id)
		v.ends()
	})
}
