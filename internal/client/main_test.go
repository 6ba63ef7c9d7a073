package client

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the package when a goroutine of a session outlives it.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines left:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leaked gives the stacks of goroutines of this project that do not end.
func leaked() string {
	var left []string
	for range 100 {
		left = nil
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, stack := range strings.Split(string(stacks), "\n\n")[1:] {
			if strings.Contains(stack, "sekisho/internal/") {
				left = append(left, stack)
			}
		}
		if left == nil {
			return ""
		}
		time.Sleep(20 * time.Millisecond) // one that was told to end may need a moment
	}
	return strings.Join(left, "\n\n")
}
