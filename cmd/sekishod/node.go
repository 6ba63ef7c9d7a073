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
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	agentProgram = "sekisho-agent"
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
	// agentStop is how long an agent may take to end when told to.
	agentStop = 10 * time.Second
	// endSessionsTimeout bounds the end of sessions at Ctrl-C. It is above the times of
	// gateway.Limits for a node to end one and for its last output, 7 s together.
	endSessionsTimeout = 8 * time.Second
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
		} else if err := s.redirect(n.dir); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// openTier changes an account that nobody chose a tier for to the advanced one: without it
// there are no sessions on the nodes that dev makes.
func (s *server) openTier(admin context.Context) error {
	tier, err := s.control.GetServiceSetting(admin, &ssm.GetServiceSettingInput{SettingID: ssm.ActivationTierSetting})
	if err != nil || tier.ServiceSetting.Status != "Default" {
		return err
	}
	input := &ssm.UpdateServiceSettingInput{SettingID: ssm.ActivationTierSetting, SettingValue: ssm.TierAdvanced}
	answer, err := s.control.UpdateServiceSetting(admin, input)
	s.trail.Record(admin, "ssm:UpdateServiceSetting", input, answer, err)
	if err == nil {
		s.logger.Info("activation tier changed", "to", ssm.TierAdvanced, "why", "sessions on the nodes of dev need it")
	}
	return err
}

// register makes an activation for one node, as the administrator and through the
// operation that the API has for it, and has the agent register with it.
func (s *server) register(ctx context.Context, n *localNode, name string) (string, error) {
	admin, err := s.asAdministrator(ctx)
	if err != nil {
		return "", err
	}
	if err := s.openTier(admin); err != nil {
		return "", err
	}
	// A deployment of an earlier release does not have it.
	if err := ensureServiceRole(ctx, s.store, time.Now()); err != nil {
		return "", err
	}
	one, expires := 1, time.Now().Add(time.Hour)
	input := &ssm.CreateActivationInput{
		Description:         "made by sekishod dev",
		DefaultInstanceName: name,
		IamRole:             serviceRole,
		RegistrationLimit:   &one,
		ExpirationDate:      ssm.At(expires),
	}
	activation, err := s.control.CreateActivation(admin, input)
	s.trail.Record(admin, "ssm:CreateActivation", input, activation, err)
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
	cmd := exec.CommandContext(ctx, n.program, "register", "--dir", n.dir, "--endpoint", s.url,
		"--ca", filepath.Join(s.cfg.DataDir, caCertFile), "--region", s.arns.Region,
		"--code-file", "-", "--id", activation.ActivationID)
	cmd.Stdin = strings.NewReader(activation.ActivationCode) // not argv, which everybody sees
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

// redirect points the registration in dir to this server, which may listen elsewhere
// than at the last start. What else is in the agent's file stays.
func (s *server) redirect(dir string) error {
	ca, err := os.ReadFile(filepath.Join(s.cfg.DataDir, caCertFile))
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "registration.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var registration map[string]any
	if err := json.Unmarshal(text, &registration); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if registration["Endpoint"] == s.url && registration["CA"] == string(ca) {
		return nil
	}
	registration["Endpoint"], registration["CA"] = s.url, string(ca)
	text, err = json.MarshalIndent(registration, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'), 0o600)
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
	cmd := exec.CommandContext(ctx, n.program, "run", "--dir", n.dir, "--parent-pipe", "--session-user", "")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, log, log
	cmd.Env = agentEnvironment(os.Environ())
	// A group of its own: a terminal's Ctrl-C reaches this process alone, which then
	// decides what the agent is told.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = agentStop // then it is killed
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// endSessions ends the nodes' sessions as the administrator and waits until they have
// ended, for a bounded time: the server stops in any case.
func (s *server) endSessions(nodes []*localNode) {
	ctx, cancel := context.WithTimeout(context.Background(), endSessionsTimeout)
	defer cancel()
	if err := s.tryEndSessions(ctx, nodes); err != nil {
		s.logger.Warn("sessions not ended", "error", err)
	}
}

func (s *server) tryEndSessions(ctx context.Context, nodes []*localNode) error {
	admin, err := s.asAdministrator(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	told := make(map[string]bool)
	for i := 0; i < len(nodes); {
		sessions, err := s.store.LiveSessionsOfNode(ctx, nodes[i].id)
		if err != nil {
			return err
		}
		if len(sessions) == 0 {
			i++
			continue
		}
		for _, session := range sessions {
			if told[session.ID] {
				continue
			}
			told[session.ID] = true
			input := &ssm.SessionIDInput{SessionID: session.ID}
			output, err := s.control.TerminateSession(admin, input)
			s.trail.Record(admin, "ssm:TerminateSession", input, output, err)
			if err != nil {
				return fmt.Errorf("session %s: %w", session.ID, err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d still run: %w", len(sessions), ctx.Err())
		}
	}
	return nil
}

// asAdministrator makes the first administrator the caller of ctx.
func (s *server) asAdministrator(ctx context.Context) (context.Context, error) {
	admin, err := s.store.UserByName(ctx, adminName)
	if err != nil {
		return nil, err
	}
	ctx = awsapi.WithRequest(ctx, awsapi.RequestInfo{UserAgent: "sekishod dev"})
	return auth.WithPrincipal(ctx, s.auth.UserPrincipal(admin)), nil
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

// awaitNodes returns when all nodes are connected to this server.
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
		// The lease of a process that was killed may still run: it is no connection.
		if node.ConnectedGateway == s.name && node.Connected(time.Now()) {
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
