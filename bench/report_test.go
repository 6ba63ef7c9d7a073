package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *report {
	return &report{
		Machine:    machine{Date: "2026-01-02", CPUs: 2, System: "linux/amd64", Go: "go1.26", SSH: "OpenSSH_9.2p1", Load: 0.1},
		Keystrokes: 1000, Starts: 10,
		Clients: []*clientFigures{
			{Name: sshName, OutputBytes: 200e6, EchoP50: []float64{0.1, 0.3, 0.2}, EchoP99: []float64{0.4, 0.4, 0.4}, Output: []float64{100, 120, 80}, Start: []float64{200}},
			{Name: "sekisho", OutputBytes: 200e6, EchoP50: []float64{0.5, 0.3, 0.4}, EchoP99: []float64{0.6, 0.6, 0.6}, Output: []float64{50, 50, 50}, Start: []float64{30}},
		},
		Call: []float64{6}, Connect: []float64{2}, First: []float64{8}, Shell: []float64{5},
	}
}

// cells are the words of the table's row that begins with name.
func cells(t *testing.T, text, table, name string) []string {
	t.Helper()
	_, text, ok := strings.Cut(text, table)
	for line := range strings.SplitSeq(text, "\n") {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok && found {
			return strings.Fields(rest)
		}
	}
	t.Fatalf("no row %q of %q in:\n%s", name, table, text)
	return nil
}

func TestTablesCompareMediansWithSSH(t *testing.T) {
	var b strings.Builder
	if err := sample().write(&b); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, row := range []struct {
		table, name string
		want        []string
	}{
		{"Keystroke echo", "ssh", []string{"0.200", "1.00", "+0.00", "0.400", "1.00", "+0.00"}},
		{"Keystroke echo", "sekisho", []string{"0.400", "2.00", "+0.20", "0.600", "1.50", "+0.20"}},
		{"Shell output", "sekisho", []string{"50.0", "0.50", "200"}},
		{"first byte of the prompt", "sekisho", []string{"30.0", "0.15"}},
		{"first byte of the prompt", "sekisho, server side", []string{"16.0"}},
		{"first byte of the prompt", "the shell alone", []string{"5.0"}},
	} {
		if diff := cmp.Diff(row.want, cells(t, got, row.table, row.name)); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", row.table, row.name, diff)
		}
	}
	for _, want := range []string{"echo within 0.5 ms of ssh at p50: met", "within 50 ms on the server side: met", "2 CPUs", "OpenSSH_9.2p1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestMissedAimsAreSaid(t *testing.T) {
	r := sample()
	r.Clients[1].EchoP50 = []float64{0.701}
	r.First = []float64{42.1}
	got := r.aims()
	for _, want := range []string{"p50: missed", "side: missed"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

func TestWithoutSSHThereIsNoRatio(t *testing.T) {
	r := sample()
	r.Clients = r.Clients[1:]
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0.400", "-", "-", "0.600", "-", "-"}, cells(t, b.String(), "Keystroke echo", "sekisho")); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if strings.Contains(b.String(), "of ssh at") {
		t.Errorf("an aim beside ssh without ssh:\n%s", b.String())
	}
}

func TestWhatWasNotMeasuredIsNotShown(t *testing.T) {
	r := sample()
	for _, c := range r.Clients {
		c.EchoP50, c.EchoP99, c.Start = nil, nil, nil
	}
	r.Call, r.Connect, r.First, r.Shell = nil, nil, nil, nil
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	for _, unwanted := range []string{"Keystroke", "prompt", "Aim"} {
		if strings.Contains(b.String(), unwanted) {
			t.Errorf("%q in:\n%s", unwanted, b.String())
		}
	}
}

func TestJSONHoldsEveryRound(t *testing.T) {
	var b strings.Builder
	want := sample()
	if err := want.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	got := &report{}
	if err := json.Unmarshal([]byte(b.String()), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
