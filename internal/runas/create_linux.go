package runas

import (
	"context"
	"errors"
	"os/exec"
)

// create makes a user with a home directory and a locked password. Small systems have
// adduser (BusyBox) only.
func create(ctx context.Context, name string) error {
	_, err := output(ctx, "useradd", "-m", name)
	if errors.Is(err, exec.ErrNotFound) {
		_, err = output(ctx, "adduser", "-D", name)
	}
	return err
}
