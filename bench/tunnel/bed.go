package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/client"
	"sekisho/internal/platform"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// responseVariable is how the AWS CLI hands the answer of StartSession to the plugin.
const responseVariable = "AWS_SSM_START_SESSION_RESPONSE"

// copySize is the file that scp copies.
const copySize = 64 << 20

// bed is what the peers run on: sekishod with a node, an sshd, and their clients.
type bed struct {
	dir       string
	near, far *host // the clients', and everything else's
	service   *service
	target    string // the service's address on the far host
	listen    string // sekishod's
	bin       string
	env       map[string]string // of the deployment
	procs     []*process
}

// process is a program that runs until stop.
type process struct {
	cmd  *exec.Cmd
	kill bool // at once
}

// stop ends all programs, the last one first.
func (b *bed) stop() {
	for i := len(b.procs) - 1; i >= 0; i-- {
		p := b.procs[i]
		if p.kill {
			p.cmd.Process.Kill()
		}
		p.cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(patience/2, func() { p.cmd.Process.Kill() })
		p.cmd.Wait()
		kill.Stop()
	}
}

// start runs a program until stop, with what it says in a file.
func (b *bed) start(h *host, name string, environ []string, argv ...string) error {
	log, err := os.Create(path(b.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, log, log
	// A Ctrl-C at the terminal is for us; the programs end in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := h.start(cmd); err != nil {
		return err
	}
	b.procs = append(b.procs, &process{cmd: cmd})
	return nil
}

// listening starts a program and waits until it listens at an address.
func (b *bed) listening(ctx context.Context, h *host, address, name string, environ []string, argv ...string) error {
	name = strings.NewReplacer(":", "-", ".", "-").Replace(name)
	if err := b.start(h, name, environ, argv...); err != nil {
		return err
	}
	if err := h.await(ctx, address); err != nil {
		text, _ := os.ReadFile(path(b.dir, name+".log"))
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

func (b *bed) scp(ctx context.Context, environ []string, content string, options ...string) (float64, error) {
	args := append([]string{"-q", "-F", path(b.dir, "ssh_config")}, options...)
	cmd := exec.CommandContext(ctx, "scp", append(args, content, "bench:"+path(b.dir, "copied"))...)
	cmd.Env = environ
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("scp: %w: %s", err, out)
	}
	return copySize / 1e6 / time.Since(began).Seconds(), nil
}

// startDeployment starts sekishod with one node.
func (b *bed) startDeployment(ctx context.Context, options ...string) error {
	dir := path(b.dir, "dev")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	b.listen = b.far.free(b.far.address)
	argv := append([]string{path(b.bin, "sekishod"), "dev", "--dir", dir, "--listen", b.listen, "--nodes", "1"}, options...)
	if b.far.address != loopback { // a name of the certificate that only the file can give
		if err := b.serve(ctx, append(argv, "--nodes", "0")); err != nil {
			return err
		}
		b.stop()
		b.procs = nil
		config := path(dir, "sekishod.yaml")
		text, err := os.ReadFile(config)
		if err != nil {
			return err
		}
		text = bytes.Replace(text, []byte("\npublic_names: []"), []byte("\npublic_names: [\""+b.far.address+"\"]"), 1)
		if err := os.WriteFile(config, text, 0o600); err != nil {
			return err
		}
	}
	if err := b.serve(ctx, argv); err != nil {
		return err
	}
	source := exec.CommandContext(ctx, "sh", "-c", `. "$1" && env -0`, "sh", path(dir, "env.sh"))
	source.Env = clean()
	out, err := source.Output()
	if err != nil {
		return fmt.Errorf("source env.sh: %w", err)
	}
	b.env = map[string]string{}
	for kv := range strings.SplitSeq(string(out), "\x00") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			b.env[k] = v
		}
	}
	return nil
}

