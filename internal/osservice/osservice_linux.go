package osservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// systemd is the service manager and where it keeps things.
type systemd struct {
	units   string // directory of the administrator's units
	running string // exists when systemd is the init (sd_booted(3))
	control func(ctx context.Context, args ...string) (string, error)
}

func system() systemd {
	return systemd{units: "/etc/systemd/system", running: "/run/systemd/system", control: systemctl}
}

// Install writes the service's unit, enables it and starts it. An older unit of the
// same name is replaced and restarted.
func Install(ctx context.Context, s Service) error { return system().install(ctx, s) }

// Uninstall stops the service and removes its unit. One that is not installed is no error.
func Uninstall(ctx context.Context, name string) error { return system().uninstall(ctx, name) }

// Query says how the service does.
func Query(ctx context.Context, name string) (Status, error) { return system().query(ctx, name) }

func (m systemd) check() error {
	if _, err := os.Stat(m.running); err != nil {
		return fmt.Errorf("this machine does not run systemd: start the program's run command from the service manager it has: %w", errors.ErrUnsupported)
	}
	return nil
}

func (m systemd) path(name string) string { return filepath.Join(m.units, name+".service") }

func (m systemd) install(ctx context.Context, s Service) error {
	if err := m.check(); err != nil {
		return err
	}
	text, err := Unit(s)
	if err != nil {
		return err
	}
	path := m.path(s.Name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the unit (root is needed): %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the unit: %w", err)
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", s.Name + ".service"}, {"restart", s.Name + ".service"}} {
		if _, err := m.control(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (m systemd) uninstall(ctx context.Context, name string) error {
	if err := m.check(); err != nil {
		return err
	}
	if _, err := os.Stat(m.path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := m.control(ctx, "disable", "--now", name+".service"); err != nil {
		return err
	}
	if err := os.Remove(m.path(name)); err != nil {
		return fmt.Errorf("remove the unit: %w", err)
	}
	_, err := m.control(ctx, "daemon-reload")
	return err
}

func (m systemd) query(ctx context.Context, name string) (Status, error) {
	if err := m.check(); err != nil {
		return Status{}, err
	}
	var s Status
	if _, err := os.Stat(m.path(name)); err == nil {
		s.Installed = true
	}
	// Both exit with a failure when the answer is no, and print it all the same.
	enabled, _ := m.control(ctx, "is-enabled", name+".service")
	s.Enabled = enabled == "enabled"
	s.State, _ = m.control(ctx, "is-active", name+".service")
	return s, nil
}

// systemctl runs the tool and returns what it printed.
func systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return text, nil
}
