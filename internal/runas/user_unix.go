//go:build linux || darwin

package runas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// createPatience bounds the making of an account: another program may hold the lock
	// of the users' files, another agent may be making the same account.
	createPatience = 10 * time.Second
	createRetry    = 200 * time.Millisecond
	sudoersMode    = 0o440
)

// Ensure finds the account and makes it if need be, which takes root. An account of that
// name that is root's is [ErrRoot].
func Ensure(ctx context.Context, u User) (Account, error) {
	a, err := Lookup(ctx, u.Name)
	if errors.Is(err, ErrNoUser) && validName(u.Name) {
		if a, err = makeUser(ctx, u); err != nil {
			return Account{}, fmt.Errorf("make the user %s: %w", u.Name, err)
		}
	}
	if err != nil {
		return Account{}, err
	}
	if a.Root() {
		return Account{}, fmt.Errorf("user %s: %w", u.Name, ErrRoot)
	}
	return a, nil
}

// makeUser makes an account that was not there. Several agents of a machine take turns:
// useradd run twice at once can make a user twice.
func makeUser(ctx context.Context, u User) (Account, error) {
	ctx, cancel := context.WithTimeout(ctx, createPatience)
	defer cancel()
	unlock, err := lock(ctx)
	if err != nil {
		return Account{}, err
	}
	defer unlock()
	for {
		a, err := Lookup(ctx, u.Name) // somebody else may have made it meanwhile
		if !errors.Is(err, ErrNoUser) {
			return a, err
		}
		createErr := create(ctx, u.Name)
		if createErr == nil {
			if a, err = Lookup(ctx, u.Name); err == nil && u.Sudoers != "" && !a.Root() {
				if err = writeSudoers(u.Sudoers, u.Name); err != nil {
					err = fmt.Errorf("let it use sudo: %w", err)
				}
			}
			return a, err
		}
		if !pause(ctx) {
			return Account{}, createErr
		}
	}
}

// lock takes the directory of the users' files for this process, as agents do among
// themselves; the tools have locks of their own.
func lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.Open("/etc")
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR || !pause(ctx) {
			f.Close()
			return nil, fmt.Errorf("lock /etc: %w", err)
		}
	}
}

// pause waits a little; false means that the context ended.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(createRetry)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// writeSudoers writes the file whole or not at all, and never over another. A machine
// without the directory has no sudo.
func writeSudoers(path, name string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	// sudo reads no file with a dot in its name (sudoers(5)).
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintf(f, "# User rules for %s\n%s ALL=(ALL) NOPASSWD:ALL\n", name, name)
	err = errors.Join(err, f.Chmod(sudoersMode), f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}
