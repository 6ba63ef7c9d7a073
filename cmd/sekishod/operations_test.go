package control

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestProtocolIndexTellsTheTruth compares docs/protocol/index.txt with what is served:
// an operation is marked Yes or Partial exactly when there is a method for it.
func TestProtocolIndexTellsTheTruth(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol/index.txt")
	must(t, err)
	services := map[string]bool{}
	var served []string
	for _, op := range newWorld(t).server.Operations() {
		services[op.Service] = true
		served = append(served, op.Service+" "+op.Name)
	}
	var claimed []string
	for line := range strings.SplitSeq(string(text), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 3 || !services[f[0]] {
			continue
		}
		switch f[2] {
		case "Yes", "Partial":
			claimed = append(claimed, f[0]+" "+f[1])
		case "Roadmap", "No":
		default:
			t.Errorf("%q is no status: %s", f[2], line)
		}
	}
	slices.Sort(served)
	slices.Sort(claimed)
	if !slices.Equal(served, claimed) {
		t.Errorf("served  %q\nclaimed %q", served, claimed)
	}
}
