// Command sekisho is the operators' and administrators' tool: sessions, tunnels, nodes
// and recordings. All of it goes through the API, with the credentials, region and
// endpoint of the AWS configuration; the aws CLI can do the same.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"sekisho/internal/client"
	"sekisho/internal/client/terminal"
	"sekisho/internal/ssm"
)

// version is set when the program is built.
var version = "development"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitSignal = 128 // and the signal's number
)

func main() {
	if terminal.IsGuard(os.Args[1:]) {
		os.Exit(terminal.RunGuard())
	}
	os.Exit(run(os.Args[1:]))
}

// usageError is a mistake of whoever started the program.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// exitCode ends the program with a code and without words.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run is the program. It gives the exit code.
func run(args []string) int {
	err := dispatch(args)
	var code exitCode
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "sekisho: %s\n", usage.text)
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "sekisho: %s\n", explain(err))
	return exitFailed
}

// explain says what is wrong and what to do next.
func explain(err error) string {
	var credentials *client.CredentialsError
	var e *ssm.Error
	switch {
	case errors.As(err, &credentials):
		return err.Error() + "\nSet AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws with --profile."
	case errors.As(err, &e):
		text := e.Code + ": " + e.Message
		switch e.Code {
		case ssm.CodeAccessDenied:
			text += "\nAsk an administrator for the permission; `sekisho policy simulate` shows what a policy decides."
		case ssm.CodeTargetNotConnected:
			text += "\n`sekisho nodes` lists the nodes and which of them are online."
		case "RecordingNotFoundException":
			text += "\n`sekisho recordings list` lists the recordings."
		case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException":
			text += "\nThe credentials are not (or no longer) good here: check AWS_PROFILE, AWS_REGION and the endpoint."
		}
		return text
	case strings.Contains(err.Error(), "certificate"):
		return err.Error() + "\nThe server's certificate is not trusted: name the file of its CA with --ca-bundle or AWS_CA_BUNDLE."
	case strings.Contains(err.Error(), "connection refused"), strings.Contains(err.Error(), "no such host"):
		return err.Error() + "\nIs the endpoint right (--endpoint-url or AWS_ENDPOINT_URL), and does the server run?"
	}
	return err.Error()
}

// verb is something that the program does.
type verb struct {
	name     string // "recordings list"
	args     string // of the usage line
	what     string
	examples []string
	flags    func(*flag.FlagSet)
	run      func(ctx context.Context, c *caller, args []string) error
	local    bool // needs no server
}

// caller is what every verb works with.
type caller struct {
	options
	stdout, stderr io.Writer
	api            *api
}

// options are the flags that all verbs have.
type options struct {
	profile, region, endpoint, bundle, output string
	noColor                                   bool
}

func (o *options) flags(f *flag.FlagSet) {
	f.StringVar(&o.profile, "profile", "", "`NAME` of a profile of the AWS configuration")
	f.StringVar(&o.region, "region", "", "`REGION` of the deployment; else that of the AWS configuration")
	f.StringVar(&o.endpoint, "endpoint-url", "", "`URL` of the server; else AWS_ENDPOINT_URL or that of the profile")
	f.StringVar(&o.bundle, "ca-bundle", "", "PEM `FILE` of the server's CA; else AWS_CA_BUNDLE or that of the profile")
	f.StringVar(&o.output, "output", "text", "text or json")
	f.BoolVar(&o.noColor, "no-color", false, "no colour, also on a terminal")
}

// color gives text in a colour of SGR, on a terminal only.
func (c *caller) color(sgr, text string) string {
	f, ok := c.stdout.(*os.File)
	if !ok || c.noColor || os.Getenv("NO_COLOR") != "" || !term.IsTerminal(int(f.Fd())) {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[m"
}

func dispatch(args []string) error {
	all := verbs()
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		printHelp(os.Stdout, all)
		return nil
	}
	if args[0] == "--version" || args[0] == "version" {
		fmt.Println(version)
		return nil
	}
	for words := min(2, len(args)); words > 0; words-- {
		name := strings.Join(args[:words], " ")
		if i := slices.IndexFunc(all, func(v verb) bool { return v.name == name }); i >= 0 {
			return all[i].start(args[words:])
		}
	}
	if slices.ContainsFunc(all, func(v verb) bool { return strings.HasPrefix(v.name, args[0]+" ") }) {
		for _, v := range all {
			if strings.HasPrefix(v.name, args[0]+" ") {
				fmt.Printf("  sekisho %-44s %s\n", strings.TrimSpace(v.name+" "+v.args), v.what)
			}
		}
		if len(args) > 1 && args[1] != "--help" && args[1] != "-h" {
			return usageError{fmt.Sprintf("%s: unknown verb %q", args[0], args[1])}
		}
		return nil
	}
	return usageError{fmt.Sprintf("unknown verb %q (`sekisho --help` lists them)", args[0])}
}

// start reads the arguments of a verb and runs it.
func (v verb) start(args []string) error {
	c := &caller{stdout: os.Stdout, stderr: os.Stderr}
	f := flag.NewFlagSet(v.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	c.options.flags(f)
	if v.flags != nil {
		v.flags(f)
	}
	var rest []string
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			v.help(os.Stdout, f)
			return nil
		}
		if err != nil {
			return usageError{fmt.Sprintf("%s: %v (see `sekisho %s --help`)", v.name, err, v.name)}
		}
		// Flags may follow other arguments; what follows "--" is none.
		at := len(args) - f.NArg()
		if at > 0 && args[at-1] == "--" || f.NArg() == 0 {
			rest = append(rest, f.Args()...)
			break
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
	if c.output != "text" && c.output != "json" {
		return usageError{fmt.Sprintf("--output %q is neither text nor json", c.output)}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if !v.local {
		a, err := newAPI(ctx, c.options)
		if err != nil {
			return err
		}
		c.api = a
	}
	return v.run(ctx, c, rest)
}

// interruptible ends ctx at a signal, for verbs that have no other way.
func interruptible(ctx context.Context) (context.Context, func()) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

func printHelp(w io.Writer, all []verb) {
	fmt.Fprint(w, "sekisho: sessions, tunnels, nodes and recordings of a Sekisho server.\n\n"+
		"Credentials, region and endpoint are those of the AWS configuration (AWS_PROFILE,\n"+
		"AWS_REGION, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, ~/.aws/config).\n\n")
	for _, v := range all {
		fmt.Fprintf(w, "  sekisho %-44s %s\n", strings.TrimSpace(v.name+" "+v.args), v.what)
	}
	fmt.Fprint(w, "\n`sekisho VERB --help` explains one, with examples.\n")
}

func (v verb) help(w io.Writer, f *flag.FlagSet) {
	fmt.Fprintf(w, "usage: sekisho %s [flags]\n\n%s.\n\n", strings.TrimSpace(v.name+" "+v.args), v.what)
	if len(v.examples) > 0 {
		fmt.Fprintln(w, "examples:")
		for _, e := range v.examples {
			fmt.Fprintln(w, "  "+e)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "flags:")
	f.VisitAll(func(x *flag.Flag) {
		kind, text := flag.UnquoteUsage(x)
		fmt.Fprintf(w, "  --%-24s %s\n", strings.TrimSpace(x.Name+" "+kind), text)
	})
}

// need checks the number of arguments.
func need(verb string, args []string, least, most int, what string) error {
	if len(args) < least || len(args) > most {
		return usageError{fmt.Sprintf("%s: %s must be given (see `sekisho %s --help`)", verb, what, verb)}
	}
	return nil
}
