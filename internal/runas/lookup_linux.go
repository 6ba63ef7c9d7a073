package runas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Lookup finds an account by its name: in /etc/passwd, else wherever the machine looks
// for users (getent asks a directory service too). The groups are those that id names.
func Lookup(ctx context.Context, name string) (Account, error) {
	if !validName(name) {
		return Account{}, fmt.Errorf("%w: %q", ErrNoUser, name)
	}
	text, err := os.ReadFile("/etc/passwd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	a, ok := parsePasswd(string(text), name)
	if !ok {
		if a, err = askDirectory(ctx, name); err != nil {
			return Account{}, err
		}
	}
	a.Groups, err = groupsOf(ctx, a)
	return a, err
}

// askDirectory has getent look the user up.
func askDirectory(ctx context.Context, name string) (Account, error) {
	missing := fmt.Errorf("%w: %q", ErrNoUser, name)
	out, err := output(ctx, "getent", "passwd", name)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 || errors.Is(err, exec.ErrNotFound) {
		return Account{}, missing
	}
	if err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	line, _, _ := strings.Cut(out, "\n")
	found, _, _ := strings.Cut(line, ":")
	// To getent a number is also a user id, and a user is meant by name only. A directory
	// may give a name in another form than it was asked by.
	if _, err := strconv.Atoi(name); err == nil && found != name {
		return Account{}, missing
	}
	a, ok := parsePasswd(line, found)
	if !ok {
		return Account{}, missing
	}
	return a, nil
}

// parsePasswd finds a user in the text of /etc/passwd (passwd(5)).
func parsePasswd(text, name string) (Account, bool) {
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Split(line, ":")
		if len(f) != 7 || f[0] != name || name == "" {
			continue
		}
		uid, ok := parseID(f[2])
		gid, ok2 := parseID(f[3])
		if !ok || !ok2 { // an entry that means nobody must not mean somebody
			return Account{}, false
		}
		return Account{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: strings.TrimSpace(f[6])}, true
	}
	return Account{}, false
}

// parseID reads a user or group id. The highest number means "none" to the kernel.
func parseID(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return int(n), err == nil && n != 1<<32-1
}

// groupsOf gives all groups of an account, its own first.
func groupsOf(ctx context.Context, a Account) ([]int, error) {
	groups := []int{a.GID}
	out, err := output(ctx, "id", "-G", a.Name)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("look up the groups of %s: %w", a.Name, context.Cause(ctx))
	case err == nil:
		for field := range strings.FieldsSeq(out) {
			gid, ok := parseID(field)
			if !ok {
				return nil, fmt.Errorf("look up the groups of %s: id says %.64q", a.Name, field)
			}
			groups = append(groups, gid)
		}
	default: // a machine without id, or a user that only passwd knows
		text, err := os.ReadFile("/etc/group")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look up the groups of %s: %w", a.Name, err)
		}
		groups = append(groups, parseGroup(string(text), a.Name)...)
	}
	return unique(groups), nil
}

// parseGroup finds a user's groups in the text of /etc/group (group(5)).
func parseGroup(text, name string) (groups []int) {
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Split(line, ":")
		if len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			continue
		}
		if gid, ok := parseID(f[2]); ok {
			groups = append(groups, gid)
		}
	}
	return groups
}

func unique(ids []int) (out []int) {
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
