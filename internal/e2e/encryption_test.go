package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sekisho/internal/message"
)

// encrypted is a deployment with a KMS key and a session document that names it.
type encrypted struct {
	*deployment // as the peers reach it
	c           cli
	key         string // ARN
	document    string
	node        string
	plugin      string   // folder with session-manager-plugin; empty means ours
	extra       []string // for the CLI's environment
}

// encryptedIn makes the key and the document, and lets nodes open data keys.
func encryptedIn(t *testing.T, d *deployment, c cli) *encrypted {
	t.Helper()
	e := &encrypted{deployment: d, c: c, document: "Encrypted"}
	var key struct{ KeyMetadata struct{ Arn string } }
	d.mustJSON(c, &key, "kms", "create-key", "--description", "sessions")
	e.key = key.KeyMetadata.Arn
	d.must(c, "ssm", "create-document", "--name", e.document, "--document-type", "Session", "--document-format", "JSON",
		"--content", fmt.Sprintf(`{"schemaVersion":"1.0","description":"encrypted","sessionType":"Standard_Stream","inputs":{"kmsKeyId":%q}}`, e.key))
	e.allowNodes("kms:Decrypt")
	return e
}

// allowNodes lets the nodes' role do one action on the key.
func (e *encrypted) allowNodes(action string) {
	e.t.Helper()
	e.must(e.c, "iam", "put-role-policy", "--role-name", "SSMServiceRole", "--policy-name", "keys", "--policy-document",
		fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":%q,"Resource":%q}]}`, action, e.key))
}

// start starts a session at a terminal; document may be empty.
func (e *encrypted) start(t *testing.T, document string) *conversation {
	t.Helper()
	args := []string{"ssm", "start-session", "--target", e.node}
	if document != "" {
		args = append(args, "--document-name", document)
	}
	cmd := exec.Command(e.c.path, e.awsArgs(args)...)
	cmd.Env = e.environ(e.extra...)
	if e.plugin != "" {
		cmd.Env = append(cmd.Env, "PATH="+e.plugin+":"+e.deployment.env["PATH"])
	}
	return converse(t, cmd)
}

// open starts an encrypted session and waits for its shell.
func (e *encrypted) open(t *testing.T) (*conversation, string) {
	t.Helper()
	v := e.start(t, e.document)
	id := v.expect(`Starting session with SessionId: (\S+)`)[1]
	v.expect(`This session is encrypted using AWS KMS\.`)
	v.expect(`[$#] `)
	v.typed("PS1='re''ady> ' exec sh\n")
	v.expect(`ready> `)
	return v, id
}

// refused starts a session that must end before its shell, with these words.
func (e *encrypted) refused(t *testing.T, document string, words ...string) {
	t.Helper()
	v := e.start(t, document)
	id := v.expect(`Starting session with SessionId: (\S+)`)[1]
	v.ends()
	v.mu.Lock()
	shown := strings.Join(strings.Fields(string(v.shown)), " ")
	v.mu.Unlock()
	for _, w := range words {
		if !strings.Contains(shown, w) {
			t.Errorf("the user reads %q, want %q in it", shown, w)
		}
	}
	if strings.Contains(shown, "encrypted using") || regexp.MustCompile(`[$#] $`).MatchString(shown) {
		t.Errorf("the session was opened: %q", shown)
	}
	p := place{deployment: e.deployment.in(t)}
	eventually(t, "the session has ended", func() bool { return p.describe(t, e.c, "History", id) != nil })
	if s := p.describe(t, e.c, "History", id); s["Status"] != "Failed" {
		t.Errorf("the session is shown as %v, want Failed", s)
	}
}

// talk has a conversation with words of its own, typed and printed, and gives those words.
// The printed ones are never typed as they are, and differ from run to run by the id.
func talk(t *testing.T, v *conversation, id string) (words []string) {
	t.Helper()
	suffix := id[len(id)-8:]
	v.typed("echo pri''nted-" + suffix + "\n")
	v.expect(`\nprinted-` + suffix + `\r*\nready> `)
	v.typed("pri''ntf 'err''or-" + suffix + "\\n' >&2\n")
	v.expect(`\nerror-` + suffix + `\r*\nready> `)
	v.typed("seq 4''711000 4711999; echo do''ne-" + suffix + "\n")
	v.expect(`done-` + suffix + `\r*\nready> `)
	return []string{"pri''nted-" + suffix, "printed-" + suffix, "error-" + suffix, "4711500\r\n", "done-" + suffix, "ready> "}
}

// leave ends the shell.
func leave(t *testing.T, v *conversation, id string) {
	t.Helper()
	v.typed("exit\n")
	v.expect(`Exiting session with sessionId: ` + regexp.QuoteMeta(id))
	if code := v.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestEncryptedSession is an encrypted shell with the aws CLI, read along where the
// gateway stands, and everything that must keep one from opening.
func TestEncryptedSession(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	w, seen := tapped(t, d)
	r := join(t, seen, c)
	e := encryptedIn(t, seen, c)
	e.node = r.node

	t.Run("frames hold no plaintext", func(t *testing.T) {
		v, id := e.open(t)
		words := talk(t, v, id)
		r.toServer.cut() // the agent comes back with what it had sealed
		v.typed("echo st''ill-here\n")
		v.expect(`\nstill-here\r*\n`)
		leave(t, v, id)
		words = append(words, "st''ill-here", "still-here")

		text, messages := w.heard(t)
		for _, word := range words {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%q is on the wire in clear", word)
			}
		}
		counted := map[message.Type]int{}
		for _, m := range messages {
			if m.Type.Stream() && m.PayloadType == message.PayloadOutput {
				counted[m.Type]++
			}
		}
		// Both ends' frames passed, each twice: to the gateway and from it.
		if counted[message.TypeInputStreamData] < 8 || counted[message.TypeOutputStreamData] < 8 {
			t.Fatalf("the wiretap saw %v", counted)
		}
		// Without encryption it hears every word.
		v, id = func() (*conversation, string) {
			v := e.start(t, "")
			id := v.expect(`Starting session with SessionId: (\S+)`)[1]
			v.expect(`[$#] `)
			v.typed("PS1='re''ady> ' exec sh\n")
			v.expect(`ready> `)
			return v, id
		}()
		words = talk(t, v, id)
		leave(t, v, id)
		text, _ = w.heard(t)
		for _, word := range words {
			if !bytes.Contains(text, []byte(word)) {
				t.Errorf("the wiretap missed %q of a session that is not encrypted", word)
			}
		}
	})
	t.Run("disabled key", func(t *testing.T) {
		e.must(c, "kms", "disable-key", "--key-id", e.key)
		e.refused(t, e.document, "DisabledException", e.key+" is disabled.", "Nothing was sent unencrypted.")
		e.must(c, "kms", "enable-key", "--key-id", e.key)
		v, id := e.open(t)
		leave(t, v, id)
	})
	t.Run("wrong encryption context", func(t *testing.T) {
		other := *e
		other.plugin = misled(t, e.deployment)
		other.refused(t, e.document, "InvalidCiphertextException", "not for this session, this node and this key")
	})
	t.Run("node without permission", func(t *testing.T) {
		e.allowNodes("kms:Encrypt")
		e.refused(t, e.document, "AccessDeniedException", "is not authorized to perform: kms:Decrypt on resource: "+e.key, "needs kms:Decrypt")
		e.allowNodes("kms:Decrypt")
	})
	t.Run("operator without permission", func(t *testing.T) {
		bob := *e
		bob.deployment = e.operator(c, "bob")
		bob.deployment.env["AWS_ENDPOINT_URL"] = e.deployment.env["AWS_ENDPOINT_URL"]
		e.must(c, "iam", "put-user-policy", "--user-name", "bob", "--policy-name", "sessions", "--policy-document",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:*","Resource":"*"}]}`)
		bob.refused(t, e.document, "AccessDeniedException", "user/bob is not authorized to perform: kms:GenerateDataKey on resource: "+e.key)
	})
	t.Run("key that is not there", func(t *testing.T) {
		e.must(c, "ssm", "create-document", "--name", "Lost", "--document-type", "Session", "--document-format", "JSON",
			"--content", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{"kmsKeyId":"alias/lost"}}`)
		e.refused(t, "Lost", "NotFoundException", "alias/lost")
	})
	if log, err := os.ReadFile(r.log.Name()); err != nil || strings.Contains(string(log), "printed-") {
		t.Errorf("the agent's log shows what passed (%v)", err)
	}
}

// misled is a plugin that is told another target than the session's, so that the data key
// it has made is for another node.
func misled(t *testing.T, d *deployment) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\n" +
		"real='" + filepath.Join(filepath.Dir(bin(t, "session-manager-plugin")), "session-manager-plugin") + "'\n" +
		"[ $# -lt 6 ] && exec \"$real\" \"$@\"\n" +
		"exec \"$real\" \"$1\" \"$2\" \"$3\" \"$4\" '{\"Target\":\"mi-00000000000000000\"}' \"$6\"\n"
	if err := os.WriteFile(filepath.Join(dir, "session-manager-plugin"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// awsName is an HTTPS proxy that brings connections to AWS's own names to the server: the
// stock plugin's client of KMS takes no other endpoint than that of the region.
func awsName(t *testing.T, target string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := newProxy(t, target)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || !strings.HasSuffix(r.Host, ".amazonaws.com:443") {
			http.Error(w, "not here", http.StatusForbidden)
			return
		}
		out, err := net.Dial("tcp", to.addr())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			out.Close()
			return
		}
		in.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		relay(in, out)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return "http://" + l.Addr().String()
}

// relay passes bytes both ways until one end closes.
func relay(a, b net.Conn) {
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
				break
			}
		}
		done <- struct{}{}
	}
	go pass(a, b)
	go pass(b, a)
	<-done
	a.Close()
	b.Close()
	<-done
}

// withStockPlugin makes a stock plugin the one that the CLI finds, and the server the one
// that it finds as KMS.
func (e *encrypted) withStockPlugin(t *testing.T) *encrypted {
	t.Helper()
	other := *e
	other.plugin = stockPlugin(t)
	other.extra = []string{"HTTPS_PROXY=" + awsName(t, e.listen), "https_proxy=", "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost"}
	return &other
}

// hold is an encrypted conversation, read along, and a key that is disabled.
func (e *encrypted) hold(t *testing.T, w *wiretap) {
	t.Helper()
	v, id := e.open(t)
	words := talk(t, v, id)
	leave(t, v, id)
	text, _ := w.heard(t)
	for _, word := range words {
		if bytes.Contains(text, []byte(word)) {
			t.Errorf("%q is on the wire in clear", word)
		}
	}
	e.must(e.c, "kms", "disable-key", "--key-id", e.key)
	e.refused(t, e.document, "DisabledException")
	e.must(e.c, "kms", "enable-key", "--key-id", e.key)
}

// TestStockPluginEncrypts holds an encrypted session between a stock plugin and our agent.
func TestStockPluginEncrypts(t *testing.T) {
	stockPlugin(t)
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", "amazonaws.com")
	w, seen := tapped(t, d)
	r := join(t, seen, c)
	e := encryptedIn(t, seen, c)
	e.node = r.node
	e.withStockPlugin(t).hold(t, w)
}

// TestStockAgentEncrypts holds an encrypted session between our plugin and a stock agent.
func TestStockAgentEncrypts(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	w, seen := tapped(t, d)
	e := encryptedIn(t, seen, c)
	e.node = stockAgent(t, seen, c)
	e.hold(t, w)
}
