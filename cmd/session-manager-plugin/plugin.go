package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sekisho/internal/client"
	"sekisho/internal/client/terminal"
	"sekisho/internal/message"
)

// Exit codes. A session that ended, was ended or timed out is 0, as with the stock
// program, whatever the remote command said; a signal gives the shell's code for it.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitSignal = 128 // and the signal's number
)

const (
	// leavePatience bounds the wait for an orderly end after a signal: output that
	// nobody reads must not keep the terminal raw.
	leavePatience = 2 * time.Second
	// terminatePatience bounds the call that ends a session which never opened.
	terminatePatience = 5 * time.Second
)

// interrupt is the control character of Ctrl-C.
const interrupt = 0x03

// quit is the control character of Ctrl-\.
const quit = 0x1c

// installed is printed when the program is started without arguments.
const installed = `
The Session Manager plugin of Sekisho is installed. It is used by the AWS CLI:
run "aws ssm start-session --target NODE" to start a session.

`

func processEnv() *environment {
	env := &environment{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		lookup: os.LookupEnv,
		unset:  func(name string) { os.Unsetenv(name) },
	}
	if program, err := os.Executable(); err == nil {
		env.guard = append([]string{program}, terminal.GuardArgs()...)
	}
	return env
}

// run is the program. It gives the exit code.
func run(env *environment, args []string) int {
	switch {
	case len(args) == 0:
		fmt.Fprint(env.stdout, installed)
		return exitOK
	case args[0] == "--version":
		fmt.Fprintln(env.stdout, message.ClientVersion)
		return exitOK
	}
	a, err := parseArguments(env, args)
	if err != nil {
		fmt.Fprintln(env.stderr, err)
		return exitUsage
	}
	return startSession(env, a)
}

// caught is a signal that ended the session here.
type caught struct{ signal os.Signal }

func (c *caught) Error() string { return "ended by signal: " + c.signal.String() }

// startSession runs the session on the process's terminal.
func startSession(env *environment, a arguments) int {
	language := client.LanguageOf(env.getenv)
	fail := func(err error) int {
		fmt.Fprintln(env.stderr, client.Explain(language, err))
		return exitFailed
	}
	httpClient, err := client.HTTPClient(bundleOf(env, a.profile))
	if err != nil {
		return fail(err)
	}
	input, err := terminal.NewInput(env.stdin)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	term := terminal.Open(env.stdin, env.stdout, env.guard)
	defer term.Restore()
	interactive := term.Interactive()

	keys, stop := make(chan byte, 1), make(chan os.Signal)
	stopSignals := watchSignals(interactive, keys, stop, func(s os.Signal) { cancel(&caught{s}) })
	defer stopSignals()

	service := client.NewService(a.endpoint, a.region, a.profile, httpClient)
	options := client.Options{
		Stdin: input, Stdout: env.stdout, Stderr: env.stderr,
		Size: term.Size, Resized: term.Changes(ctx), Keys: keys, Stop: stop,
		Dial:     client.Dialer{HTTP: httpClient}.Dial,
		Resume:   service.Resume,
		DataKey:  service.GenerateDataKey,
		Language: language,
		// A person at a terminal sees at once that something happens.
		LateGreeting: !interactive,
	}
	if interactive {
		options.Terminal = term
	}
	a.session.Target = a.request.Target
	outcome, err := runBounded(ctx, a.session, options)
	term.Restore() // before the words, and also when the run is stuck
	var signalled *caught
	var stopped *client.StoppedError
	switch {
	case err == nil && outcome.ExitCode != nil:
		return int(uint8(*outcome.ExitCode)) // what a shell makes of Windows' 32 bits, too
	case err == nil:
		return exitOK
	case errors.As(err, &stopped):
		if stopped.Signal == os.Interrupt { // Ctrl-C is how a tunnel is closed
			return exitOK
		}
		return signalCode(stopped.Signal)
	case errors.As(context.Cause(ctx), &signalled):
		return signalCode(signalled.signal)
	case errors.Is(err, client.ErrNotConnected):
		// Nobody can use the session any more, so the node need not keep it.
		terminate, stop := context.WithTimeout(context.Background(), terminatePatience)
		defer stop()
		_ = service.Terminate(terminate, a.session.ID)
	}
	return fail(err)
}

// runBounded runs the session, and gives up on it when it does not end soon after ctx.
func runBounded(ctx context.Context, session client.Session, options client.Options) (client.Outcome, error) {
	type ended struct {
		outcome client.Outcome
		err     error
	}
	done := make(chan ended, 1)
	go func() {
		outcome, err := client.Run(ctx, session, options)
		done <- ended{outcome, err}
	}()
	select {
	case e := <-done:
		return e.outcome, e.err
	case <-ctx.Done():
	}
	late := time.NewTimer(leavePatience)
	defer late.Stop()
	select {
	case e := <-done:
		return e.outcome, e.err
	case <-late.C:
		return client.Outcome{}, context.Cause(ctx)
	}
}

// watchSignals ends the session at a signal. Keys of a raw terminal are no signals,
// so those come from outside; without a terminal, an interrupt is passed on to the
// node as the key it stands for, and one that finds the last still waiting (there is
// no connection) ends the session.
//
// A tunnel takes the signals from stop instead.
func watchSignals(interactive bool, keys chan<- byte, stop chan<- os.Signal, end func(os.Signal)) (release func()) {
	// A reader of our output that goes away is an error of a write, after which the
	// terminal is restored, not a sudden death.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var s os.Signal
			select {
			case <-stopped:
				return
			case s = <-signals:
			}
			select {
			case stop <- s:
				continue
			default:
			}
			key, isKey := map[os.Signal]byte{os.Interrupt: interrupt, syscall.SIGQUIT: quit}[s]
			if isKey && !interactive {
				select {
				case keys <- key:
					continue
				default:
				}
			}
			end(s)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(stopped)
		<-done
	}
}

// signalCode is the exit code of a program that a signal ended, as shells have it.
func signalCode(s os.Signal) int {
	if number, ok := s.(syscall.Signal); ok {
		return exitSignal + int(number)
	}
	return exitFailed
}

// bundleOf names the file of further certificate authorities, or empty: the
// environment's before the profile's, as the CLI has it.
func bundleOf(env *environment, profile string) string {
	if bundle, _ := env.lookup("AWS_CA_BUNDLE"); bundle != "" {
		return bundle
	}
	return client.ProfileBundle(context.Background(), profile, env.getenv)
}
