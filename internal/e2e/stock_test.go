package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stockDomain is the service domain under which the stock agent finds its endpoints.
const stockDomain = "sekisho.test"

// stockPlugin is the folder of the stock session-manager-plugin, named by STOCK_PLUGIN
// (the program or its folder).
func stockPlugin(t *testing.T) string {
	t.Helper()
	path := os.Getenv("STOCK_PLUGIN")
	if path == "" {
		t.Skip("STOCK_PLUGIN does not name a stock session-manager-plugin")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "session-manager-plugin")
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatalf("STOCK_PLUGIN: %v", err)
	}
	t.Logf("stock plugin %s", strings.TrimSpace(string(out)))
	return filepath.Dir(path)
}

// stockSetup makes a mount namespace in which the stock agent finds a machine of its own:
// it compiles in /var/lib/amazon, edits /etc/passwd and /etc/sudoers.d to make ssm-user,
// and looks up its endpoints by name. $1 is a folder for all that, $2 the programs, $3
// the configuration; then come the agent's arguments.
const stockSetup = `
set -e
mount --make-rprivate /
if [ ! -d "$1/etc" ]; then
	mkdir -p "$1/etc" "$1/bin/configuration" "$1/home" "$1/lib" "$1/log" "$1/root"
	cp -a /etc/. "$1/etc/"
	cp "$2"/* "$1/bin/"
	chown -R root:root "$1/bin"
	chmod 755 "$1/bin" "$1"/bin/*
	printf '%s' "$3" >"$1/bin/configuration/amazon-ssm-agent.json"
	chmod 600 "$1/bin/configuration/amazon-ssm-agent.json"
	for s in ssm ssmmessages ec2messages logs s3 ssm-session-manager-bucket.s3 kms; do
		echo "127.0.0.1 $s.local-1.` + stockDomain + `" >>"$1/etc/hosts"
	done
fi
mkdir -p /var/lib/amazon /var/log/amazon
mount --bind "$1/etc" /etc
mount --bind "$1/home" /home
mount --bind "$1/lib" /var/lib/amazon
mount --bind "$1/log" /var/log/amazon
dir=$1
shift 3
exec "$dir/bin/amazon-ssm-agent" "$@"
`

// stockAgent registers a stock amazon-ssm-agent, named by STOCK_AGENT_DIR, by its
// configuration file alone, runs it and returns its node id.
func stockAgent(t *testing.T, d *deployment, c cli) string {
	t.Helper()
	id, _, _ := startStockAgent(t, d, c)
	eventually(t, "the stock agent is connected", func() bool {
		var status struct{ Status string }
		d.mustJSON(c, &status, "ssm", "get-connection-status", "--target", id)
		return status.Status == "connected"
	})
	return id
}

// startStockAgent registers and starts a stock agent. Its programs are below dir.
func startStockAgent(t *testing.T, d *deployment, c cli) (id, dir string, began time.Time) {
	t.Helper()
	programs := os.Getenv("STOCK_AGENT_DIR")
	if programs == "" {
		t.Skip("STOCK_AGENT_DIR does not name a folder with a stock amazon-ssm-agent")
	}
	if os.Geteuid() != 0 {
		t.Skip("the stock agent registers as root only")
	}
	d.advanced(c)
	dir = t.TempDir()
	// ssm-user must reach its home.
	for p := dir; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := strings.Cut(d.listen, ":")
	config, err := json.Marshal(map[string]any{
		"Agent":    map[string]any{"ServiceDomain": stockDomain + ":" + port, "SelfUpdate": false},
		"Identity": map[string]any{"ConsumptionOrder": []string{"OnPrem"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", stockSetup, "sh", dir, programs, string(config)}, args...)...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir + "/root", "SSL_CERT_FILE=" + d.env["SSL_CERT_FILE"],
			"AWS_EC2_METADATA_DISABLED=true", "AWS_SHARED_CREDENTIALS_FILE=" + dir + "/root/credentials"}
		return cmd
	}
	var activation struct{ ActivationId, ActivationCode string }
	d.mustJSON(c, &activation, "ssm", "create-activation", "--iam-role", "SSMServiceRole", "--default-instance-name", "stock")
	out, err := run("-register", "-code", activation.ActivationCode, "-id", activation.ActivationId, "-region", "local-1", "-y").CombinedOutput()
	if err != nil {
		t.Fatalf("register the stock agent: %v\n%s", err, out)
	}
	id = regexp.MustCompile(`mi-[0-9a-f]{17}`).FindString(string(out))
	if id == "" {
		t.Fatalf("the stock agent names no node: %s", out)
	}
	log, err := os.Create(filepath.Join(dir, "agent.log"))
	if err != nil {
		t.Fatal(err)
	}
	agent := run()
	agent.Stdout, agent.Stderr = log, log
	agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began = time.Now()
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		agent.Process.Signal(os.Interrupt)
		agent.Wait()
		endBelow(t, dir)
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("stock agent:\n%s", tail(string(text), 8000))
		}
	})
	return id, dir, began
}

