package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sekisho/internal/message"
)

// sshName is the contender that the others are compared with.
const sshName = "ssh"

// The aims, in milliseconds.
const (
	aimEcho  = 0.5 // above ssh at the median
	aimStart = 50  // from StartSession to the first prompt byte without a client program
)

// busyLoad is the load average from which on a note is printed.
const busyLoad = 0.5

// machine says where the figures come from.
type machine struct {
	Date    string  `json:"date"`
	CPUs    int     `json:"cpus"`
	System  string  `json:"system"`
	Go      string  `json:"go"`
	SSH     string  `json:"ssh,omitempty"`
	Sekisho string  `json:"sekisho"` // version that the client says
	Load    float64 `json:"load"`    // average of a minute at the beginning
}

// clientFigures are the figures of one client, one value for each round.
type clientFigures struct {
	Name        string    `json:"name"`
	OutputBytes int       `json:"output_bytes"`
	EchoP50     []float64 `json:"echo_p50_ms,omitempty"`
	EchoP99     []float64 `json:"echo_p99_ms,omitempty"`
	Output      []float64 `json:"output_mb_per_s,omitempty"`
	Start       []float64 `json:"start_ms,omitempty"`
}

// report is everything that was measured.
type report struct {
	Machine    machine          `json:"machine"`
	Keystrokes int              `json:"keystrokes_per_round"`
	Starts     int              `json:"starts_per_round"`
	Clients    []*clientFigures `json:"clients"`
	// A start without a client program, in its parts, and the shell alone.
	Call    []float64 `json:"start_session_answer_ms,omitempty"`
	Connect []float64 `json:"websocket_open_ms,omitempty"`
	First   []float64 `json:"first_byte_after_open_ms,omitempty"`
	Shell   []float64 `json:"shell_alone_ms,omitempty"`
}

func (r *report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// of returns a client's median, and how it compares with ssh where ssh was measured.
func (r *report) of(c *clientFigures, figure func(*clientFigures) []float64) (value float64, beside comparison) {
	value = median(figure(c))
	for _, other := range r.Clients {
		if other.Name == sshName {
			beside.base = median(figure(other))
		}
	}
	beside.value = value
	return value, beside
}

// comparison is a value and the same of ssh, 0 where that is unknown.
type comparison struct{ value, base float64 }

func (c comparison) ratio() string {
	if c.base == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", c.value/c.base)
}

func (c comparison) difference() string {
	if c.base == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.2f", c.value-c.base)
}

// write prints the tables.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d CPUs, %s, %s", m.Date, m.CPUs, m.System, m.Go)
	if m.SSH != "" {
		fmt.Fprintf(&b, ", %s", m.SSH)
	}
	fmt.Fprintf(&b, ", load %.1f\n", m.Load)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }
	if len(r.Clients) > 0 && r.Clients[0].EchoP50 != nil {
		fmt.Fprintf(&b, "\nKeystroke echo, median of %d rounds of %d\n", len(r.Clients[0].EchoP50), r.Keystrokes)
		row("", "p50 ms", "x ssh", "minus ssh", "p99 ms", "x ssh", "minus ssh")
		for _, c := range r.Clients {
			p50, beside50 := r.of(c, func(c *clientFigures) []float64 { return c.EchoP50 })
			p99, beside99 := r.of(c, func(c *clientFigures) []float64 { return c.EchoP99 })
			row(c.Name, fmt.Sprintf("%.3f", p50), beside50.ratio(), beside50.difference(),
				fmt.Sprintf("%.3f", p99), beside99.ratio(), beside99.difference())
		}
		t.Flush()
	}
	if len(r.Clients) > 0 && r.Clients[0].Output != nil {
		fmt.Fprintf(&b, "\nShell output into a pipe, median of %d rounds\n", len(r.Clients[0].Output))
		row("", "MB/s", "x ssh", "MB a round")
		for _, c := range r.Clients {
			rate, beside := r.of(c, func(c *clientFigures) []float64 { return c.Output })
			row(c.Name, fmt.Sprintf("%.1f", rate), beside.ratio(), fmt.Sprintf("%.0f", float64(c.OutputBytes)/1e6))
		}
		t.Flush()
	}
	if len(r.Clients) > 0 && r.Clients[0].Start != nil {
		fmt.Fprintf(&b, "\nTime to the first byte of the prompt, median of %d rounds of %d\n", len(r.Clients[0].Start), r.Starts)
		row("", "ms", "x ssh")
		for _, c := range r.Clients {
			whole, beside := r.of(c, func(c *clientFigures) []float64 { return c.Start })
			row(c.Name, fmt.Sprintf("%.1f", whole), beside.ratio())
		}
		row("sekisho, server side", fmt.Sprintf("%.1f", r.serverSide()), "")
		row("answer of StartSession", fmt.Sprintf("%.1f", median(r.Call)), "")
		row("websocket open", fmt.Sprintf("%.1f", median(r.Connect)), "")
		row("first byte after that", fmt.Sprintf("%.1f", median(r.First)), "")
		row("the shell alone", fmt.Sprintf("%.1f", median(r.Shell)), "")
		t.Flush()
	}
	b.WriteString(r.aims())
	_, err := io.WriteString(w, b.String())
	return err
}

// serverSide is the time to the first prompt byte without a client program.
func (r *report) serverSide() float64 { return median(r.Call) + median(r.Connect) + median(r.First) }

// aims says which aims are met.
func (r *report) aims() string {
	var b strings.Builder
	verdict := map[bool]string{true: "met", false: "missed"}
	for _, c := range r.Clients {
		if c.Name != "sekisho" || c.EchoP50 == nil {
			continue
		}
		if value, beside := r.of(c, func(c *clientFigures) []float64 { return c.EchoP50 }); beside.base != 0 {
			fmt.Fprintf(&b, "\nAim: echo within %.1f ms of ssh at p50: %s", aimEcho, verdict[value-beside.base <= aimEcho])
		}
	}
	if r.Call != nil {
		fmt.Fprintf(&b, "\nAim: first prompt byte within %d ms on the server side: %s", aimStart, verdict[r.serverSide() <= aimStart])
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// describeMachine collects what figures depend on.
func describeMachine() machine {
	m := machine{
		Date: time.Now().Format(time.DateOnly), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Sekisho: message.ClientVersion,
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		m.Load, _ = strconv.ParseFloat(first, 64)
	}
	return m
}
