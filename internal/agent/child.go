package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/platform"
	"sekisho/internal/runas"
)

// ChildCommand is the hidden command that makes this program a session's worker.
const ChildCommand = "be-child"

const childSession = "session"

const (
	maxSpec   = 4 << 20  // bytes on a worker's standard input
	maxReport = 64 << 10 // bytes on its standard output
)

// workerSpec is what a worker is told. It comes on standard input, because other
// accounts of the machine can read arguments.
type workerSpec struct {
	Dir          string // where to find the node's key when the credentials have ended
	Registration Registration
	Credentials  Credentials
	Task         message.SessionTask
	SessionUser  string // see [Config]
	ClockOffset  time.Duration
	Debug        bool
	Pace         pace
}

// childArgs are the arguments of the worker of a session. The id is among them so that
// a list of processes tells which is which, and an agent that was restarted finds the
// worker of a session that it did not start.
func childArgs(sessionID string) []string { return []string{ChildCommand, childSession, sessionID} }

// child is a worker that runs.
type child struct {
	cmd    *exec.Cmd
	stdout io.ReadCloser
}

// startChild executes this very program again.
func startChild(sessionID string, spec []byte) (*child, error) {
	path, err := platform.Self()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(path, childArgs(sessionID)...)
	cmd.Args[0] = agentName
	cmd.Env = childEnv(os.Environ())
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(spec)
	cmd.Stderr = os.Stderr
	platform.Detach(cmd)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the session's worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the session's worker: %w", err)
	}
	return &child{cmd: cmd, stdout: stdout}, nil
}

// childEnv is the agent's environment without what only the agent needs to know.
func childEnv(env []string) []string {
	var out []string
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(key, "SEKISHO_") || strings.HasPrefix(key, "AWS_") {
			continue
		}
		out = append(out, kv)
	}
	return out
}

// Child is the main function of a re-executed child: args follow [ChildCommand]. It
// returns the exit status.
func Child(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == childRunAs {
		return runas.Child()
	}
	if len(args) == 1 && args[0] == childUpdate {
		return watchUpdate(stdin, stderr)
	}
	if len(args) != 2 || args[0] != childSession {
		fmt.Fprintf(stderr, "%s %s is for the agent's own use\n", agentName, ChildCommand)
		return 2
	}
	// Before anything starts a shell: taking the signals over undoes that some of them
	// are ignored because the agent was started in the background. What the signals do
	// to this process is decided below.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, platform.ShellSignals()...)

	text, err := io.ReadAll(io.LimitReader(stdin, maxSpec))
	var spec workerSpec
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: read the session's task: %v\n", agentName, err)
		return 1
	}
	level := slog.LevelInfo
	if spec.Debug {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})).
		With("session_id", spec.Task.SessionId, "pid", os.Getpid())

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stops := make(map[os.Signal]bool)
	for _, sig := range platform.StopSignals() {
		stops[sig] = true
	}
	go func() { // ends with the process
		for sig := range signals {
			if stops[sig] {
				cancel(errTerminated)
			}
		}
	}()
	o := runSession(ctx, spec, logger)
	report, err := json.Marshal(o)
	if err == nil {
		_, err = stdout.Write(append(report, '\n'))
	}
	if err != nil { // the agent may have gone; the gateway sees the end of the data channel
		logger.Debug("no agent to report to", "error", err)
	}
	return 0
}
