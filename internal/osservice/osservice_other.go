//go:build !linux

package osservice

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

func unsupported() error {
	return fmt.Errorf("services on %s are not managed yet: start the program's run command from the system's own service manager: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Install returns an error that is [errors.ErrUnsupported].
func Install(context.Context, Service) error { return unsupported() }

// Uninstall returns an error that is [errors.ErrUnsupported].
func Uninstall(context.Context, string) error { return unsupported() }

// Query returns an error that is [errors.ErrUnsupported].
func Query(context.Context, string) (Status, error) { return Status{}, unsupported() }
