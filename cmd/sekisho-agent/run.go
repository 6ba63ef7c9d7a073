package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"sekisho/internal/agent"
	"sekisho/internal/platform"
)

const runHelp = `Usage: sekisho-agent run [--dir DIR]

Runs the agent in the foreground until it gets SIGTERM. Open sessions go on: each has a
process of its own, and the next agent takes no harm from it. The log goes to standard
error, or to a file that does not grow for ever. What a session's own process has to say
goes to standard error in any case.

Examples:
  sekisho-agent run
  sekisho-agent run --log-file /var/log/sekisho-agent.log --log-size 20 --auto-update
`

var errParentEnded = errors.New("the parent process has ended")

func run(ctx context.Context, w world, args []string) error {
	fs := flags(w, runHelp)
	var cfg agent.Config
	fs.StringVar(&cfg.Dir, "dir", agent.DefaultDir(), "`directory` of the registration")
	fs.StringVar(&cfg.SessionUser, "session-user", agent.DefaultSessionUser,
		"local `user` of sessions whose document names none, when the agent is root;\nempty: the agent's own account")
	fs.BoolVar(&cfg.AutoUpdate, "auto-update", false, "install new releases that the server offers, without being asked")
	fs.DurationVar(&cfg.UpdatePatience, "update-patience", 0, "how `long` a new release may take to be online before the old one is put back (default 2m)")
	fs.BoolVar(&cfg.Debug, "debug", false, "log more")
	fs.BoolVar(&cfg.EndSessions, "end-sessions-on-stop", false, "end the sessions when the agent is stopped")
	logPath := fs.String("log-file", "", "`file` for the log instead of standard error")
	logSize := fs.Int64("log-size", 10, "size in `MB` at which the file is put aside as FILE.1, FILE.2 …")
	logKeep := fs.Int("log-keep", 4, "`number` of files that are kept aside")
	asJSON := fs.Bool("json", false, "log in JSON")
	pipe := fs.Bool("parent-pipe", false, "stop when standard input ends: with the process that holds its other end")
	if err := parse(w, fs, args); err != nil {
		return err
	}
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if cfg.Debug {
		opts.Level = slog.LevelDebug
	}
	log := w.stderr
	if *logPath != "" {
		file := newLogFile(*logPath, max(1, *logSize)<<20, *logKeep, w.stderr)
		defer file.Close()
		log = file
	}
	cfg.Logger = slog.New(slog.NewTextHandler(log, opts))
	if *asJSON {
		cfg.Logger = slog.New(slog.NewJSONHandler(log, opts))
	}
	if *pipe {
		var stop context.CancelCauseFunc
		ctx, stop = context.WithCancelCause(ctx)
		defer stop(nil)
		go func() { // ends with standard input or the process
			io.Copy(io.Discard, w.stdin)
			stop(errParentEnded)
		}()
	}
	if program, err := os.Executable(); err == nil {
		cfg.Program = program
	}
	if signals := platform.UpdateSignal(); len(signals) > 0 {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, signals...)
		defer signal.Stop(asked)
		cfg.Update = asked
	}
	if err := agent.Run(ctx, cfg); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}
