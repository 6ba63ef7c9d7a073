package osservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// launchd's directory of the administrator's daemons.
const daemons = "/Library/LaunchDaemons"

func plistPath(name string) string { return filepath.Join(daemons, Label(name)+".plist") }

// Install writes the service's property list and has launchd load and start it. An older
// one of the same name is replaced and restarted.
func Install(ctx context.Context, s Service) error {
	path := plistPath(s.Name)
	if err := os.WriteFile(path+".new", []byte(Plist(s, "/var/log/"+s.Name+".log")), 0o644); err != nil {
		return fmt.Errorf("write the property list (root is needed): %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the property list: %w", err)
	}
	launchctl(ctx, "bootout", "system/"+Label(s.Name)) // fails when it was not loaded
	_, err := launchctl(ctx, "bootstrap", "system", path)
	return err
}

// Uninstall stops the service and removes its property list. One that is not installed is
// no error.
func Uninstall(ctx context.Context, name string) error {
	if _, err := os.Stat(plistPath(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	launchctl(ctx, "bootout", "system/"+Label(name))
	if err := os.Remove(plistPath(name)); err != nil {
		return fmt.Errorf("remove the property list: %w", err)
	}
	return nil
}

// Query says how the service does.
func Query(ctx context.Context, name string) (Status, error) {
	var s Status
	if _, err := os.Stat(plistPath(name)); err == nil {
		s.Installed, s.Enabled = true, true
	}
	s.State = "not loaded"
	text, err := launchctl(ctx, "print", "system/"+Label(name))
	if err != nil {
		return s, nil
	}
	for line := range strings.Lines(text) {
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), "state = "); ok {
			s.State = state
			break
		}
	}
	return s, nil
}

func launchctl(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "launchctl", args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("launchctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
