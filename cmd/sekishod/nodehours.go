package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"time"

	"sekisho/internal/control"
)

// runNodeHours prints what sekisho:GetNodeHours answers.
func runNodeHours(ctx context.Context, c command, args []string, stdout, stderr io.Writer) error {
	var path, tag string
	var since, until moment
	var flags flag.FlagSet
	flags.StringVar(&path, "config", "", "configuration `FILE`")
	flags.Var(&since, "since", "beginning of the period: a `TIME` as RFC 3339, or an age such as 720h; the beginning of the month if absent")
	flags.Var(&until, "until", "end of the period, a `TIME`; now if absent")
	flags.StringVar(&tag, "tag", "", "sums by the values of the tag `KEY` in place of single nodes")
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	if path == "" {
		return usageError{"node-hours: --config is missing (see `sekishod node-hours --help`)"}
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
	report, err := control.CountNodeHours(ctx, db, since.Time, until.Time, tag, time.Now())
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	_, err = stdout.Write(append(text, '\n'))
	return err
}
