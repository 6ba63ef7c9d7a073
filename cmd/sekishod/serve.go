package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

func runServe(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	cfg, err := c.config(args, stdout)
	if err != nil {
		return err
	}
	s, err := startServer(ctx, cfg, cfg.logger(stderr))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.logger.Info("stopping", "reason", context.Cause(ctx).Error())
		return s.stop()
	case err := <-s.served:
		s.served <- err
		return errors.Join(fmt.Errorf("serve: %w", err), s.stop())
	}
}

func runMigrate(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	cfg, err := c.config(args, stdout)
	if err != nil {
		return err
	}
	db, err := openStore(ctx, cfg, cfg.logger(stderr))
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The database has this program's schema.")
	return err
}

// config reads the configuration that --config names.
func (c command) config(args []string, stdout io.Writer) (config, error) {
	var path string
	var flags flag.FlagSet
	flags.StringVar(&path, "config", "", "configuration `FILE`, as `sekishod init` makes it")
	if err := c.parse(&flags, args, stdout); err != nil {
		return config{}, err
	}
	if path == "" {
		return config{}, usageError{fmt.Sprintf("%s: --config is missing (see `sekishod %s --help`)", c.name, c.name)}
	}
	return loadConfig(path)
}
