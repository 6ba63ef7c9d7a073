package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// maxDevNodes bounds --nodes: each is a process on this machine.
	maxDevNodes = 100
	// adminFile keeps the administrator's secrets in clear, in a dev directory only, so
	// that the next start can show them again. A deployment made by init has no such file.
	adminFile = "admin.json"
)

// devOptions are dev's flags; the pointers are nil for flags not given.
type devOptions struct {
	dir                           string
	nodes                         int
	listen, region, serviceDomain *string
}

func runDev(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	var options devOptions
	var flags flag.FlagSet
	flags.StringVar(&options.dir, "dir", "", "`DIR`ectory of the server's and the nodes' data; made if absent, kept for the next start. It holds the administrator's secrets in clear (admin.json, env.sh): for development only")
	listen := flags.String("listen", "", "`ADDR`ess to listen on; that of the last start, or "+defaultListen)
	flags.IntVar(&options.nodes, "nodes", 1, "`N`umber of managed nodes to run on this machine")
	region := flags.String("region", "", "the `REGION` that a new deployment serves; "+defaultRegion+" if absent")
	domain := flags.String("service-domain", "", "`DOMAIN` below which the services have names of their own, for stock agents")
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "listen":
			options.listen = listen
		case "region":
			options.region = region
		case "service-domain":
			options.serviceDomain = domain
		}
	})
	if options.dir == "" {
		return usageError{"dev: --dir is missing (see `sekishod dev --help`)"}
	}
	if options.nodes < 0 || options.nodes > maxDevNodes {
		return usageError{fmt.Sprintf("dev: --nodes must be 0 to %d", maxDevNodes)}
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	return dev(ctx, options, filepath.Dir(executable), stdout, stderr)
}

// dev runs a server and its local nodes until ctx ends.
func dev(ctx context.Context, options devOptions, binDir string, stdout, stderr io.Writer) error {
	dir, err := filepath.Abs(options.dir)
	if err != nil {
		return err
	}
	var program string
	if options.nodes > 0 {
		if program, err = findAgent(binDir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	cfg, admin, err := devConfig(ctx, dir, options, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	s, err := startServer(ctx, cfg, cfg.logger(stderr))
	if err != nil {
		return err
	}
	err = s.runNodes(ctx, dir, binDir, program, options.nodes, admin, stdout)
	return errors.Join(err, s.stop())
}

// devConfig makes the deployment in dir at the first start and reads it at later ones.
// Flags win over the file.
func devConfig(ctx context.Context, dir string, options devOptions, logger *slog.Logger) (config, administrator, error) {
	override := func(cfg *config) error {
		for _, o := range []struct {
			from *string
			to   *string
		}{{options.listen, &cfg.Listen}, {options.region, &cfg.Region}, {options.serviceDomain, &cfg.ServiceDomain}} {
			if o.from != nil {
				*o.to = *o.from
			}
		}
		return cfg.check()
	}
	adminPath := filepath.Join(dir, adminFile)
	configPath := filepath.Join(dir, configName)
	if !exists(configPath) {
		cfg := defaultConfig()
		if err := override(&cfg); err != nil {
			return config{}, administrator{}, usageError{"dev: " + err.Error()}
		}
		return initialise(ctx, dir, cfg, func(admin administrator) error {
			text, err := json.MarshalIndent(admin, "", "  ")
			if err != nil {
				return err
			}
			return writeFile(adminPath, append(text, '\n'), 0o600)
		}, time.Now(), logger)
	}
	cfg, err := loadConfig(configPath)
	if err != nil {
		return config{}, administrator{}, err
	}
	if err := override(&cfg); err != nil {
		return config{}, administrator{}, usageError{"dev: " + err.Error()}
	}
	text, err := os.ReadFile(adminPath)
	if errors.Is(err, os.ErrNotExist) {
		return config{}, administrator{}, fmt.Errorf("%s holds a deployment that `sekishod init` made, not a dev one (it has no %s): run `sekishod serve --config %s`, or choose another directory", dir, adminFile, configPath)
	}
	if err != nil {
		return config{}, administrator{}, err
	}
	var admin administrator
	if err := json.Unmarshal(text, &admin); err != nil {
		return config{}, administrator{}, fmt.Errorf("%s: %w", adminPath, err)
	}
	return cfg, admin, nil
}

// runNodes runs the local nodes until ctx ends, and announces when all are connected.
func (s *server) runNodes(ctx context.Context, dir, binDir, program string, count int, admin administrator, stdout io.Writer) error {
	nodes, err := s.localNodes(ctx, dir, program, count)
	if err != nil {
		return quietStop(ctx, err)
	}
	// Agents outlive ctx: sessions end through them.
	agentCtx, stopAgents := context.WithCancel(context.WithoutCancel(ctx))
	var agents sync.WaitGroup
	for _, n := range nodes {
		agents.Go(func() { n.run(agentCtx) })
	}
	err = s.serveNodes(ctx, nodes, func() error { return s.announce(dir, binDir, nodes, admin, stdout) })
	if ctx.Err() != nil {
		s.logger.Info("stopping", "reason", context.Cause(ctx).Error())
	}
	if interrupted(ctx) {
		s.endSessions(nodes)
	}
	stopAgents()
	agents.Wait()
	return err
}

// serveNodes returns when ctx ends or the server fails. It calls ready when all nodes
// are connected.
func (s *server) serveNodes(ctx context.Context, nodes []*localNode, ready func() error) error {
	if err := s.awaitNodes(ctx, nodes); err != nil {
		return quietStop(ctx, err)
	}
	if err := ready(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.served:
		s.served <- err
		return fmt.Errorf("serve: %w", err)
	}
}

// interrupted says whether ctx ended by SIGINT, a person's Ctrl-C. It ends sessions
// too; any other end leaves them to the next start.
func interrupted(ctx context.Context) bool {
	cause, ok := errors.AsType[stopSignal](context.Cause(ctx))
	return ok && cause.Signal == os.Interrupt
}

// quietStop drops an error that only says that dev was told to stop.
func quietStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// announce writes env.sh and tells the user how to begin. The last line is "ready".
func (s *server) announce(dir, binDir string, nodes []*localNode, admin administrator, stdout io.Writer) error {
	environment := devEnvironment{
		URL: s.url, Region: s.arns.Region, Admin: admin,
		CABundle: filepath.Join(dir, "ca-bundle.pem"), BinDir: binDir, ShimDir: filepath.Join(dir, "shim"),
	}
	first := "there is no managed node (--nodes 0): `aws ssm create-activation` makes an activation for one"
	if len(nodes) > 0 {
		environment.NodeID = nodes[0].id
		first = `aws ssm start-session --target "$SEKISHO_NODE_ID"`
	}
	ca, err := os.ReadFile(filepath.Join(s.cfg.DataDir, caCertFile))
	if err != nil {
		return err
	}
	script := filepath.Join(dir, "env.sh")
	if err := environment.write(script, ca); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, `
Sekisho runs in region %s, account %s, with %d managed node(s).

  Console       %s/
  Sign in       user %s, password %s
  First session, in another terminal:
      . %s
      %s

Ctrl-C stops the server and ends its sessions. What it keeps is in %s,
the administrator's secrets in clear among it (%s, env.sh): for development only.
ready
`, s.arns.Region, s.arns.Account, len(nodes), s.url, adminName, admin.Password, shellWord(script), first, dir, adminFile)
	return err
}

// lockDir makes sure that one dev at a time works on dir. The lock ends with the
// process, however it ends.
func lockDir(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "dev.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another sekishod dev runs on %s", dir)
	}
	return f.Close, nil
}