// serve starts sekishod and waits until it is ready.
func (b *bed) serve(ctx context.Context, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.SysProcAttr = clean(), &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.far.start(cmd); err != nil {
		return fmt.Errorf("start sekishod (build it with `make build`): %w", err)
	}
	b.procs = append(b.procs, &process{cmd: cmd})
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if lines.Text() == "ready" {
				ready <- true
			}
		}
		close(ready)
		io.Copy(io.Discard, stdout)
	}()
	select {
	case ok := <-ready:
		if !ok {
			return errors.New("sekishod ended before it was ready")
		}
		return nil
	case <-time.After(patience):
		return errors.New("sekishod is not ready")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call calls an operation of the deployment as its administrator.
func (b *bed) call(ctx context.Context, operation string, in, out any) error {
	transport, err := client.HTTPClient(b.env["AWS_CA_BUNDLE"])
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	transport.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		return b.far.dial(ctx, address)
	}
	api := awsapi.Client{
		Endpoint: b.env["AWS_ENDPOINT_URL"], HTTP: transport, UserAgent: "sekisho-bench",
		Sign: func(r *http.Request, body []byte) error {
			sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{
				AccessKeyID: b.env["AWS_ACCESS_KEY_ID"], SecretAccessKey: b.env["AWS_SECRET_ACCESS_KEY"],
			}, b.env["AWS_DEFAULT_REGION"], "ssm", time.Now())
			return nil
		},
	}
	if out == nil {
		out = &struct{}{}
	}
	return api.Call(ctx, "AmazonSSM."+operation, in, out)
}

// plugin starts a session and is the command line and the environment of its plugin.
func (b *bed) plugin(ctx context.Context, program, node, document string, parameters map[string][]string) (argv, environ []string, err error) {
	in := &ssm.StartSessionInput{Target: node, DocumentName: document, Parameters: parameters}
	session := new(ssm.StartSessionOutput)
	if err := b.call(ctx, "StartSession", in, session); err != nil {
		return nil, nil, err
	}
	answer, err := json.Marshal(session)
	if err != nil {
		return nil, nil, err
	}
	request, err := json.Marshal(in)
	if err != nil {
		return nil, nil, err
	}
	for k, v := range b.env {
		environ = append(environ, k+"="+v)
	}
	return []string{program, responseVariable, b.env["AWS_DEFAULT_REGION"], "StartSession", "", string(request), b.env["AWS_ENDPOINT_URL"]},
		append(environ, responseVariable+"="+string(answer)), nil
}

// startSSHD runs an sshd on loopback with keys of its own.
func (b *bed) startSSHD(ctx context.Context) (port string, err error) {
	daemon := "/usr/sbin/sshd"
	if _, err := exec.LookPath(daemon); err != nil {
		return "", errors.New("OpenSSH is not installed (Debian: openssh-server)")
	}
	for _, key := range []string{"host_key", "user_key"} {
		out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(b.dir, key)).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	address := b.far.free(b.far.address)
	_, port, _ = net.SplitHostPort(address)
	server := fmt.Sprintf("ListenAddress %s\nHostKey %[2]s/host_key\nAuthorizedKeysFile %[2]s/user_key.pub\nPidFile none\nUsePAM no\n"+
		"UseDNS no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\nLogLevel ERROR\n", address, b.dir)
	config := fmt.Sprintf("Host bench\n HostName %[4]s\n Port %[1]s\n User %[2]s\n IdentityFile %[3]s/user_key\n IdentitiesOnly yes\n IdentityAgent none\n"+
		" UserKnownHostsFile %[3]s/known_hosts\n StrictHostKeyChecking accept-new\n BatchMode yes\n ExitOnForwardFailure yes\n LogLevel ERROR\n",
		port, platform.CurrentAccount().Name, b.dir, b.far.address)
	if err := errors.Join(os.WriteFile(path(b.dir, "sshd_config"), []byte(server), 0o600),
		os.WriteFile(path(b.dir, "ssh_config"), []byte(config), 0o600)); err != nil {
		return "", err
	}
	if os.Geteuid() == 0 {
		// Where an sshd of root locks itself in (sshd(8), FILES).
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return "", err
		}
	}
	return port, b.listening(ctx, b.far, address, "sshd", clean(), daemon, "-D", "-e", "-f", path(b.dir, "sshd_config"))
}

// clean is the environment without what belongs to other deployments, and proxies:
// everything here is on loopback.
func clean() []string {
	var list []string
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(key)
		if !strings.HasPrefix(upper, "AWS_") && !strings.HasPrefix(upper, "SEKISHO_") && !strings.HasPrefix(upper, "SSL_CERT_") && !strings.HasSuffix(upper, "_PROXY") {
			list = append(list, kv)
		}
	}
	return list
}
