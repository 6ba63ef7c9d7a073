// Sekishod is the Sekisho server: the API, the message gateway and the console on one
// TLS port. `sekishod --help` lists its commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		received := <-signals
		// The second signal finds the default action: it ends a stop that hangs.
		signal.Stop(signals)
		cancel(stopSignal{received})
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// stopSignal is the cause of a context that a signal ended.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string { return "signal: " + s.String() }

// command is one subcommand. Its run takes the arguments after its name.
type command struct {
	name     string
	summary  string
	usage    string // arguments, in one line
	examples string
	run      func(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error
}

func commands() []command {
	return []command{
		{
			name: "dev", summary: "run a server and managed nodes of this machine, for trying and developing",
			usage: "--dir DIR [--listen ADDR] [--nodes N] [--region R] [--service-domain D]",
			examples: "sekishod dev --dir dev\n" +
				"sekishod dev --dir /tmp/two --nodes 2 --listen 127.0.0.1:9443",
			run: runDev,
		},
		{
			name: "init", summary: "make the configuration, keys, certificates and administrator of a new server",
			usage: "--dir DIR [--account DIGITS] [--region R] [--name HOST]... [--service-domain D] [--listen ADDR] [--database DSN]",
			examples: "sekishod init --dir /var/lib/sekisho --name ssm.example.net --listen '[::]:8443'\n" +
				"sekishod init --dir /var/lib/sekisho --name ssm.example.net --database postgres://sekisho@db.example.net/sekisho",
			run: runInit,
		},
		{
			name: "serve", summary: "run the server",
			usage:    "--config FILE",
			examples: "sekishod serve --config /var/lib/sekisho/sekishod.yaml",
			run:      runServe,
		},
		{
			name: "migrate", summary: "bring the database to this program's schema, and end (serve does it too)",
			usage:    "--config FILE",
			examples: "sekishod migrate --config /var/lib/sekisho/sekishod.yaml",
			run:      runMigrate,
		},
		{
			name: "audit export", summary: "write the audit trail as JSON lines, oldest first",
			usage: "--config FILE [--since TIME] [--until TIME]",
			examples: "sekishod audit export --config /var/lib/sekisho/sekishod.yaml > events.jsonl\n" +
				"sekishod audit export --config /var/lib/sekisho/sekishod.yaml --since 24h\n" +
				"sekishod audit export --config /var/lib/sekisho/sekishod.yaml --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z",
			run: runAuditExport,
		},
		{
			name: "recordings verify", summary: "say whether recordings are as they were made; needs nothing but their files",
			usage: "[--key FILE] DIR...",
			examples: "sekishod recordings verify /var/lib/sekisho/recordings/alice-0a1b2c3d4e5f67890\n" +
				"sekishod recordings verify --key /mnt/stick/recordings.pub copies/*",
			run: runRecordingsVerify,
		},
		{
			name: "recordings export", summary: "write a recording for asciinema, or as the user saw it",
			usage: "[--form FORM] DIR",
			examples: "sekishod recordings export DIR > session.cast && asciinema play session.cast\n" +
				"sekishod recordings export --form output DIR",
			run: runRecordingsExport,
		},
		{
			name: "agents publish", summary: "put programs of the agent where machines that join, and agents that update, get them",
			usage: "--config FILE [--key FILE] [--release NAME] PROGRAM...",
			examples: "sekishod agents publish --config /var/lib/sekisho/sekishod.yaml dist/agents/sekisho-agent-*\n" +
				"sekishod agents publish --config /var/lib/sekisho/sekishod.yaml --release 1.4.0 --key /mnt/stick/agents.key sekisho-agent-linux-amd64",
			run: runAgentsPublish,
		},
		{
			name: "agents command", summary: "print the command that installs the agent on a machine and registers it",
			usage: "--config FILE [--id ID]",
			examples: "sekishod agents command --config /var/lib/sekisho/sekishod.yaml\n" +
				"sekishod agents command --config /var/lib/sekisho/sekishod.yaml --id 01234567-89ab-cdef-0123-456789abcdef",
			run: runAgentsCommand,
		},
		{
			name: "node-hours", summary: "report for how many hours nodes were registered, by activation tier, as JSON",
			usage: "--config FILE [--since TIME] [--until TIME] [--tag KEY]",
			examples: "sekishod node-hours --config /var/lib/sekisho/sekishod.yaml --tag department\n" +
				"sekishod node-hours --config /var/lib/sekisho/sekishod.yaml --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z",
			run: runNodeHours,
		},
		{
			name: "recover", summary: "make a user an administrator with a new key and password, when the old ones are lost",
			usage: "--config FILE [--user NAME]",
			examples: "sekishod recover --config /var/lib/sekisho/sekishod.yaml\n" +
				"sekishod recover --config /var/lib/sekisho/sekishod.yaml --user alice",
			run: runRecover,
		},
		{
			name: "config describe", summary: "print the configuration file with all keys, explained",
			examples: "sekishod config describe > sekishod.yaml",
			run:      runConfigDescribe,
		},
		{
			name: "version", summary: "print the version",
			examples: "sekishod version",
			run:      runVersion,
		},
	}
}

// usageError is a mistake on the command line: exit code 2.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// errHelpShown says that the command line asked for help and got it.
var errHelpShown = errors.New("help shown")

// run runs sekishod and returns its exit code: 0, 1 for a failure, 2 for a wrong
// command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	var usage usageError
	switch {
	case err == nil, errors.Is(err, errHelpShown):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "sekishod: %s\n", usage.text)
		return 2
	default:
		fmt.Fprintf(stderr, "sekishod: %s\n", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		printHelp(stderr)
		return usageError{"which command?"}
	}
	if args[0] == "help" || args[0] == "--help" || args[0] == "-help" || args[0] == "-h" {
		printHelp(stdout)
		return nil
	}
	if args[0] == "--version" {
		args = []string{"version"}
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c.run(ctx, c, args[len(words):], stdout, stderr)
		}
	}
	switch args[0] {
	case "config":
		return usageError{"the only config command is `sekishod config describe`"}
	case "agents":
		return usageError{"the agents commands are `sekishod agents publish` and `sekishod agents command`"}
	case "audit":
		return usageError{"the only audit command is `sekishod audit export`"}
	}
	return usageError{fmt.Sprintf("there is no command %q: see `sekishod --help`", args[0])}
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "sekishod is the Sekisho server: AWS Systems Manager Session Manager, self-hosted.\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-16s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nTry it:\n  sekishod dev --dir dev\n\n`sekishod COMMAND --help` explains a command.\n")
}

// parse reads a command's flags. Arguments that are not flags are a mistake.
func (c command) parse(flags *flag.FlagSet, args []string, stdout io.Writer) error {
	flags.Init("sekishod "+c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		c.printHelp(flags, stdout)
		return errHelpShown
	}
	if err != nil {
		return usageError{fmt.Sprintf("%s: %s (see `sekishod %s --help`)", c.name, err, c.name)}
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Sprintf("%s: what is %q? (see `sekishod %s --help`)", c.name, flags.Arg(0), c.name)}
	}
	return nil
}

func (c command) printHelp(flags *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "sekishod %s: %s\n\nUsage:\n  sekishod %s\n", c.name, c.summary, strings.TrimSpace(c.name+" "+c.usage))
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nFlags:\n")
			first = false
		}
		argument, text := flag.UnquoteUsage(f)
		if f.DefValue != "" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, "  --%s %s\n      %s\n", f.Name, argument, text)
	})
	fmt.Fprintf(w, "\nExamples:\n  %s\n", strings.ReplaceAll(c.examples, "\n", "\n  "))
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }
