package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ran is what a command session left: what the plugin wrote, and its exit code, which the
// aws CLI makes its own words of.
type ran struct {
	stdout, stderr []byte
	code           int
}

// command runs a document's session without a terminal, with the aws CLI.
func (p place) command(t *testing.T, c cli, document, line string, input ...[]byte) ran {
	t.Helper()
	plugin := p.plugin
	if plugin == "" {
		plugin = filepath.Dir(bin(t, "session-manager-plugin"))
	}
	dir := t.TempDir()
	script := "#!/bin/sh\n" + `'` + plugin + `/session-manager-plugin' "$@" 2>'` + dir + `/stderr'; code=$?; [ $# -gt 1 ] && echo $code >'` + dir + `/code'; exit 0` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "session-manager-plugin"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(c.path, p.awsArgs([]string{"ssm", "start-session", "--target", p.node, "--document-name", document,
		"--parameters", "command=" + strconv.Quote(line)})...)
	cmd.Env = p.deployment.environ("PATH=" + dir + ":" + p.env["PATH"])
	if input != nil {
		cmd.Stdin = bytes.NewReader(bytes.Join(input, nil))
	} else { // never ends: at the end of its input a stock plugin ends, with or without output
		in, hold, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer hold.Close()
		cmd.Stdin = in
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	r := ran{stdout: out}
	if r.stderr, err = os.ReadFile(filepath.Join(dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(filepath.Join(dir, "code"))
	if err != nil {
		t.Fatal(err)
	}
	if r.code, err = strconv.Atoi(strings.TrimSpace(string(code))); err != nil {
		t.Fatal(err)
	}
	return r
}

// apart makes the document of commands whose two streams are told apart.
func (p place) apart(c cli) string {
	p.must(c, "ssm", "create-document", "--name", "Apart", "--document-type", "Session", "--content",
		`{"schemaVersion":"1.0","sessionType":"NonInteractiveCommands","parameters":{"command":{"type":"String"}},
		"properties":{"linux":{"commands":"{{ command }}","runAsElevated":false,"separateOutputStream":true}}}`)
	return "Apart"
}

// TestCommands runs commands with our peers: exit codes reach the caller, output is what
// the command wrote, byte by byte, and streams stay apart.
func TestCommands(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	document := p.apart(c)
	for _, x := range []struct {
		line string
		code int
	}{
		{`true`, 0}, {`false`, 1}, {`sh -c 'exit 42'`, 42}, {`sh -c 'exit 255'`, 255}, {`sh -c 'kill -TERM $$'`, 143}, {`no-such-program`, 127},
	} {
		if r := p.command(t, c, document, x.line); r.code != x.code {
			t.Errorf("%s: exit code %d, want %d (%s)", x.line, r.code, x.code, r.stderr)
		}
	}
	r := p.command(t, c, document, `sh -c 'echo to-''out; echo to-''err >&2; exit 7'`)
	if r.code != 7 || string(r.stdout) != "to-out\n" || string(r.stderr) != "to-err\n" {
		t.Errorf("code %d, output %q, errors %q", r.code, r.stdout, r.stderr)
	}
	// No shell looks at the words.
	r = p.command(t, c, document, `echo 'one  two' three;four | wc $HOME`)
	if string(r.stdout) != "one  two three;four | wc $HOME\n" {
		t.Errorf("output %q", r.stdout)
	}
	// Streams that go together come together, in their order.
	r = p.command(t, c, "AWS-StartNonInteractiveCommand", `sh -c 'echo a; echo b >&2; echo c; exit 3'`)
	if r.code != 3 || string(r.stdout) != "a\nb\nc\n" || len(r.stderr) != 0 {
		t.Errorf("code %d, output %q, errors %q", r.code, r.stdout, r.stderr)
	}

	content := make([]byte, 100<<20)
	for i := 0; i < len(content); i += 8 {
		for j, n := 0, rand.Uint64(); j < 8; j++ {
			content[i+j] = byte(n >> (8 * j))
		}
	}
	// All of the input goes through, to its end and back.
	r = p.command(t, c, "AWS-StartNonInteractiveCommand", "cat", content)
	if r.code != 0 || len(r.stdout) != len(content) || sha256.Sum256(r.stdout) != sha256.Sum256(content) {
		t.Errorf("100 MB came as %d bytes, exit code %d, errors %q", len(r.stdout), r.code, r.stderr)
	}
	// A command that does not read its input ends all the same.
	if r = p.command(t, c, document, "false", content[:8<<20]); r.code != 1 {
		t.Errorf("exit code %d, errors %q", r.code, r.stderr)
	}

	v, id := p.with(t, c, "AWS-StartInteractiveCommand", `sh -c 'printf "na''me? "; read x; echo hel''lo-$x'`)
	v.expect(`name\? `)
	v.typed("you\n")
	v.expect(`hello-you\r*\n`)
	v.expect(`Exiting session with sessionId: ` + id)
	if code := v.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// stockCommands is what holds with a stock peer at one end: its plugin prints everything to
// standard output, the exit code among it, and always exits with 0.
func (p place) stockCommands(t *testing.T, c cli, document string) {
	r := p.command(t, c, document, `sh -c 'echo to-''out; echo to-''err >&2; exit 7'`)
	all := append(r.stdout, r.stderr...)
	if !bytes.Contains(all, []byte("to-out\n")) || !bytes.Contains(all, []byte("to-err\n")) {
		t.Errorf("output %q, errors %q", r.stdout, r.stderr)
	}
	if p.plugin == "" {
		if r.code != 7 || bytes.Contains(r.stdout, []byte("SessionId")) {
			t.Errorf("exit code %d, output %q", r.code, r.stdout)
		}
	} else if !bytes.Contains(r.stdout, []byte("EXIT_CODE: 7")) {
		t.Errorf("output %q", r.stdout)
	}
	v, id := p.with(t, c, "AWS-StartInteractiveCommand", `printf "name? "; read x; echo hello-$x`)
	v.expect(`name\? `)
	v.typed("you\n")
	v.expect(`hello-you\r*\n`)
	v.expect(`Exiting session with sessionId: ` + id)
	v.ends()
}

// TestStockPluginCommands runs commands on our agent with a stock plugin.
func TestStockPluginCommands(t *testing.T) {
	plugin := stockPlugin(t)
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"], plugin: plugin}
	p.stockCommands(t, c, p.apart(c))
}

// TestStockAgentCommands runs commands on a stock agent with our plugin and a stock one.
func TestStockAgentCommands(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	p := place{deployment: d, node: stockAgent(t, d, c)}
	document := p.apart(c)
	t.Run("our plugin", func(t *testing.T) {
		place{deployment: d.in(t), node: p.node}.stockCommands(t, c, document)
	})
	t.Run("stock plugin", func(t *testing.T) {
		place{deployment: d.in(t), node: p.node, plugin: stockPlugin(t)}.stockCommands(t, c, document)
	})
}

// TestEncryptedCommand runs a command in an encrypted session, read along where the gateway
// stands: scripts notice no difference.
func TestEncryptedCommand(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	w, seen := tapped(t, d)
	e := encryptedIn(t, seen, c)
	p := place{deployment: seen, node: join(t, seen, c).node}
	p.must(c, "ssm", "create-document", "--name", "Secret", "--document-type", "Session", "--content", fmt.Sprintf(
		`{"schemaVersion":"1.0","sessionType":"NonInteractiveCommands","inputs":{"kmsKeyId":%q},"parameters":{"command":{"type":"String"}},
		"properties":{"linux":{"commands":"{{ command }}","runAsElevated":false,"separateOutputStream":true}}}`, e.key))
	content := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{6}).Read(content)
	content = append(content, "never-in-clear"...)
	r := p.command(t, c, "Secret", `sh -c 'cat; echo al''so-not >&2; exit 42'`, content)
	if r.code != 42 || !bytes.Equal(r.stdout, content) || !strings.HasSuffix(string(r.stderr), "also-not\n") {
		t.Errorf("exit code %d, %d bytes of output, errors %q", r.code, len(r.stdout), r.stderr)
	}
	text, messages := w.heard(t)
	if len(messages) < 8 {
		t.Errorf("the wiretap saw %d messages", len(messages))
	}
	for _, word := range []string{"never-in-clear", "also-not"} {
		if bytes.Contains(text, []byte(word)) {
			t.Errorf("%q is on the wire in clear", word)
		}
	}
}
