// Command sekisho-agent is the agent on a managed node: it registers the machine, runs
// in the foreground or as a service, and opens the sessions that the server asks for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"sekisho/internal/agent"
	"sekisho/internal/message"
	"sekisho/internal/osservice"
	"sekisho/internal/platform"
)

// build is stamped by the Makefile. The version that is told to the service is another: it
// says what the agent can do.
var build = "unknown"

func main() {
	// The hidden child first: what it needs is not what a person at a terminal needs.
	if len(os.Args) > 1 && os.Args[1] == agent.ChildCommand {
		os.Exit(agent.Child(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), platform.StopSignals()...)
	code := osservice.Serve(ctx, serviceName, func(ctx context.Context) int {
		return command(ctx, world{os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv})
	})
	stop()
	os.Exit(code)
}

// world is what a command sees of its surroundings.
type world struct {
	args   []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
}

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // it was tried and failed
	exitUsage = 2 // it was not understood
)

// command runs the command that the arguments name and returns the exit status.
func command(ctx context.Context, w world) int {
	if len(w.args) == 0 {
		fmt.Fprint(w.stderr, usage)
		return exitUsage
	}
	name, rest := w.args[0], w.args[1:]
	var err error
	switch name {
	case "register":
		err = register(ctx, w, rest)
	case "run":
		err = run(ctx, w, rest)
	case "update":
		err = update(ctx, w, rest)
	case "diagnose":
		err = diagnose(ctx, w, rest)
	case "service":
		err = service(ctx, w, rest)
	case "version", "-version", "--version":
		err = version(w, rest)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(w.stdout, usage)
		return exitOK
	default:
		if !isStockRegister(w.args) {
			fmt.Fprintf(w.stderr, "sekisho-agent: there is no command %q. Run 'sekisho-agent --help'.\n", name)
			return exitUsage
		}
		err = register(ctx, w, w.args)
	}
	return report(w, err)
}

// isStockRegister recognises the stock agent's way to register: flags only, -register
// among them.
func isStockRegister(args []string) bool {
	if !strings.HasPrefix(args[0], "-") {
		return false
	}
	for _, arg := range args {
		if arg == "-register" || arg == "--register" {
			return true
		}
	}
	return false
}

// errReported says that what failed has been told already.
var errReported = errors.New("failed")

// errUsage says that the problem has been explained already.
var errUsage = errors.New("usage")

// report tells a person what went wrong and what to do about it.
func report(w world, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errReported):
		return exitError
	}
	fmt.Fprintf(w.stderr, "sekisho-agent: %v\n", err)
	if hint := agent.Hint(err); hint != "" {
		fmt.Fprintln(w.stderr, hint)
	}
	if _, ok := errors.AsType[*agent.InputError](err); ok {
		return exitUsage
	}
	return exitError
}

// flags makes a flag set that prints help of ours.
func flags(w world, help string) *flag.FlagSet {
	fs := flag.NewFlagSet("sekisho-agent", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fmt.Fprint(w.stdout, help, "\nFlags:\n")
		fs.SetOutput(w.stdout)
		fs.PrintDefaults()
		fs.SetOutput(io.Discard)
	}
	return fs
}

// parse reads flags; nothing may be left over.
func parse(w world, fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(w.stderr, "sekisho-agent: %v. Add --help to see what is possible.\n", err)
		return errUsage
	}
	return err
}

func version(w world, args []string) error {
	fs := flags(w, "Usage: sekisho-agent version [--json]\n")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(w, fs, args); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(w.stdout).Encode(map[string]string{"Version": message.AgentVersion, "Build": build})
	}
	_, err := fmt.Fprintf(w.stdout, "sekisho-agent %s (%s)\n", message.AgentVersion, build)
	return err
}

const usage = `sekisho-agent connects this machine to a Sekisho server: operators open sessions
on it without an open port.

Usage:
  sekisho-agent register --endpoint URL --region REGION --id ID --code CODE [--ca FILE]
  sekisho-agent run
  sekisho-agent diagnose
  sekisho-agent update [--check]
  sekisho-agent service install | uninstall | status
  sekisho-agent version

Example: register with an activation, then run as a service:
  sekisho-agent register --endpoint https://ssm.example.net:8443 --ca ca.pem \
      --region local-1 --id 01234567-89ab-cdef-0123-456789abcdef --code-file code.txt
  sekisho-agent service install

The form of the stock agent works too:
  sekisho-agent -register -code CODE -id ID -region REGION -y

Every command explains itself with --help.
`
