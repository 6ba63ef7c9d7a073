// Command bench measures a session beside OpenSSH on one machine: the echo of a
// keystroke, the throughput of a shell's output, and the time from the call of
// StartSession to the first byte of the prompt. `make bench` runs it on the programs
// in bin/; docs/performance.md says what the figures mean.
//
// It starts everything itself, on loopback and in a directory that it removes:
// `sekishod dev` with one node, and an sshd with keys and a configuration of its own.
// Each client is a real program at a terminal, ours started as the AWS CLI starts it.
// The clients take turns within a round and the figures are medians of the rounds, so
// that a busy moment of the machine hits all of them or none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options are the flags and what the environment adds.
type options struct {
	bin        string // directory of our programs
	against    string // directory of another build of them; empty for none
	stock      string // a stock session-manager-plugin; empty for none
	rounds     int
	keystrokes int // in a round, of each client
	size       int // bytes of output in a round, of each client
	starts     int // sessions in a round, of each client
	only       map[string]bool
	json       bool
}

// stockShare is the part of size that a stock client is given: it takes a kilobyte at
// a time and would need minutes.
const stockShare = 20

// Names of the measurements, as --only takes them.
const (
	nameEcho   = "echo"
	nameOutput = "output"
	nameStart  = "start"
)

func parseOptions(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	o := options{stock: getenv("STOCK_PLUGIN"), only: map[string]bool{}}
	size, only := "", ""
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bin, "bin", "bin", "`DIR`ectory of sekishod, sekisho-agent and session-manager-plugin")
	flags.StringVar(&o.against, "against", "", "`DIR`ectory of another build of the same programs, measured in turn with the first")
	flags.IntVar(&o.rounds, "rounds", 5, "`N`umber of rounds; figures are their medians")
	flags.IntVar(&o.keystrokes, "keystrokes", 1000, "`N`umber of keystrokes in a round")
	flags.StringVar(&size, "size", "200M", "`BYTES` of output in a round, with K, M or G (a stock plugin gets a twentieth)")
	flags.IntVar(&o.starts, "starts", 10, "`N`umber of sessions started in a round")
	flags.StringVar(&only, "only", "echo,output,start", "`LIST` of what to measure")
	flags.BoolVar(&o.json, "json", false, "print the figures of all rounds as JSON")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	var err error
	if o.size, err = parseSize(size); err != nil {
		return o, err
	}
	for name := range strings.SplitSeq(only, ",") {
		switch name {
		case nameEcho, nameOutput, nameStart:
			o.only[name] = true
		default:
			return o, fmt.Errorf("--only: unknown measurement %q", name)
		}
	}
	for flag, n := range map[string]int{"rounds": o.rounds, "keystrokes": o.keystrokes, "starts": o.starts, "size": o.size} {
		if n < 1 {
			return o, fmt.Errorf("--%s must be at least 1", flag)
		}
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	code, ran, note := inEmptyHome()
	if ran {
		os.Exit(code)
	}
	if note != "" {
		fmt.Fprintln(os.Stderr, "note:", note)
	}
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and reports. Progress and notes go to stderr.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sekisho-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	note := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	machine := describeMachine()
	if machine.Load > busyLoad {
		note("note: the load average is %.1f; other programs take part in these figures", machine.Load)
	}
	d, err := deploy(ctx, o.bin, filepath.Join(dir, "dev"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()

	var contenders []*contender
	ssh, err := startSSHD(ctx, filepath.Join(dir, "ssh"))
	switch {
	case errors.Is(err, errNoSSH):
		note("note: %v: there is nothing to compare with (Debian: apt-get install openssh-server openssh-client)", err)
	case err != nil:
		return err
	default:
		defer func() { err = errors.Join(err, ssh.stop()) }()
		machine.SSH = ssh.version
		contenders = append(contenders, ssh.contender(o.size))
	}
	contenders = append(contenders, d.contender("sekisho", filepath.Join(d.bin, "session-manager-plugin"), o.size))
	if o.against != "" {
		var other *deployment
		if other, err = deploy(ctx, o.against, filepath.Join(dir, "against")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, other.stop()) }()
		contenders = append(contenders, other.contender("sekisho, other build", filepath.Join(other.bin, "session-manager-plugin"), o.size))
	}
	if o.stock != "" {
		contenders = append(contenders, d.contender("stock plugin", o.stock, max(1, o.size/stockShare)))
	}
	r, err := measure(ctx, o, d, contenders, note)
	if err != nil {
		return err
	}
	r.Machine = machine
	if o.json {
		return r.writeJSON(stdout)
	}
	return r.write(stdout)
}

// measure runs the rounds of each measurement.
func measure(ctx context.Context, o options, d *deployment, contenders []*contender, note func(string, ...any)) (*report, error) {
	r := &report{Keystrokes: o.keystrokes, Starts: o.starts}
	for _, c := range contenders {
		r.Clients = append(r.Clients, &clientFigures{Name: c.name, OutputBytes: c.outputBytes})
	}
	for _, m := range []struct {
		name  string
		round func(i int) error
	}{
		{nameEcho, func(i int) error { return echo(ctx, contenders[i], o.keystrokes, r.Clients[i]) }},
		{nameOutput, func(i int) error { return output(ctx, contenders[i], r.Clients[i]) }},
		{nameStart, func(i int) error { return starts(ctx, contenders[i], o.starts, r.Clients[i]) }},
	} {
		if !o.only[m.name] {
			continue
		}
		for round := range o.rounds {
			note("%s: round %d of %d", m.name, round+1, o.rounds)
			for _, i := range turns(len(contenders), round) {
				if err := m.round(i); err != nil {
					return nil, fmt.Errorf("%s of %s: %w", m.name, contenders[i].name, err)
				}
			}
			if m.name == nameStart {
				if err := insideStarts(ctx, d, o.starts, r); err != nil {
					return nil, fmt.Errorf("start without a client program: %w", err)
				}
			}
		}
	}
	return r, nil
}
