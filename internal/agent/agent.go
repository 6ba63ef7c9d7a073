// Package agent is a managed node's side of the service: it registers the machine,
// keeps its credentials and its control channel alive, and runs the sessions that the
// gateway asks for, each in a worker process of its own that outlives the agent.
//
// It promises that a session goes on over a lost connection, a restarted server and
// the agent's own update without a byte lost or repeated; that opening a shell writes
// nothing to disk; and that a lost server is retried for ever without haste.
//
// cmd/sekisho-agent calls [Register], [Run] and, in the re-executed child, [Child].
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"sekisho/internal/platform"
	"sekisho/internal/ssm"
)

// Config is what [Run] needs. The rest is in the directory, written by [Register].
type Config struct {
	Dir    string
	Logger *slog.Logger
	// EndSessions ends the sessions when Run ends. The default leaves them to their
	// workers, which is what an update or a restart wants.
	EndSessions bool
	// SessionUser is the account as which sessions run whose document does not say, on
	// Linux and macOS when the agent is root: [DefaultSessionUser] is made when it is not
	// there. Empty means the agent's own account.
	SessionUser string
	// Debug makes the workers log as much as a Logger at debug level.
	Debug bool

	// Program is the file of this program, and where a new release goes; empty means that
	// nothing is updated.
	Program string
	// AutoUpdate installs releases of the server without being asked.
	AutoUpdate bool
	// Update asks for a look at what the server offers.
	Update <-chan os.Signal
	// UpdatePatience is how long a new release may take to be online before the program
	// before it is put back; zero means two minutes.
	UpdatePatience time.Duration

	// pace is that of the control channel, sessionPace that of sessions; zero means
	// defaultPace and sessionPace. Tests are less patient.
	pace, sessionPace pace
}

const (
	// lockPatience is how long Run waits for an agent that is just ending.
	lockPatience = 5 * time.Second
	lockRetry    = 100 * time.Millisecond
	// heartbeatInterval is the stock agent's default, HealthFrequencyMinutes
	// (agent-control-plane.md §3.1).
	heartbeatInterval = 5 * time.Minute
	// stopPatience bounds the wait for sessions that are told to end.
	stopPatience = 6 * time.Second
)

// ErrInUse says that another agent works with the directory.
var ErrInUse = errors.New("another agent is running with this directory")

// agent is one run. Its goroutines are started by Run, which waits for them.
type agent struct {
	cfg      Config
	reg      *Registration
	server   *server
	creds    *credentials
	key      *nodeKey
	logger   *slog.Logger
	control  uplink
	sessions sessions
	tasks    sync.WaitGroup // goroutines of sessions and completions
	online   func()         // says that the control channel is open; once
}

// Run works as the node that the directory is registered as, until ctx ends. It
// returns an error only when it cannot begin.
func Run(ctx context.Context, cfg Config) error {
	if cfg.pace == (pace{}) {
		cfg.pace = defaultPace
	}
	if cfg.sessionPace == (pace{}) {
		cfg.sessionPace = sessionPace
	}
	if cfg.UpdatePatience == 0 {
		cfg.UpdatePatience = onlinePatience
	}
	online := sync.OnceFunc(afterUpdate(os.Getenv))
	reg, err := Load(cfg.Dir)
	if err != nil {
		return err
	}
	key, err := reg.key(cfg.Dir)
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	srv, err := newServer(reg)
	if err != nil {
		return err
	}
	logger := cfg.Logger.With("node_id", reg.NodeID)
	a := &agent{cfg: cfg, reg: reg, server: srv, logger: logger, online: online}
	// A copy: the registration that workers are given is not written to.
	own := *reg
	a.key = &nodeKey{dir: cfg.Dir, reg: &own, server: srv}
	a.key.current.Store(key)
	a.creds = newCredentials(srv, reg.Fingerprint, a.key.signer)
	a.control.init()
	a.sessions.init()

	logger.Info("agent started", "endpoint", reg.Endpoint, "region", reg.Region)
	// Completions may be sent until the sessions have ended, so their context is
	// ended after the loops.
	taskCtx, endTasks := context.WithCancel(context.WithoutCancel(ctx))
	defer endTasks()
	linkCtx, endLink := context.WithCancel(context.WithoutCancel(ctx))
	defer endLink()
	var loops, link sync.WaitGroup
	loops.Go(func() { a.creds.keepFresh(ctx, logger) })
	loops.Go(func() { a.heartbeat(ctx) })
	loops.Go(func() { a.deliverLogs(ctx) })
	loops.Go(func() { a.keepKey(ctx) })
	loops.Go(func() { a.keepUpdated(ctx) })
	link.Go(func() { a.keepControl(linkCtx, taskCtx) })

	<-ctx.Done()
	logger.Info("agent stopping", "reason", context.Cause(ctx))
	loops.Wait()
	if cfg.EndSessions {
		a.sessions.endAll(stopPatience)
		waitAtMost(&a.tasks, completionWait) // for their completions to be said
	}
	endLink()
	link.Wait()
	endTasks()
	a.tasks.Wait()
	srv.close()
	return nil
}

// lock takes the directory, with a little patience for an agent that is ending.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	for deadline := time.Now().Add(lockPatience); ; {
		unlock, err := platform.LockDir(dir)
		if !errors.Is(err, platform.ErrLocked) {
			return unlock, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %s (stop it, or use another --dir)", ErrInUse, dir)
		}
		if !wait(ctx, lockRetry) {
			return nil, context.Cause(ctx)
		}
	}
}

// heartbeat tells the service about this machine at once and then every few minutes.
func (a *agent) heartbeat(ctx context.Context) {
	retry := backoff{min: time.Second, max: time.Minute}
	for {
		next := heartbeatInterval
		if err := a.updateInformation(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			next = retry.next()
			a.logger.Warn("instance information not updated", "error", err, "retry_in", next)
		} else {
			retry.reset()
		}
		if !wait(ctx, next) {
			return
		}
	}
}

func (a *agent) updateInformation(ctx context.Context) error {
	return a.creds.use(ctx, func(c Credentials) error {
		return a.server.call(ctx, "AmazonSSM.UpdateInstanceInformation", information(a.reg.NodeID), nil, a.server.sigv4Signer(c, "ssm"))
	})
}

// information is what a node tells about its machine.
func information(nodeID string) *ssm.UpdateInstanceInformationInput {
	facts := platform.Local()
	return &ssm.UpdateInstanceInformationInput{
		InstanceID:           nodeID,
		AgentName:            agentName,
		AgentStatus:          "Active",
		AgentVersion:         agentVersion,
		ComputerName:         facts.ComputerName,
		IPAddress:            facts.IPAddress,
		PlatformName:         facts.Name,
		PlatformType:         facts.Type,
		PlatformVersion:      facts.Version,
		SSMConnectionChannel: "ssmmessages",
	}
}

// waitAtMost waits for a group, but not for ever. The goroutine ends with the group.
func waitAtMost(group *sync.WaitGroup, patience time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// wait waits for d and says whether ctx is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
