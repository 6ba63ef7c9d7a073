package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	agentProgram = "sekisho-agent"
	// nodeRole is the role that dev's nodes get; it exists by name only.
	nodeRole = "SekishoDevNode"
	// registerTimeout bounds one registration: an RSA key and one request.
	registerTimeout = time.Minute
	// readyInterval is how often dev looks whether its nodes are connected.
	readyInterval = 20 * time.Millisecond
	// slowStart is after how long dev says that it still waits for them.
	slowStart = 15 * time.Second

	// An agent that ends is started again after minBackoff, doubled each time up to
	// maxBackoff; one that ran for steadyRun starts the count anew.
	minBackoff = 250 * time.Millisecond
	maxBackoff = 10 * time.Second
	steadyRun  = 30 * time.Second
	// agentStop is how long an agent may take to end when told to. It is above the time
	// for the last output of its sessions (gateway.Limits.Flush).
	agentStop = 10 * time.Second
)

// localNode is one of dev's managed nodes: a directory and an agent in it.
type localNode struct {
	id      string
	program string // path of sekisho-agent
	dir     string
	log     string
	logger  *slog.Logger
}

// localNodes gives the nodes 1 to count below dir, registering those that are new.
// The ids of registered ones are kept in nodes.json.
func (s *server) localNodes(ctx context.Context, dir, program string, count int) ([]*localNode, error) {
	record := filepath.Join(dir, "nodes.json")
	ids := make(map[string]string) // by number
	text, err := os.ReadFile(record)
	if err == nil {
		err = json.Unmarshal(text, &ids)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", record, err)
	}
	for _, sub := range []string{"nodes", "logs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	var nodes []*localNode
	for i := 1; i <= count; i++ {
		number := strconv.Itoa(i)
		n := &localNode{
			id: ids[number], program: program,
			dir:    filepath.Join(dir, "nodes", number),
			log:    filepath.Join(dir, "logs", "node-"+number+".log"),
			logger: s.logger.With("node", i),
		}
		if n.id == "" {
			if n.id, err = s.register(ctx, n, "dev-node-"+number); err != nil {
				return nil, fmt.Errorf("register node %d: %w", i, err)
			}
			ids[number] = n.id
			text, err := json.Marshal(ids)
			if err != nil {
				return nil, err
			}
			if err := writeFile(record, append(text, '\n'), 0o600); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// register makes an activation for one node, as the administrator and through the
// operation that the API has for it, and has the agent register with it.
func (s *server) register(ctx context.Context, n *localNode, name string) (string, error) {
	admin, err := s.store.UserByName(ctx, adminName)
	if err != nil {
		return "", err
	}
	one, expires := 1, time.Now().Add(time.Hour)
	activation, err := s.control.CreateActivation(auth.WithPrincipal(ctx, s.auth.UserPrincipal(admin)), &ssm.CreateActivationInput{
		Description:         "made by sekishod dev",
		DefaultInstanceName: name,
		IamRole:             nodeRole,
		RegistrationLimit:   &one,
		ExpirationDate:      ssm.At(expires),
	})
	if err != nil {
		return "", fmt.Errorf("make an activation: %w", err)
	}
	// Left by a start that was interrupted between the registration and its record.
	if err := os.RemoveAll(n.dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	// The code is good for this one registration, which spends it at once: that others
	// on this machine could read it from the process list gives them nothing.
	cmd := exec.CommandContext(ctx, n.program, "register", "--dir", n.dir, "--endpoint", s.url,
		"--ca", filepath.Join(s.cfg.DataDir, caCertFile), "--region", s.arns.Region,
		"--code", activation.ActivationCode, "--id", activation.ActivationID)
	cmd.Env = agentEnvironment(os.Environ())
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s register: %w: %s", agentProgram, err, bytes.TrimSpace(output))
	}
	found, _, err := s.store.Nodes(ctx, store.NodeFilter{ActivationIDs: []string{activation.ActivationID}}, store.Page{})
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s register succeeded, but %d nodes have its activation", agentProgram, len(found))
	}
	return found[0].ID, nil
}

// run keeps the agent running until ctx ends, and returns when it has ended.
func (n *localNode) run(ctx context.Context) {
	backoff := minBackoff
	for {
		started := time.Now()
		err := n.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > steadyRun {
			backoff = minBackoff
		}
		n.logger.Warn("the agent ended, starting it again", "error", err, "after", backoff, "log", n.log)
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// runOnce runs the agent once. The agent's standard input is a pipe from this process:
// when this process dies, however it dies, the agent reads its end and ends too.
func (n *localNode) runOnce(ctx context.Context) error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	cmd := exec.CommandContext(ctx, n.program, "run", "--dir", n.dir, "--parent-pipe")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, log, log
	cmd.Env = agentEnvironment(os.Environ())
	// A group of its own: a terminal's Ctrl-C reaches this process alone, which then
	// decides what the agent is told.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(agentSignal(ctx)) }
	cmd.WaitDelay = agentStop // then it is killed
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// agentSignal is what an agent is told at the end of dev: SIGINT ends its sessions,
// SIGTERM leaves them to the next start.
func agentSignal(ctx context.Context) os.Signal {
	if cause, ok := errors.AsType[stopSignal](context.Cause(ctx)); ok && cause.Signal == os.Interrupt {
		return os.Interrupt
	}
	return syscall.SIGTERM
}

// agentEnvironment is the environment of an agent: without AWS's variables and ours,
// which may hold the administrator's secrets, since a session's shell may inherit it.
func agentEnvironment(environment []string) []string {
	var kept []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "AWS_") && !strings.HasPrefix(entry, "SEKISHO_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// awaitNodes returns when all nodes are connected.
func (s *server) awaitNodes(ctx context.Context, nodes []*localNode) error {
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	slow := time.NewTimer(slowStart)
	defer slow.Stop()
	for i := 0; i < len(nodes); {
		node, err := s.store.Node(ctx, nodes[i].id)
		if err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
		if node.Connected(time.Now()) {
			i++
			continue
		}
		select {
		case <-tick.C:
		case <-slow.C:
			s.logger.Warn("still waiting for a node to connect", "node", i+1, "log", nodes[i].log)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// findAgent gives the path of the agent's program beside our own.
func findAgent(binDir string) (string, error) {
	path := filepath.Join(binDir, agentProgram)
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is not beside sekishod in %s: `make build` makes both (or start with --nodes 0)", agentProgram, binDir)
	}
	return path, nil
}
