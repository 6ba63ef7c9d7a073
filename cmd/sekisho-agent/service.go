package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sekisho/internal/agent"
	"sekisho/internal/osservice"
)

const serviceHelp = `Usage: sekisho-agent service install [--dir DIR] [options of run] | uninstall | status

Makes the agent a service that starts with the machine (systemd, launchd, Windows), or takes
it off again.
Stopping, restarting or updating the service does not end open sessions. The registration
stays where it is.
`

// serviceName is the name of the unit.
const serviceName = "sekisho-agent"

func service(ctx context.Context, w world, args []string) error {
	verb := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		verb, args = args[0], args[1:]
	}
	fs := flags(w, serviceHelp)
	dir := fs.String("dir", agent.DefaultDir(), "`directory` of the registration")
	user := fs.String("session-user", agent.DefaultSessionUser, "what the service's run is given as --session-user")
	automatic := fs.Bool("auto-update", false, "give the service's run --auto-update")
	logPath := fs.String("log-file", "", "`file` that the service's run is given as --log-file")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(w, fs, args); err != nil {
		return err
	}
	switch verb {
	case "install":
		var options []string
		if *user != agent.DefaultSessionUser {
			options = append(options, "--session-user="+*user)
		}
		if *automatic {
			options = append(options, "--auto-update")
		}
		if *logPath == "" && !osservice.KeepsLog {
			*logPath = filepath.Join(*dir, "agent.log")
		}
		if *logPath != "" {
			options = append(options, "--log-file", *logPath)
		}
		return install(ctx, w, *dir, options)
	case "uninstall":
		if err := osservice.Uninstall(ctx, serviceName); err != nil {
			return fmt.Errorf("service uninstall: %w", err)
		}
		_, err := fmt.Fprintf(w.stdout, "The service %s is gone. Open sessions go on until they end.\n", serviceName)
		return err
	case "status":
		s, err := osservice.Query(ctx, serviceName)
		if err != nil {
			return fmt.Errorf("service status: %w", err)
		}
		if *asJSON {
			return json.NewEncoder(w.stdout).Encode(s)
		}
		installed, enabled := "not installed", "does not start with the machine"
		if s.Installed {
			installed = "installed"
		}
		if s.Enabled {
			enabled = "starts with the machine"
		}
		_, err = fmt.Fprintf(w.stdout, "%s: %s, %s, %s\n", serviceName, installed, enabled, s.State)
		return err
	}
	fmt.Fprint(w.stderr, serviceHelp)
	return errUsage
}

func install(ctx context.Context, w world, dir string, options []string) error {
	program, err := os.Executable()
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return fmt.Errorf("service install: %w", err)
	}
	if _, err := agent.Load(dir); errors.Is(err, agent.ErrNotRegistered) {
		return fmt.Errorf("service install: %w", err)
	}
	err = osservice.Install(ctx, osservice.Service{
		Name: serviceName, Description: "Sekisho node agent",
		Command: append([]string{program, "run", "--dir", dir}, options...),
	})
	if err != nil {
		return fmt.Errorf("service install: %w", err)
	}
	_, err = fmt.Fprintf(w.stdout, "The service %s runs and starts with the machine.\n", serviceName)
	return err
}
