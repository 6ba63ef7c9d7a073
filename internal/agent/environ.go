package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"sekisho/internal/platform"
	"sekisho/internal/pty"
)

const (
	fallbackShell = "/bin/sh"
	// searchPath is what a shell has before its own profile says otherwise.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// terminal is what the stock agent and every client of today speak.
	terminal = "xterm-256color"
)

// loginShell is the account's login shell in its home directory, as a person expects
// it after signing in on a good terminal. An account without a usable shell, as service
// accounts are, gets a plain one: who may open a session is decided by the service.
func loginShell(a platform.Account, agentEnv []string, sessionID string) pty.Command {
	if path, argv, env, dir, ok := platform.Shell(agentEnv, sessionID); ok {
		return pty.Command{Path: path, Argv: argv, Env: env, Dir: dir}
	}
	shell := a.Shell
	switch filepath.Base(shell) {
	case "nologin", "false", "true", "sync":
		shell = ""
	}
	if shell == "" || !platform.IsExecutable(shell) {
		shell = fallbackShell
	}
	return pty.Command{
		Path: shell,
		Argv: []string{"-" + filepath.Base(shell)}, // the hyphen makes it a login shell
		Env:  shellEnv(a, agentEnv, shell, sessionID),
		Dir:  homeDir(a),
	}
}

func homeDir(a platform.Account) string {
	if info, err := os.Stat(a.Home); err == nil && info.IsDir() && filepath.IsAbs(a.Home) {
		return a.Home
	}
	return "/"
}

// shellEnv makes a fresh environment. Of the agent's own only the locale and the time
// zone go into it: the rest is the agent's business, some of it secret.
func shellEnv(a platform.Account, agentEnv []string, shell, sessionID string) []string {
	home := a.Home
	if home == "" {
		home = "/"
	}
	env := []string{
		"HOME=" + home,
		"USER=" + a.Name,
		"LOGNAME=" + a.Name,
		"SHELL=" + shell,
		"PATH=" + searchPath,
		"TERM=" + terminal,
		"SEKISHO_SESSION_ID=" + sessionID,
	}
	lang := "LANG=C.UTF-8"
	for _, kv := range agentEnv {
		key, value, _ := strings.Cut(kv, "=")
		switch {
		case value == "":
		case key == "LANG":
			lang = kv
		case key == "TZ", strings.HasPrefix(key, "LC_"):
			env = append(env, kv)
		}
	}
	return append(env, lang)
}

// startShell starts the login shell. One that cannot be started, for instance for its
// directory, gives way to a plain one in the root directory.
func startShell(who account, sessionID string) (*pty.Process, error) {
	cmd := loginShell(who.Account, os.Environ(), sessionID)
	p, err := who.startTerminal(cmd)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		cmd.Path, cmd.Argv, cmd.Dir = fallbackShell, []string{"-sh"}, "/"
		if q, second := who.startTerminal(cmd); second == nil {
			return q, nil
		}
	}
	return p, err
}
