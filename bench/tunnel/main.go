// Command tunnel measures a tunnel beside OpenSSH's forwarding on one machine:
// throughput up and down with 1, 8 and 64 streams, the round trip of one byte,
// connections per second, and scp. `go run ./bench/tunnel` runs it on the programs in
// bin/ (`make build`); docs/performance.md says what the figures mean.
//
// It starts everything itself, on loopback and in a directory that it removes. The
// peers take turns within a run, and the figures are medians of the runs and their
// ratios to ssh -L of the same program run. A peer that is not there is printed as
// absent: STOCK_PLUGIN names a stock session-manager-plugin, STOCK_CHISEL a chisel.
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
	"syscall"
	"time"
)

// reference is the peer that ratios are to.
const reference = "ssh -L"

// peer is one way from a local address to the service.
type peer struct {
	Name    string               `json:"name"`
	Absent  string               `json:"absent,omitempty"` // why
	Figures map[string][]float64 `json:"figures,omitempty"`

	address string
	scp     func(context.Context) (float64, error) // nil when it has none
}

// measurement is one figure of a peer in one run.
type measurement struct {
	name, unit string
	run        func(ctx context.Context, p *peer) (float64, error)
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
	bin := flag.String("bin", "bin", "`DIR`ectory of our programs")
	runs := flag.Int("runs", 5, "`N`umber of runs; figures are their medians")
	window := flag.Duration("window", 400*time.Millisecond, "how long each throughput is measured")
	only := flag.String("only", "", "measure only what contains one of these `WORDS`, separated by commas, such as down-1,rtt")
	peersOnly := flag.String("peers", "", "measure only peers that contain one of these `WORDS`, separated by commas")
	asJSON := flag.Bool("json", false, "print the figures of all runs as JSON")
	flag.Parse()
	if *runs < 1 || flag.NArg() > 0 {
		return fmt.Errorf("-runs must be at least 1, and there are no arguments")
	}
	dir, err := os.MkdirTemp("", "sekisho-bench-tunnel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := serve()
	if err != nil {
		return err
	}
	defer s.close()
	b := &bed{dir: dir, service: s}
	defer b.stop()
	peers, err := b.peers(ctx, *bin, func(name string) bool { return chosen(*peersOnly, name) })
	if err != nil {
		return err
	}
	var list []measurement
	for _, m := range measurements(s, *window) {
		if chosen(*only, m.name) {
			list = append(list, m)
		}
	}
	for n := range *runs {
		fmt.Fprintf(stderr, "run %d of %d\n", n+1, *runs)
		for _, m := range list {
			for i := range peers {
				p := peers[(i+n)%len(peers)]
				if p.Absent != "" || m.name == "scp" && p.scp == nil || m.name != "scp" && p.address == "" {
					continue
				}
				v, err := m.run(ctx, p)
				if err == nil {
					err = s.idle(ctx)
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err != nil {
					fmt.Fprintf(stderr, "note: %s of %s: %v\n", m.name, p.Name, err)
					continue
				}
				p.Figures[m.name] = append(p.Figures[m.name], v)
			}
		}
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(peers)
	}
	write(stdout, list, peers)
	return nil
}

// chosen reports whether a name contains one of the words, or there are none.
func chosen(words, name string) bool {
	return words == "" || slices.ContainsFunc(strings.Split(words, ","), func(w string) bool { return strings.Contains(name, w) })
}

func measurements(s *service, window time.Duration) []measurement {
	var list []measurement
	for _, streams := range []int{1, 8, 64} {
		for _, way := range []byte{down, up} {
			name := map[byte]string{down: "down", up: "up"}[way]
			list = append(list, measurement{fmt.Sprintf("%s-%d", name, streams), "MB/s", func(ctx context.Context, p *peer) (float64, error) {
				return s.throughput(ctx, p.address, way, streams, window)
			}})
		}
	}
	for _, percent := range []int{50, 99} {
		list = append(list, measurement{fmt.Sprintf("rtt-p%d", percent), "µs", func(ctx context.Context, p *peer) (float64, error) {
			return roundTrip(p.address, 1000, percent)
		}})
	}
	return append(list,
		measurement{"connections", "/s", func(ctx context.Context, p *peer) (float64, error) { return connections(p.address, window) }},
		measurement{"scp", "MB/s", func(ctx context.Context, p *peer) (float64, error) { return p.scp(ctx) }})
}

// write prints one table for each measurement.
func write(w io.Writer, list []measurement, peers []*peer) {
	for _, m := range list {
		base := 0.0
		for _, p := range peers {
			if p.Name == reference || m.name == "scp" && p.Name == "plain scp" {
				base = median(p.Figures[m.name])
			}
		}
		fmt.Fprintf(w, "\n%-38s %12s %8s %6s\n", m.name, m.unit, "ratio", "runs")
		for _, p := range peers {
			values := p.Figures[m.name]
			switch {
			case p.Absent != "":
				fmt.Fprintf(w, "  %-36s %12s (%s)\n", p.Name, "absent", p.Absent)
			case len(values) > 0:
				ratio := "-"
				if base > 0 {
					ratio = fmt.Sprintf("%.2f", median(values)/base)
				}
				fmt.Fprintf(w, "  %-36s %12.1f %8s %6d\n", p.Name, median(values), ratio, len(values))
			}
		}
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func path(dir string, names ...string) string {
	return filepath.Join(append([]string{dir}, names...)...)
}
