package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestBrokenMachines opens a shell on machines in trouble. Each machine is a mount
// namespace; $1 is the directory of the registration, which is also where the trouble is.
func TestBrokenMachines(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount namespaces need root")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace here: %s", out)
	}
	const private = "set -e\nmount --make-rprivate /\n"
	for _, c := range []struct {
		name   string
		setup  string
		offset time.Duration // of the machine's clock
	}{
		{name: "full disk", setup: `
keep=$(mktemp -d)
cp "$1"/* "$keep"
mount -t tmpfs -o size=1m tmpfs "$1"
cp "$keep"/* "$1"
dd if=/dev/zero of="$1/full" bs=1k 2>/dev/null || :
dd if=/dev/zero of="$1/full2" bs=1 2>/dev/null || :
for other in /run /var/tmp /var/log; do
	mount -t tmpfs -o size=4k tmpfs "$other"
	dd if=/dev/zero of="$other/full" bs=1k 2>/dev/null || :
done
if echo more >"$1/more" 2>/dev/null && [ -s "$1/more" ]; then echo "the disk is not full" >&2; exit 1; fi
`},
		{name: "read-only root", setup: `
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -o remount,bind,ro /
if echo more >"$1/more"; then echo "the directory can be written" >&2; exit 1; fi 2>/dev/null
if echo more >/etc/more; then echo "the root can be written" >&2; exit 1; fi 2>/dev/null
`},
		{name: "no names", setup: `
mount --bind /dev/null /etc/resolv.conf
mount --bind /dev/null /etc/hosts
mount --bind /dev/null /etc/nsswitch.conf
`},
		{name: "clock a day behind", offset: -25 * time.Hour},
		{name: "clock a day ahead", offset: 25 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			cli := clis(t)[0]
			d := deploy(t, 0)
			agent := bin(t, "sekisho-agent")
			r := joinAs(t, d, cli, func(dir string) *exec.Cmd {
				if c.offset != 0 {
					misdate(t, dir, c.offset)
				}
				return exec.Command("unshare", "--mount", "sh", "-c", private+c.setup+"\nshift\nexec \"$@\"", "sh", dir,
					agent, "run", "--dir", dir, "--end-sessions-on-stop", "--session-user", "")
			})
			place{deployment: d, node: r.node}.shell(t, cli)
		})
	}
}

// shell opens a session, has it answer and ends it.
func (p place) shell(t *testing.T, c cli) {
	t.Helper()
	v, _ := p.session(t, c)
	v.typed("echo $((6*7))\n")
	v.expect(`\n42\r*\n`)
	v.expect(`ready> `)
	v.typed("exit\n")
	v.expect(`Exiting session`)
	if code := v.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// misdate makes an agent believe that its machine's clock is wrong.
func misdate(t *testing.T, dir string, offset time.Duration) {
	t.Helper()
	path := filepath.Join(dir, "registration.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var registration map[string]any
	if err := json.Unmarshal(text, &registration); err != nil {
		t.Fatal(err)
	}
	registration["ClockError"] = offset
	if text, err = json.Marshal(registration); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
