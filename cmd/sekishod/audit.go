package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sekisho/internal/trail"
)

func runAuditExport(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	var path string
	var since, until moment
	var flags flag.FlagSet
	flags.StringVar(&path, "config", "", "configuration `FILE`")
	flags.Var(&since, "since", "only events from this `TIME` on: RFC 3339, or an age such as 24h")
	flags.Var(&until, "until", "only events before this `TIME`")
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	if path == "" {
		return usageError{"audit export: --config is missing (see `sekishod audit export --help`)"}
	}
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	db, err := openStore(ctx, cfg, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer db.Close()
	return trail.Export(ctx, db, stdout, since.Time, until.Time)
}

// moment is a flag for a point in time: a date with time and zone, or how long ago.
type moment struct{ time.Time }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

func (m *moment) Set(text string) error {
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		m.Time = time.Now().Add(-age)
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("%q is neither a time such as 2026-11-01T00:00:00Z nor an age such as 24h", text)
	}
	m.Time = at
	return nil
}
