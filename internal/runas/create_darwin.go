package runas

import "context"

// create makes a user who cannot sign in otherwise.
func create(ctx context.Context, name string) error {
	_, err := output(ctx, "sysadminctl", "-addUser", name, "-shell", "/usr/bin/false")
	return err
}
