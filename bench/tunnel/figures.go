package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
)

// Peers that ratios are to. The first has the cipher that OpenSSH chooses.
const (
	reference = "ssh -L"
	fastest   = "ssh -L, aes128-gcm"
	plainCopy = "plain scp"
)

// peer is one way from a local address to the service.
type peer struct {
	Name    string               `json:"name"`
	Absent  string               `json:"absent,omitempty"` // why
	Figures map[string][]float64 `json:"figures,omitempty"`

	address string
	host    *host                                  // where the address is
	scp     func(context.Context) (float64, error) // nil when it has none
}

func (p *peer) dial(ctx context.Context) (net.Conn, error) { return p.host.dial(ctx, p.address) }

// figure is one value of a measurement.
type figure struct{ name, unit string }

// measurement is what is done with a peer in one run, and gives one value a figure.
type measurement struct {
	name    string
	figures []figure
	of      func(*peer) bool // whether a peer has it
	run     func(ctx context.Context, p *peer) ([]float64, error)
}

func single(name, unit string, run func(ctx context.Context, p *peer) (float64, error)) measurement {
	return measurement{name, []figure{{name, unit}}, tunnels, func(ctx context.Context, p *peer) ([]float64, error) {
		v, err := run(ctx, p)
		return []float64{v}, err
	}}
}

func tunnels(p *peer) bool { return p.scp == nil }

func measurements(s *service, o options) []measurement {
	flow := func(name string, way byte, streams, stalled int) measurement {
		return single(name, "MB/s", func(ctx context.Context, p *peer) (float64, error) {
			return s.throughput(ctx, p.dial, load{way, streams, stalled, o.window, o.netem})
		})
	}
	trips := 1000
	if o.netem {
		trips = 20
	}
	rtt := measurement{"rtt", []figure{{"rtt-p50", "µs"}, {"rtt-p99", "µs"}}, tunnels, func(ctx context.Context, p *peer) ([]float64, error) {
		return roundTrips(ctx, p.dial, trips, 50, 99)
	}}
	if o.netem {
		return []measurement{flow("down-1", down, 1, 0), flow("up-1", up, 1, 0), flow("down-8", down, 8, 0), rtt}
	}
	var list []measurement
	for _, streams := range []int{1, 8, 64} {
		list = append(list, flow(fmt.Sprintf("down-%d", streams), down, streams, 0), flow(fmt.Sprintf("up-%d", streams), up, streams, 0))
	}
	scp := single("scp", "MB/s", func(ctx context.Context, p *peer) (float64, error) { return p.scp(ctx) })
	scp.of = func(p *peer) bool { return p.scp != nil }
	return append(list, flow("down-63 beside one stalled", down, 63, 1), rtt,
		single("connections", "/s", func(ctx context.Context, p *peer) (float64, error) { return connections(ctx, p.dial, o.window) }), scp)
}

// write prints one table for each figure: medians, and their ratios.
func write(w io.Writer, list []measurement, peers []*peer) {
	for _, m := range list {
		for _, f := range m.figures {
			of := func(name string) float64 {
				for _, p := range peers {
					if p.Name == name {
						return median(p.Figures[f.name])
					}
				}
				return 0
			}
			first, second := reference, fastest
			if m.name == "scp" {
				first, second = plainCopy, ""
			}
			fmt.Fprintf(w, "\n%-38s %12s %12s %14s %6s\n", f.name, f.unit, "/ "+first, "/ "+shorter(second), "runs")
			for _, p := range peers {
				values := p.Figures[f.name]
				switch {
				case p.Absent != "":
					fmt.Fprintf(w, "  %-36s %12s (%.200s)\n", p.Name, "absent", p.Absent)
				case len(values) > 0:
					v := median(values)
					fmt.Fprintf(w, "  %-36s %12.1f %12s %14s %6d\n", p.Name, v, ratio(v, of(first)), ratio(v, of(second)), len(values))
				}
			}
		}
	}
}

// shorter is a column's heading for a peer.
func shorter(name string) string {
	if name == fastest {
		return "aes128-gcm"
	}
	return name
}

func ratio(v, base float64) string {
	if base <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v/base)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
