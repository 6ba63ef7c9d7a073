package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"sekisho/internal/message"
	"sekisho/internal/platform"
	"sekisho/internal/pty"
	"sekisho/internal/runas"
)

// DefaultSessionUser is the account of sessions on a node whose agent is root, made on
// first use (agent-control-plane.md §6.2).
const DefaultSessionUser = "ssm-user"

// childRunAs is the child that becomes another account and executes a program.
const childRunAs = "runas"

// sessionUmask is for files that people make: a login gives it, the agent's own is
// stricter.
const sessionUmask = 0o022

// The stock agent's words for what people get to read and scripts look for, each
// followed by what to do (agent-control-plane.md §6.4).
const (
	cannotStart = "Unable to start command: "
	needsRoot   = cannotStart + "the agent must run as root to use RunAs. This one runs as %s: run it as root, or use a session document with runAsEnabled false."
	needsUser   = cannotStart + "please set the RunAs default user. Set runAsDefaultUser in the session document, or tag the caller's user or role with SSMSessionRunAs."
	missingUser = cannotStart + "failed to start pty since RunAs user %s does not exist. Create it on the node, or name another in runAsDefaultUser or in the tag SSMSessionRunAs."
	rootUser    = cannotStart + "invalid uid and gid. The user %s is root or in root's group, and sessions never run as that: name another user."
)

// account is as whom a session's programs run.
type account struct {
	platform.Account
	other *runas.Account // nil when it is the agent's own
}

// ownAccount is the agent's.
func ownAccount() account { return account{Account: platform.CurrentAccount()} }

// account says as whom the session runs. What it refuses it says to the user.
func (w *worker) account(ctx context.Context, task message.SessionTask) (account, error) {
	own := ownAccount()
	inputs := task.DocumentContent.Inputs
	root := os.Geteuid() == 0
	if !inputs.RunAsEnabled {
		if !root || w.sessionUser == "" {
			return own, nil
		}
		if w.sessionUser == DefaultSessionUser {
			a, err := runas.Ensure(ctx, runas.SessionUser())
			return asOther(w.sessionUser, a, err)
		}
		a, err := runas.Lookup(ctx, w.sessionUser)
		return asOther(w.sessionUser, a, err)
	}
	name := strings.TrimSpace(task.RunAsUser)
	if name == "" {
		name = strings.TrimSpace(inputs.RunAsDefaultUser)
	}
	switch {
	case name == "":
		return account{}, sentence("%s", needsUser)
	case !root && name == own.Name:
		return own, nil
	case !root:
		return account{}, sentence(needsRoot, own.Name)
	}
	a, err := runas.Lookup(ctx, name)
	return asOther(name, a, err)
}

// asOther is the account that was looked up by the name, or why it cannot be had. Root is
// refused here already, by whatever name.
func asOther(name string, a runas.Account, err error) (account, error) {
	switch {
	case errors.Is(err, runas.ErrNoUser):
		return account{}, sentence(missingUser, name)
	case err == nil && a.Root(), errors.Is(err, runas.ErrRoot):
		return account{}, sentence(rootUser, name)
	case err != nil:
		return account{}, sentence("%s%v", cannotStart, err)
	}
	return account{
		Account: platform.Account{Name: a.Name, UID: a.UID, Home: a.Home, Shell: a.Shell},
		other:   &a,
	}, nil
}

// startTerminal starts a program on a terminal as the account.
func (a account) startTerminal(cmd pty.Command) (*pty.Process, error) {
	if a.other == nil {
		return pty.Start(cmd)
	}
	launch, self, err := a.launch(cmd)
	if err != nil {
		return nil, err
	}
	defer launch.Close()
	p, err := pty.Start(self)
	if err != nil {
		return nil, err
	}
	if err := launch.Wait(); err != nil {
		p.Kill()
		p.Close()
		return nil, err
	}
	return p, nil
}

// startPiped starts a program without a terminal as the account.
func (a account) startPiped(cmd pty.Command, joined bool) (*pty.Piped, error) {
	if a.other == nil {
		return pty.StartPiped(cmd, joined)
	}
	launch, self, err := a.launch(cmd)
	if err != nil {
		return nil, err
	}
	defer launch.Close()
	p, err := pty.StartPiped(self, joined)
	if err != nil {
		return nil, err
	}
	if err := launch.Wait(); err != nil {
		p.Kill()
		p.Close()
		p.Wait()
		return nil, err
	}
	return p, nil
}

// launch prepares a program to run as the account, and the child that becomes it.
func (a account) launch(cmd pty.Command) (*runas.Launch, pty.Command, error) {
	launch, err := runas.Prepare(a.command(cmd))
	if err != nil {
		return nil, pty.Command{}, err
	}
	self, err := platform.Self()
	if err != nil {
		launch.Close()
		return nil, pty.Command{}, fmt.Errorf("find this program: %w", err)
	}
	return launch, pty.Command{
		Path: self, Argv: []string{agentName, ChildCommand, childRunAs},
		Env: []string{}, Dir: "/", Size: cmd.Size, Files: launch.Files(),
	}, nil
}

func (a account) command(cmd pty.Command) runas.Command {
	return runas.Command{Account: *a.other, Path: cmd.Path, Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, Umask: sessionUmask}
}
