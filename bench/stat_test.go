package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // unsorted on purpose
	}
	for _, test := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.99, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{3, 1, 2}, 0, 1},
		{[]float64{3, 1, 2}, 1, 3},
		{hundred, 0.50, 50},
		{hundred, 0.99, 99},
		{[]float64{1, 2, 3, 1000}, 0.99, 1000},
	} {
		if got := percentile(test.values, test.p); got != test.want {
			t.Errorf("percentile %v of %v = %v, want %v", test.p, test.values, got, test.want)
		}
	}
}

func TestMedianLeavesItsValues(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{4}, 4},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 7}, 6},
	} {
		before := append([]float64(nil), test.values...)
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v = %v, want %v", before, got, test.want)
		}
		if diff := cmp.Diff(before, test.values); diff != "" {
			t.Errorf("values changed (-before +after):\n%s", diff)
		}
	}
}

func TestEachClientIsFirstInTurn(t *testing.T) {
	got := [][]int{turns(3, 0), turns(3, 1), turns(3, 2), turns(3, 3), turns(1, 5)}
	want := [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 1, 2}, {0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("turns (-want +got):\n%s", diff)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "1024": 1024, "16K": 16 << 10, "200M": 200 << 20, "2G": 2 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "-1", "1.5M", "1T", "200MB", "99999999999"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestFirstByteOfTheShell(t *testing.T) {
	for _, test := range []struct {
		output string
		banner bool
		want   int
	}{
		{"", false, -1},
		{"\r\n\r\n", false, -1},
		{"\r\n$ ", false, 2},
		{"\x1b[?2004h$ ", false, 0},
		{"$ ", true, -1}, // the client's own line has not come
		{"\nStarting session with SessionId: adm", true, -1},
		{"\nStarting session with SessionId: admin-0123", true, -1},
		{"\nStarting session with SessionId: admin-0123\r\n", true, -1},
		{"\nStarting session with SessionId: admin-0123\n$ ", true, 45},
		{"\r\nStarting session with SessionId: a\r\n\r\n\x1b[?2004h# ", true, 40},
	} {
		if got := afterBanner([]byte(test.output), test.banner); got != test.want {
			t.Errorf("afterBanner(%q, %v) = %d, want %d", test.output, test.banner, got, test.want)
		}
	}
}
