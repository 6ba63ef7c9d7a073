package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// sshServer is Debian's sshd on a loopback port, with keys of its own.
type sshServer struct {
	t    testing.TB
	dir  string
	port string
}

// newSSHServer starts one, or skips the test where there is none.
func newSSHServer(t testing.TB) *sshServer {
	t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Skip("sshd is not installed (Debian package openssh-server)")
	}
	s := &sshServer{t: t, dir: t.TempDir()}
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	if os.Geteuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755) // where sshd as root separates its privileges
	}
	_, s.port, _ = net.SplitHostPort(freePort(t))
	config := fmt.Sprintf(`ListenAddress 127.0.0.1:%s
HostKey %s/host
PidFile none
AuthorizedKeysFile %s/user.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
`, s.port, s.dir, s.dir)
	if err := os.WriteFile(filepath.Join(s.dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, exec.Command(sshd, "-D", "-e", "-f", filepath.Join(s.dir, "config")))
	eventually(t, "sshd listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

// options are ssh's for a session to the server through a place, as the guide has them.
func (s *sshServer) options(p place, c cli) []string {
	proxy := fmt.Sprintf("%s %s ssm start-session --target %%h --document-name AWS-StartSSHSession --parameters portNumber=%s",
		c.path, strings.Join(p.awsArgs(nil), " "), s.port)
	return []string{"-F", "none", "-i", filepath.Join(s.dir, "user"), "-o", "ProxyCommand=" + proxy,
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + filepath.Join(s.dir, "known"), "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"}
}

// login is user@node.
func (s *sshServer) login(p place) string {
	u, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	return u.Username + "@" + p.node
}

// ssh runs a command on the node.
func (s *sshServer) ssh(p place, c cli, command string) (string, error) {
	return s.run(p, "ssh", append(s.options(p, c), s.login(p), command)...)
}

// run runs a program with the place's environment.
func (s *sshServer) run(p place, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = p.environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, tail(stderr.String(), 1000))
	}
	return string(out), err
}

// TestSSHPrograms runs what people run over ssh, through a tunnel.
func TestSSHPrograms(t *testing.T) {
	c := clis(t)[0]
	s := newSSHServer(t)
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	dir := t.TempDir()
	local, remote, back := filepath.Join(dir, "local"), filepath.Join(dir, "remote"), filepath.Join(dir, "back")
	content := make([]byte, 3_000_001)
	rand.NewChaCha8([32]byte{7}).Read(content)
	if err := os.WriteFile(local, content, 0o600); err != nil {
		t.Fatal(err)
	}
	same := func(t *testing.T, name string) {
		t.Helper()
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s has %d bytes (%v), or others than were sent", filepath.Base(name), len(got), err)
		}
		os.Remove(name)
	}
	// One command line for programs that start ssh themselves.
	script := filepath.Join(dir, "ssh")
	quoted := "exec ssh"
	for _, o := range s.options(p, c) {
		quoted += " '" + o + "'"
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+quoted+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	must := func(t *testing.T, name string, args ...string) {
		t.Helper()
		if _, err := s.run(p, name, args...); err != nil {
			t.Error(err)
		}
	}
	t.Run("scp", func(t *testing.T) {
		must(t, "scp", "-S", script, local, s.login(p)+":"+remote)
		must(t, "scp", "-S", script, s.login(p)+":"+remote, back)
		same(t, remote)
		same(t, back)
	})
	t.Run("sftp", func(t *testing.T) {
		batch := filepath.Join(dir, "batch")
		if err := os.WriteFile(batch, []byte("put "+local+" "+remote+"\nget "+remote+" "+back+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, "sftp", "-S", script, "-b", batch, s.login(p))
		same(t, remote)
		same(t, back)
	})
	t.Run("rsync", func(t *testing.T) {
		if _, err := exec.LookPath("rsync"); err != nil {
			t.Skip("rsync is not installed")
		}
		must(t, "rsync", "-e", script, local, s.login(p)+":"+remote)
		must(t, "rsync", "-e", script, s.login(p)+":"+remote, back)
		same(t, remote)
		same(t, back)
	})
	t.Run("git", func(t *testing.T) {
		must(t, "git", "init", "-q", "--bare", remote+".git")
		work := filepath.Join(dir, "work")
		must(t, "git", "init", "-q", work)
		must(t, "cp", local, filepath.Join(work, "content"))
		must(t, "git", "-C", work, "add", "content")
		must(t, "git", "-C", work, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "-m", "content")
		url := s.login(p) + ":" + remote + ".git"
		must(t, "git", "-C", work, "-c", "core.sshCommand="+script, "push", "-q", url, "HEAD:refs/heads/main")
		must(t, "git", "-c", "core.sshCommand="+script, "clone", "-q", "-b", "main", url, back)
		same(t, filepath.Join(back, "content"))
	})
}
