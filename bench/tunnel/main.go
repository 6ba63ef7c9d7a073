// Command tunnel measures a tunnel beside OpenSSH's forwarding on one machine:
// throughput up and down with 1, 8 and 64 streams, and with one of 64 stalled, the round
// trip of one byte, connections per second, and scp. `go run ./bench/tunnel` runs it on
// the programs in bin/ (`make build`); docs/performance.md says what the figures mean.
//
// It starts everything itself, on loopback and in a directory that it removes. The
// peers take turns within a run, and the figures are medians of the runs and their
// ratios to ssh -L of the same program run. A peer that is not there is printed as
// absent: STOCK_PLUGIN names a stock session-manager-plugin, STOCK_AGENT_DIR the folder
// of a stock amazon-ssm-agent, STOCK_CHISEL a chisel.
//
// With -netem the client's side is another host, in network namespaces of its own, and
// the way between the two loses packets and takes time.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	bin             string
	runs            int
	window          time.Duration
	only, peersOnly string
	json            bool
	profile         string // directory; empty for none

	netem bool
	rtt   time.Duration
	loss  float64 // percent
}

func parse() (options, error) {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`DIR`ectory of our programs")
	flag.IntVar(&o.runs, "runs", 0, "`N`umber of runs; figures are their medians (5, with -netem 3)")
	flag.DurationVar(&o.window, "window", 0, "how long each throughput is measured (400ms, with -netem 20s)")
	flag.StringVar(&o.only, "only", "", "measure only what contains one of these `WORDS`, separated by commas, such as down-1,rtt")
	flag.StringVar(&o.peersOnly, "peers", "", "measure only peers that contain one of these `WORDS`, separated by commas")
	flag.BoolVar(&o.json, "json", false, "print the figures of all runs as JSON")
	flag.StringVar(&o.profile, "cpuprofile", "", "write CPU profiles of our programs to this `DIR`ectory; they are built for it, and -bin is not used")
	flag.BoolVar(&o.netem, "netem", false, "put the clients on another host, with -rtt and -loss between; needs root and Linux")
	flag.DurationVar(&o.rtt, "rtt", 100*time.Millisecond, "round-trip time with -netem")
	flag.Float64Var(&o.loss, "loss", 1, "`PERCENT` of packets that are lost with -netem, each way")
	flag.Parse()
	if o.runs == 0 {
		o.runs = map[bool]int{false: 5, true: 3}[o.netem]
	}
	if o.window == 0 {
		o.window = map[bool]time.Duration{false: 400 * time.Millisecond, true: 20 * time.Second}[o.netem]
	}
	if o.runs < 1 || o.window < 0 || flag.NArg() > 0 || o.loss < 0 || o.loss >= 100 {
		return o, fmt.Errorf("-runs and -window must be positive, -loss below 100, and there are no arguments")
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "tunnel:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout, stderr io.Writer) error {
	o, err := parse()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sekisho-bench-tunnel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bed{dir: dir, near: &host{address: loopback}, service: &service{}}
	b.far = b.near
	if o.netem {
		var cut func()
		if b.near, b.far, cut, err = apart(o.rtt, o.loss); err != nil {
			return fmt.Errorf("make two hosts: %w", err)
		}
		defer cut()
	}
	if o.profile != "" {
		if o.bin, err = instrumented(ctx, o.profile, path(dir, "bin")); err != nil {
			return err
		}
	}
	defer b.service.close()
	defer b.stop()
	peers, err := b.peers(ctx, o.bin, o.netem, func(name string) bool { return chosen(o.peersOnly, name) })
	if err != nil {
		return err
	}
	list := measurements(b.service, o)
	list = slices.DeleteFunc(list, func(m measurement) bool { return !chosen(o.only, m.name) })
	measure(ctx, b, o, list, peers, stderr)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "note: interrupted; these are the figures until then")
	}
	if o.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(peers)
	} else {
		write(stdout, list, peers)
	}
	if o.profile != "" && err == nil {
		err = b.profiles(o.profile, o.bin, stderr)
	}
	return err
}

// measure fills in the peers' figures, until the end or until ctx ends.
func measure(ctx context.Context, b *bed, o options, list []measurement, peers []*peer, stderr io.Writer) {
	for n := range o.runs {
		fmt.Fprintf(stderr, "run %d of %d\n", n+1, o.runs)
		for _, m := range list {
			var together sync.WaitGroup
			for i := range peers {
				p := peers[(i+n)%len(peers)]
				if p.Absent != "" || !m.of(p) {
					continue
				}
				one := func() {
					values, err := m.run(ctx, p)
					switch {
					case ctx.Err() != nil:
					case err != nil:
						fmt.Fprintf(stderr, "note: %s of %s: %v\n", m.name, p.Name, err)
					default:
						for i, v := range values {
							p.Figures[m.figures[i].name] = append(p.Figures[m.figures[i].name], v)
						}
					}
				}
				if o.netem { // the way is wide: they are not in each other's
					together.Go(one)
					continue
				}
				before := b.service.open.Load()
				one()
				if err := b.service.idle(ctx, before); err != nil && ctx.Err() == nil {
					fmt.Fprintf(stderr, "note: after %s of %s: %v\n", m.name, p.Name, err)
				}
			}
			together.Wait()
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// chosen reports whether a name contains one of the words, or there are none.
func chosen(words, name string) bool {
	return words == "" || slices.ContainsFunc(strings.Split(words, ","), func(w string) bool { return strings.Contains(name, w) })
}

func path(dir string, names ...string) string {
	return filepath.Join(append([]string{dir}, names...)...)
}
