package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sekisho/internal/platform"
)

var errNoSSH = errors.New("OpenSSH is not installed")

// privilegeDir is where an sshd of root locks itself in. Debian makes it when its own
// sshd starts; the path is fixed when sshd is compiled (sshd(8), FILES).
const privilegeDir = "/run/sshd"

// sshServer is an sshd of our own on loopback. It touches no file of the system, except
// that it makes privilegeDir, an empty directory, and removes it if it was not there.
type sshServer struct {
	dir     string
	port    string
	user    string
	client  string // path of ssh
	version string
	cmd     *exec.Cmd
	log     bytes.Buffer // read after cmd has ended
	made    bool         // privilegeDir is ours
}

// startSSHD makes keys and a configuration in dir and runs an sshd there.
func startSSHD(ctx context.Context, dir string) (_ *sshServer, err error) {
	daemon, err := lookPath("sshd", "/usr/sbin/sshd")
	if err != nil {
		return nil, err
	}
	client, err := lookPath("ssh")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s := &sshServer{dir: dir, port: port, user: platform.CurrentAccount().Name, client: client}
	version, err := exec.CommandContext(ctx, client, "-V").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ssh -V: %w", err)
	}
	s.version = strings.TrimSpace(string(version))
	if err := s.writeFiles(ctx, host); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		switch err := os.Mkdir(privilegeDir, 0o755); {
		case err == nil:
			s.made = true
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	}
	s.cmd = exec.Command(daemon, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start sshd: %w", err), s.stop())
	}
	if err := awaitListener(ctx, address); err != nil {
		stopped := s.stop()
		return nil, errors.Join(fmt.Errorf("sshd is not ready: %w: %s", err, s.log.String()), stopped)
	}
	return s, nil
}

// writeFiles makes the keys and both configurations.
func (s *sshServer) writeFiles(ctx context.Context, host string) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(s.dir, name) }
	for _, key := range []string{"host_key", "user_key"} {
		out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file(key)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	hostKey, err := os.ReadFile(file("host_key.pub"))
	if err != nil {
		return err
	}
	known := fmt.Sprintf("[%s]:%s %s", host, s.port, hostKey)
	for name, text := range map[string]string{
		"known_hosts": known,
		"sshd_config": serverConfig(s.dir, host, s.port),
		"ssh_config":  clientConfig(s.dir, host, s.port, s.user),
	} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// serverConfig keeps the defaults in everything that costs or saves time on an open
// session. Nothing is printed before the shell.
func serverConfig(dir, host, port string) string {
	return fmt.Sprintf(`ListenAddress %s:%s
HostKey %s/host_key
AuthorizedKeysFile %s/user_key.pub
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
LogLevel ERROR
`, host, port, dir, dir)
}

// clientConfig is that of a plain client without the user's own settings. From OpenSSH
// 9.5 on the client sends keystrokes only every 20 ms, to hide when keys are pressed;
// that is switched off, because it would decide the comparison in our favour.
func clientConfig(dir, host, port, user string) string {
	return fmt.Sprintf(`IgnoreUnknown ObscureKeystrokeTiming
Host bench
  HostName %s
  Port %s
  User %s
  IdentityFile %s/user_key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  PreferredAuthentications publickey
  ControlMaster no
  ObscureKeystrokeTiming no
  LogLevel ERROR
`, host, port, user, dir, dir)
}

// contender is the client of this server.
func (s *sshServer) contender(size int) *contender {
	argv := []string{s.client, "-F", filepath.Join(s.dir, "ssh_config"), "-tt", "bench"}
	return &contender{name: sshName, outputBytes: size, begin: func(context.Context) ([]string, []string, error) {
		return argv, clientEnviron(), nil
	}}
}

// stop ends the server and leaves the system as it was.
func (s *sshServer) stop() error {
	var err error
	if s.cmd.Process != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.cmd.Wait()
	}
	if s.made {
		err = os.Remove(privilegeDir)
	}
	return err
}

// lookPath finds a program on PATH or at one of the places given.
func lookPath(name string, places ...string) (string, error) {
	for _, candidate := range append([]string{name}, places...) {
		if path, err := exec.LookPath(candidate); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("%w: no %s", errNoSSH, name)
}

// freeAddress finds an address of loopback where nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// awaitListener waits until somebody listens.
func awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-poll.C:
		}
	}
}
