//go:build !linux && !darwin

package runas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

var errUnsupported = fmt.Errorf("run as another user on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// Launch is a program about to run.
type Launch struct{}

// Prepare returns an error that is [errors.ErrUnsupported].
func Prepare(Command) (*Launch, error) { return nil, errUnsupported }

func (l *Launch) Files() []*os.File { return nil }
func (l *Launch) Close()            {}
func (l *Launch) Wait() error       { return errUnsupported }

// Child fails.
func Child() int { return 1 }

// Lookup returns an error that is [errors.ErrUnsupported].
func Lookup(context.Context, string) (Account, error) { return Account{}, errUnsupported }

// Ensure returns an error that is [errors.ErrUnsupported].
func Ensure(context.Context, User) (Account, error) { return Account{}, errUnsupported }
