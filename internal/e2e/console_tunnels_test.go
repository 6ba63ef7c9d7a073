package e2e

import "testing"

// TestConsoleTunnels runs what the console says to paste for a tunnel, shares documents, and
// follows the links to the logs of a session (web/test/tunnels.mjs).
func TestConsoleTunnels(t *testing.T) {
	browserPrograms(t)
	c := clis(t)[0]
	d := deploy(t, 1)
	d.said(t, "connect", "--command", "true", d.env["SEKISHO_NODE_ID"]) // is not recorded
	var history struct{ Sessions []struct{ SessionId string } }
	eventually(t, "a session has ended", func() bool {
		d.mustJSON(c, &history, "ssm", "describe-sessions", "--state", "History")
		return len(history.Sessions) == 1
	})
	d.record(t)
	l := loggedIn(t, d, c)
	l.node = join(t, d, c).node
	l.document("Logged", `"cloudWatchStreamingEnabled": false`, `"cloudWatchStreamingEnabled": true`)
	v, id := l.shell(t, "Logged")
	v.typed("echo logged-$((40+2))\n")
	v.expect(`\nlogged-42\r*\n`)
	v.typed("exit\n")
	v.ends()
	env := append(d.environ(), "NODE="+l.node, "UNRECORDED="+history.Sessions[0].SessionId, "SERVICE="+service(t, echo), "LOGGED="+id, "BUCKET="+logBucket, "GROUP="+logGroup)
	d.browse(t, "tunnels.mjs", env...)
}
