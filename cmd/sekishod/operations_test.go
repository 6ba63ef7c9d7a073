package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sekisho/internal/trail/trailtest"
)

// TestProtocolIndexTellsTheTruth compares docs/protocol/index.txt with what is served:
// an operation is marked Yes or Partial exactly when there is a method for it.
func TestProtocolIndexTellsTheTruth(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol/index.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := startTest(t)
	operations := s.operations
	services := map[string]bool{}
	var served []string
	for _, op := range operations {
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
	for _, op := range served {
		if !slices.Contains(claimed, op) {
			t.Errorf("%s is served, and the index does not say so", op)
		}
	}
	for _, op := range claimed {
		if !slices.Contains(served, op) {
			t.Errorf("%s is in the index and not served", op)
		}
	}
}

// Nothing secret that any operation takes or gives gets into the audit trail.
func TestNoSecretIsAudited(t *testing.T) {
	s, _ := startTest(t)
	operations := s.operations
	trailtest.Check(t, s.trail, operations)
}
