package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sekisho/internal/agent"
	"sekisho/internal/platform"
)

const updateHelp = `Usage: sekisho-agent update [--dir DIR] [--check]

Has the running agent install the release that its server offers, and waits for the
outcome. The release must be signed by the key that was pinned at registration. Open
sessions go on. If the new program is not online in time, the old one is put back.

The agent updates itself without being asked only when it was started with --auto-update.

Examples:
  sudo sekisho-agent update --check
  sudo sekisho-agent update
`

// updateTimeout is above all that an update may take: download, trial, the new program's
// time to be online, and the way back.
const updateTimeout = 15 * time.Minute

func update(ctx context.Context, w world, args []string) error {
	fs := flags(w, updateHelp)
	dir := fs.String("dir", agent.DefaultDir(), "`directory` of the registration")
	check := fs.Bool("check", false, "only say what the server offers")
	if err := parse(w, fs, args); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	offer, err := agent.CheckUpdate(ctx, *dir, program)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if *check {
		state := "this program is another"
		if offer.Current {
			state = "this program is that release"
		}
		_, err := fmt.Fprintf(w.stdout, "The server offers %s, published %s; %s.\n", offer.Version, offer.Published.Format(time.RFC3339), state)
		return err
	}
	pid, err := platform.LockHolder(*dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return errors.New("update: this system does not tell which process is the agent. Send it SIGUSR1, or run the install script again")
	case err != nil:
		return fmt.Errorf("update: %w", err)
	case pid == 0:
		return errors.New("update: no agent runs with this directory. Start it, or run the install script again")
	}
	before := agent.ReadOutcome(*dir)
	if err := platform.AskForUpdate(pid); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		switch o := agent.ReadOutcome(*dir); {
		case o == before:
		case o.Installed:
			_, err := fmt.Fprintf(w.stdout, "The agent runs release %s.\n", o.Version)
			return err
		default:
			return fmt.Errorf("update: not updated to %s: %s", o.Version, o.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("update: the agent does not say how it went; see its log")
		}
	}
}
