package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"sekisho/internal/client"
	"sekisho/internal/client/terminal"
	"sekisho/internal/ssm"
)

type startOptions struct{ document, reason, command string }

func (o *startOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.document, "document", "", "session document, `NAME` or ARN; else the usual one")
	f.StringVar(&o.reason, "reason", "", "why, in `WORDS`; they are on the audit trail")
}

func (o *startOptions) connectFlags(f *flag.FlagSet) {
	o.flags(f)
	f.StringVar(&o.command, "command", "", "runs a `COMMAND` in place of a shell; its exit code is this program's")
}

// findNode gives the id of a node that is named by its id, its name or its computer's.
func (c *caller) findNode(ctx context.Context, name string) (string, error) {
	if ssm.IsNodeID(name) {
		return name, nil
	}
	list, err := allNodes(ctx, c.api)
	if err != nil {
		return "", fmt.Errorf("look for the node %q: %w", name, err)
	}
	var found []string
	for _, n := range list {
		if n.Name == name || n.ComputerName == name {
			found = append(found, n.InstanceID)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("no node has the name %q: `sekisho nodes` lists them", name)
	}
	return "", fmt.Errorf("%d nodes have the name %q: say which of %s", len(found), name, strings.Join(found, ", "))
}

func (o *startOptions) connect(ctx context.Context, c *caller, args []string) error {
	if err := need("connect", args, 1, 1, "a node"); err != nil {
		return err
	}
	document, parameters := o.document, map[string][]string(nil)
	if o.command != "" {
		if document == "" {
			document = "AWS-StartNonInteractiveCommand"
		}
		parameters = map[string][]string{"command": {o.command}}
	}
	return o.start(ctx, c, args[0], document, parameters)
}

func (o *startOptions) forward(ctx context.Context, c *caller, args []string) error {
	if err := need("forward", args, 2, 2, "a node and [LOCAL:][HOST:]PORT"); err != nil {
		return err
	}
	parts := strings.Split(args[1], ":")
	parameters := map[string][]string{"portNumber": {parts[len(parts)-1]}, "localPortNumber": {"0"}}
	document := "AWS-StartPortForwardingSession"
	switch {
	case len(parts) == 2 && isNumber(parts[0]):
		parameters["localPortNumber"] = []string{parts[0]}
	case len(parts) == 2:
		document, parameters["host"] = "AWS-StartPortForwardingSessionToRemoteHost", []string{parts[0]}
	case len(parts) == 3:
		document, parameters["host"] = "AWS-StartPortForwardingSessionToRemoteHost", []string{parts[1]}
		parameters["localPortNumber"] = []string{parts[0]}
	case len(parts) > 3:
		return usageError{fmt.Sprintf("forward: %q is not [LOCAL:][HOST:]PORT", args[1])}
	}
	if o.document != "" {
		document = o.document
	}
	return o.start(ctx, c, args[0], document, parameters)
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (o *startOptions) proxy(ctx context.Context, c *caller, args []string) error {
	if err := need("proxy", args, 1, 2, "a node"); err != nil {
		return err
	}
	port, document := "22", "AWS-StartSSHSession"
	if len(args) == 2 {
		port = args[1]
	}
	if o.document != "" {
		document = o.document
	}
	return o.start(ctx, c, args[0], document, map[string][]string{"portNumber": {port}})
}

// runSSH gives way to ssh, with this program as its ProxyCommand.
func runSSH(c *caller, args []string) error {
	if err := need("ssh", args, 1, 1000, "a node"); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	proxy := quote(program) + " proxy %h %p"
	for name, value := range map[string]string{"profile": c.profile, "region": c.region, "endpoint-url": c.endpoint, "ca-bundle": c.bundle} {
		if value != "" {
			proxy += " --" + name + " " + quote(value)
		}
	}
	ssh := exec.Command("ssh", append([]string{"-o", "ProxyCommand=" + proxy}, append(args[1:], args[0])...)...)
	ssh.Stdin, ssh.Stdout, ssh.Stderr = os.Stdin, os.Stdout, os.Stderr
	signal.Ignore(os.Interrupt) // it is ssh's
	err = ssh.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return exitCode(ended.ExitCode())
	}
	return err
}

// quote makes one word for a shell, in which ssh's percent signs stand for themselves.
func quote(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "'", `'\''`), "%", "%%") + "'"
}

