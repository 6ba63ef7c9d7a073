package runas

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// Lookup finds an account by its name in the machine's directory.
func Lookup(ctx context.Context, name string) (Account, error) {
	if !validName(name) {
		return Account{}, fmt.Errorf("%w: %q", ErrNoUser, name)
	}
	u, err := user.Lookup(name)
	if _, ok := errors.AsType[user.UnknownUserError](err); ok || err == nil && u.Username != name {
		return Account{}, fmt.Errorf("%w: %q", ErrNoUser, name)
	}
	if err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	a := Account{Name: u.Username, Home: u.HomeDir}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err = errors.Join(err, err2); err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	a.UID, a.GID, a.Groups = int(uid), int(gid), []int{int(gid)}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, fmt.Errorf("look up the groups of %s: %w", name, err)
	}
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return Account{}, fmt.Errorf("look up the groups of %s: %w", name, err)
		}
		if !contains(a.Groups, int(n)) {
			a.Groups = append(a.Groups, int(n))
		}
	}
	// Without a shell there is the plain one.
	if out, err := output(ctx, "dscl", "/Search", "-read", "/Users/"+name, "UserShell"); err == nil {
		if _, shell, ok := strings.Cut(out, "UserShell:"); ok {
			a.Shell = strings.TrimSpace(shell)
		}
	}
	return a, nil
}
