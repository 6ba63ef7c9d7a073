package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRecordings attacks a recording from the node: root removes the session's log and
// kills the session's worker, and the server is killed in the middle. What the user saw is
// recorded all the same, and a change of the recording is found from its files alone.
func TestRecordings(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	d.stop(os.Interrupt)
	config := filepath.Join(d.dir, "sekishod.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `record: "off"`, `record: "output"`, 1)
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil || changed == string(text) {
		t.Fatalf("recordings not turned on: %v", err)
	}
	d.start()
	r := join(t, d, c) // after the restart: no wait for a node to come back
	p := place{deployment: d, node: r.node}
	v, id := p.session(t, c)
	v.typed("seq 471100 471199; echo fir''st\n")
	v.expect(`471150\r\n(?s:.*)first\r*\nready> `)
	dir := filepath.Join(d.dir, "recordings", id)
	export := func() string {
		out, err := exec.Command(bin(t, "sekishod"), "recordings", "export", "--form", "output", dir).Output()
		if err != nil {
			t.Logf("export: %v", err)
		}
		return string(out)
	}
	eventually(t, "it is on the disk", func() bool { return strings.Contains(export(), "first\r\n") })
	d.cmd.Process.Signal(syscall.SIGKILL)
	<-d.exited
	d.start()
	v.typed("seq 471200 471299; echo sec''ond\n")
	v.expect(`471250\r\n(?s:.*)second\r*\nready> `)
	// The echo is seen before the worker that carries it dies.
	v.typed("read go; rm -rf '" + d.dir + "'/*/session-logs; kill -9 $PPID\n")
	v.expect(`kill -9 \$PPID\r*\n`)
	v.typed("\n")
	v.ends()

	verify := func() (string, error) {
		out, err := exec.Command(bin(t, "sekishod"), "recordings", "verify", dir).Output()
		return string(out), err
	}
	eventually(t, "the recording is closed", func() bool {
		said, err := verify()
		return err == nil && strings.Contains(said, "good") && !strings.Contains(said, "not over")
	})
	seen := export()
	for _, want := range []string{"471150\r\n", "first\r\n", "471250\r\n", "second\r\n", "kill -9"} {
		if strings.Count(seen, want) != 1 {
			t.Errorf("%q is %d times in the recording:\n%s", want, strings.Count(seen, want), seen)
		}
	}
	segment := filepath.Join(dir, "00000000.cast")
	content, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := verify(); err == nil || !strings.Contains(said, "DAMAGED: 00000000.cast: changed") {
		t.Errorf("a changed recording: %s (%v)", said, err)
	}
}