// caught is a signal that ended the session here.
type caught struct{ signal os.Signal }

func (e *caught) Error() string { return "ended by signal: " + e.signal.String() }

// start starts a session and runs it here.
func (o *startOptions) start(ctx context.Context, c *caller, name, document string, parameters map[string][]string) error {
	node, err := c.findNode(ctx, name)
	if err != nil {
		return err
	}
	in := &ssm.StartSessionInput{Target: node, DocumentName: document, Reason: o.reason, Parameters: parameters}
	request := map[string]any{"Target": in.Target}
	if in.DocumentName != "" {
		request["DocumentName"] = in.DocumentName
	}
	if in.Reason != "" {
		request["Reason"] = in.Reason
	}
	if in.Parameters != nil {
		request["Parameters"] = in.Parameters
	}
	var out ssm.StartSessionOutput
	if err := c.api.call(ctx, "ssm", "StartSession", request, &out); err != nil {
		return err
	}
	return c.runSession(client.Session{ID: out.SessionID, Token: out.TokenValue, StreamURL: out.StreamURL, Target: node})
}

// runSession is a session on this process's terminal.
func (c *caller) runSession(session client.Session) error {
	var guard []string
	if program, err := os.Executable(); err == nil {
		guard = append([]string{program}, terminal.GuardArgs()...)
	}
	input, err := terminal.NewInput(os.Stdin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	t := terminal.Open(os.Stdin, os.Stdout, guard)
	defer t.Restore()
	interactive := t.Interactive()
	keys, stop := make(chan byte, 1), make(chan os.Signal)
	signals := make(chan os.Signal, 4)
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				select {
				case stop <- s: // a tunnel takes it
					continue
				default:
				}
				key, isKey := map[os.Signal]byte{os.Interrupt: 0x03, syscall.SIGQUIT: 0x1c}[s]
				if isKey && !interactive {
					select {
					case keys <- key:
						continue
					default:
					}
				}
				cancel(&caught{s})
			}
		}
	}()
	service := client.NewService(c.api.endpoint, c.api.region, c.api.profile, c.api.http)
	options := client.Options{
		Stdin: input, Stdout: os.Stdout, Stderr: os.Stderr,
		Size: t.Size, Resized: t.Changes(ctx), Keys: keys, Stop: stop,
		Dial:   client.Dialer{HTTP: c.api.http}.Dial,
		Resume: service.Resume, DataKey: service.GenerateDataKey,
		Language: client.LanguageOf(os.Getenv), LateGreeting: !interactive,
	}
	if interactive {
		options.Terminal = t
	}
	outcome, err := client.Run(ctx, session, options)
	t.Restore()
	var stopped *client.StoppedError
	var signalled *caught
	switch {
	case err == nil && outcome.ExitCode != nil && *outcome.ExitCode != 0:
		return exitCode(uint8(*outcome.ExitCode))
	case err == nil:
		return nil
	case errors.As(err, &stopped) && stopped.Signal == os.Interrupt: // how a tunnel is closed
		return nil
	case errors.As(context.Cause(ctx), &signalled):
		if number, ok := signalled.signal.(syscall.Signal); ok {
			return exitCode(exitSignal + int(number))
		}
		return exitCode(exitFailed)
	case errors.Is(err, client.ErrNotConnected):
		_ = service.Terminate(context.Background(), session.ID)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: is the gateway (%s) reachable from here?", err, session.StreamURL)
	}
	return errors.New(client.Explain(client.LanguageOf(os.Getenv), err))
}
