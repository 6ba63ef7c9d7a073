package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recordedDeployment is a deployment that records, with one node.
func recordedDeployment(t *testing.T, c cli) (d *deployment, node string) {
	t.Helper()
	d = deploy(t, 0)
	d.record(t)
	r := join(t, d, c)
	return d, r.node
}

// record turns recordings on.
func (d *deployment) record(t *testing.T) {
	t.Helper()
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
}

// sekisho makes a command of the operators' program.
func (d *deployment) sekisho(args ...string) *exec.Cmd {
	cmd := exec.Command(bin(d.t, "sekisho"), args...)
	cmd.Env = d.environ()
	return cmd
}

// said runs one and gives what it wrote.
func (d *deployment) said(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.sekisho(args...).CombinedOutput()
	if err != nil {
		t.Errorf("sekisho %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestOperatorsProgram opens a session by the name of the node, watches it from elsewhere,
// and then lists, searches, verifies, exports, replays and holds its recording.
func TestOperatorsProgram(t *testing.T) {
	c := clis(t)[0]
	d, node := recordedDeployment(t, c)
	eventually(t, "the node is online", func() bool {
		out, _ := d.sekisho("nodes").CombinedOutput()
		return strings.Contains(string(out), node+"  Online")
	})
	v := converse(t, d.sekisho("connect", node))
	id := v.expect(`Starting session with SessionId: (\S+)`)[1]
	v.expect(`[$#] `)
	v.typed("PS1='re''ady> ' exec sh\n")
	v.expect(`ready> `)
	w := converse(t, d.sekisho("sessions", "watch", id))
	v.typed("echo wat''ched; echo 障害''対応\n")
	v.expect(`watched\r*\n障害対応\r*\nready> `)
	w.expect(`watched\r*\n障害対応`)
	if out := d.said(t, "sessions", "list"); !strings.Contains(out, id) {
		t.Errorf("sessions list:\n%s", out)
	}
	v.typed("exit\n")
	if code := v.ends(); code != 0 {
		t.Errorf("connect ended with %d", code)
	}
	w.expect(`The session is over`)
	if code := w.ends(); code != 0 {
		t.Errorf("watch ended with %d", code)
	}
	eventually(t, "the transcript is found", func() bool {
		out, _ := d.sekisho("recordings", "search", "障害対").CombinedOutput()
		return strings.Contains(string(out), id) && strings.Contains(string(out), "障害対応")
	})
	if out := d.said(t, "recordings", "list"); !strings.Contains(out, id) {
		t.Errorf("recordings list:\n%s", out)
	}
	if out := d.said(t, "recordings", "verify", id); !strings.Contains(out, "good") {
		t.Errorf("verify:\n%s", out)
	}
	if out := d.said(t, "recordings", "verify", filepath.Join(d.dir, "recordings", id)); !strings.Contains(out, "good") {
		t.Errorf("verify without the server:\n%s", out)
	}
	if out := d.said(t, "recordings", "export", "--form", "text", id); !strings.Contains(out, "\nwatched\n障害対応\n") {
		t.Errorf("text:\n%s", out)
	}
	if out := d.said(t, "recordings", "export", id); !strings.HasPrefix(out, "{") || !strings.Contains(out, "障害対応") {
		t.Errorf("cast:\n%s", out)
	}
	if out := d.said(t, "replay", "--speed", "0", id); !strings.Contains(out, "watched\r\n障害対応\r\n") {
		t.Errorf("replay:\n%q", out)
	}
	r := converse(t, d.sekisho("replay", "--skip-idle", "1s", id))
	r.expect(`watched\r*\n障害対応`)
	r.typed("q")
	if code := r.ends(); code != 0 {
		t.Errorf("replay ended with %d", code)
	}
	d.said(t, "recordings", "hold", id, "--reason", "case 1")
	var list []struct {
		SessionID string `json:"SessionId"`
		LegalHold bool
	}
	if err := json.Unmarshal([]byte(d.said(t, "recordings", "list", "--output", "json")), &list); err != nil || len(list) != 1 || !list[0].LegalHold {
		t.Errorf("%+v, %v", list, err)
	}
	if out, err := d.sekisho("replay", "nobody-0123456789abcdef0").CombinedOutput(); err == nil || !strings.Contains(string(out), "sekisho recordings list") {
		t.Errorf("of none: %v: %s", err, out)
	}
	if out, err := d.sekisho("connect", node, "--command", "sh -c 'exit 7'").CombinedOutput(); exitCode(err) != 7 {
		t.Errorf("a command's exit code: %v: %s", err, out)
	}

	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("through the tunnel")) }))
	defer web.Close()
	port := web.URL[strings.LastIndexByte(web.URL, ':')+1:]
	f := converse(t, d.sekisho("forward", node, "localhost:"+port))
	local := f.expect(`Port (\d+) opened for sessionId`)[1]
	eventually(t, "the tunnel carries", func() bool {
		answer, err := http.Get("http://localhost:" + local)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return err == nil && string(text) == "through the tunnel"
	})
	f.typed("\x03")
	f.ends()

	// As ssh's ProxyCommand: nothing but what the port says.
	proxy := d.sekisho("proxy", node, port)
	in, err := proxy.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.WriteString(in, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	out, err := proxy.StdoutPipe()
	if err == nil {
		err = proxy.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("HTTP/1.0 200 OK"))
	if _, err := io.ReadFull(out, answer); err != nil || string(answer) != "HTTP/1.0 200 OK" {
		t.Errorf("through the proxy: %q, %v", answer, err)
	}
	if err := errors.Join(in.Close(), proxy.Process.Kill()); err != nil {
		t.Error(err)
	}
	_ = proxy.Wait()
}

// TestEncryptedRecording: an encrypted session is recorded as ciphertext, and opens for
// who may decrypt with its key.
func TestEncryptedRecording(t *testing.T) {
	c := clis(t)[0]
	d, node := recordedDeployment(t, c)
	e := encryptedIn(t, d, c)
	e.node = node
	v, id := e.open(t)
	talk(t, v, id)
	leave(t, v, id)
	secret := "printed-" + id[len(id)-8:]
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("exported last: %s", last)
		}
	}()
	eventually(t, "it can be read with the key", func() bool {
		out, _ := d.sekisho("recordings", "export", "--form", "text", id).CombinedOutput()
		last = string(out)
		return strings.Contains(last, "\n"+secret+"\n")
	})
	files, err := exec.Command("grep", "-r", secret, filepath.Join(d.dir, "recordings")).CombinedOutput()
	if err == nil {
		t.Errorf("it is in the files in clear: %s", files)
	}
	d.must(c, "kms", "disable-key", "--key-id", e.key)
	if out, err := d.sekisho("recordings", "export", id).CombinedOutput(); err == nil || strings.Contains(string(out), secret) {
		t.Errorf("without the key: %v: %s", err, out)
	}
	d.must(c, "kms", "enable-key", "--key-id", e.key)
	// Who may read recordings and not decrypt is refused.
	d.must(c, "iam", "create-user", "--user-name", "auditor")
	d.must(c, "iam", "put-user-policy", "--user-name", "auditor", "--policy-name", "p", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sekisho:*","Resource":"*"}]}`)
	var made struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	d.mustJSON(c, &made, "iam", "create-access-key", "--user-name", "auditor")
	cmd := d.sekisho("recordings", "export", id)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": made.AccessKey.AccessKeyId, "AWS_SECRET_ACCESS_KEY": made.AccessKey.SecretAccessKey} {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "kms:Decrypt") {
		t.Errorf("without permission to decrypt: %v: %s", err, out)
	}
}
