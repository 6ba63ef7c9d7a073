package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/client"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// responseVariable is how the AWS CLI hands the answer of StartSession to the plugin,
// the name that its first argument says (protocol.md §11.2).
const responseVariable = "AWS_SSM_START_SESSION_RESPONSE"

// deployment is a running `sekishod dev` with one node, used through its env.sh as an
// operator uses it.
type deployment struct {
	bin  string // absolute
	dir  string
	env  map[string]string
	cmd  *exec.Cmd
	gone chan struct{} // closed when cmd has ended
}

// deploy starts a server and a node in dir and waits until they are ready.
func deploy(ctx context.Context, bin, dir string) (*deployment, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "sekishod.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d := &deployment{bin: bin, dir: dir, gone: make(chan struct{})}
	d.cmd = exec.Command(filepath.Join(bin, "sekishod"), "dev", "--dir", dir, "--listen", address, "--nodes", "1")
	d.cmd.Env = cleanEnviron(os.Environ())
	d.cmd.Stderr = log
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start sekishod (build it with `make build`): %w", err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(d.gone)
		lines, told := bufio.NewScanner(stdout), false
		for lines.Scan() {
			if lines.Text() == "ready" && !told {
				told = true
				close(ready)
			}
		}
		io.Copy(io.Discard, stdout) // a line too long for the scanner
		d.cmd.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ready:
	case <-d.gone:
		err = errors.New("sekishod ended before it was ready")
	case <-timer.C:
		err = errors.New("sekishod is not ready")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		d.env, err = sourceEnviron(ctx, filepath.Join(dir, "env.sh"))
	}
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("%w:\n%s", err, text), d.stop())
	}
	return d, nil
}

// stop ends the server and its node and waits for them.
func (d *deployment) stop() error {
	d.cmd.Process.Signal(os.Interrupt)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-d.gone:
		return nil
	case <-timer.C:
		d.cmd.Process.Kill()
		<-d.gone
		return fmt.Errorf("sekishod did not end within %s", patience)
	}
}

// contender is a session-manager-plugin on this deployment's node.
func (d *deployment) contender(name, program string, size int) *contender {
	environ := append(clientEnviron(), environOf(d.env)...)
	return &contender{name: name, banner: true, outputBytes: size, begin: func(ctx context.Context) ([]string, []string, error) {
		session, err := d.startSession(ctx)
		if err != nil {
			return nil, nil, err
		}
		answer, err := json.Marshal(session)
		if err != nil {
			return nil, nil, err
		}
		request, err := json.Marshal(map[string]string{"Target": d.env["SEKISHO_NODE_ID"]})
		if err != nil {
			return nil, nil, err
		}
		argv := []string{program, responseVariable, d.env["AWS_DEFAULT_REGION"], "StartSession", "", string(request), d.env["AWS_ENDPOINT_URL"]}
		return argv, append(environ[:len(environ):len(environ)], responseVariable+"="+string(answer)), nil
	}}
}

// startSession calls StartSession, on a new connection as each run of a CLI does.
func (d *deployment) startSession(ctx context.Context) (*ssm.StartSessionOutput, error) {
	transport, err := client.HTTPClient(d.env["AWS_CA_BUNDLE"])
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	api := awsapi.Client{
		Endpoint: d.env["AWS_ENDPOINT_URL"], HTTP: transport, UserAgent: "sekisho-bench",
		Sign: func(r *http.Request, body []byte) error {
			sigv4.Sign(r, sigv4.Hash(body), sigv4.Credentials{
				AccessKeyID: d.env["AWS_ACCESS_KEY_ID"], SecretAccessKey: d.env["AWS_SECRET_ACCESS_KEY"],
			}, d.env["AWS_DEFAULT_REGION"], "ssm", time.Now())
			return nil
		},
	}
	out := new(ssm.StartSessionOutput)
	return out, api.Call(ctx, "AmazonSSM.StartSession", &ssm.StartSessionInput{Target: d.env["SEKISHO_NODE_ID"]}, out)
}

// sourceEnviron has a shell read env.sh and returns the environment it makes.
func sourceEnviron(ctx context.Context, script string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", `. "$1" && env -0`, "sh", script)
	cmd.Env = cleanEnviron(os.Environ())
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("source env.sh: %w", err)
	}
	env := map[string]string{}
	for kv := range strings.SplitSeq(string(out), "\x00") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	return env, nil
}

func environOf(env map[string]string) []string {
	var list []string
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	return list
}

// cleanEnviron leaves out what belongs to other deployments, and proxies: everything
// here is on loopback.
func cleanEnviron(environ []string) []string {
	var list []string
	for _, kv := range environ {
		key, _, _ := strings.Cut(kv, "=")
		switch upper := strings.ToUpper(key); {
		case strings.HasPrefix(upper, "AWS_"), strings.HasPrefix(upper, "SSL_CERT_"), strings.HasPrefix(upper, "SEKISHO_"),
			strings.HasSuffix(upper, "_PROXY"):
		default:
			list = append(list, kv)
		}
	}
	return list
}

// clientEnviron is the environment of a client program: that of this process with a
// terminal's name that every shell knows.
func clientEnviron() []string {
	return append(cleanEnviron(os.Environ()), "TERM=xterm-256color")
}