// endBelow ends the processes whose program is below a folder of this test's: the stock
// agent's workers are not its children's children when it ends.
func endBelow(t *testing.T, dir string) {
	t.Helper()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		t.Error(err)
		return
	}
	for _, p := range procs {
		exe, err := os.Readlink(filepath.Join("/proc", p.Name(), "exe"))
		if err != nil || !strings.HasPrefix(exe, dir+"/") {
			continue
		}
		var pid int
		if err := json.Unmarshal([]byte(p.Name()), &pid); err != nil {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("end %s: %v", exe, err)
		}
	}
}

// TestStockPlugin holds the official conversations between a stock plugin and our agent.
func TestStockPlugin(t *testing.T) {
	plugin := stockPlugin(t)
	for _, c := range clis(t) {
		t.Run(c.name, func(t *testing.T) {
			d := deploy(t, 1)
			place{deployment: d, node: d.env["SEKISHO_NODE_ID"], plugin: plugin}.hold(t, c)
		})
	}
}

// TestStockAgent holds them between our plugin and a stock agent, and between the two
// stock peers.
func TestStockAgent(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	node := stockAgent(t, d, c)
	t.Run("our plugin", func(t *testing.T) {
		place{deployment: d.in(t), node: node}.hold(t, c)
	})
	t.Run("stock plugin", func(t *testing.T) {
		place{deployment: d.in(t), node: node, plugin: stockPlugin(t)}.hold(t, c)
	})
}

// TestStockPluginResumes cuts a stock plugin's connection and kills the server in the
// middle of 2 MB of output. Nothing may be lost with a stock client either, which never
// acknowledges a duplicate. It does show a message twice when the connection breaks
// between showing and acknowledging it, because it counts the message only after the
// acknowledgement is sent (src/datachannel/streaming.go, HandleOutputMessage): one such
// repeat a cut is its own doing.
func TestStockPluginResumes(t *testing.T) {
	plugin := stockPlugin(t)
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	var want []byte
	for i := range 40000 {
		want = fmt.Appendf(want, "%049d\n", i)
	}
	file := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(file, want, 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.pipeThrough(t, c, plugin)
	fmt.Fprintf(p.stdin, "stty raw -echo; printf 'out''put begins'; cat '%s'; printf 'out''put ends'; cat > /dev/null\n", file)
	p.until(t, "output begins", nil)
	cuts := []func(){
		r.toService.cut,
		func() {
			d.cmd.Process.Signal(syscall.SIGKILL)
			<-d.exited
			d.start()
		},
		r.toServer.cut,
		r.toService.cut,
	}
	got := p.until(t, "output ends", func(n int) {
		if len(cuts) > 0 && n > len(want)*(5-len(cuts))/6 {
			cuts[0]()
			cuts = cuts[1:]
		}
	})
	if len(cuts) != 0 {
		t.Fatalf("%d cuts were not made", len(cuts))
	}
	repeats, at := 0, 0
	for len(got) > 0 {
		if at < len(want) && got[0] == want[at] {
			got, at = got[1:], at+1
			continue
		}
		next := got[:min(len(got), 100)] // holds a whole numbered line, so it stands in one place only
		from := max(0, at-64<<10)
		back := bytes.Index(want[from:at], next)
		if repeats++; back < 0 || repeats > 3 {
			t.Fatalf("after byte %d of %d comes %q (repeats so far: %d)", at, len(want), next, repeats)
		}
		at = from + back
	}
	if at != len(want) {
		t.Fatalf("the last %d bytes are missing", len(want)-at)
	}
	t.Logf("2 MB arrived; the stock plugin repeated %d messages", repeats)
}
