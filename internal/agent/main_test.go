//go:build linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/platform"
)

// beAgent is the argument that makes the test binary an agent of its own, for tests
// that kill one. What follows is the directory, then settings.
const beAgent = "be-agent"

func TestMain(m *testing.M) {
	// The race detector makes every process that ends wait for a second.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case ChildCommand:
			os.Exit(Child(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case beAgent:
			os.Exit(agentProcess(os.Args[2], os.Args[3:]))
		}
	}
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines of this package are left:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// agentProcess runs an agent until SIGTERM.
func agentProcess(dir string, settings []string) int {
	for _, s := range settings {
		switch s {
		case "no-disk": // every write to a regular file fails
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		case "ignore-signals": // as a shell without job control starts background jobs
			signal.Ignore(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTSTP)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := Run(ctx, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// leaked gives the stacks of goroutines that run code of this package after all tests.
func leaked() string {
	buf := make([]byte, 1<<20)
	var left []string
	for range 200 {
		left = nil
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "sekisho/internal/agent.") && !strings.Contains(stack, "agent.TestMain") {
				left = append(left, stack)
			}
		}
		if left == nil {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

// patience bounds the waits for real processes; nothing is asserted about time.
const patience = 40 * time.Second

// eventually polls ok until it is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// receive takes a value from a channel.
func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
		panic("unreachable")
	}
}

// processAlive says whether a process runs (and is no zombie).
func processAlive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return after != "" && after[0] != 'Z' && after[0] != 'X'
}

// workers counts the worker processes of a session.
func workers(sessionID string) int {
	n := 0
	for _, id := range platform.Siblings(ChildCommand, childSession) {
		if id == sessionID {
			n++
		}
	}
	return n
}
