package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// migrationFiles holds numbered files that are never edited once released. A file is
// one text for both databases: bigint for times (Unix milliseconds) and durations,
// text, boolean, and bytea, which SQLite takes for a type name without meaning and so
// stores blobs as they are.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the schema to this program's version.
func (d *database) migrate(ctx context.Context, logger *slog.Logger) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return fmt.Errorf("lock schema: %w", err)
	}
	defer unlock()
	provider, err := goose.NewProvider(d.dialect, d.write, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(logger))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	for {
		before, want, err := provider.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if before > want {
			return fmt.Errorf("%w: it has version %d and this program knows versions up to %d; run the release that wrote it, or a later one",
				ErrNewerSchema, before, want)
		}
		results, err := provider.Up(ctx)
		for _, r := range results {
			logger.Info("schema migrated", "version", r.Source.Version, "duration", r.Duration)
		}
		if err == nil {
			return nil
		}
		// SQLite has no lock that spans migrations: another process may have run one
		// of them first. If the version moved, the rest is tried again.
		if after, _, verr := provider.GetVersions(ctx); verr != nil || after == before {
			return fmt.Errorf("migrate schema: %w", err)
		}
	}
}
