package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
	dir     string
	service *service
	bin     string
	env     map[string]string // of the deployment
	procs   []*exec.Cmd
}

// stop ends all programs, the last one first.
func (b *bed) stop() {
	for i := len(b.procs) - 1; i >= 0; i-- {
		p := b.procs[i]
		p.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(patience/2, func() { p.Process.Kill() })
		p.Wait()
		kill.Stop()
	}
}

// start runs a program until stop, with what it says in a file.
func (b *bed) start(name string, environ []string, argv ...string) error {
	log, err := os.Create(path(b.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, log, log
	// A Ctrl-C at the terminal is for us; the programs end in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.procs = append(b.procs, cmd)
	return nil
}

// peers starts everybody.
func (b *bed) peers(ctx context.Context, bin string, wanted func(string) bool) ([]*peer, error) {
	var err error
	if b.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	var list []*peer
	add := func(name string, begin func(p *peer) error) {
		if !wanted(name) {
			return
		}
		p := &peer{Name: name, Figures: map[string][]float64{}}
		list = append(list, p)
		if err := begin(p); err != nil {
			p.Absent = err.Error()
		}
	}
	if err := b.startDeployment(ctx); err != nil {
		return nil, err
	}
	sshPort, sshErr := b.startSSHD(ctx)
	content := path(b.dir, "content")
	if err := os.WriteFile(content, make([]byte, copySize), 0o600); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(b.service.address())

	ssh := func(name string, args ...string) {
		add(name, func(p *peer) error {
			if sshErr != nil {
				return sshErr
			}
			p.address = free()
			argv := append([]string{"ssh", "-F", path(b.dir, "ssh_config"), "-N", "-L", p.address + ":" + b.service.address()}, args...)
			return b.listening(ctx, p, "ssh-"+p.address, clean(), append(argv, "bench")...)
		})
	}
	add("plain TCP", func(p *peer) error { p.address = b.service.address(); return nil })
	ssh(reference)
	ssh("ssh -L, aes128-gcm", "-c", "aes128-gcm@openssh.com")
	ssh("ssh -L -J, two hops", "-J", "bench")
	add("chisel", func(p *peer) error {
		program := os.Getenv("STOCK_CHISEL")
		if program == "" {
			return errors.New("STOCK_CHISEL is not set")
		}
		server := free()
		_, serverPort, _ := net.SplitHostPort(server)
		if err := b.listening(ctx, &peer{address: server}, "chisel-server", clean(), program, "server", "--host", "127.0.0.1", "--port", serverPort); err != nil {
			return err
		}
		p.address = free()
		return b.listening(ctx, p, "chisel", clean(), program, "client", "http://"+server, p.address+":"+b.service.address())
	})
	forward := func(name, program string) {
		add(name, func(p *peer) error {
			if program == "" {
				return errors.New("STOCK_PLUGIN is not set")
			}
			p.address = free()
			_, local, _ := net.SplitHostPort(p.address)
			argv, environ, err := b.plugin(ctx, program, "AWS-StartPortForwardingSession",
				map[string][]string{"portNumber": {port}, "localPortNumber": {local}})
			if err != nil {
				return err
			}
			return b.listening(ctx, p, "plugin-"+local, environ, argv...)
		})
	}
	own := path(b.bin, "session-manager-plugin")
	forward("sekisho", own)
	forward("stock plugin, our agent", os.Getenv("STOCK_PLUGIN"))
	add("plain scp", func(p *peer) error {
		p.scp = func(ctx context.Context) (float64, error) { return b.scp(ctx, clean(), content) }
		return sshErr
	})
	add("scp, our ProxyCommand", func(p *peer) error {
		p.scp = func(ctx context.Context) (float64, error) {
			argv, environ, err := b.plugin(ctx, own, "AWS-StartSSHSession", map[string][]string{"portNumber": {sshPort}})
			if err != nil {
				return 0, err
			}
			script := "#!/bin/sh\nexec"
			for _, a := range argv {
				script += " '" + a + "'"
			}
			if err := os.WriteFile(path(b.dir, "proxy"), []byte(script+"\n"), 0o700); err != nil {
				return 0, err
			}
			return b.scp(ctx, environ, content, "-o", "ProxyCommand="+path(b.dir, "proxy"))
		}
		return sshErr
	})
	return list, nil
}

// listening starts a program and waits until it listens at the peer's address.
func (b *bed) listening(ctx context.Context, p *peer, name string, environ []string, argv ...string) error {
	name = strings.NewReplacer(":", "-", ".", "-").Replace(name)
	if err := b.start(name, environ, argv...); err != nil {
		return err
	}
	if err := awaitListener(ctx, p.address); err != nil {
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
func (b *bed) startDeployment(ctx context.Context) error {
	dir := path(b.dir, "dev")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	cmd := exec.Command(path(b.bin, "sekishod"), "dev", "--dir", dir, "--listen", free(), "--nodes", "1")
	cmd.Env, cmd.SysProcAttr = clean(), &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start sekishod (build it with `make build`): %w", err)
	}
	b.procs = append(b.procs, cmd)
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
	case <-time.After(patience):
		return errors.New("sekishod is not ready")
	case <-ctx.Done():
		return ctx.Err()
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

// plugin starts a session and is the command line and the environment of its plugin.
func (b *bed) plugin(ctx context.Context, program, document string, parameters map[string][]string) (argv, environ []string, err error) {
	transport, err := client.HTTPClient(b.env["AWS_CA_BUNDLE"])
	if err != nil {
		return nil, nil, err
	}
	defer transport.CloseIdleConnections()
	api := awsapi.Client{
		Endpoint: b.env["AWS_ENDPOINT_URL"], HTTP: transport, UserAgent: "sekisho-bench",
		Sign: func(r *http.Request, body []byte) error {
			sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{
				AccessKeyID: b.env["AWS_ACCESS_KEY_ID"], SecretAccessKey: b.env["AWS_SECRET_ACCESS_KEY"],
			}, b.env["AWS_DEFAULT_REGION"], "ssm", time.Now())
			return nil
		},
	}
	in := &ssm.StartSessionInput{Target: b.env["SEKISHO_NODE_ID"], DocumentName: document, Parameters: parameters}
	session := new(ssm.StartSessionOutput)
	if err := api.Call(ctx, "AmazonSSM.StartSession", in, session); err != nil {
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
	address := free()
	_, port, _ = net.SplitHostPort(address)
	server := fmt.Sprintf("ListenAddress %s\nHostKey %[2]s/host_key\nAuthorizedKeysFile %[2]s/user_key.pub\nPidFile none\nUsePAM no\n"+
		"UseDNS no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\nLogLevel ERROR\n", address, b.dir)
	config := fmt.Sprintf("Host bench\n HostName 127.0.0.1\n Port %s\n User %s\n IdentityFile %[3]s/user_key\n IdentitiesOnly yes\n IdentityAgent none\n"+
		" UserKnownHostsFile %[3]s/known_hosts\n StrictHostKeyChecking accept-new\n BatchMode yes\n ExitOnForwardFailure yes\n LogLevel ERROR\n",
		port, platform.CurrentAccount().Name, b.dir)
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
	return port, b.listening(ctx, &peer{address: address}, "sshd", clean(), daemon, "-D", "-e", "-f", path(b.dir, "sshd_config"))
}

// free is an address of loopback where nobody listens; without one, nothing can.
func free() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

func awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-poll.C:
		}
	}
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
