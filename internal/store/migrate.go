package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// migrations holds numbered files that are never edited once released. A file is one
// text for both databases: bigint for times (Unix milliseconds) and durations, text,
// boolean, and bytea, which SQLite takes for a type name without meaning and so
// stores blobs as they are.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to this program's version.
func (d *database) migrate(ctx context.Context, logger *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(logger)}
	if d.locker != nil {
		options = append(options, goose.WithSessionLocker(d.locker))
	}
	provider, err := goose.NewProvider(d.dialect, d.write, files, options...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	// GetVersions does not take the lock. That is why it is asked again afterwards:
	// a newer release may have migrated in between.
	if err := checkVersion(ctx, provider); err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	for _, r := range results {
		logger.Info("schema migrated", "version", r.Source.Version, "duration", r.Duration)
	}
	return checkVersion(ctx, provider)
}

func checkVersion(ctx context.Context, provider *goose.Provider) error {
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("%w: it has version %d and this program knows versions up to %d; run the release that wrote it, or a later one",
			ErrNewerSchema, have, want)
	}
	return nil
}
